"""What evaluate made of every object of every image: for pictures and tables that show single objects."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from pipeline.tasks.detection.evaluate.counts import IOUS, Looked, look, matched_ious
from pipeline.tasks.detection.evaluate.dataset import Reading, collect
from pipeline.tasks.detection.evaluate.errors import MATCH_IOU
from pipeline.tasks.detection.evaluate.kernels import FALSE, KINDS
from pipeline.tasks.detection.evaluate.synonyms import load_labels
from pipeline.tasks.detection.recipe import Evaluate
from pipeline.tasks.detection.rows import DetectionPrediction, PredictedObject

MATCHED, IGNORED = "matched", "ignored"


@dataclass(frozen=True, kw_only=True)
class ExplainedObject:
    """``kind`` is "matched", "ignored" (on a crowd) or one of `kernels.KINDS`; ``gt`` is the index of the true object
    that it matched, in ``row.gt``, or None; ``iou`` the one with it. ``label`` is its class, after folding and
    synonyms."""

    predicted: PredictedObject
    label: str
    score: float
    kind: str
    gt: int | None
    iou: float
    is_duplicate: bool


@dataclass(frozen=True, kw_only=True)
class ExplainedImage:
    """One row: ``objects`` in order of generation; ``matches[g]`` is the index of the prediction that true object g was
    matched by, or None; ``labels[g]`` its class."""

    row: DetectionPrediction
    objects: tuple[ExplainedObject, ...]
    labels: tuple[str, ...]
    matches: tuple[int | None, ...]


def explain(rows: Sequence[DetectionPrediction], options: Evaluate | None = None) -> dict[str, ExplainedImage]:
    """Every row by its id, in the order given, matched at IoU 0.5 by class, as the scores of evaluate are."""
    options = options or Evaluate()
    return explain_looked(look(collect(rows, reading_of(options)), options.min_score), rows)


def reading_of(options: Evaluate, *, use_salvaged: bool | None = None) -> Reading:
    """How the recipe's section ``evaluate`` says to read rows. Raises UserError for a table that cannot be read."""
    return Reading(
        labels=load_labels(options.label_match, options.synonyms),
        score_from=options.score_from,
        use_salvaged=options.use_salvaged if use_salvaged is None else use_salvaged,
    )


def explain_looked(looked: Looked, rows: Sequence[DetectionPrediction]) -> dict[str, ExplainedImage]:
    """The same from a look that has been taken; ``rows`` say the order."""
    dataset, at = looked.dataset, IOUS.index(MATCH_IOU)
    edges = np.arange(len(dataset.rows) + 1)
    starts = np.searchsorted(dataset.predictions.image, edges).tolist()
    true_starts = np.searchsorted(dataset.truths.image, edges).tolist()
    states, matched = looked.by_class.states[at].tolist(), looked.by_class.matched[at].tolist()
    ious, kinds = matched_ious(looked, at).tolist(), looked.errors.kinds.tolist()
    labels, true_labels = dataset.predictions.label.tolist(), dataset.truths.label.tolist()
    images = {}
    for n, row in enumerate(dataset.rows):
        first, after, true_first, true_after = starts[n], starts[n + 1], true_starts[n], true_starts[n + 1]
        matches: list[int | None] = [None] * (true_after - true_first)
        objects = []
        for m in range(first, after):
            gt = matched[m] - true_first if states[m] == 1 else None
            if gt is not None:
                matches[gt] = m - first
            objects.append(
                ExplainedObject(
                    predicted=dataset.predicted[n][m - first],
                    label=dataset.classes[labels[m]],
                    score=float(dataset.predictions.scores[m]),
                    kind=KINDS[kinds[m]] if states[m] == FALSE else (MATCHED if gt is not None else IGNORED),
                    gt=gt,
                    iou=ious[m],
                    is_duplicate=bool(looked.is_duplicate[m]),
                )
            )
        names = tuple(dataset.classes[true_labels[g]] for g in range(true_first, true_after))
        images[row.id] = ExplainedImage(row=row, objects=tuple(objects), labels=names, matches=tuple(matches))
    return {row.id: images[row.id] for row in rows}

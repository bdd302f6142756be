"""Images in the order in which one wants to look at them: the worst first, with what is right and wrong on each."""

from dataclasses import dataclass, replace

from pipeline.look.numbers import words
from pipeline.tasks.detection.evaluate.explain import AT_MATCH, Looked, matched_ious
from pipeline.tasks.detection.evaluate.figures import Figures
from pipeline.tasks.detection.evaluate.kernels import FALSE, KINDS, TRUE
from pipeline.tasks.detection.evaluate.matching import found_truths
from pipeline.tasks.detection.evaluate.score import score_rows
from pipeline.tasks.detection.rows import DetectionPrediction, DetectionScore, PredictedObject
from pipeline.tasks.detection.visualize.outlines import MATCHED, NOT_FOUND
from schemas.rows import Fact, FigureText, TextMark

ORDER = "worst first: lowest F1, then most errors"
IGNORED, REPEATED = "ignored", "repeated"


@dataclass(frozen=True, kw_only=True)
class JudgedObject:
    """``kind`` is "matched", "ignored" (on a crowd) or one of `kernels.KINDS`; ``iou`` that with its match, 0 without.
    ``label`` is its class, after folding and synonyms."""

    predicted: PredictedObject
    label: str
    score: float
    kind: str
    iou: float


@dataclass(frozen=True, kw_only=True)
class JudgedImage:
    """One image, its row of scores as evaluate writes it, and its ``place`` in the order, from 1.

    ``objects`` are the predicted ones in order of generation; of true object g, ``labels[g]`` is its class.
    """

    row: DetectionPrediction
    score: DetectionScore
    objects: tuple[JudgedObject, ...]
    labels: tuple[str, ...]
    is_found: tuple[bool, ...]
    place: int = 0

    @property
    def num_not_found(self) -> int:
        """True objects without a match."""
        return self.score.num_gt - self.score.num_matched

    @property
    def errors(self) -> tuple[str, ...]:
        """What is wrong, in the words of the report."""
        kinds = [kind for kind in sorted(KINDS[1:]) if getattr(self.score, f"num_{kind}")]
        others = {NOT_FOUND: self.num_not_found, REPEATED: self.score.num_repeats}
        return (*kinds, *(name for name, number in others.items() if number))


def judge(figures: Figures) -> list[JudgedImage]:
    """The images, worst first: lowest F1, then most errors, then lowest mean IoU, then as they stood.

    Objects are matched at IoU 0.5 by class, as the scores of evaluate are.
    """
    looked, dataset = figures.looked, figures.dataset
    objects, labels = _objects(looked), [dataset.classes[k] for k in dataset.truths.label]
    is_found = found_truths(looked.by_class, AT_MATCH, len(dataset.truths)).tolist()
    starts, true_starts = (side.starts(len(dataset.rows)).tolist() for side in (dataset.predictions, dataset.truths))
    images = []
    for n, score in zip(dataset.in_order_of_file(), score_rows(figures), strict=True):
        mine, true = slice(*starts[n : n + 2]), slice(*true_starts[n : n + 2])
        images.append(
            JudgedImage(
                row=dataset.rows[n],
                score=score,
                objects=tuple(objects[mine]),
                labels=tuple(labels[true]),
                is_found=tuple(is_found[true]),
            )
        )
    return [replace(image, place=place) for place, image in enumerate(sorted(images, key=_badness), start=1)]


def _objects(looked: Looked) -> list[JudgedObject]:
    """All predicted objects, image by image as the dataset has them."""
    dataset = looked.dataset
    found = zip(
        (one for row in dataset.predicted for one in row),
        dataset.predictions.label.tolist(),
        dataset.predictions.scores.tolist(),
        looked.by_class.states[AT_MATCH].tolist(),
        looked.errors.kinds.tolist(),
        matched_ious(looked).tolist(),
        strict=True,
    )
    return [
        JudgedObject(
            predicted=predicted,
            label=dataset.classes[label],
            score=score,
            kind={TRUE: MATCHED, FALSE: KINDS[kind]}.get(state, IGNORED),
            iou=iou,
        )
        for predicted, label, score, state, kind, iou in found
    ]


def _badness(image: JudgedImage) -> tuple[float, int, float]:
    f1 = 2.0 if image.score.f1 is None else image.score.f1
    return f1, -image.score.num_false - image.num_not_found, image.score.mean_iou or 0.0


def facts_of(image: JudgedImage) -> dict[str, Fact]:
    """What the report's page filters and sorts by."""
    row = image.row
    return {
        "status": row.status,
        "class": tuple(sorted({*image.labels, *(one.label for one in image.objects)})),
        "error": image.errors,
        "failure": row.error if row.status == "not_run" else None,
        "repair": tuple(map(words, row.repairs)),
        "dropped": tuple(sorted({words(one.code) for one in row.dropped})),
        "F1": image.score.f1,
        "mean IoU": image.score.mean_iou,
        "true objects": image.score.num_gt,
        "predicted": image.score.num_preds,
        "false": image.score.num_false,
        "not found": image.num_not_found,
        "characters": len(row.raw_output),
    }


def text_of(image: JudgedImage) -> FigureText | None:
    """The text of the model with its objects marked; None for rows that were made without one."""
    row = image.row
    if not row.raw_output:
        return None
    marks = [_mark(one, one.predicted.span) for one in image.objects if one.predicted.span is not None]
    counted = {id(one.predicted) for one in image.objects}
    for one in row.salvaged:
        if id(one) not in counted and one.span is not None:
            note = f"{one.desc}: complete before the text was cut, not counted"
            marks.append(TextMark(start=one.span[0], stop=one.span[1], kind="doubtful", note=note))
    for dropped in row.dropped:
        start, stop = dropped.span
        marks.append(TextMark(start=start, stop=stop, kind="doubtful", note=f"dropped: {words(dropped.code)}"))
    key = " - underlined: matched, doubly: false, dotted: not counted" if marks else ""
    return FigureText(heading=f"What the model wrote{key}", text=row.raw_output, marks=tuple(marks))


def _mark(one: JudgedObject, span: tuple[int, int]) -> TextMark:
    start, stop = span
    if one.kind == MATCHED:
        return TextMark(start=start, stop=stop, kind="good", note=f"{one.label}: matched, IoU {one.iou:.2f}")
    if one.kind == IGNORED:
        return TextMark(start=start, stop=stop, kind="doubtful", note=f"{one.label}: not counted")
    return TextMark(start=start, stop=stop, kind="bad", note=f"{one.label}: false ({one.kind})")

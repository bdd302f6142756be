"""How rows are read: which free-text labels are one class, and by which score predictions are ranked.

Labels are the same class when they are equal after folding, or by a table of synonyms that the user gives.
"""

import math
from bisect import bisect_left, bisect_right
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from pipeline.errors import UserError
from pipeline.tasks.detection.recipe import Evaluate
from pipeline.tasks.detection.rows import DetectionPrediction, PredictedObject

LabelMatch = Literal["folded", "exact"]
ScoreFrom = Literal["contract", "logprobs"]


@dataclass(frozen=True, kw_only=True)
class Reading:
    """How rows are read: which labels are one class, where scores come from, and whether salvaged objects count.

    ``canonical`` maps a synonym, folded unless labels match "exact", to the class it stands for.
    """

    label_match: LabelMatch = "folded"
    canonical: Mapping[str, str] = field(default_factory=dict)
    score_from: ScoreFrom = "contract"
    use_salvaged: bool = False

    def class_of(self, desc: str) -> str:
        """The class of a label: folded (unless "exact"), and the canonical label where the table has it."""
        label = fold(desc) if self.label_match == "folded" else desc
        return self.canonical.get(label, label)


def fold(desc: str) -> str:
    """Without space around it, runs of space as one, and without case: " Traffic  Light" is "traffic light"."""
    return " ".join(desc.split()).casefold()


DEFAULT = Reading()


def reading_of(options: Evaluate, *, use_salvaged: bool | None = None) -> Reading:
    """How the recipe's section ``evaluate`` says to read rows. Raises UserError for a table that cannot be read."""
    return Reading(
        label_match=options.label_match,
        canonical=_canonical(options.label_match, options.synonyms) if options.synonyms is not None else {},
        score_from=options.score_from,
        use_salvaged=options.use_salvaged if use_salvaged is None else use_salvaged,
    )


def _canonical(match: LabelMatch, path: str) -> dict[str, str]:
    """The synonyms of a YAML or JSON file: ``canonical: [synonym, ...]``; paths as the shell sees them.

    Raises UserError when the file is not that, or gives one synonym to two classes.
    """
    folding = fold if match == "folded" else str
    table: dict[str, str] = {}
    for canonical, synonyms in _read(path).items():
        for synonym in (canonical, *synonyms):
            other = table.setdefault(folding(synonym), folding(canonical))
            if other != folding(canonical):
                raise UserError(
                    f"{synonym!r} is a synonym of both {other!r} and {canonical!r}",
                    where=f"evaluate.synonyms: {path}",
                    remedy="keep it under one of them",
                )
    return table


def _read(path: str) -> dict[str, list[str]]:
    from pipeline.recipe.yaml import parse  # here: most evaluations have no table

    try:
        raw = Path(path).read_bytes()
    except OSError as error:
        raise UserError(f"cannot read the synonyms: {error.strerror}", where=f"evaluate.synonyms: {path}") from error
    data: Any = parse(raw, path).data
    lists = data if isinstance(data, dict) else {}
    if not lists or not all(isinstance(v, list) and all(isinstance(s, str) for s in v) for v in lists.values()):
        raise UserError(
            "a table of synonyms maps each label to a list of others",
            where=f"evaluate.synonyms: {path}",
            remedy="for example: `person: [man, woman, pedestrian]`",
        )
    return {str(canonical): synonyms for canonical, synonyms in lists.items()}


def scores_of(row: DetectionPrediction, objects: list[PredictedObject], score_from: ScoreFrom) -> list[float]:
    """A score for each of ``objects`` of a row. "contract": what the row says, 1.0 for a model that writes text.

    "logprobs": the exponential of the mean log probability of the tokens that have a character in the object's span,
    which is the geometric mean of their probabilities. Raises UserError where the row does not have what that needs.
    """
    if score_from == "contract":
        return [one.score for one in objects]
    return [_mean_probability(row, one) for one in objects]


def _mean_probability(row: DetectionPrediction, one: PredictedObject) -> float:
    tokens, inside = row.tokens, []
    if tokens is not None and one.span is not None:
        # Token i covers the characters from ends[i - 1] to before ends[i]; those that reach into the span.
        first, last = bisect_right(tokens.ends, one.span[0]), bisect_left(tokens.ends, one.span[1])
        inside = tokens.logprobs[first : last + 1]
    if not inside:
        raise UserError(
            f"no log probabilities for the object {one.desc!r}",
            where=f"record {row.id}",
            remedy="run `baton infer` with --set infer.keep_logprobs=true, or set evaluate.score_from to contract",
        )
    return math.exp(math.fsum(inside) / len(inside))

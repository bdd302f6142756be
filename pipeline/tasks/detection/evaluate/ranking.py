"""The score by which predictions of one run are ranked: the contract's, or one from token log probabilities."""

import math
from bisect import bisect_left, bisect_right
from typing import Literal

from pipeline.errors import UserError
from pipeline.tasks.detection.rows import DetectionPrediction, PredictedObject, TokenLogprobs

ScoreFrom = Literal["contract", "logprobs"]


def scores_of(row: DetectionPrediction, objects: list[PredictedObject], score_from: ScoreFrom) -> list[float]:
    """A score for each of ``objects`` of a row. "contract": what the row says, 1.0 for a model that writes text.

    "logprobs": the exponential of the mean log probability of the tokens that have a character in the object's span,
    which is the geometric mean of their probabilities. Raises UserError where the row does not have what that needs.
    """
    if score_from == "contract":
        return [one.score for one in objects]
    return [_mean_probability(row, one) for one in objects]


def _mean_probability(row: DetectionPrediction, one: PredictedObject) -> float:
    tokens, span = row.tokens, one.span
    inside = tokens.logprobs[_tokens_in(tokens, span)] if tokens is not None and span is not None else []
    if not inside:
        raise UserError(
            f"no log probabilities for the object {one.desc!r}",
            where=f"record {row.id}",
            remedy="run `baton infer` with --set infer.keep_logprobs=true, or set evaluate.score_from to contract",
        )
    return math.exp(math.fsum(inside) / len(inside))


def _tokens_in(tokens: TokenLogprobs, span: tuple[int, int]) -> slice:
    """Token i covers the characters from ``ends[i - 1]`` to before ``ends[i]``; those that reach into the span."""
    return slice(bisect_right(tokens.ends, span[0]), bisect_left(tokens.ends, span[1]) + 1)

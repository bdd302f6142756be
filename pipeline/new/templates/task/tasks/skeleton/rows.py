"""What the rows of this task say besides the envelopes of `schemas.rows`, which say their version, task and id."""

from typing import Literal

from pipeline.contract.parts import RowsPart
from schemas import rows


class Progress(rows.Progress, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One step of the training: the mean squared error of its points."""

    task: Literal["skeleton"] = "skeleton"
    loss: float


class Episode(rows.Episode, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What the model in training says of fixed points: for the live view."""

    task: Literal["skeleton"] = "skeleton"
    loss: float
    xs: tuple[float, ...]
    ys: tuple[float, ...]
    predicted: tuple[float, ...]


class Monitor(rows.Monitor, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How the averaged weights do on fixed points."""

    task: Literal["skeleton"] = "skeleton"
    absolute_error: float


class Example(rows.Example, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A point on the curve."""

    task: Literal["skeleton"] = "skeleton"
    x: float
    y: float


class Prediction(rows.Prediction, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What the model says of a point, and the truth beside it: this row alone is what later stages work on."""

    task: Literal["skeleton"] = "skeleton"
    x: float
    y: float
    predicted: float

    @property
    def absolute_error(self) -> float:
        """How far off it is."""
        return abs(self.predicted - self.y)


class Score(rows.Score, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What a record scored."""

    task: Literal["skeleton"] = "skeleton"
    absolute_error: float


PART = RowsPart(
    types={
        "progress_v1": Progress,
        "episode_v1": Episode,
        "monitor_v1": Monitor,
        "example_v1": Example,
        "prediction_v1": Prediction,
        "score_v1": Score,
        "metric_v1": rows.Metric,
        "figure_v1": rows.Figure,
    }
)

"""What this task's rows say besides the envelope."""

from pipeline.contract.parts import RowsPart
from schemas import rows


class LineEpisode(rows.Episode, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A point of the training, and the model's answer."""

    x: float
    y: float
    predicted: float


class LineExample(rows.Example, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A point on the line."""

    x: float
    y: float


class LinePrediction(rows.Prediction, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The model's answer, and the truth beside it."""

    x: float
    y: float
    predicted: float


class LineScore(rows.Score, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How far off it was."""

    absolute_error: float


PART = RowsPart(
    types={
        "progress_v1": rows.Progress,
        "monitor_v1": rows.Monitor,
        "episode_v1": LineEpisode,
        "example_v1": LineExample,
        "prediction_v1": LinePrediction,
        "score_v1": LineScore,
        "metric_v1": rows.Metric,
        "figure_v1": rows.Figure,
    }
)

"""Which rows a file holds, and what shows them: episodes of a training, or predictions."""

from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import msgspec

from pipeline.errors import UserError
from pipeline.live.feed import Feed
from pipeline.tasks import find_part, load_part
from pipeline.tasks.interface import LivePart, LivePredictionsPart

PREDICTIONS, EPISODES = "prediction_v1", "episode_v1"


class Opened(NamedTuple):
    """A file and the part of the task that shows its rows; ``unfold`` makes of a row what is drawn as an episode."""

    feed: Feed
    part: LivePart
    unfold: Callable[[Any], Any] = lambda row: row


class _Schema(msgspec.Struct):
    schema: str = ""


def holds_predictions(path: Path) -> bool:
    """Whether the first line says that it is a prediction. A file that is not there yet is one of a training."""
    if path.suffix == ".zst" or not path.is_file():
        return False
    with path.open("rb") as file:
        first = next((line for line in file if line.strip()), b"{}")
    try:
        return msgspec.json.decode(first, type=_Schema).schema == PREDICTIONS
    except (msgspec.DecodeError, UnicodeDecodeError):
        return False


def open_recording(path: Path, task: str) -> Opened:
    """The feed of a file and its part, by what its first line says. Raises UserError."""
    rows = load_part(task, "rows").ROW_TYPES
    if not holds_predictions(path):
        live: LivePart = load_part(task, "live")
        return Opened(Feed(path, live.SUMMARY, rows[EPISODES]), live)
    if find_part(task, "live_predictions") is None:
        what = f"task {task!r} has no view for predictions"
        raise UserError(what, where=str(path), remedy=f"look at them with `baton visualize {task} --input {path}`")
    part: LivePredictionsPart = load_part(task, "live_predictions")
    feed = Feed(path, part.LINE, rows[PREDICTIONS], part.summarize)
    return Opened(feed, part, lambda row: part.unfold(row, path))

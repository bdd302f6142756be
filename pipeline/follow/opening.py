"""Which rows a file holds, and what shows them: episodes of a training, or predictions."""

from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import msgspec

from pipeline.contract.load import find_part, load_part
from pipeline.contract.parts import RowsPart
from pipeline.errors import UserError
from pipeline.follow.feed import Feed
from pipeline.follow.scene import FollowPart, FollowPredictionsPart

PREDICTIONS, EPISODES = "prediction_v1", "episode_v1"


class Opened(NamedTuple):
    """A file and the part of the task that shows its rows; ``unfold`` makes of a row what is drawn as an episode,
    ``unplayed`` says what predictions lack that cannot be played."""

    feed: Feed
    part: FollowPart
    unfold: Callable[[Any], Any] = lambda row: row
    unplayed: str = ""


class _Schema(msgspec.Struct):
    schema: str = ""


def holds_predictions(path: Path, *, expected: bool = False) -> bool:
    """Whether the first line says that it is a prediction; ``expected`` while there is no line yet."""
    if path.suffix == ".zst" or not path.is_file():
        return expected and not path.exists()
    with path.open("rb") as file:
        first = next((line for line in file if line.strip()), b"")
    try:
        whole = first.endswith(b"\n")  # else it is still being written
        return msgspec.json.decode(first, type=_Schema).schema == PREDICTIONS if whole else expected
    except (msgspec.DecodeError, UnicodeDecodeError):
        return False


def open_recording(path: Path, task: str, *, expect_predictions: bool = False) -> Opened:
    """The feed of a file and its part, by what its first line says. Raises UserError.

    What is not there yet is taken for the tail of a training, or with ``expect_predictions`` for predictions.
    """
    rows = load_part(task, RowsPart).types
    if not holds_predictions(path, expected=expect_predictions):
        live = load_part(task, FollowPart)
        return Opened(Feed(path, live.summary, rows[EPISODES]), live)
    part = find_part(task, FollowPredictionsPart)
    if part is None:
        what = f"task {task!r} has no view for predictions"
        raise UserError(what, where=str(path), remedy=f"look at them with `baton visualize {task} --input {path}`")
    feed = Feed(path, part.line, rows[PREDICTIONS], part.summarize)
    return Opened(feed, part.view, lambda row: part.unfold(row, path), part.unplayed)

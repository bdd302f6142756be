"""Episodes of a file as they arrive: summaries at once, whole rows when they are asked for."""

import time
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

import msgspec

from pipeline.contract.load import find_part, load_part
from pipeline.contract.parts import RowsPart
from pipeline.errors import UserError
from pipeline.files.decode import LineDecoder
from pipeline.files.follow import Follower, SkippedLine, StartedOver
from pipeline.follow.index import Entry
from pipeline.follow.scene import FollowPart, FollowPredictionsPart
from pipeline.follow.training import State, Training

KEPT_EPISODES = 8  # decoded rows that stay in memory: going back and forth does not read the file again
_RESTARTS = {"truncated": "cut", "replaced": "replaced", "rewritten": "rewritten"}


class Arrival(NamedTuple):
    """One new line of the file. ``latency_s`` as in `index.Entry`."""

    summary: Any
    offset: int
    length: int
    latency_s: float | None


@dataclass(frozen=True)
class News:
    """What one poll found.

    ``restart`` says why the file starts over (before the arrivals); ``skipped`` why lines could not be read;
    ``behind_bytes`` how much of the file is still to be read; ``waiting`` what is missing while there is no file;
    ``state`` what the training says beside it.
    """

    arrivals: list[Arrival] = field(default_factory=list)
    restart: str = ""
    skipped: list[str] = field(default_factory=list)
    behind_bytes: int = 0
    waiting: str = ""
    state: State = field(default_factory=State)

    @property
    def is_empty(self) -> bool:
        """Whether nothing happened."""
        return not (self.arrivals or self.restart or self.skipped)


class Feed:
    """Follows ``path``. `poll` and `wait` are for one thread; `load` may be called from another.

    ``summary_type`` is a Struct of the fields to read of every line; the others are skipped without being decoded.
    ``summarize`` makes of it what is kept.
    """

    def __init__(
        self,
        path: Path,
        summary_type: type[Any],
        episode_type: type[Any],
        summarize: Callable[[Any], Any] = lambda line: line,
    ) -> None:
        self.path = path
        self._episode_type = episode_type
        self._summarize = summarize
        self._follower: Follower[Any] = Follower(path, summary_type)
        self._kept: OrderedDict[tuple[int, int], Any] = OrderedDict()
        self._began_unix_s = time.time()
        self._training = Training(path)

    def poll(self) -> News:
        """What has arrived, without waiting. Raises UserError when the path is not a file or cannot be read."""
        items = self._follower.poll()
        arrived_unix_s = time.time()
        if not items and self._follower.offset == 0:
            return News(waiting=self._missing(), state=self._training.look())
        restart = ""
        if items and isinstance(items[0], StartedOver):
            restart = f"the file was {_RESTARTS[items[0].reason]}"
            self._kept.clear()
        rows = [item for item in items if not isinstance(item, StartedOver)]
        arrivals, skipped = [], []
        for row, (offset, length) in zip(rows, self._follower.spans(), strict=True):
            if isinstance(row, SkippedLine):
                skipped.append(f"a line was skipped, at byte {row.offset}: {row.reason}")
            else:
                summary = self._summarize(row)
                late_s = arrived_unix_s - summary.ended_unix_s if summary.ended_unix_s >= self._began_unix_s else None
                arrivals.append(Arrival(summary, offset, length, late_s))
        state = self._training.look(was_read=True)
        return News(arrivals, restart, skipped, self._follower.behind_bytes, state=state)

    def wait(self, timeout_s: float) -> bool:
        """Sleep until there may be something to poll, at most ``timeout_s``."""
        return self._follower.wait(timeout_s)

    def load(self, entry: Entry) -> Any:
        """The whole row of an entry. Raises UserError when its line is not a valid row (any more)."""
        key = (entry.offset, entry.length)
        if (known := self._kept.pop(key, None)) is not None:  # one operation: `poll` may clear them meanwhile
            self._kept[key] = known
            return known
        decoder = LineDecoder(self.path, self._episode_type, accept_unfinished=False)
        decoder.num_lines = entry.number
        try:
            with self.path.open("rb") as file:
                file.seek(entry.offset)
                episode = decoder.line(file.read(entry.length))
        except (OSError, msgspec.DecodeError, UnicodeDecodeError) as error:
            raise UserError(f"its line cannot be read any more: {error}", where=str(self.path)) from error
        self._kept[key] = episode
        if len(self._kept) > KEPT_EPISODES:
            self._kept.popitem(last=False)
        return episode

    def close(self) -> None:
        """Close the file."""
        self._follower.close()

    def _missing(self) -> str:
        if not self.path.exists():
            return f"waiting for {self.path}: there is no such file yet"
        return f"waiting for the first episode in {self.path}"


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

"""A whole episode as JSON, for a page that plays it without asking for more.

A `Play` is the first scene in full, and of each later one what differs from the scene before it: most of a scene (the
headline, the events, the legend) stands still while an episode is played.
"""

from collections.abc import Iterator, Sequence
from typing import Any

import msgspec

from pipeline.errors import UserError
from pipeline.follow.scene import FollowPart, Moment

PIECE = 64  # changes that are sent at once: the first frame of a long episode does not wait for the last
Play = dict[str, Any]
"""``id``, ``line`` (the episode in one line), ``summary`` (its plain fields), ``num_frames``, ``first`` (a `Scene`) and
``changes``, one for each later frame: new values by path, such as ``readings/0/values/3/value``."""


def play(part: FollowPart, row: Any, history: Sequence[Any] = (), opinion: Any | None = None) -> Play:
    """The whole of an episode. Arguments and errors as of `frames_of`."""
    head, *pieces = frames_of(part, row, history, opinion)
    return {**head, "changes": [change for piece in pieces for change in piece]}


def frames_of(part: FollowPart, row: Any, history: Sequence[Any] = (), opinion: Any | None = None) -> Iterator[Any]:
    """A `Play` in pieces: first all but its changes, then the changes, in lists of `PIECE`.

    ``row`` is what the part draws, a prediction unfolded; ``history`` ends with its own summary, without which the
    summary is read from the row. Raises UserError where there is nothing to play.
    """
    summary = history[-1] if history else msgspec.json.decode(msgspec.json.encode(row), type=part.summary)
    num_frames = part.num_frames(summary)
    if num_frames < 1:
        raise UserError(f"episode {summary.id} has no steps to play", remedy="choose another one")

    def scene(frame: int) -> Any:
        return msgspec.to_builtins(part.scene(Moment(row, frame, history or (summary,), opinion)))

    now = scene(0)
    yield {
        "id": summary.id,
        "line": part.tell(summary),
        "summary": msgspec.to_builtins(summary),
        "num_frames": num_frames,
        "first": now,
    }
    for start in range(1, num_frames, PIECE):
        changes = []
        for frame in range(start, min(start + PIECE, num_frames)):
            before, now = now, scene(frame)
            changes.append(dict(_changes(before, now)))
        yield changes


def _changes(before: Any, now: Any, path: str = "") -> Iterator[tuple[str, Any]]:
    """Path and new value of all that differs, in objects and in lists of one length part by part; null for what is not
    there any more."""
    if isinstance(now, dict) and isinstance(before, dict):
        parts: Any = [(key, before.get(key), now.get(key)) for key in before | now]
    elif isinstance(now, tuple) and isinstance(before, tuple) and len(now) == len(before):
        parts = zip(range(len(now)), before, now, strict=True)
    else:
        yield path, now
        return
    for key, old, new in parts:
        if old != new:
            yield from _changes(old, new, f"{path}/{key}" if path else str(key))

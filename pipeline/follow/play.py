"""A whole episode as JSON, for a page that plays it without asking for more.

A `Play` is the first scene in full, and of each later one the fields that differ from the scene before it: many (the
headline, the events, the legend) stand still while an episode is played. Finer differences take longer to find than to
send: what is left of them vanishes when the JSON is compressed.
"""

from collections.abc import Iterator, Sequence
from typing import Any

import msgspec
from msgspec.structs import asdict

from pipeline.errors import UserError
from pipeline.follow.scene import FollowPart, Moment, Scene

Play = dict[str, Any]
"""``id``, ``line`` (the episode in one line), ``summary`` (its plain fields), ``num_frames``, ``first`` (a `Scene`) and
``changes``, one for each later frame: new values by field, or by field and place in it, such as ``panels/1``."""


def play(part: FollowPart, row: Any, history: Sequence[Any] = (), opinion: Any | None = None) -> Play:
    """The whole of an episode in builtin types. Arguments and errors as of `frames_of`."""
    head, *changes = frames_of(part, row, history, opinion)
    played: Play = msgspec.to_builtins({**head, "changes": changes})
    return played


def frames_of(part: FollowPart, row: Any, history: Sequence[Any] = (), opinion: Any | None = None) -> Iterator[Any]:
    """A `Play` frame by frame: first all but its changes, then each change; values are Structs.

    ``row`` is what the part draws, a prediction unfolded; ``history`` ends with its own summary, without which the
    summary is read from the row. Raises UserError where there is nothing to play.
    """
    summary = history[-1] if history else msgspec.json.decode(msgspec.json.encode(row), type=part.summary)
    num_frames = part.num_frames(summary)
    if num_frames < 1:
        raise UserError(f"episode {summary.id} has no steps to play", remedy="choose another one")
    moments = (Moment(row, frame, history or (summary,), opinion) for frame in range(num_frames))
    now = part.scene(next(moments))
    yield {"id": summary.id, "line": part.tell(summary), "summary": summary, "num_frames": num_frames, "first": now}
    for moment in moments:
        before, now = now, part.scene(moment)
        yield dict(_changes(before, now))


def _changes(before: Scene, now: Scene) -> Iterator[tuple[str, Any]]:
    """Field and new value of all that differs, in tuples of one length element by element."""
    for name, new in asdict(now).items():
        old = getattr(before, name)
        if new == old:
            continue
        if isinstance(new, tuple) and isinstance(old, tuple) and len(new) == len(old):
            pairs = enumerate(zip(old, new, strict=True))
            yield from ((f"{name}/{place}", value) for place, (was, value) in pairs if value != was)
        else:
            yield name, new

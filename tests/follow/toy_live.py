"""The smallest live view of a task: an episode is a list of numbers, and the screen shows one of them."""

from collections.abc import Sequence
from typing import Literal

import msgspec
from rich.text import Text

from pipeline.follow.scene import FollowPart, Lines, Mark, Panel, Scene, Size
from schemas import rows


class Numbers(rows.Episode, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """An episode."""

    task: Literal["toy"] = "toy"
    numbers: list[int]


class Summary(msgspec.Struct, frozen=True, kw_only=True):
    """What is kept of it."""

    schema: Literal["episode_v1"] = "episode_v1"
    task: Literal["toy"] = "toy"
    id: str
    ended_unix_s: float
    num_dropped_before: int = 0


def num_frames(summary: Summary) -> int:
    return 3


def summary_line(summary: Summary) -> str:
    return summary.id


def headline(scene: Scene) -> Text:
    return Text(f"toy {scene.episode.id}")


def draw_picture(scene: Scene, size: Size) -> Lines:
    return [Text(f"number {scene.episode.numbers[scene.frame]}")]


def draw_readings(scene: Scene, size: Size) -> Lines:
    return [Text(f"frame {scene.frame}"), Text("of three")]


def draw_trend(scene: Scene, size: Size) -> Lines:
    return [Text(f"{len(scene.history)} so far")]


def draw_caption(scene: Scene, width: int) -> Text:
    return Text("nothing happens here")


def draw_marks(episode: Numbers) -> Sequence[Mark]:
    return [Mark(2, "x", "")]


def legend() -> Lines:
    return [Text("x is the end")]


PART = FollowPart(
    summary=Summary,
    num_frames=num_frames,
    summary_line=summary_line,
    headline=headline,
    draw_picture=draw_picture,
    draw_readings=draw_readings,
    draw_trend=draw_trend,
    draw_caption=draw_caption,
    draw_marks=draw_marks,
    legend=legend,
    readings_size=Size(20, 2),
    num_recent=5,
    panels=(Panel("all", lambda scene, size: [Text(str(scene.episode.numbers))]),),
)

"""What `baton follow` shows of the training: the curve as the model has it so far."""

from typing import Literal

from msgspec import Struct
from rich.text import Text

from pipeline.follow.scene import FollowPart, Lines, Panel, Scene, Size


class Summary(Struct, frozen=True, kw_only=True):
    """What is kept of every episode of the file; other fields of its line are skipped."""

    schema: Literal["episode_v1"] = "episode_v1"
    task: Literal["skeleton"] = "skeleton"
    id: str
    step: int
    ended_unix_s: float
    num_dropped_before: int = 0
    loss: float


def summary_line(summary: Summary) -> str:
    """An episode in one line."""
    return f"step {summary.step:,}  loss {summary.loss:.2g}"


def draw_curve(scene: Scene, size: Size) -> Lines:
    """A line for each point, y from left to right: where the truth is, and where the model puts it."""
    episode, lines = scene.episode, []
    for y, said in zip(episode.ys, episode.predicted, strict=True):
        signs = [" "] * size.width
        for value, sign in ((y, "."), (said, "o")):
            signs[round((min(max(value, -1.0), 1.0) + 1.0) / 2.0 * (size.width - 1))] = sign
        lines.append(Text("".join(signs)))
    return lines[: size.height]


def draw_points(scene: Scene, size: Size) -> Lines:
    """A line for each point: x, the truth, what the model says."""
    episode = scene.episode
    rows = zip(episode.xs, episode.ys, episode.predicted, strict=True)
    lines = [f"{x:+.1f} {y:+.3f} {said:+.3f}" for x, y, said in rows]
    return [Text(line) for line in ["   x   truth  model", *lines][: size.height]]


PART = FollowPart(
    summary=Summary,
    num_frames=lambda summary: 1,
    summary_line=summary_line,
    headline=lambda scene: Text(summary_line(scene.episode)),
    draw_picture=draw_curve,
    draw_readings=lambda scene, size: [Text(f"loss {scene.episode.loss:.2g}")],
    draw_trend=lambda scene, size: [],
    draw_caption=lambda scene, width: Text(),
    draw_marks=lambda episode: [],
    legend=lambda: [Text(". truth, o model; x runs down")],
    readings_size=Size(20, 1),
    num_recent=1,
    panels=(Panel("points", draw_points),),
)

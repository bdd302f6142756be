"""What `baton follow` shows of predictions.jsonl: the way of each image from noise, frame by frame."""

import base64
from typing import Any, Literal

from msgspec import Struct

from pipeline.follow.scene import (
    Brief,
    Filter,
    FollowPart,
    FollowPredictionsPart,
    Moment,
    Plane,
    Reading,
    Readings,
    Scene,
    Words,
)
from pipeline.tasks.diffusion.follow.grid import grid, plane
from pipeline.tasks.diffusion.pixels import apart, decode_png, encode_png
from pipeline.tasks.diffusion.rows import DiffusionPrediction


class Line(Struct, frozen=True, kw_only=True):
    """What is read of every line."""

    schema: Literal["prediction_v1"] = "prediction_v1"
    task: Literal["diffusion"] = "diffusion"
    id: str
    label: str | None = None
    judged_label: str | None = None
    error: str | None = None
    sigmas: tuple[float, ...] = ()


class Summary(Brief, frozen=True, kw_only=True):
    """What is kept in memory of every line."""

    label: str | None
    judged_label: str | None
    error: str | None
    num_steps: int


def summarize(line: Line) -> Summary:
    """The line without its numbers."""
    return Summary(
        id=line.id, label=line.label, judged_label=line.judged_label, error=line.error, num_steps=len(line.sigmas)
    )


def num_frames(summary: Any) -> int:
    """The noise level by noise level, then the image; nothing where there is an error."""
    return 0 if summary.error else summary.num_steps + 1


def tell(summary: Any) -> str:
    """A record in one line, for logs."""
    return f"{summary.id}  asked {summary.label}  seen {summary.judged_label}"


def scene(moment: Moment) -> Scene:
    """What the model saw behind the noise by now, the image that it led to, and the real one beside."""
    row: DiffusionPrediction = moment.episode
    is_over = moment.frame >= len(row.sigmas)
    sigma = 0.0 if is_over else row.sigmas[moment.frame]
    is_right = row.label is None or row.label == row.judged_label
    shown = (
        [plane(row.image_png or "", "made", "good" if is_right else "bad")] if is_over else _frame(row, moment.frame)
    )
    if row.real_png:
        shown.append(plane(row.real_png, f"real {row.real_label}", "muted"))
    values = (
        Reading(name="noise", value=sigma, high=row.sigma_max, decimals=3),
        Reading(name="change", value=0.0 if is_over else row.changes[moment.frame], decimals=3),
    )
    readings = [Readings("the way", values)]
    if is_over:
        sure = Reading(name=f"{row.judged_label}", value=row.judged_probability or 0.0, warning=not is_right)
        readings.append(Readings("the judge", (sure,)))
    return Scene(
        frame=moment.frame,
        headline=(row.id, f"asked {row.label}", f"{row.sampler} {row.num_steps}, guidance {row.guidance:g}"),
        picture=grid(shown, (Words(f"noise level {sigma:.3g}", "muted"),)),
        readings=tuple(readings),
    )


def _frame(row: DiffusionPrediction, frame: int) -> list[Plane]:
    """The kept image of the way that is nearest to this step."""
    if row.frames_png is None:
        return []
    frames = apart(decode_png(row.frames_png))
    place = round(frame * (len(frames) - 1) / max(len(row.sigmas) - 1, 1))
    return [Plane(width=1.0, height=1.0, png=base64.b64decode(encode_png(frames[place])), title=(Words("denoised"),))]


def _is_wrong(summary: Any) -> bool:
    return summary.label is not None and summary.label != summary.judged_label


PART = FollowPredictionsPart(
    view=FollowPart(
        scene=scene,
        summary=Summary,
        num_frames=num_frames,
        tell=tell,
        filters=(Filter(key="m", name="mistakes", start=lambda: _is_wrong),),
    ),
    line=Line,
    summarize=summarize,
    unplayed="without an image",
)

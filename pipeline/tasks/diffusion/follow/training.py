"""What `baton follow diffusion` shows of a training: an image of each class, and what the judge takes it for."""

from typing import Any, Literal

from pipeline.follow.scene import Brief, Filter, FollowPart, Moment, Reading, Readings, Scene, Trend, Words, prose
from pipeline.tasks.diffusion.follow.grid import grid, plane
from pipeline.tasks.diffusion.rows import DiffusionEpisode

LEGEND = (
    (Words("each image was made of the same noise at every step", "muted"),),
    (Words("asked", "good"), Words("  the judge agrees   ", "muted"), Words("asked → seen", "bad")),
)


class Summary(Brief, frozen=True, kw_only=True):
    """What is kept in memory of every sample of the file."""

    schema: Literal["episode_v1"] = "episode_v1"
    task: Literal["diffusion"] = "diffusion"
    step: int
    loss: float
    labels: tuple[str, ...]
    num_right: int


def tell(summary: Any) -> str:
    """A sample in one line, for logs."""
    return f"{summary.id}  loss {summary.loss:.4f}  right {summary.num_right} of {len(summary.labels)}"


def scene(moment: Moment) -> Scene:
    """The grid of images, with how sure the judge is of each."""
    row: DiffusionEpisode = moment.episode
    planes, readings = [], []
    for png, label, judged, probability in zip(row.images_png, row.labels, row.judged, row.probabilities, strict=True):
        is_right = label == judged
        tone: Literal["good", "bad"] = "good" if is_right else "bad"
        planes.append(plane(png, label if is_right else f"{label} → {judged}", tone))
        readings.append(Reading(name=f"{label} as {judged}", value=probability, tone=tone, warning=not is_right))
    right = f"{row.num_right} of {len(row.labels)} right"
    return Scene(
        frame=moment.frame,
        headline=(f"step {row.step:,}", f"loss {row.loss:.4f}", right),
        picture=grid(planes, (Words("an image of each class, now", "muted"),)),
        readings=(Readings("the judge", tuple(readings), Words(right, "muted")),),
        notes=(prose(Words("probability of the class that the judge sees", "muted")),),
        trend=Trend("right", tuple(one.num_right / max(len(one.labels), 1) for one in moment.history), 1.0, 2),
        legend=LEGEND,
    )


FILTERS = (Filter(key="m", name="mistakes", start=lambda: lambda one: one.num_right < len(one.labels)),)

PART = FollowPart(scene=scene, summary=Summary, tell=tell, filters=FILTERS)

"""What `baton follow` shows of a training: on a map, where the model says that transmitters are, and where they are."""

from collections.abc import Sequence
from typing import Literal

import numpy as np

from pipeline.follow.scene import (
    Brief,
    FollowPart,
    Moment,
    Outline,
    Plane,
    Reading,
    Readings,
    Scene,
    Tone,
    Trend,
    Words,
)
from pipeline.stats import Floats
from pipeline.tasks.localization import geo
from pipeline.tasks.localization.rows import Degrees, Ellipse, Episode, Prediction, fix_of, place_of

_SHOWN = 0.68  # the ellipse that is drawn
_MARGIN = 0.1  # of the map beyond what must be seen
_TONES: tuple[Tone, ...] = ("hue1", "hue2", "hue3", "hue4", "hue5", "hue6", "hue7")


class Summary(Brief, frozen=True, kw_only=True):
    """What is kept of every sample of the file."""

    schema: Literal["episode_v1"] = "episode_v1"
    task: Literal["localization"] = "localization"
    step: int
    loss: float


def scene(moment: Moment) -> Scene:
    """The fixes of one moment on one map, each in a colour of its own."""
    episode: Episode = moment.episode
    losses = tuple(one.loss for one in moment.history)
    return Scene(
        frame=moment.frame,
        headline=(f"step {episode.step:,}", f"loss {episode.loss:.3f}"),
        picture=map_of(episode.fixes),
        readings=(Readings("error", tuple(map(_reading, episode.fixes, _TONES))),),
        trend=Trend("loss", losses, high=max((0.0, *losses)), decimals=2),
        legend=(
            (Words("•"), Words(f" a fix, and its {_SHOWN:.0%} ellipse", "muted")),
            (Words("◦"), Words(" where it is", "muted")),
            (Words("•", "muted"), Words(" a receiver", "muted")),
        ),
    )


class _Map:
    """Degrees to kilometres from the top left corner of a map that shows ``places``."""

    def __init__(self, places: Sequence[Degrees]) -> None:
        seen = np.array(places, np.float64)
        self.centre = (seen.min(0) + seen.max(0)) / 2
        local = geo.to_local(seen, self.centre) / 1000.0
        margin = _MARGIN * max(*np.ptp(local, axis=0), 1.0)
        self.left, self.top = local.min(0)[0] - margin, local.max(0)[1] + margin
        self.width, self.height = (np.ptp(local, axis=0) + 2 * margin).tolist()

    def points(self, place: Degrees, *beside_km: Floats) -> tuple[tuple[float, float], ...]:
        """A place, and what lies [east, north] of it."""
        at = geo.to_local(place, self.centre) / 1000.0
        return tuple(
            (float(one[0] - self.left), float(self.top - one[1])) for one in (at, *(at + step for step in beside_km))
        )


def map_of(fixes: Sequence[Prediction]) -> Plane:
    """Receivers, truths, fixes and ellipses, north above."""
    heard = [one for row in fixes for one in row.measurements]
    receivers = {one.receiver: place for one in heard if (place := place_of(one)) is not None}
    told = [place for row in fixes for place in (place_of(row), fix_of(row)) if place is not None]
    places = [*receivers.values(), *told]
    if not places:
        return Plane(width=1.0, height=1.0)
    chart = _Map(places)
    outlines = [Outline(points=chart.points(place), kind="point", tone="muted") for place in receivers.values()]
    for row, tone in zip(fixes, _TONES, strict=False):
        fix, truth = fix_of(row), place_of(row)
        if fix is not None:
            outlines.append(Outline(points=chart.points(fix), kind="point", tone=tone))
            shown = [one for one in row.ellipses if one.probability == _SHOWN]
            outlines += [Outline(points=chart.points(fix, *_radii(one)), kind="ellipse", tone=tone) for one in shown]
        if truth is not None:
            outlines.append(Outline(points=chart.points(truth), kind="point", tone=tone, dashed=True))
    size = Words(f"{chart.width:.0f} x {chart.height:.0f} km", "muted")
    return Plane(title=(size,), width=chart.width, height=chart.height, outlines=tuple(outlines))


def _radii(ellipse: Ellipse) -> Floats:
    """The ends of both radii, east and north of the middle in kilometres: [2, 2]."""
    azimuth = np.radians(ellipse.azimuth_deg)
    along = np.array([np.sin(azimuth), np.cos(azimuth)])
    across = np.array([along[1], -along[0]])
    return np.stack([ellipse.semi_major_m * along, ellipse.semi_minor_m * across]) / 1000.0


def _reading(row: Prediction, tone: Tone) -> Reading:
    """How far off a fix is; the bar is full at what 95 in 100 are within."""
    fix, truth = fix_of(row), place_of(row)
    error_km = 0.0 if fix is None or truth is None else float(geo.distance_m(truth, fix)) / 1000.0
    most_km = max((one.semi_major_m / 1000.0 for one in row.ellipses), default=1.0)
    return Reading(name=row.id, value=error_km, high=most_km, unit="km", tone=tone, warning=error_km > most_km)


PART = FollowPart(scene=scene, summary=Summary)

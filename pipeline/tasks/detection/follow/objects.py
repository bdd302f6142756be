"""The objects of a sample of the training as they are shown: what is right, what is wrong, what is missed."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from pipeline.follow.scene import Outline, Reading, Tone
from pipeline.tasks.detection.geometry import corners, to_pixels
from pipeline.tasks.detection.rows import CoordMode, DetectionEpisode, PredictedObject, TrueObject

Verdict = Literal["right", "wrong", "found", "missed"]
AT_IOU = 0.5
TONES: dict[Verdict, Tone] = {"right": "good", "wrong": "bad", "found": "accent", "missed": "warning"}
SIGNS: dict[Verdict, str] = {"right": "✓", "wrong": "✗", "found": "○", "missed": "●"}


@dataclass(frozen=True)
class Judged:
    """An object in pixels of the image, and how it fares: its name ("1" and on: as written, "a" and on: the truth), its
    class, box and corners. ``iou`` is that with its partner, else the best there is."""

    name: str
    desc: str
    box: tuple[float, float, float, float]
    points: tuple[tuple[float, float], ...]
    is_box: bool
    verdict: Verdict
    iou: float

    @property
    def outline(self) -> Outline:
        """What is drawn over the image; of the truth it is dashed."""
        kind: Literal["box", "polygon"] = "box" if self.is_box else "polygon"
        dashed = self.verdict in ("found", "missed")
        return Outline(points=self.points, kind=kind, name=self.name, tone=TONES[self.verdict], dashed=dashed)

    def reading(self, *, latest: bool = False) -> Reading:
        """The overlap as a value by name."""
        sign, tone = f"{self.name} {SIGNS[self.verdict]}", TONES[self.verdict]
        return Reading(name=self.desc, value=self.iou, tone=tone, sign=sign, strong=latest)


def overlap(a: Sequence[float], b: Sequence[float]) -> float:
    """Intersection over union of two boxes [x1, y1, x2, y2]; 0 where both are empty."""
    width, height = min(a[2], b[2]) - max(a[0], b[0]), min(a[3], b[3]) - max(a[1], b[1])
    if width <= 0 or height <= 0:
        return 0.0
    shared = width * height
    return shared / ((a[2] - a[0]) * (a[3] - a[1]) + (b[2] - b[0]) * (b[3] - b[1]) - shared)


def read_objects(episode: DetectionEpisode, mode: CoordMode) -> tuple[list[Judged], list[Judged]]:
    """What was written, in coordinates of ``mode``, and the truth. In the order of the text each object takes the free
    true one of its class that it overlaps most, from IoU 0.5 on."""
    size = episode.width, episode.height
    ious = [
        [overlap(corners(one, mode, *size), corners(other, episode.gt_coord_mode, *size)) for other in episode.gt]
        for one in episode.preds
    ]
    partner: dict[int, int] = {}
    for number, one in enumerate(episode.preds):
        same = (place for place, other in enumerate(episode.gt) if other.desc == one.desc)
        free = [place for place in same if place not in partner.values() and ious[number][place] >= AT_IOU]
        if free:
            partner[number] = max(free, key=lambda place: (ious[number][place], -place))
    preds = []
    for number, one in enumerate(episode.preds):
        iou = ious[number][partner[number]] if number in partner else max(ious[number], default=0.0)
        verdict: Verdict = "right" if number in partner else "wrong"
        preds.append(_judged(str(number + 1), one, mode, episode, (verdict, iou)))
    found, truths = {place: number for number, place in partner.items()}, []
    for place, true in enumerate(episode.gt):
        iou = ious[found[place]][place] if place in found else max((row[place] for row in ious), default=0.0)
        verdict = "found" if place in found else "missed"
        truths.append(_judged(chr(ord("a") + place % 26), true, episode.gt_coord_mode, episode, (verdict, iou)))
    return preds, truths


def _judged(
    name: str,
    one: PredictedObject | TrueObject,
    mode: CoordMode,
    episode: DetectionEpisode,
    fares: tuple[Verdict, float],
) -> Judged:
    box = corners(one, mode, episode.width, episode.height)
    flat = to_pixels(one.poly, mode, episode.width, episode.height) if one.poly else box
    points = tuple(zip(flat[::2], flat[1::2], strict=True))
    return Judged(name, one.desc, box, points, one.poly is None, *fares)

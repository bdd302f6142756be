"""The objects of a sample of the training, as the terminal shows them: what is right, what is wrong, what is missed."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from pipeline.follow.text import BLUE, GREEN, ORANGE, RED, without_controls
from pipeline.tasks.detection.geometry import corners, to_pixels
from pipeline.tasks.detection.rows import CoordMode, DetectionEpisode, PredictedObject, TrueObject

Verdict = Literal["right", "wrong", "found", "missed"]
AT_IOU = 0.5
COLORS: dict[Verdict, str] = {"right": GREEN, "wrong": RED, "found": BLUE, "missed": ORANGE}
SIGNS: dict[Verdict, str] = {"right": "✓", "wrong": "✗", "found": "○", "missed": "●"}


@dataclass(frozen=True)
class Outline:
    """An object in pixels of the image: name ("1" and on: as written, "a" and on: the truth), class, corners of its
    outline (flat), its box, and how it fares. ``iou`` is that with its partner, else the best there is."""

    name: str
    desc: str
    points: list[float]
    box: tuple[float, float, float, float]
    verdict: Verdict
    iou: float
    is_box: bool

    @property
    def color(self) -> str:
        """Colour of its verdict."""
        return COLORS[self.verdict]


def overlap(a: Sequence[float], b: Sequence[float]) -> float:
    """Intersection over union of two boxes [x1, y1, x2, y2]; 0 where both are empty."""
    width, height = min(a[2], b[2]) - max(a[0], b[0]), min(a[3], b[3]) - max(a[1], b[1])
    if width <= 0 or height <= 0:
        return 0.0
    shared = width * height
    return shared / ((a[2] - a[0]) * (a[3] - a[1]) + (b[2] - b[0]) * (b[3] - b[1]) - shared)


def read_outlines(episode: DetectionEpisode) -> tuple[list[Outline], list[Outline]]:
    """What was written, and the truth. In the order of the text each object takes the free true one of its class that
    it overlaps most, from IoU 0.5 on."""
    size = episode.width, episode.height
    written = [corners(one, "norm1000", *size) for one in episode.preds]
    true = [corners(one, episode.gt_coord_mode, *size) for one in episode.gt]
    partner: dict[int, int] = {}
    for number, (one, box) in enumerate(zip(episode.preds, written, strict=True)):
        free = [
            (overlap(box, other), -place)
            for place, other in enumerate(true)
            if place not in partner.values() and episode.gt[place].desc == one.desc
        ]
        if free and max(free)[0] >= AT_IOU:
            partner[number] = -max(free)[1]
    found = {place: number for number, place in partner.items()}
    preds = []
    for number, one in enumerate(episode.preds):
        best = max((overlap(written[number], other) for other in true), default=0.0)
        iou = overlap(written[number], true[partner[number]]) if number in partner else best
        verdict: Verdict = "right" if number in partner else "wrong"
        preds.append(_outline(str(number + 1), one, "norm1000", episode, (verdict, iou)))
    truths = []
    for place, true_one in enumerate(episode.gt):
        best = max((overlap(box, true[place]) for box in written), default=0.0)
        iou = overlap(written[found[place]], true[place]) if place in found else best
        verdict = "found" if place in found else "missed"
        truths.append(_outline(chr(ord("a") + place % 26), true_one, episode.gt_coord_mode, episode, (verdict, iou)))
    return preds, truths


def _outline(
    name: str,
    one: PredictedObject | TrueObject,
    mode: CoordMode,
    episode: DetectionEpisode,
    fares: tuple[Verdict, float],
) -> Outline:
    box = corners(one, mode, episode.width, episode.height)
    x1, y1, x2, y2 = box
    flat = to_pixels(one.poly, mode, episode.width, episode.height) if one.poly else [x1, y1, x2, y1, x2, y2, x1, y2]
    return Outline(name, without_controls(one.desc), flat, box, fares[0], fares[1], one.poly is None)

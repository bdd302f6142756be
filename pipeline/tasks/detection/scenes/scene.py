"""Scenes with ground truth: coloured shapes over photographs. What the small model learns from, and is evaluated on.

A scene is a function of (spec, split, seed, index) alone: drawing scene 7 needs no other scene. The splits never share
a stream of random numbers nor a pixel of a photograph (see `photographs`). Ground truth is the geometry that was drawn,
whole: the part of a shape that another one hides belongs to it; the part outside the image does not.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from random import Random

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw

from pipeline.tasks.detection.recipe import REFERENCE_SIDE, Scenes, Split
from pipeline.tasks.detection.rows import Box, TrueObject
from pipeline.tasks.detection.scenes import shapes
from pipeline.tasks.detection.scenes.photographs import crop, photograph, vary

NUM_TRIES = 30  # positions tried for an object before it is left out
OUTSIDE = 0.15  # an object's middle is at most half its size less this share of it beyond the image's edge
SMALLEST_CONTRAST = 70.0  # least distance in RGB of a shape from the mean of what it is drawn on (0 to 441)
SUPERSAMPLING = 4  # lines of a shape's mask to a pixel, for soft edges


@dataclass(frozen=True)
class DrawnShape:
    """One shape: its class, its outline in pixels within the image ([N, 2]) and the box around that."""

    desc: str
    outline: shapes.Outline
    box: Box

    def true_object(self, *, is_box: bool) -> TrueObject:
        """The shape as a row has it, by its box or by its outline."""
        if is_box:
            return TrueObject(desc=self.desc, bbox_2d=self.box)
        return TrueObject(desc=self.desc, poly=[value for point in self.outline for value in point])


@dataclass(frozen=True)
class Scene:
    """One image with its truth. ``image`` is uint8 [height, width, 3], RGB; ``objects`` are in pixels.

    ``objects`` are written with box or polygon as the spec's ``geometry`` says; ``drawn`` (same order) has both.
    ``photograph`` names the background.
    """

    image: NDArray[np.uint8]
    objects: list[TrueObject]
    drawn: list[DrawnShape]
    photograph: str


def make_scene(spec: Scenes, split: Split, seed: int, index: int) -> Scene:
    """The scene ``index`` of a split. Raises UserError when the photographs are not installed."""
    rng = Random(f"detection {split} {seed} {index}")  # from sha512 of the text: neighbours share nothing
    size = rng.choice(spec.image_sizes)
    name, canvas = _background(spec, split, size, rng)
    drawn: list[DrawnShape] = []
    fewest, most = spec.num_objects
    for _ in range(rng.randint(fewest, most)):
        placed = _place(spec, size, [shape.box for shape in drawn], rng)
        if placed is not None:
            _paint(canvas, placed, rng)
            drawn.append(placed)
    boxes = [spec.geometry == "bbox" or (spec.geometry == "both" and rng.random() < 0.5) for _ in drawn]
    objects = [shape.true_object(is_box=is_box) for shape, is_box in zip(drawn, boxes, strict=True)]
    return Scene(image=np.asarray(canvas), objects=objects, drawn=drawn, photograph=name)


def make_batch(
    spec: Scenes, split: Split, seed: int, indices: Sequence[int]
) -> tuple[NDArray[np.uint8], list[list[DrawnShape]]]:
    """Images [B, H, W, 3] and what is drawn on each, of the scenes ``indices``.

    Raises ValueError when the spec has several image sizes: a batch has one.
    """
    if len(set(spec.image_sizes)) != 1:
        raise ValueError(f"a batch has one image size, the spec has {spec.image_sizes}")
    ((width, height),) = set(spec.image_sizes)
    images = np.empty((len(indices), height, width, 3), np.uint8)  # first, so that a batch too large is refused at once
    drawn = []
    for place, index in enumerate(indices):
        scene = make_scene(spec, split, seed, index)
        images[place] = scene.image
        drawn.append(scene.drawn)
    return images, drawn


def _background(spec: Scenes, split: Split, size: tuple[int, int], rng: Random) -> tuple[str, Image.Image]:
    """A part of one of the split's photographs. Training also sees them in other light, and mixed with one another."""
    names = spec.unseen_photographs if split == "unseen" else spec.photographs
    name = rng.choice(names)
    canvas = crop(photograph(name, split), size, rng)
    if split == "train":
        if rng.random() < spec.mixed_share:
            second = crop(photograph(rng.choice(names), split), size, rng)
            canvas = Image.blend(canvas, second, rng.uniform(0.3, 0.7))
        if rng.random() < spec.varied_share:
            canvas = vary(canvas, rng)
    return name, canvas


def _place(spec: Scenes, size: tuple[int, int], taken: list[Box], rng: Random) -> DrawnShape | None:
    """A shape that overlaps none of the boxes by more than the spec allows; None where no place was found."""
    width, height = size
    scale = min(size) / REFERENCE_SIDE
    shape = rng.choice(spec.shapes)
    for _ in range(NUM_TRIES):
        extent = scale * rng.uniform(*spec.object_size)
        outline = shapes.outline(shape, extent, rng.uniform(0.0, 6.283185307179586))
        margin = extent * (0.5 - OUTSIDE)
        x, y = rng.uniform(margin, width - margin), rng.uniform(margin, height - margin)
        visible = shapes.rounded(shapes.clipped(shapes.moved(outline, x, y), width, height))
        box = shapes.bounds(visible)
        if all(shapes.overlap(box, other) <= spec.max_overlap for other in taken):
            return DrawnShape(desc=shape, outline=visible, box=box)
    return None


def _paint(canvas: Image.Image, shape: DrawnShape, rng: Random) -> None:
    """Draw a shape in one colour that stands out from what is there."""
    x1, y1, x2, y2 = shape.box
    left, top, right, bottom = int(x1), int(y1), min(int(x2) + 1, canvas.width), min(int(y2) + 1, canvas.height)
    mean = canvas.resize((1, 1), Image.Resampling.BOX, box=(left, top, right, bottom)).tobytes()
    colour = _colour(mean, rng)
    canvas.paste(colour, (left, top, right, bottom), coverage(shape.outline, (left, top, right, bottom)))


def coverage(outline: shapes.Outline, part: tuple[int, int, int, int]) -> Image.Image:
    """How much of each pixel of ``part`` (left, top, right, bottom) a polygon covers: 0 to 255."""
    left, top, right, bottom = part
    mask = Image.new("L", ((right - left) * SUPERSAMPLING, (bottom - top) * SUPERSAMPLING))
    # Pillow counts from the middle of the first pixel, and fills what an edge touches
    corners = [((x - left) * SUPERSAMPLING - 0.5, (y - top) * SUPERSAMPLING - 0.5) for x, y in outline]
    ImageDraw.Draw(mask).polygon(corners, fill=255)
    return mask.reduce(SUPERSAMPLING)


def _colour(behind: bytes, rng: Random) -> tuple[int, int, int]:
    """A random colour that differs from ``behind`` by `SMALLEST_CONTRAST` or more."""
    while True:
        colour = (rng.randrange(256), rng.randrange(256), rng.randrange(256))
        if sum((a - b) ** 2 for a, b in zip(colour, behind, strict=True)) >= SMALLEST_CONTRAST**2:
            return colour

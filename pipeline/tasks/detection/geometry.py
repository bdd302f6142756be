"""Coordinates of rows to pixels, and the boxes, areas and segmentations that objects stand for in COCO's terms.

Pixels: x_px = k * width / 999 and y_px = k * height / 999 for rows in "norm1000"; nothing is inferred from values. What
an object says under ``coco`` is taken as it is, wherever it is there.
"""

from collections.abc import Sequence
from typing import Any

from pipeline.errors import UserError
from pipeline.tasks.detection.rows import Box, CocoFields, CoordMode, PredictedObject, Rle, TrueObject

NORM_MAX = 999  # the coordinate of the far edges in "norm1000"

Segmentation = list[list[float]] | dict[str, Any]


def to_pixels(coordinates: Sequence[float], mode: CoordMode, width: int, height: int) -> list[float]:
    """Flat x, y, x, y, ... of a row in its ``coord_mode`` as pixels."""
    if mode == "pixel":
        return [float(value) for value in coordinates]
    sizes = (width, height)
    return [value * sizes[i % 2] / NORM_MAX for i, value in enumerate(coordinates)]


def box_of(one: TrueObject | PredictedObject, mode: CoordMode, width: int, height: int) -> Box:
    """x, y, width, height in pixels: of the box, or of the extent of the polygon or mask."""
    if one.coco is not None:
        given = coco_box(one.coco, width, height)
        if given is not None:
            return given
    pixels = to_pixels(one.bbox_2d or one.poly or (), mode, width, height)
    left, top = min(pixels[::2]), min(pixels[1::2])
    return left, top, max(pixels[::2]) - left, max(pixels[1::2]) - top


def corners(one: TrueObject | PredictedObject, mode: CoordMode, width: int, height: int) -> Box:
    """Left, top, right, bottom in pixels: of the box, or of the extent of the polygon or mask."""
    x, y, across, down = box_of(one, mode, width, height)
    return x, y, x + across, y + down


def coco_box(coco: CocoFields, width: int, height: int) -> Box | None:
    """The box as x, y, width, height: the given one, else the extent of the given mask as pycocotools measures it."""
    if coco.bbox is not None:
        return coco.bbox
    if not coco.segmentation:
        return None
    from hotcoco import mask  # here: boxes need no masks, and loading it takes time

    x, y, across, down = mask.to_bbox(encode(segmentation_of(coco.segmentation), width, height)).tolist()
    return x, y, across, down


def polygon_area(pixels: Sequence[float]) -> float:
    """Area inside a flat polygon, by the shoelace formula: what COCO files hold for one."""
    xs, ys = pixels[::2], pixels[1::2]
    return abs(sum(xs[i - 1] * ys[i] - xs[i] * ys[i - 1] for i in range(len(xs)))) / 2.0


def true_area(one: TrueObject, mode: CoordMode, width: int, height: int) -> float:
    """Area in square pixels by which a true object is small, medium or large: the given one, else that of its mask,
    its polygon or its box."""
    if one.coco is not None and one.coco.area is not None:
        return one.coco.area
    if one.coco is not None and one.coco.segmentation:
        return mask_area(one.coco.segmentation, width, height)
    if one.poly is not None:
        return polygon_area(to_pixels(one.poly, mode, width, height))
    _, _, across, down = box_of(one, mode, width, height)
    return across * down


def predicted_area(one: PredictedObject, mode: CoordMode, width: int, height: int) -> float:
    """Area in square pixels of a prediction: of its box, or of the given mask where only that was given.

    As `COCO.loadRes` of pycocotools sets it, whatever the file says. It decides only whether a false prediction is
    left out of the figures for small, medium and large objects.
    """
    if one.coco is not None and one.coco.bbox is None and one.coco.segmentation:
        return mask_area(one.coco.segmentation, width, height)
    _, _, across, down = box_of(one, mode, width, height)
    return across * down


def mask_area(segmentation: list[list[float]] | Rle, width: int, height: int) -> float:
    """Pixels that a COCO segmentation covers."""
    from hotcoco import mask

    return float(mask.area(encode(segmentation_of(segmentation), width, height)))


def segmentation_of(given: list[list[float]] | Rle) -> Segmentation:
    """A segmentation as the mask library takes it."""
    return {"size": list(given.size), "counts": given.counts} if isinstance(given, Rle) else given


def segmentation(one: TrueObject | PredictedObject, mode: CoordMode, width: int, height: int) -> Segmentation:
    """What stands for an object where masks are compared: the given mask, its polygon, else its box as a rectangle."""
    if one.coco is not None and one.coco.segmentation:
        return segmentation_of(one.coco.segmentation)
    if one.poly is not None:
        return [to_pixels(one.poly, mode, width, height)]
    left, top, right, bottom = corners(one, mode, width, height)
    return [[left, top, left, bottom, right, bottom, right, top]]


def encode(given: Segmentation, width: int, height: int) -> dict[str, Any]:
    """A run-length encoded mask of ``height`` x ``width`` pixels. Raises UserError for runs that are none."""
    from hotcoco import mask

    try:
        if isinstance(given, dict):
            encoded: dict[str, Any] = mask.fr_py_objects(given, height, width)
            return encoded
        return mask.merge(mask.fr_py_objects(given, height, width))
    except (ValueError, OverflowError) as error:
        remedy = "convert the COCO file again: its masks are checked then"
        raise UserError(f"a segmentation is no mask: {error}", where="coco.segmentation", remedy=remedy) from None

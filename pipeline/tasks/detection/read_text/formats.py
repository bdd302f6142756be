"""How families of models write objects: their keys or tokens, the order of the four numbers and their grid.

A family is a row of `PRESETS`. docs/model-texts.md names the page on which each family publishes its form.
"""

import math
from typing import Literal

from msgspec import Struct

Axes = Literal["xyxy", "yxyx", "cxcywh", "xywh"]
SwappedCorners = Literal["drop", "order"]
Preset = Literal[
    "baton", "qwen3-vl", "qwen2.5-vl", "qwen2-vl", "qwen-vl", "gemini", "glm-v", "internvl", "deepseek-vl2",
    "florence", "paligemma", "kosmos-2", "molmo",
]  # fmt: skip
Form = Literal["ref_box", "ref_det", "qwen_tokens", "qwen_tags", "loc_behind", "loc_before", "patches", "points"]


class TextFormat(Struct, frozen=True, kw_only=True):
    """What the texts of one family of models look like; the defaults are the project's own form.

    In JSON, a label stands under ``desc_key``, a box under ``box_key``, a polygon under ``poly_key`` (None: the family
    writes none); ``has_points``: it may write points, which are no objects. ``form`` names the tokens of families that
    write no JSON. ``grid`` is the number that stands for the right and the lower edge, or "pixels": those of the image
    as the model saw it. ``largest`` is the largest number that is written (None: the grid). ``is_bin``: a number names
    one of so many bins, and stands for its middle. ``is_whole``: no other numbers than whole ones are written.

    The model saw the image with sides that are multiples of ``image_multiple`` and with ``image_min_pixels`` to
    ``image_max_pixels`` in all, in its proportions (see `seen_size`); 0: as it is stored.
    """

    desc_key: str = "desc"
    box_key: str = "bbox_2d"
    poly_key: str | None = "poly"
    has_points: bool = False
    form: Form | None = None
    axes: Axes = "xyxy"
    grid: int | Literal["pixels"] = 999
    largest: int | None = None
    is_bin: bool = False
    is_whole: bool = False
    swapped_corners: SwappedCorners = "drop"
    image_multiple: int = 0
    image_min_pixels: int = 0
    image_max_pixels: int = 0


DEFAULT = TextFormat()


def _json(**facts: object) -> TextFormat:
    """A family that writes JSON with whole numbers, labels under ``label``, boxes under ``bbox_2d``."""
    shared: dict[str, object] = {"desc_key": "label", "poly_key": None, "has_points": True, "is_whole": True}
    return TextFormat(**(shared | facts))  # type: ignore[arg-type]  # the names and types of the table below


PRESETS: dict[Preset, TextFormat] = {
    "baton": DEFAULT,
    "qwen3-vl": _json(grid=1000),
    # 28: patches of 14 pixels, two by two; the least and the most pixels of the family's preprocessor_config.json.
    "qwen2.5-vl": _json(grid="pixels", image_multiple=28, image_min_pixels=3136, image_max_pixels=12_845_056),
    "qwen2-vl": TextFormat(form="qwen_tokens", grid=1000, largest=999, is_whole=True),
    "qwen-vl": TextFormat(form="qwen_tags", grid=1000, largest=999, is_whole=True),
    "gemini": _json(box_key="box_2d", axes="yxyx", grid=1000),
    "glm-v": _json(grid=1000),
    "internvl": TextFormat(form="ref_box", grid=1000, is_whole=True),
    "deepseek-vl2": TextFormat(form="ref_det", grid=999, is_whole=True),
    "florence": TextFormat(form="loc_behind", grid=1000, largest=999, is_bin=True, is_whole=True),
    "paligemma": TextFormat(form="loc_before", axes="yxyx", grid=1024, largest=1023, is_whole=True),
    "kosmos-2": TextFormat(form="patches", grid=1),
    "molmo": TextFormat(form="points", grid=100),
}


def seen_size(written: TextFormat, width: int, height: int) -> tuple[float, float]:
    """Width and height of an image of ``width`` by ``height`` pixels as the model sees it.

    As `smart_resize` of the Qwen-VL family does it: sides are rounded to multiples, and where the area is then too
    large or too small, the stored sides are scaled to the limit and rounded down or up to multiples.
    """
    multiple, most = written.image_multiple, written.image_max_pixels
    if not multiple:
        return width, height
    sides = [round(side / multiple) * multiple for side in (width, height)]
    area, least = sides[0] * sides[1], max(written.image_min_pixels, 1)
    if most and area > most:
        shrink = math.sqrt(width * height / most)
        sides = [max(1, math.floor(side / shrink / multiple)) * multiple for side in (width, height)]
    elif area < least:
        grow = math.sqrt(least / (width * height))
        sides = [math.ceil(side * grow / multiple) * multiple for side in (width, height)]
    return sides[0], sides[1]

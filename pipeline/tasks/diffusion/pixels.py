"""Images as arrays, as PNG files in a row, and as the numbers that networks see."""

import base64
import io
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from pipeline.errors import UserError

Pixels = NDArray[np.uint8]


def encode_png(pixels: Pixels) -> str:
    """An image uint8 [H, W, 1 or 3] as base64 of a PNG file, whose bytes, not pixels, depend on Pillow's version."""
    file = io.BytesIO()
    Image.fromarray(pixels[:, :, 0] if pixels.shape[2] == 1 else pixels).save(file, "PNG", optimize=True)
    return base64.b64encode(file.getvalue()).decode("ascii")


def decode_png(text: str, size: tuple[int, int] | None = None) -> Pixels:
    """What `encode_png` was given: uint8 [H, W, 1 or 3]; with ``size``, of so many pixels in width and height.

    Raises UserError for anything else, before what is too large is decoded.
    """
    try:
        image = Image.open(io.BytesIO(base64.b64decode(text, validate=True)), formats=("PNG",))
        if image.mode not in ("L", "RGB") or size not in (None, image.size):
            raise ValueError(f"it has the mode {image.mode} and {image.size[0]} x {image.size[1]} pixels")
        pixels = np.asarray(image)
    except Exception as error:  # decoders raise what they like on bytes that are no image
        what = f"a row's picture is no PNG file of the expected size, grey or RGB, in base64: {error}"
        raise UserError(what, remedy="leave it out, or write it anew") from None
    return pixels[:, :, None] if pixels.ndim == 2 else pixels


def to_values(pixels: Pixels) -> NDArray[np.float32]:
    """uint8 [..., H, W, C] to float32 [..., C, H, W], 0 to -1 and 255 to 1."""
    return np.moveaxis(pixels, -1, -3).astype(np.float32) / np.float32(127.5) - np.float32(1.0)


def to_pixels(values: NDArray[np.floating[Any]]) -> Pixels:
    """The reverse of `to_values`: rounded to the nearest, values outside of -1 to 1 cut off."""
    scaled = np.clip(np.rint((values + 1.0) * 127.5), 0, 255)
    return np.ascontiguousarray(np.moveaxis(scaled, -3, -1)).astype(np.uint8)


def beside(images: Sequence[Pixels]) -> Pixels:
    """Images [H, W, C] of one size beside each other: [H, N W, C]."""
    return np.concatenate(images, axis=1)


def apart(strip: Pixels) -> list[Pixels]:
    """The square images that stand `beside` each other."""
    return np.split(strip, strip.shape[1] // strip.shape[0], axis=1)

"""Pixels of any kind as the 8 bits a channel that models see: scaled by their range, or refused; never cut off."""

import numpy as np
from numpy.typing import NDArray
from PIL import Image

_EIGHT_BITS = ("1", "L", "P", "RGB", "RGBA", "RGBX", "RGBa", "LA", "PA", "CMYK", "YCbCr", "LAB", "HSV")
_BITS_PER_SAMPLE, _PHOTOMETRIC, _SAMPLE_FORMAT = 258, 262, 339  # tags of TIFF
_WHITE_IS_ZERO, _SIGNED = 0, 2


class UnknownRange(Exception):
    """Pixels of which nobody says what black and white are."""


def as_rgb(image: Image.Image) -> Image.Image:
    """The image in mode RGB. Transparency is dropped.

    16 bits are divided by 257 and rounded, fewer bits of a TIFF file by their own range; floats are taken from 0 to 1.
    Raises UnknownRange for floats beyond that, and for signed and 32-bit integers.
    """
    tags = getattr(image, "tag_v2", {})
    bits = tags.get(_BITS_PER_SAMPLE, (16,))[0]
    if _SIGNED in tags.get(_SAMPLE_FORMAT, ()) or (image.mode == "I" and image.format == "TIFF"):
        raise UnknownRange(f"its pixels are integers of {bits} bits {_range(np.asarray(image))}")
    if is_plain(image):
        return image.convert("RGB")
    values = np.asarray(image)
    if image.mode == "F":
        low, high = 0.0, 1.0
    elif image.mode.startswith("I"):  # of PNG and PPM, whose own range PIL has brought to 16 bits
        low, high = 0.0, 2.0**bits - 1.0
    else:
        raise UnknownRange(f"its pixels are of mode {image.mode}")
    if values.size and not (low <= values.min() and values.max() <= high):  # so for NaN
        kind = "floats" if image.mode == "F" else "integers"
        raise UnknownRange(f"its pixels are {kind} {_range(values)}, and {low:g} to {high:g} is what can be scaled")
    scaled = np.rint(values * (255.0 / high)).astype(np.uint8)
    if image.format == "TIFF" and tags.get(_PHOTOMETRIC) == _WHITE_IS_ZERO:
        scaled = 255 - scaled
    return Image.fromarray(scaled).convert("RGB")


def is_plain(image: Image.Image) -> bool:
    """Whether PIL has 8 bits a channel of it, or fewer."""
    return image.mode in _EIGHT_BITS


def _range(values: NDArray[np.generic]) -> str:
    return f"from {values.min():g} to {values.max():g}" if values.size else "without any value"

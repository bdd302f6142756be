"""Images as PNG files: one by one, and many on a sheet, from which a page shows each without asking for it."""

import base64
from io import BytesIO
from math import isqrt
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from pipeline.errors import UserError

MAX_SIDE = 4096  # pixels: larger ones some phones do not unpack
MAX_PER_SHEET = 4096


def png(image: NDArray[Any]) -> bytes:
    """A PNG file of uint8 [H, W, C] with 1 or 3 channels."""
    file = BytesIO()
    Image.fromarray(np.ascontiguousarray(image[..., 0] if image.shape[2] == 1 else image)).save(file, "png")
    return file.getvalue()


def png_text(image: NDArray[Any] | None) -> str | None:
    """`png` in base64; None of None."""
    return None if image is None else base64.b64encode(png(image)).decode()


def columns_of_sheet(height: int, width: int) -> int:
    """How many images lie beside each other, and at most below each other, on a sheet."""
    return max(1, min(isqrt(MAX_PER_SHEET), MAX_SIDE // max(height, width)))


def sheet(images: NDArray[np.uint8], number: int) -> bytes:
    """Sheet ``number`` of images [N, H, W, C] as a PNG file, row by row. Raises UserError: there are not so many."""
    _, height, width, channels = images.shape
    columns = columns_of_sheet(height, width)
    some = images[number * columns**2 : (number + 1) * columns**2]
    if not len(some):
        raise UserError(f"there is no sheet {number}")
    rows = -(-len(some) // columns)
    cells = np.zeros((rows * columns, height, width, channels), np.uint8)
    cells[: len(some)] = some
    grid = cells.reshape(rows, columns, height, width, channels).swapaxes(1, 2)
    return png(grid.reshape(rows * height, columns * width, channels))

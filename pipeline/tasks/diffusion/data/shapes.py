"""Images whose factors are known: one shape in one colour at one place, on dark ground."""

import numpy as np
from numpy.typing import NDArray

from pipeline.tasks.diffusion.pixels import Pixels
from pipeline.tasks.diffusion.recipe import Factor

SHAPES = ("disc", "square", "triangle", "cross")
PALETTE: dict[str, tuple[int, int, int]] = {
    "red": (230, 60, 50),
    "green": (60, 190, 80),
    "blue": (60, 100, 235),
    "yellow": (240, 210, 60),
    "magenta": (215, 75, 200),
    "white": (235, 235, 235),
}
PLACES = ("top left", "top right", "bottom left", "bottom right")
FACTORS: dict[Factor, tuple[str, ...]] = {"shape": SHAPES, "colour": tuple(PALETTE), "place": PLACES}
GROUND = 24.0  # of 255
_FINE = 4  # samples along a side of a pixel
_CENTRES = (0.31, 0.69)  # of the image, left and right, top and bottom
_JITTER = 0.04  # of the image, about the centres
_RADII = (0.18, 0.26)  # of the image

Ints = NDArray[np.int64]
Floats = NDArray[np.float64]


def draw_shapes(num: int, size: int, generator: np.random.Generator) -> tuple[Pixels, dict[Factor, Ints]]:
    """Images uint8 [num, size, size, 3] and what each shows, numbers int64 [num] into the values of `FACTORS`, which
    are drawn independently of each other."""
    factors = {name: generator.integers(0, len(values), num) for name, values in FACTORS.items()}
    x = np.take(_CENTRES, factors["place"] % 2) + generator.uniform(-_JITTER, _JITTER, num)
    y = np.take(_CENTRES, factors["place"] // 2) + generator.uniform(-_JITTER, _JITTER, num)
    radius = generator.uniform(*_RADII, num)
    light = generator.uniform(0.85, 1.0, num)
    colours = np.array(list(PALETTE.values()), np.float64)[factors["colour"]] * light[:, None]
    cover = np.stack([_cover(size, *one) for one in zip(factors["shape"], x, y, radius, strict=True)])[..., None]
    return np.rint(cover * colours[:, None, None] + (1.0 - cover) * GROUND).astype(np.uint8), factors


def _cover(size: int, shape: int, x: float, y: float, radius: float) -> Floats:
    """How much of each pixel lies in the shape: [size, size] from 0 to 1."""
    places = (np.arange(size * _FINE) + 0.5) / (size * _FINE)
    across, down = (places[None, :] - x) / radius, (places[:, None] - y) / radius
    inside = _is_inside(SHAPES[shape], *np.broadcast_arrays(across, down))
    cover: Floats = inside.reshape(size, _FINE, size, _FINE).mean(axis=(1, 3))
    return cover


def _is_inside(shape: str, x: Floats, y: Floats) -> NDArray[np.bool_]:
    """Which points lie in a shape of radius 1 around 0; y down."""
    if shape == "disc":
        return x**2 + y**2 <= 1.0
    if shape == "square":
        return np.maximum(abs(x), abs(y)) <= 0.86
    if shape == "triangle":
        return (y <= 0.8) & (2.0 * abs(x) - 1.2 <= y)
    return np.minimum(abs(x), abs(y)) <= 0.34 * (np.maximum(abs(x), abs(y)) <= 1.0)

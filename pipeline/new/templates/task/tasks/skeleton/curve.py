"""The data: points on the curve. A task that reads files would read them here."""

import numpy as np
from numpy.typing import NDArray

Points = NDArray[np.float32]


def draw_points(num: int, generator: np.random.Generator) -> tuple[Points, Points]:
    """Points (x, y) with x from -1 to 1: float32 [num] each."""
    x = generator.uniform(-1.0, 1.0, num)
    return x.astype(np.float32), np.sin(3.0 * x).astype(np.float32)

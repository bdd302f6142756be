"""Images as they might have been: other colours, other light, a shadow, grain, less sharp. No torch.

The shapes stay where they are. What a network has never seen - a new texture, another camera - is closer to what it
learned from when the training images differ in all of this.
"""

import numpy as np
from numpy.typing import NDArray

_SHADE_POINTS = 4  # a shadow or a tint varies over the image like a grid of so many points a side
_MOST_NOISE = 18.0  # of 255, standard deviation


def augment(images: NDArray[np.uint8], share: float, generator: np.random.Generator) -> NDArray[np.uint8]:
    """A ``share`` of the images uint8 [B, S, S, 3] changed, the others as they are."""
    changed = images.copy()
    for image in changed:
        if generator.random() < share:
            image[:] = _change(image, generator)
    return changed


def _change(image: NDArray[np.uint8], generator: np.random.Generator) -> NDArray[np.uint8]:
    x = image.astype(np.float32)
    if generator.random() < 0.5:
        x = x[..., generator.permutation(3)]
    if generator.random() < 0.15:
        x = 255.0 - x
    if generator.random() < 0.15:
        x = np.broadcast_to(x.mean(2, keepdims=True), x.shape)
    if generator.random() < 0.3:
        x = _blurred(x)
    x = (x - 128.0) * np.float32(generator.uniform(0.6, 1.4)) + np.float32(128.0 + generator.uniform(-40.0, 40.0))
    if generator.random() < 0.5:
        x = x + _shade(len(image), generator)
    if generator.random() < 0.5:
        grain = generator.standard_normal(x.shape[: 2 + int(generator.random() < 0.5)], np.float32)
        x = x + generator.uniform(0.0, _MOST_NOISE) * (grain if grain.ndim == 3 else grain[..., None])
    return np.clip(np.rint(x), 0, 255).astype(np.uint8)


def _blurred(x: NDArray[np.float32]) -> NDArray[np.float32]:
    """Half the pixel, a quarter of each neighbour, along both sides."""
    for axis in (0, 1):
        before, after = np.roll(x, 1, axis), np.roll(x, -1, axis)
        first, last = ((slice(None),) * axis + (edge,) for edge in (0, -1))
        before[first], after[last] = x[first], x[last]
        x = 0.5 * x + 0.25 * (before + after)
    return x


def _shade(size: int, generator: np.random.Generator) -> NDArray[np.float32]:
    """A smooth change of light or colour, float32 [S, S, 3]."""
    points = generator.normal(0.0, generator.uniform(5.0, 30.0), (_SHADE_POINTS, _SHADE_POINTS, 3))
    places = np.linspace(0, _SHADE_POINTS - 1, size)
    low = np.minimum(places.astype(np.int64), _SHADE_POINTS - 2)
    part = (places - low)[:, None]
    rows = points[low] * (1 - part[..., None]) + points[low + 1] * part[..., None]
    shade: NDArray[np.float32] = (rows[:, low] * (1 - part) + rows[:, low + 1] * part).astype(np.float32)
    return shade

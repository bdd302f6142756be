"""The photographs behind the scenes: those that ship inside scikit-learn and scikit-image, cut into disjoint parts.

They are found where pip put them, without importing either package, and checked by hash, because a scene is a function
of its seed alone only as long as the photographs stay the same. Each trained photograph is cut into three upright
strips, one a split, so that no pixel of a held-out scene was ever in a training scene; the unseen ones are used whole
and nowhere else.
"""

import hashlib
import importlib.util
from functools import lru_cache
from pathlib import Path
from random import Random

import numpy as np
from PIL import Image

from pipeline.errors import UserError
from pipeline.tasks.detection.recipe import Photograph, Split

SOURCES: dict[Photograph, tuple[str, str, str]] = {  # package, file within it, first 16 digits of its sha256
    "china": ("sklearn", "datasets/images/china.jpg", "8378025ad2519d64"),
    "flower": ("sklearn", "datasets/images/flower.jpg", "a77f6ec41e353afd"),
    "astronaut": ("skimage", "data/astronaut.png", "88431cd9653ccd53"),
    "brick": ("skimage", "data/brick.png", "7966caf324f6ba84"),
    "camera": ("skimage", "data/camera.png", "b0793d2adda0fa6a"),
    "chelsea": ("skimage", "data/chelsea.png", "596aa1e7cb875eb7"),
    "coffee": ("skimage", "data/coffee.png", "cc02f8ca188b167c"),
    "retina": ("skimage", "data/retina.jpg", "38a07f36f27f095e"),
    "grass": ("skimage", "data/grass.png", "b6b6022426b38936"),
    "gravel": ("skimage", "data/gravel.png", "c48615b451bf1e60"),
    "hubble": ("skimage", "data/hubble_deep_field.jpg", "3a19c5dd8a927a93"),
    "ihc": ("skimage", "data/ihc.png", "f8dd1aa387ddd1f4"),
    "rocket": ("skimage", "data/rocket.jpg", "c2dd0de7c538df8d"),
    "text": ("skimage", "data/text.png", "bd84aa3a6e3c9887"),
}
DISTRIBUTIONS = {"sklearn": "scikit-learn", "skimage": "scikit-image"}

# Where the strips of a trained photograph lie, as shares of its width.
STRIPS: dict[Split, tuple[float, float]] = {"train": (0.0, 0.6), "monitor": (0.6, 0.74), "heldout": (0.74, 1.0)}

# A background shows this many pixels of the photograph for each of its own, along a side.
ZOOM = (0.7, 1.6)


@lru_cache(maxsize=64)
def photograph(name: Photograph, split: Split) -> Image.Image:
    """The part of the photograph ``name`` that belongs to ``split``, RGB.

    Raises UserError when the package that brings it is missing, or brings another picture.
    """
    package, inside, digest = SOURCES[name]
    path = package_folder(package) / inside
    if not path.is_file():
        raise _not_there(package, f"{DISTRIBUTIONS[package]} is installed without its photograph {inside}")
    data = path.read_bytes()
    if hashlib.sha256(data).hexdigest()[: len(digest)] != digest:
        raise _not_there(package, f"the photograph {path} is another than the scenes were made with")
    with Image.open(path) as picture:
        whole = picture.convert("RGB")
    if split == "unseen":
        return whole
    start, stop = STRIPS[split]
    return whole.crop((round(start * whole.width), 0, round(stop * whole.width), whole.height))


def package_folder(package: str) -> Path:
    """Where an installed package lies. Raises UserError when it is not installed."""
    spec = importlib.util.find_spec(package)
    if spec is None or spec.origin is None:
        raise _not_there(package, f"the scenes need the photographs of {DISTRIBUTIONS[package]}, which is missing")
    return Path(spec.origin).parent


def _not_there(package: str, what: str) -> UserError:
    return UserError(what, remedy=f"pip install 'baton-pipeline[photographs]' ({DISTRIBUTIONS[package]})")


def crop(picture: Image.Image, size: tuple[int, int], rng: Random) -> Image.Image:
    """A random part of ``picture`` at a random zoom, shown at ``size`` (width, height); RGB."""
    width, height = size
    zoom = rng.uniform(*ZOOM)
    zoom = min(zoom, picture.width / width, picture.height / height)
    source_width, source_height = zoom * width, zoom * height
    left = rng.random() * (picture.width - source_width)
    top = rng.random() * (picture.height - source_height)
    box = (left, top, left + source_width, top + source_height)
    return picture.resize(size, Image.Resampling.BILINEAR, box=box)


_TURNS = (
    Image.Transpose.FLIP_LEFT_RIGHT,
    Image.Transpose.FLIP_TOP_BOTTOM,
    Image.Transpose.ROTATE_180,
    Image.Transpose.ROTATE_90,
    Image.Transpose.ROTATE_270,
)
_LEVELS = np.arange(256, dtype=np.float64)


def vary(picture: Image.Image, rng: Random) -> Image.Image:
    """A background in other light: turned, channels exchanged, contrast, brightness and gamma of each channel changed.

    The size stays the same, so that only square backgrounds are turned on their side.
    """
    turns = _TURNS if picture.width == picture.height else _TURNS[:3]
    if rng.random() < 0.8:
        picture = picture.transpose(rng.choice(turns))
    if rng.random() < 0.5:
        channels = list(picture.split())
        rng.shuffle(channels)
        picture = Image.merge("RGB", channels)
    contrast, brightness = rng.uniform(0.5, 1.4), rng.uniform(-50.0, 50.0)
    table = [_level(contrast * rng.uniform(0.8, 1.2), brightness + rng.uniform(-25.0, 25.0)) for _ in range(3)]
    return picture.point(b"".join(table))


def _level(gain: float, offset: float) -> bytes:
    """A table from a channel's old value to its new one."""
    return np.clip((_LEVELS - 128.0) * gain + 128.0 + offset, 0.0, 255.0).astype(np.uint8).tobytes()

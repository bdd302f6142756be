"""Images that records name: looked up below one folder, and opened with limits, so that a file can only fail itself.

Pixels are as stored. An orientation that the file's EXIF asks for is not applied, because width, height and coordinates
of a record are of the image as it is stored; where they are not, the size differs, and the record says so. Pixels of
more than 8 bits are scaled by their range, or refused; never cut off.
"""

import hashlib
import io
import os
import stat
import warnings
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

import numpy as np
from numpy.typing import NDArray
from PIL import ExifTags, Image, UnidentifiedImageError

from pipeline.errors import UserError
from pipeline.tasks.detection.recipe import Infer
from pipeline.tasks.detection.rows import DetectionPrediction

# What models take and people have. Formats that PIL hands to other programs (EPS to Ghostscript), and those whose
# decoders few have looked at, are left out.
FORMATS = ("PNG", "JPEG", "WEBP", "BMP", "GIF", "TIFF", "PPM")
_TURNED = (5, 6, 7, 8)  # EXIF orientations that swap width and height
_EIGHT_BITS = ("1", "L", "P", "RGB", "RGBA", "RGBX", "RGBa", "LA", "PA", "CMYK", "YCbCr", "LAB", "HSV")  # or fewer
_BITS_PER_SAMPLE, _PHOTOMETRIC, _SAMPLE_FORMAT = 258, 262, 339  # tags of TIFF
_WHITE_IS_ZERO, _SIGNED = 0, 2
DEFAULT_LIMITS = Infer()


class ImageError(Exception):
    """One record's image cannot be used: ``code`` is one of `answers.FAILURES`."""

    def __init__(self, code: str, detail: str) -> None:
        super().__init__(detail)
        self.code, self.detail = code, detail


@dataclass(frozen=True)
class Picture:
    """An image as RGB, the bytes of its file, and what they are ("image/png")."""

    image: Image.Image
    file: bytes
    media_type: str


@contextmanager
def opened(file: Path | BinaryIO) -> Iterator[Image.Image]:
    """A file as PIL sees it. Raises what decoders raise; what PIL warns of - damaged EXIF, sizes - is not told."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        with Image.open(file, formats=FORMATS) as image:
            yield image


class ImageFolder:
    """The folder below which images are looked up, with the limits of a recipe's section ``infer``.

    Raises UserError when there is none.
    """

    def __init__(self, root: Path, limits: Infer = DEFAULT_LIMITS) -> None:
        if not root.is_dir():
            raise UserError("there is no such folder of images", where=str(root), remedy="check --image-root")
        self.root, self.limits = root.resolve(), limits

    def path(self, name: str) -> Path:
        """Where an image lies, links followed; ``sub\\x.png`` also as sub/x.png.

        Raises ImageError when that is outside of the root, or nothing.
        """
        if not name or "\0" in name:
            raise ImageError("image_missing", f"{name!r} is no path")
        if Path(name).is_absolute():
            raise ImageError("image_outside_root", f"{name!r} is an absolute path")
        try:
            path = (self.root / name).resolve(strict=True)
        except (OSError, RuntimeError):  # not there, a name too long, a loop of links
            if "\\" in name:  # a path of Windows
                return self.path(name.replace("\\", "/"))
            path = Path(os.path.normpath(self.root / name))
            if path.is_relative_to(self.root):
                raise ImageError("image_missing", f"{name!r} is not there") from None
        if not path.is_relative_to(self.root):
            raise ImageError("image_outside_root", f"{name!r} leads out of the root")
        return path

    def read(self, name: str, width: int, height: int) -> Picture:
        """The image called ``name``, which a record says is ``width`` by ``height``. Raises ImageError."""
        data = self._bytes(name)
        try:
            with opened(io.BytesIO(data)) as image:
                most = self.limits.max_image_pixels
                if image.width * image.height > most:
                    detail = f"{name!r} is {image.width}x{image.height}, more than {most} pixels"
                    raise ImageError("image_too_large", detail)
                if image.size != (width, height):
                    raise ImageError("image_size_differs", _difference(name, image, (width, height)))
                media_type = Image.MIME.get(image.format or "", "application/octet-stream")
                return Picture(_as_rgb(name, image), data, media_type)
        except ImageError:
            raise
        except UnidentifiedImageError:
            raise ImageError("image_unreadable", f"{name!r} is no image of a known format") from None
        except Image.DecompressionBombError:
            raise ImageError("image_too_large", f"{name!r} has too many pixels") from None
        except Exception as error:  # decoders raise what they like on bytes that are no image
            if "truncated" in str(error).lower():
                raise ImageError("image_truncated", f"{name!r} ends before the image does") from None
            raise ImageError("image_unreadable", f"{name!r} cannot be decoded: {type(error).__name__}") from None

    def thumbnail(self, row: DetectionPrediction, side: int) -> Image.Image:
        """The first image of a row, RGB, made at most ``side`` pixels long. Raises ImageError."""
        if not row.images:
            raise ImageError("no_image", "the record names no image")
        image = self.read(row.images[0], row.width, row.height).image
        image.thumbnail((side, side), Image.Resampling.LANCZOS)
        return image

    def sha256(self, name: str) -> str:
        """sha256 of the file; the code of the error where it cannot be read."""
        try:
            return hashlib.sha256(self._bytes(name)).hexdigest()
        except ImageError as error:
            return error.code

    def sha256_of(self, names: Iterable[str]) -> str:
        """One sha256 over images by their names, as `sha256` tells each."""
        return hashlib.sha256("".join(f"{name}\0{self.sha256(name)}\n" for name in names).encode()).hexdigest()

    def _bytes(self, name: str) -> bytes:
        path = self.path(name)
        try:
            # Not blocking, and no link: a pipe would wait for ever, and the path was resolved a moment ago.
            descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_NOFOLLOW)
        except OSError as error:
            raise ImageError("image_unreadable", f"{name!r} cannot be opened: {error.strerror}") from None
        if not stat.S_ISREG(os.fstat(descriptor).st_mode):
            os.close(descriptor)
            raise ImageError("image_unreadable", f"{name!r} is not a file")
        with open(descriptor, "rb") as file:
            try:
                data = file.read(self.limits.max_image_bytes + 1)
            except OSError as error:
                raise ImageError("image_unreadable", f"{name!r} cannot be read: {error.strerror}") from None
        if len(data) > self.limits.max_image_bytes:
            raise ImageError("image_too_large", f"{name!r} has more than {self.limits.max_image_bytes} bytes")
        return data


def _as_rgb(name: str, image: Image.Image) -> Image.Image:
    """The image in mode RGB. Transparency is dropped.

    16 bits are divided by 257 and rounded, fewer bits of a TIFF file by their own range; floats are taken from 0 to 1.
    Raises ImageError for floats beyond that, and for signed and 32-bit integers.
    """
    tags = getattr(image, "tag_v2", {})
    bits = tags.get(_BITS_PER_SAMPLE, (16,))[0]
    if _SIGNED in tags.get(_SAMPLE_FORMAT, ()) or (image.mode == "I" and image.format == "TIFF"):
        raise _unknown_range(name, f"its pixels are integers of {bits} bits {_range(np.asarray(image))}")
    if image.mode in _EIGHT_BITS:
        return image.convert("RGB")
    if image.mode != "F" and not image.mode.startswith("I"):
        raise _unknown_range(name, f"its pixels are of mode {image.mode}")
    values = np.asarray(image)
    high = 1.0 if image.mode == "F" else 2.0**bits - 1.0  # integers of PNG and PPM are brought to 16 bits by PIL
    if values.size and not (values.min() >= 0.0 and values.max() <= high):  # so for NaN
        kind = "floats" if image.mode == "F" else "integers"
        raise _unknown_range(name, f"its pixels are {kind} {_range(values)}, and 0 to {high:g} is what can be scaled")
    scaled = np.rint(values * (255.0 / high)).astype(np.uint8)
    if image.format == "TIFF" and tags.get(_PHOTOMETRIC) == _WHITE_IS_ZERO:
        scaled = 255 - scaled
    return Image.fromarray(scaled).convert("RGB")


def _unknown_range(name: str, what: str) -> ImageError:
    return ImageError("image_range_unknown", f"{name!r}: {what}; store it with 8 bits")


def _range(values: NDArray[np.generic]) -> str:
    return f"from {values.min():g} to {values.max():g}" if values.size else "without any value"


def _difference(name: str, image: Image.Image, size: tuple[int, int]) -> str:
    detail = f"{name!r} is {image.width}x{image.height}, the record says {size[0]}x{size[1]}"
    if orientation_of(image) in _TURNED and image.size == (size[1], size[0]):
        detail += "; its EXIF orientation asks to turn it, which is not done: store it turned"
    return detail


def shows_the_same(data: bytes) -> bool:
    """Whether any program sees in the bytes of a file what `Picture.image` holds: nothing to turn, and 8 bits."""
    with opened(io.BytesIO(data)) as image:
        return orientation_of(image) == 1 and image.mode in _EIGHT_BITS


def orientation_of(image: Image.Image) -> int:
    """The EXIF orientation of an image: 1 (as it is stored) to 8; 1 where it says nothing that can be read."""
    try:
        found = image.getexif().get(ExifTags.Base.Orientation, 1)
    except Exception:  # a damaged EXIF block says nothing; what it raises depends on where it is damaged
        return 1
    return found if isinstance(found, int) and 1 <= found <= 8 else 1


def png_of(image: Image.Image, *, optimize: bool = False) -> bytes:
    """An image as a PNG file."""
    file = io.BytesIO()
    image.save(file, "PNG", optimize=optimize)
    return file.getvalue()

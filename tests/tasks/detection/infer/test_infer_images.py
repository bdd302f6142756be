"""Images that cannot be used: each costs its own record, and no model is asked about it."""

import io
import os
import random
import struct
import zlib
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from pipeline.errors import UserError
from pipeline.tasks.detection.answers import FAILURES
from pipeline.tasks.detection.images import ImageError, ImageFolder, orientation_of, shows_the_same
from pipeline.tasks.detection.recipe import Infer

LIMITS = Infer(max_image_bytes=10_000, max_image_pixels=10_000)
SIZE = (40, 30)


def png(size: tuple[int, int] = SIZE) -> bytes:
    stream = io.BytesIO()
    Image.radial_gradient("L").convert("RGB").resize(size).save(stream, "PNG")
    return stream.getvalue()


def jpeg(turn: int | None = None) -> bytes:
    """A JPEG, 40 by 30 pixels as stored; its EXIF asks to turn it where ``turn`` says so."""
    stream, exif = io.BytesIO(), Image.Exif()
    if turn is not None:
        exif[0x0112] = turn
    Image.radial_gradient("L").convert("RGB").resize(SIZE).save(stream, "JPEG", exif=exif)
    return stream.getvalue()


def bomb() -> bytes:
    """A PNG of a few bytes that says it is 60,000 by 60,000."""
    head = struct.pack(">IIBBBBB", 60_000, 60_000, 8, 2, 0, 0, 0)
    parts = [(b"IHDR", head), (b"IDAT", zlib.compress(bytes(1000))), (b"IEND", b"")]
    chunks = [
        struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data)) for kind, data in parts
    ]
    return b"\x89PNG\r\n\x1a\n" + b"".join(chunks)


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """A folder with images in it, and a secret beside it."""
    (tmp_path / "secret.png").write_bytes(png())
    inside = tmp_path / "root"
    (inside / "deep").mkdir(parents=True)
    (inside / "good.png").write_bytes(png())
    (inside / "deep/good.png").write_bytes(png())
    return inside


def refusal(root: Path, name: str, size: tuple[int, int] = SIZE) -> ImageError:
    with pytest.raises(ImageError) as caught:
        ImageFolder(root, LIMITS).read(name, *size)
    assert caught.value.code in FAILURES
    assert str(root) not in caught.value.detail  # rows do not tell where a machine keeps its files
    return caught.value


# where images may lie


@pytest.mark.parametrize("name", ["good.png", "deep/good.png", "deep/../good.png", "./good.png"])
def test_what_lies_below_the_root_is_read(name: str, root: Path) -> None:
    picture = ImageFolder(root, LIMITS).read(name, *SIZE)
    assert (picture.image.size, picture.image.mode, picture.media_type) == (SIZE, "RGB", "image/png")
    assert picture.file == png()


@pytest.mark.parametrize("name", ["../secret.png", "deep/../../secret.png", "../root/../secret.png", "../none.png"])
def test_what_lies_above_the_root_is_not_even_looked_for(name: str, root: Path) -> None:
    assert refusal(root, name).code == "image_outside_root"


def test_absolute_paths_are_refused_even_into_the_root(root: Path) -> None:
    assert refusal(root, str(root.parent / "secret.png")).code == "image_outside_root"
    with pytest.raises(ImageError) as caught:
        ImageFolder(root, LIMITS).read(str(root / "good.png"), *SIZE)
    assert caught.value.code == "image_outside_root"


def test_links_lead_to_images_below_the_root_and_nowhere_else(root: Path) -> None:
    (root / "near.png").symlink_to("deep/good.png")
    assert ImageFolder(root, LIMITS).read("near.png", *SIZE).image.size == SIZE
    (root / "far.png").symlink_to(root.parent / "secret.png")
    (root / "up").symlink_to("..")
    (root / "loop.png").symlink_to("loop.png")
    assert refusal(root, "far.png").code == "image_outside_root"
    assert refusal(root, "up/secret.png").code == "image_outside_root"
    assert refusal(root, "loop.png").code == "image_missing"


def test_a_root_that_is_a_link_is_a_root(root: Path, tmp_path: Path) -> None:
    (tmp_path / "linked").symlink_to(root)
    assert ImageFolder(tmp_path / "linked", LIMITS).read("good.png", *SIZE).image.size == SIZE


@pytest.mark.parametrize("name", ["none.png", "", "a\0b.png", "x" * 300, "good.png/none.png"])
def test_what_is_not_there_is_missing(name: str, root: Path) -> None:
    assert refusal(root, name).code == "image_missing"


def test_a_root_that_is_not_there_stops_the_run(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="no such folder"):
        ImageFolder(tmp_path / "none", LIMITS)


# what images may be


def test_a_folder_and_a_pipe_are_no_images(root: Path) -> None:
    os.mkfifo(root / "pipe.png")  # opening it would wait for a writer
    assert refusal(root, "pipe.png").code == "image_unreadable"
    assert refusal(root, "deep").code == "image_unreadable"


@pytest.mark.parametrize(
    ("data", "code"),
    [
        (b"", "image_unreadable"),
        (b"not an image", "image_unreadable"),
        (b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 40 30\n", "image_unreadable"),  # would be run by Ghostscript
        (png()[:200], "image_truncated"),
        (jpeg()[:-200], "image_truncated"),
        (png()[:20], "image_truncated"),
        (png() + bytes(20_000), "image_too_large"),
        (png((101, 100)), "image_too_large"),
        (bomb(), "image_too_large"),
        (png((30, 40)), "image_size_differs"),
        (png((40, 31)), "image_size_differs"),
    ],
)
def test_a_file_that_cannot_be_used_says_why(data: bytes, code: str, root: Path) -> None:
    (root / "bad.png").write_bytes(data)
    assert refusal(root, "bad.png").code == code


def test_a_picture_with_bytes_flipped_is_read_or_refused_and_nothing_else(root: Path) -> None:
    generator = random.Random(0)
    folder = ImageFolder(root, LIMITS)
    for make in (png, jpeg):
        good = make()
        for _ in range(300):
            data = bytearray(good)
            for _ in range(generator.randrange(1, 5)):
                data[generator.randrange(len(data))] = generator.randrange(256)
            (root / "bad.png").write_bytes(data)
            try:
                assert folder.read("bad.png", *SIZE).image.size == SIZE
            except ImageError as error:
                assert error.code in FAILURES


def test_a_file_that_may_not_be_read_says_so(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> int:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(os, "open", refuse)
    assert refusal(root, "good.png").code == "image_unreadable"


# pixels


@pytest.mark.parametrize("mode", ["L", "1", "P", "RGBA", "LA", "PA", "CMYK", "YCbCr"])
def test_every_kind_of_pixel_becomes_rgb(mode: str, root: Path) -> None:
    plain = Image.new("RGB", SIZE, (200, 200, 200))
    stored = (plain.quantize() if mode in ("P", "PA") else plain).convert(mode)
    name = "x.png" if mode in ("L", "1", "P", "RGBA", "LA") else "x.tiff"
    stored.save(root / name, transparency=0) if mode == "P" else stored.save(root / name)
    image = ImageFolder(root, LIMITS).read(name, *SIZE).image
    low, high = {"1": (0, 255)}.get(mode, (198, 202))
    assert image.mode == "RGB" and all(low <= least <= most <= high for least, most in image.getextrema())


RAMP = np.linspace(0, 65535, 1200).astype(np.uint16).reshape(30, 40)
BY_257 = ((RAMP.astype(np.int64) + 128) // 257).astype(np.uint8)
TWELVE = (RAMP >> 4).astype(np.uint32)


def grey_16(kind: str) -> bytes:
    """The ramp as an image file of 16 bits."""
    stream = io.BytesIO()
    big = Image.frombytes("I;16B", SIZE, RAMP.astype(">u2").tobytes())
    how: dict[str, Any] = {"WhiteIsZero": {"tiffinfo": {262: 0}}}.get(kind, {})
    if kind == "ppm":
        return b"P5\n40 30\n65535\n" + RAMP.astype(">u2").tobytes()
    (big if kind == "big-endian" else Image.fromarray(RAMP)).save(stream, "PNG" if kind == "png" else "TIFF", **how)
    return stream.getvalue()


@pytest.mark.parametrize("kind", ["png", "tiff", "big-endian", "ppm", "WhiteIsZero"])
def test_16_bits_are_scaled_and_not_cut_off(kind: str, root: Path) -> None:
    (root / "x.img").write_bytes(grey_16(kind))
    seen = np.asarray(ImageFolder(root, LIMITS).read("x.img", *SIZE).image)
    expected = 255 - BY_257 if kind == "WhiteIsZero" else BY_257
    assert (seen == expected[:, :, None]).all()


def test_fewer_bits_of_a_tiff_have_their_own_range(root: Path) -> None:
    """12 bits, packed two to three bytes, as microscopes write them."""
    pairs = TWELVE.reshape(-1, 2)
    packed = np.stack([pairs[:, 0] >> 4, (pairs[:, 0] & 15) << 4 | pairs[:, 1] >> 8, pairs[:, 1] & 255], axis=1)
    data = packed.astype(np.uint8).tobytes()
    tags = {256: 40, 257: 30, 258: 12, 259: 1, 262: 1, 273: 122, 277: 1, 278: 30, 279: len(data)}
    entries = b"".join(struct.pack("<HHII", tag, 4, 1, value) for tag, value in tags.items())
    head = struct.pack("<2sHIH", b"II", 42, 8, len(tags)) + entries + bytes(4)
    assert len(head) == tags[273]  # the pixels begin there
    (root / "x.tiff").write_bytes(head + data)
    seen = np.asarray(ImageFolder(root, LIMITS).read("x.tiff", *SIZE).image)
    assert (seen == np.rint(TWELVE * (255 / 4095))[:, :, None]).all()


@pytest.mark.parametrize("most", [1.0, 0.5, 0.0])
def test_floats_from_0_to_1_are_scaled(most: float, root: Path) -> None:
    ramp = np.linspace(0, most, 1200, dtype=np.float32).reshape(30, 40)
    Image.fromarray(ramp).save(root / "x.tiff")
    seen = np.asarray(ImageFolder(root, LIMITS).read("x.tiff", *SIZE).image)
    assert (seen == np.rint(ramp * 255.0)[:, :, None]).all()
    assert (seen.min(), seen.max()) == (0, round(255 * most))


@pytest.mark.parametrize(
    ("values", "said"),
    [
        (np.linspace(0, 255, 1200, dtype=np.float32), "floats from 0 to 255"),
        (np.linspace(-0.5, 1, 1200, dtype=np.float32), "floats from -0.5 to 1"),
        (np.full(1200, np.nan, np.float32), "floats from nan to nan"),
        (np.linspace(0, 70_000, 1200).astype(np.int32), "integers of 32 bits from 0 to 70000"),
        (np.linspace(-5, 200, 1200).astype(np.int32), "integers of 32 bits from -5 to 200"),
    ],
)
def test_pixels_whose_range_nobody_says_are_refused_with_what_was_found(
    values: NDArray[Any], said: str, root: Path
) -> None:
    Image.fromarray(values.reshape(30, 40)).save(root / "x.tiff")
    found = refusal(root, "x.tiff")
    assert found.code == "image_range_unknown" and said in found.detail


def test_what_is_sent_as_it_is_shows_what_the_model_is_to_see() -> None:
    assert shows_the_same(png()) and not shows_the_same(jpeg(6)) and not shows_the_same(grey_16("png"))


# paths of Windows


@pytest.mark.parametrize("name", ["sub dir\\x.png", "sub dir\\deep\\y.png", ".\\sub dir/x.png"])
def test_backslashes_lead_to_what_lies_there_with_slashes(name: str, root: Path) -> None:
    (root / "sub dir/deep").mkdir(parents=True)
    (root / "sub dir/x.png").write_bytes(png())
    (root / "sub dir/deep/y.png").write_bytes(png())
    assert ImageFolder(root, LIMITS).read(name, *SIZE).image.size == SIZE


@pytest.mark.parametrize(
    ("name", "code", "said"),
    [
        ("sub dir\\x.png", "image_missing", "'sub dir/x.png' is not there"),
        ("C:\\x.png", "image_missing", "'C:/x.png' is not there"),
        ("..\\secret.png", "image_outside_root", "'../secret.png' leads out of the root"),
    ],
)
def test_what_is_not_there_with_slashes_either_is_named_as_it_was_looked_for(
    name: str, code: str, said: str, root: Path
) -> None:
    found = refusal(root, name)
    assert (found.code, found.detail) == (code, said)


# EXIF


@pytest.mark.parametrize("turn", [None, 1, 3, 6])
def test_an_orientation_is_not_applied(turn: int | None, root: Path) -> None:
    (root / "turned.jpg").write_bytes(jpeg(turn))
    picture = ImageFolder(root, LIMITS).read("turned.jpg", *SIZE)
    plain = Image.open(io.BytesIO(jpeg())).convert("RGB")
    assert picture.image.tobytes() == plain.tobytes()
    assert orientation_of(Image.open(io.BytesIO(picture.file))) == (turn or 1)


def test_a_size_that_fits_the_turned_image_alone_is_told_as_that(root: Path) -> None:
    (root / "turned.jpg").write_bytes(jpeg(6))
    assert "EXIF orientation" in refusal(root, "turned.jpg", (30, 40)).detail
    assert "EXIF" not in refusal(root, "turned.jpg", (31, 40)).detail

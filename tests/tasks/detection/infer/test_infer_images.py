"""Images that cannot be used: each costs its own record, and no model is asked about it."""

import io
import os
import random
import struct
import zlib
from pathlib import Path

import pytest
from PIL import Image

from pipeline.errors import UserError
from pipeline.tasks.detection.answers import FAILURES
from pipeline.tasks.detection.images import ImageError, ImageFolder, ImageLimits, orientation

LIMITS = ImageLimits(num_bytes=10_000, num_pixels=10_000)
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


@pytest.mark.parametrize("mode", ["L", "1", "P", "RGBA", "I;16", "CMYK"])
def test_every_kind_of_pixel_becomes_rgb(mode: str, root: Path) -> None:
    path = root / ("x.tiff" if mode == "CMYK" else "x.png")
    Image.new("L", SIZE, 200).convert(mode).save(path) if mode != "I;16" else Image.new("I;16", SIZE, 200).save(path)
    assert ImageFolder(root, LIMITS).read(path.name, *SIZE).image.mode == "RGB"


# EXIF


@pytest.mark.parametrize("turn", [None, 1, 3, 6])
def test_an_orientation_is_not_applied(turn: int | None, root: Path) -> None:
    (root / "turned.jpg").write_bytes(jpeg(turn))
    picture = ImageFolder(root, LIMITS).read("turned.jpg", *SIZE)
    plain = Image.open(io.BytesIO(jpeg())).convert("RGB")
    assert picture.image.tobytes() == plain.tobytes()
    assert orientation(picture.file) == (turn or 1)


def test_a_size_that_fits_the_turned_image_alone_is_told_as_that(root: Path) -> None:
    (root / "turned.jpg").write_bytes(jpeg(6))
    assert "EXIF orientation" in refusal(root, "turned.jpg", (30, 40)).detail
    assert "EXIF" not in refusal(root, "turned.jpg", (31, 40)).detail

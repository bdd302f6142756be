"""The image of a sample in the terminal: two pixels a cell, outlines over them in line characters."""

import base64
import binascii
import io
import math
from collections.abc import Iterable, Sequence
from itertools import pairwise

from PIL import Image
from rich.style import Style
from rich.text import Text

from pipeline.follow.scene import Lines, Scene, Size
from pipeline.follow.text import FAINT
from pipeline.tasks.detection.follow.outlines import Outline, read_outlines
from pipeline.tasks.detection.rows import DetectionEpisode

_HEADING = 1  # lines above the image
_MAX_PIXELS = 4096 * 4096  # rows come from files: nothing larger is unpacked

Cells = dict[tuple[int, int], tuple[str, str]]
"""Characters that stand over the image: (column, line) to character and colour."""


def shown_outlines(scene: Scene) -> tuple[list[Outline], list[Outline]]:
    """What was written up to this frame, and the truth in the last one."""
    episode: DetectionEpisode = scene.episode
    written, truths = read_outlines(episode)
    return written[: scene.frame], truths if scene.frame > len(written) else []


def draw_picture(scene: Scene, size: Size) -> Lines:
    """The image as large as ``size`` allows, the objects written so far over it, in the last frame the truth, too."""
    episode: DetectionEpisode = scene.episode
    written, truths = shown_outlines(scene)
    image = open_image(episode)
    scale = min(size.width / image.width, 2 * max(size.height - _HEADING, 1) / image.height)
    columns, lines = max(int(image.width * scale), 1), max(int(image.height * scale) // 2, 1)
    cells: Cells = {}
    for outline in truths:
        cells |= _trace(outline, episode, Size(columns, lines), dashed=True)
    for outline in written:
        cells |= _trace(outline, episode, Size(columns, lines), dashed=False)
    title = f"{episode.width} x {episode.height} pixels"
    return [Text(title[:columns], FAINT), *_render(image.resize((columns, 2 * lines)), cells)]


def open_image(episode: DetectionEpisode) -> Image.Image:
    """The image of a row, RGB; a grey one of its size where it is damaged."""
    try:
        image = Image.open(io.BytesIO(base64.b64decode(episode.image_png, validate=True)), formats=["PNG"])
        if image.width * image.height <= _MAX_PIXELS:
            return image.convert("RGB")
    except (OSError, ValueError, binascii.Error, SyntaxError):  # what Pillow and base64 raise at damaged files
        pass
    return Image.new("RGB", (max(min(episode.width, 64), 1), max(min(episode.height, 64), 1)), (60, 60, 60))


def _render(image: Image.Image, cells: Cells) -> Lines:
    """Two rows of pixels a line. The half that is lighter is drawn, so that something is seen without colours."""
    pixels = image.load()
    assert pixels is not None
    lines = []
    for line in range(image.height // 2):
        text = Text()
        for column in range(image.width):
            upper, lower = _rgb(pixels[column, 2 * line]), _rgb(pixels[column, 2 * line + 1])
            if (column, line) in cells:
                sign, color = cells[column, line]
                ground = _hex(_darker(upper, lower))
                text.append(sign, Style(color=color, bgcolor=ground, bold=True))
            elif sum(upper) >= sum(lower):
                text.append("▀", Style(color=_hex(upper), bgcolor=_hex(lower)))
            else:
                text.append("▄", Style(color=_hex(lower), bgcolor=_hex(upper)))
        lines.append(text)
    return lines


def _rgb(pixel: object) -> tuple[int, int, int]:
    assert isinstance(pixel, tuple)
    return pixel[0], pixel[1], pixel[2]


def _hex(color: tuple[int, int, int]) -> str:
    return "#{:02x}{:02x}{:02x}".format(*color)


def _darker(upper: tuple[int, int, int], lower: tuple[int, int, int]) -> tuple[int, int, int]:
    """A dim mean of two colours, on which a line of any colour is seen."""
    red, green, blue = ((a + b) // 6 for a, b in zip(upper, lower, strict=True))
    return red, green, blue


def _trace(outline: Outline, episode: DetectionEpisode, size: Size, *, dashed: bool) -> Cells:
    """The cells of an outline, and its name at its first corner."""
    scale_x, scale_y = size.width / episode.width, size.height / episode.height
    points = [
        (_cell(x * scale_x, size.width), _cell(y * scale_y, size.height))
        for x, y in zip(outline.points[::2], outline.points[1::2], strict=True)
    ]
    cells = _box(points, outline.color, dashed) if outline.is_box else _polygon(points, outline.color, dashed)
    cells[min(points, key=lambda point: (point[1], point[0]))] = (outline.name, outline.color)
    return cells


def _cell(place: float, count: int) -> int:
    return min(max(math.floor(place), 0), count - 1)


def _box(points: Sequence[tuple[int, int]], color: str, dashed: bool) -> Cells:
    (left, top), (right, bottom) = points[0], points[2]
    across, down = ("╌", "╎") if dashed else ("─", "│")
    cells: Cells = {}
    for column in range(left, right + 1):
        cells[column, top] = cells[column, bottom] = (across, color)
    for line in range(top, bottom + 1):
        cells[left, line] = cells[right, line] = (down, color)
    corners = {(left, top): "┌", (right, top): "┐", (left, bottom): "└", (right, bottom): "┘"}
    if left < right and top < bottom:
        cells |= {at: (sign, color) for at, sign in corners.items()}
    return cells


def _polygon(points: Sequence[tuple[int, int]], color: str, dashed: bool) -> Cells:
    sign = "◦" if dashed else "•"
    return {at: (sign, color) for a, b in pairwise([*points, points[0]]) for at in _line(a, b)}


def _line(start: tuple[int, int], end: tuple[int, int]) -> Iterable[tuple[int, int]]:
    """The cells from one to another."""
    steps = max(abs(end[0] - start[0]), abs(end[1] - start[1]), 1)
    for step in range(steps + 1):
        share = step / steps
        yield round(start[0] + share * (end[0] - start[0])), round(start[1] + share * (end[1] - start[1]))

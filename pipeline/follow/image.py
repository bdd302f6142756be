"""The picture of a scene as an image of pixels, and those of an episode as a moving one."""

import io
import math
from collections.abc import Iterable, Iterator, Sequence
from functools import cache
from pathlib import Path

import matplotlib
from PIL import Image, ImageDraw, ImageFont

from pipeline.errors import UserError
from pipeline.follow.characters import without_controls
from pipeline.follow.scene import Cell, Grid, Images, Line, Outline, Picture, Plane, Scene, Tone, Words
from pipeline.follow.terminal import theme
from pipeline.follow.terminal.picture import around, open_png

MOVING = {".gif": "GIF", ".webp": "WEBP"}
FRAME_MS, LAST_FRAME_MS = 100, 2000
MOST_FRAMES = 1000  # of a longer episode every second, third, ... is shown
_WIDTH, _HEIGHT, _EDGE, _LINE = 520, 480, 10, 22  # of the picture at most; the margin; a line of text. All in pixels
_ELLIPSE_CORNERS = 48
_LONGEST = 200  # characters of a text

Box = tuple[float, float, float, float]


def moving_picture(scenes: Iterable[Scene], suffix: str) -> bytes:
    """The scenes as a file of that suffix, which is one of `MOVING`: ten a second, the last one for two seconds.

    Raises UserError where there is nothing to draw.
    """
    all_scenes = list(scenes)
    if not any(scene.picture is not None for scene in all_scenes):
        raise UserError("these scenes have no picture", remedy="save them as .html, which shows all the rest, too")
    every = math.ceil(len(all_scenes) / MOST_FRAMES)
    shown = [*all_scenes[:-1:every], all_scenes[-1]]
    frames = _same_size(draw_scene(scene) for scene in shown)
    durations = [FRAME_MS] * (len(shown) - 1) + [LAST_FRAME_MS]
    file = io.BytesIO()
    options = {"save_all": True, "duration": durations if len(shown) > 1 else LAST_FRAME_MS, "loop": 0}
    next(frames).save(file, MOVING[suffix], append_images=frames, **options)
    return file.getvalue()


def draw_scene(scene: Scene) -> Image.Image:
    """The picture with its words, the latest event below it, and how far the episode is above: RGB."""
    picture = scene.picture
    width, height = _size(picture)
    headline: Line = (Words(" · ".join(scene.headline), "muted"),)
    image = Image.new("RGB", (max(width, 240) + 2 * _EDGE, height + 4 * _LINE + 2 * _EDGE), theme.GROUND)
    pen = ImageDraw.Draw(image)
    right = image.width - _EDGE
    _write(pen, headline, (_EDGE, _EDGE), right)
    if picture is not None:
        top = _EDGE + 2 * _LINE
        _write_ends(pen, picture.title, picture.aside, _EDGE + _LINE, right)
        _draw_picture(image, picture, (_EDGE, top, _EDGE + width, top + height))
        _write_ends(pen, picture.foot, picture.foot_aside, top + height, right)
    _write(pen, _caption(scene), (_EDGE, image.height - _EDGE - _LINE), right)
    return image


def _same_size(frames: Iterable[Image.Image]) -> Iterator[Image.Image]:
    """Frames as large as the first one: files know one size."""
    size = None
    for frame in frames:
        size = size or frame.size
        yield frame if frame.size == size else frame.crop((0, 0, *size))


def _size(picture: Picture | None) -> tuple[int, int]:
    match picture:
        case Grid():
            side = min(_WIDTH / max(picture.columns, 1), _HEIGHT / max(picture.rows, 1))
            return int(picture.columns * side), int(picture.rows * side)
        case Plane():
            scale = min(_WIDTH / (picture.width or 1), _HEIGHT / (picture.height or 1))
            return max(int(picture.width * scale), 1), max(int(picture.height * scale), 1)
        case Images():
            return _WIDTH, _HEIGHT
        case _:
            return 1, 1


def _caption(scene: Scene) -> Line:
    """The latest event up to this frame, the gravest of several."""
    past = scene.log.events
    if not past:
        return (scene.caption,)
    latest = max(past, key=lambda event: (event.frame, event.rank))
    return (Words(f"{latest.sign} ", latest.tone), Words(latest.text), Words(f"  {latest.frame}", "muted"))


# Words


@cache
def _font(size: int) -> ImageFont.FreeTypeFont:
    """One that has arrows and crosses, and is the same on every machine."""
    return ImageFont.truetype(str(Path(matplotlib.get_data_path()) / "fonts/ttf/DejaVuSans.ttf"), size)


def _color(tone: Tone) -> str:
    return theme.TEXT if tone == "agent" else theme.TONES[tone]


def _clean(text: str) -> str:
    return without_controls(text if len(text) <= _LONGEST else f"{text[: _LONGEST - 1]}…")


def _write(pen: ImageDraw.ImageDraw, line: Line, at: tuple[float, float], right: float) -> None:
    """A line of text, ended by an ellipsis where there is no more room."""
    x, y = at
    font = _font(14)
    for words in line:
        text = _clean(words.text)
        if x + font.getlength(text) > right:
            while text and x + font.getlength(f"{text}…") > right:
                text = text[:-1]
            pen.text((x, y), f"{text}…", _color(words.tone), font)
            return
        pen.text((x, y), text, _color(words.tone), font)
        x += font.getlength(text)


def _write_ends(pen: ImageDraw.ImageDraw, left: Line, right: Line, y: float, end: float) -> None:
    width = sum(_font(14).getlength(_clean(words.text)) for words in right)
    fits = sum(_font(14).getlength(_clean(words.text)) for words in left) + width <= end - _EDGE - 10
    _write(pen, left, (_EDGE, y), end)
    if fits:
        _write(pen, right, (end - width, y), end + 1)


# Pictures


def _draw_picture(image: Image.Image, picture: Picture, box: Box) -> None:
    match picture:
        case Grid():
            _draw_grid(ImageDraw.Draw(image), picture, box)
        case Plane():
            _draw_plane(image, picture, box)
        case Images():
            rows = max(-(-len(picture.images) // max(picture.columns, 1)), 1)
            wide, high = (box[2] - box[0]) / max(picture.columns, 1), (box[3] - box[1]) / rows
            for number, plane in enumerate(picture.images):
                row, column = divmod(number, max(picture.columns, 1))
                left, top = box[0] + column * wide, box[1] + row * high
                scale = min((wide - 6) / (plane.width or 1), (high - 6) / (plane.height or 1))
                _draw_plane(image, plane, (left, top, left + plane.width * scale, top + plane.height * scale))


def _draw_grid(pen: ImageDraw.ImageDraw, grid: Grid, box: Box) -> None:
    left, top, right, bottom = box
    side = (right - left) / max(grid.columns, 1)
    first, last, upper, lower = grid.sight or (0, grid.columns - 1, 0, grid.rows - 1)
    sight = (left + first * side, top + upper * side, left + (last + 1) * side, top + (lower + 1) * side)
    if grid.sight is not None:
        pen.rectangle(sight, theme.LIT)
    for x in range(grid.columns + 1):
        pen.line((left + x * side, top, left + x * side, bottom), theme.LINE)
    for y in range(grid.rows + 1):
        pen.line((left, top + y * side, right, top + y * side), theme.LINE)
    if grid.sight is not None:
        pen.rectangle(sight, outline=theme.BLUE, width=2)
    for cell in grid.cells:
        _draw_cell(pen, cell, (left + cell.x * side, top + cell.y * side), side)


def _draw_cell(pen: ImageDraw.ImageDraw, cell: Cell, at: tuple[float, float], side: float) -> None:
    """The longest name that fits, what goes on there below it."""
    x, small, large = (
        at[0] + side / 2,
        _font(max(int(min(side * 0.24, 14)), 7)),
        _font(max(int(min(side * 0.4, 22)), 8)),
    )
    if cell.names:
        fitting = (name for name in map(_clean, cell.names) if small.getlength(name) <= side - 4)
        name = next(fitting, _clean(cell.names[-1])[:2])
        pen.text((x, at[1] + side * (0.28 if cell.sign.text else 0.5)), name, _color(cell.tone), small, "mm")
    if not cell.sign.text:
        return
    text, middle = _clean(cell.sign.text)[:8], at[1] + side * (0.66 if cell.names else 0.5)
    font = large if cell.sign.strong or not cell.names else small
    color = _color(cell.sign.tone)
    if cell.sign.strong:
        edges = pen.textbbox((x, middle), text, font, "mm")
        pen.rectangle((edges[0] - 3, edges[1] - 3, edges[2] + 3, edges[3] + 3), color)
        color = theme.GROUND
    pen.text((x, middle), text, color, font, "mm")


def _draw_plane(image: Image.Image, plane: Plane, box: Box) -> None:
    pen, size = ImageDraw.Draw(image), (max(int(box[2] - box[0]), 1), max(int(box[3] - box[1]), 1))
    if plane.png is not None:
        shown = open_png(plane.png)
        smooth = Image.Resampling.NEAREST if shown.width * 2 <= size[0] else Image.Resampling.BILINEAR
        image.paste(shown.resize(size, smooth), (int(box[0]), int(box[1])))
    pen.rectangle(box, outline=theme.LINE)
    scale = (size[0] / (plane.width or 1), size[1] / (plane.height or 1))
    for outline in sorted(plane.outlines, key=lambda outline: not outline.dashed):
        points = [(box[0] + x * scale[0], box[1] + y * scale[1]) for x, y in outline.points]
        _draw_outline(pen, outline, points)


def _draw_outline(pen: ImageDraw.ImageDraw, outline: Outline, points: Sequence[tuple[float, float]]) -> None:
    color, (x, y) = _color(outline.tone), min(points, key=lambda point: (point[1], point[0]))
    match outline.kind:
        case "point":
            pen.ellipse((x - 3, y - 3, x + 3, y + 3), color)
        case "box":
            (ax, ay), (bx, by) = points
            _draw_around(pen, [(ax, ay), (bx, ay), (bx, by), (ax, by)], color, outline.dashed)
        case "polygon":
            _draw_around(pen, points, color, outline.dashed)
        case "ellipse":
            _draw_around(pen, around(points, _ELLIPSE_CORNERS), color, outline.dashed)
    if outline.name:
        name = _clean(outline.name)[:24]
        pen.rectangle(pen.textbbox((x + 3, y), name, _font(13)), theme.GROUND)
        pen.text((x + 3, y), name, color, _font(13))


def _draw_around(pen: ImageDraw.ImageDraw, corners: Sequence[tuple[float, float]], color: str, dashed: bool) -> None:
    """A closed line through the corners; a dashed one leaves out every second stretch of 6 pixels."""
    for (ax, ay), (bx, by) in zip(corners, [*corners[1:], corners[0]], strict=True):
        steps = max(int(math.hypot(bx - ax, by - ay) / 6), 1) if dashed else 1
        for step in range(0, steps, 2):
            start, stop = step / steps, min(step + 1, steps) / steps
            ends = [(ax + share * (bx - ax), ay + share * (by - ay)) for share in (start, stop)]
            pen.line(ends, color, 2)

"""Pictures of a scene as lines of text: a grid in a frame, an image two pixels a cell, outlines in line characters."""

import io
import math
from collections.abc import Iterable, Sequence
from itertools import pairwise

import numpy as np
import PIL.Image
from rich.style import Style
from rich.text import Text

from pipeline.follow.characters import without_controls
from pipeline.follow.scene import Cell, Grid, Images, Outline, Picture, Plane, Words
from pipeline.follow.terminal import theme
from pipeline.follow.terminal.text import Lines, Size, as_text, box, ends, fit, styled

# Cells of a grid, gutter not counted, largest first: a terminal cell is about twice as high as wide.
_CELLS = (Size(12, 5), Size(10, 4), Size(8, 3), Size(6, 3), Size(4, 2), Size(2, 1))
_MAX_PIXELS = 4096 * 4096  # images come from files: nothing larger is unpacked
_ELLIPSE_CORNERS = 32

Signs = dict[tuple[int, int], tuple[str, str]]
"""Characters that stand over a picture: (column, line) to character and colour."""


def draw_picture(picture: Grid | Plane | Images | None, size: Size) -> Lines:
    """The picture as large as ``size`` allows, with its words."""
    match picture:
        case None:
            return []
        case Grid():
            return _draw_grid(picture, size)
        case Plane():
            return _in_words(picture, _draw_plane(picture, _inside(picture, size)))
        case Images():
            return _in_words(picture, _draw_images(picture, _inside(picture, size)))


def _inside(picture: Picture, size: Size) -> Size:
    """What the words above and below leave."""
    words = bool(picture.title or picture.aside) + bool(picture.foot or picture.foot_aside)
    return Size(max(size.width, 1), max(size.height - words, 1))


def _in_words(picture: Picture, lines: Lines) -> Lines:
    width = max((line.cell_len for line in lines), default=0)
    head, foot = (
        [ends(as_text(left), as_text(right), width)] if left or right else []
        for left, right in ((picture.title, picture.aside), (picture.foot, picture.foot_aside))
    )
    return [*head, *lines, *foot]


# Grids


def _draw_grid(grid: Grid, size: Size) -> Lines:
    """A frame with the words in it; what is in sight is lit, and outlined where it is not all."""
    fitting = (c for c in _CELLS if _outer(grid, c).width <= size.width and _outer(grid, c).height <= size.height)
    cell = next(fitting, _CELLS[-1])
    width, there = _outer(grid, cell).width, {(one.x, one.y): one for one in grid.cells}
    lines = [_rule("╭╮", width, as_text(grid.title), as_text(grid.aside))]
    for y in range(grid.rows):
        drawn = [_draw_cell(grid, there.get((x, y), Cell(x=x, y=y)), cell) for x in range(grid.columns)]
        lines += [_fenced(grid, [parts[row] for parts in drawn], y, row, cell) for row in range(cell.height)]
    return [*lines, _rule("╰╯", width, as_text(grid.foot), as_text(grid.foot_aside))]


def _outer(grid: Grid, cell: Size) -> Size:
    """Frame included: a gutter left of every cell and right of the last, which holds the outline of what is seen."""
    return Size(grid.columns * (cell.width + 1) + 3, grid.rows * cell.height + 2)


def _rule(corners: str, width: int, start: Text, end: Text) -> Text:
    """A line of the frame with a word at its start and one at its end, as far as there is room."""
    end = end if start.cell_len + end.cell_len <= width - 8 else Text()
    start = start if start.cell_len <= width - 8 else Text()
    fill = "─" * (width - 8 - start.cell_len - end.cell_len)
    start, end = (Text.assemble(" ", word, " ") if word.cell_len else Text("──", theme.LINE) for word in (start, end))
    return Text.assemble((f"{corners[0]}─", theme.LINE), start, (fill, theme.LINE), end, (f"─{corners[1]}", theme.LINE))


def _draw_cell(grid: Grid, one: Cell, size: Size) -> Lines:
    """The lines of one cell: the longest name that fits on the first, what goes on there on the one below."""
    width = size.width
    blank, name, sign = (Text(" " * width) for _ in range(3))
    if one.names:
        fitting = (name for name in one.names if len(name) <= width)
        name = _centred(Words(next(fitting, one.names[-1]), one.tone, one.strong), width)
    if one.sign.text:
        sign = _centred(one.sign, width)
        if one.sign.strong:
            sign.stylize("reverse")
    elif not one.names and _is_seen(grid, one.x, one.y):
        sign = Text("·".center(width), theme.DIM)
    if size.height == 1:
        return [name if one.names and not one.sign.strong else sign]
    above = (size.height - 2) // 2
    return [*[blank] * above, name, sign, *[blank] * (size.height - 2 - above)]


def _centred(words: Words, width: int) -> Text:
    return fit(styled(Words(words.text.center(width), words.tone, words.strong)), width)


def _is_seen(grid: Grid, x: int, y: int) -> bool:
    left, right, top, bottom = grid.sight or (0, grid.columns, 0, grid.rows)
    return left <= x <= right and top <= y <= bottom


def _fenced(grid: Grid, parts: Lines, y: int, line: int, cell: Size) -> Text:
    """One line of cells between the frame's sides; in the gutters the left and right edge of what is in sight."""
    left, right, edges = -1, -1, "││"
    if grid.sight is not None and grid.sight[2] <= y <= grid.sight[3]:
        left, right = grid.sight[0], grid.sight[1] + 1
        if (y, line) == (grid.sight[2], 0):
            edges = "┌┐"
        elif (y, line) == (grid.sight[3], cell.height - 1):
            edges = "└┘"
    fenced = Text("│", theme.LINE)
    for gutter, part in enumerate([*parts, Text()]):
        sign = edges[0] if gutter == left else edges[1] if gutter == right else " "
        lit = left <= gutter < right
        fenced.append(sign, f"{theme.BLUE} on {theme.LIT}" if lit or gutter == right else "")
        if lit:
            part = part.copy()
            part.stylize(f"on {theme.LIT}")
        fenced.append_text(part)
    return fenced.append("│", theme.LINE)


# Planes


def _draw_images(images: Images, size: Size) -> Lines:
    rows = -(-len(images.images) // images.columns)
    tile = Size(max(size.width // images.columns - 1, 1), max(size.height // max(rows, 1), 1))
    lines: Lines = []
    for start in range(0, len(images.images), images.columns):
        drawn = [box(draw_picture(one, tile), *tile) for one in images.images[start : start + images.columns]]
        lines += [Text(" ").join(parts) for parts in zip(*drawn, strict=True)]
    return lines


def _draw_plane(plane: Plane, size: Size) -> Lines:
    """Two rows of pixels a line where there is an image, with the outlines over them."""
    width, height = plane.width or 1.0, plane.height or 1.0
    scale = min(size.width / width, 2 * size.height / height)
    small = Size(max(int(width * scale), 1), max(int(height * scale) // 2, 1))
    signs: Signs = {}
    for outline in sorted(plane.outlines, key=lambda outline: not outline.dashed):  # the dashed ones below the others
        signs |= _trace(outline, (small.width / width, small.height / height), small)
    if plane.png is None:
        cells = [
            [signs.get((column, line), (" ", "")) for column in range(small.width)] for line in range(small.height)
        ]
        return [Text.assemble(*row) for row in cells]
    return _render(open_png(plane.png).resize((small.width, 2 * small.height)), signs)


def open_png(png: bytes) -> PIL.Image.Image:
    """The image, RGB; grey where it is damaged or too large."""
    try:
        image = PIL.Image.open(io.BytesIO(png), formats=["PNG"])
        if image.width * image.height <= _MAX_PIXELS:
            return image.convert("RGB")
    except (OSError, ValueError, SyntaxError):  # what Pillow raises at damaged files
        pass
    return PIL.Image.new("RGB", (1, 1), (60, 60, 60))


def _render(image: PIL.Image.Image, signs: Signs) -> Lines:
    """The half of a cell that is lighter is drawn, so that something is seen without colours."""
    rows = np.asarray(image).tolist()
    lines = []
    for line, pair in enumerate(zip(rows[::2], rows[1::2], strict=True)):
        text = Text()
        for column, (upper, lower) in enumerate(zip(*pair, strict=True)):
            if (column, line) in signs:
                sign, color = signs[column, line]
                dim = [(a + b) // 6 for a, b in zip(upper, lower, strict=True)]  # a line of any colour is seen on it
                text.append(sign, Style(color=color, bgcolor=_hex(dim), bold=True))
            elif sum(upper) >= sum(lower):
                text.append("▀", Style(color=_hex(upper), bgcolor=_hex(lower)))
            else:
                text.append("▄", Style(color=_hex(lower), bgcolor=_hex(upper)))
        lines.append(text)
    return lines


def _hex(color: Sequence[int]) -> str:
    return "#{:02x}{:02x}{:02x}".format(*color)


def _trace(outline: Outline, scale: tuple[float, float], size: Size) -> Signs:
    """The cells of an outline, and its name from its first corner on."""

    def cell(x: float, y: float) -> tuple[int, int]:
        column, line = math.floor(x * scale[0]), math.floor(y * scale[1])
        return min(max(column, 0), size.width - 1), min(max(line, 0), size.height - 1)

    points = [
        cell(*point)
        for point in (around(outline.points, _ELLIPSE_CORNERS) if outline.kind == "ellipse" else outline.points)
    ]
    if outline.kind == "box":
        signs = _box(points, outline.dashed)
    else:
        dot = "◦" if outline.dashed else "•"
        signs = {at: dot for a, b in pairwise([*points, points[0]]) for at in _steps(a, b)}
    column, line = min(points, key=lambda point: (point[1], point[0]))
    signs |= {(column + place, line): sign for place, sign in enumerate(without_controls(outline.name))}
    return {at: (sign, theme.TONES[outline.tone]) for at, sign in signs.items()}


def around(points: Sequence[tuple[float, float]], num_corners: int) -> list[tuple[float, float]]:
    """Corners around an ellipse that is given by its centre and the ends of its radii."""
    (x, y), (ax, ay), (bx, by) = points
    turns = [2 * math.pi * corner / num_corners for corner in range(num_corners)]
    parts = [(math.cos(turn), math.sin(turn)) for turn in turns]
    return [(x + a * (ax - x) + b * (bx - x), y + a * (ay - y) + b * (by - y)) for a, b in parts]


def _box(points: Sequence[tuple[int, int]], dashed: bool) -> dict[tuple[int, int], str]:
    (left, right), (top, bottom) = ((min(side), max(side)) for side in zip(*points, strict=True))
    across, down = "╌╎" if dashed else "─│"
    signs = {(column, line): across for column in range(left, right + 1) for line in (top, bottom)}
    signs |= {(column, line): down for column in (left, right) for line in range(top, bottom + 1)}
    if left < right and top < bottom:
        signs |= {(left, top): "┌", (right, top): "┐", (left, bottom): "└", (right, bottom): "┘"}
    return signs


def _steps(start: tuple[int, int], end: tuple[int, int]) -> Iterable[tuple[int, int]]:
    """The cells from one to another."""
    steps = max(abs(end[0] - start[0]), abs(end[1] - start[1]), 1)
    for step in range(steps + 1):
        share = step / steps
        yield round(start[0] + share * (end[0] - start[0])), round(start[1] + share * (end[1] - start[1]))

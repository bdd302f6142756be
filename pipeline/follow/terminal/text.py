"""Lines of styled text, and small tools that make, fit, join and draw them."""

import math
from collections.abc import Sequence
from typing import NamedTuple

from rich.console import Console
from rich.text import Text

from pipeline.follow import scene
from pipeline.follow.characters import without_controls
from pipeline.follow.terminal import theme

Lines = list[Text]

_WRAPPER = Console(width=1000)  # what breaks lines asks one for nothing


class Size(NamedTuple):
    """Width and height in terminal cells."""

    width: int
    height: int


def styled(words: scene.Words) -> Text:
    """Words in the colours of the theme. They come from files: without control characters."""
    heat = math.ceil(min(words.heat, 1.0) * (len(theme.HEATS) - 1))
    ink = "#000000" if heat >= len(theme.HEATS) - 2 else theme.TONES[words.tone]
    style = f"{'bold ' if words.strong else ''}{ink}{f' on {theme.HEATS[heat]}' if heat else ''}"
    return Text(without_controls(words.text), style)


def as_text(line: scene.Line) -> Text:
    """Words one after the other."""
    return Text.assemble(*map(styled, line))


_EIGHTHS = " ▏▎▍▌▋▊▉█"
_LEVELS = "▁▂▃▄▅▆▇█"


def fit(line: Text, width: int) -> Text:
    """``line`` cut or padded to exactly ``width`` cells."""
    fitted = line.copy()
    if fitted.cell_len > width:
        fitted.truncate(max(width, 0), overflow="ellipsis" if width > 1 else "crop")
    fitted.pad_right(width - fitted.cell_len)
    return fitted


def ends(left: Text, right: Text, width: int) -> Text:
    """One line with ``left`` at its start and ``right`` at its end; ``left`` is cut where both do not fit."""
    tail = fit(right, min(right.cell_len, width))
    room = width - tail.cell_len
    head = left if left.cell_len < room or not tail.cell_len else fit(left, max(room - 1, 0))
    return Text.assemble(fit(head, room), tail)


def box(lines: Lines, width: int, height: int) -> Lines:
    """``lines`` cut or padded to exactly ``height`` lines of ``width`` cells."""
    filled = [fit(line, width) for line in lines[:height]]
    return filled + [Text(" " * width) for _ in range(height - len(filled))]


def beside(left: Lines, right: Lines, gap: int = 1) -> Lines:
    """Two blocks of equal height next to each other."""
    return [Text.assemble(a, " " * gap, b) for a, b in zip(left, right, strict=True)]


def bar(share: float, width: int) -> str:
    """A bar that fills ``share`` (clamped to [0, 1]) of ``width`` cells, to an eighth of a cell."""
    eighths = round(min(max(share, 0.0), 1.0) * width * 8)
    whole, rest = divmod(eighths, 8)
    return ("█" * whole + (_EIGHTHS[rest] if rest else "")).ljust(width)


def sparkline(values: Sequence[float], top: float) -> str:
    """One character a value, its height value / ``top``."""
    last = len(_LEVELS) - 1
    return "".join(_LEVELS[min(max(round(value / top * last), 0), last)] if top > 0 else _LEVELS[0] for value in values)


def columns(values: Sequence[float], top: float, height: int) -> list[str]:
    """A chart of ``height`` lines, one column a value, from the top line down; a value above 0 is never invisible."""
    rows = []
    for row in range(height - 1, -1, -1):
        eighths = [max(round(value / top * height * 8), 1 if value > 0 else 0) - row * 8 for value in values]
        rows.append("".join(" " if e <= 0 else _LEVELS[min(e, 8) - 1] for e in eighths))
    return rows


def wrap(text: Text, width: int) -> Lines:
    """``text`` in lines of at most ``width`` cells, broken between words, and within those that are longer."""
    return list(text.wrap(_WRAPPER, max(width, 1), overflow="fold")) or [Text()]


def clip(lines: Lines, height: int, *, keep_end: bool = False) -> Lines:
    """At most ``height`` lines: the first or the last ones, and one that says how many more there are."""
    if len(lines) <= height or height < 1:
        return lines[:height]
    told = Text(f"… {len(lines) - height + 1} {'earlier' if keep_end else 'more'}", theme.FAINT)
    return [told, *lines[len(lines) - height + 1 :]] if keep_end else [*lines[: height - 1], told]

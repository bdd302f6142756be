"""Small tools for lines of styled text: fit, join, bars and sparklines. All return new objects."""

from collections.abc import Sequence

from rich.text import Text

from pipeline.follow.scene import Lines

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


def wrap(text: str, width: int) -> list[str]:
    """Words of ``text`` in lines of at most ``width`` characters; a longer word is broken."""
    lines: list[str] = []
    for word in text.split():
        if lines and len(lines[-1]) + 1 + len(word) <= width:
            lines[-1] += " " + word
        else:
            lines += [word[start : start + width] for start in range(0, len(word), max(width, 1))]
    return lines

"""Lines of styled text: the colours and signs of the live view, and small tools that fit, join and draw.

Colours are those of Okabe and Ito (2008), told apart by colour-blind people, on a dark ground. Nothing is said by
colour alone: every state has a sign of its own, so that the screen reads the same without any.
"""

from collections.abc import Sequence

from rich.text import Text

from pipeline.follow.scene import Lines

GROUND = "#101418"
TEXT = "#d8dee4"
FAINT = "#7d8894"
LINE = "#3d4650"
DIM = "#5b6672"
LIT = "#1a222b"  # the ground of what is in sight
BLUE = "#56b4e9"
ORANGE = "#e69f00"
GREEN = "#2fc295"
CALM = "#27765f"  # green for large areas
YELLOW = "#f0e442"
PURPLE = "#cc79a7"
RED = "#ff7a45"  # vermillion, lighter than the original #d55e00 to be read on a dark ground
LAKE = "#6c9bd9"

# One character each, so that a screen keeps its shape when it is drawn in ASCII.
_PAIRS = {
    **dict.fromkeys("█▉▊▋▌", "#"),
    **dict.fromkeys("▍▎▏", "-"),
    **dict(zip("▁▂▃▄▅▆▇", "_.-=+*%", strict=True)),
    **dict(zip("░▒▓", ".:%", strict=True)),
    **dict(zip("▀▄", "'.", strict=True)),
    **dict.fromkeys("─╌┄", "-"),
    **dict.fromkeys("━═", "="),
    **dict.fromkeys("│╎┆", "|"),
    **dict.fromkeys("┃‖", "#"),
    **dict.fromkeys("┌┐└┘├┤┬┴┼╭╮╰╯", "+"),
    **dict(zip("·•◦●○◆◇", ".o,@o#o", strict=True)),
    **dict(zip("▶▸►◀▲▼", ">>><^v", strict=True)),
    **dict(zip("↑↓←→", "^v<>", strict=True)),
    **dict(zip("✗†★✓", "xX*v", strict=True)),
    **dict(zip("≥≤≈ε…", "><~e.", strict=True)),
    **dict.fromkeys("\u2013\u2014\u2212", "-"),
}
_TO_ASCII = {ord(sign): plain for sign, plain in _PAIRS.items()}
# Rows come from files: what would move the cursor or ring the bell must not reach the terminal.
_CONTROLS = dict.fromkeys((*range(32), *range(127, 160)), "?")


def to_ascii(text: str) -> str:
    """Replace every character by one of ASCII, one for one; what has no counterpart becomes ``?``."""
    return text.translate(_CONTROLS).translate(_TO_ASCII).encode("ascii", "replace").decode("ascii")


def without_controls(text: str) -> str:
    """Replace control characters by ``?``."""
    return text.translate(_CONTROLS)


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

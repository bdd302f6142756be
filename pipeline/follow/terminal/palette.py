"""Colours and characters of the live view.

Colours are those of Okabe and Ito (2008), told apart by colour-blind people, on a dark ground. Nothing is said by
colour alone: every state has a sign of its own, so that the screen reads the same without any.
"""

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

"""Characters that a terminal can show: without control characters, and with those of ASCII alone."""

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

"""What the tones of a scene look like in the terminal.

Colours are those of Okabe and Ito (2008), told apart by colour-blind people, on a dark ground. Nothing is said by
colour alone: every state has a sign of its own, so that the screen reads the same without any.
"""

from pipeline.follow.scene import Tone

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
RED = "#ff7a45"  # vermillion, lighter than the original #d55e00 to be read on a dark ground
TONES: dict[Tone, str] = {
    "plain": TEXT,
    "muted": FAINT,
    "faint": DIM,
    "accent": BLUE,
    "good": GREEN,
    "warning": ORANGE,
    "bad": RED,
    "agent": f"reverse {TEXT}",
    "hue1": "#f0e442",
    "hue2": ORANGE,
    "hue3": BLUE,
    "hue4": "#cc79a7",
    "hue5": "#6c9bd9",
    "hue6": GREEN,
    "hue7": RED,
}
HEATS = ("", LINE, "#2f5d7c", "#3c86b4", BLUE)  # grounds of a heat map

"""What the figures of a comparison share: a picture before it is written, and how verdicts look."""

from collections.abc import Mapping
from dataclasses import dataclass

from matplotlib.figure import Figure as Canvas

from pipeline.look import plotting

OVERALL, BY_RECORD, BY_SLICE = "What differs", "Record by record, all at once", "Where it differs"
MAX_NAME = 28  # characters of a label on an axis

# Filled where there is something to say, hollow where there is not; shapes say which way without colours.
VERDICT_LOOKS: Mapping[str, tuple[str, str, bool]] = {
    "better": ("^", plotting.BLUE, True),
    "worse": ("v", plotting.VERMILION, True),
    "higher": ("^", plotting.PURPLE, True),
    "lower": ("v", plotting.PURPLE, True),
    "no_difference_shown": ("o", plotting.FAINT, False),
    "equal": ("D", plotting.FAINT, False),
}


@dataclass(frozen=True, kw_only=True)
class Picture:
    """A drawn canvas and what the report says about it. ``slug`` names the file."""

    slug: str
    title: str
    caption: str
    section: str
    canvas: Canvas


def short(name: str, length: int = MAX_NAME) -> str:
    """A label that came from the command line, as long as an axis has room for: labels differ at their ends."""
    flat = "".join(sign if sign.isprintable() else "\N{REPLACEMENT CHARACTER}" for sign in " ".join(name.split()))
    return flat if len(flat) <= length else f"…{flat[1 - length :]}"

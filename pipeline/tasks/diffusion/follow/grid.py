"""Images in a grid, each under what it is: for trainings and for predictions."""

import base64
from collections.abc import Sequence

from pipeline.follow.scene import Images, Line, Plane, Tone, Words

MAX_COLUMNS = 5


def plane(png: str, title: str, tone: Tone = "plain") -> Plane:
    """An image of base64, which is square, under a title."""
    return Plane(width=1.0, height=1.0, png=base64.b64decode(png), title=(Words(title, tone),))


def grid(planes: Sequence[Plane], title: Line = ()) -> Images:
    """Images in rows, as many beside each other as make the rows even."""
    rows = -(-len(planes) // MAX_COLUMNS)
    return Images(columns=-(-len(planes) // rows) if rows else 1, images=tuple(planes), title=title)

"""What a model thought before it answered: everything up to ``</think>``, and what drafts of an answer stand in it."""

import bisect
import re
from typing import NamedTuple

_TAG = re.compile(r"<(/?)think>")
_STRING = r'"[^"\\]*+(?:\\.[^"\\]*+)*+"'
# A whole object of JSON without objects in it: a tag in one of its texts is a part of that text.
_OBJECT = re.compile(rf'\{{\s*+(?:{_STRING}\s*+:\s*+(?:{_STRING}|[^"{{}}]*+)\s*+,?+\s*+)++\}}', re.DOTALL)


class Thought(NamedTuple):
    """The answer begins at ``end``; ``is_cut``: there is none, for the text ends while the model thinks."""

    end: int
    is_cut: bool


_NOTHING = Thought(0, False)


def thought(text: str) -> Thought:
    """What of ``text`` was thought. The opening tag may be missing, for many chat templates write it themselves."""
    if "think>" not in text:
        return _NOTHING
    end, is_open = 0, False
    objects = [found.span() for found in _OBJECT.finditer(text)]
    for tag in _TAG.finditer(text):
        before = bisect.bisect(objects, (tag.start(),)) - 1
        if not is_open and before >= 0 and tag.start() < objects[before][1]:
            continue
        is_open = not tag[1]
        end = end if is_open else tag.end()
    return Thought(end, is_open)

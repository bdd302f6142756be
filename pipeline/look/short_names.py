"""Names for a place that is too narrow for them: cut where they are alike, and never to the same text."""

import re
from collections.abc import Sequence
from typing import Any

CUT = "…"
SHORTEST = 6  # characters that a name may be cut to


def shortened(names: Sequence[str], length: int) -> list[str]:
    """Names of at most ``length`` characters (`SHORTEST` at least), as distinct as they came.

    What all long names share at their beginning and end is cut first, so that what tells them apart stays; names that
    are equal then, all the same, end in numbers.
    """
    length = max(length, SHORTEST)
    distinct = list(dict.fromkeys(names))
    long = [name for name in distinct if len(name) > length]
    found = {name: name for name in distinct}
    for cut in (_in_the_middle, _around_what_differs, _own_words):
        found |= dict(zip(long, cut(long, length), strict=True))
        if len({*found.values()}) == len(distinct):
            return [found[name] for name in names]
    taken = {*found.values()}
    for name in long:
        found[name] = _numbered(name, length, taken)
    return [found[name] for name in names]


def num_common(sequences: Sequence[Sequence[Any]]) -> int:
    """How many first items all sequences share."""
    same = [len({*items}) == 1 for items in zip(*sequences, strict=False)]
    return [*same, False].index(False)


def _in_the_middle(names: Sequence[str], length: int) -> list[str]:
    return [_cut(name, length) for name in names]


def _cut(name: str, length: int) -> str:
    """Beginning and end of one name."""
    if len(name) <= length:
        return name
    tail = (length - 1) // 2
    return f"{name[: length - 1 - tail]}{CUT}{name[len(name) - tail :]}"


def _around_what_differs(names: Sequence[str], length: int) -> list[str]:
    """Of what all names share a little at either end, and between what they do not, in whole words where these fit."""
    start = num_common(names)
    end = num_common([name[start:][::-1] for name in names])
    words = re.match(r"\w*", names[0][len(names[0]) - end :]) if end else None
    whole = len(re.sub(r"[^\W_]*$", "", names[0][:start])), end - (len(words[0]) if words else 0)
    fits = all(len(name) - sum(whole) <= length - 2 for name in names)
    start, end = whole if fits else (start, end)
    return [_with_ends(name, start, end, length) for name in names]


def _with_ends(name: str, start: int, end: int, length: int) -> str:
    middle = _cut(name[start : len(name) - end], length - 2)
    room = length - len(middle) - 2
    tail = min(end, room // 2)
    head = min(start, room - tail)
    left = name[:head] + (CUT if head < start else "")
    right = (CUT if tail < end else "") + name[len(name) - tail :]
    return f"{left}{middle}{right}"


def _own_words(names: Sequence[str], length: int) -> list[str]:
    """The words of each name that not all of them have."""
    words = [re.findall(r"[^\W_]+", name) for name in names]
    shared = set.intersection(*map(set, words))
    return [_cut(CUT.join(word for word in own if word not in shared) or CUT, length) for own in words]


def _numbered(name: str, length: int, taken: set[str]) -> str:
    number = 1
    while True:
        end = f"{CUT}{number}"
        text = name[: length - len(end)] + end
        if text not in taken:
            taken.add(text)
            return text
        number += 1

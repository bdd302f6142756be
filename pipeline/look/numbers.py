"""How numbers and names are written where room is short: no digit that an interval does not support, no name cut to the
text of another."""

import math
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

MAX_DECIMALS = 9
TWO_DIGITS_BELOW = 3.55  # leading digits of a half length that are rounded to two; larger ones to one
SMALLEST_LENGTH = 1e-9  # of an interval, relative to the value: below, it is rounding
CUT = "…"
SHORTEST = 6  # characters that a name may be cut to


@dataclass(frozen=True)
class Number:
    """A value as it is shown: with ``decimals``, a share in percent, ``sign`` "+" before it where that is asked for.

    ``low`` and ``high`` are the ends of its interval, if it has one; ``suffix`` stands between the two.
    """

    value: float
    low: float | None = None
    high: float | None = None
    unit: str = ""
    decimals: int = 0
    sign: str = ""
    suffix: str = ""

    @property
    def text(self) -> str:
        """The value alone."""
        return f"{self._shown(self.value)}{self.suffix}"

    @property
    def interval(self) -> str:
        """ "[low, high]", or nothing."""
        if self.low is None or self.high is None:
            return ""
        return f"[{self._shown(self.low)}, {self._shown(self.high)}]"

    def __str__(self) -> str:
        return f"{self.text} {self.interval}".rstrip()

    def _shown(self, value: float) -> str:
        return decimal(factor_of(self.unit) * value, self.decimals, self.sign)


def factor_of(unit: str) -> float:
    """Shares are shown in percent."""
    return 100.0 if unit == "share" else 1.0


def decimal(value: float, decimals: int, sign: str = "") -> str:
    """A number with that many decimals; what rounds to 0 has no minus sign."""
    shown = f"{value:{sign},.{decimals}f}"
    return shown.removeprefix("-") if float(shown.replace(",", "")) == 0.0 else shown


def decimals_supported(value: float, low: float | None, high: float | None, unit: str) -> int | None:
    """How many decimals the interval of a value supports; None where it has none, or a length of rounding errors."""
    if low is None or high is None or high - low <= SMALLEST_LENGTH * abs(value):
        return None
    return decimals_of_interval(factor_of(unit) * (high - low) / 2.0)


def decimals_of_interval(half_length: float) -> int:
    """How many decimals an interval of that half length (above 0) supports: those of its first two digits where these
    are below 36, else those of the first (the rule of the Particle Data Group, Review of Particle Physics 2024, 5.3).

    So the last place that is shown is a third to a tenth of the half length, or a whole where that is longer.
    """
    exponent = math.floor(math.log10(half_length))
    num_digits = 2 if half_length < TWO_DIGITS_BELOW * 10.0**exponent else 1
    return min(max(num_digits - 1 - exponent, 0), MAX_DECIMALS)


def decimals_of_value(value: float, num_digits: int) -> int:
    """How many decimals show ``num_digits`` significant digits of a value that has no interval; none for 0."""
    return min(max(num_digits - 1 - math.floor(math.log10(abs(value))), 0), MAX_DECIMALS) if value else 0


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


def words(key: str) -> str:
    """A key as words: "luxury_bed" is "luxury bed"."""
    return key.replace("_", " ")


def plural(count: int, noun: str) -> str:
    """ "1 training", "3 trainings"."""
    return f"{count:,} {noun}" if count == 1 else f"{count:,} {noun}s"


def one_line(text: str) -> str:
    """A text that came from a model, a file or the command line as a name: one line, and nothing unprintable."""
    return "".join(sign if sign.isprintable() else "\N{REPLACEMENT CHARACTER}" for sign in " ".join(text.split()))


def end_of(text: str, length: int) -> str:
    """The end of a name as one line: that is where ids and labels differ."""
    flat = one_line(text)
    return flat if len(flat) <= length else f"…{flat[1 - length :]}"


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

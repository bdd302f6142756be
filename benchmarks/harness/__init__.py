"""What all benchmarks share: candidates that take turns, medians, and claims with a target beside them."""

import statistics
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

Measure = Callable[[], float]
"""Does the work once and returns what was measured: seconds, unless the benchmark says otherwise."""


@dataclass(frozen=True)
class Samples:
    """What one candidate showed in each round, in round order."""

    label: str
    unit: str
    values: tuple[float, ...]

    @property
    def median(self) -> float:
        """The middle value."""
        return statistics.median(self.values)


@dataclass(frozen=True)
class Claim:
    """One figure that is promised: its value, the lowest and highest of the rounds, and the target."""

    what: str
    value: float
    low: float
    high: float
    unit: str
    target: str
    met: bool


@dataclass(frozen=True)
class Report:
    """What one benchmark showed. ``method`` says in a sentence or two what was done, ``notes`` what to read with it."""

    title: str
    method: str
    samples: Sequence[Samples]
    claims: Sequence[Claim]
    notes: Sequence[str] = field(default_factory=tuple)


def timed(work: Callable[[], object]) -> Measure:
    """A measure of ``work``: its wall time in seconds. What it returns is freed after the clock has stopped."""

    def measure() -> float:
        start = time.perf_counter()
        result = work()
        seconds = time.perf_counter() - start
        del result
        return seconds

    return measure


def take_turns(candidates: Mapping[str, Measure], rounds: int, *, warmups: int = 1) -> dict[str, list[float]]:
    """Measure every candidate once a round, each round beginning with the next one: A B, B A, A B ...

    Whatever slows the machine down for a while slows all of them. ``warmups`` rounds come first and are not kept.
    """
    names = list(candidates)
    kept: dict[str, list[float]] = {name: [] for name in names}
    for number in range(-warmups, rounds):
        first = number % len(names)
        for name in names[first:] + names[:first]:
            value = candidates[name]()
            if number >= 0:
                kept[name].append(value)
    return kept


def quotients(numerator: Sequence[float], denominator: Sequence[float]) -> list[float]:
    """Round by round, numerator over denominator."""
    return [a / b for a, b in zip(numerator, denominator, strict=True)]


def at_least(what: str, values: Sequence[float], bound: float, unit: str = "x") -> Claim:
    """A claim about the median of ``values`` (one a round): it is not below ``bound``."""
    value = statistics.median(values)
    return Claim(what, value, min(values), max(values), unit, f">= {bound:g}", value >= bound)


def at_most(what: str, values: Sequence[float], bound: float, unit: str = "x") -> Claim:
    """A claim about the median of ``values`` (one a round): it is not above ``bound``."""
    value = statistics.median(values)
    return Claim(what, value, min(values), max(values), unit, f"<= {bound:g}", value <= bound)

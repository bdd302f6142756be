"""The curves of a training as they grow, from the files beside its episodes, in as many points as a page can show."""

from bisect import bisect_right
from collections.abc import Mapping
from math import inf
from pathlib import Path
from typing import Any

import msgspec

from pipeline.files.follow import Follower, StartedOver

MAX_POINTS = 500  # of a curve: about one for every two pixels of its width
FILES = {"progress": "progress.jsonl", "monitor": "monitor.jsonl"}
Points = list[tuple[int, float]]  # step and value, in order
Curves = Mapping[str, Mapping[str, Points]]  # by file, then by name


class Curve:
    """Points of one name. When they are too many, each two become one: their mean, at the step of the second."""

    def __init__(self) -> None:
        self.points: Points = []
        self._stride, self._sum, self._count = 1, 0.0, 0

    def add(self, step: int, value: float) -> None:
        """Append a value."""
        self._sum, self._count = self._sum + value, self._count + 1
        if self._count < self._stride:
            return
        self.points.append((step, self._sum / self._count))
        self._sum, self._count = 0.0, 0
        if len(self.points) > MAX_POINTS:
            if len(self.points) % 2:  # the last one waits for its second
                self._sum, self._count = self.points.pop()[1] * self._stride, self._stride
            pairs = zip(self.points[::2], self.points[1::2], strict=True)
            self.points = [(step, (first + second) / 2) for (_, first), (step, second) in pairs]
            self._stride *= 2


class Beside:
    """Follows the files beside a tail of episodes; a file of another name has none."""

    def __init__(self, tail: Path) -> None:
        is_training = tail.name == "episodes.jsonl"
        self._files = {name: Follower(tail.with_name(file), dict) for name, file in FILES.items() if is_training}
        self._curves: dict[str, dict[str, Curve]] = {name: {} for name in self._files}
        self.generation = 0

    def look(self) -> Curves | None:
        """All curves as they are now; None where nothing has come since the last time. A file that starts over adds one
        to ``generation``."""
        grown = [name for name, file in self._files.items() if self._read(name, file)]
        if not grown:
            return None
        return {
            name: {key: list(curve.points) for key, curve in curves.items() if curve.points}
            for name, curves in self._curves.items()
        }

    def close(self) -> None:
        """Close the files."""
        for file in self._files.values():
            file.close()

    def _read(self, name: str, file: Follower[dict[str, Any]]) -> bool:
        items, curves = file.poll(), self._curves[name]
        for item in items:
            if isinstance(item, StartedOver):
                curves.clear()
                self.generation += 1
            elif isinstance(item, dict) and isinstance(step := item.get("step"), int):
                for key, value in item.items():
                    if isinstance(value, int | float) and key != "step" and not key.endswith("_index"):
                        curves.setdefault(key, Curve()).add(step, float(value))
        return bool(items)


Mark = tuple[int, ...] | None
"""How far curves were told: their generation, and the last step of each file; null for not at all."""


class Told:
    """Curves as messages. Most of those who watch were told the same before: a message is made once for all of them."""

    def __init__(self, curves: Curves, generation: int) -> None:
        self._curves, self._generation = curves, generation
        self._made: dict[Mark, tuple[str, Mark]] = {}

    def since(self, mark: Mark) -> tuple[str, Mark]:
        """The message of what is behind a mark, empty where that is nothing, and the mark that it reaches."""
        if mark not in self._made:
            self._made[mark] = self._make(mark)
        return self._made[mark]

    def _make(self, mark: Mark) -> tuple[str, Mark]:
        is_whole = mark is None or mark[0] != self._generation
        steps = [-1] * len(self._curves) if mark is None or is_whole else mark[1:]
        new = {name: _behind(group, step) for (name, group), step in zip(self._curves.items(), steps, strict=True)}
        if not any(new.values()):
            return "", mark
        ends = [max((points[-1][0] for points in group.values()), default=-1) for group in new.values()]
        message = msgspec.json.encode({"type": "curves", "whole": is_whole, **new}).decode()
        return message, (self._generation, *(max(pair) for pair in zip(steps, ends, strict=True)))


def _behind(curves: Mapping[str, Points], step: int) -> dict[str, Points]:
    """The points behind a step, curves without any left out."""
    new = {name: points[bisect_right(points, (step, inf)) :] for name, points in curves.items()}
    return {name: points for name, points in new.items() if points}

"""Metrics over the parts of all records together, such as average precision, of several files over the same records.

A resample is how often each record counts, the same for all files. For the test, two files are measured together, one
after the other, and a permutation is a choice of one of the two answers for each record.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import msgspec
import numpy as np
from numpy.typing import NDArray

from pipeline.compare.pairs import Settings, once
from pipeline.records.join import Joined, Slice
from pipeline.records.measured import Ints, Task
from pipeline.stats import Floats
from pipeline.stats.intervals import chunks, draw_counts

MAX_WEIGHTS = 2**22  # of int32 at a time: 16 MiB
Weights = NDArray[np.int32]
Pooled = Callable[[Weights], Mapping[str, Floats]]


@dataclass
class PooledFigures:
    """Figures of the joined records, and of those of a slice."""

    task: Task
    joined: Joined
    settings: Settings
    _together: dict[tuple[str, str], Pooled] = field(default_factory=dict)

    def value(self, label: str, name: str, part: Slice) -> float:
        """The figure of one file; NaN where it is undefined."""
        return float(self._figures(label, self._ones(part.chosen)[None])[name][0])

    @once
    def resampled(self, label: str, part: Slice) -> Mapping[str, Floats]:
        """The figures of one file over each resample: [B] by name, NaN where one is undefined."""
        return _merged(self._figures(label, weights) for weights in self._draws(part.chosen))

    @once
    def permuted(self, label: str, baseline: str, part: Slice) -> Mapping[str, Floats]:
        """Differences of the figures after random swaps of records: [P] by name."""
        together, among = self._pair(label, baseline), self._ones(part.chosen)
        generator, found = self.settings.generator("swaps"), []
        for rows in chunks(self.settings.num_pooled_permutations, 4 * len(among), MAX_WEIGHTS):
            stays = generator.integers(2, size=(rows, len(among)), dtype=np.int32) * among
            weights = np.concatenate([np.hstack([stays, among - stays]), np.hstack([among - stays, stays])])
            figures = together(weights)
            found.append({name: values[:rows] - values[rows:] for name, values in figures.items()})
        return _merged(found)

    @once
    def changes(self, label: str, baseline: str) -> tuple[Ints, Mapping[str, Floats]]:
        """For each record on which the answers differ: its index, and the figures less those with this one answer
        taken from the baseline."""
        different = np.flatnonzero(self.differs(label, baseline))
        if not len(different):
            return different, {}
        together, whole = self._pair(label, baseline), self._ones(None)
        as_it_is = together(np.hstack([whole, 0 * whole])[None])
        found, done = [], 0
        for rows in chunks(len(different), 2 * len(whole), MAX_WEIGHTS):
            weights = np.repeat(np.hstack([whole, 0 * whole])[None], rows, axis=0)
            index, record = np.arange(rows), different[done : done + rows]
            weights[index, record] = 0
            weights[index, record + len(whole)] = 1
            found.append({name: as_it_is[name] - values for name, values in together(weights).items()})
            done += rows
        return different, _merged(found)

    @once
    def differs(self, label: str, baseline: str) -> NDArray[np.bool_]:
        """Whether the two answers to each joined record are not the same, whatever the model is called: bool [M]."""
        pairs = zip(self._rows(label), self._rows(baseline), strict=True)
        found = [one != msgspec.structs.replace(other, model=one.model) for one, other in pairs]
        return np.array(found, np.bool_)

    def _rows(self, label: str) -> list[Any]:
        """The rows of the joined records. Pooled figures have no worst record, so that no file lacks one."""
        return self.joined.files[label].rows_at(self.task, self.joined.positions[label])

    def _pair(self, label: str, baseline: str) -> Pooled:
        """Figures of weights [B, 2 M]: the records of ``label``, then those of ``baseline``."""
        if (label, baseline) not in self._together:
            rows = [*self._rows(label), *self._rows(baseline)]
            measured = self.task.measure(rows, self.joined.files[label].path)
            assert measured.pooled is not None
            self._together = {(label, baseline): measured.pooled}  # of one pair at a time: it may be large
        return self._together[label, baseline]

    def _figures(self, label: str, weights: Weights) -> Mapping[str, Floats]:
        """Figures of one file, of weights [B, M] of the joined records."""
        return self.joined.files[label].figures(weights, self.joined.positions[label])

    def _ones(self, chosen: Ints | None) -> Weights:
        """Weights [M] that count each chosen record once."""
        weights = np.zeros(len(self.joined.ids), np.int32)
        weights[slice(None) if chosen is None else chosen] = 1
        return weights

    def _draws(self, chosen: Ints | None) -> Iterator[Weights]:
        """Weights [rows, M] of the resamples, in chunks; strata keep their sizes."""
        among = np.arange(len(self.joined.ids)) if chosen is None else chosen
        strata = None if self.joined.strata is None else self.joined.strata[among]
        generator, num = self.settings.generator("pooled"), self.settings.num_resamples
        for counts in draw_counts(len(among), generator, num, strata, MAX_WEIGHTS):
            weights = np.zeros((len(counts), len(self.joined.ids)), np.int32)
            weights[:, among] = counts
            yield weights


def _merged(parts: Iterable[Mapping[str, Floats]]) -> dict[str, Floats]:
    """Figures of chunks, one after the other."""
    found = list(parts)
    return {name: np.concatenate([part[name] for part in found]) for name in found[0]}

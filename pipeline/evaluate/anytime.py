"""Metrics of predictions that are still being written, each with a confidence sequence: one may look at any time.

How each metric is followed depends on how it is aggregated (`RecordMetric.statistic`):

- "mean" and "rate" of values with bounds: `BoundedMean`, which holds exactly; without bounds `MeanSequence`, in the
  limit of many records.
- "median": `MedianSequence`, which holds exactly.
- "iqm" and "pooled" (average precision): `EstimateSequence`, in the limit of many records. The spread of an
  interquartile mean comes from its influence terms, that of a pooled figure from `NUM_RESAMPLES` bootstrap resamples.

The last two lines cost as much as all records so far, so they are looked at again each time the records have grown by a
few percent, at counts that do not depend on how the records arrive, and once at the end.
"""

import math
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from difflib import get_close_matches
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from pipeline.contract.load import load_part
from pipeline.contract.metrics import Measurements, RecordMetric
from pipeline.contract.parts import EvaluatePart, RowsPart
from pipeline.errors import UserError
from pipeline.files import read_all
from pipeline.records.measured import Task
from pipeline.stats.intervals import Interval
from pipeline.stats.metrics import Floats, interquartile_mean, interquartile_mean_terms
from pipeline.stats.sequences import (
    BoundedMean,
    EstimateSequence,
    MeanSequence,
    MedianSequence,
    SequenceOptions,
)

NUM_RESAMPLES = 200  # the spread is then known to 5 %: 1 / sqrt(2 * 200)
_NUM_ROWS = 50  # resamples at a time
_LOOK_GROWTH = {"median": 1.02, "iqm": 1.02, "pooled": 1.1}
_NUM_DEFAULT = 3  # metrics that are followed when none is named

_Measure = Callable[[Sequence[Any]], Measurements]


@dataclass(frozen=True, kw_only=True)
class AnytimeJob:
    """What is followed. ``metrics`` are "name" or "name:statistic", none for the task's main ones; ``options`` is the
    section ``evaluate`` of the recipe. With ``against``, a finished predictions file, metrics are differences to it,
    over the records that both have; what a record was asked and is judged by must be the same in both."""

    task: str
    options: Any
    metrics: Sequence[str] = ()
    against: Path | None = None
    sequence: SequenceOptions = field(default_factory=SequenceOptions)


@dataclass(frozen=True, kw_only=True)
class Reading:
    """A metric after ``num_records`` scored records; no interval while there are too few. ``is_coherent`` is False once
    the intervals of two moments had nothing in common: the records drift, or the rare error has happened."""

    metric: RecordMetric
    value: float
    interval: Interval | None
    num_records: int
    is_coherent: bool


@dataclass(frozen=True, kw_only=True)
class _Batch:
    """Scored records and their values by metric; with a baseline, its records and values in the same order."""

    rows: Sequence[Any]
    values: Mapping[str, Floats]
    base_rows: Sequence[Any]
    base_values: Mapping[str, Floats] | None

    def change(self, name: str) -> Floats:
        """The values, less those of the baseline where there is one."""
        return self.values[name] - self.base_values[name] if self.base_values is not None else self.values[name]


class _Tracker(Protocol):
    def take(self, batch: _Batch) -> None: ...

    def finish(self) -> None: ...

    def readings(self) -> Sequence[Reading]: ...


class Anytime:
    """Takes rows as they come and says, at any time, what the metrics are and how sure that is.

    Raises UserError for a metric that the task does not have, or that has no sequence, and for a baseline of other
    records than those that come: they have the same ids, and another truth.
    """

    def __init__(self, job: AnytimeJob) -> None:
        self._job = job
        self._part = load_part(job.task, EvaluatePart)
        self._task = Task(job.task, job.options)
        for text in job.metrics:
            self._check_name(text)
        self._base: dict[str, tuple[Any, int]] = {}
        self._base_measured: Measurements | None = None
        if job.against is not None:
            self._read_base(job.against)
        self.start_over()

    def start_over(self) -> None:
        """Forget all records: the file has become another one."""
        self.num_records, self.num_scored, self.num_unpaired = 0, 0, 0
        self._trackers: list[_Tracker] = []

    def take(self, rows: Sequence[Any]) -> None:
        """The next rows of the file, in its order."""
        self.num_records += len(rows)
        if self._base_measured is not None:
            paired = [row for row in rows if row.id in self._base]
            self.num_unpaired += len(rows) - len(paired)
            rows = paired
            self._task.refuse_other_truth([(row, self._base[row.id][0]) for row in rows], str(self._job.against))
        if not rows:
            return
        measured = self._part.measure_records(rows, self._job.options)
        if not self._trackers:
            self._trackers = list(_make_trackers(self._job, measured, self._measure))
        batch = self._scored(rows, measured)
        self.num_scored += len(batch.rows)
        if batch.rows:
            for tracker in self._trackers:
                tracker.take(batch)

    def finish(self) -> None:
        """No more rows: metrics that are not looked at after every record are looked at once more."""
        for tracker in self._trackers:
            tracker.finish()

    def readings(self) -> list[Reading]:
        """The metrics in the order asked for; none before the first scored record."""
        return [reading for tracker in self._trackers for reading in tracker.readings()]

    def reading_of(self, text: str) -> Reading | None:
        """The metric that "name" or "name:statistic" means, among those that are followed."""
        return next((reading for reading in self.readings() if _is_called(reading.metric, text)), None)

    def unit_of(self, name: str) -> str:
        """Unit of a metric, from the glossary."""
        return next((entry.unit for entry in self._part.glossary if entry.name == name), "")

    def _measure(self, rows: Sequence[Any]) -> Measurements:
        return self._part.measure_records(rows, self._job.options)

    def _scored(self, rows: Sequence[Any], measured: Measurements) -> _Batch:
        keep = measured.scored.copy()
        base_rows: list[Any] = []
        base_values = None
        if (base := self._base_measured) is not None:
            places = np.array([self._base[row.id][1] for row in rows])
            keep &= base.scored[places]
            base_rows = [self._base[row.id][0] for row, kept in zip(rows, keep, strict=True) if kept]
            base_values = {name: values[places[keep]] for name, values in base.values.items()}
        return _Batch(
            rows=[row for row, kept in zip(rows, keep, strict=True) if kept],
            values={name: values[keep] for name, values in measured.values.items()},
            base_rows=base_rows,
            base_values=base_values,
        )

    def _read_base(self, path: Path) -> None:
        rows = read_all(path, load_part(self._job.task, RowsPart).prediction)
        if not rows:
            raise UserError("there are no predictions in it", where=str(path))
        (id, count), *_ = Counter(row.id for row in rows).most_common(1)
        if count > 1:
            what = f"the id {id!r} stands {count} times in the baseline"
            raise UserError(what, where=str(path), remedy="keep one prediction for each record")
        self._base = {row.id: (row, index) for index, row in enumerate(rows)}
        self._base_measured = self._measure(rows)

    def _check_name(self, text: str) -> None:
        names = [entry.name for entry in self._part.glossary]
        if text.partition(":")[0] not in names:
            raise UserError(
                f"{self._job.task} has no metric {text.partition(':')[0]!r}",
                where=text,
                remedy=f"use one of: {', '.join(get_close_matches(text, names, cutoff=0.0))}",
            )


def _is_called(metric: RecordMetric, text: str) -> bool:
    name, _, statistic = text.partition(":")
    return metric.name == name and statistic in ("", metric.statistic)


def _chosen(job: AnytimeJob, known: Sequence[RecordMetric]) -> list[RecordMetric]:
    if not job.metrics:
        return list(known[:_NUM_DEFAULT])
    found = []
    for text in job.metrics:
        metric = next((metric for metric in known if _is_called(metric, text)), None)
        if metric is None:
            choices = ", ".join(f"{metric.name}:{metric.statistic}" for metric in known)
            raise UserError("this metric cannot be followed", where=text, remedy=f"use one of: {choices}")
        if metric not in found:
            found.append(metric)
    return found


def _make_trackers(job: AnytimeJob, measured: Measurements, measure: _Measure) -> Iterator[_Tracker]:
    pooled = []
    for metric in _chosen(job, measured.metrics):
        if metric.statistic in ("mean", "rate"):
            yield _MeanTracker(metric, job, measured.bounds.get(metric.name))
        elif metric.statistic == "iqm" or (metric.statistic == "median" and job.against is None):
            yield _LookTracker(metric, job)
        elif metric.statistic == "pooled":
            pooled.append(metric)
        else:
            what = f"there is no confidence sequence for the difference of a {metric.statistic}"
            raise UserError(what, where=f"{metric.name}:{metric.statistic}", remedy="follow its mean, or its iqm")
    if pooled:
        yield _PooledTracker(pooled, job, measure)


class _MeanTracker:
    """A mean or a rate, or the difference of two."""

    def __init__(self, metric: RecordMetric, job: AnytimeJob, bounds: tuple[float, float] | None) -> None:
        self._metric = metric
        self._num, self._sum = 0, 0.0
        self._interval: Interval | None = None
        self._sequence: BoundedMean | MeanSequence = MeanSequence(job.sequence)
        if bounds is not None:
            low, high = bounds
            edges = (low - high, high - low) if job.against else (low, high)
            self._sequence = BoundedMean(*edges, job.sequence)

    def take(self, batch: _Batch) -> None:
        values = batch.change(self._metric.name)
        self._num, self._sum = self._num + len(values), self._sum + float(values.sum())
        self._interval = self._sequence.take(values)

    def finish(self) -> None:
        """Nothing is left to do."""

    def readings(self) -> list[Reading]:
        value = self._interval.value if self._interval else self._sum / max(1, self._num)
        return [_reading(self._metric, value, self._interval, self._sequence)] if self._num else []


class _Looks:
    """When to look again: at ``num_first`` records, then whenever they have grown by some percent."""

    def __init__(self, job: AnytimeJob, statistic: str) -> None:
        self.next = job.sequence.num_first
        self._growth = _LOOK_GROWTH[statistic]

    def advance(self) -> None:
        """Set the next look behind this one."""
        self.next = math.ceil(self.next * self._growth)


class _LookTracker:
    """A median, or an interquartile mean or the difference of two, of all values so far."""

    def __init__(self, metric: RecordMetric, job: AnytimeJob) -> None:
        self._metric, self._looks = metric, _Looks(job, metric.statistic)
        self._first: Floats = np.empty(0)
        self._second: Floats | None = np.empty(0) if job.against else None
        median = metric.statistic == "median"
        self._sequence = MedianSequence(job.sequence) if median else EstimateSequence(job.sequence)
        self._seen: Reading | None = None

    def take(self, batch: _Batch) -> None:
        self._first = np.concatenate([self._first, batch.values[self._metric.name]])
        if self._second is not None and batch.base_values is not None:
            self._second = np.concatenate([self._second, batch.base_values[self._metric.name]])
        while len(self._first) >= self._looks.next:
            self._look(self._looks.next)
            self._looks.advance()

    def finish(self) -> None:
        if len(self._first):
            self._look(len(self._first))

    def readings(self) -> list[Reading]:
        return [self._seen] if self._seen else []

    def _look(self, num: int) -> None:
        values = self._first[:num]
        if isinstance(self._sequence, MedianSequence):
            interval: Interval | None = self._sequence.look(values)
            self._seen = _reading(self._metric, float(np.median(values)), interval, self._sequence)
            return
        value, terms = float(interquartile_mean(values)), interquartile_mean_terms(values)
        if self._second is not None:
            base = self._second[:num]
            value, terms = value - float(interquartile_mean(base)), terms - interquartile_mean_terms(base)
        interval = self._sequence.update(value, float(terms.std()), num)
        self._seen = _reading(self._metric, value, interval, self._sequence)


class _PooledTracker:
    """Figures over the parts of all records together, or the differences of two of them, measured anew at each look."""

    def __init__(self, metrics: Sequence[RecordMetric], job: AnytimeJob, measure: _Measure) -> None:
        self._metrics, self._measure, self._paired = metrics, measure, job.against is not None
        self._looks = _Looks(job, "pooled")
        self._rows: list[Any] = []
        self._base_rows: list[Any] = []
        self._sequences = {metric.name: EstimateSequence(job.sequence) for metric in metrics}
        self._seen: dict[str, Reading] = {}

    def take(self, batch: _Batch) -> None:
        self._rows += batch.rows
        self._base_rows += batch.base_rows
        while len(self._rows) >= self._looks.next:
            self._look(self._looks.next)
            self._looks.advance()

    def finish(self) -> None:
        if self._rows:
            self._look(len(self._rows))

    def readings(self) -> list[Reading]:
        return [self._seen[metric.name] for metric in self._metrics if metric.name in self._seen]

    def _look(self, num: int) -> None:
        sides = [self._measure(self._rows[:num]).pooled]
        if self._paired:
            sides.append(self._measure(self._base_rows[:num]).pooled)
        found: dict[str, list[Floats]] = {metric.name: [] for metric in self._metrics}
        for weights in _weights(num):
            figures = [pooled(weights) for pooled in sides if pooled is not None]
            for name, parts in found.items():
                parts.append(figures[0][name] - figures[1][name] if self._paired else figures[0][name])
        for metric in self._metrics:
            self._see(metric, np.concatenate(found[metric.name]), num)

    def _see(self, metric: RecordMetric, figures: Floats, num: int) -> None:
        """``figures`` are that of all records, and those of the resamples."""
        value, resampled = float(figures[0]), figures[1:][np.isfinite(figures[1:])]
        if not math.isfinite(value):
            return
        sequence = self._sequences[metric.name]
        interval = None
        if len(resampled) > len(figures) / 2:  # else the figure is undefined for most of what the records might be
            interval = sequence.update(value, float(resampled.std()) * math.sqrt(num), num)
        self._seen[metric.name] = _reading(metric, value, interval, sequence, num)


def _weights(num: int) -> Iterator[Any]:
    """int32 [B, N]: every record once, then how often it is in each resample. The same records, the same resamples."""
    yield np.ones((1, num), np.int32)
    generator = np.random.default_rng(num)
    for _ in range(0, NUM_RESAMPLES, _NUM_ROWS):
        drawn = generator.integers(num, size=(_NUM_ROWS, num)) + np.arange(_NUM_ROWS)[:, None] * num
        yield np.bincount(drawn.ravel(), minlength=_NUM_ROWS * num).reshape(_NUM_ROWS, num).astype(np.int32)


def _reading(
    metric: RecordMetric,
    value: float,
    interval: Interval | None,
    sequence: BoundedMean | EstimateSequence,
    num: int | None = None,
) -> Reading:
    return Reading(
        metric=metric,
        value=value,
        interval=interval,
        num_records=sequence.num_records if num is None else num,
        is_coherent=sequence.is_coherent,
    )


__all__ = ["Anytime", "AnytimeJob", "Reading"]

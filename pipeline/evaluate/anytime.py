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
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from pipeline.contract.metrics import Measurements, RecordMetric
from pipeline.errors import UserError
from pipeline.records.join import refuse_other_truth
from pipeline.records.measured import POOLED, Task, choose_metrics
from pipeline.records.read import read_records, records_of
from pipeline.stats.intervals import Interval, draw_counts
from pipeline.stats.metrics import Floats, interquartile_mean, interquartile_mean_terms
from pipeline.stats.sequences import BoundedMean, EstimateSequence, MeanSequence, MedianSequence, SequenceOptions

NUM_RESAMPLES = 200  # the spread is then known to 5 %: 1 / sqrt(2 * 200)
_NUM_ROWS = 50  # resamples at a time
_LOOK_GROWTH = {"median": 1.02, "iqm": 1.02, POOLED: 1.1}
_NUM_DEFAULT = 3  # metrics that are followed when none is named


@dataclass(frozen=True, kw_only=True)
class AnytimeJob:
    """What is followed: the file ``path``. ``metrics`` are "name" or "name:statistic", none for the task's main ones;
    ``options`` is the section ``evaluate`` of the recipe. With ``against``, a finished predictions file, metrics are
    differences to it, over the records that both have; what a record was asked and is judged by must be the same in
    both."""

    task: str
    path: Path
    options: Any
    metrics: Sequence[str] = ()
    against: Path | None = None
    sequence: SequenceOptions = field(default_factory=SequenceOptions)


@dataclass(frozen=True)
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
    """Scored records of one side, or of two in the same order: values by metric, and the predictions themselves."""

    values: Sequence[Mapping[str, Floats]]
    rows: Sequence[Sequence[Any]]


class _Tracker:
    """Follows ``metrics``; ``_seen`` is what is known of each now."""

    def __init__(self, metrics: Sequence[RecordMetric], job: AnytimeJob) -> None:
        self._metrics = metrics
        self._num, self._num_sides = 0, 2 if job.against else 1
        self._seen: dict[str, Reading] = {}

    def take(self, batch: _Batch) -> None:
        """The next records."""
        raise NotImplementedError

    def finish(self) -> None:
        """There are no more."""

    def readings(self) -> list[Reading]:
        return [self._seen[metric.name] for metric in self._metrics if metric.name in self._seen]


class Anytime:
    """Takes rows as they come and says, at any time, what the metrics are and how sure that is.

    Raises UserError for a metric that the task does not have, or that has no sequence, and for a baseline of other
    records than those that come: they have the same ids, and another truth.
    """

    def __init__(self, job: AnytimeJob) -> None:
        self.job, self.task = job, Task(job.task, job.options)
        self._glossary = self.task.glossary
        for text in job.metrics:
            self.task.definition(text.partition(":")[0], where=text)
        self._base = read_records(self.task, "the baseline", job.against) if job.against else None
        self._places = {id: place for place, id in enumerate(self._base.ids)} if self._base else {}
        self.start_over()

    def start_over(self) -> None:
        """Forget all records: the file has become another one."""
        self.num_records, self.num_scored, self.num_unpaired = 0, 0, 0
        self._trackers: list[_Tracker] = []

    def take(self, rows: Sequence[Any]) -> None:
        """The next rows of the file, in its order."""
        self.num_records += len(rows)
        if self._base is not None:
            paired = [row for row in rows if row.id in self._places]
            self.num_unpaired += len(rows) - len(paired)
            rows = paired
        if not rows:
            return
        measured, batch = self._measured(rows)
        if not self._trackers:
            self._trackers = list(_make_trackers(self.job, self.task, measured))
        num_scored = len(batch.rows[0])
        self.num_scored += num_scored
        if num_scored:
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
        name, _, statistic = text.partition(":")
        found = (one for one in self.readings() if one.metric.name == name)
        return next((one for one in found if statistic in ("", one.metric.statistic)), None)

    def unit_of(self, name: str) -> str:
        """Unit of a metric, from the glossary."""
        return self._glossary[name].unit if name in self._glossary else ""

    def _measured(self, rows: Sequence[Any]) -> tuple[Measurements, _Batch]:
        """What the rows measured; and of those that are scored, on both sides, what is followed."""
        now, base = records_of(self.task, "the predictions", self.job.path, rows), self._base
        keep = now.measured.scored
        places = np.array([self._places.get(id, -1) for id in now.ids])
        if base is not None:
            refuse_other_truth(self.task, (now, np.arange(len(rows))), (base, places))
            keep = keep & base.measured.scored[places]
        sides = [(now, np.flatnonzero(keep)), *([(base, places[keep])] if base is not None else [])]
        return now.measured, _Batch(
            values=[{name: column[at] for name, column in one.measured.values.items()} for one, at in sides],
            rows=[[one.rows[place] for place in at.tolist()] if one.rows is not None else [] for one, at in sides],
        )


def _make_trackers(job: AnytimeJob, task: Task, measured: Measurements) -> Iterator[_Tracker]:
    pooled = []
    for metric in choose_metrics(measured.metrics, job.metrics, _NUM_DEFAULT):
        if metric.statistic in ("mean", "rate"):
            yield _MeanTracker(metric, job, measured.bounds.get(metric.name))
        elif metric.statistic == "iqm" or (metric.statistic == "median" and job.against is None):
            yield _ValueTracker(metric, job)
        elif metric.statistic == POOLED:
            pooled.append(metric)
        else:
            what = f"there is no confidence sequence for the difference of a {metric.statistic}"
            raise UserError(what, where=f"{metric.name}:{metric.statistic}", remedy="follow its mean, or its iqm")
    if pooled:
        yield _PooledTracker(pooled, job, task)


def _change(sides: Sequence[Any]) -> Any:
    """What was found of the one side, less what was found of the baseline where there is one."""
    return sides[0] - sides[1] if len(sides) > 1 else sides[0]


class _MeanTracker(_Tracker):
    """A mean or a rate, or the difference of two."""

    def __init__(self, metric: RecordMetric, job: AnytimeJob, bounds: tuple[float, float] | None) -> None:
        super().__init__([metric], job)
        self._sum = 0.0
        self._sequence: BoundedMean | MeanSequence = MeanSequence(job.sequence)
        if bounds is not None:
            low, high = bounds
            edges = (low - high, high - low) if job.against else (low, high)
            self._sequence = BoundedMean(*edges, job.sequence)

    def take(self, batch: _Batch) -> None:
        (metric,) = self._metrics
        values = _change([side[metric.name] for side in batch.values])
        self._num, self._sum = self._num + len(values), self._sum + float(values.sum())
        interval = self._sequence.take(values)
        value = interval.value if interval else self._sum / self._num
        self._seen[metric.name] = Reading(metric, value, interval, self._num, self._sequence.is_coherent)


class _Looking(_Tracker):
    """What is looked at as a whole: at ``num_first`` records, then whenever they have grown by some percent."""

    def __init__(self, metrics: Sequence[RecordMetric], job: AnytimeJob) -> None:
        super().__init__(metrics, job)
        self._next = job.sequence.num_first
        self._growth = _LOOK_GROWTH[metrics[0].statistic]

    def take(self, batch: _Batch) -> None:
        self._keep(batch)
        self._num += len(batch.rows[0])
        while self._num >= self._next:
            self._look(self._next)
            self._next = math.ceil(self._next * self._growth)

    def finish(self) -> None:
        if self._num:
            self._look(self._num)

    def _keep(self, batch: _Batch) -> None:
        raise NotImplementedError

    def _look(self, num: int) -> None:
        """See the figures over the first ``num`` records."""
        raise NotImplementedError


class _ValueTracker(_Looking):
    """A median, or an interquartile mean or the difference of two, of all values so far."""

    def __init__(self, metric: RecordMetric, job: AnytimeJob) -> None:
        super().__init__([metric], job)
        self._metric = metric
        self._values: list[Floats] = [np.empty(0)] * self._num_sides
        median = metric.statistic == "median"
        self._sequence = MedianSequence(job.sequence) if median else EstimateSequence(job.sequence)

    def _keep(self, batch: _Batch) -> None:
        news = (side[self._metric.name] for side in batch.values)
        self._values = [np.concatenate([old, new]) for old, new in zip(self._values, news, strict=True)]

    def _look(self, num: int) -> None:
        sides = [values[:num] for values in self._values]
        if isinstance(self._sequence, MedianSequence):
            value = float(np.median(sides[0]))
            interval: Interval | None = self._sequence.look(sides[0])
        else:
            value = _change([float(interquartile_mean(values)) for values in sides])
            terms = _change([interquartile_mean_terms(values) for values in sides])
            interval = self._sequence.update(value, float(terms.std()), num)
        self._seen[self._metric.name] = Reading(self._metric, value, interval, num, self._sequence.is_coherent)


class _PooledTracker(_Looking):
    """Figures over the parts of all records together, or the differences of two of them, measured anew at each look."""

    def __init__(self, metrics: Sequence[RecordMetric], job: AnytimeJob, task: Task) -> None:
        super().__init__(metrics, job)
        self._path, self._task = job.path, task
        self._rows: list[list[Any]] = [[] for _ in range(self._num_sides)]
        self._sequences = {metric.name: EstimateSequence(job.sequence) for metric in metrics}

    def _keep(self, batch: _Batch) -> None:
        for kept, new in zip(self._rows, batch.rows, strict=True):
            kept += new

    def _look(self, num: int) -> None:
        sides = [self._task.measure(rows[:num], self._path).pooled for rows in self._rows]
        found: dict[str, list[Floats]] = {metric.name: [] for metric in self._metrics}
        generator = np.random.default_rng(num)  # the same records, the same resamples
        drawn = draw_counts(num, generator, NUM_RESAMPLES, num_elements=_NUM_ROWS * num)
        for weights in (np.ones((1, num), np.int32), *drawn):
            figures = [pooled(weights) for pooled in sides if pooled is not None]
            for name, parts in found.items():
                parts.append(_change([side[name] for side in figures]))
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
        self._seen[metric.name] = Reading(metric, value, interval, num, sequence.is_coherent)

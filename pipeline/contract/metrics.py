"""What a task's evaluate says: metrics, what single records contribute to them, and the table that evaluate shows."""

from collections import Counter
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from pipeline.errors import UserError
from schemas.rows import Better, Metric, Score

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from pipeline.stats import Interval


@dataclass(frozen=True)
class MetricDefinition:
    """One entry of the glossary, from which docs/metrics.md is generated."""

    name: str
    unit: str
    better: Better
    definition: str


@dataclass(frozen=True)
class RecordSlice:
    """What a metric is taken over: the ``num_records`` records whose ``by`` is ``value``; both are "all" for all."""

    by: str
    value: str
    num_records: int


def metric_row(
    task: str, definition: MetricDefinition, what: tuple[str, str], records: RecordSlice, value: "Interval | float"
) -> Metric:
    """The row of a metric: ``what`` is its statistic and its subject. A number by itself has no interval."""
    statistic, subject = what
    interval = None if isinstance(value, float) else value
    where = records.by if records.by == "all" else f"{records.by}={records.value}"
    return Metric(
        task=task,
        id=f"{where}/{subject}/{definition.name}/{statistic}",
        name=definition.name,
        statistic=statistic,
        subject=subject,
        slice_by=records.by,
        slice_value=records.value,
        value=value if isinstance(value, float) else value.value,
        low=interval.low if interval else None,
        high=interval.high if interval else None,
        confidence=interval.confidence if interval else None,
        interval=interval.method if interval else None,
        unit=definition.unit,
        better=definition.better,
        num_records=records.num_records,
    )


def refuse_mixed(ids: Iterable[str], models: Collection[str]) -> None:
    """Raises UserError where an id occurs twice, or predictions are of several models: they are of several files."""
    for id, count in Counter(ids).most_common(1):
        if count > 1:
            raise UserError(f"the id {id!r} stands {count} times", remedy="keep one prediction for each record")
    if len(models) > 1:
        raise UserError(
            f"these are predictions of {len(models)} models: {', '.join(sorted(models))}",
            remedy="keep one file for each model, and give each with an --input of its own",
        )


@dataclass(frozen=True)
class Evaluation:
    """Scores (one per record and subject), the metrics over them, and sentences that a user should read about them."""

    scores: Sequence[Score]
    metrics: Sequence[Metric]
    remarks: Sequence[str] = ()


@dataclass(frozen=True)
class RecordMetric:
    """A metric that can be taken of any weighting of records: its name in the glossary and how records are aggregated.

    ``statistic`` is "mean", "rate", "median" or "iqm" of the metric's values by record, or "pooled" for what is taken
    over the parts of all records together, as average precision is.
    """

    name: str
    statistic: str


@dataclass(frozen=True, kw_only=True)
class Measurements:
    """What N predictions are compared, gated and followed by, each in the order in which they were given.

    ``values[name]`` is float64 [N], finite where ``scored``. ``scored`` is bool [N]: records that are not (errors, if
    the task leaves them out) count in no metric. ``metrics`` are all that can be asked for, the main one first.
    ``slices[key][n]`` is the value of ``key`` for record n, None where it has none. ``strata[n]`` names the stratum of
    record n, where records are to be resampled by stratum; names can be sorted. ``pooled(weights)`` takes int32 [B, N],
    how often each record counts in each of B cases, and returns float64 [B] for the name of each pooled metric, NaN
    where it is undefined. ``bounds[name]`` are the least and the largest value that a record can have, where there are
    such.
    """

    values: Mapping[str, "NDArray[np.float64]"]
    scored: "NDArray[np.bool_]"
    metrics: Sequence[RecordMetric]
    slices: Mapping[str, Sequence[str | None]] = field(default_factory=dict)
    strata: Sequence[Any] | None = None
    pooled: "Callable[[NDArray[np.int32]], Mapping[str, NDArray[np.float64]]] | None" = None
    bounds: Mapping[str, tuple[float, float]] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class TableColumn:
    """One column of the table that evaluate shows: a metric, one of its statistics, and what stands above it."""

    metric: str
    statistic: str
    heading: str

    def shows(self, metric: Metric) -> bool:
        """Whether it is that metric, of any subject and over any slice."""
        return (metric.name, metric.statistic) == (self.metric, self.statistic)


@dataclass(frozen=True, kw_only=True)
class TableNote:
    """A sentence below the table, shown where the count ``metric`` over all records is not 0.

    ``{value}`` and ``{num_records}`` in it stand for the count and the number of records, ``{parts}`` for the counts of
    the same metric in the slices by ``by``, the largest first ("no_desc 12, zero_area 1").
    """

    metric: str
    text: str
    by: str = ""


ERRORS_LEFT_OUT = TableNote(
    metric="num_errors",
    text="WARNING: {value} of {num_records} records have an error and are left out of every other metric.",
)


@dataclass(frozen=True, kw_only=True)
class TableLayout:
    """The table that evaluate shows: its columns, the subject that is the bar to pass, and notes. A task
    without one gets a column for each of its first metrics. ``slice_subjects`` are those that the tables of slices
    show; None for all."""

    columns: Sequence[TableColumn] = ()
    bar: str | None = None
    slice_subjects: Sequence[str] | None = None
    notes: Sequence[TableNote] = (ERRORS_LEFT_OUT,)

    def shows(self, metric: Metric) -> bool:
        """Whether a column shows it: it is one of the main metrics."""
        return any(column.shows(metric) for column in self.columns)

"""Joined files to rows: what each metric of each pair of files differs by, and what may be said about it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from itertools import combinations
from typing import Any

import msgspec
import numpy as np

from pipeline import stats
from pipeline.compare.pairs import SWAPS, PairedColumns, Settings, once, permutation_test, share_as_large
from pipeline.compare.pooled import PooledFigures
from pipeline.contract.metrics import MetricDefinition, RecordMetric
from pipeline.records.join import Joined, Slice
from pipeline.records.measured import POOLED, Task
from pipeline.stats import Floats, Interval
from schemas.comparison import Comparison, Mover, Verdict
from schemas.rows import Better

CHANCE = "probability_of_improvement"
# what is said record by record, and of figures over the parts of all records together is not there
BY_RECORD = (
    "effect_size",
    "win_rate",
    CHANCE,
    f"{CHANCE}_low",
    f"{CHANCE}_high",
    "num_better",
    "num_worse",
    "num_equal",
)

LEAST_DEFINED = 0.5  # of the resamples: with fewer, a pooled figure has no interval


@dataclass
class Judge:
    """Compares joined files. ``definitions`` are the task's glossary by name; ``steps`` the training steps of all files
    by label, in the order of the files, where they are checkpoints of one training, else empty."""

    task: Task
    joined: Joined
    metrics: Sequence[RecordMetric]
    definitions: Mapping[str, MetricDefinition]
    settings: Settings
    steps: Mapping[str, int] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.pooled = PooledFigures(self.task, self.joined, self.settings)

    @property
    def labels(self) -> list[str]:
        """What is compared, in its order: the files."""
        return self.joined.labels

    def by_record(self, label: str, name: str) -> Floats:
        """A measure of each joined record: [M]."""
        return self.joined.values[label][name]

    def value(self, label: str, metric: RecordMetric, part: Slice) -> float:
        """The metric of one file over a slice; NaN where it is undefined."""
        if metric.statistic == POOLED:
            return self.pooled.value(label, metric.name, part)
        return self.columns(part).value(label, metric.name, metric.statistic)

    def resampled(self, label: str, metric: RecordMetric, part: Slice) -> Floats:
        """The same over each resample of the slice: [B]."""
        if metric.statistic == POOLED:
            return self.pooled.resampled(label, part)[metric.name]
        return self.columns(part).resampled(label, metric.name, metric.statistic)

    def interval(self, label: str, metric: RecordMetric, part: Slice) -> Interval | None:
        """The metric of one file with its interval; None where there is no value."""
        value = self.value(label, metric, part)
        if not np.isfinite(value):
            return None
        found = self.between(value, self.resampled(label, metric, part))
        return found or Interval(value=value, low=value, high=value, confidence=self.settings.confidence, method="none")

    @once
    def columns(self, part: Slice) -> PairedColumns:
        """Values of the records of a slice."""
        chosen = slice(None) if part.chosen is None else part.chosen
        columns = {
            label: {name: values[chosen] for name, values in by_name.items()}
            for label, by_name in self.joined.values.items()
        }
        return PairedColumns(columns, None if self.joined.strata is None else self.joined.strata[chosen], self.settings)

    def compare(self, pair: tuple[str, str], metric: RecordMetric, part: Slice) -> Comparison | None:
        """One row, not yet adjusted for the others; None where the metric is undefined in a file."""
        label, baseline = pair
        values = self.value(label, metric, part), self.value(baseline, metric, part)
        if not np.isfinite(values).all():
            return None
        difference = values[0] - values[1]
        spread = self.differences(pair, metric, part)
        found = self.interval_of(difference, spread) | self.tested(pair, metric, part, difference, spread)
        return self.row(pair, metric, part, values, found)

    def differences(self, pair: tuple[str, str], metric: RecordMetric, part: Slice) -> Floats:
        """What the two differ by over each resample: [B]."""
        return self.resampled(pair[0], metric, part) - self.resampled(pair[1], metric, part)

    def tested(
        self, pair: tuple[str, str], metric: RecordMetric, part: Slice, difference: float, spread: Floats
    ) -> dict[str, Any]:
        """The fields of a row that say what a test found, and what single records did. ``spread`` are the resampled
        differences [B]."""
        if metric.statistic == POOLED:
            return self._test_pooled(pair, metric, part, difference)
        return self._test_values(pair, metric, part)

    def least_p(self, rows: Sequence[Comparison]) -> float:
        """The least p-value that any of the rows could have had."""
        pooled = any(row.statistic == POOLED for row in rows)
        return 1.0 / ((self.settings.num_pooled_permutations if pooled else self.settings.num_permutations) + 1)

    def row(
        self,
        pair: tuple[str, str],
        metric: RecordMetric,
        part: Slice,
        values: tuple[float, float],
        found: Mapping[str, Any],
    ) -> Comparison:
        """A comparison, of a family that is not known yet."""
        label, baseline = pair
        definition = self.definitions[metric.name]
        return Comparison(
            task=self.task.name,
            id=f"{label}-vs-{baseline}/{part.name}/{metric.name}/{metric.statistic}",
            kind="paired",
            label=label,
            baseline=baseline,
            name=metric.name,
            statistic=metric.statistic,
            slice_by=part.by,
            slice_value=part.value,
            value=values[0],
            baseline_value=values[1],
            difference=values[0] - values[1],
            confidence=self.settings.confidence,
            p_adjusted=None,
            num_in_family=None,
            unit=definition.unit,
            better=definition.better,
            num_records=len(self.joined.ids) if part.chosen is None else len(part.chosen),
            **found,
        )

    def _test_values(self, pair: tuple[str, str], metric: RecordMetric, part: Slice) -> dict[str, Any]:
        columns = self.columns(part)
        ours, theirs = (columns.columns[label][metric.name] for label in pair)
        p_value, test = permutation_test(ours, theirs, metric.statistic, self.settings)
        return {
            **_by_record(ours, theirs, self.definitions[metric.name].better),
            **_chance(columns.chance_to_beat(pair, metric.name), self.definitions[metric.name].better),
            "p_value": p_value,
            "test": test,
            "verdict": "equal" if np.array_equal(ours, theirs) else "no_difference_shown",
        }

    def _test_pooled(
        self, pair: tuple[str, str], metric: RecordMetric, part: Slice, difference: float
    ) -> dict[str, Any]:
        permuted = self.pooled.permuted(*pair, part)[metric.name]
        differs = self.pooled.differs(*pair)
        same = not differs[slice(None) if part.chosen is None else part.chosen].any()
        return {
            **dict.fromkeys(BY_RECORD),
            "p_value": 1.0 if same else share_as_large(difference, permuted),
            "test": SWAPS,
            "verdict": "equal" if same else "no_difference_shown",
        }

    def interval_of(self, value: float, resampled: Floats) -> dict[str, Any]:
        """The fields of a row that `between` fills."""
        found = self.between(value, resampled)
        if found is None:
            return {"low": None, "high": None, "interval": None}
        return {"low": found.low, "high": found.high, "interval": found.method}

    def between(self, value: float, resampled: Floats) -> Interval | None:
        """The percentile interval over the resamples in which there is a value; None where these are few."""
        defined = resampled[np.isfinite(resampled)]
        if len(defined) == 0 or len(defined) < LEAST_DEFINED * len(resampled):
            return None
        return stats.percentile_interval(value, defined, self.settings.bootstrap)


@dataclass(frozen=True, kw_only=True)
class Found:
    """Everything that a comparison says, to be written and drawn. ``train`` holds values over the records that models
    learned from, by label."""

    judge: Judge
    comparisons: Sequence[Comparison]
    movers: Sequence[Mover]
    notes: list[str]
    train: Mapping[str, Judge] = field(default_factory=dict)


def pairs_of(labels: Sequence[str], baseline: str, *, all_pairs: bool) -> list[tuple[str, str]]:
    """(label, baseline) of all comparisons: each against the baseline, or each against every one before it."""
    if all_pairs:
        return [(later, earlier) for earlier, later in combinations(labels, 2)]
    return [(label, baseline) for label in labels if label != baseline]


def adjusted(rows: Sequence[Comparison], confidence: float) -> list[Comparison]:
    """The rows with p-values adjusted for each other (Holm), and their verdicts."""
    p_values = [row.p_value for row in rows if row.p_value is not None]
    found = iter(stats.holm(p_values)) if p_values else iter(())
    return [_with_verdict(row, next(found), len(p_values), confidence) for row in rows]


def _with_verdict(row: Comparison, p_adjusted: float, num_in_family: int, confidence: float) -> Comparison:
    verdict = row.verdict
    if verdict != "equal" and p_adjusted < 1.0 - confidence and row.difference != 0.0:
        verdict = verdict_of(row.difference, row.better)
    return msgspec.structs.replace(row, p_adjusted=p_adjusted, num_in_family=num_in_family, verdict=verdict)


def verdict_of(difference: float, better: Better) -> Verdict:
    """What a difference that is no accident means."""
    if better == "neither":
        return "higher" if difference > 0.0 else "lower"
    return "better" if (difference > 0.0) == (better == "higher") else "worse"


def _by_record(ours: Floats, theirs: Floats, better: Better) -> dict[str, Any]:
    """How many records are better, and how much in units of their spread."""
    differences = ours - theirs
    spread = float(differences.std(ddof=1)) if len(differences) > 1 else 0.0
    constant = bool((differences == differences[0]).all())  # rounding may leave a spread
    more, less = int(np.count_nonzero(differences > 0)), int(np.count_nonzero(differences < 0))
    sign = -1.0 if better == "lower" else 1.0
    return {
        "effect_size": None if constant or spread == 0.0 else float(differences.mean()) / spread,
        "win_rate": stats.paired_win_rate(sign * ours, sign * theirs),
        "num_better": less if better == "lower" else more,
        "num_worse": more if better == "lower" else less,
        "num_equal": len(differences) - more - less,
    }


def _chance(found: Interval, better: str) -> dict[str, float]:
    """The fields of the chance that any record is better, from the chance that it is larger."""
    value, low, high = found.value, found.low, found.high
    if better == "lower":
        value, low, high = 1.0 - value, 1.0 - high, 1.0 - low
    return {CHANCE: value, f"{CHANCE}_low": low, f"{CHANCE}_high": high}

"""Rows of families of comparisons, and what checkpoints of a training show together: forgetting, overfitting."""

from collections.abc import Sequence

import msgspec
import numpy as np

from pipeline.compare.judge import BY_RECORD, Judge, adjusted, verdict_of
from pipeline.contract.metrics import RecordMetric
from pipeline.records.join import Slice
from schemas.comparison import Comparison


def compare_family(
    judge: Judge,
    pairs: Sequence[tuple[str, str]],
    metrics: Sequence[RecordMetric],
    parts: Sequence[Slice],
    notes: list[str],
) -> list[Comparison]:
    """Rows of one family of tests, by metric, then by pair, then by slice."""
    rows, undefined = [], []
    for metric in metrics:
        for pair in pairs:
            for part in parts:
                row = judge.compare(pair, metric, part)
                if row is None:
                    undefined.append(f"{metric.name} over {part.name}")
                else:
                    rows.append(row)
    notes += [f"{what}: undefined." for what in dict.fromkeys(undefined)]
    notes += _too_few_permutations(judge, rows)
    return adjusted(rows, judge.settings.confidence)


def _too_few_permutations(judge: Judge, rows: Sequence[Comparison]) -> list[str]:
    """A note where a family is so large that its adjusted p-values cannot fall below the level."""
    if judge.least_p(rows) * len(rows) < 1.0 - judge.settings.confidence:
        return []
    return [
        f"{len(rows):,} tests are too many for what is drawn for each: no verdict among them is possible. "
        "Ask for fewer metrics or slices."
    ]


def forgetting(judge: Judge, parts: Sequence[Slice]) -> list[Comparison]:
    """The last file against the best of the earlier ones over each slice, for the main metric of three files or more.

    All earlier files are tested, and adjusted for: which of them is best is found from the same records.
    """
    labels, metric = judge.labels, judge.metrics[0]
    direction = judge.definitions[metric.name].better
    if len(labels) < 3 or direction == "neither":
        return []
    pairs = [(labels[-1], earlier) for earlier in labels[:-1]]
    rows = compare_family(judge, pairs, [metric], parts, [])
    sign = 1.0 if direction == "higher" else -1.0
    best: dict[tuple[str, str], Comparison] = {}
    for row in rows:
        key = (row.slice_by, row.slice_value)
        if key not in best or sign * row.baseline_value > sign * best[key].baseline_value:
            best[key] = row
    return [msgspec.structs.replace(row, kind="forgetting", id=f"forgetting/{row.id}") for row in best.values()]


def overfitting(judge: Judge, train: Judge, label: str) -> list[Comparison]:
    """Held-out less learned records of one model, each resampled by itself; the verdict follows the interval."""
    found = (_gap(judge, train, label, metric) for metric in judge.metrics)
    return [row for row in found if row is not None]


def _gap(judge: Judge, train: Judge, label: str, metric: RecordMetric) -> Comparison | None:
    """One metric; None where it is undefined."""
    whole, learned = judge.joined.slices[0], train.joined.slices[0]
    value, baseline_value = judge.value(label, metric, whole), train.value(label, metric, learned)
    difference = value - baseline_value
    if not np.isfinite(difference):
        return None
    apart = np.random.default_rng([judge.settings.seed, 1]).permutation(judge.settings.num_resamples)
    spread = judge.resampled(label, metric, whole) - train.resampled(label, metric, learned)[apart]
    found = judge.interval_of(difference, spread)
    shown = found["low"] is not None and (found["low"] > 0.0 or found["high"] < 0.0)
    better = judge.definitions[metric.name].better
    verdict = verdict_of(difference, better) if shown else "no_difference_shown"
    untested = dict.fromkeys((*BY_RECORD, "p_value", "test"))
    row = judge.row((label, label), metric, whole, (value, baseline_value), found | untested | {"verdict": verdict})
    return msgspec.structs.replace(row, kind="train_gap", id=f"train_gap/{label}/{metric.name}/{metric.statistic}")

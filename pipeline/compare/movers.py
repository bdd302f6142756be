"""The records that moved a metric, in order: by how much the figure would change with the baseline's answer to one."""

from collections.abc import Sequence

import numpy as np

from pipeline.compare.judge import Judge
from pipeline.contract.metrics import RecordMetric
from pipeline.records.join import Joined
from pipeline.records.measured import POOLED, Ints
from pipeline.stats import Floats
from schemas.comparison import Mover

NUM_PICTURES = 6  # records that are drawn: those that moved the main metric most


def moved_metrics(metrics: Sequence[RecordMetric]) -> list[RecordMetric]:
    """Of each measure the one that is a sum over records: medians and interquartile means have no single movers."""
    return list(dict.fromkeys(m if m.statistic in (POOLED, "rate") else RecordMetric(m.name, "mean") for m in metrics))


def movers(judge: Judge, pair: tuple[str, str], metric: RecordMetric, most: int) -> list[Mover]:
    """Up to ``most`` rows of records whose change is not 0, the largest change first."""
    label, baseline = pair
    joined = judge.joined
    values: tuple[Floats, Floats] | None = None
    if metric.statistic == POOLED:
        records, changes = judge.pooled.changes(*pair)
        change = changes[metric.name] if len(records) else np.empty(0)
    else:
        values = judge.by_record(label, metric.name), judge.by_record(baseline, metric.name)
        records, change = np.arange(len(joined.ids)), (values[0] - values[1]) / len(joined.ids)
    definition = judge.definitions[metric.name]
    found = []
    for place, index in enumerate(_largest(change, most).tolist(), start=1):
        record = int(records[index])
        found.append(
            Mover(
                task=judge.task.name,
                id=f"{label}-vs-{baseline}/{metric.name}/{place}",
                label=label,
                baseline=baseline,
                name=metric.name,
                statistic=metric.statistic,
                place=place,
                record_id=joined.ids[record],
                change=float(change[index]),
                value=None if values is None else float(values[0][record]),
                baseline_value=None if values is None else float(values[1][record]),
                line=_line(joined, label, record),
                baseline_line=_line(joined, baseline, record),
                unit=definition.unit,
                better=definition.better,
            )
        )
    return found


def _largest(change: Floats, most: int) -> Ints:
    """Indices of the largest changes, ties in the order of the records; what is undefined or 0 moved nothing."""
    size = np.where(np.isfinite(change), np.abs(change), 0.0)
    if most < len(size):
        least = np.partition(size, len(size) - most)[len(size) - most] if most else np.inf
        candidates = np.flatnonzero(size >= least)
    else:
        candidates = np.arange(len(size))
    ordered = candidates[np.argsort(-size[candidates], kind="stable")][:most]
    return ordered[size[ordered] > 0.0]


def _line(joined: Joined, label: str, record: int) -> int | None:
    if label not in joined.files:  # several trainings: no one line
        return None
    position = int(joined.positions[label][record])
    return int(joined.files[label].lines[position]) if position >= 0 else None

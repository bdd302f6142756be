"""Predictions to scores and metrics, with the scripted policies on the same scenarios beside the model.

The subjects are "model" and the policies of `policies.POLICIES`; "tuned_script" is the bar. All means of a slice are
taken over the same resamples of its records, stratified by level and multiplier, so that a difference or a ratio of two
subjects is one of paired records. Records with an error have no score and are left out for every subject; they are
counted in the metric num_errors.
"""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from pipeline import stats
from pipeline.contract.metrics import (
    Evaluation,
    Measurements,
    MetricDefinition,
    RecordMetric,
    RecordSlice,
    TableColumn,
    TableLayout,
    metric_row,
)
from pipeline.contract.parts import EvaluatePart
from pipeline.errors import UserError
from pipeline.stats import Floats, Interval
from pipeline.tasks.gridworld.evaluate.baselines import BAR, BASELINES, play_baseline
from pipeline.tasks.gridworld.evaluate.glossary import COMPONENTS, MEASURES, measure
from pipeline.tasks.gridworld.recipe import Evaluate
from pipeline.tasks.gridworld.rows import ACCOUNT, GridworldPrediction, GridworldScore
from pipeline.tasks.gridworld.town.rules import LEVELS, PLACES, REWARDS
from schemas.rows import Metric

MODEL = "model"
COMPARED = ("wellbeing", "survived_steps")  # what the differences to the baselines are taken of
ROBUST = {"median": stats.median, "iqm": stats.interquartile_mean}

_SHARE = MetricDefinition(
    name="wellbeing_share",
    unit="share",
    better="higher",
    definition=f"Mean wellbeing divided by the mean wellbeing of {BAR} on the same records: 1 is the bar.",
)
_COUNTS = (
    MetricDefinition(
        name="num_records", unit="records", better="neither", definition="Predictions in the slice, errors included."
    ),
    MetricDefinition(
        name="num_errors",
        unit="records",
        better="lower",
        definition="Predictions in the slice whose record failed. They have no score and count in no other metric.",
    ),
)
_DIFFERENCES = {
    (name, baseline): MetricDefinition(
        name=f"{name}_minus_{baseline}",
        unit=next(m.unit for m in MEASURES if m.name == name),
        better="higher",
        definition=f"Mean over records of the model's {name} less that of {baseline} on the same record.",
    )
    for name in COMPARED
    for baseline in BASELINES
}
GLOSSARY: tuple[MetricDefinition, ...] = (
    *(MetricDefinition(name=m.name, unit=m.unit, better=m.better, definition=m.definition) for m in MEASURES),
    _SHARE,
    *_DIFFERENCES.values(),
    *_COUNTS,
)
_BY_NAME = {definition.name: definition for definition in GLOSSARY}

TABLE = TableLayout(
    bar=BAR,
    columns=(
        TableColumn(metric="survived_steps", statistic="mean", heading="survived steps"),
        TableColumn(metric="survival_rate", statistic="rate", heading="survival"),
        TableColumn(metric="wellbeing", statistic="mean", heading="wellbeing"),
        TableColumn(metric="wellbeing_share", statistic="ratio_of_means", heading="% of script"),
        TableColumn(metric="lowest_meter", statistic="mean", heading="lowest meter"),
        TableColumn(metric="kinds_of_places", statistic="mean", heading="kinds of places"),
    ),
)


_MAIN = [
    RecordMetric("wellbeing", "mean"),
    RecordMetric("wellbeing", "iqm"),
    RecordMetric("survived_steps", "mean"),
    RecordMetric("survival_rate", "rate"),
    RecordMetric("lowest_meter", "mean"),
]
_ALL = [RecordMetric(m.name, statistic) for m in MEASURES for statistic in m.statistics]

_What = tuple[str, str, str]  # name, statistic, subject
_Aggregate = tuple[_What, Interval]


@dataclass(frozen=True)
class _Slice:
    """Records of a subset: ``chosen`` are indices of predictions, errors included."""

    by: str
    value: str
    chosen: list[int]


def evaluate(predictions: Sequence[GridworldPrediction], options: Evaluate) -> Evaluation:
    """Scores of the model and of every baseline on each record, and all metrics of the glossary over them.

    Raises UserError when there is nothing to score, an id occurs twice, or the predictions are of several models.
    """
    _check(predictions)
    good = [p for p in predictions if p.error is None]
    scores = {MODEL: [_model_score(p) for p in good]}
    for baseline in BASELINES:
        scores[baseline] = play_baseline(baseline, good)
    values = {subject: measure(rows) for subject, rows in scores.items()}
    position = {p.id: index for index, p in enumerate(good)}
    aggregates: dict[tuple[int, ...], list[_Aggregate]] = {}
    metrics: list[Metric] = []
    for part in _slices(predictions):
        kept = tuple(position[predictions[i].id] for i in part.chosen if predictions[i].error is None)
        metrics += _counts(part, len(kept))
        if kept and kept not in aggregates:  # a level's slice is often the same records as all of them
            columns = {s: {name: v[list(kept)] for name, v in by_name.items()} for s, by_name in values.items()}
            aggregates[kept] = _Aggregation([good[i] for i in kept], columns, options).all()
        metrics += [_metric(part, what, interval, len(kept)) for what, interval in aggregates.get(kept, [])]
    by_record = zip(*scores.values(), strict=True)
    return Evaluation(scores=[score for record in by_record for score in record], metrics=metrics)


def measure_records(predictions: Sequence[GridworldPrediction], options: Evaluate) -> Measurements:
    """Every measure of every record, strata of level and multiplier. Records with an error are not scored."""
    scored = np.array([p.error is None for p in predictions], np.bool_)
    values = measure([_model_score(p) for p in predictions if p.error is None])
    columns = {name: np.zeros(len(predictions)) for name in values}
    for name, column in columns.items():
        column[scored] = values[name]
    return Measurements(
        values=columns,
        scored=scored,
        metrics=_MAIN + [metric for metric in _ALL if metric not in _MAIN],
        slices={
            "level": [p.level for p in predictions],
            "multiplier": [f"{p.multiplier:g}" for p in predictions],
            "stage": [None if p.stage is None else str(p.stage) for p in predictions],
        },
        strata=[(p.level, p.multiplier) for p in predictions],
        bounds={m.name: (0.0, 1.0) for m in MEASURES if "rate" in m.statistics},
    )


def _check(predictions: Sequence[GridworldPrediction]) -> None:
    if not predictions:
        raise UserError("there are no predictions to evaluate", remedy="run `baton infer` first")
    id, count = Counter(p.id for p in predictions).most_common(1)[0]
    if count > 1:
        raise UserError(f"the id {id!r} stands {count} times", remedy="keep one prediction for each record")
    models = sorted({p.model for p in predictions})
    if len(models) > 1:
        raise UserError(
            f"these are predictions of {len(models)} models: {', '.join(models)}",
            remedy="keep one file for each model, and give each with an --input of its own",
        )
    if all(p.error is not None for p in predictions):
        raise UserError(
            f"all {len(predictions)} predictions are errors",
            where=f"record {predictions[0].id}: {predictions[0].error}",
            remedy="mend that and run `baton infer` again",
        )


def _model_score(prediction: GridworldPrediction) -> GridworldScore:
    account: dict[str, Any] = {name: getattr(prediction, name) for name in ACCOUNT}
    return GridworldScore(
        id=f"{prediction.id}/{MODEL}",
        subject=MODEL,
        num_place_kinds=sum(count > 0 for count in prediction.place_uses.values()),
        **account,
    )


def _slices(predictions: Sequence[GridworldPrediction]) -> Iterator[_Slice]:
    """All records; then those of each level, each multiplier and each curriculum stage that occurs, in order."""
    yield _Slice("all", "all", list(range(len(predictions))))
    levels = list(LEVELS)
    for by, rank in (("level", levels.index), ("multiplier", float), ("stage", int)):
        groups: dict[Any, list[int]] = {}
        for index, prediction in enumerate(predictions):
            if getattr(prediction, by) is not None:
                groups.setdefault(getattr(prediction, by), []).append(index)
        for key in sorted(groups, key=rank):
            yield _Slice(by, f"{key:g}" if isinstance(key, float) else str(key), groups[key])


def _counts(part: _Slice, num_scored: int) -> Iterator[Metric]:
    num_records = len(part.chosen)
    for definition, count in zip(_COUNTS, (num_records, num_records - num_scored), strict=True):
        yield _metric(part, (definition.name, "count", MODEL), float(count), num_records)


class _Aggregation:
    """All aggregates over N records. ``columns[subject][measure]`` are their values, [N]."""

    def __init__(
        self,
        records: Sequence[GridworldPrediction],
        columns: Mapping[str, Mapping[str, Floats]],
        options: Evaluate,
    ) -> None:
        self.columns = columns
        self.options = stats.Bootstrap(num_resamples=options.num_resamples, confidence=options.confidence)
        self.seed = options.seed
        towns = sorted({(p.level, p.multiplier) for p in records})
        self.strata = np.array([towns.index((p.level, p.multiplier)) for p in records]) if len(towns) > 1 else None
        self.measures = [m for m in MEASURES if self._occurs(m.name, records)]

    def _occurs(self, name: str, records: Sequence[GridworldPrediction]) -> bool:
        """Uses of places that no level of the slice has, and components that nothing pays, are left out."""
        if name.startswith("uses_of_"):
            levels = {p.level for p in records}
            return any(PLACES.index(name.removeprefix("uses_of_")) in LEVELS[level].places for level in levels)
        component = name.removeprefix("return_")
        if name == component or component in REWARDS:
            return True
        return component in COMPONENTS and any(component in p.returns for p in records)

    def all(self) -> list[_Aggregate]:
        """Everything about the model first, in the order of the glossary; then each baseline."""
        found = [*self._means(), *self._others()]
        subjects, names = list(self.columns), list(_BY_NAME)
        return sorted(found, key=lambda aggregate: (subjects.index(aggregate[0][2]), names.index(aggregate[0][0])))

    def _others(self) -> Iterator[_Aggregate]:
        """Medians and interquartile means with bootstrap intervals, rates with Wilson's."""
        for subject, values in self.columns.items():
            for m in self.measures:
                for statistic in m.statistics:
                    what = m.name, statistic, subject
                    if statistic in ROBUST:
                        metric = ROBUST[statistic]
                        yield what, stats.bootstrap(values[m.name], metric, self._rng(), self.options, self.strata)
                    elif statistic == "rate":
                        num_events, num_records = int(values[m.name].sum()), len(values[m.name])
                        yield what, stats.wilson(num_events, num_records, self.options.confidence)

    def _means(self) -> Iterator[_Aggregate]:
        """Means, and the ratios and differences of means over the same resamples."""
        keys = [(subject, m.name) for subject in self.columns for m in self.measures if "mean" in m.statistics]
        values = np.stack([self.columns[subject][name] for subject, name in keys], axis=1)
        resampled = stats.resample_means(values, self._rng(), self.options.num_resamples, self.strata)
        means = {key: (values[:, i].mean(), resampled[:, i]) for i, key in enumerate(keys)}
        for (subject, name), (value, spread) in means.items():
            yield (name, "mean", subject), self._interval(value, spread)
        bar_value, bar_spread = means[BAR, "wellbeing"]
        if bar_spread.min() > 0.0:  # else there is nothing to divide by
            for subject in self.columns:
                value, spread = means[subject, "wellbeing"]
                yield (_SHARE.name, "ratio_of_means", subject), self._interval(value / bar_value, spread / bar_spread)
        for (name, baseline), definition in _DIFFERENCES.items():
            (value, spread), (other_value, other_spread) = means[MODEL, name], means[baseline, name]
            yield (definition.name, "mean", MODEL), self._interval(value - other_value, spread - other_spread)

    def _rng(self) -> np.random.Generator:
        """Made anew each time: every subject, and every slice of the same records, has the same resamples."""
        return np.random.default_rng(self.seed)

    def _interval(self, value: float, spread: Floats) -> Interval:
        return stats.percentile_interval(float(value), spread, self.options)


def _metric(part: _Slice, what: _What, value: Interval | float, num_records: int) -> Metric:
    name, statistic, subject = what
    records = RecordSlice(part.by, part.value, num_records)
    return metric_row("gridworld", _BY_NAME[name], (statistic, subject), records, value)


PART = EvaluatePart(glossary=GLOSSARY, evaluate=evaluate, measure_records=measure_records, table=TABLE)

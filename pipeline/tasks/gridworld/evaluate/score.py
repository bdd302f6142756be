"""Predictions to scores and metrics, with the scripted policies on the same scenarios beside the model.

The subjects are "model" and the policies of `policies.POLICIES`; "tuned_script" is the bar. All means of a slice are
taken over the same resamples of its records, stratified by level and multiplier, so that a difference or a ratio of two
subjects is one of paired records. Records with an error have no score and are left out for every subject; they are
counted in the metric num_errors.
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from msgspec import UNSET
from numpy.typing import NDArray

from pipeline import stats
from pipeline.contract import metrics as contract
from pipeline.contract.metrics import Evaluation, Measurements, MetricDefinition, RecordMetric, TableColumn
from pipeline.contract.parts import EvaluatePart
from pipeline.errors import UserError
from pipeline.files import Lines, encode
from pipeline.stats import Floats, Interval
from pipeline.tasks.gridworld.evaluate.baselines import BAR, BASELINES, with_baselines
from pipeline.tasks.gridworld.evaluate.columns import EXTRA, MODEL, NO_STAGE, Columns, in_blocks, read_columns
from pipeline.tasks.gridworld.evaluate.glossary import MEASURES, UNCERTAINTY, WARNING, measure
from pipeline.tasks.gridworld.recipe import Evaluate
from pipeline.tasks.gridworld.rows import ACCOUNT, GridworldPrediction, GridworldScore
from pipeline.tasks.gridworld.town.rules import LEVELS, PLACES
from schemas.rows import Metric

_SUBJECTS = (MODEL, *BASELINES)
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
GLOSSARY: tuple[MetricDefinition, ...] = (*MEASURES, _SHARE, *_DIFFERENCES.values(), *_COUNTS, UNCERTAINTY, WARNING)
_BY_NAME = {definition.name: definition for definition in GLOSSARY}

TABLE = contract.TableLayout(
    bar=BAR,
    columns=(
        TableColumn(metric="survived_steps", statistic="mean", heading="survived steps"),
        TableColumn(metric="survival_rate", statistic="rate", heading="survival"),
        TableColumn(metric="wellbeing", statistic="mean", heading="wellbeing"),
        TableColumn(metric="wellbeing_share", statistic="ratio_of_means", heading="% of script"),
        TableColumn(metric="lowest_meter", statistic="mean", heading="lowest meter"),
        TableColumn(metric="kinds_of_places", statistic="mean", heading="kinds of places"),
        TableColumn(metric="uncertainty", statistic="mean", heading="uncertainty"),
        TableColumn(metric="uncertainty_warning", statistic="rank_correlation", heading="its warning"),
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
    """Records of a subset: ``chosen`` is bool [N], errors included."""

    by: str
    value: str
    chosen: NDArray[np.bool_]


def evaluate(predictions: Sequence[GridworldPrediction], options: Evaluate) -> Evaluation:
    """Scores of the model and of every baseline on each record, and all metrics of the glossary over them.

    Goes through ``predictions`` once for the metrics, and once more when the scores are asked for; keeps columns only.
    Raises UserError when there is nothing to score, an id occurs twice, or the predictions are of several models.
    """
    columns = read_columns(predictions)
    _check(columns, predictions)
    scored = columns.by_record["scored"]
    aggregates: dict[bytes, list[_Aggregate]] = {}
    metrics: list[Metric] = []
    for part in _slices(columns):
        kept = part.chosen[scored]
        num_scored = int(kept.sum())
        metrics += _counts(part, num_scored)
        key = kept.tobytes()
        if num_scored and key not in aggregates:  # a level's slice is often the same records as all of them
            aggregates[key] = _Aggregation(columns, kept, options).all()
        metrics += [_metric(part, what, interval, num_scored) for what, interval in aggregates.get(key, [])]
    return Evaluation(scores=Lines(lambda: _score_lines(predictions), GridworldScore), metrics=metrics)


def _score_lines(predictions: Iterable[GridworldPrediction]) -> Iterator[bytes]:
    """Of each record without an error: the row of the model, then those of the baselines."""
    for block, played in with_baselines(in_blocks(predictions)):
        for n, prediction in enumerate(block):
            if prediction.error is None:
                yield encode(_model_score(prediction))
                yield from [one.line(n, prediction.id, policy) for policy, one in played.items()]


def measure_records(predictions: Sequence[GridworldPrediction], options: Evaluate) -> Measurements:
    """Every measure of every record, strata of level and multiplier. Records with an error are not scored."""
    scored = np.array([p.error is None for p in predictions], np.bool_)
    good = [p for p in predictions if p.error is None]
    values = measure(good)
    more = []
    if good and all(p.uncertainty is not UNSET for p in good):
        values[UNCERTAINTY.name] = np.array([p.uncertainty for p in good], dtype=np.float64)
        more = [RecordMetric(UNCERTAINTY.name, "mean")]
    columns = {name: np.zeros(len(predictions)) for name in values}
    for name, column in columns.items():
        column[scored] = values[name]
    return Measurements(
        values=columns,
        scored=scored,
        metrics=_MAIN + [metric for metric in _ALL if metric not in _MAIN] + more,
        slices={
            "level": [p.level for p in predictions],
            "multiplier": [f"{p.multiplier:g}" for p in predictions],
            "stage": [None if p.stage is None else str(p.stage) for p in predictions],
        },
        strata=[(p.level, p.multiplier) for p in predictions],
        bounds={m.name: (0.0, 1.0) for m in MEASURES if "rate" in m.statistics},
    )


def _check(columns: Columns, predictions: Sequence[GridworldPrediction]) -> None:
    num_records = len(columns.by_record["id"])
    repeats = len(np.unique(columns.by_record["id"])) < num_records  # or two ids have the same hash
    contract.refuse_mixed((p.id for p in predictions) if repeats else (), columns.models)
    if not columns.by_record["scored"].any():
        first = next(iter(predictions))
        raise UserError(
            f"all {num_records} predictions are errors",
            where=f"record {first.id}: {first.error}",
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


def _slices(columns: Columns) -> Iterator[_Slice]:
    """All records; then those of each level, each multiplier and each curriculum stage that occurs, in order."""
    levels = list(LEVELS)
    by_record = columns.by_record
    yield _Slice("all", "all", np.ones(len(by_record["id"]), np.bool_))
    for level in np.unique(by_record["level"]):
        yield _Slice("level", levels[level], by_record["level"] == level)
    for multiplier in np.unique(by_record["multiplier"]):
        yield _Slice("multiplier", f"{multiplier:g}", by_record["multiplier"] == multiplier)
    for stage in np.unique(by_record["stage"]):
        if stage != NO_STAGE:
            yield _Slice("stage", str(stage), by_record["stage"] == stage)


def _counts(part: _Slice, num_scored: int) -> Iterator[Metric]:
    num_records = int(part.chosen.sum())
    for definition, count in zip(_COUNTS, (num_records, num_records - num_scored), strict=True):
        yield _metric(part, (definition.name, "count", MODEL), float(count), num_records)


class _Aggregation:
    """All aggregates over those of the scored records that are ``kept``, bool [S]."""

    def __init__(self, columns: Columns, kept: NDArray[np.bool_], options: Evaluate) -> None:
        self.columns = {key: column if kept.all() else column[kept] for key, column in columns.values.items()}
        self.options = stats.Bootstrap(num_resamples=options.num_resamples, confidence=options.confidence)
        self.seed = options.seed
        towns = {name: columns.by_record[name][columns.by_record["scored"]][kept] for name in ("level", "multiplier")}
        self.levels = [list(LEVELS)[level] for level in np.unique(towns["level"])]
        self.strata = _strata(**towns)
        self.measures = [m for m in MEASURES if self._occurs(m.name)]

    def _occurs(self, name: str) -> bool:
        """Uses of places that no level of the slice has, and components that nothing pays, are left out."""
        if name.startswith("uses_of_"):
            return any(PLACES.index(name.removeprefix("uses_of_")) in LEVELS[level].places for level in self.levels)
        component = name.removeprefix("return_")
        return component not in EXTRA or bool(self.columns[MODEL, component].any())

    def all(self) -> list[_Aggregate]:
        """Everything about the model first, in the order of the glossary; then each baseline."""
        found = [*self._means(), *self._others(), *self._uncertainty()]
        subjects, names = _SUBJECTS, list(_BY_NAME)
        return sorted(found, key=lambda aggregate: (subjects.index(aggregate[0][2]), names.index(aggregate[0][0])))

    def _others(self) -> Iterator[_Aggregate]:
        """Medians and interquartile means with bootstrap intervals, rates with Wilson's."""
        for subject in _SUBJECTS:
            for m in self.measures:
                values = self.columns[subject, m.name]
                for statistic in m.statistics:
                    what = m.name, statistic, subject
                    if statistic in ROBUST:
                        metric = ROBUST[statistic]
                        yield what, stats.bootstrap(values, metric, self._rng(), self.options, self.strata)
                    elif statistic == "rate":
                        yield what, stats.wilson(int(values.sum()), len(values), self.options.confidence)

    def _means(self) -> Iterator[_Aggregate]:
        """Means, and the ratios and differences of means over the same resamples."""
        keys = [(subject, m.name) for subject in _SUBJECTS for m in self.measures if "mean" in m.statistics]
        columns = [self.columns[key] for key in keys]
        resampled = stats.resample_columns(columns, self._rng(), self.options.num_resamples, self.strata)
        means = {key: (columns[i].mean(dtype=np.float64), resampled[:, i]) for i, key in enumerate(keys)}
        for (subject, name), (value, spread) in means.items():
            yield (name, "mean", subject), self._interval(value, spread)
        bar_value, bar_spread = means[BAR, "wellbeing"]
        if bar_spread.min() > 0.0:  # else there is nothing to divide by
            for subject in _SUBJECTS:
                value, spread = means[subject, "wellbeing"]
                yield (_SHARE.name, "ratio_of_means", subject), self._interval(value / bar_value, spread / bar_spread)
        for (name, baseline), definition in _DIFFERENCES.items():
            (value, spread), (other_value, other_spread) = means[MODEL, name], means[baseline, name]
            yield (definition.name, "mean", MODEL), self._interval(value - other_value, spread - other_spread)

    def _uncertainty(self) -> Iterator[_Aggregate]:
        """Of an ensemble: how far its members differ, and whether they do so in the episodes that went worst."""
        if (MODEL, UNCERTAINTY.name) not in self.columns:
            return
        values = self.columns[MODEL, UNCERTAINTY.name]
        yield (
            (UNCERTAINTY.name, "mean", MODEL),
            stats.bootstrap(values, stats.mean, self._rng(), self.options, self.strata),
        )
        one, other = _ranks(values), _ranks(self.columns[MODEL, "wellbeing"])
        products = [one, other, one * one, other * other, one * other]
        means = np.stack([column.mean() for column in products])[None]
        resampled = stats.resample_columns(products, self._rng(), self.options.num_resamples, self.strata)
        value, spread = _correlation(means), _correlation(resampled)
        if np.isfinite(value).all() and np.isfinite(spread).all():
            yield (WARNING.name, "rank_correlation", MODEL), self._interval(value[0], spread)

    def _rng(self) -> np.random.Generator:
        """Made anew each time: every subject, and every slice of the same records, has the same resamples."""
        return np.random.default_rng(self.seed)

    def _interval(self, value: float, spread: Floats) -> Interval:
        return stats.percentile_interval(float(value), spread, self.options)


def _ranks(values: NDArray[Any]) -> Floats:
    """Ranks [N] from -.5 to .5, equal values sharing theirs: small, so that squares of many lose nothing."""
    _, place, counts = np.unique(values, return_inverse=True, return_counts=True)
    ranks: Floats = (np.cumsum(counts) - (counts + 1) / 2.0)[place] / max(len(values) - 1, 1) - 0.5
    return ranks


def _correlation(means: Floats) -> Floats:
    """Correlations [B] of x and y from the means [B, 5] of x, y, x * x, y * y and x * y; NaN where one is constant."""
    x, y, xx, yy, xy = means.T
    with np.errstate(invalid="ignore", divide="ignore"):
        found: Floats = (xy - x * y) / np.sqrt((xx - x * x) * (yy - y * y))
    return found


def _strata(level: NDArray[np.int8], multiplier: Floats) -> NDArray[np.int64] | None:
    """Which town (level, multiplier) each record is of, in order of the levels' names; None for a single one."""
    by_name = np.argsort(np.argsort(list(LEVELS)))[level]
    _, towns = np.unique(np.stack([by_name, multiplier]), axis=1, return_inverse=True)
    return towns if towns.max() > 0 else None


def _metric(part: _Slice, what: _What, value: Interval | float, num_records: int) -> Metric:
    name, statistic, subject = what
    records = contract.RecordSlice(part.by, part.value, num_records)
    return contract.metric_row("gridworld", _BY_NAME[name], (statistic, subject), records, value)


PART = EvaluatePart(glossary=GLOSSARY, evaluate=evaluate, measure_records=measure_records, table=TABLE)

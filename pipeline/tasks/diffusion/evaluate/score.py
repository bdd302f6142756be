"""Predictions to scores and metrics, from the rows alone: each holds the judge's features of its image and a real one.

Metrics over all records are those of the main variant, where there is one: other variants (the sweep of steps and
guidance) are slices by ``variant``. Subject "real" says what real images get by the same measures.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Literal

import msgspec
import numpy as np
from numpy.typing import NDArray

from pipeline import stats
from pipeline.contract.metrics import (
    Evaluation,
    Measurements,
    RecordMetric,
    RecordSlice,
    metric_row,
    refuse_mixed,
)
from pipeline.contract.parts import EvaluatePart
from pipeline.errors import UserError
from pipeline.stats import Bootstrap, Floats, Interval
from pipeline.stats.intervals import draw_counts
from pipeline.tasks.diffusion.evaluate.distances import (
    covered,
    diversities,
    frechet_distances,
    kernel_distances,
)
from pipeline.tasks.diffusion.evaluate.glossary import BY_NAME, GLOSSARY, MODEL, POOLED, REAL, TABLE
from pipeline.tasks.diffusion.evaluate.maps import neighbours, shared_neighbours, trustworthiness
from pipeline.tasks.diffusion.recipe import Evaluate
from pipeline.tasks.diffusion.rows import MAIN, DiffusionPrediction, DiffusionScore, values_of
from schemas.rows import Metric

NUM_NEIGHBOURS, NUM_PURE = 12, 5  # by which a map is judged, and by which what a layer knows of the class
MIN_IMAGES = 8  # of a slice, for what is taken over images together
_LARGEST = 1e9  # of a value of `vectors_of`: squares of larger ones end in sums that are no numbers

Vector = Literal["features", "real_features", "map_embedding", "map_position"]


@dataclass(frozen=True)
class Group:
    """Predictions without an error that are measured together."""

    rows: Sequence[DiffusionPrediction]

    @cached_property
    def paired(self) -> list[DiffusionPrediction]:
        """Those with a real image beside."""
        return [row for row in self.rows if row.real_features is not None]

    @cached_property
    def made(self) -> Floats:
        """Features [N, F] of generated images of `paired`."""
        return vectors_of(self.paired, "features")

    @cached_property
    def real(self) -> Floats:
        """Features [N, F] of the real images of `paired`."""
        return vectors_of(self.paired, "real_features")

    @cached_property
    def classes(self) -> NDArray[np.int64]:
        """Class of the real image of `paired`, which is that asked for, as a number [N]."""
        return np.unique([row.real_label or "" for row in self.paired], return_inverse=True)[1].astype(np.int64)


def vectors_of(rows: Sequence[DiffusionPrediction], name: Vector) -> Floats:
    """What each row says under a name: [N, F]. Raises UserError where one says nothing, says another number of values
    than the first, or one beyond `_LARGEST`."""
    found = [getattr(row, name) or () for row in rows]
    for row, values in zip(rows, found, strict=True):
        if not values or len(values) != len(found[0]) or max(map(abs, values)) > _LARGEST:
            what = f"{name} are {len(values)} numbers here, {len(found[0])} of the first record, or are too large"
            raise UserError(what, where=f"record {row.id!r}", remedy="run `baton infer` again")
    return np.array(found, np.float64)


def evaluate(predictions: Sequence[DiffusionPrediction], options: Evaluate) -> Evaluation:
    """Two score rows a record (the model's, the real image's), and the metrics of the glossary that are defined.

    Raises UserError when there is nothing to evaluate, an id occurs twice, or the predictions are of several models.
    """
    refuse_mixed((row.id for row in predictions), {row.model for row in predictions})
    answered = [row for row in predictions if row.error is None]
    if not answered:
        raise UserError("there are no predictions to evaluate", remedy="run `baton infer` on some examples")
    metrics: list[Metric] = []
    main = main_rows(answered)
    for part, rows in _slices(answered):
        group = Group(rows)
        metrics += [_row(name, MODEL, part, value) for name, value in _single(group.rows, options)]
        metrics += [_row(name, REAL, part, value) for name, value in _real_single(group.paired, options)]
        if (
            part.by != "label" and rows[0].steering is None and len(group.paired) >= MIN_IMAGES
        ):  # of one class there are too few for the others
            metrics += _together(group, part, options)
    metrics += _by_value(main, options)
    everything = RecordSlice("all", "all", len(main))
    metrics += [_row(name, MODEL, everything, value) for name, value in _on_map(main, options)]
    metrics.append(_row(("num_errors", "count"), MODEL, everything, float(len(predictions) - len(answered))))
    return Evaluation(list(_scores(answered)), metrics)


def main_rows(rows: Sequence[DiffusionPrediction]) -> list[DiffusionPrediction]:
    """Those of the main variant; all, where there are none."""
    return [row for row in rows if row.variant == MAIN] or list(rows)


def _slices(rows: Sequence[DiffusionPrediction]) -> Iterator[tuple[RecordSlice, list[DiffusionPrediction]]]:
    """All of the main variant, by class, and by variant."""
    main = main_rows(rows)
    yield RecordSlice("all", "all", len(main)), main
    keys: dict[str, Callable[[DiffusionPrediction], str | None]] = {
        "label": lambda row: row.label,
        "variant": lambda row: row.variant,
    }
    for by, key in keys.items():
        of = main if by == "label" else rows
        values = list(dict.fromkeys(key(row) for row in of))
        for value in values if len(values) > 1 else []:
            if value is not None:
                chosen = [row for row in of if key(row) == value]
                yield RecordSlice(by, value, len(chosen)), chosen


Named = tuple[tuple[str, str], Interval | float]
"""Name and statistic of a metric, and its value."""


def _row(what: tuple[str, str], subject: str, part: RecordSlice, value: Interval | float) -> Metric:
    name, statistic = what
    return metric_row("diffusion", BY_NAME[name], (statistic, subject), part, value)


def _bootstrap(options: Evaluate) -> Bootstrap:
    return Bootstrap(num_resamples=options.num_resamples, confidence=options.confidence)


def _single(rows: Sequence[DiffusionPrediction], options: Evaluate) -> Iterator[Named]:
    """What each image measured by itself."""
    asked = [row for row in rows if row.label is not None]
    if asked:
        yield ("accuracy", "rate"), _rate([row.judged_label == row.label for row in asked], options)
        yield ("label_probability", "mean"), _mean([row.label_probability or 0.0 for row in asked], options)
    steered = [steered_right(row) for row in rows if row.steering is not None]
    if steered:
        yield ("steered_accuracy", "rate"), _rate([is_changed for is_changed, _ in steered], options)
    kept = [is_kept for _, is_kept in steered if is_kept is not None]
    if kept:
        yield ("kept_accuracy", "rate"), _rate(kept, options)
    yield ("nearest_train_distance", "mean"), _mean([row.nearest_train_distance or 0.0 for row in rows], options)
    yield ("num_evaluations", "mean"), float(np.mean([row.num_evaluations or 0 for row in rows]))


def _by_value(rows: Sequence[DiffusionPrediction], options: Evaluate) -> Iterator[Metric]:
    """Of classes that say several factors: how often each thing that they say is seen where it was asked for."""
    seen: dict[str, list[bool]] = {}
    for row in rows:
        asked = values_of(row.label)
        for value in sorted(asked) if len(asked) > 1 else ():
            seen.setdefault(value, []).append(value in values_of(row.judged_label))
    for value, found in sorted(seen.items()):
        yield _row(("accuracy", "rate"), MODEL, RecordSlice("value", value, len(found)), _rate(found, options))


def steered_right(row: DiffusionPrediction) -> tuple[bool, bool | None]:
    """Whether a steered image shows what only its references' class says, and whether it kept what the class that the
    model was told says as well (None: nothing)."""
    assert row.steering is not None
    target, told, judged = map(values_of, (row.steering.target, row.label, row.judged_label))
    kept = target & told if target != told else set()
    return target - kept <= judged, kept <= judged if kept else None


def _on_map(rows: Sequence[DiffusionPrediction], options: Evaluate) -> Iterator[Named]:
    """How well the map shows what the layer says of these images, and what that knows of their class."""
    placed = [row for row in rows if row.map_embedding is not None]
    if len(placed) <= 2 * NUM_NEIGHBOURS:
        return
    space, plane = (vectors_of(placed, name) for name in ("map_embedding", "map_position"))
    judged = np.array([row.judged_label for row in placed])
    nearest = judged[neighbours(space, NUM_PURE)] == judged[:, None]
    measured = {
        "trustworthiness": trustworthiness(space, plane, NUM_NEIGHBOURS),
        "shared_neighbours": shared_neighbours(space, plane, NUM_NEIGHBOURS),
        "neighbour_purity": nearest.mean(axis=1),
    }
    for name, values in measured.items():
        yield (name, "mean"), _mean(values.tolist(), options)


def _real_single(rows: Sequence[DiffusionPrediction], options: Evaluate) -> Iterator[Named]:
    """The same of the real images."""
    if rows:
        yield ("accuracy", "rate"), _rate([row.real_judged_label == row.real_label for row in rows], options)
        distances = [row.real_nearest_train_distance or 0.0 for row in rows]
        yield ("nearest_train_distance", "mean"), _mean(distances, options)


def _rate(right: Sequence[bool], options: Evaluate) -> Interval:
    return stats.wilson(sum(right), len(right), options.confidence)


def _mean(values: Sequence[float], options: Evaluate) -> Interval:
    return stats.bootstrap(
        np.array(values, np.float64), stats.mean, np.random.default_rng(options.seed), _bootstrap(options)
    )


def _together(group: Group, part: RecordSlice, options: Evaluate) -> Iterator[Metric]:
    """What is taken over images together. Resamples draw records: a generated image with its real one."""
    made, real, classes = group.made, group.real, group.classes
    order, size = np.random.default_rng(options.seed).permutation(len(real)), len(real) // 2
    one, other = real[order[:size]], real[order[size : 2 * size]]
    yield from _distances(MODEL, made, real, part, options)
    yield from _distances(REAL, one, other, part, options)

    def diversity_of(features: Floats) -> Callable[[Floats], Floats]:
        return lambda weights: diversities(features, classes, weights)

    yield _row(("diversity", POOLED), MODEL, part, _resampled(len(made), diversity_of(made), options))
    yield _row(("diversity", POOLED), REAL, part, _resampled(len(real), diversity_of(real), options))

    def ratio(weights: Floats) -> Floats:
        return diversity_of(made)(weights) / np.maximum(diversity_of(real)(weights), 1e-12)

    yield _row(("diversity_ratio", POOLED), MODEL, part, _resampled(len(made), ratio, options))


def _distances(subject: str, made: Floats, real: Floats, part: RecordSlice, options: Evaluate) -> Iterator[Metric]:
    """Distances between as many images of either kind, and what of either lies among the other."""

    def frechet(weights: Floats) -> Floats:
        return frechet_distances(made, real, weights)

    def kernel(weights: Floats) -> Floats:
        return kernel_distances(made, real, weights)

    yield _row(("frechet_distance", POOLED), subject, part, _resampled(len(made), frechet, options))
    # Without bias, so that it is below 0 as often as above where there is no difference.
    yield _row(("kernel_distance", POOLED), subject, part, _resampled(len(made), kernel, options, least=-np.inf))
    among = covered(made, real, options.num_neighbours), covered(real, made, options.num_neighbours)
    for name, inside in zip(("precision", "recall"), among, strict=True):
        yield _row((name, "rate"), subject, part, _rate(inside.tolist(), options))


def _resampled(num: int, measure: Callable[[Floats], Floats], options: Evaluate, least: float = 0.0) -> Interval:
    """A measure of weightings [B, N] -> [B], with the interval of its resamples, moved so that their mean is the value;
    never below ``least``.

    A resample holds images more than once, which makes a set of images look narrower and two of them further apart than
    they are: the spread of the resamples is right, their middle is not.
    """
    value = float(measure(np.ones((1, num)))[0])
    generator = np.random.default_rng(options.seed)
    drawn = draw_counts(num, generator, options.num_resamples)
    resampled = np.concatenate([measure(counts.astype(np.float64)) for counts in drawn])
    tail = (1.0 - options.confidence) / 2.0
    low, high = np.clip(np.quantile(resampled - resampled.mean() + value, (tail, 1.0 - tail)), least, None)
    return Interval.around(value, float(low), float(high), options.confidence, "bootstrap_centred")


def _scores(rows: Sequence[DiffusionPrediction]) -> Iterator[DiffusionScore]:
    for row in rows:
        asked = row.label is not None
        model = DiffusionScore(
            id=row.id,
            subject=MODEL,
            variant=row.variant,
            label=row.label,
            is_right=row.judged_label == row.label if asked else None,
            label_probability=row.label_probability,
            nearest_train_distance=row.nearest_train_distance,
        )
        yield model
        if row.real_features is not None:
            yield msgspec.structs.replace(
                model,
                subject=REAL,
                label=row.real_label,
                is_right=row.real_judged_label == row.real_label,
                label_probability=None,
                nearest_train_distance=row.real_nearest_train_distance,
            )


def measure_records(predictions: Sequence[DiffusionPrediction], options: Evaluate) -> Measurements:
    """Right class, probability, nearest training image by record; Frechet distance of all together.

    Scored are records of the main variant without an error that ask for a class.
    """
    main = {id(row) for row in main_rows([row for row in predictions if row.error is None])}
    scored = np.array([id(row) in main and row.label is not None for row in predictions], np.bool_)
    values = {
        "accuracy": [row.judged_label == row.label for row in predictions],
        "label_probability": [row.label_probability or 0.0 for row in predictions],
        "nearest_train_distance": [row.nearest_train_distance or 0.0 for row in predictions],
    }
    paired = np.array([row.real_features is not None for row in predictions], np.bool_) & scored
    group = Group([row for row, is_paired in zip(predictions, paired, strict=True) if is_paired])

    def pooled(weights: NDArray[np.int32]) -> dict[str, Floats]:
        chosen = weights[:, paired].astype(np.float64)
        found = np.full(len(weights), np.nan)
        enough = (chosen > 0).sum(axis=1) >= MIN_IMAGES
        if enough.any():
            found[enough] = frechet_distances(group.made, group.real, chosen[enough])
        return {"frechet_distance": found}

    return Measurements(
        values={name: np.array(column, np.float64) for name, column in values.items()},
        scored=scored,
        metrics=[
            RecordMetric("accuracy", "rate"),
            RecordMetric("label_probability", "mean"),
            RecordMetric("nearest_train_distance", "mean"),
            RecordMetric("frechet_distance", POOLED),
        ],
        slices={"label": [row.label for row in predictions]},
        strata=[row.label or "" for row in predictions],
        pooled=pooled,
        bounds={"accuracy": (0.0, 1.0), "label_probability": (0.0, 1.0)},
    )


PART = EvaluatePart(glossary=GLOSSARY, evaluate=evaluate, measure_records=measure_records, table=TABLE)

"""How often intervals, tests and sequences are right about a known truth: ``python -m tests.stats.coverage``.

Prints the table of docs/statistics.md. tests/stats/test_coverage.py runs the same simulations, fewer of them.
"""

import argparse
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from statistics import NormalDist
from typing import Any

import numpy as np

from pipeline import stats
from pipeline.compare.pairs import PairedColumns, Settings
from pipeline.contract.load import load_part
from pipeline.contract.parts import EvaluatePart, RecipePart
from pipeline.stats.sequences import BoundedMean, MeanSequence, MedianSequence, SequenceOptions
from pipeline.stats.trainings import training_errors
from tests.tasks.detection.evaluate.coco_oracle import Kind, generate

Law = Callable[[np.random.Generator, int], np.ndarray]


@dataclass(frozen=True)
class Truth:
    """A law to draw records from, with what is true of it; ``bounds`` where there are such."""

    draw: Law
    mean: float
    iqm: float
    median: float
    bounds: tuple[float, float] | None = None


def _iqm_of_exponential() -> float:
    """Mean of an exponential variate between its quartiles: integral of -log(1 - u) over u from 1/4 to 3/4, times 2."""

    def integral(u: float) -> float:
        return float((1.0 - u) * np.log(1.0 - u) + u)

    return 2.0 * (integral(0.75) - integral(0.25))


TRUTHS = {
    "normal": Truth(lambda g, n: g.normal(3.0, 2.0, n), 3.0, 3.0, 3.0),
    "exponential": Truth(lambda g, n: g.exponential(1.0, n), 1.0, _iqm_of_exponential(), float(np.log(2.0))),
    "coin of 0.3": Truth(lambda g, n: (g.random(n) < 0.3).astype(float), 0.3, float("nan"), 0.0, (0.0, 1.0)),
    "coin of 0.02": Truth(lambda g, n: (g.random(n) < 0.02).astype(float), 0.02, float("nan"), 0.0, (0.0, 1.0)),
    "lognormal": Truth(lambda g, n: g.lognormal(0.0, 1.0, n), float(np.exp(0.5)), float("nan"), 1.0),
}


def error_of_share(share: float, num: int, num_errors: float = 4.0) -> float:
    """How far a share of ``num`` independent cases may be from its expectation: ``num_errors`` binomial standard
    errors, four of which are exceeded one time in 16,000."""
    return num_errors * float(np.sqrt(share * (1.0 - share) / num))


def coverage_of_interval(truth: Truth, metric: str, num_records: int, num: int) -> float:
    """Share of ``num`` samples whose 95 % interval of "mean" or "iqm" holds the truth."""
    generator = np.random.default_rng(num_records)
    options = stats.Bootstrap(num_resamples=1000)
    function = {"mean": stats.mean, "iqm": stats.interquartile_mean}[metric]
    value = {"mean": truth.mean, "iqm": truth.iqm}[metric]
    hits = 0
    for _ in range(num):
        interval = stats.bootstrap(truth.draw(generator, num_records), function, generator, options)
        hits += interval.low <= value <= interval.high
    return hits / num


def coverage_of_paired_iqm(num_records: int, num: int) -> float:
    """Share of samples of skewed pairs whose interval of the difference of interquartile means holds the truth, as
    compare finds it."""
    generator = np.random.default_rng(num_records)
    truth = TRUTHS["exponential"].iqm
    hits = 0
    for seed in range(num):
        own = generator.exponential(size=num_records)
        settings = Settings(num_resamples=1000, seed=seed)
        pair = PairedColumns({"twice": {"x": 2.0 * own}, "own": {"x": own}}, None, settings)
        resampled = pair.resampled("twice", "x", "iqm") - pair.resampled("own", "x", "iqm")
        value = pair.value("twice", "x", "iqm") - pair.value("own", "x", "iqm")
        interval = stats.percentile_interval(value, resampled, settings.bootstrap)
        hits += interval.low <= truth <= interval.high
    return hits / num


def coverage_of_paired_chance(num_records: int, num: int, shift: float = 1.0, shared: float = 0.8) -> float:
    """Share of samples of pairs whose interval of the probability of improvement holds the truth. ``shared`` is the
    part of the variance that the two scores of a record have in common."""
    generator = np.random.default_rng(num_records)
    truth = NormalDist().cdf(shift / 2.0**0.5)  # of two independent scores of different records
    options = stats.Bootstrap(num_resamples=1000)
    hits = 0
    for _ in range(num):
        common, own = generator.normal(size=num_records), generator.normal(size=(2, num_records))
        first, second = shared**0.5 * common + (1.0 - shared) ** 0.5 * own
        interval = stats.paired_probability_of_improvement_interval(first + shift, second, generator, options)
        hits += interval.low <= truth <= interval.high
    return hits / num


@dataclass(frozen=True)
class Trainings:
    """Two recipes of which ``num`` and ``other`` trainings answer the same records. The score of a training on a record
    is a sum of normal numbers: of the record (spread 1), of both (1), and of the training (``scatter`` and
    ``other_scatter``)."""

    num: int
    other: int
    num_records: int
    scatter: float
    other_scatter: float


def coverage_of_trainings(case: Trainings, num: int, *, drawn: bool = False) -> float:
    """Share of samples whose interval holds the difference of the recipes (0): one less this is how often a difference
    is found that is not there. ``drawn``: trainings are drawn with replacement instead, like records."""
    generator = np.random.default_rng(case.num_records)
    hits = 0
    for seed in range(num):
        records = generator.normal(size=case.num_records)
        settings = Settings(num_resamples=1000, seed=seed)
        groups, resampled = [], []
        for size, scatter in ((case.num, case.scatter), (case.other, case.other_scatter)):
            own = generator.normal(0.0, scatter, (size, 1)) + generator.normal(size=(size, case.num_records))
            columns = PairedColumns({str(s): {"x": records + row} for s, row in enumerate(own)}, None, settings)
            groups.append([columns.value(label, "x", "mean") for label in columns.columns])
            of_each = np.stack([columns.resampled(label, "x", "mean") for label in columns.columns], axis=1)
            which = generator.integers(size, size=of_each.shape) if drawn else np.arange(size)[None]
            resampled.append(np.take_along_axis(of_each, which, axis=1).mean(axis=1))
        differences = resampled[0] - resampled[1]
        if not drawn:
            differences += training_errors(groups, generator, len(differences))
        value = float(np.mean(groups[0]) - np.mean(groups[1]))
        interval = stats.percentile_interval(value, differences, settings.bootstrap)
        hits += interval.low <= 0.0 <= interval.high
    return hits / num


@dataclass(frozen=True)
class Detectors:
    """Two detectors on a population of images. ``figures(weights)`` [B]: the difference of their average precision."""

    figures: Callable[[np.ndarray], np.ndarray]
    num_images: int

    @property
    def truth(self) -> float:
        """The difference over all images."""
        return float(self.figures(np.ones((1, self.num_images), np.int32))[0])


def make_detectors(num_images: int) -> Detectors:
    """The second detector finds fewer objects: of every third image it says nothing."""
    part = load_part("detection", EvaluatePart)
    recipe = load_part("detection", RecipePart).recipe
    section = type(recipe(schema="recipe_v1", name="x", task="detection").evaluate)()
    rows = generate(Kind(seed=5, num_images=num_images, num_classes=2))
    silent = [row if index % 3 else _without_answers(row) for index, row in enumerate(rows)]
    first, second = (part.measure_records(side, section).pooled for side in (rows, silent))

    def figures(weights: np.ndarray) -> np.ndarray:
        name = "average_precision"
        return np.asarray(first(weights)[name] - second(weights)[name])

    return Detectors(figures, num_images)


def _without_answers(row: Any) -> Any:
    from msgspec.structs import replace

    return replace(row, preds=[])


def coverage_of_ap_difference(detectors: Detectors, num_records: int, num: int, num_resamples: int = 500) -> float:
    """Share of samples of images (drawn from the population) whose interval holds the population's difference."""
    generator = np.random.default_rng(num_records)
    hits = 0
    for _ in range(num):
        sample = generator.multinomial(num_records, np.full(detectors.num_images, 1.0 / detectors.num_images))
        resamples = generator.multinomial(num_records, sample / num_records, size=num_resamples)
        figures = detectors.figures(np.concatenate([sample[None], resamples]).astype(np.int32))
        interval = stats.percentile_interval(float(figures[0]), figures[1:], stats.Bootstrap())
        hits += interval.low <= detectors.truth <= interval.high
    return hits / num


def rejections_of_no_difference(num_records: int, num: int, alpha: float = 0.05, num_permutations: int = 199) -> float:
    """Share of samples without a difference (skewed, of unequal size) in which the permutation test finds one."""
    generator = np.random.default_rng(num_records)
    found = 0
    for _ in range(num):
        difference = generator.standard_t(3, num_records) * generator.exponential(1.0, num_records)
        p = stats.paired_permutation_test(difference, np.zeros(num_records), generator, num_permutations)
        found += p <= alpha
    return found / num


def false_findings_of_family(size: int, num: int, alpha: float = 0.05) -> tuple[float, float]:
    """Share of families of ``size`` true null hypotheses with any false finding: with Holm's, and without."""
    generator = np.random.default_rng(size)
    corrected = plain = 0
    for _ in range(num):
        p_values = list(generator.random(size))
        corrected += min(stats.holm(p_values)) <= alpha
        plain += min(p_values) <= alpha
    return corrected / num, plain / num


def misses_of_sequence(truth: Truth, kind: str, num_records: int, num: int, batch: int = 50) -> float:
    """Share of sequences that leave the truth at any moment up to ``num_records``."""
    generator = np.random.default_rng(num_records)
    missed = 0
    for _ in range(num):
        values = truth.draw(generator, num_records)
        missed += any(_misses(values, truth, kind, batch))
    return missed / num


def misses_of_intervals(truth: Truth, num_records: int, num: int, batch: int = 50) -> float:
    """The same of the usual 95 % interval of the mean, looked at after each batch."""
    generator = np.random.default_rng(num_records)
    counts = np.arange(batch, num_records + 1, batch)
    missed = 0
    for _ in range(num):
        values = truth.draw(generator, num_records)
        means = np.cumsum(values)[counts - 1] / counts
        spreads = np.sqrt(np.maximum(0.0, np.cumsum(values**2)[counts - 1] / counts - means**2))
        missed += bool((np.abs(means - truth.mean) > 1.96 * spreads / np.sqrt(counts)).any())
    return missed / num


def _misses(values: np.ndarray, truth: Truth, kind: str, batch: int) -> Iterator[bool]:
    options = SequenceOptions()
    if kind == "median":
        median = MedianSequence(options)
        for end in range(batch, len(values) + 1, batch):
            interval = median.look(values[:end])
            yield not interval.low <= truth.median <= interval.high
        return
    if kind == "bounded":
        assert truth.bounds is not None
        sequence: Any = BoundedMean(*truth.bounds, options)
    else:
        sequence = MeanSequence(options)
    for start in range(0, len(values), batch):
        found = sequence.take(values[start : start + batch])
        yield found is not None and not (found.low <= truth.mean <= found.high and sequence.is_coherent)


def main() -> None:
    """Print all tables as Markdown."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--num", type=int, default=2000, help="simulations for each figure")
    num = parser.parse_args().num
    print(f"{num:,} simulations each; standard error of a share of 95 %: {error_of_share(0.95, num, 1.0):.2%}\n")
    print("| 95 % interval of | records drawn from | N | holds the truth |\n|---|---|---|---|")
    for metric in ("mean", "iqm"):
        for name in ("normal", "exponential"):
            for num_records in (10, 20, 50, 200):
                share = coverage_of_interval(TRUTHS[name], metric, num_records, num)
                print(f"| {metric} | {name} | {num_records} | {share:.1%} |")
    for num_records in (20, 50, 200):
        print(f"| difference of iqm | exponential | {num_records} | {coverage_of_paired_iqm(num_records, num):.1%} |")
    for num_records in (10, 20, 50, 200):
        share = coverage_of_paired_chance(num_records, num)
        print(f"| probability of improvement | normal, shifted | {num_records} | {share:.1%} |")
    detectors = make_detectors(300)
    for num_records in (50, 150):
        share = coverage_of_ap_difference(detectors, num_records, 3 * num // 10)
        print(f"| difference of AP | {num_records} of 300 images | {num_records} | {share:.1%} |")
    print("\n| trainings | their scatter | N | holds the truth | drawn like records |\n|---|---|---|---|---|")
    for sizes in ((2, 2), (3, 3), (5, 5), (10, 10), (3, 8), (2, 8)):
        for scatter, other_scatter, num_records in ((0.0, 0.0, 50), (0.3, 0.3, 50), (1.0, 1.0, 200), (1.0, 0.1, 200)):
            case = Trainings(*sizes, num_records, scatter, other_scatter)
            shares = " | ".join(f"{coverage_of_trainings(case, num, drawn=drawn):.1%}" for drawn in (False, True))
            print(f"| {sizes[0]} against {sizes[1]} | {scatter:g} and {other_scatter:g} | {num_records} | {shares} |")
    print("\n| permutation test at 5 % | N | rejects |\n|---|---|---|")
    for num_records in (8, 20, 100):
        print(f"| heavy tails, no difference | {num_records} | {rejections_of_no_difference(num_records, num):.1%} |")
    for size in (5, 20):
        corrected, plain = false_findings_of_family(size, num)
        print(f"| any of {size} true hypotheses, Holm | | {corrected:.1%} (uncorrected {plain:.1%}) |")
    print("\n| sequence, 5,000 records | records | ever left the truth |\n|---|---|---|")
    bounded = [name for name, truth in TRUTHS.items() if truth.bounds]
    for kind, names in (("bounded", bounded), ("unbounded", list(TRUTHS)), ("median", list(TRUTHS)[:2])):
        for name in names:
            print(f"| {kind} | {name} | {misses_of_sequence(TRUTHS[name], kind, 5000, num // 2):.1%} |")
    print(f"| usual interval, looked at every 50 | normal | {misses_of_intervals(TRUTHS['normal'], 5000, num):.1%} |")


if __name__ == "__main__":
    main()

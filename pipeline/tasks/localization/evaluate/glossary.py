"""Every metric of localization, from the same constants as the computation."""

from collections.abc import Iterator

from pipeline.contract.metrics import MetricDefinition
from pipeline.tasks.localization.ellipse import PROBABILITIES
from schemas.rows import Better

QUANTILES = {"error_68_m": 0.68, "error_95_m": 0.95}
CURVE = tuple(n / 20 for n in range(1, 20))  # probabilities of the calibration curve
COVERAGES = {f"coverage_{round(100 * p)}": p for p in PROBABILITIES}
ELLIPSE_COVERAGES = {f"ellipse_coverage_{round(100 * p)}": p for p in PROBABILITIES}
ELLIPSE_FACTORS = {f"ellipse_factor_{round(100 * p)}": p for p in PROBABILITIES}

SUBJECTS = {
    "model": "the model",
    "conformal": "the model with ellipses and regions rescaled by the calibration rows of evaluate.conformal",
    "centroid": "the middle of the receivers that heard",
    "weighted_centroid": "the same, weighted by amplitude: 20 dB more count ten times",
    "level_likelihood": "the place whose path loss fits the levels best, power and exponent free, horizon known",
    "nearest_neighbours": "the mean place of the training records with the most similar levels",
    "least_squares": "classical multilateration: the place and moment of emission that fit the times best",
    "cauchy_least_squares": "the same with Cauchy's loss, which gives less and less weight to times that do not fit",
    "bound": "no solver: a draw from the Gaussian about the truth with the least covariance that stated errors allow "
    "(Cramer and Rao)",
    "posterior": "no solver: what the simulator itself says of the levels, by the distributions it draws from",
}


_WHO = "; ".join(f"{name}: {what}" for name, what in SUBJECTS.items())


def _each(names: dict[str, float], unit: str, better: Better, definition: str) -> Iterator[MetricDefinition]:
    for name, p in names.items():
        yield MetricDefinition(name, unit, better, definition.format(p=f"{100 * p:g} %"))


GLOSSARY: tuple[MetricDefinition, ...] = (
    MetricDefinition("error_m", "m", "lower",
        f"Geodesic distance on WGS84 from the fix to the truth. Subjects are {_WHO}."),
    *_each(QUANTILES, "m", "lower", "The least error that {p} of the records do not exceed."),
    MetricDefinition("negative_log_likelihood", "nats", "lower",
        "Negative logarithm of the density, per square kilometre, that the answer gives to the truth. A proper score: "
        "on average the true distribution is the best answer."),
    *_each(COVERAGES, "share", "neither",
        "Share of the records whose truth lies in the region of highest density, the smallest that has a probability "
        "of {p}. An honest answer has {p}."),
    *_each(ELLIPSE_COVERAGES, "share", "neither",
        "Share of the records whose truth lies in the ellipse of {p} that the row says."),
    MetricDefinition("area_90_km2", "km2", "lower",
        "Area of the ellipse of 90 %, of the posterior: of its region. Sharpness: the smaller of two answers that are "
        "both honest says more."),
    MetricDefinition("calibration_error", "share", "lower",
        f"Mean distance of the calibration curve from the diagonal, at {len(CURVE)} probabilities."),
    MetricDefinition("coverage", "share", "neither",
        "The calibration curve: share of the records whose truth lies in the region of highest density of each "
        "probability, which is the value of the slice."),
    *_each(ELLIPSE_FACTORS, "1", "neither",
        "By how much the calibration rows make the axes of the ellipses of {p} longer."),
    MetricDefinition("num_records", "records", "neither",
        "Predictions in the slice, with errors and without a truth included."),
    MetricDefinition("num_errors", "records", "lower",
        "Predictions whose record failed. They count in no other metric."),
    MetricDefinition("num_without_truth", "records", "neither",
        "Predictions whose true place is not known: not scored."),
    MetricDefinition("num_posterior", "records", "neither",
        "Records whose posterior was computed: the first of levels alone, as many as evaluate.posterior_records says."),
)  # fmt: skip
BY_NAME = {definition.name: definition for definition in GLOSSARY}

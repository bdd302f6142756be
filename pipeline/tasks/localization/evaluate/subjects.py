"""Who is scored: the model, the classical solvers on the same measurements, and what could be known at best.

What the solvers answer depends on the measurements, the truths and the code of this task alone, so it is kept between
runs (`pipeline.files.cache`): other models on the same examples find it there.
"""

import hashlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, fields
from functools import cache as once
from pathlib import Path

import msgspec
import numpy as np

from pipeline.errors import UserError
from pipeline.files import cache, read_all
from pipeline.files.hashes import sha256_file
from pipeline.stats import Floats
from pipeline.tasks.localization import geo
from pipeline.tasks.localization.ellipse import scale
from pipeline.tasks.localization.evaluate import levels, posterior
from pipeline.tasks.localization.measured import Measured, heard_of
from pipeline.tasks.localization.mixture import Mixtures, log_density, of_predictions, region
from pipeline.tasks.localization.recipe import Evaluate
from pipeline.tasks.localization.rows import Example, Prediction, place_of
from pipeline.tasks.localization.solve import Loss, information, inverse, multilaterate

MODEL = "model"
BOUND, POSTERIOR = "bound", "posterior"
KM2 = 1e6  # square metres
_AREA_OF = 0.9
_BY_LEVELS: dict[str, Callable[[Measured], Floats]] = {
    "centroid": levels.middle,
    "weighted_centroid": levels.weighted_middle,
    "level_likelihood": levels.most_likely,
}
_BY_TIMES: dict[str, Loss] = {"least_squares": "squares", "cauchy_least_squares": "cauchy"}


@dataclass(frozen=True)
class Scored:
    """What N records scored, [N] each, NaN where there is nothing.

    The distance to the truth, the negative log-likelihood of a density per square kilometre, the probability of all
    likelier places, and the area of the ellipse of .9 in square kilometres.
    """

    error_m: Floats
    negative_log_likelihood: Floats
    region: Floats
    area_km2: Floats

    @classmethod
    def empty(cls, num: int) -> "Scored":
        return cls(*(np.full(num, np.nan) for _ in fields(cls)))

    @classmethod
    def of_gaussians(cls, offsets: Floats, covariances: Floats | None = None) -> "Scored":
        """Of Gaussians with covariances [N, 3], about whose middles the truths lie at ``offsets`` [N, 2] in metres.

        Without covariances, or where one is NaN, of the places alone.
        """
        found = cls.empty(len(offsets))
        found.error_m[:] = np.hypot(*offsets.T)
        if covariances is None:
            return found
        known = np.flatnonzero(np.isfinite(found.error_m) & np.isfinite(covariances).all(axis=1))
        one = Mixtures(np.ones((len(known), 1)), np.zeros((len(known), 1, 2)), covariances[known, None])
        found.negative_log_likelihood[known] = -log_density(one, offsets[known]) - np.log(KM2)
        found.region[known] = region(one, offsets[known])
        a, b, c = covariances[known].T
        found.area_km2[known] = np.pi * scale(_AREA_OF) ** 2 * np.sqrt(a * c - b * b) / KM2
        return found


Subjects = Mapping[str, Scored]


def truths_of(rows: Sequence[Prediction]) -> Floats:
    """True places [N, 2] in degrees; NaN where nobody said one."""
    return np.array([place_of(row) or (np.nan, np.nan) for row in rows], np.float64).reshape(-1, 2)


def score_model(rows: Sequence[Prediction], truths: Floats) -> Scored:
    """What predictions without errors scored; the area is that of the ellipse that the row says. Raises UserError."""
    mixtures, fixes = of_predictions(rows)
    local = geo.to_local(truths, fixes)
    areas = [
        next((np.pi * e.semi_major_m * e.semi_minor_m / KM2 for e in row.ellipses if e.probability == _AREA_OF), np.nan)
        for row in rows
    ]
    return Scored(
        error_m=geo.distance_m(fixes, truths),
        negative_log_likelihood=-log_density(mixtures, local) - np.log(KM2),
        region=region(mixtures, local),
        area_km2=np.array(areas, np.float64),
    )


def score_solvers(rows: Sequence[Prediction], truths: Floats, options: Evaluate) -> dict[str, Scored]:
    """What the solvers score on the measurements of ``rows``, those that have an answer for any of them.

    Raises UserError when the training examples cannot be read, or are among the records that are scored.
    """
    training = None if options.training is None else _training(Path(options.training), rows)
    key = _key(rows, options)
    kept = cache.load(key)
    if kept is not None:
        columns = msgspec.msgpack.decode(kept, type=dict[str, list[bytes]])
        return {name: Scored(*map(np.frombuffer, own)) for name, own in columns.items()}
    found = dict(_solved(rows, heard_of(rows), truths, options.posterior_records))
    if training is not None:
        found["nearest_neighbours"] = Scored.of_gaussians(_offsets(levels.nearest(rows, training), truths))
    found = {name: one for name, one in found.items() if np.isfinite(one.error_m).any()}
    columns = {name: [column.tobytes() for column in vars(one).values()] for name, one in found.items()}
    cache.keep(key, msgspec.msgpack.encode(columns))
    return found


def _solved(
    rows: Sequence[Prediction], heard: Measured, truths: Floats, posterior_records: int
) -> Iterator[tuple[str, Scored]]:
    for name, solver in _BY_LEVELS.items():
        yield name, Scored.of_gaussians(_offsets(solver(heard), truths))
    for name, loss in _BY_TIMES.items():
        found = multilaterate(heard, loss)
        yield name, Scored.of_gaussians(_offsets(found.places[:, 0], truths), found.covariances[:, 0])
    yield BOUND, _bound(rows, heard, truths)
    yield POSTERIOR, _posterior(rows, truths, posterior_records)


def _offsets(places: Floats, truths: Floats) -> Floats:
    """Where the truths [N, 2] lie about places; NaN where there is no place."""
    known, found = np.isfinite(places).all(axis=1), np.full_like(truths, np.nan)
    found[known] = geo.to_local(truths[known], places[known])
    return found


def _bound(rows: Sequence[Prediction], heard: Measured, truths: Floats) -> Scored:
    """The bound of Cramer and Rao for times: an answer as far from the truth as one draw, by a hash of the record's id,
    from the Gaussian of least covariance that the stated errors allow."""
    covariances = inverse(information(heard, truths))
    one, other = np.array([_standard_normal(row.id) for row in rows]).reshape(-1, 2).T
    east_east, both, north_north = covariances.T
    east = np.sqrt(east_east)
    north = both / east * one + np.sqrt(north_north - both**2 / east_east) * other
    return Scored.of_gaussians(np.stack([east * one, north], axis=1), covariances)


def _standard_normal(id: str) -> tuple[float, float]:
    """Two independent draws that are a function of ``id`` (Box and Muller 1958)."""
    one, other = np.frombuffer(hashlib.blake2b(id.encode(), digest_size=16).digest(), np.uint64) / 2.0**64
    radius = np.sqrt(-2 * np.log1p(-one))
    return float(radius * np.cos(2 * np.pi * other)), float(radius * np.sin(2 * np.pi * other))


def _posterior(rows: Sequence[Prediction], truths: Floats, num: int) -> Scored:
    """The posterior of the first ``num`` records that have one."""
    found = Scored.empty(len(rows))
    members = [n for n, row in enumerate(rows) if posterior.has_posterior(row)][:num]
    if members:
        known = posterior.posterior([rows[n] for n in members], truths[members])
        found.error_m[members] = geo.distance_m(known.places, truths[members])
        found.negative_log_likelihood[members] = -known.log_density - np.log(KM2)
        found.region[members] = known.region
        found.area_km2[members] = known.area_m2 / KM2
    return found


def _training(path: Path, rows: Sequence[Prediction]) -> list[Example]:
    training = read_all(path, Example)
    both = {one.id for one in training} & {row.id for row in rows}
    if both:
        what = f"{len(both)} records are in the training examples, too, such as {min(both)!r}"
        remedy = "name examples that are not scored: a neighbour that is the record itself is no answer"
        raise UserError(what, where=f"evaluate.training, {path}", remedy=remedy)
    return training


def _key(rows: Sequence[Prediction], options: Evaluate) -> str:
    digest = hashlib.sha256(_code())
    asked = (options.posterior_records, options.training and sha256_file(options.training))
    digest.update(msgspec.msgpack.encode(asked))
    for row in rows:
        measured = (row.id, row.measurements, row.frequency_mhz, row.altitude_m, row.latitude, row.longitude)
        digest.update(msgspec.msgpack.encode(measured))
    return f"localization-solvers-{digest.hexdigest()}"


@once
def _code() -> bytes:
    """A hash of all code of this task: any change of it may change what a solver answers."""
    digest = hashlib.sha256()
    for path in sorted(Path(__file__).parents[1].rglob("*.py")):
        digest.update(path.read_bytes())
    return digest.digest()

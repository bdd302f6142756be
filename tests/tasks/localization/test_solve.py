"""Times of arrival of literal transmissions. What is right is known: the ranges are computed here, in another way."""

import numpy as np
import pytest
from msgspec.structs import replace
from scipy import optimize

from pipeline.stats import Floats
from pipeline.tasks.localization import geo
from pipeline.tasks.localization.measured import heard_of
from pipeline.tasks.localization.rows import Example, Measurement
from pipeline.tasks.localization.solve import Loss, information, inverse, multilaterate
from pipeline.tasks.localization.world.propagation import SPEED_M_PER_NS

OFFSETS = [(-40e3, -30e3), (50e3, -20e3), (10e3, 60e3), (-60e3, 40e3), (0.0, -70e3), (80e3, 50e3)]  # east, north


def record(
    centre: tuple[float, float], source: tuple[float, float], num: int, late_ns: tuple[float, ...] = ()
) -> tuple[Example, Floats]:
    """A transmission heard by the first ``num`` receivers, and where it is: ``source`` metres from ``centre``."""
    sites = geo.to_degrees(OFFSETS[:num], centre)
    truth = geo.to_degrees(source, centre)
    ways = np.linalg.norm(geo.to_cartesian(sites, 300.0) - geo.to_cartesian(truth, 10.0), axis=1)
    arrivals = ways / SPEED_M_PER_NS + 12_345.0
    arrivals[: len(late_ns)] += late_ns
    measurements = [
        Measurement(
            receiver=f"r{n}",
            latitude=float(place[0]),
            longitude=float(place[1]),
            altitude_m=300.0,
            level_dbm=float(60 - 30 * np.log10(ways[n])),
            arrival_ns=float(arrivals[n]),
            sigma_ns=100.0,
        )
        for n, place in enumerate(sites)
    ]
    return Example(id="a", measurements=tuple(measurements), altitude_m=10.0), truth


def solved(example: Example, loss: Loss = "squares") -> Floats:
    return multilaterate(heard_of([example]), loss).places[0, 0]


@pytest.mark.parametrize("loss", ["squares", "cauchy"])
@pytest.mark.parametrize("centre", [(45.0, 8.0), (80.0, 20.0), (0.0, 179.9), (-60.0, -179.9)])
def test_exact_times_give_the_exact_place(loss: Loss, centre: tuple[float, float]) -> None:
    example, truth = record(centre, (20e3, 5e3), 5)
    assert geo.distance_m(solved(example, loss), truth) < 0.01


def test_it_is_the_least_squares_of_scipy() -> None:
    example, truth = record((45.0, 8.0), (20e3, 5e3), 6, (150.0, -80.0, 60.0, 0.0, -200.0))
    heard = heard_of([example])
    receivers = geo.to_cartesian(heard.places[0, :, :2], heard.places[0, :, 2])

    def residuals(unknown: Floats) -> Floats:
        ways = np.linalg.norm(geo.to_cartesian(unknown[:2], 10.0) - receivers, axis=1)
        late: Floats = (heard.arrival_ns[0] - ways / SPEED_M_PER_NS - 1000 * unknown[2]) / heard.sigma_ns[0]
        return late

    for loss, theirs, scale in (("squares", "linear", 1.0), ("cauchy", "cauchy", 2.385)):
        best = optimize.least_squares(
            residuals, [*truth, 12.3], loss=theirs, f_scale=scale, x_scale=[1e-3, 1e-3, 1.0], xtol=1e-14, ftol=1e-14
        )
        found = multilaterate(heard, loss)  # type: ignore[arg-type]
        assert geo.distance_m(found.places[0, 0], best.x[:2]) < 0.1
        assert found.costs[0, 0] == pytest.approx(best.cost, rel=1e-6)


def test_cauchys_loss_leaves_a_receiver_out_that_is_wrong() -> None:
    example, truth = record((45.0, 8.0), (20e3, 5e3), 6, (0.0, 3000.0))
    assert geo.distance_m(solved(example, "squares"), truth) > 200
    assert geo.distance_m(solved(example, "cauchy"), truth) < 20


def test_three_receivers_give_both_branches_and_levels_choose() -> None:
    example, truth = record((45.0, 8.0), (-70e3, -20e3), 3)
    solutions = multilaterate(heard_of([example]), "squares")
    exact = solutions.places[0, solutions.costs[0] < 1e-6]
    assert geo.distance_m(exact, exact[:1]).max() > 1000
    assert geo.distance_m(exact, truth).min() < 0.1
    assert geo.distance_m(exact[0], truth) < 0.1


def test_without_levels_the_branch_that_is_nearer_is_first() -> None:
    example, truth = record((45.0, 8.0), (0.0, 60e3), 3)
    silent = replace(example, measurements=tuple(replace(m, level_dbm=None) for m in example.measurements))
    assert geo.distance_m(solved(silent), truth) < 0.1


def test_two_times_are_no_place() -> None:
    two, _ = record((45.0, 8.0), (20e3, 5e3), 2)
    five, _ = record((45.0, 8.0), (20e3, 5e3), 5)
    found = multilaterate(heard_of([two, five]), "squares")
    assert np.isnan(found.places[0]).all() and np.isfinite(found.places[1]).all()
    assert len(multilaterate(heard_of([]), "cauchy").places) == 0


def test_what_a_record_gives_does_not_depend_on_those_beside_it() -> None:
    records = [record((45.0, 8.0), (east, 5e3), num, (50.0,))[0] for num in (3, 5, 6) for east in (10e3, 30e3)]
    together = multilaterate(heard_of(records), "cauchy").places[:, 0]
    alone = [multilaterate(heard_of([one]), "cauchy").places[0, 0] for one in records]
    assert geo.distance_m(together, alone).max() < 1e-3


def test_covariance_and_bound_are_the_spread_of_solutions() -> None:
    example, truth = record((45.0, 8.0), (20e3, 5e3), 5)
    heard = heard_of([example])
    many = heard[np.zeros(2000, dtype=int)]
    many.arrival_ns[:] += np.random.default_rng(1).normal(0, 100, many.arrival_ns.shape)
    found = multilaterate(many, "squares")
    spread = np.cov(geo.to_local(found.places[:, 0], truth).T)
    bound = inverse(information(heard, truth[None]))[0]
    np.testing.assert_allclose(bound, spread[[0, 0, 1], [0, 1, 1]], rtol=0.15, atol=20)
    np.testing.assert_allclose(found.covariances[0, 0], bound, rtol=0.05, atol=5)


def test_no_direction_is_known_of_receivers_in_one_place() -> None:
    assert np.isnan(inverse(np.array([[1.0, 1.0, 1.0]]))).all()


def test_missing_measurements_are_missing() -> None:
    example = Example(id="a", measurements=(Measurement(receiver="r", level_dbm=-80.0),))
    heard = heard_of([example, Example(id="b", measurements=())])
    assert not heard.placed.any() and not heard.timed.any()
    assert heard.level_dbm[0, 0] == -80 and np.isnan(heard.level_dbm[1, 0])

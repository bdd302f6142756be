"""The simulated world: who hears what, when, and what the measurements suffer."""

import numpy as np
import pytest

from pipeline.tasks.localization.examples import make_examples
from pipeline.tasks.localization.recipe import Examples, LocalizationRecipe, World
from pipeline.tasks.localization.world import propagation
from pipeline.tasks.localization.world.draw import contamination_ns, draw_batch, draw_kinds
from pipeline.tasks.localization.world.levels import draw_events
from pipeline.tasks.localization.world.receivers import SITES, places_m, ranges_m

TIMES = World(tier="times")


def generator(seed: int = 0) -> np.random.Generator:
    return np.random.default_rng(seed)


def test_shares_of_events_by_number_of_receivers_are_those_of_the_world() -> None:
    heard = draw_events(20_000, World(), generator()).heard.sum(1)
    shares = np.bincount(heard, minlength=8)[3:] / len(heard)
    assert np.abs(shares - [0.13, 0.26, 0.27, 0.23, 0.10]).max() < 0.012
    assert heard.min() == 3


def test_distances_are_those_of_straight_lines_on_wgs84() -> None:
    pole = ranges_m((90.0, 0.0), 0.0, np.array([[6_378_137.0, 0.0, 0.0]]))
    assert pole == pytest.approx(np.hypot(6_378_137.0, 6_356_752.3142), abs=1e-3)
    near = np.linalg.norm(places_m(SITES)[0] - places_m(SITES)[3])
    assert near == pytest.approx(1930, abs=20)  # two of the sites are nearly one


def test_level_falls_by_the_exponent_and_beyond_the_horizon_faster() -> None:
    loss = propagation.path_loss_db(np.array([10_000.0, 20_000.0]), 145.0, 3.0, np.array([700.0, 700.0]))
    assert loss[1] - loss[0] == pytest.approx(30.0 * np.log10(2.0))
    horizon_m = 4120.0 * (np.sqrt(600.0) + np.sqrt(10.0))
    beyond = propagation.horizon_loss_db(np.array([horizon_m, horizon_m + 10_000.0, horizon_m + 1e6]), 700.0)
    assert beyond == pytest.approx([0.0, 3.0, 30.0])


def test_shadowing_of_neighbours_is_nearly_the_same() -> None:
    correlation = propagation.shadowing_correlation(SITES)
    assert correlation[0, 3] > 0.9 and correlation[0, 6] < 0.01


def test_errors_of_times_have_the_stated_spread_and_the_factor() -> None:
    for factor in (1.0, 3.0):
        batch = draw_batch(4000, World(tier="times", jitter_factor=factor), ("clean",), generator())
        assert batch.times is not None
        error = batch.times.arrival_ns - batch.events.range_m / propagation.SPEED_M_PER_NS
        heard = batch.events.heard
        both = heard[:, 0] & heard[:, 3]
        spread = np.hypot(batch.times.sigma_ns[:, 0], batch.times.sigma_ns[:, 3])
        difference = (error[:, 0] - error[:, 3])[both] / spread[both]
        assert difference.std() == pytest.approx(factor, rel=0.06)
    assert batch.times.sigma_ns[heard].min() >= 50.0 and batch.times.sigma_ns[heard].max() <= 2000.0


@pytest.mark.parametrize(
    ("kind", "num_touched", "shift_ns"),
    [
        ("clean", 0, 0.0),
        ("one_late_3us", 1, 3000.0),
        ("one_early_3us", 1, -3000.0),
        ("one_late_30us", 1, 30_000.0),
    ],
)
def test_a_kind_touches_one_receiver_that_heard(kind: str, num_touched: int, shift_ns: float) -> None:
    heard = draw_events(500, World(), generator()).heard
    added = contamination_ns(np.full(500, kind), heard, generator())
    assert ((added != 0.0).sum(1) == num_touched).all()
    assert not added[~heard].any()
    assert added.sum() == 500 * shift_ns


def test_a_clock_that_is_off_is_that_of_one_receiver_and_late_ones_are_a_tenth() -> None:
    heard = np.ones((5000, len(SITES)), np.bool_)
    clock = contamination_ns(np.full(5000, "one_clock"), heard, generator())
    assert ((clock != 0.0).any(0)).sum() == 1 and (clock.max(1) == 3000.0).all()
    each = contamination_ns(np.full(5000, "each_late"), heard, generator()) != 0.0
    assert each.mean() == pytest.approx(0.1, abs=0.01) and (each.any(0)).all()


def test_kinds_come_alike_or_by_share() -> None:
    alike = draw_kinds(("clean", "each_late"), 4000, generator())
    assert (alike == "clean").mean() == pytest.approx(0.5, abs=0.03)
    shares = draw_kinds({"clean": 0.9, "each_late": 0.1}, 4000, generator())
    assert (shares == "clean").mean() == pytest.approx(0.9, abs=0.03)


def recipe(**sections: object) -> LocalizationRecipe:
    return LocalizationRecipe(schema="recipe_v1", task="localization", name="x", **sections)  # type: ignore[arg-type]


def test_a_longer_set_of_examples_begins_with_the_shorter_one() -> None:
    short, long = (list(make_examples(recipe(examples=Examples(num_records=num)))) for num in (5, 1003))
    assert long[:5] == short and len({row.id for row in long}) == 1003
    assert list(make_examples(recipe(examples=Examples(num_records=5, seed=2)))) != short


def test_examples_say_what_was_measured_and_the_truth() -> None:
    kinds = ("one_late_3us", "clean")
    rows = list(make_examples(recipe(world=TIMES, examples=Examples(num_records=50, kinds=kinds))))
    assert {row.kind for row in rows} == {*kinds}
    assert all(one.arrival_ns is not None and one.sigma_ns is not None for row in rows for one in row.measurements)
    assert all(len(row.measurements) >= 3 and row.latitude is not None for row in rows)
    levels = next(make_examples(recipe()))
    assert all(one.arrival_ns is None and one.level_dbm is not None for one in levels.measurements)


def test_examples_of_another_world_leave_that_of_the_training_alone() -> None:
    shifted = recipe(examples=Examples(num_records=300, world=World(path_loss_exponent=(1.6, 2.0))))
    heard = [len(row.measurements) for row in make_examples(shifted)]
    assert np.mean(heard) > 5.5  # it is heard further

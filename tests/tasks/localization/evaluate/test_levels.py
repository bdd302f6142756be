import numpy as np
import pytest

from pipeline.tasks.localization import geo
from pipeline.tasks.localization.evaluate.levels import middle, most_likely, nearest, weighted_middle
from pipeline.tasks.localization.measured import heard_of
from pipeline.tasks.localization.rows import Example, Measurement, Prediction
from tests.tasks.localization.evaluate.literal import heard_levels


def at(latitude: float, longitude: float, level: float | None = -80.0, name: str = "r") -> Measurement:
    return Measurement(receiver=name, latitude=latitude, longitude=longitude, level_dbm=level)


def record(*measurements: Measurement, id: str = "a", place: tuple[float, float] | None = None) -> Example:
    return Example(
        id=id,
        measurements=measurements,
        latitude=None if place is None else place[0],
        longitude=None if place is None else place[1],
    )


def test_the_centroid_lies_between_the_receivers_also_across_the_antimeridian() -> None:
    found = middle(heard_of([record(at(10, 179), at(10, -179)), record(at(45, 7), at(47, 7)), record()]))
    assert geo.distance_m(found[0], (10.0, 180.0)) < 500
    assert geo.distance_m(found[1], (46.0, 7.0)) < 500
    assert np.isnan(found[2]).all()


def test_a_level_of_20_db_more_counts_ten_times() -> None:
    found = weighted_middle(heard_of([record(at(0, 0, -80), at(0, 1.1, -100)), record(at(0, 0, None), at(0, 1, -90))]))
    assert found[0, 1] == pytest.approx(0.1, abs=0.001)
    assert found[1, 1] == pytest.approx(1.0)


@pytest.mark.parametrize("exponent", [2.2, 3.4])
def test_levels_of_the_path_loss_alone_give_the_place(exponent: float) -> None:
    source = (45.1, 8.0)
    found = most_likely(heard_of([heard_levels(source, exponent), heard_levels(source, exponent, power_dbm=30.0)]))
    assert geo.distance_m(found, source).max() < 3000  # a cell is 3 km wide


def test_two_levels_are_no_place() -> None:
    assert np.isnan(most_likely(heard_of([record(at(45, 7), at(46, 8))]))).all()


def test_records_of_other_receivers_and_lone_levels_stand_beside_each_other() -> None:
    found = most_likely(heard_of([record(at(45, 7)), heard_levels((45.1, 8.0)), record(at(45, 7, None), at(46, 7))]))
    assert np.isnan(found[[0, 2]]).all() and np.isfinite(found[1]).all()


def test_neighbours_are_those_with_similar_levels() -> None:
    training = [
        record(at(0, 0, -60, "one"), at(0, 0, -90, "two"), id=f"near{n}", place=(45.0, 7.0)) for n in range(11)
    ] + [record(at(0, 0, -90, "one"), at(0, 0, -60, "two"), id=f"far{n}", place=(46.0, 8.0)) for n in range(11)]
    rows = [
        Prediction(id="a", model="m", measurements=(at(0, 0, -62, "one"), at(0, 0, -88, "two"))),
        Prediction(id="b", model="m", measurements=(at(0, 0, -61, "two"),)),
        Prediction(id="c", model="m", measurements=(at(0, 0, -61, "unknown"),)),
    ]
    found = nearest(rows, training)
    np.testing.assert_allclose(found[:2], [(45, 7), (46, 8)])
    assert np.isnan(found[2]).all()
    assert np.isnan(nearest(rows, [record(at(0, 0))])).all()

import numpy as np
from msgspec.structs import replace
from scipy import stats

from pipeline.stats import Floats
from pipeline.tasks.localization import geo
from pipeline.tasks.localization.evaluate.posterior import has_posterior, posterior
from pipeline.tasks.localization.examples import make_examples
from pipeline.tasks.localization.recipe import Examples, LocalizationRecipe
from pipeline.tasks.localization.rows import Example, Measurement, Prediction


def examples(num: int) -> list[Example]:
    return list(
        make_examples(
            LocalizationRecipe(
                schema="recipe_v1", task="localization", name="a", examples=Examples(num_records=num, seed=3)
            )
        )
    )


def predictions(rows: list[Example]) -> tuple[list[Prediction], Floats]:
    asked = [
        Prediction(id=one.id, model="m", measurements=one.measurements, frequency_mhz=one.frequency_mhz) for one in rows
    ]
    return asked, np.array([(one.latitude, one.longitude) for one in rows], np.float64)


def test_regions_of_the_world_itself_are_uniform_and_its_fixes_are_near() -> None:
    rows, truths = predictions(examples(300))
    found = posterior(rows, truths)
    assert stats.kstest(found.region, "uniform").pvalue > 0.01
    assert 15_000 < np.median(geo.distance_m(found.places, truths)) < 22_000
    assert 7.8 < -(found.log_density + np.log(1e6)).mean() < 8.4


def test_no_other_density_is_better_on_average() -> None:
    rows, truths = predictions(examples(200))
    found = posterior(rows, truths)
    moved = posterior(rows, geo.to_degrees(np.tile([15e3, 0.0], (len(truths), 1)), truths))
    assert found.log_density.mean() > moved.log_density.mean() + 0.2


def test_a_posterior_does_not_depend_on_the_records_beside_it() -> None:
    rows, truths = predictions(examples(20))
    together, alone = posterior(rows, truths), posterior(rows[7:8], truths[7:8])
    np.testing.assert_allclose(together.log_density[7], alone.log_density[0])
    np.testing.assert_allclose(together.region[7], alone.region[0])


def test_only_levels_of_the_simulated_receivers_have_one() -> None:
    (row,), _ = predictions(examples(1))
    elsewhere = Measurement(receiver="other", latitude=45.0, longitude=7.0, level_dbm=-80.0)
    timed = replace(row.measurements[0], arrival_ns=1.0, sigma_ns=1.0)
    assert has_posterior(row)
    assert not has_posterior(replace(row, measurements=(*row.measurements, elsewhere)))
    assert not has_posterior(replace(row, measurements=(timed, *row.measurements[1:])))
    assert not has_posterior(replace(row, frequency_mhz=None))

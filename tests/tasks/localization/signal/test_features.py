"""Levels and arrivals from IQ samples: as exact as the bound allows, and as sure as they say."""

import numpy as np
import pytest

from benchmarks.tools.iq_delays import measure_cell
from benchmarks.tools.iq_signals import Signal, receive, transmit
from pipeline.tasks.localization.signal.delay import Pair, find_delay
from pipeline.tasks.localization.signal.features import measure
from pipeline.tasks.localization.signal.recording import SAMPLE_RATE_HZ

FM = Signal("fm_voice", 0.004)


@pytest.mark.parametrize(
    ("kind", "duration_s", "snr_db", "num", "most"),
    [("QPSK 100 kBd", 0.004, 10.0, 40, 1.3), ("QPSK 10 kBd", 0.004, 20.0, 40, 1.6), ("FM voice", 0.02, 20.0, 16, 2.5)],
)
def test_errors_are_near_the_bound_and_what_is_stated_is_honest(
    kind: str, duration_s: float, snr_db: float, num: int, most: float
) -> None:
    cell = measure_cell(kind, duration_s, snr_db, num)
    assert np.quantile(np.abs(cell.error_ns) / cell.bound_ns, 0.68) <= most
    assert 0.5 < np.quantile(np.abs(cell.error_ns) / cell.stated_ns, 0.68) < 1.9  # of few pairs


def test_the_same_seed_gives_the_same_measurements() -> None:
    one, again = (measure_cell("QPSK 100 kBd", 0.004, 10.0, 2, seed=8) for _ in range(2))
    assert (one.error_ns == again.error_ns).all()


def test_oscillators_that_are_off_do_not_move_the_delay() -> None:
    sent = transmit(FM, np.random.default_rng(1))
    for lo_hz in (0.0, 100.0):
        heard = receive(sent, [0.0, 1.234e-4], 60.0, np.random.default_rng(2), lo_hz)
        arrivals = measure(heard, SAMPLE_RATE_HZ).arrival_ns
        assert arrivals[1] - arrivals[0] == pytest.approx(123_400, abs=100)


def test_a_delay_that_cuts_off_a_strong_part_is_not_drawn_to_it() -> None:
    generator = np.random.default_rng(3)
    sent = transmit(FM, generator) * np.linspace(0.05, 2.0, 800 + 1024)
    for delay in (-4e-4, 4e-4):
        first, second = receive(sent, [0.0, delay], 60.0, generator, 0.0)
        assert find_delay(Pair(first, second, SAMPLE_RATE_HZ)).delay_s == pytest.approx(delay, abs=2e-7)


def test_who_hears_noise_alone_measures_nothing() -> None:
    generator = np.random.default_rng(4)
    heard = receive(transmit(Signal("qpsk", 0.01, 1e5), generator), [0, 5e-5, 0, 1e-5], [20, 15, -60, 25], generator)
    found = measure(heard, SAMPLE_RATE_HZ)
    assert np.isnan(found).any(axis=0).tolist() == [False, False, True, False]
    assert found.arrival_ns[3] == 0.0  # the strongest
    assert found.arrival_ns[1] - found.arrival_ns[0] == pytest.approx(5e4, abs=100)
    assert found.level_db[[0, 1, 3]] == pytest.approx([20, 15, 25], abs=0.7)
    assert found.sigma_ns[1] > found.sigma_ns[0] > found.sigma_ns[3]
    assert np.isnan(measure(heard[2:3], SAMPLE_RATE_HZ)).all()

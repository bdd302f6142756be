"""How well delays are measured from IQ, against the bound, and the error model that fits: ``python -m
benchmarks.tools.iq_delays [--num 100]``. The constants of `pipeline.tasks.localization.signal.features` come from here.
"""

import argparse
from collections.abc import Iterator, Sequence
from itertools import product
from typing import NamedTuple

import numpy as np

from benchmarks.tools.iq_signals import Signal, bound_s, receive, transmit
from pipeline.stats import Floats
from pipeline.tasks.localization.signal.features import FACTOR, RISE_PER_S, measure
from pipeline.tasks.localization.signal.recording import SAMPLE_RATE_HZ

KINDS = {"FM voice": ("fm_voice", 0.0), "QPSK 10 kBd": ("qpsk", 1e4), "QPSK 100 kBd": ("qpsk", 1e5)}
DURATIONS_S, SNR_DB = (0.004, 0.010, 0.020), (10.0, 15.0, 20.0)
MAX_DELAY_S = 3e-4  # of a signal against a receiver in its middle: 90 km
SHARE = 0.68  # of errors


class Cell(NamedTuple):
    """Of one kind of signal: errors of pairs, their bounds, and what is stated, in ns: [N] each."""

    name: str
    error_ns: Floats
    bound_ns: Floats
    stated_ns: Floats


def measure_cell(kind: str, duration_s: float, snr_db: float, num: int, seed: int = 0) -> Cell:
    """``num`` pairs of receivers that hear a signal of that kind."""
    modulation, rate = KINDS[kind]
    generator = np.random.default_rng(seed)
    rows = []
    for _ in range(num):
        sent = transmit(Signal(modulation, duration_s, rate), generator)  # type: ignore[arg-type]
        delays = generator.uniform(-MAX_DELAY_S, MAX_DELAY_S, 2)
        found = measure(receive(sent, delays, snr_db, generator), SAMPLE_RATE_HZ)
        error = found.arrival_ns[1] - found.arrival_ns[0] - 1e9 * (delays[1] - delays[0])
        rows.append((error, 1e9 * bound_s(sent, np.full(2, snr_db)), np.hypot(*found.sigma_ns)))
    return Cell(f"{kind}, {1e3 * duration_s:.0f} ms, {snr_db:.0f} dB", *np.array(rows).T)


def measure_all(num: int) -> Iterator[Cell]:
    """All kinds, as they are done."""
    for kind, duration_s, snr_db in product(KINDS, DURATIONS_S, SNR_DB):
        yield measure_cell(kind, duration_s, snr_db, num)


def fit(cells: Sequence[Cell]) -> tuple[float, float]:
    """FACTOR and RISE of the error model: a straight line through what errors are of the bound, by the bound (ns)."""
    stated = [cell.stated_ns / np.sqrt(2) for cell in cells]  # of one receiver: FACTOR and RISE are taken out again
    own = [(np.sqrt(FACTOR**2 + 4e-9 * RISE_PER_S * one) - FACTOR) / (2e-9 * RISE_PER_S) for one in stated]
    bound = np.array([np.median(one) for one in own])
    excess = [np.quantile(np.abs(c.error_ns) / (np.sqrt(2) * one), SHARE) for c, one in zip(cells, own, strict=True)]
    rise, factor = np.polyfit(bound, excess, 1)
    return float(factor), float(rise)


def main() -> None:
    """Print a line for each kind of signal, and the fitted constants."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--num", type=int, default=100, help="pairs of each kind")
    cells = []
    print(f"{'68 % of errors, ns':<30}{'error':>9}{'bound':>9}{'ratio':>7}{'error / stated':>16}{'largest':>9}")
    for cell in measure_all(parser.parse_args().num):
        cells.append(cell)
        error = np.quantile(np.abs(cell.error_ns), SHARE)
        ratio = np.quantile(np.abs(cell.error_ns) / cell.bound_ns, SHARE)
        honest = np.quantile(np.abs(cell.error_ns) / cell.stated_ns, SHARE)
        numbers = f"{error:>9,.1f}{cell.bound_ns.mean():>9,.1f}{ratio:>7.2f}{honest:>16.2f}"
        print(f"{cell.name:<30}{numbers}{np.abs(cell.error_ns).max():>9,.0f}", flush=True)
    factor, rise = fit(cells)
    print(f"FACTOR {factor:.2f}, RISE 1 / {1 / rise:.0f} ns")


if __name__ == "__main__":
    main()

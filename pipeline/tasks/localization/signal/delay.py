"""How much later one receiver heard a signal than another, from the IQ samples of both.

Three things matter, each measured on narrow FM: local oscillators are not on one frequency, so that the offset is
searched with the delay (the ambiguity function; Stein, IEEE Trans. ASSP 29, 1981); the correlation is divided by the
energy of the part that overlaps, for otherwise it prefers delays at which more of a strong part does; and only the
band that the signal occupies is correlated, for the rest adds noise alone.
"""

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from pipeline.stats import Floats

Samples = NDArray[np.complex128]

MAX_DELAY_S = 1e-3  # 300 km
MAX_OFFSET_HZ = 250.0  # between two receivers that are off by 100 Hz each, and a transmitter that moves
GUARD = 8  # samples at either end that a fractional delay does not reach undisturbed
TAPER = 0.02  # of the window, at either end
MOST_ROUNDS = 30  # of refining, each of nine points
FINEST_S = 1e-9  # steps of delay: the parabola through them is exact to a hundredth of that


class Delay(NamedTuple):
    """The delay of the second against the first in seconds, the frequency offset in Hz, and the share of the energy
    that both have in common there (the squared coherence, 0 to 1)."""

    delay_s: float
    offset_hz: float
    coherence: float


@dataclass(frozen=True)
class Pair:
    """Two recordings of N samples each, filtered to the occupied band."""

    first: Samples
    second: Samples
    sample_rate_hz: float

    @property
    def times_s(self) -> Floats:
        """The moment of each sample."""
        return np.arange(len(self.first)) / self.sample_rate_hz

    def shifted(self, delay_s: float) -> Samples:
        """The second, earlier by ``delay_s``: [N], with zeros moved in."""
        num = len(self.second)
        frequencies = np.fft.fftfreq(2 * num, 1 / self.sample_rate_hz)
        spectrum = np.fft.fft(self.second, 2 * num)
        return np.asarray(np.fft.ifft(spectrum * np.exp(2j * np.pi * frequencies * delay_s))[:num])

    def window(self, delay_s: float) -> Floats:
        """Weights [N] of the samples that overlap at this delay, falling off towards its ends."""
        num, shift = len(self.first), delay_s * self.sample_rate_hz
        start = max(0, int(np.ceil(-shift))) + GUARD
        stop = min(num, num - int(np.ceil(shift))) - GUARD
        place = (np.arange(num) - start + 0.5) / (stop - start)
        return np.asarray(np.sin(np.pi / 2 * np.clip(np.minimum(place, 1 - place) / TAPER, 0, 1)) ** 2)


def find_delay(pair: Pair, max_delay_s: float = MAX_DELAY_S, max_offset_hz: float = MAX_OFFSET_HZ) -> Delay:
    """The likeliest delay and frequency offset within these limits."""
    delay, offset = _search(pair, max_delay_s, max_offset_hz)
    window = pair.window(delay)
    steps = np.array([0.5 / pair.sample_rate_hz, pair.sample_rate_hz / len(pair.first) / 8])
    place = np.array([delay, offset])
    for _ in range(MOST_ROUNDS):
        way = _climb(pair, window, place, steps)
        place = place + way
        if (np.abs(way) <= steps).all():
            steps = steps / 4
        if steps[0] < FINEST_S:
            break
    return Delay(float(place[0]), float(place[1]), float(_coherence(pair, window, place[0], place[1:])[0]))


def _search(pair: Pair, max_delay_s: float, max_offset_hz: float) -> tuple[float, float]:
    """The best whole number of samples, and the best offset of a grid on which no peak is missed."""
    num = len(pair.first)
    most = min(round(max_delay_s * pair.sample_rate_hz), num // 2)
    lags = np.arange(-most, most + 1)
    energy = _overlap_energy(pair, lags)
    spectrum = np.fft.fft(pair.second, 2 * num)
    best = (-1.0, 0.0, 0.0)
    step = pair.sample_rate_hz / num / 4
    for offset in np.arange(-np.ceil(max_offset_hz / step), np.ceil(max_offset_hz / step) + 1) * step:
        turned = pair.first * np.exp(2j * np.pi * offset * pair.times_s)
        found = np.fft.ifft(spectrum * np.fft.fft(turned, 2 * num).conj())[lags]
        likelihood = -(num - np.abs(lags)) * np.log1p(-np.minimum(np.abs(found) ** 2 / energy, 1 - 1e-12))
        place = int(likelihood.argmax())
        best = max(best, (float(likelihood[place]), lags[place] / pair.sample_rate_hz, float(offset)))
    return best[1], best[2]


def _overlap_energy(pair: Pair, lags: NDArray[np.int64]) -> Floats:
    """Energy of the first times that of the second, each over what overlaps at a lag: [len(lags)]."""
    first, second = (np.concatenate([[0], np.cumsum(np.abs(one) ** 2)]) for one in (pair.first, pair.second))
    num = len(pair.first)
    start, stop = np.maximum(0, -lags), np.minimum(num, num - lags)
    return np.asarray((first[stop] - first[start]) * (second[stop + lags] - second[start + lags]) + 1e-300)


def _coherence(pair: Pair, window: Floats, delay_s: float, offsets_hz: Floats) -> Floats:
    """The squared coherence over a fixed window of the first, by offset."""
    second = pair.shifted(delay_s)
    turning = np.exp(-2j * np.pi * offsets_hz[:, None] * pair.times_s)
    common = np.abs(turning @ (window * pair.first.conj() * second)) ** 2
    energy = np.sum(window * np.abs(pair.first) ** 2) * np.sum(window * np.abs(second) ** 2)
    return np.asarray(common / (energy + 1e-300))


def _climb(pair: Pair, window: Floats, place: Floats, steps: Floats) -> Floats:
    """The way from ``place`` (delay, offset) to the top of the surface through the nine points about it.

    Both at once: in a signal that sweeps, a delay and an offset look alike. No way is longer than two steps.
    """
    around = np.array([-1.0, 0.0, 1.0])
    offsets = place[1] + steps[1] * around
    heights = np.array([_coherence(pair, window, place[0] + steps[0] * one, offsets) for one in around])
    slope = np.array([heights[2, 1] - heights[0, 1], heights[1, 2] - heights[1, 0]]) / 2
    across = (heights[2, 2] - heights[2, 0] - heights[0, 2] + heights[0, 0]) / 4
    bend = np.array([heights[2, 1] + heights[0, 1], heights[1, 2] + heights[1, 0]]) - 2 * heights[1, 1]
    if bend[0] * bend[1] - across**2 > 0 > bend[0]:
        way = -np.linalg.solve(np.array([[bend[0], across], [across, bend[1]]]), slope)
    else:  # no top: uphill
        way = 2 * np.sign(slope)
    return np.asarray(np.clip(way, -2, 2) * steps)

"""IQ samples of several receivers to what is measured of them: levels, arrivals, and how sure those are.

The one function for it, `measure`: in infer, in serve, and where its error model was fitted: the constants of that come
from ``python -m benchmarks.tools.iq_delays``, which measures them on synthetic signals.
"""

from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from pipeline.stats import Floats
from pipeline.tasks.localization.signal.delay import Pair, find_delay

Samples = NDArray[np.complex128]

SEGMENT_S = 1e-3  # of the averaged spectrum: 1 kHz a bin, narrower than any signal here
QUIET_SHARE = 0.2  # of the bins, the quietest: they hold noise alone
SMOOTH_FLOOR, SMOOTH_BAND = 9, 3  # bins that are averaged before the quietest and the occupied ones are told
OCCUPIED = 6.0  # standard deviations above noise from which a bin is occupied
MAX_GAP = 3  # bins without signal within a band: voices have them
FACTOR, RISE_PER_S = 1.0, 1 / 1.8e-6  # errors are so many times the bound, and more where it is large
LEAST_EVIDENCE = 12.0  # nats by which one signal in both is likelier than two: fewer are no detection


class Features(NamedTuple):
    """By receiver, [R] each, NaN where it heard nothing: level in dB of full scale, arrival in ns after the receiver
    that heard it best, and the standard deviation of the arrival."""

    level_db: Floats
    arrival_ns: Floats
    sigma_ns: Floats


def measure(samples: ArrayLike, sample_rate_hz: float) -> Features:
    """``samples`` [R, N] are complex, taken at the same moments by all receivers; 1 is full scale."""
    recorded = np.atleast_2d(np.asarray(samples, np.complex128))
    spectra = np.array([_spectrum(one, sample_rate_hz) for one in recorded])
    noise = np.array([_floor(one) for one in spectra])
    best = int((spectra.sum(axis=1) / noise).argmax())
    num_segments = max(1, 2 * recorded.shape[1] // _segment(recorded.shape[1], sample_rate_hz) - 1)
    band = _occupied(spectra[best] / noise[best], num_segments)
    ratios = np.where(band, np.maximum(spectra / noise[:, None] - 1, 0.0), 0.0)
    level = 10 * np.log10(np.maximum(ratios.sum(axis=1) * noise, 1e-300))
    arrival, sigma = np.full(len(recorded), np.nan), np.full(len(recorded), np.nan)
    if not band.any():
        return Features(arrival, arrival, sigma)
    filtered = _filtered(recorded, band)
    independent = recorded.shape[1] * band.mean()  # samples, of what is left
    for k in range(len(recorded)):
        found = find_delay(Pair(filtered[best], filtered[k], sample_rate_hz))
        evidence = -independent * np.log1p(-min(found.coherence, 1 - 1e-12))
        if k == best or evidence > LEAST_EVIDENCE:
            arrival[k] = 0.0 if k == best else found.delay_s * 1e9
            bound = receiver_bound_s(ratios[k], sample_rate_hz, recorded.shape[1])
            sigma[k] = 1e9 * (bound * (FACTOR + RISE_PER_S * bound))
    return Features(np.where(np.isnan(arrival), np.nan, level), arrival, sigma)


def receiver_bound_s(ratio: ArrayLike, sample_rate_hz: float, num_samples: int) -> float:
    """The part of one receiver in the least standard deviation of a delay, in seconds; parts add up as variances.

    ``ratio`` [bins] is that of signal to noise by frequency, from 0 up and then the negative ones. Of a pair of
    receivers this is the bound of Cramer and Rao, up to a term that matters below 0 dB in the band.
    """
    found = np.asarray(ratio, np.float64)
    frequencies = np.fft.fftfreq(len(found), 1 / sample_rate_hz)
    weight = 2 * found**2 / (1 + 2 * found)
    if not weight.any():
        return float("inf")
    middle = np.average(frequencies, weights=weight)
    information = 2 * np.sum((2 * np.pi * (frequencies - middle)) ** 2 * weight) * num_samples / len(found)
    return float(1 / np.sqrt(information))


def _spectrum(one: Samples, sample_rate_hz: float) -> Floats:
    """Power by frequency, averaged over segments that overlap by half (Welch 1967): the bins add up to the power."""
    length = _segment(len(one), sample_rate_hz)
    window = np.hanning(length + 1)[:-1]
    starts = range(0, len(one) - length + 1, max(length // 2, 1))
    parts = [np.abs(np.fft.fft(window * one[start : start + length])) ** 2 for start in starts]
    return np.asarray(np.mean(parts, axis=0) / (length * np.sum(window**2)))


def _segment(num: int, sample_rate_hz: float) -> int:
    return min(num, round(SEGMENT_S * sample_rate_hz))


def _smooth(spectrum: Floats, width: int) -> Floats:
    """The mean of each bin and those about it, round the end of the band."""
    around = range(-(width // 2), width // 2 + 1)
    return np.asarray(np.mean([np.roll(spectrum, shift) for shift in around], axis=0))


def _floor(spectrum: Floats) -> float:
    """The noise of one bin, from the quietest parts of the band."""
    quiet = np.sort(_smooth(spectrum, SMOOTH_FLOOR))[: max(1, round(QUIET_SHARE * len(spectrum)))]
    return float(max(quiet.mean(), 1e-300))


def _occupied(ratio: Floats, num_segments: int) -> NDArray[np.bool_]:
    """The band about the strongest bin in which there is more than noise: [bins], from the ratio of power to noise."""
    smooth = np.fft.fftshift(_smooth(ratio, SMOOTH_BAND))
    limit = 1 + OCCUPIED / np.sqrt(num_segments * SMOOTH_BAND / 2)
    loud = np.flatnonzero(smooth > limit)
    band = np.zeros(len(ratio), bool)
    if len(loud):
        pieces = np.split(loud, np.flatnonzero(np.diff(loud) > MAX_GAP) + 1)
        chosen = next(piece for piece in pieces if int(smooth.argmax()) in piece)
        band[max(chosen[0] - 1, 0) : chosen[-1] + 2] = True
    return np.asarray(np.fft.ifftshift(band))


def _filtered(recorded: Samples, band: NDArray[np.bool_]) -> Samples:
    """The recordings in that band alone."""
    num = recorded.shape[1]
    bins = np.round(np.fft.fftfreq(num) * len(band)).astype(np.int64) % len(band)
    return np.asarray(np.fft.ifft(np.fft.fft(recorded, axis=1) * band[bins], axis=1))

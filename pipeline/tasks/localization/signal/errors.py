"""How far off a delay is that was measured from IQ: the bound of its signal, and the model that was fitted to it.

The constants come from ``python -m benchmarks.tools.iq_delays``, which measures them on synthetic signals.
"""

import numpy as np
from numpy.typing import ArrayLike

from pipeline.stats import Floats

FACTOR, RISE_PER_S = 1.0, 1 / 1.8e-6  # errors are so many times the bound, and more where it is large


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


def stated(bound_s: ArrayLike) -> Floats:
    """Bounds of receivers as standard deviations of what `measure` says: the fitted model, for simulations too."""
    bound = np.asarray(bound_s, np.float64)
    return np.asarray(bound * (FACTOR + RISE_PER_S * bound))


def unstated(sigma_s: ArrayLike) -> Floats:
    """The bounds of what is `stated`."""
    root = np.sqrt(FACTOR**2 + 4 * RISE_PER_S * np.asarray(sigma_s, np.float64))
    return np.asarray((root - FACTOR) / (2 * RISE_PER_S))

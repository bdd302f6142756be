"""Signals as several receivers record them: FM voice and QPSK, each late, off its frequency and in noise. Seeded."""

from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray

from pipeline.stats import Floats
from pipeline.tasks.localization.signal.recording import SAMPLE_RATE_HZ

Samples = NDArray[np.complex128]
Modulation = Literal["fm_voice", "qpsk"]

LO_ERROR_HZ = 100.0  # at most, of each receiver
_MARGIN = 512  # samples before and after, so that a delay brings in signal and no edge
_VOICE_HZ, _SYLLABLES_HZ, _DEVIATION_HZ = (300.0, 3000.0), 4.0, 2500.0  # narrow-band FM of hand-held radios
_ROLL_OFF = 0.35  # of the root raised cosine


@dataclass(frozen=True)
class Signal:
    """What is sent: ``symbol_rate_hz`` is that of QPSK."""

    modulation: Modulation
    duration_s: float
    symbol_rate_hz: float = 0.0


def transmit(signal: Signal, generator: np.random.Generator) -> Samples:
    """The complex baseband of a transmission, of mean power 1, with `_MARGIN` samples more on either side."""
    num = round(signal.duration_s * SAMPLE_RATE_HZ) + 2 * _MARGIN
    sent = _fm_voice(num, generator) if signal.modulation == "fm_voice" else _qpsk(num, signal, generator)
    return np.asarray(sent / np.sqrt(np.mean(np.abs(sent) ** 2)))


def receive(
    sent: Samples, delays_s: ArrayLike, snr_db: ArrayLike, generator: np.random.Generator, lo_hz: float = LO_ERROR_HZ
) -> Samples:
    """What R receivers record: [R, N], ``delays_s`` [R] late, with the noise that ``snr_db`` [R] says over the whole
    sampled band, noise of power 1. Phases are any, frequencies off by up to ``lo_hz``."""
    delays, levels = np.broadcast_arrays(np.atleast_1d(delays_s), np.atleast_1d(snr_db))
    frequencies = np.fft.fftfreq(len(sent), 1 / SAMPLE_RATE_HZ)
    spectrum = np.fft.fft(sent)
    times = np.arange(len(sent) - 2 * _MARGIN) / SAMPLE_RATE_HZ
    recorded = []
    for delay, level in zip(delays.tolist(), levels.tolist(), strict=True):
        late = np.fft.ifft(spectrum * np.exp(-2j * np.pi * frequencies * delay))[_MARGIN:-_MARGIN]
        turning = np.exp(2j * np.pi * (generator.uniform(-lo_hz, lo_hz) * times + generator.uniform()))
        noise = generator.standard_normal((2, len(times))) / np.sqrt(2)
        recorded.append(10 ** (level / 20) * late * turning + noise[0] + 1j * noise[1])
    return np.array(recorded)


def _fm_voice(num: int, generator: np.random.Generator) -> Samples:
    """Noise in the band of a voice that comes in syllables, on the frequency of a carrier."""
    frequencies = np.abs(np.fft.rfftfreq(num, 1 / SAMPLE_RATE_HZ))
    spectrum = np.fft.rfft(generator.standard_normal(num))
    spectrum[(frequencies < _VOICE_HZ[0]) | (frequencies > _VOICE_HZ[1])] = 0
    voice = np.fft.irfft(spectrum / np.maximum(frequencies, _VOICE_HZ[0]), num)  # speech falls by 6 dB an octave
    phase = generator.uniform(0, 2 * np.pi)
    voice *= 1 + 0.8 * np.sin(2 * np.pi * _SYLLABLES_HZ * np.arange(num) / SAMPLE_RATE_HZ + phase)
    return np.asarray(np.exp(2j * np.pi * np.cumsum(_DEVIATION_HZ * voice / np.abs(voice).max()) / SAMPLE_RATE_HZ))


def _qpsk(num: int, signal: Signal, generator: np.random.Generator) -> Samples:
    """Random symbols through a root raised cosine, made in the frequency domain."""
    frequencies = np.abs(np.fft.fftfreq(num, 1 / SAMPLE_RATE_HZ))
    edge = (frequencies / signal.symbol_rate_hz - (1 - _ROLL_OFF) / 2) / _ROLL_OFF
    shape = np.cos(np.pi / 2 * np.clip(edge, 0, 1))
    impulses = np.zeros(num, np.complex128)
    at = np.arange(0, num, SAMPLE_RATE_HZ / signal.symbol_rate_hz).astype(np.int64)
    impulses[at] = np.exp(1j * np.pi / 2 * generator.integers(0, 4, len(at)))
    return np.asarray(np.fft.ifft(np.fft.fft(impulses) * shape))


def bound_s(sent: Samples, snr_db: Floats) -> float:
    """The least standard deviation of the delay between two receivers (Cramer-Rao) of this transmission, in seconds.

    ``snr_db`` [2] is that of each over the whole sampled band. The phase is not known, the
    frequency offset is (Stein 1981).
    """
    inside = sent[_MARGIN:-_MARGIN]
    power = np.abs(np.fft.fft(inside)) ** 2 / len(inside)
    frequencies = np.fft.fftfreq(len(inside), 1 / SAMPLE_RATE_HZ)
    one, other = (10 ** (level / 10) * power for level in snr_db)
    weight = one * other / (1 + one + other)
    middle = np.average(frequencies, weights=weight)
    return float(1 / np.sqrt(2 * np.sum((2 * np.pi * (frequencies - middle)) ** 2 * weight)))

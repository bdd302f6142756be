"""What receivers recorded of one transmission: power by frequency as time goes on."""

from typing import Any

import numpy as np

from pipeline.look import plotting
from pipeline.stats import Floats
from pipeline.tasks.localization.signal.recording import Recording

MAX_CHANNELS = 4
NUM_BINS = 64  # of frequency
RANGE_DB = 50.0  # below the strongest


def spectrogram(samples: Any, num_bins: int = NUM_BINS) -> Floats:
    """Power in dB by time and frequency, lowest first: [segments, num_bins], segments overlap by half."""
    window = np.hanning(num_bins + 1)[:-1]
    starts = np.arange(0, len(samples) - num_bins + 1, num_bins // 2)
    segments = np.asarray(samples)[starts[:, None] + np.arange(num_bins)] * window
    power = np.abs(np.fft.fftshift(np.fft.fft(segments, axis=1), axes=1)) ** 2 / np.sum(window**2)
    return np.asarray(10 * np.log10(np.maximum(power, 1e-20)))


def draw_waterfall(figure: Any, recording: Recording) -> None:
    """The first receivers of a recording beside each other, in one scale of brightness."""
    shown = recording.samples[:MAX_CHANNELS]
    axes = plotting.small_multiples(figure, len(shown), len(shown))
    found = [spectrogram(one) for one in shown]
    top = max(float(one.max()) for one in found)
    half, duration = recording.sample_rate_hz / 2e3, 1e3 * recording.samples.shape[1] / recording.sample_rate_hz
    for number, (ax, one) in enumerate(zip(axes, found, strict=True)):
        ax.imshow(
            one, aspect="auto", extent=(-half, half, duration, 0), vmin=top - RANGE_DB, vmax=top, cmap="viridis",
            interpolation="nearest",
        )  # fmt: skip
        name = recording.receivers[number].receiver if recording.receivers else f"receiver {number + 1}"
        ax.set(xlabel="kHz", title=name)
        ax.grid(visible=False)
    axes[0].set_ylabel("ms")

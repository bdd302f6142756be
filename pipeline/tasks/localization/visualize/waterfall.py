"""What receivers recorded of one transmission: power by frequency as time goes on."""

from pathlib import Path
from typing import Any

import numpy as np

from pipeline.errors import UserError
from pipeline.look import plotting
from pipeline.look.numbers import one_line
from pipeline.stats import Floats
from pipeline.tasks.localization.rows import Prediction
from pipeline.tasks.localization.signal.features import measure
from pipeline.tasks.localization.signal.recording import Recording, read_recording

MAX_CHANNELS = 4
NUM_BINS = 64  # of frequency
RANGE_DB = 50.0  # below the strongest


def recording_of(row: Prediction, root: Path) -> Recording:
    """The recording of a row, with its receivers where it is known whose channel is whose. Raises UserError.

    A row leaves out who heard nothing, and numbers alone do not say how many channels they are: they are shown where
    they say of the row's receivers what the row does.
    """
    found = read_recording(row, root)
    arrivals = np.array([one.arrival_ns for one in row.measurements], np.float64)
    if not found.says_channels and not np.allclose(measure(*found[:2]).arrival_ns, arrivals, atol=1.0):
        raise UserError(f"{row.recording} does not say how many channels it has, and they are not {len(arrivals)}")
    named = next((one for one in (row.measurements, found.receivers) if len(one) == len(found.samples)), ())
    return found._replace(receivers=named)


def spectrogram(samples: Any, num_bins: int = NUM_BINS) -> Floats:
    """Power in dB by time and frequency, lowest first: [segments, num_bins], segments overlap by half."""
    window = np.hanning(num_bins + 1)[:-1]
    starts = np.arange(0, len(samples) - num_bins + 1, num_bins // 2)
    segments = np.asarray(samples)[starts[:, None] + np.arange(num_bins)] * window
    power = np.abs(np.fft.fftshift(np.fft.fft(segments, axis=1), axes=1)) ** 2 / np.sum(window**2)
    return np.asarray(10 * np.log10(np.maximum(power, 1e-20)))


def draw_waterfall(figure: Any, recording: Recording) -> None:
    """The first receivers of a recording beside each other, in one scale of brightness."""
    shown = [spectrogram(one) for one in recording.samples[:MAX_CHANNELS]]
    axes = plotting.small_multiples(figure, len(shown), len(shown))
    top = max(float(one.max()) for one in shown)
    half, duration = recording.sample_rate_hz / 2e3, 1e3 * recording.samples.shape[1] / recording.sample_rate_hz
    look: dict[str, Any] = {"vmin": top - RANGE_DB, "vmax": top, "cmap": "viridis", "interpolation": "nearest"}
    for number, (ax, one) in enumerate(zip(axes, shown, strict=True)):
        ax.imshow(one, aspect="auto", extent=(-half, half, duration, 0), **look)
        name = recording.receivers[number].receiver if recording.receivers else f"receiver {number + 1}"
        ax.set(xlabel="kHz", title=one_line(name)[:18])
        ax.grid(visible=False)
    axes[0].set_ylabel("ms")

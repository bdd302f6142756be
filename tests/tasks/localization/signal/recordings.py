"""Recordings for tests: samples as SigMF, or as numbers alone."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
from numpy.typing import NDArray

from pipeline.tasks.localization.signal.recording import DATA, META


def write_numbers(path: Path, samples: NDArray[Any], number: str) -> None:
    """``samples`` [R, N] interleaved, full scale 1, as "<i2" or "<f4"."""
    interleaved = np.stack([samples.real, samples.imag], axis=-1).transpose(1, 0, 2)
    scaled = np.clip(np.round(interleaved * 32768), -32768, 32767) if number == "<i2" else interleaved
    path.write_bytes(scaled.astype(number).tobytes())


def write_recording(path: Path, samples: NDArray[Any], said: Mapping[str, Any]) -> None:
    """``samples`` [R, N] as SigMF of int16; ``said`` goes into ``global``."""
    head = {"core:datatype": "ci16_le", "core:version": "1.2.0", "core:num_channels": len(samples)} | dict(said)
    write_numbers(path.with_suffix(DATA), samples, "<i2")
    document = {"global": head, "captures": [{"core:sample_start": 0}], "annotations": []}
    path.with_suffix(META).write_bytes(msgspec.json.format(msgspec.json.encode(document)))

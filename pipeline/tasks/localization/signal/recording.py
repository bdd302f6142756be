"""Recorded IQ samples: SigMF (a .sigmf-meta file beside a .sigmf-data file), or interleaved numbers alone.

Several receivers lie in one recording as its channels: the samples of all channels at one moment follow one another
(``core:num_channels``), each as I and Q. Channels are the receivers that the record lists, in that order, or those of
``localization:receivers`` in ``global``: objects with receiver, latitude, longitude and altitude_m.
``localization:full_scale_dbm`` there is the level of a full-scale signal (0 where it is not said).
"""

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path, PurePosixPath
from typing import Any, NamedTuple

import msgspec
import numpy as np
from numpy.typing import NDArray

from pipeline.errors import UserError
from pipeline.files.document import read_json
from pipeline.tasks.localization.rows import Example, Measurement
from pipeline.tasks.localization.signal.features import measure
from pipeline.tasks.localization.signal.synthetic import SAMPLE_RATE_HZ

META, DATA = ".sigmf-meta", ".sigmf-data"
TYPES = {"ci16_le": ("<i2", 32768.0), "ci16_be": (">i2", 32768.0), "cf32_le": ("<f4", 1.0), "cf32_be": (">f4", 1.0)}
BY_SUFFIX = {".ci16": "ci16_le", ".cs16": "ci16_le", ".sc16": "ci16_le", ".cf32": "cf32_le", ".fc32": "cf32_le"}
MOST_SAMPLES = 200_000  # of a receiver: a second, fifty times what is needed
LEAST_SAMPLES = 200


class Recording(NamedTuple):
    """``samples`` [R, N], full scale 1; ``receivers`` where the file names them."""

    samples: NDArray[np.complex64]
    sample_rate_hz: float
    receivers: Sequence[Measurement] = ()
    full_scale_dbm: float = 0.0


def read_recording(path: Path, num_channels: int) -> Recording:
    """A recording: either file of SigMF, or numbers whose type the suffix says (.ci16, .cf32), of ``num_channels``
    receivers and at 200 kHz. Raises UserError."""
    if path.suffix in (META, DATA):
        return _read_sigmf(path.with_suffix(META), path.with_suffix(DATA))
    if path.suffix not in BY_SUFFIX:
        remedy = f"name it after its type ({', '.join(BY_SUFFIX)}), or write SigMF metadata beside it ({META})"
        raise UserError("nothing says how its samples are stored", where=str(path), remedy=remedy)
    return Recording(_samples(path, BY_SUFFIX[path.suffix], max(num_channels, 1)), SAMPLE_RATE_HZ)


def write_recording(path: Path, samples: NDArray[Any], said: Mapping[str, Any]) -> list[Path]:
    """``samples`` [R, N] as SigMF of int16, full scale 1; ``said`` goes into ``global``. Both files."""
    interleaved = np.stack([samples.real, samples.imag], axis=-1).transpose(1, 0, 2)
    numbers = np.clip(np.round(interleaved * 32768), -32768, 32767).astype("<i2")
    head = {"core:datatype": "ci16_le", "core:version": "1.2.0", "core:num_channels": len(samples)} | dict(said)
    path.with_suffix(DATA).write_bytes(numbers.tobytes())
    document = {"global": head, "captures": [{"core:sample_start": 0}], "annotations": []}
    path.with_suffix(META).write_bytes(msgspec.json.format(msgspec.json.encode(document)))
    return [path.with_suffix(META), path.with_suffix(DATA)]


def measured(path: Path, receivers: Sequence[Measurement]) -> tuple[Measurement, ...]:
    """What each receiver measured of a recording; those that heard nothing have no measurement.

    ``receivers`` are those of the record, a channel each; where it has none, the recording names them. Raises
    UserError.
    """
    recording = read_recording(path, len(receivers))
    named = tuple(receivers) or tuple(recording.receivers)
    if len(named) != len(recording.samples):
        what = f"the recording has {len(recording.samples)} channels, and {len(named)} receivers are named"
        raise UserError(what, where=str(path), remedy="list the receivers of the record in the order of the channels")
    found = measure(recording.samples, recording.sample_rate_hz)
    return tuple(
        msgspec.structs.replace(
            receiver,
            level_dbm=round(float(level) + recording.full_scale_dbm, 2),
            arrival_ns=round(float(arrival), 2),
            sigma_ns=round(float(sigma), 2),
        )
        for receiver, level, arrival, sigma in zip(named, *found, strict=True)
        if not np.isnan(arrival)
    )


def with_measurements(example: Example, root: Path) -> Example:
    """An example that nothing was measured of, with what its recording says; any other as it is.

    The path of a recording is relative to ``root``, and leads nowhere else. Raises UserError.
    """
    is_measured = any(one.level_dbm is not None or one.arrival_ns is not None for one in example.measurements)
    if example.recording is None or is_measured:
        return example
    path = PurePosixPath(example.recording)
    if path.is_absolute() or ".." in path.parts:
        remedy = "name it relative to the folder of the examples"
        raise UserError(f"the recording {example.recording!r} leads out of its folder", where=example.id, remedy=remedy)
    return msgspec.structs.replace(example, measurements=measured(root / path, example.measurements))


def hash_recordings(names: Iterable[str], root: Path) -> str:
    """One hash over recordings and their metadata, of those that are there."""
    digest = hashlib.sha256()
    for name in dict.fromkeys(names):
        path = root / name
        for one in (path.with_suffix(META), path.with_suffix(DATA)) if path.suffix in (META, DATA) else (path,):
            content = one.read_bytes() if one.is_file() else b""
            digest.update(f"{name} {one.suffix} {len(content)}\n".encode() + content)
    return digest.hexdigest()


def _read_sigmf(meta: Path, data: Path) -> Recording:
    document = read_json(meta)
    said = document.get("global") if isinstance(document, dict) else None
    if not isinstance(said, dict) or said.get("core:datatype") not in TYPES:
        remedy = f"core:datatype is one of {', '.join(TYPES)}"
        raise UserError("the metadata do not say how samples are stored", where=f"{meta}: global", remedy=remedy)
    for key in ("core:trailing_bytes", "core:metadata_only", "core:dataset"):
        if said.get(key):
            raise UserError(f"recordings with {key} are not read", where=str(meta), remedy="write a .sigmf-data file")
    try:
        rate = msgspec.convert(said.get("core:sample_rate", SAMPLE_RATE_HZ), float)
        channels = msgspec.convert(said.get("core:num_channels", 1), int)
        receivers = msgspec.convert(said.get("localization:receivers", []), tuple[Measurement, ...])
        full_scale = msgspec.convert(said.get("localization:full_scale_dbm", 0.0), float)
    except msgspec.ValidationError as error:
        raise UserError(f"the metadata are wrong: {error}", where=f"{meta}: global") from None
    if rate <= 0 or channels < 1:
        raise UserError("core:sample_rate and core:num_channels are more than 0", where=f"{meta}: global")
    return Recording(_samples(data, said["core:datatype"], channels), rate, receivers, full_scale)


def _samples(path: Path, datatype: str, num_channels: int) -> NDArray[np.complex64]:
    """[num_channels, N]. Raises UserError for a file that is missing, cut, empty or much too long."""
    number, full_scale = TYPES[datatype]
    try:
        size = path.stat().st_size
        width = 2 * num_channels * np.dtype(number).itemsize
        if size % width or not LEAST_SAMPLES <= size // width <= MOST_SAMPLES:
            what = f"{size:,} bytes are no recording of {num_channels} channels of {datatype} ({width} bytes a moment)"
            remedy = f"a receiver has {LEAST_SAMPLES} to {MOST_SAMPLES:,} samples; is the number of channels right?"
            raise UserError(what, where=str(path), remedy=remedy)
        found = np.fromfile(path, number).astype(np.float32).reshape(-1, num_channels, 2) / np.float32(full_scale)
    except OSError as error:
        raise UserError(f"cannot read the samples: {error.strerror}", where=str(path)) from error
    if not np.isfinite(found).all():
        raise UserError("some samples are no numbers", where=str(path), remedy="record it again, or cut them out")
    return np.ascontiguousarray((found[..., 0] + 1j * found[..., 1]).T.astype(np.complex64))

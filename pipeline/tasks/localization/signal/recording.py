"""Recorded IQ samples: SigMF (a .sigmf-meta file beside a .sigmf-data file), or interleaved numbers alone.

Several receivers lie in one recording as its channels: the samples of all channels at one moment follow one another
(``core:num_channels``), each as I and Q. Channels are the receivers that the record lists, in that order, or those of
``localization:receivers`` in ``global``: objects with receiver, latitude, longitude and altitude_m.
``localization:full_scale_dbm`` there is the level of a full-scale signal (0 where it is not said).
"""

from collections.abc import Iterable, Sequence
from pathlib import Path, PurePosixPath
from typing import NamedTuple

import msgspec
import numpy as np
from numpy.typing import NDArray

from pipeline.errors import UserError
from pipeline.files.document import read_json
from pipeline.files.hashes import hash_config, sha256_file
from pipeline.tasks.localization.rows import Example, Measurement, Prediction
from pipeline.tasks.localization.signal.features import measure

SAMPLE_RATE_HZ = 200_000.0  # of files that do not say theirs
META, DATA = ".sigmf-meta", ".sigmf-data"
TYPES = {"ci16_le": ("<i2", 32768.0), "ci16_be": (">i2", 32768.0), "cf32_le": ("<f4", 1.0), "cf32_be": (">f4", 1.0)}
BY_SUFFIX = {".ci16": "ci16_le", ".cs16": "ci16_le", ".sc16": "ci16_le", ".cf32": "cf32_le", ".fc32": "cf32_le"}
MOST_SAMPLES = 200_000  # of a receiver: a second, fifty times what is needed
LEAST_SAMPLES = 200


class Recording(NamedTuple):
    """``samples`` [R, N], full scale 1; ``receivers`` where the file names them; ``says_channels``: whether it says
    what R is."""

    samples: NDArray[np.complex64]
    sample_rate_hz: float
    receivers: Sequence[Measurement] = ()
    full_scale_dbm: float = 0.0
    says_channels: bool = True


def read_recording(record: Example | Prediction, root: Path) -> Recording:
    """The recording that a record names: either file of SigMF, or numbers whose type the suffix says (.ci16, .cf32), a
    channel for each of its measurements and at 200 kHz. Its path is relative to ``root``, and leads nowhere else.
    Raises UserError."""
    name = PurePosixPath(record.recording or "")
    if name.is_absolute() or ".." in name.parts:
        remedy = "name it relative to the folder of the examples"
        raise UserError(f"the recording {record.recording!r} leads out of its folder", where=record.id, remedy=remedy)
    path = root / name
    if path.suffix in (META, DATA):
        return _read_sigmf(path.with_suffix(META), path.with_suffix(DATA))
    if path.suffix not in BY_SUFFIX:
        remedy = f"name it after its type ({', '.join(BY_SUFFIX)}), or write SigMF metadata beside it ({META})"
        raise UserError("nothing says how its samples are stored", where=str(path), remedy=remedy)
    samples = _samples(path, BY_SUFFIX[path.suffix], max(len(record.measurements), 1))
    return Recording(samples, SAMPLE_RATE_HZ, says_channels=False)


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


def with_measurements(example: Example, root: Path) -> Example:
    """An example that nothing was measured of, with what its recording says; any other as it is.

    The receivers are those of the example, a channel each; where it has none, the recording names them. Those that
    heard nothing have no measurement. Raises UserError.
    """
    is_measured = any(one.level_dbm is not None or one.arrival_ns is not None for one in example.measurements)
    if example.recording is None or is_measured:
        return example
    recording = read_recording(example, root)
    named = example.measurements or tuple(recording.receivers)
    if len(named) != len(recording.samples):
        what = f"the recording has {len(recording.samples)} channels, and {len(named)} receivers are named"
        remedy = "list the receivers of the record in the order of the channels"
        raise UserError(what, where=str(root / example.recording), remedy=remedy)
    measured = tuple(
        msgspec.structs.replace(
            receiver,
            level_dbm=round(float(level) + recording.full_scale_dbm, 2),
            arrival_ns=round(float(arrival), 2),
            sigma_ns=round(float(sigma), 2),
        )
        for receiver, level, arrival, sigma in zip(
            named, *measure(recording.samples, recording.sample_rate_hz), strict=True
        )
        if not np.isnan(arrival)
    )
    return msgspec.structs.replace(example, measurements=measured)


def hash_recordings(names: Iterable[str], root: Path) -> str:
    """One hash over recordings and their metadata, of those that are there."""
    paths = {f"{name} {one.suffix}": one for name in names for one in _files_of(root / name)}
    return hash_config({said: sha256_file(path) for said, path in paths.items() if path.is_file()})


def _files_of(path: Path) -> tuple[Path, ...]:
    return (path.with_suffix(META), path.with_suffix(DATA)) if path.suffix in (META, DATA) else (path,)


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

"""Bundles: written array by array, so that memory is bounded by a chunk; read by mapping them, once all is checked."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from itertools import pairwise
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
from numpy.typing import NDArray

from pipeline.errors import UserError, nearest
from pipeline.files import read_all, write_all
from pipeline.files.atomic import cannot_write, write_atomically
from pipeline.files.hashes import sha256_file
from schemas.bundle import BundleManifest, Record

MANIFEST, RECORDS, IMAGES = "bundle.json", "records.jsonl", "images.npy"
_REMEDY = "copy the folder again from where it came, or record it again"


@dataclass(frozen=True)
class Bundle:
    """An opened bundle; ``key`` tells it from all others: the first digits of its manifest's hash."""

    folder: Path
    key: str
    manifest: BundleManifest
    records: Sequence[Record]
    images: NDArray[np.uint8]
    activations: Mapping[str, NDArray[np.floating[Any]]]
    coordinates: Mapping[str, NDArray[np.float32]]

    @cached_property
    def _numbers(self) -> dict[str, int]:
        return {record.id: number for number, record in enumerate(self.records)}

    def number(self, id: str) -> int:
        """The place of a record in the arrays. Raises UserError."""
        if id not in self._numbers:
            raise UserError(f"there is no record {id[:60]!r}", where=str(self.folder))
        return self._numbers[id]

    def level(self, level: int) -> int:
        """The number of a noise level, checked. Raises UserError."""
        if level not in range(len(self.manifest.noise_levels)):
            raise UserError(f"there is no noise level {level}", where=str(self.folder))
        return level

    def layer(self, name: str) -> str:
        """The name of a layer, checked. Raises UserError that names the nearest."""
        if name not in self.activations:
            remedy = nearest(name, list(self.activations))
            raise UserError(f"there is no layer {name[:60]!r}", where=str(self.folder), remedy=remedy)
        return name


@dataclass
class BundleWriter:
    """Writes a bundle into ``folder``: arrays first, each filled as it comes, then `finish`."""

    folder: Path
    _arrays: dict[str, np.memmap[Any, Any]] = field(default_factory=dict)

    def array(self, name: str, shape: tuple[int, ...], dtype: Any) -> np.memmap[Any, Any]:
        """A new file of the bundle (such as `IMAGES`) as an array to fill. Raises UserError when it cannot be made."""
        path = self.folder / name
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            (self.folder / MANIFEST).unlink(missing_ok=True)  # what it said is not so any more
            self._arrays[name] = np.lib.format.open_memmap(path, mode="w+", dtype=dtype, shape=shape)
        except OSError as error:
            raise cannot_write(path, error) from error
        return self._arrays[name]

    def finish(self, manifest: BundleManifest, records: Iterable[Record]) -> Bundle:
        """Write the records and, last, the manifest with the hashes of all files. Raises UserError."""
        for array in self._arrays.values():
            array.flush()
        write_all(self.folder / RECORDS, records)
        names = sorted({RECORDS, IMAGES, *_arrays_of(manifest)})
        hashes = {name: sha256_file(self.folder / name) for name in names}
        whole = msgspec.structs.replace(manifest, files=hashes)
        write_atomically(self.folder / MANIFEST, [msgspec.json.format(msgspec.json.encode(whole)), b"\n"])
        return open_bundle(self.folder)


def open_bundle(folder: Path) -> Bundle:
    """All of it checked against its manifest: hashes, shapes, types, records. Raises UserError at what is wrong."""
    path = folder / MANIFEST
    manifest = _read_manifest(path)
    for name, hash in manifest.files.items():
        if Path(name).name != name or sha256_file(folder / name) != hash:
            what = "this file is not what the bundle was made with: it was damaged or replaced"
            raise UserError(what, where=str(folder / name), remedy=_REMEDY)
    records = read_all(folder / RECORDS, Record)
    _check_records(records, manifest, str(folder / RECORDS))
    shape, layers = (manifest.num_records, len(manifest.noise_levels)), manifest.layers
    activations = {
        one.name: _map(folder / one.activations, (*shape, one.num_features), ("float16", "float32")) for one in layers
    }
    return Bundle(
        folder=folder,
        key=sha256_file(path)[:16],
        manifest=manifest,
        records=records,
        images=_map(folder / IMAGES, (manifest.num_records, *manifest.image_shape), ("uint8",)),
        activations=activations,
        coordinates={one.name: _map(folder / one.coordinates, (*shape, 2), ("float32",)) for one in layers},
    )


def _read_manifest(path: Path) -> BundleManifest:
    try:
        manifest = msgspec.json.decode(path.read_bytes(), type=BundleManifest)
    except OSError as error:
        remedy = "give a folder with a bundle.json, or that of an infer run that recorded activations"
        what = f"this folder is no bundle of activations: {error.strerror}"
        raise UserError(what, where=str(path), remedy=remedy) from error
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise UserError(f"the bundle's manifest is damaged: {error}", where=str(path), remedy=_REMEDY) from error
    missing = {RECORDS, IMAGES, *_arrays_of(manifest)} - manifest.files.keys()
    if missing:
        raise UserError(f"the manifest names no {', '.join(sorted(missing))}", where=str(path), remedy=_REMEDY)
    levels = manifest.noise_levels
    if any(a <= b for a, b in pairwise(levels)):
        raise UserError("noise levels must fall", where=f"{path}: noise_levels", remedy=_REMEDY)
    if any(len(values) != len(levels) for layer in manifest.layers for values in layer.probes.values()):
        raise UserError("a probe has one accuracy a noise level", where=f"{path}: layers", remedy=_REMEDY)
    return manifest


def _arrays_of(manifest: BundleManifest) -> list[str]:
    return [name for layer in manifest.layers for name in (layer.activations, layer.coordinates)]


def _check_records(records: Sequence[Record], manifest: BundleManifest, where: str) -> None:
    unknown = {record.label for record in records} - {*manifest.classes}
    if len(records) != manifest.num_records:
        what = f"it has {len(records):,} records, and the manifest says {manifest.num_records:,}"
    elif len({record.id for record in records}) < len(records):
        what = "two records have the same id"
    elif unknown:
        what = f"records are of classes that the manifest does not name: {', '.join(sorted(unknown)[:5])}"
    else:
        return
    raise UserError(what, where=where, remedy=_REMEDY)


def _map(path: Path, shape: tuple[int, ...], dtypes: Sequence[str]) -> NDArray[Any]:
    """An array of a file, mapped for reading. No pickle: such a file is refused."""
    try:
        array = np.load(path, mmap_mode="r", allow_pickle=False)
    except (OSError, ValueError) as error:
        raise UserError(f"this is no array that numpy can map: {error}", where=str(path), remedy=_REMEDY) from error
    if array.shape != shape or array.dtype.name not in dtypes:
        what = f"it holds {array.dtype.name} {list(array.shape)}, not {' or '.join(dtypes)} {list(shape)}"
        raise UserError(what, where=str(path), remedy=_REMEDY)
    return array  # type: ignore[no-any-return]

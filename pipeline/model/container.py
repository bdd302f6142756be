"""The bytes of an inference_v1 file: a safetensors container whose header carries hashes of everything in it.

No torch: `baton inspect` reads and checks a model file on a machine without it, and
nothing in the file is ever run. `docs/using-a-model.md` shows the same with plain safetensors.

Layout (https://huggingface.co/docs/safetensors): 8 bytes, the length N of the header, little-endian; N bytes of JSON,
padded with blanks; the tensors, without gaps. The header's ``__metadata__`` holds strings:

    format_version    inference_v1
    brain_spec        canonical JSON of the architecture
    brain_spec_hash   sha256 of brain_spec
    metadata          canonical JSON of where the model came from and what goes in and out
    metadata_hash     sha256 of metadata
    weights_chunks    sha256 of each MiB of the tensors, one after the other, 64 digits each
    weights_hash      sha256 of the table of tensors (names, types, shapes, in file order) and of weights_chunks
    created_at        UTC, as 2026-01-31T23:59:59Z
    header_hash       sha256 of format_version, the three hashes and created_at

A flipped bit anywhere is found, and where. Hashes tell damage, not malice: whoever can write a file can also hash it.
"""

import hashlib
import itertools
import json
import math
import mmap
import re
import stat
from collections.abc import Iterable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import msgspec

from pipeline.errors import UserError
from pipeline.files.atomic import write_atomically
from pipeline.model.foreign import refuse_foreign

FORMAT_VERSION = "inference_v1"
CHUNK_BYTES = 1 << 20
ALIGNMENT_BYTES = 64  # a cache line, and what torch's own memory is aligned to
MAX_HEADER_BYTES = 16 << 20  # the largest written so far has 6 kB; a safetensors reader's own limit is 100 MB
_MAX_DIMENSIONS, _MAX_SIZE = 8, 1 << 62
_PARALLEL_CHUNKS = 8  # from 8 MiB on, hashing in threads gains more than starting them costs

ITEM_BYTES = {"F64": 8, "F32": 4, "F16": 2, "BF16": 2, "I64": 8, "I32": 4, "I16": 2, "I8": 1, "U8": 1, "BOOL": 1}

_COVERED = ("format_version", "brain_spec_hash", "metadata_hash", "weights_hash", "created_at")
_KEYS = (*_COVERED, "brain_spec", "metadata", "weights_chunks", "header_hash")
_CREATED_AT = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ")
_EXPORT_AGAIN = "export the checkpoint again: baton export"
_DAMAGED = f"copy the file again from where it came, or {_EXPORT_AGAIN}"


class Entry(NamedTuple):
    """One tensor: its bytes are ``[start:stop]`` of the file."""

    name: str
    dtype: str
    shape: tuple[int, ...]
    start: int
    stop: int


@dataclass(frozen=True)
class Header:
    """A checked header: every string hash in it matches, every tensor lies inside the file."""

    brain_spec: Mapping[str, Any]
    metadata: Mapping[str, Any]
    brain_spec_hash: str
    metadata_hash: str
    weights_hash: str
    created_at: str
    entries: Mapping[str, Entry]
    chunks: tuple[str, ...]
    data_start: int


class ModelFile:
    """An open inference_v1 file: its header is checked at once, its tensors by `verify`; both raise UserError."""

    def __init__(self, path: Path | str) -> None:
        self.path = Path(path)
        self._map = _map_file(self.path)
        self.header = _read_header(self._map, str(self.path))

    @property
    def num_bytes(self) -> int:
        """Length of the file."""
        return len(self._map)

    def read(self, name: str) -> memoryview:
        """The bytes of a tensor, neither copied nor checked."""
        entry = self.header.entries[name]
        return memoryview(self._map)[entry.start : entry.stop]

    def verify(self) -> None:
        """Check all tensors; those of large files on all cores."""
        digests = _digests(memoryview(self._map)[self.header.data_start :])
        for index, (digest, expected) in enumerate(zip(digests, self.header.chunks, strict=True)):
            if digest != expected:
                raise _bad(f"the weights are damaged: MiB {index} of them does not match its hash", str(self.path))


def _digests(data: memoryview) -> list[str]:
    chunks = [data[start : start + CHUNK_BYTES] for start in range(0, len(data), CHUNK_BYTES)]
    if len(chunks) < _PARALLEL_CHUNKS:
        return [*map(_sha256, chunks)]
    with ThreadPoolExecutor() as pool:  # hashlib lets other threads run
        return [*pool.map(_sha256, chunks)]


def _map_file(path: Path) -> mmap.mmap:
    try:
        about = path.stat()
        if not stat.S_ISREG(about.st_mode):  # opening a named pipe would wait for its writer
            raise UserError("this is not a file", where=str(path), remedy="give the path of an inference_v1 file")
        if about.st_size < 8:
            raise _bad(f"{about.st_size} bytes are too few for a model file", str(path))
        with open(path, "rb") as file:
            return mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_COPY)
    except FileNotFoundError as error:
        raise UserError("there is no such model file", where=str(path), remedy="check the path") from error
    except OSError as error:
        raise UserError(f"cannot read the model file: {error.strerror or error}", where=str(path)) from error


def _bad(what: str, where: str, remedy: str = _DAMAGED) -> UserError:
    return UserError(what, where=where, remedy=remedy)


def _read_header(file: mmap.mmap, where: str) -> Header:
    refuse_foreign(Path(where))
    start = file[:8]
    length = int.from_bytes(start, "little")
    if 8 + length > len(file) and (start[:4] == b"PK\x03\x04" or start[:1] == b"\x80"):
        what = "this is a torch checkpoint or another pickle, not an inference_v1 file; opening it could run code"
        raise _bad(what, where, "if you trust where it comes from: baton export TASK --checkpoint FILE")
    if length > MAX_HEADER_BYTES:
        raise _bad(f"this is not a safetensors file: its header would be {length:,} bytes long", where, _EXPORT_AGAIN)
    if 8 + length > len(file):
        raise _bad(f"the file is cut off: the header alone needs {8 + length:,} bytes", where)
    table = _parse_header(file[8 : 8 + length], where)
    strings = _strings(table.pop("__metadata__", None), where)
    entries = _entries(table, 8 + length, len(file), where)
    chunks = _chunks(strings, entries, len(file) - 8 - length, where)
    told: dict[str, Any] = {name: strings[name] for name in _COVERED[1:]}
    told |= {name: _parse_string(strings, name, where) for name in ("brain_spec", "metadata")}
    return Header(**told, entries=entries, chunks=chunks, data_start=8 + length)


def _parse_header(raw: bytes, where: str) -> dict[str, Any]:
    """The table of tensors. Keys that occur twice are refused: readers differ in which of them counts."""

    def unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        found = dict(pairs)
        if len(found) != len(pairs):
            raise ValueError("a key occurs twice")
        return found

    def refuse(constant: str) -> None:
        raise ValueError(f"{constant} is not JSON")

    try:
        value = json.loads(raw.decode(), object_pairs_hook=unique, parse_constant=refuse)
        if b"\\u" in raw:  # half a surrogate pair is no text, and would fail wherever it is printed
            json.dumps(value, ensure_ascii=False).encode()
    except (ValueError, RecursionError) as error:
        raise _bad(f"the header is not readable JSON: {error}", f"{where}:header") from error
    if not isinstance(value, dict):
        raise _bad("the header is not a JSON object", f"{where}:header")
    return value


def _parse_string(strings: Mapping[str, str], name: str, where: str) -> dict[str, Any]:
    """The JSON in a string of the header; its hash was checked."""
    try:
        return msgspec.json.decode(strings[name], type=dict[str, Any])
    except (msgspec.DecodeError, RecursionError) as error:
        raise _bad(f"{name} is not a readable JSON object: {error}", f"{where}:{name}") from error


def _strings(found: Any, where: str) -> dict[str, str]:
    """The strings of the header, their version known and their hashes checked."""
    if not isinstance(found, dict) or "format_version" not in found:
        what = "this is a safetensors file, but not an inference_v1 file: its header has no format_version"
        raise _bad(what, where, _EXPORT_AGAIN)
    version = found["format_version"]
    if version != FORMAT_VERSION:
        what = f"the file is {str(version)[:40]!r}; this installation reads {FORMAT_VERSION}"
        raise _bad(what, f"{where}:format_version", "update baton-pipeline, or export the checkpoint again")
    for key in _KEYS:
        if not isinstance(found.get(key), str):
            raise _bad(f"the header has no {key}", where)
    if len(found) != len(_KEYS):
        unknown = sorted(set(found) - set(_KEYS))[0]
        raise _bad(f"the header has an unknown entry {unknown[:40]!r}", where)
    if not _CREATED_AT.fullmatch(found["created_at"]):
        raise _bad("created_at is not a time such as 2026-01-31T23:59:59Z", f"{where}:created_at")
    for name in ("brain_spec", "metadata"):
        if _sha256(found[name].encode()) != found[f"{name}_hash"]:
            raise _bad(f"{name} does not match {name}_hash", f"{where}:{name}_hash")
    if _header_hash(found) != found["header_hash"]:
        raise _bad("the header does not match header_hash", f"{where}:header_hash")
    return found


def _entries(table: dict[str, Any], data_start: int, file_bytes: int, where: str) -> dict[str, Entry]:
    """The tensors in file order: known types, sizes that fit, no gaps, up to the end of the file."""
    entries = [_entry(name, about, data_start, where) for name, about in table.items()]
    entries.sort(key=lambda entry: (entry.start, entry.stop))
    expected = data_start
    for entry in entries:
        if entry.start != expected:
            raise _bad("tensors overlap or leave a gap", f"{where}:{entry.name[:80]}")
        expected = entry.stop
    if expected > file_bytes:
        raise _bad(f"the file is cut off: {file_bytes:,} of {expected:,} bytes are there", where)
    if expected < file_bytes:
        raise _bad(f"{file_bytes - expected:,} bytes follow the last tensor", where)
    return {entry.name: entry for entry in entries}


def _entry(name: str, about: Any, data_start: int, where: str) -> Entry:
    try:
        dtype, shape, (start, stop) = about["dtype"], about["shape"], about["data_offsets"]
        right = len(about) == 3 and isinstance(shape, list) and len(shape) <= _MAX_DIMENSIONS
        right = right and all(type(one) is int and 0 <= one < _MAX_SIZE for one in (*shape, start, stop))
    except (KeyError, TypeError, ValueError):
        right = False
    if not right:
        raise _bad("a tensor is not described by dtype, shape and data_offsets", f"{where}:{name[:80]}")
    if not isinstance(dtype, str) or dtype not in ITEM_BYTES:
        raise _bad(f"unknown tensor type {str(dtype)[:20]!r}", f"{where}:{name[:80]}")
    if stop - start != ITEM_BYTES[dtype] * math.prod(shape):
        raise _bad("a tensor's shape does not fit its bytes", f"{where}:{name[:80]}")
    return Entry(name, dtype, tuple(shape), data_start + start, data_start + stop)


def _chunks(strings: dict[str, str], entries: Mapping[str, Entry], data_bytes: int, where: str) -> tuple[str, ...]:
    text = strings["weights_chunks"]
    if len(text) != 64 * -(-data_bytes // CHUNK_BYTES):
        raise _bad("weights_chunks does not fit the size of the tensors", f"{where}:weights_chunks")
    if weights_hash(entries.values(), text) != strings["weights_hash"]:
        raise _bad("the table of tensors does not match weights_hash", f"{where}:weights_hash")
    return tuple(text[i : i + 64] for i in range(0, len(text), 64))


def _sha256(data: bytes | memoryview) -> str:
    return hashlib.sha256(data).hexdigest()


def weights_hash(entries: Iterable[Entry], chunks: str) -> str:
    """sha256 that names the tensors: of their names, types and shapes in file order, and of the chunk hashes."""
    table = [[entry.name, entry.dtype, list(entry.shape)] for entry in entries]
    return _sha256((json.dumps(table, separators=(",", ":")) + "\n" + chunks).encode())


def _header_hash(strings: Mapping[str, str]) -> str:
    return _sha256("\n".join(strings[key] for key in _COVERED).encode())


@dataclass(frozen=True)
class TensorBytes:
    """A tensor to write: little-endian, row-major bytes."""

    dtype: str
    shape: tuple[int, ...]
    data: memoryview


def write_model_file(
    path: Path, tensors: Mapping[str, TensorBytes], *, brain_spec: bytes, metadata: bytes, created_at: str
) -> str:
    """Write an inference_v1 file, beside its place and then renamed; returns its weights_hash.

    ``brain_spec`` and ``metadata`` are canonical JSON. The same arguments give the same bytes.
    """
    # Tensors of a whole number of cache lines come first, so that they all start on one.
    names = sorted(tensors, key=lambda name: (len(tensors[name].data) % ALIGNMENT_BYTES != 0, name))
    stops = list(itertools.accumulate(len(tensors[name].data) for name in names))
    entries = [
        Entry(name, tensors[name].dtype, tensors[name].shape, start, stop)
        for name, start, stop in zip(names, [0, *stops], stops, strict=False)
    ]
    table = {one.name: {"dtype": one.dtype, "shape": one.shape, "data_offsets": one[3:]} for one in entries}
    chunks = "".join(_sha256(chunk) for chunk in _rechunk(tensors[name].data for name in names))
    strings = {
        "format_version": FORMAT_VERSION,
        "brain_spec": brain_spec.decode(),
        "brain_spec_hash": _sha256(brain_spec),
        "metadata": metadata.decode(),
        "metadata_hash": _sha256(metadata),
        "weights_chunks": chunks,
        "weights_hash": weights_hash(entries, chunks),
        "created_at": created_at,
    }
    strings["header_hash"] = _header_hash(strings)
    header = json.dumps({"__metadata__": strings, **table}, separators=(",", ":")).encode()
    header += b" " * (-(8 + len(header)) % ALIGNMENT_BYTES)
    if len(header) > MAX_HEADER_BYTES:
        raise UserError(f"the header would have {len(header):,} bytes; the limit is {MAX_HEADER_BYTES:,}")
    data = (bytes(tensors[name].data) for name in names)
    write_atomically(path, itertools.chain([len(header).to_bytes(8, "little"), header], data))
    return strings["weights_hash"]


def _rechunk(parts: Iterable[memoryview]) -> Iterator[bytes]:
    """The same bytes in pieces of CHUNK_BYTES; the last may be shorter."""
    piece = bytearray()
    for part in parts:
        while len(part):
            taken = part[: CHUNK_BYTES - len(piece)]
            piece += taken
            part = part[len(taken) :]
            if len(piece) == CHUNK_BYTES:
                yield bytes(piece)
                piece.clear()
    if piece:
        yield bytes(piece)


def describe(path: Path | str, *, verify: bool = True) -> dict[str, Any]:
    """What a model file is and where it came from, as plain JSON types; all hashes are checked if ``verify``.

    Reads no more than the header if not. The golden outputs are not replayed: that takes the network, and torch.
    Raises UserError when the file is damaged or is no inference_v1 file.
    """
    file = ModelFile(path)
    if verify:
        file.verify()
    header = file.header
    weights = [entry for name, entry in header.entries.items() if not name.startswith("golden.")]
    return {
        "format_version": FORMAT_VERSION,
        "task": header.metadata.get("task"),
        "created_at": header.created_at,
        "num_bytes": file.num_bytes,
        "num_parameters": sum(math.prod(entry.shape) for entry in weights),
        "brain_spec": header.brain_spec,
        "brain_spec_hash": header.brain_spec_hash,
        "weights_hash": header.weights_hash,
        "metadata_hash": header.metadata_hash,
        "metadata": header.metadata,
        "tensors": {entry.name: {"dtype": entry.dtype, "shape": list(entry.shape)} for entry in weights},
    }

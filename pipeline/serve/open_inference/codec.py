"""Bodies of the Open Inference Protocol: tensors as JSON, or as bytes behind it, to arrays and back.

The protocol is https://github.com/kserve/open-inference-protocol, its binary form
https://docs.nvidia.com/deeplearning/triton-inference-server/user-guide/docs/protocol/extension_binary_data.html: the
header ``Inference-Header-Content-Length`` says where the JSON ends; the tensors follow in order, little-endian, row by
row, each element of BYTES behind its length in 4 bytes.
"""

import math
import struct
import zlib
from collections.abc import Mapping, Sequence
from typing import Any

import msgspec
import numpy as np
from numpy.typing import NDArray

from pipeline.contract.serving import TensorDescription
from pipeline.errors import UserError

LENGTH_HEADER = "inference-header-content-length"
DTYPES: Mapping[str, np.dtype[Any]] = {
    "BOOL": np.dtype("?"),
    **{f"UINT{8 * size}": np.dtype(f"<u{size}") for size in (1, 2, 4, 8)},
    **{f"INT{8 * size}": np.dtype(f"<i{size}") for size in (1, 2, 4, 8)},
    **{f"FP{8 * size}": np.dtype(f"<f{size}") for size in (2, 4, 8)},
    "BYTES": np.dtype("O"),
}
_WINDOWS = {"gzip": 31, "deflate": 15}  # of zlib: with a gzip header, with a zlib header

Array = NDArray[Any]
Parameters = dict[str, bool | int | float | str]


class InputTensor(msgspec.Struct, frozen=True):
    """A tensor of a request: its numbers in ``data``, or behind the JSON."""

    name: str
    shape: list[int]
    datatype: str
    parameters: Parameters = {}
    data: list[Any] | None = None


class WantedOutput(msgspec.Struct, frozen=True):
    """An output that is asked for; ``binary_data`` says in which form."""

    name: str
    parameters: Parameters = {}


class InferRequest(msgspec.Struct, frozen=True):
    """A request. Without ``outputs`` all are wanted."""

    inputs: list[InputTensor]
    id: str = ""
    parameters: Parameters = {}
    outputs: list[WantedOutput] | None = None


class OutputTensor(msgspec.Struct, frozen=True, omit_defaults=True):
    """A tensor of an answer."""

    name: str
    datatype: str
    shape: list[int]
    parameters: Parameters = {}
    data: list[Any] | None = None


class InferAnswer(msgspec.Struct, frozen=True, omit_defaults=True):
    """An answer."""

    model_name: str
    model_version: str
    outputs: list[OutputTensor]
    id: str = ""


_REQUEST = msgspec.json.Decoder(InferRequest)


def decode(body: bytes, json_length: str | None) -> tuple[InferRequest, dict[str, Array]]:
    """A request, and its tensors by name; ``json_length`` is the header of that name.

    Raises UserError where it does not hold together.
    """
    length = len(body)
    if json_length is not None:
        is_number = json_length.isascii() and json_length.isdecimal() and len(json_length) < 16
        length = int(json_length) if is_number else -1
        if not 0 <= length <= len(body):
            what = f"the JSON of a body of {len(body)} bytes cannot have {json_length[:20]}"
            raise UserError(what, where=LENGTH_HEADER)
    try:
        request = _REQUEST.decode(body[:length])
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise UserError(f"the request is not valid: {error}", where="the body") from None
    arrays: dict[str, Array] = {}
    for tensor in request.inputs:
        if tensor.name in arrays:
            raise UserError("an input is given twice", where=tensor.name[:80])
        size = tensor.parameters.get("binary_data_size")
        raw = None
        if size is not None:
            if type(size) is not int or not 0 <= size <= len(body) - length:
                raise UserError("binary_data_size is more than there is in the body", where=tensor.name[:80])
            raw, length = body[length : length + size], length + size
        arrays[tensor.name] = _array(tensor, raw)
    if length != len(body):
        raise UserError(f"{len(body) - length} bytes behind the last tensor belong to none", where="the body")
    return request, arrays


def check(arrays: Mapping[str, Array], wanted: Sequence[TensorDescription], request: InferRequest) -> int:
    """The size of the batch. Raises UserError where the tensors are not those that the model takes."""
    types = {tensor.name: tensor.datatype for tensor in request.inputs}
    if {*arrays} != {one.name for one in wanted}:
        what = f"the inputs are {', '.join(one.name for one in wanted)}, not {', '.join(arrays)[:200] or 'none'}"
        raise UserError(what, where="inputs")
    for one in wanted:
        shape = arrays[one.name].shape
        fits = len(shape) == len(one.shape) and all(b in (-1, a) for a, b in zip(shape, one.shape, strict=True))
        if types[one.name] != one.datatype or not fits:
            what = f"this is {types[one.name][:10]} {list(shape)}, and {one.datatype} {list(one.shape)} is wanted"
            raise UserError(what, where=one.name)
    sizes = {array.shape[0] for array in arrays.values()}
    if len(sizes) != 1:
        raise UserError(f"the inputs have batches of {', '.join(map(str, sorted(sizes)))}", where="inputs")
    return int(sizes.pop())


def encode(
    request: InferRequest, answers: Mapping[str, Array], described: Sequence[TensorDescription], name: str, version: str
) -> tuple[bytes, int | None]:
    """The answer's body, and the length of its JSON where tensors follow it. Raises UserError on an unknown output."""
    types = {one.name: one.datatype for one in described}
    wanted = request.outputs or [WantedOutput(one.name) for one in described]
    tensors, blobs = [], []
    for one in wanted:
        if one.name not in types:
            raise UserError(f"there is no such output; there are {', '.join(types)}", where=one.name[:80])
        datatype, array = types[one.name], np.asarray(answers[one.name])
        parameters: Parameters = {}
        data = None
        if one.parameters.get("binary_data", request.parameters.get("binary_data_output", False)):
            blobs.append(_bytes(array, datatype))
            parameters = {"binary_data_size": len(blobs[-1])}
        else:
            data = [_text(one) for one in array.ravel()] if datatype == "BYTES" else array.ravel().tolist()
        tensors.append(OutputTensor(one.name, datatype, list(array.shape), parameters, data))
    text = msgspec.json.encode(InferAnswer(name, version, tensors, request.id))
    return b"".join([text, *blobs]), len(text) if blobs else None


def decompress(body: bytes, encoding: str | None, most: int) -> bytes:
    """A body as it was. Raises UserError where it is damaged, grows beyond ``most`` bytes, or is encoded otherwise."""
    if encoding in (None, "", "identity"):
        return body
    window = _WINDOWS.get(encoding or "")
    if window is None:
        raise UserError(f"{str(encoding)[:40]!r} is not known: gzip and deflate are", where="header Content-Encoding")
    try:
        engine = zlib.decompressobj(window)
        data = engine.decompress(body, most)
    except zlib.error as error:
        raise UserError(f"the body is no {encoding}: {error}", where="the body") from None
    if engine.unconsumed_tail or not engine.eof:
        what = f"it has more than {most:,} bytes" if engine.unconsumed_tail else "it was cut"
        raise UserError(f"the body cannot be unpacked: {what}", where="the body")
    return data


def compress(body: bytes, accepted: str | None) -> tuple[bytes, str | None]:
    """A body in the first encoding that a client names, of those that are known, and its name."""
    for part in (accepted or "").split(","):
        name, _, weight = part.strip().partition(";")
        if name in _WINDOWS and weight.replace(" ", "") not in ("q=0", "q=0.0"):
            engine = zlib.compressobj(1, wbits=_WINDOWS[name])
            return engine.compress(body) + engine.flush(), name
    return body, None


def _array(tensor: InputTensor, raw: bytes | None) -> Array:
    """Raises UserError where shape, type and data do not fit together."""
    where = tensor.name[:80]
    dtype = DTYPES.get(tensor.datatype)
    if dtype is None:
        what = f"{tensor.datatype[:20]!r} is no datatype that is taken"
        raise UserError(what, where=where, remedy=", ".join(DTYPES))
    if not tensor.shape or not all(0 <= size < 1 << 31 for size in tensor.shape):
        raise UserError(f"{str(tensor.shape)[:80]} is no shape of a batch", where=where)
    if (raw is None) == (tensor.data is None):
        raise UserError("a tensor has either data or binary_data_size", where=where)
    if tensor.datatype == "BYTES":
        flat = _texts(tensor.data or [], where) if raw is None else _split(raw, where)
    elif raw is None:
        flat = _numbers(tensor.data or [], tensor.datatype, where)
    elif len(raw) % dtype.itemsize:
        raise UserError(f"{len(raw)} bytes are no whole number of {tensor.datatype}", where=where)
    else:
        flat = np.frombuffer(raw, dtype)
    if flat.size != math.prod(tensor.shape):
        raise UserError(f"{flat.size} values do not fit into {tensor.shape}", where=where)
    return flat.reshape(tensor.shape)


def _numbers(data: list[Any], datatype: str, where: str) -> Array:
    try:
        array = np.array(data)
        if array.dtype.kind not in {"BOOL": "b"}.get(datatype, "iuf" if datatype[:2] == "FP" else "iu") and array.size:
            raise ValueError("they are of another kind")
        with np.errstate(over="ignore"):  # what is too large is told below
            cast = array.astype(DTYPES[datatype]).ravel()
        if datatype[:2] != "FP" and not np.array_equal(cast, array.ravel()):
            raise ValueError("one is too large")
    except (ValueError, OverflowError, TypeError) as error:
        raise UserError(f"these are no numbers of {datatype}: {str(error)[:120]}", where=where) from None
    if cast.dtype.kind == "f" and not np.isfinite(cast).all():
        raise UserError(f"a number is too large for {datatype}", where=where)
    return cast


def _texts(data: list[Any], where: str) -> Array:
    flat = np.array(data, object).ravel()
    if not all(isinstance(one, str) for one in flat):
        raise UserError("elements of BYTES are texts", where=where)
    return np.array([one.encode() for one in flat], object)


def _split(raw: bytes, where: str) -> Array:
    found, at = [], 0
    while at < len(raw):
        stop = at + 4 + (struct.unpack_from("<I", raw, at)[0] if at + 4 <= len(raw) else len(raw))
        if stop > len(raw):
            raise UserError("an element of BYTES is longer than the tensor", where=where)
        found.append(raw[at + 4 : stop])
        at = stop
    return np.array(found, object)


def _bytes(array: Array, datatype: str) -> bytes:
    if datatype == "BYTES":
        texts = [_text(one).encode() for one in array.ravel()]
        return b"".join(struct.pack("<I", len(text)) + text for text in texts)
    return np.ascontiguousarray(array, DTYPES[datatype]).tobytes()


def _text(value: Any) -> str:
    return value.decode() if isinstance(value, bytes) else str(value)

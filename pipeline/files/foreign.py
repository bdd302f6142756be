"""What a file is that does not read as the text it should be, told by its bytes: for lines, JSON and YAML alike."""

import re
import shlex
from dataclasses import dataclass

import msgspec

from pipeline.errors import UserError

BOM = b"\xef\xbb\xbf"  # of UTF-8: some editors write it, and it says nothing
_UNPACK = "unpack it first: {tool} {path}"
_CONVERT = "write it as UTF-8: iconv -f {encoding} -t UTF-8 {path} > NEW"
_ANOTHER = "check which file is which: {path}"
# How files start that people have beside their texts, and what to do with them.
_SIGNATURES = (
    (b"\x1f\x8b", "a gzip file", _UNPACK.replace("{tool}", "gunzip --keep")),
    (b"\x28\xb5\x2f\xfd", "a zstd file", "unpack it (unzstd {path}), or call it .jsonl.zst where lines are read"),
    (b"BZh", "a bzip2 file", _UNPACK.replace("{tool}", "bunzip2 --keep")),
    (b"\xfd7zXZ\0", "an xz file", _UNPACK.replace("{tool}", "unxz --keep")),
    (b"PK\x03\x04", "a zip archive", _UNPACK.replace("{tool}", "unzip")),
    (b"\xff\xfe\0\0", "a text in UTF-32", _CONVERT.replace("{encoding}", "UTF-32")),
    (b"\xff\xfe", "a text in UTF-16", _CONVERT.replace("{encoding}", "UTF-16")),
    (b"\xfe\xff", "a text in UTF-16", _CONVERT.replace("{encoding}", "UTF-16")),
    (b"\x89PNG", "a PNG image", _ANOTHER),
    (b"\xff\xd8\xff", "a JPEG image", _ANOTHER),
    (b"%PDF", "a PDF file", _ANOTHER),
    (b"PAR1", "a Parquet file", "write it as JSON lines, with pandas: read_parquet, then to_json(lines=True)"),
    (b"SQLite format 3\0", "an SQLite database", _ANOTHER),
)
_WIDE = {  # texts in UTF-16 without a mark: every other byte is zero
    "UTF-16LE": re.compile(rb"(?:[\t-~]\0){2}"),
    "UTF-16BE": re.compile(rb"(?:\0[\t-~]){2}"),
}
_CONTROLS = re.compile(rb"[\0-\x08\x0e-\x1f]")
_PLACE = re.compile(r"\(byte (\d+)\)$")  # at the end of what msgspec says
_NO_NUMBER = re.compile(rb"-?(?:NaN|Infinity)")
_LARGE = re.compile(rb"-?\d[\d.]*[eE]\+?\d{3,}")


@dataclass(frozen=True)
class Fault:
    """What is wrong with a text, what to do, and ``place``, which goes behind the name of the file."""

    what: str
    remedy: str
    place: str = ""


def refuse_foreign(start: bytes, source: str) -> None:
    """Raises UserError where the first bytes of a file are not those of a UTF-8 text, saying what they are of."""
    for signature, what, remedy in _SIGNATURES:
        if start.startswith(signature):
            raise UserError(
                f"this is {what}, not a text in UTF-8", where=source, remedy=remedy.format(path=shlex.quote(source))
            )
    for encoding, pattern in _WIDE.items():
        if pattern.match(start):
            remedy = _CONVERT.format(encoding=encoding, path=shlex.quote(source))
            raise UserError("this is a text in UTF-16, not in UTF-8", where=source, remedy=remedy)


def is_utf_8(name: str) -> bool:
    """Whether rows and manifests can hold the name of a file: systems allow names that are not UTF-8."""
    try:
        name.encode()
    except UnicodeEncodeError:
        return False
    return True


def latin_1(text: bytes, error: UnicodeDecodeError, source: str) -> Fault:
    """What is wrong with a text that is not UTF-8. ``error`` was raised by decoding the whole of it."""
    if _CONTROLS.search(text):
        return Fault("this is not a text file (not UTF-8)", f"check which file is which: {source}")
    remedy = _CONVERT.format(encoding="WINDOWS-1252", path=shlex.quote(source))
    return Fault(f"byte 0x{text[error.start]:02x} is not UTF-8: it is a text in Latin-1 or Windows-1252", remedy)


def why_not_json(text: bytes, error: Exception, source: str) -> Fault | None:
    """What a whole JSON text has that JSON or UTF-8 does not; None where it is cut or damaged."""
    if isinstance(error, RecursionError):
        return Fault("the JSON is nested too deeply", "check which file is which")
    if isinstance(error, UnicodeDecodeError):
        return _not_utf_8(text, source)
    if "out of range" in str(error):
        found = _LARGE.search(text)
        number = found[0].decode()[:40] if found else "a number"
        return Fault(f"{number} is beyond the numbers of 64 bits, which end at 1.8e308", "correct that number")
    place = _PLACE.search(str(error))
    start = int(place[1]) if place else 0
    no_number = _NO_NUMBER.match(text, start - text[:start].endswith(b"-")) if start else None
    if no_number:
        what = f"{no_number[0].decode()} stands for a number, which JSON does not have"
        remedy = "let its writer leave such a record out, or give it an error and numbers"
        return Fault(what, remedy, f", byte {no_number.start() + 1}")
    return None


def _not_utf_8(text: bytes, source: str) -> Fault | None:
    """None where the text is not JSON in Latin-1 either."""
    try:
        text.decode()
    except UnicodeDecodeError as error:
        return latin_1(text, error, source) if _reads(text.decode("latin-1").encode()) else None
    return None


def _reads(text: bytes) -> bool:
    try:
        msgspec.json.decode(text)
    except (msgspec.DecodeError, RecursionError):
        return False
    return True

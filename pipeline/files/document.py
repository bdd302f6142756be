"""Files that are one JSON document, as other tools write them."""

from pathlib import Path
from typing import Any

import msgspec

from pipeline.errors import UserError
from pipeline.files.foreign import BOM, Fault, refuse_foreign, why_not_json


def read_json(path: Path) -> Any:
    """What a JSON file holds; a byte order mark is passed over.

    Raises UserError, which says what the file is (empty, cut, compressed, in another encoding, ...) and what to do.
    """
    try:
        raw = path.read_bytes()
    except OSError as error:
        raise UserError(f"cannot read the file: {error.strerror}", where=str(path)) from error
    refuse_foreign(raw, str(path))
    text = raw.removeprefix(BOM)
    if not text.strip():
        raise UserError("the file is empty", where=str(path), remedy="check the path, or make the file again")
    try:
        return msgspec.json.decode(text)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        fault = why_not_json(text, error, str(path)) or _damage(error)
        raise UserError(fault.what, where=f"{path}{fault.place}", remedy=fault.remedy) from None


def _damage(error: Exception) -> Fault:
    if "truncated" in str(error):
        return Fault("the file is cut off: its JSON ends in the middle of a value", "copy it again, whole")
    return Fault(f"this is not JSON: {error}", "a file of one JSON document is expected here")

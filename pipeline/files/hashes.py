"""Hashes that tell whether two configurations, or two files, are the same."""

from pathlib import Path
from typing import Any

import msgspec

from pipeline.errors import UserError
from pipeline.files.encode import refuse_not_finite


def canonical_json(value: Any) -> bytes:
    """The one JSON text of a value: keys sorted, no blanks, UTF-8, so that equal values give equal bytes.

    Takes Structs, dicts, lists and scalars. Raises UserError on NaN or infinity, naming the field.
    """
    refuse_not_finite(value)
    return msgspec.json.encode(value, order="sorted")


def hash_config(value: Any) -> str:
    """sha256 (64 hexadecimal digits) of the canonical JSON of a configuration."""
    from hashlib import sha256  # here: takes 3 ms to import, and `--help` hashes nothing

    return sha256(canonical_json(value)).hexdigest()


def sha256_file(path: Path | str) -> str:
    """sha256 of a file, read piece by piece. Raises UserError when it cannot be read."""
    from hashlib import file_digest  # here: takes 3 ms to import, and `--help` hashes nothing

    try:
        with open(path, "rb", buffering=0) as file:
            return file_digest(file, "sha256").hexdigest()
    except OSError as error:
        raise UserError(f"cannot read the file: {error.strerror}", where=str(path)) from error

"""What a cell is: the hash of the content of all that goes into it, so that equal cells are one, wherever they lie."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pipeline.errors import UserError
from pipeline.files.hashes import hash_config, sha256_file

SHORT = 16  # hexadecimal digits of a key in names of folders: 64 bits


def part_key(kind: str, task: str, inputs: Mapping[str, str], config: Mapping[str, Any]) -> str:
    """sha256 (64 hexadecimal digits) over the canonical JSON of a part.

    ``inputs`` are hashes of files, or keys of the parts that make them, by name; ``config`` is the resolved
    configuration. Neither paths nor names nor the version of the code go into it.
    """
    return hash_config({"kind": kind, "task": task, "inputs": dict(inputs), "config": dict(config)})


def content_hash(path: Path) -> str:
    """sha256 of a file; of a folder, over the names and hashes of its files but hidden ones. Raises UserError."""
    if not path.exists():
        raise UserError("there is no such file", where=str(path), remedy="check the path in the sweep file")
    if path.is_file():
        return sha256_file(path)
    files = sorted(p for p in path.rglob("*") if p.is_file())
    names = {p: p.relative_to(path) for p in files}
    shown = {p: name for p, name in names.items() if not any(part.startswith(".") for part in name.parts)}
    return hash_config({name.as_posix(): sha256_file(p) for p, name in shown.items()})

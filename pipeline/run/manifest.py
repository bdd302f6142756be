"""Manifests on disk: load and write them, record files in them, and check that what they list is still so."""

import os
from collections import Counter
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import msgspec

from pipeline.errors import UserError
from pipeline.files.atomic import write_atomically
from pipeline.files.decode import UNREADABLE
from pipeline.files.encode import refuse_not_finite
from pipeline.files.explain import stated
from pipeline.files.hashes import hash_config, sha256_file
from schemas.manifest import FileRecord, Manifest

FILE_NAME = "manifest.json"
_NUM_CHANGES_SHOWN = 12
_ERROR_LENGTH = 120  # characters: an error may quote what a model wrote


def load_manifest(folder: Path | str) -> Manifest:
    """The manifest of a run folder. Raises UserError when there is none or it does not read."""
    path = Path(folder) / FILE_NAME
    try:
        data = path.read_bytes()
    except FileNotFoundError as error:
        raise UserError("there is no manifest here: no stage wrote this folder", where=str(path)) from error
    except OSError as error:
        raise UserError(f"cannot read the manifest: {error.strerror}", where=str(path)) from error
    try:
        return _decoder.decode(data)
    except UNREADABLE as error:
        raise _unreadable(path, data, error) from error


def write_manifest(folder: Path, manifest: Manifest) -> None:
    """Replace a folder's manifest in one step. Raises UserError on NaN, infinity, or a full disk."""
    refuse_not_finite(manifest)
    text = msgspec.json.format(msgspec.json.encode(manifest), indent=2)
    write_atomically(folder / FILE_NAME, [text, b"\n"])


def record_file(path: Path, folder: Path) -> FileRecord:
    """Path, hash and size of a file, as a manifest in ``folder`` lists it."""
    size = path.stat().st_size
    return FileRecord(path=recorded_path(path, folder), sha256=sha256_file(path), num_bytes=size)


def recorded_path(path: Path, folder: Path) -> str:
    """The path of a file as a manifest in ``folder`` has it.

    It is relative for what lies in the folder or beside it (another stage of the same run), so that a run can be moved
    as a whole; absolute for all else.
    """
    path, folder = path.resolve(), folder.resolve()
    near = path.is_relative_to(folder.parent)
    return Path(os.path.relpath(path, folder) if near else path).as_posix()


def verify(folder: Path | str) -> list[str]:
    """What is wrong with a run folder, one line a problem; empty when it is whole.

    Checks the status, the hash of the configuration, and every input and output against its recorded hash. Raises
    UserError when the manifest itself does not read.
    """
    folder = Path(folder)
    manifest = load_manifest(folder)
    problems = []
    if manifest.status != "ok":
        reason = f": {manifest.error}" if manifest.error else ""
        problems.append(f"status is {manifest.status!r}, not 'ok'{reason}")
    if hash_config(manifest.config) != manifest.config_hash:
        problems.append("config: was edited by hand, its hash does not match")
    problems += [f"input {problem}" for problem in changed_files(folder, manifest.inputs)]
    problems += [f"output {problem}" for problem in changed_files(folder, manifest.outputs)]
    return problems


def changed_files(folder: Path, records: Mapping[str, FileRecord]) -> list[str]:
    """Which of the recorded files are gone or changed, one line each."""
    problems = []
    for name, record in records.items():
        path = folder / record.path
        if not path.is_file():
            problems.append(f"{name}: {record.path} is gone")
        elif path.stat().st_size != record.num_bytes:
            problems.append(f"{name}: {record.path} has {path.stat().st_size} bytes, not {record.num_bytes}")
        elif sha256_file(path) != record.sha256:
            problems.append(f"{name}: {record.path} changed since it was written")
    return problems


def count_errors(errors: Iterable[str | None]) -> Counter[str]:
    """How many predictions failed, by what their errors say, cut to a length that a manifest can hold."""
    return Counter(error[:_ERROR_LENGTH] for error in errors if error is not None)


def image_root_of(predictions: Path, given: Path | None = None) -> Path:
    """Where the images lie that the records of a predictions file name: where ``--image-root`` says (``given``), else
    as the manifest beside the file says.

    That is the folder that infer was given, else that of its examples, else that of the predictions. Raises UserError
    where there is no folder ``given``.
    """
    if given is not None and not given.is_dir():
        raise UserError("there is no such folder of images", where=str(given), remedy="check --image-root")
    if given is not None:
        return given
    beside = predictions.parent
    if not (beside / FILE_NAME).is_file():
        return beside
    manifest = load_manifest(beside)
    examples = manifest.inputs.get("examples")
    found = [manifest.notes.get("image_root")] + ([str(Path(examples.path).parent)] if examples else [])
    for folder in found:
        if isinstance(folder, str) and (beside / folder).is_dir():
            return Path(os.path.normpath(beside / folder))
    return beside


def config_changes(old: Mapping[str, Any], new: Mapping[str, Any], moved: Mapping[str, str]) -> list[str]:
    """Which keys differ between two configurations: ``train.num_steps: 1000 -> 2000``.

    ``moved`` are keys of old configurations that are called otherwise now (`RecipePart.moved`). A key that one of them
    has not is null there: what is new, and not asked for, changes nothing.
    """
    before, after = {moved.get(key, key): value for key, value in _leaves(old, "")}, dict(_leaves(new, ""))
    lines = []
    for key in [*before, *(key for key in after if key not in before)]:
        was, now = before.get(key, "(not there)"), after.get(key, "(not there)")
        is_nothing = all(value in (None, "(not there)") for value in (was, now))
        if (was != now or type(was) is not type(now)) and not is_nothing:
            lines.append(f"{key}: {_short(was)} -> {_short(now)}")
    if len(lines) > _NUM_CHANGES_SHOWN:
        lines[_NUM_CHANGES_SHOWN:] = [f"and {len(lines) - _NUM_CHANGES_SHOWN} more"]
    return lines


def _leaves(value: Any, path: str) -> list[tuple[str, Any]]:
    if isinstance(value, Mapping) and value:
        return [leaf for key, item in value.items() for leaf in _leaves(item, f"{path}.{key}" if path else str(key))]
    return [(path, value)]


def _short(value: Any) -> str:
    text = value if value == "(not there)" else msgspec.json.encode(value).decode()
    return text if len(text) <= 60 else text[:57] + "..."


def _unreadable(path: Path, data: bytes, error: Exception) -> UserError:
    known = stated(Manifest, "schema")
    try:
        version = msgspec.json.decode(data, type=dict[str, Any]).get("schema")
    except UNREADABLE:
        version = known
    what = f"the manifest does not read: {error}"
    if version != known:
        what = f"manifest version {version!r} is not known; known: {known}"
    return UserError(what, where=str(path), remedy="run the stage that wrote this folder again, with --force")


_decoder = msgspec.json.Decoder(Manifest)

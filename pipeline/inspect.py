"""What an artifact is, where it came from, and whether it is whole; decided by its content, never by its name.

Nothing here runs code from a file or needs torch: checkpoints are listed as zip archives, never unpickled, and of a
model file the header and the hashes are read.
"""

import re
import zipfile
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from pipeline.contract.load import load_part, task_names
from pipeline.contract.parts import RowsPart
from pipeline.errors import UserError
from pipeline.files import head, scan
from pipeline.files.hashes import hash_config, sha256_file
from pipeline.model.container import describe
from pipeline.model.foreign import refuse_foreign
from pipeline.recipe.load import load_recipe
from pipeline.run.manifest import FILE_NAME, load_manifest, verify
from schemas.flow import BY_NAME
from schemas.manifest import FileRecord, Manifest

# Of a folder with more outputs than this, their number and size are told.
NUM_LISTED = 20


@dataclass(frozen=True)
class Finding:
    """What was found at ``path``. ``problems`` say why it is not whole; ``children`` are the parts of a folder."""

    path: Path
    kind: str
    facts: Mapping[str, Any]
    problems: tuple[str, ...] = ()
    children: tuple["Finding", ...] = field(default=())

    @property
    def whole(self) -> bool:
        """Whether nothing is wrong with it, nor with any of its parts."""
        return not self.problems and all(child.whole for child in self.children)


def inspect_artifact(path: Path) -> Finding:
    """Look at a file or folder. Raises UserError when it does not exist or is nothing that Baton writes."""
    if path.is_dir():
        return _folder(path)
    if not path.is_file():
        raise UserError("there is no such file or folder", where=str(path), remedy="check the path")
    if path.name == FILE_NAME:
        return _stage_folder(path.parent)
    finding = _reader(path)(path)
    origin, problems = _origin(path)
    return Finding(path, finding.kind, {**finding.facts, **origin}, (*finding.problems, *problems))


def _reader(path: Path) -> Callable[[Path], Finding]:
    with path.open("rb") as file:
        start = file.read(16)
    if start.startswith(b"PK\x03\x04"):
        return _checkpoint
    if len(start) > 8 and start[8:9] == b"{" and int.from_bytes(start[:8], "little") < path.stat().st_size:
        return _model
    if path.suffix in (".yaml", ".yml"):
        return _recipe
    return _rows


def _origin(path: Path) -> tuple[dict[str, Any], list[str]]:
    """What the manifest beside a file (or above its folder) says about it, if there is one."""
    for folder in (path.parent, path.parent.parent):
        if (folder / FILE_NAME).is_file():
            break
    else:
        return {"from": "unknown: no manifest lies beside it"}, []
    manifest = load_manifest(folder)
    listed = [record for record in manifest.outputs.values() if (folder / record.path).resolve() == path.resolve()]
    facts = {"from": describe_origin(manifest), "manifest": str(folder / FILE_NAME)}
    if listed and listed[0].sha256 != sha256_file(path):
        return facts, ["it changed after its stage wrote it: its sha256 is not the one in the manifest"]
    if not listed:
        facts["from"] += ", whose manifest does not list this file"
    return facts, []


def describe_origin(manifest: Manifest) -> str:
    """``train gridworld (ok), commit 0123456789ab, command: baton train ...``."""
    commit = (manifest.provenance.git_commit or "unknown")[:12] + ("+" if manifest.provenance.git_dirty else "")
    command = " ".join(manifest.provenance.command)
    return f"{manifest.stage} {manifest.task} ({manifest.status}), commit {commit}, command: {command}"


def _folder(path: Path) -> Finding:
    if (path / FILE_NAME).is_file():
        return _stage_folder(path)
    order = list(BY_NAME)
    parts = sorted(
        (manifest.parent for manifest in path.glob(f"*/{FILE_NAME}")),
        key=lambda part: (order.index(part.name) if part.name in order else len(order), part.name),
    )
    if not parts:
        known = "a stage's folder has a manifest.json, a run's folder has folders of stages"
        raise UserError("this folder is not of Baton", where=str(path), remedy=known)
    children = tuple(_stage_folder(part) for part in parts)
    return Finding(path, "run folder", {"stages": ", ".join(part.name for part in parts)}, (), children)


def _stage_folder(folder: Path) -> Finding:
    try:
        manifest = load_manifest(folder)
    except UserError as error:
        return Finding(folder, "stage folder", {}, (f"{error.what} ({error.where})",))
    facts = {
        "from": describe_origin(manifest),
        "config_hash": manifest.config_hash,
        "seed": manifest.seed,
        "wall_s": manifest.wall_s,
        "counts": manifest.counts,
        "error_counts": manifest.error_counts,
        "inputs": {name: record.path for name, record in manifest.inputs.items()},
        "outputs": _listed(manifest.outputs),
        "versions": manifest.provenance.versions,
    }
    return Finding(folder, f"{manifest.stage} stage folder", facts, tuple(verify(folder)))


def _listed(outputs: Mapping[str, FileRecord]) -> dict[str, str]:
    """Outputs with their sizes; of a folder with many, all in one."""
    groups: dict[str, list[tuple[str, FileRecord]]] = {}
    for name, record in outputs.items():
        groups.setdefault(record.path.rpartition("/")[0], []).append((name, record))
    listed = {}
    for folder, files in groups.items():
        if len(files) > NUM_LISTED:
            num_bytes = sum(record.num_bytes for _, record in files)
            listed[f"{folder}/"] = f"{len(files):,} files ({num_bytes:,} B)"
        else:
            listed |= {name: f"{record.path} ({record.num_bytes:,} B)" for name, record in files}
    return listed


def _rows(path: Path) -> Finding:
    if path.suffix == ".jsonl" and path.stat().st_size == 0:
        return Finding(path, "rows", {"num_rows": 0})
    try:
        first = head(path)
    except UserError as error:
        known = "known are JSONL rows, inference_v1, checkpoints, recipes, manifests, and folders of runs"
        raise UserError("this is nothing that Baton writes", where=error.where or str(path), remedy=known) from error
    facts: dict[str, Any] = {"schema": first.schema, "task": first.task, "first_id": first.id}
    row_type: Any = dict
    if first.task in task_names():
        row_type = load_part(first.task, RowsPart).types.get(first.schema, dict)
    if row_type is dict:
        facts["checked"] = "as JSON only: this installation does not know these rows"
    try:
        found = scan(path, row_type)
    except UserError as error:
        return Finding(path, f"rows of {first.schema}", facts, (f"{error.what} ({error.where})",))
    ids = Counter(row["id"] if isinstance(row, dict) else row.id for row in found.rows)
    facts |= {"num_rows": len(found.rows), "good_bytes": found.good_bytes}
    problems = [f"torn after {found.good_bytes:,} bytes: {found.torn}"] if found.torn else []
    repeated = [row_id for row_id, count in ids.items() if count > 1]
    if repeated:
        problems.append(f"{len(repeated)} ids occur more than once, the first is {repeated[0]!r}")
    return Finding(path, f"rows of {first.schema}", facts, tuple(problems))


def _checkpoint(path: Path) -> Finding:
    """A torch file is a zip archive: its members are listed and their checksums compared; nothing is unpickled."""
    try:
        with zipfile.ZipFile(path) as archive:
            broken = archive.testzip()
            members = archive.infolist()
    except (zipfile.BadZipFile, EOFError) as error:
        return Finding(path, "checkpoint", {"num_bytes": path.stat().st_size}, (f"not a whole archive: {error}",))
    refuse_foreign(path)
    if not any(re.fullmatch(r"[^/]+/data\.pkl", member.filename) for member in members):
        raise UserError("this is a zip archive, but no checkpoint", where=str(path), remedy="it was not saved by torch")
    tensors = [member for member in members if re.fullmatch(r"[^/]+/data/\d+", member.filename)]
    facts = {
        "num_bytes": path.stat().st_size,
        "num_tensors": len(tensors),
        "tensor_bytes": sum(member.file_size for member in tensors),
    }
    return Finding(path, "checkpoint", facts, (f"checksum of {broken} does not match",) if broken else ())


def _recipe(path: Path) -> Finding:
    """A recipe is whole if it loads."""
    task = re.search(r"^task:\s*(\S+)", path.read_text(errors="replace"), re.MULTILINE)
    if task is None:
        raise UserError("this YAML file is no recipe: it does not name its task", where=str(path))
    try:
        recipe = load_recipe(path, task[1], is_record=True)
    except UserError as error:
        return Finding(path, "recipe", {"task": task[1]}, (f"{error.what} ({error.where})",))
    facts = {"task": task[1], "name": recipe.name, "seed": recipe.seed, "hash": hash_config(recipe)}
    return Finding(path, "recipe", {**facts, "description": recipe.description})


def _model(path: Path) -> Finding:
    """A model file: header and all hashes. The golden outputs are replayed by the stages that use the model."""
    try:
        about = describe(path)
    except UserError as error:
        return Finding(path, "model file", {"num_bytes": path.stat().st_size}, (f"{error.what} ({error.where})",))
    facts = {key: value for key, value in about.items() if not isinstance(value, Mapping)}
    scalars = {key: value for key, value in about["metadata"].items() if isinstance(value, str | int | float)}
    recipe = about["metadata"].get("recipe") or {}
    return Finding(
        path,
        about["format_version"],
        facts
        | {"network": about["brain_spec"].get("network"), "metadata": scalars, "recipe": recipe.get("name")}
        | {"num_tensors": len(about["tensors"])},
    )

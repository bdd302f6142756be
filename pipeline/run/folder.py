"""Run folders: one lock, one manifest, checked inputs, and the answer to "is this up to date?".

    request = StageRequest(stage="infer", task="gridworld", folder=folder, config=config, inputs={"model": path})
    with stage_run(request) as run:
        if not run.up_to_date:
            ...
            run.output("predictions", folder / "predictions.jsonl")

The manifest says "started" from the first moment and "ok", "error" or "cancelled" at the last; kill -9 leaves
"started".
"""

import contextlib
import fcntl
import os
import shlex
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import msgspec
from msgspec import Struct

from pipeline.errors import UserError
from pipeline.files.atomic import remove_left_over
from pipeline.files.hashes import canonical_json, hash_config
from pipeline.run.manifest import FILE_NAME, changed_files, config_changes, load_manifest, record_file, write_manifest
from pipeline.run.provenance import command_line, provenance
from pipeline.run.signals import Terminated
from schemas.manifest import FileRecord, Manifest, Status

LOCK_NAME = ".lock"
ASKING_S = 0.05


class StageRequest(Struct, frozen=True, kw_only=True):
    """What a stage is about to do, and where.

    ``config`` is resolved (every default spelled out, JSON types or Structs), ``moved`` are keys of it that were
    called otherwise when older manifests were written: old name to new. ``inputs`` are files by name.
    ``writes`` are glob patterns, relative to ``folder``, of the files the stage writes: a run that starts from nothing
    removes them first, so that a later resume never takes an older run's rows for its own. ``resumable``: the stage can
    go on with the half-finished files of an earlier run of the same request. ``extends`` names a number of ``config``,
    such as ("train", "num_steps"), by which it goes on with finished files, too, where that number has grown.
    """

    stage: str
    task: str
    folder: Path
    config: Mapping[str, Any]
    moved: Mapping[str, str] = {}
    inputs: Mapping[str, Path] = {}
    writes: tuple[str, ...] = ()
    seed: int | None = None
    device: str = "cpu"
    num_threads: int = 1
    force: bool = False
    resumable: bool = False
    extends: tuple[str, str] | None = None


class StageRun(Struct, kw_only=True):
    """A stage at work. The stage reads the two flags, and fills in outputs, counts and notes as it goes.

    ``up_to_date``: everything is there already; do nothing. ``resuming``: go on from the files in ``folder``.
    ``inputs`` are the files it reads, as they are recorded. ``extended_from`` is the number of ``StageRequest.extends``
    that the files in ``folder`` were made for, where that was a smaller one.
    """

    folder: Path
    up_to_date: bool = False
    resuming: bool = False
    previous: Manifest | None = None
    inputs: Mapping[str, FileRecord] = {}
    extended_from: int | None = None
    outputs: dict[str, Path] = {}
    counts: dict[str, int] = {}
    error_counts: dict[str, int] = {}
    notes: dict[str, Any] = {}

    def output(self, name: str, path: Path) -> None:
        """Say that the stage wrote ``path``; it is hashed into the manifest at the end."""
        self.outputs[name] = path

    def record(self, outputs: Mapping[str, Path], counts: Mapping[str, int], notes: Mapping[str, Any] = {}) -> None:
        """Say what the stage wrote, how many of what, and what else the manifest is to say."""
        self.outputs |= outputs
        self.counts |= counts
        self.notes |= notes


@contextlib.contextmanager
def stage_run(request: StageRequest) -> Iterator[StageRun]:
    """Lock the folder, check inputs and what is there, and keep the manifest around the body.

    Raises UserError when another process works in the folder, when an input is missing, unfinished or changed, and
    when the folder holds the work of another request (``force`` replaces it). Whatever the body raises is recorded
    ("cancelled" for Ctrl-C and SIGTERM, "error" for the rest) and raised again.
    """
    folder = request.folder
    with _locked(folder):
        inputs = {name: check_input(name, path, folder) for name, path in request.inputs.items()}
        started = _started(request, inputs)
        previous = _previous(request)
        run = _decide(request, started, previous)
        run.inputs = inputs
        if run.up_to_date:
            yield run
            return
        clock, cpu = time.monotonic(), _cpu_s()
        remove_left_over(folder)
        if not run.resuming:  # before the manifest: until then the old one refuses whatever is half removed
            _remove_outputs(request, previous)
        write_manifest(folder, started)

        def finish(status: Status, error: str | None, **facts: Any) -> None:
            times = {"wall_s": time.monotonic() - clock, "cpu_s": _cpu_s() - cpu}
            write_manifest(folder, msgspec.structs.replace(started, status=status, error=error, **times, **facts))

        try:
            yield run
            outputs = {name: _record_output(name, path, folder) for name, path in run.outputs.items()}
            facts = {"counts": run.counts, "error_counts": run.error_counts, "notes": run.notes}
            finish("ok", None, outputs=outputs, **facts)
        except BaseException as error:
            status: Status = "cancelled" if isinstance(error, KeyboardInterrupt) else "error"
            # A disk too full for the manifest leaves it at "started", which says as much; the first error is told.
            with contextlib.suppress(UserError):
                finish(status, _describe(error))
            raise


def check_input(name: str, path: Path, folder: Path) -> FileRecord:
    """Hash an input, for the manifest in ``folder``; what a stage wrote must be finished and unchanged.

    A file that no manifest beside it lists came from anywhere, and is taken as it is. Raises UserError.
    """
    source = path.resolve().parent
    if not path.is_file():
        if path.is_dir():
            raise UserError(f"input {name!r} is a folder, not a file", where=str(path), remedy="name a file in it")
        remedy = "run the stage that writes it, or check the path"
        raise UserError(f"input {name!r} does not exist", where=str(path), remedy=remedy)
    record = record_file(path, folder)
    if not (source / FILE_NAME).is_file() or source == folder.resolve():
        return record
    manifest = load_manifest(source)
    again = f"run `{shlex.join(manifest.provenance.command)}` again"
    if manifest.status != "ok":
        raise UserError(
            f"input {name!r} is of a {manifest.stage} stage that did not finish: its status is {manifest.status!r}",
            where=str(source / FILE_NAME),
            remedy=f"{again}, or copy the file elsewhere to use it as it is",
        )
    listed = [output for output in manifest.outputs.values() if (source / output.path).resolve() == path.resolve()]
    if listed and listed[0].sha256 != record.sha256:
        raise UserError(
            f"input {name!r} changed after the {manifest.stage} stage wrote it: its sha256 does not match",
            where=str(path),
            remedy=f"{again} with --force, or copy the file elsewhere to use it as it is",
        )
    return record


def _previous(request: StageRequest) -> Manifest | None:
    """The manifest that is there. One that does not read counts as none where the user forces."""
    if not (request.folder / FILE_NAME).exists():
        return None
    try:
        return load_manifest(request.folder)
    except UserError:
        if request.force:
            return None
        raise


def _decide(request: StageRequest, started: Manifest, previous: Manifest | None) -> StageRun:
    """Fresh, resuming, up to date, or a refusal that says what changed."""
    folder = request.folder
    if previous is None:
        unknown = [path.name for path in _written(request)]
        if unknown and not request.force:
            what = f"the folder holds {', '.join(unknown[:3])}, and no manifest says where that came from"
            raise UserError(what, where=str(folder), remedy="--force replaces it; another --out or run name keeps it")
        return StageRun(folder=folder)
    if (previous.stage, previous.task) != (request.stage, request.task):
        raise UserError(
            f"the folder belongs to {previous.stage} {previous.task}, not to {request.stage} {request.task}",
            where=str(folder),
            remedy="name another folder with --out",
        )
    if request.force:
        return StageRun(folder=folder, previous=previous)
    finished = previous.status == "ok"
    extended_from = _extended_from(request, started, previous)
    before = previous if extended_from is None else _lengthened(request, started, previous)
    changes = _changes(started, before, request.moved)
    if finished:
        changes += [f"output {problem}" for problem in changed_files(folder, previous.outputs)]
    if changes:
        state = "finished" if finished else f"unfinished ({previous.status})"
        raise UserError(
            f"the folder holds {state} work of this stage, and this has changed since:\n    " + "\n    ".join(changes),
            where=str(folder),
            remedy="--force does it again and replaces what is there; another run name keeps both",
        )
    up_to_date = finished and extended_from is None
    resuming = request.resumable and not up_to_date
    return StageRun(
        folder=folder, up_to_date=up_to_date, resuming=resuming, previous=previous, extended_from=extended_from
    )


def _extended_from(request: StageRequest, now: Manifest, before: Manifest) -> int | None:
    """The number of `StageRequest.extends` before, where it has grown and the stage can go on."""
    if request.extends is None or not request.resumable:
        return None
    section, key = request.extends
    was, wanted = (manifest.config.get(section, {}).get(key) for manifest in (before, now))
    return was if isinstance(was, int) and isinstance(wanted, int) and was < wanted else None


def _lengthened(request: StageRequest, now: Manifest, before: Manifest) -> Manifest:
    """``before`` as if it had been asked for what ``now`` is."""
    assert request.extends is not None
    section, key = request.extends
    longer = before.config[section] | {key: now.config[section][key]}
    return msgspec.structs.replace(before, config=before.config | {section: longer})


def _changes(now: Manifest, before: Manifest, moved: Mapping[str, str]) -> list[str]:
    changes = config_changes(before.config, now.config, moved)
    if before.seed != now.seed:
        changes.append(f"seed: {before.seed} -> {now.seed}")
    for name in sorted(before.inputs.keys() | now.inputs.keys()):
        was, is_now = before.inputs.get(name), now.inputs.get(name)
        if was is None or is_now is None:
            changes.append(f"input {name}: {'added' if was is None else 'no longer given'}")
        elif was.sha256 != is_now.sha256:
            changes.append(f"input {name}: {is_now.path} is another file (sha256 {is_now.sha256[:12]})")
    return changes


def _started(request: StageRequest, inputs: dict[str, FileRecord]) -> Manifest:
    text = canonical_json(request.config)
    return Manifest(
        stage=request.stage,
        task=request.task,
        status="started",
        config=msgspec.json.decode(text),  # as it will be read back: tuples are lists, Structs are objects
        config_hash=hash_config(request.config),
        seed=request.seed,
        inputs=inputs,
        started_unix_s=time.time(),
        provenance=provenance(request.device, request.num_threads),
    )


def _record_output(name: str, path: Path, folder: Path) -> FileRecord:
    if not path.is_file():
        raise RuntimeError(f"the stage said it wrote output {name!r}, and {path} does not exist")
    return record_file(path, folder)


def _written(request: StageRequest) -> list[Path]:
    return [path for pattern in request.writes for path in sorted(request.folder.glob(pattern)) if path.is_file()]


def _remove_outputs(request: StageRequest, previous: Manifest | None) -> None:
    """Remove what an earlier run wrote into this folder, so that nothing of it is taken for the new run's."""
    inside = request.folder.resolve()
    recorded = previous.outputs.values() if previous else ()
    for path in [*_written(request), *(request.folder / record.path for record in recorded)]:
        if path.resolve().is_relative_to(inside):
            path.unlink(missing_ok=True)


def _describe(error: BaseException) -> str:
    if isinstance(error, UserError):
        return str(error)
    if isinstance(error, KeyboardInterrupt):
        return "terminated (SIGTERM)" if isinstance(error, Terminated) else "interrupted (Ctrl-C)"
    return f"{type(error).__name__}: {error}"


def _cpu_s() -> float:
    times = os.times()
    return times.user + times.system + times.children_user + times.children_system


@contextlib.contextmanager
def _locked(folder: Path) -> Iterator[None]:
    """Hold the folder's lock. The operating system releases it with the process, however that ends.

    The lock file stays behind: removing it would let a third process lock a new one while a second waits on the old.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        descriptor = os.open(folder / LOCK_NAME, os.O_RDWR | os.O_CREAT, 0o666)
    except OSError as error:
        raise UserError(f"cannot write into the run folder: {error.strerror}", where=str(folder)) from error
    try:
        if not _lock(descriptor):
            raise _held_by(descriptor, folder)
        os.ftruncate(descriptor, 0)
        os.pwrite(descriptor, f"{os.getpid()} {shlex.join(command_line())}\n".encode(), 0)
        yield
    finally:
        os.close(descriptor)


def is_at_work(folder: Path) -> bool | None:
    """Whether a process works in a run folder, by its lock; null where there is none, or it cannot be asked."""
    try:
        descriptor = os.open(folder / LOCK_NAME, os.O_RDONLY)
    except OSError:
        return None
    try:
        fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
        return False
    except BlockingIOError:
        return True
    except OSError:
        return None
    finally:
        os.close(descriptor)


def _lock(descriptor: int) -> bool:
    """Take the lock, in a second try where it is held for the moment in which somebody asks for it (`is_at_work`)."""
    for wait_s in (ASKING_S, 0.0):
        with contextlib.suppress(BlockingIOError):
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            return True
        time.sleep(wait_s)
    return False


def _held_by(descriptor: int, folder: Path) -> UserError:
    pid, _, command = os.pread(descriptor, 4096, 0).decode(errors="replace").strip().partition(" ")
    holder = f"process {pid} (`{command}`)" if pid else "another process"
    return UserError(
        f"{holder} is working in this run folder",
        where=str(folder),
        remedy=f"wait for it, stop it with `kill {pid or 'PID'}`, or use another run name",
    )

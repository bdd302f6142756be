"""Run folders: one stage at a time, checked inputs, resumed or refused, and a manifest that tells how it ended."""

import errno
import fcntl
import hashlib
import json
import os
import signal
import subprocess
import threading
from pathlib import Path
from typing import Any

import msgspec
import pytest

from pipeline.errors import UserError
from pipeline.files.hashes import sha256_file
from pipeline.run import folder as runs
from pipeline.run.folder import StageRequest, is_at_work, stage_run
from pipeline.run.manifest import load_manifest, verify
from schemas.manifest import Manifest
from tests.support.toy_rows import ROOT, run_python

CONFIG = {"train": {"num_steps": 1000, "layers": (64, 64)}, "name": "a"}


@pytest.fixture
def request_(tmp_path: Path) -> StageRequest:
    folder = tmp_path / "toy" / "first" / "infer"
    return StageRequest(
        stage="infer", task="toy", folder=folder, config=CONFIG, seed=3, writes=("*.jsonl",), resumable=True
    )


def change(request: StageRequest, **fields: Any) -> StageRequest:
    return msgspec.structs.replace(request, **fields)


def finish(request: StageRequest, text: str = "x\n") -> Manifest:
    """Run a stage that writes one file."""
    with stage_run(request) as run:
        assert not run.up_to_date
        path = request.folder / "rows.jsonl"
        path.write_text(text)
        run.output("rows", path)
        run.counts["num_rows"] = 1
        run.notes["speed"] = 2.5
    return load_manifest(request.folder)


def refusal(request: StageRequest) -> UserError:
    """What a stage says that refuses to begin; nothing on disk may change by it."""
    before = snapshot(request.folder)
    with pytest.raises(UserError) as caught, stage_run(request):
        raise AssertionError("the body ran")
    assert snapshot(request.folder) == before
    return caught.value


def snapshot(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.glob("*") if path.name != ".lock"}


# The manifest


def test_a_finished_stage_leaves_a_whole_manifest(request_: StageRequest) -> None:
    manifest = finish(request_)
    assert (manifest.stage, manifest.task, manifest.status, manifest.seed) == ("infer", "toy", "ok", 3)
    assert manifest.config == {"train": {"num_steps": 1000, "layers": [64, 64]}, "name": "a"}
    assert manifest.config_hash == hashlib.sha256(runs.canonical_json(CONFIG)).hexdigest()
    record = manifest.outputs["rows"]
    assert (record.path, record.num_bytes) == ("rows.jsonl", 2)
    assert record.sha256 == hashlib.sha256(b"x\n").hexdigest()
    assert manifest.counts == {"num_rows": 1} and manifest.notes == {"speed": 2.5}
    assert manifest.wall_s is not None and manifest.wall_s >= 0 and manifest.cpu_s is not None
    assert manifest.error is None and verify(request_.folder) == []


def test_the_manifest_says_started_while_the_stage_works(request_: StageRequest) -> None:
    with stage_run(request_) as run:
        manifest = load_manifest(request_.folder)
        assert (manifest.status, manifest.wall_s, manifest.outputs) == ("started", None, {})
        run.notes["x"] = 1
    assert load_manifest(request_.folder).status == "ok"


def test_provenance_names_commit_libraries_and_command(request_: StageRequest) -> None:
    provenance = finish(request_).provenance
    if (ROOT / ".git").exists():
        kind = subprocess.run(["git", "cat-file", "-t", str(provenance.git_commit)], capture_output=True, cwd=ROOT)
        assert kind.stdout == b"commit\n" and provenance.git_dirty is not None
    else:
        assert provenance.git_commit is None and provenance.git_dirty is None
    assert provenance.versions["msgspec"] == msgspec.__version__
    assert provenance.command and provenance.device == "cpu" and provenance.num_threads == 1


@pytest.mark.parametrize(
    ("argv", "command"),
    [
        (["/x/bin/baton", "infer", "toy"], ["baton", "infer", "toy"]),
        (["/x/stages/infer.py", "toy"], ["python", "-m", "stages.infer", "toy"]),
        (["/x/stages/__main__.py", "infer", "toy"], ["baton", "infer", "toy"]),
    ],
)
def test_the_command_is_recorded_as_one_would_type_it(
    argv: list[str], command: list[str], request_: StageRequest, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sys.argv", argv)
    assert finish(request_).provenance.command == command


@pytest.mark.parametrize(
    ("error", "status", "text"),
    [
        (ValueError("boom"), "error", "ValueError: boom"),
        (UserError("bad line", where="a:3"), "error", "bad line\n  where: a:3"),
        (KeyboardInterrupt(), "cancelled", "interrupted (Ctrl-C)"),
        (SystemExit(1), "error", "SystemExit: 1"),
    ],
)
def test_what_ends_a_stage_is_recorded_and_raised(
    request_: StageRequest, error: BaseException, status: str, text: str
) -> None:
    with pytest.raises(type(error)), stage_run(request_):
        raise error
    manifest = load_manifest(request_.folder)
    assert (manifest.status, manifest.error) == (status, text)
    assert verify(request_.folder) == [f"status is '{status}', not 'ok': {text}"]


def test_a_note_that_is_not_a_number_ends_in_an_error_that_names_it(request_: StageRequest) -> None:
    with pytest.raises(UserError, match=r"notes\.loss"), stage_run(request_) as run:
        run.notes["loss"] = float("nan")
    assert load_manifest(request_.folder).status == "error"


def test_an_output_that_was_not_written_is_an_error(request_: StageRequest) -> None:
    with pytest.raises(RuntimeError, match="does not exist"), stage_run(request_) as run:
        run.output("rows", request_.folder / "absent")
    assert load_manifest(request_.folder).status == "error"


def test_a_full_disk_at_the_end_is_told_and_the_manifest_stays_unfinished(
    request_: StageRequest, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(descriptor: int) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    with pytest.raises(UserError, match="disk is full"), stage_run(request_):
        monkeypatch.setattr(os, "fsync", full)
    monkeypatch.undo()
    assert load_manifest(request_.folder).status == "started"


STAGE = """
    import sys, time
    from pathlib import Path
    from pipeline.run.folder import StageRequest, is_at_work, stage_run
    from pipeline.run.signals import terminate_as_interrupt
    request = StageRequest(stage="infer", task="toy", folder=Path(sys.argv[1]), config={}, resumable=True)
    with terminate_as_interrupt(), stage_run(request) as run:
        print("resuming" if run.resuming else "fresh", flush=True)
        time.sleep(60)
"""


@pytest.mark.parametrize(
    ("number", "status"), [(signal.SIGTERM, "cancelled"), (signal.SIGINT, "cancelled"), (signal.SIGKILL, "started")]
)
def test_a_stopped_process_leaves_its_status_and_the_lock_free(tmp_path: Path, number: int, status: str) -> None:
    for expected in ("fresh", "resuming"):
        process = run_python(STAGE, str(tmp_path))
        assert process.stdout is not None and process.stdout.readline() == expected + "\n"
        process.send_signal(number)
        process.communicate()
        assert load_manifest(tmp_path).status == status


def test_a_second_process_is_told_who_holds_the_folder(request_: StageRequest) -> None:
    process = run_python(STAGE, str(request_.folder))
    assert process.stdout is not None and process.stdout.readline() == "fresh\n"
    error = refusal(request_)
    assert f"process {process.pid} " in error.what and f"kill {process.pid}" in str(error.remedy)
    process.kill()
    process.communicate()


# Up to date, resumed, refused


def test_an_unchanged_finished_stage_is_up_to_date_and_left_alone(request_: StageRequest) -> None:
    finish(request_)
    before = snapshot(request_.folder)
    with stage_run(request_) as run:
        assert run.up_to_date and not run.resuming
    assert snapshot(request_.folder) == before


def test_a_changed_configuration_is_refused_key_by_key(request_: StageRequest) -> None:
    finish(request_)
    config = {"train": {"num_steps": 2000, "layers": [64, 64]}, "extra": True}
    error = refusal(change(request_, config=config, seed=4))
    assert error.what.splitlines()[1:] == [
        '    name: "a" -> (not there)',
        "    train.num_steps: 1000 -> 2000",
        "    extra: (not there) -> true",
        "    seed: 3 -> 4",
    ]
    assert "--force" in str(error.remedy) and "run name" in str(error.remedy)


def test_a_new_key_that_asks_for_nothing_leaves_finished_work_up_to_date(request_: StageRequest) -> None:
    finish(request_)
    train = request_.config["train"]
    newer = change(request_, config={**request_.config, "train": {**train, "start_from": None}})
    with stage_run(newer) as run:
        assert run.up_to_date
    error = refusal(change(request_, config={**request_.config, "train": {**train, "start_from": "full"}}))
    assert error.what.splitlines()[1:] == ['    train.start_from: (not there) -> "full"']


def test_many_changes_are_cut_to_a_readable_list(request_: StageRequest) -> None:
    finish(request_)
    error = refusal(change(request_, config={f"key{index}": index for index in range(40)}))
    assert len(error.what.splitlines()) == 14 and error.what.endswith("more")


def test_force_does_it_again_and_removes_what_the_old_run_wrote(request_: StageRequest) -> None:
    finish(request_)
    (request_.folder / "later.jsonl").write_text("half")  # of a run that was cut off
    with stage_run(change(request_, force=True, config={})) as run:
        assert not run.up_to_date and not run.resuming
        assert sorted(snapshot(request_.folder)) == ["manifest.json"]
    assert load_manifest(request_.folder).config == {}


@pytest.mark.parametrize("damage", ["changed", "gone", "cut"])
def test_outputs_that_changed_since_are_refused(request_: StageRequest, damage: str) -> None:
    finish(request_)
    path = request_.folder / "rows.jsonl"
    if damage == "gone":
        path.unlink()
    else:
        path.write_text("y\n" if damage == "changed" else "")
    assert "output rows: rows.jsonl" in refusal(request_).what
    assert len(verify(request_.folder)) == 1


@pytest.mark.parametrize("error", [KeyboardInterrupt(), ValueError()])
@pytest.mark.parametrize("resumable", [True, False])
def test_an_unfinished_stage_resumes_if_it_can_and_starts_over_if_not(
    request_: StageRequest, error: BaseException, resumable: bool
) -> None:
    request = change(request_, resumable=resumable)
    with pytest.raises(type(error)), stage_run(request):
        (request.folder / "rows.jsonl").write_text("half")
        raise error
    with stage_run(request) as run:
        assert run.resuming is resumable and not run.up_to_date
        assert (request.folder / "rows.jsonl").exists() is resumable
    assert "a: 1" in refusal(change(request, config={**CONFIG, "a": 1})).what.replace("(not there) -> ", "")


def test_what_a_killed_process_left_half_written_is_removed_and_nothing_else(request_: StageRequest) -> None:
    with pytest.raises(KeyboardInterrupt), stage_run(request_):
        raise KeyboardInterrupt
    left_over = (".manifest.json.7.tmp", "checkpoints/.step.checkpoint_v1.12345.tmp")
    others = (".notes.tmp", "mine.7.tmp", "checkpoints/deeper/.step.7.tmp")
    for name in (*left_over, *others):
        (request_.folder / name).parent.mkdir(parents=True, exist_ok=True)
        (request_.folder / name).write_text("half")
    with stage_run(request_):
        assert sorted(str(p.relative_to(request_.folder)) for p in request_.folder.rglob("*.tmp")) == sorted(others)


def test_unfinished_work_of_another_configuration_is_refused(request_: StageRequest) -> None:
    with pytest.raises(KeyboardInterrupt), stage_run(request_):
        raise KeyboardInterrupt
    assert "unfinished (cancelled)" in refusal(change(request_, seed=9)).what


def test_a_folder_of_another_stage_is_refused_even_by_force(request_: StageRequest) -> None:
    finish(request_)
    assert "belongs to infer toy" in refusal(change(request_, stage="evaluate", force=True)).what


def test_files_of_unknown_origin_are_not_overwritten(request_: StageRequest) -> None:
    request_.folder.mkdir(parents=True)
    (request_.folder / "mine.jsonl").write_text("precious")
    assert "mine.jsonl" in refusal(request_).what
    with stage_run(change(request_, force=True)):
        assert not (request_.folder / "mine.jsonl").exists()


@pytest.mark.parametrize("content", ["", "{", "[]", '{"schema":"manifest_v9"}', '{"schema":"manifest_v1"}'])
def test_a_manifest_that_does_not_read_is_named_and_forced_over(request_: StageRequest, content: str) -> None:
    request_.folder.mkdir(parents=True)
    (request_.folder / "manifest.json").write_text(content)
    error = refusal(request_)
    assert str(request_.folder / "manifest.json") == error.where and "--force" in str(error.remedy)
    assert finish(change(request_, force=True)).status == "ok"


# Inputs


@pytest.fixture
def evaluate(request_: StageRequest) -> StageRequest:
    folder = request_.folder.parent / "evaluate"
    inputs = {"predictions": request_.folder / "rows.jsonl"}
    return StageRequest(stage="evaluate", task="toy", folder=folder, config={}, inputs=inputs)


def test_an_input_is_recorded_relative_to_the_run_so_that_the_run_can_move(
    request_: StageRequest, evaluate: StageRequest, tmp_path: Path
) -> None:
    finish(request_)
    with stage_run(evaluate):
        pass
    assert load_manifest(evaluate.folder).inputs["predictions"].path == "../infer/rows.jsonl"
    (tmp_path / "toy").rename(tmp_path / "moved")
    assert verify(tmp_path / "moved" / "first" / "evaluate") == []


def test_a_file_from_anywhere_is_taken_and_hashed(tmp_path: Path, evaluate: StageRequest) -> None:
    path = tmp_path / "downloaded.jsonl"
    path.write_text("x\n")
    with stage_run(change(evaluate, inputs={"predictions": path})):
        pass
    record = load_manifest(evaluate.folder).inputs["predictions"]
    assert record.path == str(path.resolve()) and record.sha256 == hashlib.sha256(b"x\n").hexdigest()
    path.write_text("y\n")
    assert "input predictions" in refusal(change(evaluate, inputs={"predictions": path})).what
    assert "input predictions: no longer given" in refusal(change(evaluate, inputs={})).what
    assert verify(evaluate.folder) == [f"input predictions: {path.resolve()} changed since it was written"]


@pytest.mark.parametrize("status", ["started", "error", "cancelled"])
def test_an_input_of_an_unfinished_stage_is_refused(
    request_: StageRequest, evaluate: StageRequest, status: str
) -> None:
    finish(request_)
    path = request_.folder / "manifest.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {"status": status}))
    error = refusal(evaluate)
    assert repr(status) in error.what and "run `" in str(error.remedy)


def test_an_input_that_changed_after_it_was_written_is_refused(
    request_: StageRequest, evaluate: StageRequest, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sys.argv", ["baton", "infer", "toy", "--recipe", "a b"])
    finish(request_)
    evaluate.inputs["predictions"].write_text("y\n")
    error = refusal(evaluate)
    assert "sha256 does not match" in error.what
    assert "run `baton infer toy --recipe 'a b'` again with --force" in str(error.remedy)


def test_missing_inputs_and_folders_are_named(tmp_path: Path, evaluate: StageRequest) -> None:
    assert "does not exist" in refusal(evaluate).what
    assert "is a folder" in refusal(change(evaluate, inputs={"predictions": tmp_path})).what


# Hashes


def test_canonical_json_has_one_text_for_equal_values() -> None:
    assert runs.canonical_json({"b": (1, 2), "a": {"d": 1.0, "c": None}}) == b'{"a":{"c":null,"d":1.0},"b":[1,2]}'
    assert (
        runs.hash_config({"a": 1, "b": 2}) == runs.hash_config({"b": 2, "a": 1}) != runs.hash_config({"a": 1, "b": 3})
    )
    with pytest.raises(UserError, match="NaN"):
        runs.canonical_json({"a": float("nan")})


def test_a_file_hashes_as_one_piece(tmp_path: Path) -> None:
    path = tmp_path / "large"
    path.write_bytes(b"ab" * 1_500_000)  # several chunks
    assert sha256_file(path) == hashlib.sha256(b"ab" * 1_500_000).hexdigest()
    with pytest.raises(UserError, match="cannot read"):
        sha256_file(tmp_path / "absent")


def test_a_configuration_edited_by_hand_is_noticed(request_: StageRequest) -> None:
    finish(request_)
    path = request_.folder / "manifest.json"
    path.write_text(path.read_text().replace("1000", "9999"))
    assert verify(request_.folder) == ["config: was edited by hand, its hash does not match"]


def test_whether_a_process_works_in_a_folder_can_be_asked(request_: StageRequest) -> None:
    assert is_at_work(request_.folder) is None
    with stage_run(request_):
        assert is_at_work(request_.folder) is True
    assert is_at_work(request_.folder) is False


def test_a_stage_begins_although_somebody_asks_just_then(request_: StageRequest) -> None:
    finish(request_)
    with (request_.folder / ".lock").open() as asked:
        fcntl.flock(asked, fcntl.LOCK_SH)
        timer = threading.Timer(runs.ASKING_S / 5, fcntl.flock, (asked, fcntl.LOCK_UN))
        timer.start()
        with stage_run(request_) as run:
            assert run.up_to_date
        timer.join()

"""inspect: what an artifact is, where it came from, and whether it is whole."""

import json
import shutil
from pathlib import Path

import pytest

from pipeline.errors import UserError
from pipeline.inspect import Finding, inspect_artifact
from tests.conftest import Baton

RUN = "gridworld/tiny"


@pytest.fixture
def run(tiny_runs: Path, tmp_path: Path) -> Path:
    """A copy of the tiny run that a test may damage."""
    return Path(shutil.copytree(tiny_runs / RUN, tmp_path / "tiny"))


def append(path: Path, data: bytes) -> None:
    with path.open("ab") as file:
        file.write(data)


def flip_bit(path: Path, position: int) -> None:
    data = bytearray(path.read_bytes())
    data[position] ^= 1
    path.write_bytes(data)


# whole artifacts


@pytest.mark.parametrize(
    ("path", "kind"),
    [
        (".", "run folder"),
        ("train", "train stage folder"),
        ("train/manifest.json", "train stage folder"),
        ("examples/examples.jsonl", "rows of example_v1"),
        ("infer/predictions.jsonl", "rows of prediction_v1"),
        ("train/progress.jsonl", "rows of progress_v1"),
        ("train/monitor.jsonl", "rows of monitor_v1"),
        ("train/selected.checkpoint_v1", "checkpoint"),
        ("train/resume.checkpoint_v1", "checkpoint"),
        ("export/model.inference_v1", "inference_v1"),
    ],
)
def test_every_artifact_of_a_run_is_recognised_and_whole(path: str, kind: str, tiny_runs: Path) -> None:
    finding = inspect_artifact(tiny_runs / RUN / path)
    assert (finding.kind, finding.problems, finding.whole) == (kind, (), True)


def test_a_run_folder_lists_its_stages_in_the_order_of_the_flow(tiny_runs: Path) -> None:
    finding = inspect_artifact(tiny_runs / RUN)
    assert [child.path.name for child in finding.children] == ["examples", "train", "export", "infer"]


def test_a_file_says_which_command_made_it(tiny_runs: Path) -> None:
    origin = inspect_artifact(tiny_runs / RUN / "infer/predictions.jsonl").facts["from"]
    assert "infer gridworld (ok)" in origin
    assert "infer gridworld --recipe tiny" in origin


def test_a_model_tells_its_network_its_training_step_and_its_recipe(tiny_runs: Path) -> None:
    facts = inspect_artifact(tiny_runs / RUN / "export/model.inference_v1").facts
    assert facts["network"]["type"] == "dueling"
    assert facts["metadata"]["step"] in (2048, 4096)
    assert facts["recipe"] == "tiny"
    assert facts["num_parameters"] > 1000


def test_rows_are_counted(tiny_runs: Path) -> None:
    assert inspect_artifact(tiny_runs / RUN / "infer/predictions.jsonl").facts["num_rows"] == 12


def test_a_recipe_is_whole_if_it_loads() -> None:
    finding = inspect_artifact(Path("runs/recipes/gridworld/tiny.yaml"))
    assert (finding.kind, finding.facts["name"], finding.whole) == ("recipe", "tiny", True)


# artifacts that are not


def problems(finding: Finding) -> str:
    return "\n".join([*finding.problems, *(problems(child) for child in finding.children)])


def test_a_torn_tail_is_told_with_its_offset(run: Path) -> None:
    path = run / "infer/predictions.jsonl"
    size = path.stat().st_size
    append(path, b'{"task": "grid')
    finding = inspect_artifact(path)
    assert not finding.whole
    assert finding.facts["num_rows"] == 12
    assert f"torn after {size:,} bytes" in problems(finding)


def test_a_row_of_an_unknown_field_is_told_with_its_line(tmp_path: Path) -> None:
    path = tmp_path / "examples.jsonl"
    row = {"schema": "example_v1", "task": "gridworld", "id": "a", "level": "full", "seed": 1, "multiplier": 1.0}
    path.write_text(json.dumps(row) + "\n" + json.dumps(row | {"id": "b", "colour": "red"}) + "\n")
    finding = inspect_artifact(path)
    assert not finding.whole
    assert "colour" in problems(finding)
    assert f"{path}:2" in problems(finding)


def test_an_id_that_occurs_twice_is_told(tmp_path: Path) -> None:
    path = tmp_path / "examples.jsonl"
    row = {"schema": "example_v1", "task": "gridworld", "id": "a", "level": "full", "seed": 1, "multiplier": 1.0}
    path.write_text(2 * (json.dumps(row) + "\n"))
    assert problems(inspect_artifact(path)) == "1 ids occur more than once, the first is 'a'"


def test_rows_of_an_unknown_task_are_checked_as_json_and_say_so(tmp_path: Path) -> None:
    path = tmp_path / "rows.jsonl"
    path.write_text('{"schema": "example_v1", "task": "chess", "id": "a"}\n')
    finding = inspect_artifact(path)
    assert finding.whole
    assert finding.facts["checked"] == "as JSON only: this installation does not know these rows"


@pytest.mark.parametrize("position", [300, -5])
def test_one_flipped_bit_of_a_model_is_found(run: Path, position: int) -> None:
    path = run / "export/model.inference_v1"
    flip_bit(path, position)
    assert not inspect_artifact(path).whole


def test_one_flipped_bit_of_a_checkpoint_is_found_by_its_checksum_alone(run: Path, tmp_path: Path) -> None:
    path = tmp_path / "alone.checkpoint_v1"
    shutil.copy(run / "train/selected.checkpoint_v1", path)
    flip_bit(path, path.stat().st_size // 2)
    assert "checksum" in problems(inspect_artifact(path))


def test_half_a_checkpoint_is_no_whole_archive(run: Path) -> None:
    path = run / "train/selected.checkpoint_v1"
    path.write_bytes(path.read_bytes()[:20_000])
    assert "not a whole archive" in problems(inspect_artifact(path))


def test_a_file_that_changed_after_its_stage_is_told(run: Path) -> None:
    path = run / "examples/examples.jsonl"
    path.write_text("".join(path.read_text().splitlines(keepends=True)[:3]))
    assert "it changed after its stage wrote it" in problems(inspect_artifact(path))
    assert "examples.jsonl" in problems(inspect_artifact(run))


def test_a_stage_that_was_killed_is_not_whole(run: Path) -> None:
    path = run / "train/manifest.json"
    path.write_text(path.read_text().replace('"status": "ok"', '"status": "started"'))
    assert "status is 'started', not 'ok'" in problems(inspect_artifact(run))


def test_a_manifest_that_does_not_read_is_told(run: Path) -> None:
    (run / "train/manifest.json").write_text("{")
    assert "the manifest does not read" in problems(inspect_artifact(run / "train"))


def test_a_recipe_that_does_not_load_says_why(tmp_path: Path) -> None:
    path = tmp_path / "wrong.yaml"
    path.write_text("schema: recipe_v1\ntask: gridworld\nname: x\ntrain:\n  num_step: 3\n")
    finding = inspect_artifact(path)
    assert not finding.whole
    assert f"{path}:5" in problems(finding)


@pytest.mark.parametrize("content", [b"[project]\n", b"\x89PNG\r\n\x1a\n", b"{}\n"])
def test_what_is_not_of_baton_is_refused(content: bytes, tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_bytes(content)
    with pytest.raises(UserError, match="nothing that Baton writes"):
        inspect_artifact(path)


def test_a_folder_that_is_not_of_baton_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="not of Baton"):
        inspect_artifact(tmp_path)


# the command


def test_the_command_says_whole_with_exit_code_0(baton: Baton, tiny_runs: Path) -> None:
    done = baton("inspect", tiny_runs / RUN)
    assert done.code == 0
    assert done.out.splitlines()[0] == f"{tiny_runs / RUN}: run folder, whole"


def test_the_command_says_not_whole_with_exit_code_1(baton: Baton, run: Path) -> None:
    append(run / "examples/examples.jsonl", b'{"')
    done = baton("inspect", run / "examples/examples.jsonl", "--json")
    assert done.code == 1
    assert done.json["status"] == "failed"
    assert done.json["whole"] is False
    assert done.json["kind"] == "rows of example_v1"


def test_a_missing_file_is_exit_code_2(baton: Baton, tmp_path: Path) -> None:
    done = baton("inspect", tmp_path / "nothing")
    assert done.code == 2
    assert "there is no such file or folder" in done.err

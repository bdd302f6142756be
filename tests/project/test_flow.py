"""`schemas.flow` says what each stage reads and writes: the stages run, and what they leave is compared with it."""

import shutil
from fnmatch import fnmatchcase
from pathlib import Path

import pytest

from pipeline.contract.load import load_part
from pipeline.contract.parts import ExamplesPart
from pipeline.run.manifest import load_manifest
from schemas.flow import BY_NAME, STAGES
from tests.conftest import ROOT, Baton
from tests.support.zygote import Zygote

CHAIN = ("examples", "train", "export", "infer", "evaluate", "visualize")
SWEEP = """\
schema: sweep_v1
task: gridworld
name: small
recipe: tiny
set: {examples.num_scenarios: 2, evaluate.num_resamples: 20}
checkpoints: [MODEL]
"""


@pytest.fixture(scope="module", params=["gridworld", "detection"])
def run_folder(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory, libraries: Zygote) -> Path:
    """The run folder of recipe "tiny", through every stage that `make evaluate visualize` takes; each loads the
    project anew."""
    runs = tmp_path_factory.mktemp("flow") / "runs"
    task: str = request.param
    if task == "gridworld":  # what other tests have made already
        shutil.copytree(request.getfixturevalue("tiny_runs"), runs)
    for stage in CHAIN:
        if not (runs / task / "tiny" / stage).exists():
            done = libraries.run(stage, task, "--recipe", "tiny", "--runs-dir", runs)
            assert done.code == 0, done.err
    return runs / task / "tiny"


def written(folder: Path, stage: str) -> set[str]:
    """All files below ``folder``, which is that of ``stage``, as the flow names them, but for manifest and locks."""
    files = (path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file())
    return {f"{stage}/{name}" for name in files if name != "manifest.json" and not name.endswith(".lock")}


def compare(found: set[str], promised: tuple[str, ...]) -> tuple[set[str], set[str]]:
    """Files that were not promised, and promises that no file keeps."""
    extra = {name for name in found if not any(fnmatchcase(name, pattern) for pattern in promised)}
    missing = {pattern for pattern in promised if not any(fnmatchcase(name, pattern) for name in found)}
    return extra, missing


@pytest.mark.parametrize("stage", CHAIN)
def test_a_stage_writes_exactly_what_the_flow_says(run_folder: Path, stage: str) -> None:
    promised = BY_NAME[stage].writes
    if stage == "examples":
        named = load_part(run_folder.parent.name, ExamplesPart).files
        promised += tuple(f"examples/{pattern}" for pattern in named)
    assert compare(written(run_folder / stage, stage), promised) == (set(), set())


@pytest.mark.parametrize("stage", CHAIN)
def test_a_stage_reads_nothing_of_the_run_but_what_the_flow_says(run_folder: Path, stage: str) -> None:
    inputs = [run_folder / stage / record.path for record in load_manifest(run_folder / stage).inputs.values()]
    read = {path.resolve().relative_to(run_folder.resolve()).as_posix() for path in inputs}
    assert read == {name for name in BY_NAME[stage].reads if name != "recipe"}


def test_compare_writes_exactly_what_the_flow_says(run_folder: Path, baton: Baton, tmp_path: Path) -> None:
    predictions, out = run_folder / "infer/predictions.jsonl", tmp_path / "compare"
    task = run_folder.parent.name
    done = baton("compare", task, f"a={predictions}", f"b={predictions}", "--num-resamples", "200", "--out", out)
    assert done.code == 0, done.err
    assert compare(written(out, "compare"), BY_NAME["compare"].writes) == (set(), set())


def test_sweep_writes_exactly_what_the_flow_says(baton: Baton, tmp_path: Path) -> None:
    file, out = tmp_path / "small.yaml", tmp_path / "sweep"
    file.write_text(SWEEP.replace("MODEL", str(ROOT / "runs/pretrained/gridworld/full.inference_v1")))
    done = baton("sweep", "gridworld", "--file", file, "--out", out)
    assert done.code == 0, done.err
    assert compare(written(out, "sweep"), BY_NAME["sweep"].writes) == (set(), set())


def test_the_comparison_finds_what_is_too_much_and_what_is_missing(tmp_path: Path) -> None:
    for name in ("manifest.json", ".lock", "table.md", "deep/down/file"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).touch()
    found = written(tmp_path, "evaluate")
    assert compare(found, ("evaluate/table.md", "evaluate/other")) == ({"evaluate/deep/down/file"}, {"evaluate/other"})
    assert compare(found, ("evaluate/table.md", "evaluate/deep/*")) == (set(), set())


def test_every_stage_that_leaves_a_folder_is_held_to_the_flow() -> None:
    assert {stage.name for stage in STAGES if stage.writes} == {*CHAIN, "compare", "sweep"}

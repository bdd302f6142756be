"""train as a command: interrupted, killed, resumed, started anew."""

import signal
from pathlib import Path

import pytest

from pipeline.files.hashes import sha256_file
from pipeline.run.manifest import load_manifest
from tests.conftest import ROOT, Baton
from tests.support.zygote import Command, Zygote

RUN = "gridworld/tiny/train"
FINAL = ("selected.checkpoint_v1", "progress.jsonl", "monitor.jsonl")
ARGUMENTS = ("train", "gridworld", "--recipe", "tiny")


def start(zygote: Zygote, runs: Path) -> Command:
    return zygote.start(*ARGUMENTS, environment={"BATON_RUNS": str(runs)})


def wait_for(command: Command, path: Path) -> None:
    """Until the training wrote the file."""
    while not path.exists():
        assert command.wait(timeout_s=0.01) is None, command.finish()


def assert_like_uninterrupted(folder: Path, tiny_runs: Path) -> None:
    for name in FINAL:
        assert (folder / name).read_bytes() == (tiny_runs / RUN / name).read_bytes(), name


def test_a_killed_training_resumes_to_the_same_bytes(
    tmp_path: Path, tiny_runs: Path, zygote: Zygote, baton: Baton
) -> None:
    process = start(zygote, tmp_path / "runs")
    folder = tmp_path / "runs" / RUN
    wait_for(process, folder / "resume.checkpoint_v1")
    assert process.kill() == -signal.SIGKILL
    assert load_manifest(folder).status == "started"
    done = baton(*ARGUMENTS)
    assert done.code == 0, done.err
    assert load_manifest(folder).status == "ok"
    assert_like_uninterrupted(folder, tiny_runs)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_an_interrupted_training_says_so_and_resumes_to_the_same_bytes(
    number: signal.Signals, tmp_path: Path, tiny_runs: Path, zygote: Zygote, baton: Baton
) -> None:
    process = start(zygote, tmp_path / "runs")
    folder = tmp_path / "runs" / RUN
    wait_for(process, folder / "progress.jsonl")
    process.signal(number)
    done = process.finish()
    assert done.code == 130
    assert "error: interrupted\n  next:  the same command again goes on from where it stopped" in done.err
    assert load_manifest(folder).status == "cancelled"
    done = baton(*ARGUMENTS)
    assert done.code == 0, done.err
    assert_like_uninterrupted(folder, tiny_runs)


def test_a_fresh_start_takes_nothing_of_the_unfinished_training(
    tmp_path: Path, tiny_runs: Path, zygote: Zygote, baton: Baton
) -> None:
    folder = tmp_path / "runs" / RUN
    process = start(zygote, tmp_path / "runs")
    wait_for(process, folder / "resume.checkpoint_v1")
    assert process.kill() == -signal.SIGKILL
    (folder / "resume.checkpoint_v1").write_bytes(b"damaged")
    resumed = baton(*ARGUMENTS)
    assert resumed.code == 2
    assert "start anew with --fresh" in resumed.err
    done = baton(*ARGUMENTS, "--fresh")
    assert done.code == 0, done.err
    assert_like_uninterrupted(folder, tiny_runs)


def test_a_second_process_on_the_same_folder_is_refused(tmp_path: Path, zygote: Zygote, baton: Baton) -> None:
    process = start(zygote, tmp_path / "runs")
    wait_for(process, tmp_path / "runs" / RUN / "manifest.json")
    done = baton(*ARGUMENTS)
    assert done.code == 2
    assert f"process {process.pid}" in done.err
    assert "is working in this run folder" in done.err
    assert process.kill() == -signal.SIGKILL


def test_piped_training_reports_in_plain_lines_on_stderr(tmp_path: Path, baton: Baton) -> None:
    short = (*ARGUMENTS, "--set", "train.num_steps=1024")
    done = baton(*short, "--json")
    assert done.err == ""
    assert done.json["counts"]["steps"] == 1024
    again = baton(*short, "--force")
    assert again.err.splitlines()[-1].startswith("train: ")
    assert "\x1b" not in again.err


def test_another_seed_is_another_training_and_needs_another_name(tmp_path: Path, baton: Baton) -> None:
    short = (*ARGUMENTS, "--set", "train.num_steps=1024")
    assert baton(*short).code == 0
    refused = baton(*short, "--seed", "1")
    assert refused.code == 2
    assert "seed: 0 -> 1" in refused.err
    assert baton(*short, "--seed", "1", "--set", "name=tiny-1").code == 0
    first, second = (tmp_path / f"runs/gridworld/{name}/train/progress.jsonl" for name in ("tiny", "tiny-1"))
    assert first.read_bytes() != second.read_bytes()


def results(folder: Path) -> dict[str, bytes]:
    """All files but those that carry the clock, and what goes on behind them."""
    carry = {"episodes.jsonl", "resume.checkpoint_v1", "manifest.json", ".lock"}
    paths = [path for path in folder.rglob("*") if path.is_file() and path.name not in carry]
    return {str(path.relative_to(folder)): path.read_bytes() for path in paths}


def constant(folder: Path, steps: int) -> tuple[str, ...]:
    """A training whose learning rate does not depend on its length."""
    chosen = {"train.num_steps": steps, "optimizer.schedule": "constant"}
    return (*ARGUMENTS, "--out", str(folder), *(f"--set={name}={value}" for name, value in chosen.items()))


@pytest.fixture(scope="module")
def whole(zygote: Zygote, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What 3,072 steps without a break left."""
    folder = tmp_path_factory.mktemp("whole") / "train"
    assert zygote.run(*constant(folder, 3072)).code == 0
    return folder


@pytest.mark.parametrize("num_steps", [1024, 1040, 2048])  # saved there, neither saved nor monitored, both
def test_a_finished_training_goes_on_to_what_a_longer_one_is(
    num_steps: int, tmp_path: Path, whole: Path, baton: Baton
) -> None:
    folder = tmp_path / "train"
    assert baton(*constant(folder, num_steps)).code == 0
    told = baton(*constant(folder, 3072)).out
    assert f"went on from a training of {num_steps:,} steps; it equals one of this length" in told
    assert "up to date" in baton(*constant(folder, 3072)).out
    extended, expected = results(folder), results(whole)
    assert extended.keys() == expected.keys() and "selected.checkpoint_v1" in expected
    assert [name for name in expected if expected[name] != extended[name]] == []
    assert load_manifest(folder).notes["extended_from_steps"] == num_steps


def test_a_longer_training_says_where_its_schedule_was_that_of_a_shorter_one(tmp_path: Path, baton: Baton) -> None:
    assert baton(*ARGUMENTS, "--set", "train.num_steps=1024").code == 0
    done = baton(*ARGUMENTS, "--set", "train.num_steps=1280")
    assert "whose schedule was that of so many: a training of this length from the start differs" in done.out, done.err
    refused = baton(*ARGUMENTS, "--set", "train.num_steps=1024")
    assert refused.code == 2 and "train.num_steps: 1280 -> 1024" in refused.err
    refused = baton(*ARGUMENTS, "--set", "train.num_steps=2048", "--set", "train.num_envs=8")
    assert refused.code == 2 and "train.num_envs: 16 -> 8" in refused.err and "num_steps" not in refused.err


@pytest.mark.parametrize("rate", ["1e30", "1e18"])
def test_a_training_ends_at_the_first_loss_that_is_not_finite(rate: str, tmp_path: Path, baton: Baton) -> None:
    done = baton(*ARGUMENTS, "--set", f"optimizer.learning_rate={rate}")
    assert done.code == 2
    assert "the training diverged at step " in done.err and "--set optimizer.learning_rate=... --force" in done.err
    assert load_manifest(tmp_path / "runs" / RUN).status == "error"
    assert not list((tmp_path / "runs" / RUN).glob("**/*.checkpoint_v1"))


@pytest.mark.parametrize(
    ("setting", "size"),
    [
        ("replay.capacity=20000000000", "2.33 TiB"),
        ("train.num_envs=2000000000", "1.86 TiB"),
        ("train.monitor_episodes=100000000000", "GiB"),
    ],
)
def test_memory_that_the_machine_does_not_have_is_refused(setting: str, size: str, baton: Baton) -> None:
    done = baton(*ARGUMENTS, "--set", setting)
    assert done.code == 2 and "there is not enough memory: Unable to allocate" in done.err and size in done.err
    assert "GB are available" in done.err


def test_a_training_that_starts_from_a_model_says_what_it_took_and_holds_its_hash(
    tmp_path: Path, tiny_runs: Path, baton: Baton
) -> None:
    for file in ("export/model.inference_v1", "train/selected.checkpoint_v1"):
        start = tiny_runs / "gridworld/tiny" / file
        done = baton(*ARGUMENTS, "--set", f"train.start_from={start}", "--set", "train.num_steps=1024", "--force")
        assert done.code == 0, done.err
        assert "tensors taken, 0 in part, 0 left" in done.out
        manifest = load_manifest(tmp_path / "runs" / RUN)
        assert manifest.inputs["start_from"].sha256 == sha256_file(start)
        assert manifest.notes["started_from"]["left"] == {} and manifest.notes["started_from"]["taken"]


@pytest.mark.parametrize(
    ("start", "what"),
    [
        ("runs/nothing", "input 'start_from' does not exist"),
        ("fulll", "did you mean 'full'"),
        ("PRETRAINED/detection/full.inference_v1", "the model to start from is of task 'detection'"),
        ("PRETRAINED/gridworld/full.inference_v1", "nothing of the start file fits"),
        ("PRETRAINED/README.md", "README.md"),
    ],
)
def test_a_start_that_does_not_fit_is_refused(tmp_path: Path, baton: Baton, start: str, what: str) -> None:
    path = start.replace("PRETRAINED", str(ROOT / "runs/pretrained"))
    done = baton(*ARGUMENTS, "--set", f"train.start_from={path}", "--set", "train.start_parts=[value]")
    assert done.code == 2
    assert what in done.err

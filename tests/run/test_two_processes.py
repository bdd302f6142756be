"""Two processes on one run folder: one works, the other is told so and touches nothing."""

import os
import signal
from pathlib import Path

import pytest

from pipeline.run.manifest import load_manifest
from tests.support.run_files import different_files
from tests.support.zygote import Command, Zygote

STAGES = ("train", "infer", "evaluate")


def command(stage: str, runs: Path, out: Path) -> tuple[str | Path, ...]:
    return (stage, "gridworld", "--recipe", "tiny", "--runs-dir", runs, "--out", out)


def stopped_at_work(zygote: Zygote, arguments: tuple[str | Path, ...], folder: Path) -> Command | None:
    """A process of ``arguments`` that holds still in the middle of its work; None when it was done too soon."""
    process = zygote.start(*arguments)
    while process.wait(timeout_s=0.001) is None:
        os.kill(process.pid, signal.SIGSTOP)
        if (folder / "manifest.json").exists() and load_manifest(folder).status == "started":
            return process
        os.kill(process.pid, signal.SIGCONT)
    return None


def hold(zygote: Zygote, stage: str, runs: Path, tmp_path: Path) -> tuple[Command, Path]:
    """A process of ``stage`` stopped at its work, and its folder."""
    for attempt in range(20):  # the machine may let it run to its end before it lets this process look
        folder = tmp_path / f"{attempt}"
        process = stopped_at_work(zygote, command(stage, runs, folder), folder)
        if process is not None:
            return process, folder
    raise AssertionError("every process was done before it could be stopped")


def snapshot(folder: Path) -> dict[Path, tuple[bytes, int]]:
    return {path: (path.read_bytes(), path.stat().st_mtime_ns) for path in folder.rglob("*") if path.is_file()}


@pytest.mark.parametrize("stage", STAGES)
def test_the_second_is_told_who_works_and_the_first_is_unharmed(
    zygote: Zygote, tiny_runs: Path, tmp_path: Path, stage: str
) -> None:
    whole = tmp_path / "whole"
    assert zygote.run(*command(stage, tiny_runs, whole)).code == 0
    first, folder = hold(zygote, stage, tiny_runs, tmp_path)
    before = snapshot(folder)
    arguments = command(stage, tiny_runs, folder)
    for more in ((), ("--force",)):
        second = zygote.run(*arguments, *more)
        typed = " ".join(["baton", *map(str, arguments)])
        assert (second.code, second.out) == (2, "")
        assert second.err == (
            f"error: process {first.pid} (`{typed}`) is working in this run folder\n"
            f"  where: {folder}\n"
            f"  next:  wait for it, stop it with `kill {first.pid}`, or use another run name\n"
        )
    assert snapshot(folder) == before
    os.kill(first.pid, signal.SIGCONT)
    assert first.finish().code == 0
    assert different_files(whole, folder) == []


def test_the_second_may_work_as_soon_as_the_first_is_killed(zygote: Zygote, tiny_runs: Path, tmp_path: Path) -> None:
    first, folder = hold(zygote, "infer", tiny_runs, tmp_path)
    arguments = command("infer", tiny_runs, folder)
    assert zygote.run(*arguments).code == 2
    assert first.kill() == -signal.SIGKILL
    second = zygote.run(*arguments)
    assert second.code == 0, second.err
    assert different_files(tiny_runs / "gridworld/tiny/infer", folder) == []


def test_of_several_started_together_one_does_the_work(zygote: Zygote, tiny_runs: Path, tmp_path: Path) -> None:
    """The others are refused; who comes when it is done finds it up to date."""
    folder = tmp_path / "infer"
    together = [zygote.start(*command("infer", tiny_runs, folder), "--json") for _ in range(6)]
    done = [process.finish() for process in together]
    assert sorted({each.code for each in done} | {0, 2}) == [0, 2]
    assert [each.json["status"] for each in done].count("ok") == 1
    assert different_files(tiny_runs / "gridworld/tiny/infer", folder) == []

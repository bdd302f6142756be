"""infer in shards: the bytes of one process, whichever shard is done first and whoever dies."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from pipeline.contract.jobs import Source
from pipeline.errors import UserError
from pipeline.infer import local, shards
from pipeline.infer.local import LocalPool
from pipeline.infer.shards import Predicted, Shard, ShardJob, plan_shards, predict_shard
from pipeline.run.manifest import load_manifest, verify
from tests.conftest import ROOT
from tests.tasks.detection.input_records import run_infer, write_lines

NUM_RECORDS = 1700  # three shards and a part of a fourth
EXTRA = ("--num-workers", "2")


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Records, texts to replay for all but one of them, and the predictions of one process."""
    folder = tmp_path_factory.mktemp("whole")
    records = [
        {"images": [f"{n}.png"], "width": 64, "height": 64, "objects": [], "image_id": n} for n in range(NUM_RECORDS)
    ]
    write_lines(folder / "examples.jsonl", records)
    texts = [{"id": n, "raw_output": f'[{{"bbox_2d":[1,2,3,{n % 900 + 5}],"desc":"cat"}}]'} for n in range(NUM_RECORDS)]
    write_lines(folder / "texts.jsonl", [text for text in texts if text["id"] != 700])
    assert run_infer(*arguments(folder), "--out", folder / "out") == 0
    return folder


def arguments(folder: Path) -> tuple[str | Path, ...]:
    return ("--backend", "replay", "--replay", folder / "texts.jsonl", "--input", folder / "examples.jsonl", "--json")


def same_as_one_process(folder: Path, files: Path) -> bool:
    """Whole, the same bytes, and nothing left beside them."""
    assert verify(folder) == []
    assert load_manifest(folder).error_counts == load_manifest(files / "out").error_counts != {}
    assert sorted(path.name for path in folder.iterdir()) == [".lock", "manifest.json", "predictions.jsonl"]
    return (folder / "predictions.jsonl").read_bytes() == (files / "out/predictions.jsonl").read_bytes()


class LastFirst:
    """A pool in this process that gives back the last shard first, and is interrupted after ``num_done``."""

    def __init__(self, job: ShardJob, num_workers: int, num_done: int = 1000) -> None:
        self.job, self.num_workers, self.num_lost, self.left = job, num_workers, 0, num_done
        self.out: list[Shard] = []
        self.predicted: list[int] = []

    def submit(self, shard: Shard) -> None:
        self.out.append(shard)

    def next_done(self) -> tuple[Shard, Predicted]:
        if self.left == 0:
            raise KeyboardInterrupt
        self.left -= 1
        shard = self.out.pop()
        self.predicted.append(shard.start)
        return shard, predict_shard(self.job, shard)


class Murdered(LocalPool):
    """A real pool whose first worker is killed as soon as there is work out."""

    killed = False

    def next_done(self) -> tuple[Shard, Predicted]:
        if not self.killed:
            self.killed = True
            os.kill(next(iter(self._executor._processes)), signal.SIGKILL)
        return super().next_done()


def use(monkeypatch: pytest.MonkeyPatch, pool: object) -> None:
    @contextmanager
    def made(job: ShardJob, num_workers: int) -> Iterator[object]:
        yield pool(job, num_workers)  # type: ignore[operator]  # a class of pools

    monkeypatch.setattr(local, "pool", made)


def test_shards_cover_the_records_and_end_where_batches_do() -> None:
    assert plan_shards(1300, 0, 16) == [Shard(0, 512), Shard(512, 1024), Shard(1024, 1300)]
    assert plan_shards(1300, 700, 16) == [Shard(700, 1024), Shard(1024, 1300)]
    assert plan_shards(1300, 0, 300) == [Shard(0, 600), Shard(600, 1200), Shard(1200, 1300)]
    assert plan_shards(1024, 512, 512) == [Shard(512, 1024)]
    assert plan_shards(5, 5, 1) == []


def test_shards_are_merged_in_input_order(files: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    use(monkeypatch, LastFirst)
    assert run_infer(*arguments(files), *EXTRA, "--out", tmp_path / "out") == 0
    assert same_as_one_process(tmp_path / "out", files)


def test_finished_shards_survive_a_kill_and_are_not_predicted_again(
    files: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pools: list[LastFirst] = []

    def made(job: ShardJob, num_workers: int) -> LastFirst:
        pools.append(LastFirst(job, num_workers, num_done=1000 if pools else 3))
        return pools[-1]

    use(monkeypatch, made)
    assert run_infer(*arguments(files), *EXTRA, "--out", tmp_path / "out") == 130
    assert pools[0].predicted == [1536, 1024, 512]
    assert run_infer(*arguments(files), *EXTRA, "--out", tmp_path / "out") == 0
    assert pools[1].predicted == [0]
    assert same_as_one_process(tmp_path / "out", files)


def test_what_was_begun_in_shards_is_finished_without_them(
    files: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patched:
        use(patched, lambda job, num_workers: LastFirst(job, num_workers, 2))
        assert run_infer(*arguments(files), *EXTRA, "--out", tmp_path / "out") == 130
    use(monkeypatch, LastFirst)
    assert run_infer(*arguments(files), "--out", tmp_path / "out") == 0
    assert same_as_one_process(tmp_path / "out", files)


def test_a_shard_of_other_predictions_is_refused(files: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    use(monkeypatch, lambda job, num_workers: LastFirst(job, num_workers, 2))
    assert run_infer(*arguments(files), *EXTRA, "--out", tmp_path / "out") == 130
    kept = sorted((tmp_path / "out/shards").iterdir())
    kept[0].write_bytes(kept[1].read_bytes())
    assert run_infer(*arguments(files), *EXTRA, "--out", tmp_path / "out") == 2


def test_a_killed_worker_costs_no_record(files: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    use(monkeypatch, Murdered)
    assert run_infer(*arguments(files), *EXTRA, "--out", tmp_path / "out") == 0
    assert same_as_one_process(tmp_path / "out", files)
    assert load_manifest(tmp_path / "out").notes["num_workers_lost"] == 1


def die(job: ShardJob, shard: Shard) -> Predicted:
    """In place of `predict_shard`: as if the machine had no memory left."""
    os._exit(1)


def test_a_shard_that_no_worker_survives_ends_the_run(files: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shards, "MAX_LOSSES", 1)
    monkeypatch.setattr(local, "predict_shard", die)
    job = ShardJob("detection", files / "examples.jsonl", None, "cpu", Source())
    with local.pool(job, 1) as pool, pytest.raises(UserError, match=r"2 workers ended .* records 1 to 512"):
        pool.submit(Shard(0, 512))
        pool.next_done()


def test_workers_end_when_the_run_is_killed(files: Path, tmp_path: Path) -> None:
    command = [sys.executable, "-m", "stages", "infer", "detection", *map(str, arguments(files)), *EXTRA]
    run = subprocess.Popen([*command, "--out", str(tmp_path / "out")], cwd=ROOT, start_new_session=True)
    deadline = time.monotonic() + 60
    while not (tmp_path / "out/shards").exists() and run.poll() is None:
        assert time.monotonic() < deadline
        time.sleep(0.01)
    os.kill(run.pid, signal.SIGKILL)
    run.wait()
    while _alive(run.pid):
        assert time.monotonic() < deadline, "its workers outlive it"
        time.sleep(0.05)


def _alive(group: int) -> bool:
    try:
        os.killpg(group, 0)
    except ProcessLookupError:
        return False
    return True

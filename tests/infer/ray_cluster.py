"""A real Ray cluster of two nodes, one of which is killed: needs the extra `ray`, so `make test-ray` runs it.

As a program it is the large run of docs/sweep.md: infer over any number of records, and the kill of a node amid it::

    python -m tests.infer.ray_cluster REFERENCE infer gridworld --model MODEL --input EXAMPLES --out FOLDER

It compares the predictions in FOLDER with those of one process in the folder REFERENCE.
"""

import filecmp
import os
import sys
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import pytest
import ray
from ray.cluster_utils import Cluster

from pipeline.files import read_all
from pipeline.run.manifest import load_manifest
from schemas.sweep import CellResult
from stages.__main__ import dispatch
from tests.infer.test_shards import arguments, files, same_as_one_process
from tests.sweep.killed import start
from tests.sweep.test_stage import folder
from tests.tasks.detection.input_records import run_infer

__all__ = ["files", "folder"]  # fixtures
SHARDED = ("--engine", "ray", "--num-workers", "2")


@contextmanager
def two_nodes() -> Iterator[Cluster]:
    """A head and a worker node, one CPU each, in processes of their own, named by RAY_ADDRESS."""
    cluster = Cluster(initialize_head=True, head_node_args={"num_cpus": 1, "include_dashboard": False})
    cluster.add_node(num_cpus=1)
    cluster.wait_for_nodes()
    os.environ["RAY_ADDRESS"] = cluster.address
    try:
        yield cluster
    finally:
        del os.environ["RAY_ADDRESS"]
        ray.shutdown()
        cluster.shutdown()


@contextmanager
def killing_a_node(cluster: Cluster, out: Path) -> Iterator[list[float]]:
    """Kill the worker node (SIGKILL) once the first predictions are there; yields the time of that."""
    killed: list[float] = []
    over = threading.Event()

    def kill() -> None:
        path = out / "predictions.jsonl"
        while not over.is_set() and not (path.exists() and path.stat().st_size):
            time.sleep(0.02)
        if not over.is_set():
            cluster.remove_node(next(iter(cluster.worker_nodes)), allow_graceful=False)
            killed.append(time.monotonic())

    thread = threading.Thread(target=kill)
    thread.start()
    try:
        yield killed
    finally:
        over.set()
        thread.join()


def test_a_node_that_is_killed_costs_no_record(files: Path, tmp_path: Path) -> None:
    with two_nodes() as cluster, killing_a_node(cluster, tmp_path / "out") as killed:
        assert run_infer(*arguments(files), *SHARDED, "--out", tmp_path / "out") == 0
    assert killed
    assert same_as_one_process(tmp_path / "out", files)
    assert load_manifest(tmp_path / "out").notes["engine"] == "ray"


def test_the_error_of_a_shard_is_the_error_of_the_run(
    files: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    (tmp_path / "texts.jsonl").write_text('{"id": 1, "raw_output": "[]"}\n' * 2)
    given = ("--backend", "replay", "--replay", tmp_path / "texts.jsonl", "--input", files / "examples.jsonl")
    assert run_infer(*given, *SHARDED, "--out", tmp_path / "out") == 2
    assert "texts.jsonl" in capsys.readouterr().err


def test_workers_of_a_sweep_are_spread_over_a_cluster(folder: Path) -> None:
    arguments = ["gridworld", "--file", str(folder / "small.yaml"), "--engine", "ray", "--workers", "2"]
    with two_nodes():
        assert start(arguments, folder / "ray").wait() == 1, "a cell failed"
    rows = read_all(folder / "ray/gridworld/small/sweep/sweep.jsonl", CellResult)
    assert [row.status for row in rows] == ["finished", "finished", "failed"]


def main(given: Sequence[str]) -> int:
    reference, *command = given
    out = Path(command[command.index("--out") + 1])
    with two_nodes() as cluster, killing_a_node(cluster, out) as killed:
        begun = time.monotonic()
        code = dispatch([*command, *SHARDED])
        ended = time.monotonic()
    same = filecmp.cmp(Path(reference) / "predictions.jsonl", out / "predictions.jsonl", shallow=False)
    when = f"killed after {killed[0] - begun:.0f} s" if killed else "not killed"
    lost = load_manifest(out).notes["num_workers_lost"]
    print(f"{ended - begun:.0f} s on two nodes, one {when}: {lost} shards lost a worker; the same bytes: {same}")
    return code or int(not same)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

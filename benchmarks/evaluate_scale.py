"""`baton evaluate` of 10,000 to 1,000,000 records: how time and memory grow with the number of records."""

import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec
import numpy as np

from benchmarks.detection_scenes import make_predictions
from benchmarks.harness import Claim, Report, Samples, at_least, at_most
from pipeline.files import read_all, write_all
from pipeline.tasks.gridworld.rows import GridworldPrediction

_ROOT = Path(__file__).resolve().parents[1]
_MODEL = _ROOT / "runs/pretrained/gridworld/full.inference_v1"
_SIZES = (10_000, 100_000, 1_000_000)
_NUM_DIFFERENT = 1000  # records, which are repeated: in gridworld with other seeds, so that baselines differ
_NUM_OBJECTS = 5
_NUM_RESAMPLES = 100  # of detection, instead of 1,000: they take most of its time, and no memory
_EVERY_S = 0.05


@dataclass(frozen=True)
class _Run:
    """Of one command and the processes that it started: wall seconds and the most memory, in GB, all added up."""

    seconds: float
    gigabytes: float


def run(quick: bool) -> Report:
    """Gridworld without traces, first cold and then warm; detection with boxes."""
    sizes = (200, 2000) if quick else _SIZES
    found: dict[str, list[_Run]] = {"gridworld, cold": [], "gridworld, warm": [], "detection": []}
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        gridworld, detection = _gridworld_rows(folder), _detection_rows()
        for size in sizes:
            write_all(folder / "gridworld.jsonl", _gridworld(gridworld, size))
            for state in ("cold", "warm"):
                found[f"gridworld, {state}"].append(_evaluate("gridworld", folder))
            write_all(folder / "detection.jsonl", _detection(detection, size))
            found["detection"].append(_evaluate("detection", folder, f"evaluate.num_resamples={_NUM_RESAMPLES}"))
    return Report(
        title="evaluate of many records",
        method=(
            "`baton evaluate`, a process of its own, from its start to its end; memory is that of all its processes "
            "together, looked at 20 times a second. Gridworld: predictions of the pretrained model, without traces, in "
            "scenarios of their own; cold plays all scripted policies on all processors, warm finds what they did. "
            f"Detection: {_NUM_OBJECTS} true and {_NUM_OBJECTS} predicted boxes an image, {_NUM_RESAMPLES} resamples."
        ),
        samples=[
            sample
            for name, runs in found.items()
            for size, one in zip(sizes, runs, strict=True)
            for sample in (
                Samples(f"{name}, {size:,} records", "s", (one.seconds,)),
                Samples(f"{name}, {size:,} records, memory", "GB", (one.gigabytes,)),
            )
        ],
        claims=list(_claims(found, sizes)),
    )


def _claims(found: dict[str, list[_Run]], sizes: Sequence[int]) -> Iterator[Claim]:
    largest = f"{sizes[-1]:,} records"
    for name, bound in (("gridworld, cold", 2.0), ("gridworld, warm", 2.0), ("detection", 4.0)):
        yield at_most(f"{name}, {largest}: memory", [found[name][-1].gigabytes], bound, "GB")
    cold, warm = (found[f"gridworld, {state}"] for state in ("cold", "warm"))
    yield at_least(f"gridworld, {largest}: cold against warm", [cold[-1].seconds / warm[-1].seconds], 2.0)
    for name, runs in found.items():
        growth = runs[-1].seconds / runs[-2].seconds / (sizes[-1] / sizes[-2])
        yield at_most(f"{name}: time a record of {largest}, against {sizes[-2]:,}", [growth], 1.25)


def _evaluate(task: str, folder: Path, *settings: str) -> _Run:
    """The command on ``TASK.jsonl``; what gridworld keeps between runs is in ``folder``."""
    arguments = ["evaluate", task, "--input", folder / f"{task}.jsonl", "--out", folder / task, "--force"]
    arguments += [part for setting in settings for part in ("--set", setting)]
    start, highest = time.monotonic(), 0
    with _baton(arguments, {"BATON_CACHE": str(folder / "kept")}) as process:
        while process.poll() is None:
            highest = max(highest, sum(map(_resident_bytes, _tree(process.pid))))
            time.sleep(_EVERY_S)
    if process.returncode:
        raise RuntimeError(f"baton evaluate {task} ended with {process.returncode}")
    return _Run(time.monotonic() - start, highest / 1e9)


def _baton(arguments: Sequence[object], environment: dict[str, str]) -> subprocess.Popen[bytes]:
    command = [sys.executable, "-m", "stages", *map(str, arguments)]
    return subprocess.Popen(command, cwd=_ROOT, env=os.environ | environment, stdout=subprocess.DEVNULL)


def _tree(pid: int) -> list[int]:
    """A process and all that it, or they, started."""
    try:
        children = [Path(task, "children").read_text().split() for task in Path(f"/proc/{pid}/task").iterdir()]
    except OSError:  # it has just ended
        return []
    return [pid, *(found for each in children for child in each for found in _tree(int(child)))]


def _resident_bytes(pid: int) -> int:
    try:
        pages = Path(f"/proc/{pid}/statm").read_text().split()[1]
    except OSError:
        return 0
    return int(pages) * os.sysconf("SC_PAGE_SIZE")


def _gridworld_rows(folder: Path) -> list[GridworldPrediction]:
    """What the pretrained model does in a few scenarios."""
    examples, inferred = folder / "examples", folder / "infer"
    making = ["examples", "gridworld", "--out", examples, "--set", f"examples.num_scenarios={_NUM_DIFFERENT}"]
    asking = ["infer", "gridworld", "--out", inferred, "--set", "infer.num_traces=0", "--model", _MODEL]
    for arguments in (making, [*asking, "--input", examples / "examples.jsonl"]):
        with _baton([*arguments, "--recipe", "full"], {}) as process:
            if process.wait():
                raise RuntimeError(f"baton {arguments[0]} ended with {process.returncode}")
    return read_all(inferred / "predictions.jsonl", GridworldPrediction)


def _detection_rows() -> list[Any]:
    rows = make_predictions(10 * _NUM_DIFFERENT, 0)
    return [
        msgspec.structs.replace(row, gt=row.gt[:_NUM_OBJECTS], preds=row.preds[:_NUM_OBJECTS])
        for row in rows
        if len(row.gt) >= _NUM_OBJECTS
    ][:_NUM_DIFFERENT]


def _gridworld(rows: Sequence[GridworldPrediction], size: int) -> Iterator[GridworldPrediction]:
    seeds = np.random.default_rng(0).integers(2**62, size=size)
    for index, seed in enumerate(seeds.tolist()):
        yield msgspec.structs.replace(rows[index % len(rows)], id=f"full-{index:08d}", seed=seed)


def _detection(rows: Sequence[Any], size: int) -> Iterator[Any]:
    for index in range(size):
        yield msgspec.structs.replace(rows[index % len(rows)], id=str(index), image_id=index)

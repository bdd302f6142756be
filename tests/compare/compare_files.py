"""Small predictions files to compare."""

import json
from collections.abc import Sequence
from functools import cache
from pathlib import Path
from typing import Any

import msgspec
import numpy as np

from pipeline.files import read_all, write_all
from pipeline.tasks.detection.rows import DetectionPrediction
from pipeline.tasks.gridworld.rows import GridworldPrediction
from schemas.comparison import Comparison, Mover
from stages.common import run_command
from stages.compare import app
from tests.tasks.detection.evaluate.coco_oracle import Kind, generate
from tests.tasks.gridworld.fake_predictions import Fake, fake_predictions

FILES = ("comparisons.jsonl", "movers.jsonl", "table.md", "figures.jsonl", "report.html")


@cache
def lives(num: int, num_traces: int = 0) -> tuple[GridworldPrediction, ...]:
    """Gridworld predictions to change."""
    return tuple(fake_predictions(Fake(num_records=num, num_traces=num_traces)))


def with_wellbeing(values: Sequence[float], model: str = "a" * 16) -> list[GridworldPrediction]:
    """A record for each value."""
    rows = lives(len(values))
    return [msgspec.structs.replace(r, wellbeing=float(v), model=model) for r, v in zip(rows, values, strict=True)]


def images(*, worse: float = 0.0) -> list[DetectionPrediction]:
    """Detection predictions; ``worse`` is the share of images whose predictions are taken away."""
    rows, random = generate(Kind(seed=3, num_images=30)), np.random.default_rng(5)
    if not worse:
        return rows
    bad = random.random(len(rows)) < worse
    return [
        msgspec.structs.replace(row, preds=[] if drop else row.preds, model="f" * 16)
        for row, drop in zip(rows, bad, strict=True)
    ]


def compare(
    folder: Path, *arguments: str | Path, task: str = "gridworld", figures: bool = False, **files: Sequence[Any]
) -> int:
    """Write the files as ``LABEL.jsonl`` and run the command; the output is in ``folder / "out"``."""
    inputs = []
    for label, rows in files.items():
        write_all(folder / f"{label}.jsonl", rows)
        inputs.append(f"{label}={folder / f'{label}.jsonl'}")
    chosen = [*map(str, arguments)]
    chosen += [] if "--out" in chosen else ["--out", str(folder / "out")]
    chosen += [] if figures else ["--no-figures"]
    return run_command(app, [task, *inputs, *chosen])


def comparisons(folder: Path) -> dict[tuple[str, ...], Comparison]:
    """Rows by label, baseline, metric, statistic and slice."""
    rows = read_all(folder / "out/comparisons.jsonl", Comparison)
    return {
        (r.label, r.baseline, r.name, r.statistic, r.slice_by, r.slice_value): r for r in rows if r.kind == "paired"
    }


def whole(folder: Path, name: str, statistic: str = "mean") -> Comparison:
    """The row of a metric over all records, of the only pair."""
    (row,) = (r for r in comparisons(folder).values() if (r.name, r.statistic, r.slice_by) == (name, statistic, "all"))
    return row


def movers(folder: Path, name: str) -> list[Mover]:
    """The movers of a metric."""
    return [mover for mover in read_all(folder / "out/movers.jsonl", Mover) if mover.name == name]


def edit(path: Path, line: int, **fields: Any) -> None:
    """Change fields of one line of a file, as JSON that any program may have written."""
    lines = path.read_text().splitlines()
    lines[line - 1] = json.dumps(json.loads(lines[line - 1]) | fields)
    path.write_text("\n".join(lines) + "\n")

"""Predictions to gate: those of real models that lie in tests/gates, and the same with a part changed."""

import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import msgspec
import pytest

from pipeline.files import read_all, write_all
from pipeline.tasks.gridworld.rows import GridworldPrediction
from stages.__main__ import dispatch
from tests.conftest import ROOT, Done

FOLDER = ROOT / "tests/gates"
# Level full, 64 scenarios of runs/gates/gridworld/full.examples.jsonl, from a training with seed 2: its end, and its
# checkpoint after half a million steps.
ANOTHER_SEED = FOLDER / "another_seed.jsonl.zst"
EARLY = FOLDER / "early_checkpoint.jsonl.zst"
Rows = Sequence[GridworldPrediction]


def load(path: Path = ANOTHER_SEED) -> list[GridworldPrediction]:
    return read_all(path, GridworldPrediction)


def save(path: Path, rows: Sequence[Any]) -> Path:
    write_all(path, rows)
    return path


def with_wellbeing(rows: Rows, change: Callable[[int, float], float]) -> list[GridworldPrediction]:
    """Rows whose wellbeing is ``change(n, wellbeing)``."""
    return [msgspec.structs.replace(row, wellbeing=change(n, row.wellbeing)) for n, row in enumerate(rows)]


class Gate:
    """``gate("--input", path)`` runs `baton gate gridworld --input path` in this process."""

    def __init__(self, capsys: pytest.CaptureFixture[str], task: str = "gridworld") -> None:
        self.capsys = capsys
        self.task = task

    def __call__(self, *arguments: object, task: str | None = None) -> Done:
        self.capsys.readouterr()
        code = dispatch(["gate", task or self.task, *map(str, arguments)])
        captured = self.capsys.readouterr()
        return Done(code, captured.out, captured.err)

    def verdicts(self, *arguments: object, task: str | None = None) -> dict[str, dict[str, Any]]:
        """What ``--json`` says of each check, by its id."""
        done = self(*arguments, "--json", task=task)
        return {verdict["id"]: verdict for verdict in json.loads(done.out)["verdicts"]}

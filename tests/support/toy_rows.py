"""A small row for tests of files, and a Python process beside the test's own."""

import subprocess
import sys
import textwrap
from pathlib import Path
from typing import Any, Literal

from schemas import rows

ROOT = Path(__file__).resolve().parents[2]


class Fix(rows.Prediction, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A small row with nesting, optional fields and text."""

    task: Literal["toy"] = "toy"
    error_m: float
    trace: tuple[tuple[float, ...], ...] = ()
    note: str | None = None


def fix(index: int, **fields: Any) -> Fix:
    """Row ``r<index>``."""
    return Fix(id=f"r{index}", model="abc", error_m=index / 4, **fields)


FIVE = [fix(index, trace=((0.5, 1.0),), note="a\nb é") for index in range(5)]


def run_python(code: str, *arguments: str) -> subprocess.Popen[str]:
    """Start ``code`` in the project's folder; its standard output is a pipe."""
    return subprocess.Popen(
        [sys.executable, "-c", textwrap.dedent(code), *arguments], cwd=ROOT, text=True, stdout=subprocess.PIPE
    )

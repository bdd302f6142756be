"""Processes that take turns: each works while the others wait, so that their times can be compared.

A worker writes one JSON object a line on its standard output and then waits for a line on its standard input. Standard
library only: workers run in different environments.
"""

import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from pipeline.errors import UserError

ONE_THREAD = dict.fromkeys(("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS"), "1")
"""The environment of a process that is to be compared."""


class Turns:
    """The worker's side: `pause` at the end of a turn."""

    def __init__(self) -> None:
        # What libraries print must not end up between the lines that the other side reads.
        self._out = os.fdopen(os.dup(sys.stdout.fileno()), "w")
        os.dup2(sys.stderr.fileno(), sys.stdout.fileno())
        self._began = 0.0

    def pause(self, **facts: Any) -> None:
        """Tell how long this turn took (``seconds``, null for the first) and more; return when the next begins."""
        seconds = time.perf_counter() - self._began if self._began else None
        print(json.dumps({"seconds": seconds, **facts}), file=self._out, flush=True)
        if not sys.stdin.readline():
            raise EOFError("the benchmark that started this process has ended")
        self._began = time.perf_counter()


class Worker:
    """The other side: a process that works only within `turn`. A context manager; leaving it ends the process."""

    def __init__(self, command: Sequence[str], folder: Path) -> None:
        self._errors = tempfile.TemporaryFile()  # noqa: SIM115  closed in __exit__
        self._process = subprocess.Popen(
            command,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._errors,
            text=True,
            cwd=folder,
            env=os.environ | ONE_THREAD | {"PYTHONPATH": str(folder)},
        )
        self.hello = self._read()

    def turn(self) -> dict[str, Any]:
        """Let it work until its next pause; returns what it told. Raises UserError when it has died."""
        assert self._process.stdin is not None
        self._process.stdin.write("\n")
        self._process.stdin.flush()
        return self._read()

    def __enter__(self) -> "Worker":
        return self

    def __exit__(self, *_: object) -> None:
        self._process.kill()
        self._process.wait()
        self._errors.close()

    def _read(self) -> dict[str, Any]:
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        if not line:
            self._process.wait()
            self._errors.seek(0)
            told = self._errors.read().decode(errors="replace").strip().splitlines()
            raise UserError(f"a process of this benchmark died: {told[-1] if told else 'it said nothing'}")
        facts: dict[str, Any] = json.loads(line)
        return facts

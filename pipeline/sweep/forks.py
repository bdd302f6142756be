"""Stages as forks of one process that has loaded what they need: a stage starts in a fraction of a second.

Loading torch, numba and machine code takes seconds of a core, most of what a small cell costs; a sweep of a hundred
cells would load them three hundred times. The process that is forked is a server of the standard library
(`multiprocessing`'s "forkserver"), which loads modules and then does nothing but fork, so that a stage is a process of
its own as ever. It belongs to the sweep's process group: what is sent to the group reaches every stage.

On Linux only: elsewhere libraries that are loaded before a fork are not safe to use after it.
"""

import contextlib
import importlib
import multiprocessing
import os
import signal
import sys
import threading
import traceback
from collections.abc import Callable, Sequence
from multiprocessing.connection import wait
from pathlib import Path
from typing import Any, NoReturn

from pipeline.sweep.stage import RunStage, run_stage, wait_for_end

STAGES = "stages.__main__"  # named, not imported: the library imports no commands
READY, TASK = "pipeline.sweep.preload", "BATON_FORKS_OF_TASK"  # what makes a task ready, and for which one it does


def warm_runner(task: str) -> RunStage:
    """What runs stages of ``task`` in this process: forks where they are safe, new processes elsewhere."""
    if sys.platform != "linux":
        return run_stage
    context = multiprocessing.get_context("forkserver")
    os.environ[TASK] = task
    context.set_forkserver_preload(["pipeline.export", "pipeline.evaluate.run", READY])
    return _Forks(context).run


class _Forks:
    def __init__(self, context: Any) -> None:
        self._context = context
        # `Process.start` looks after all other processes too: were two threads to read the end of one, the second
        # would find nothing and take it for a failure.
        self._lock = threading.Lock()

    def run(self, arguments: Sequence[str], log: Path, should_end: Callable[[], bool]) -> int:
        """As `pipeline.sweep.stage.run_stage`."""
        log.parent.mkdir(parents=True, exist_ok=True)
        process = self._context.Process(target=_become, args=(tuple(arguments), str(log)))
        with self._lock:
            process.start()

        def code() -> int | None:
            with self._lock:
                found: int | None = process.exitcode
            return found

        return wait_for_end(process, code, should_end)


def _become(arguments: Sequence[str], log: str) -> NoReturn:
    """The fork: one command and nothing else, its output in ``log``."""
    code = 70
    try:
        threading.Thread(target=_end_with_sweep, name="sweep", daemon=True).start()
        with open(log, "wb") as output:
            for number in (1, 2):
                os.dup2(output.fileno(), number)
        sys.stdout, sys.stderr = os.fdopen(1, "w", closefd=False), os.fdopen(2, "w", closefd=False)
        sys.argv = ["baton", *arguments]
        code = importlib.import_module(STAGES).dispatch(arguments)
    except BaseException:
        traceback.print_exc()
    finally:
        with contextlib.suppress(OSError, ValueError):
            sys.stdout.flush()
            sys.stderr.flush()
        os._exit(code)


def _end_with_sweep() -> None:
    """Ask this stage to end once the sweep that started it is gone, killed alone: nobody waits for it any more, and
    whoever takes its part over would wait for its folder."""
    sweep = multiprocessing.parent_process()
    if sweep is not None:
        wait([sweep.sentinel])
        os.kill(os.getpid(), signal.SIGTERM)

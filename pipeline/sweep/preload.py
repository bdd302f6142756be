"""Imported by the process that a sweep's stages are forked from: makes ready, once, what each of them would load.

That process can be told to import modules and nothing else (`multiprocessing`'s "forkserver"). So this one does its
work as it is imported, for the task that `TASK` names in the environment. Any part of the task may have a
``prepare()``: it loads what is used again and again, such as machine code, and leaves neither threads nor open files,
which a fork would lack or share.
"""

import contextlib
import os
from collections.abc import Iterable

from pipeline.contract.load import load_part
from pipeline.sweep.forks import TASK

PARTS = ("train.trainer", "model.network", "infer.predict", "evaluate.score")


def make_ready(task: str, parts: Iterable[str] = PARTS) -> None:
    """Import the parts of a task, and call ``prepare()`` of those that have it."""
    for part in parts:
        prepare = getattr(load_part(task, part), "prepare", None)
        if prepare is not None:
            prepare()


if TASK in os.environ:
    with contextlib.suppress(Exception):  # a stage that needs it fails in the same way, and says so in its log
        make_ready(os.environ[TASK])

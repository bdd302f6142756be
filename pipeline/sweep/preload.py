"""Imported by the process that a sweep's stages are forked from: makes ready, once, what each of them would load.

That process can be told to import modules and nothing else (`multiprocessing`'s "forkserver"). So this one does its
work as it is imported, for the task that `TASK` names in the environment.
"""

import contextlib
import os

from pipeline.contract.load import load_part
from pipeline.contract.parts import EvaluatePart, InferPart, ModelPart, TrainPart
from pipeline.sweep.forks import TASK

if TASK in os.environ:
    with contextlib.suppress(Exception):  # a stage that needs it fails in the same way, and says so in its log
        for kind in (TrainPart, ModelPart, InferPart, EvaluatePart):
            load_part(os.environ[TASK], kind)

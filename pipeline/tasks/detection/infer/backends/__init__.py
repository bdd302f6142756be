"""What writes the text: one module a backend, each with ``open_backend(job)``; `answers` says what they share.

A run loads its own backend and no other, so that a replay needs no torch and the own model no transformers.
"""

import importlib
from typing import cast

from pipeline.contract.jobs import InferJob
from pipeline.tasks.detection.answers import Backend
from pipeline.tasks.detection.recipe import Infer


def open_backend(job: InferJob) -> Backend:
    """The backend that ``infer.backend`` of the recipe names, ready to answer. Raises UserError when it cannot."""
    name = cast(Infer, job.options).backend
    return cast(Backend, importlib.import_module(f"{__name__}.{name}").open_backend(job))

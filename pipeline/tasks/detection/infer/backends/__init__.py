"""What writes the text: one module a backend, each with ``open_backend(job)``; `answers` says what they share.

A run loads its own backend and no other, so that a replay needs no torch and the own model no transformers.
"""

import importlib
from typing import cast

from pipeline.contract.jobs import InferJob
from pipeline.tasks.detection.answers import Backend, TextBackend, TextModel
from pipeline.tasks.detection.recipe import Infer


def open_backend(job: InferJob) -> Backend:
    """The backend that ``infer.backend`` of the recipe names, ready to answer. Raises UserError when it cannot."""
    options = cast(Infer, job.options)
    if options.backend != "own":
        return cast(Backend, importlib.import_module(f"{__name__}.{options.backend}").open_backend(job))
    assert job.model is not None, "the stage opens the model file"
    return TextBackend(cast(TextModel, job.model), job.model.weights_hash[:16], options)

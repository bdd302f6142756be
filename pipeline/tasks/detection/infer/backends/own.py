"""The project's own model, from an inference_v1 file."""

from typing import cast

from pipeline.contract.jobs import InferJob
from pipeline.tasks.detection.answers import TextBackend, TextModel
from pipeline.tasks.detection.recipe import Infer


def open_backend(job: InferJob) -> TextBackend:
    """The model that the stage opened, as a backend."""
    assert job.model is not None, "the stage opens the model file"
    return TextBackend(cast(TextModel, job.model), job.model.weights_hash[:16], cast(Infer, job.options))

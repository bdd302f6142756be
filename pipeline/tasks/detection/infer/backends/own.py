"""The project's own model, from an inference_v1 file."""

from collections.abc import Iterable, Iterator, Sequence
from typing import cast

from pipeline.contract.jobs import InferJob
from pipeline.tasks.detection.answers import Failure, Outcome, Request, TextModel, in_batches
from pipeline.tasks.detection.recipe import Infer


class OwnBackend:
    """Batches of requests through a model that `pipeline.load_model` opened."""

    needs_images = True

    def __init__(self, model: TextModel, model_id: str, options: Infer) -> None:
        self._model, self._model_id, self._options = model, model_id, options
        self.batch_size = options.batch_size

    def model_of(self, record_id: str) -> str:
        """The first digits of the weights' hash."""
        return self._model_id

    def answers(self, requests: Iterable[Request | Failure]) -> Iterator[Outcome]:
        """One outcome a request, in order."""
        return in_batches(requests, self.batch_size, self._answer)

    def _answer(self, requests: Sequence[Request]) -> Sequence[Outcome]:
        return self._model.answer(requests, self._options)


def open_backend(job: InferJob) -> OwnBackend:
    """The model that the stage opened, as a backend."""
    assert job.model is not None, "the stage opens the model file"
    return OwnBackend(cast(TextModel, job.model), job.model.weights_hash[:16], cast(Infer, job.options))

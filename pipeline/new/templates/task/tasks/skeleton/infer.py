"""The model behind `load_model`, and a whole dataset through it: one prediction for each record, in order."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import torch

from pipeline.contract.jobs import InferJob
from pipeline.contract.parts import InferPart
from schemas.brain import BrainSpec

from .rows import Prediction


@dataclass(frozen=True)
class SkeletonModel:
    """``predict`` is pure: the same input gives the same output."""

    module: torch.nn.Module
    brain: BrainSpec
    metadata: Mapping[str, Any]
    weights_hash: str

    @torch.inference_mode()
    def predict(self, x: float) -> float:
        """y at x. A point at a time, so that no other in a batch can change its last bits."""
        return float(self.module(torch.tensor([[x]], device=next(self.module.parameters()).device)))


def predict(job: InferJob) -> Iterator[Prediction]:
    """One row for each of ``job.examples[job.first_index:]``."""
    assert isinstance(job.model, SkeletonModel)
    for done, example in enumerate(job.examples[job.first_index :], start=job.first_index + 1):
        model, predicted = job.model.weights_hash[:16], job.model.predict(example.x)
        yield Prediction(id=example.id, model=model, x=example.x, y=example.y, predicted=predicted)
        job.report(done, len(job.examples), {})


PART = InferPart(predict=predict, wrap=SkeletonModel)

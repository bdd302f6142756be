"""The model behind load_model, and a whole dataset through it."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import torch

from pipeline.contract.jobs import InferJob
from pipeline.contract.parts import InferPart
from pipeline.tasks.fifth.rows import LinePrediction
from schemas.brain import BrainSpec


@dataclass(frozen=True)
class LineModel:
    module: torch.nn.Module
    brain: BrainSpec
    metadata: Mapping[str, Any]
    weights_hash: str

    def predict(self, x: float) -> float:
        with torch.no_grad():
            return float(self.module(torch.tensor([[x]])))


def wrap(module: torch.nn.Module, brain: BrainSpec, metadata: Mapping[str, Any], weights_hash: str) -> LineModel:
    return LineModel(module, brain, metadata, weights_hash)


def predict(job: InferJob) -> Iterator[LinePrediction]:
    assert isinstance(job.model, LineModel)
    for done, example in enumerate(job.examples[job.first_index :], start=job.first_index + 1):
        yield LinePrediction(
            task="fifth",
            id=example.id,
            model=job.model.weights_hash[:16],
            x=example.x,
            y=example.y,
            predicted=job.model.predict(example.x),
        )
        job.report(done, len(job.examples), {})


PART = InferPart(predict=predict, wrap=wrap)

"""What a model is to those who use one, and what an export makes of a checkpoint."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

from schemas.brain import BrainSpec

if TYPE_CHECKING:
    import torch


class Model(Protocol):
    """What `load_model` returns. ``predict`` is the task's: pure, the same input gives the same output."""

    @property
    def brain(self) -> BrainSpec: ...
    @property
    def metadata(self) -> Mapping[str, Any]: ...
    @property
    def module(self) -> "torch.nn.Module": ...
    @property
    def weights_hash(self) -> str: ...
    @property
    def predict(self) -> Any: ...


@dataclass(frozen=True)
class ExportParts:
    """What export writes into an inference_v1 file.

    ``golden_inputs`` are named arrays that the task's network can replay (`ModelPart.golden_outputs`).
    """

    brain: BrainSpec
    weights: Mapping[str, "torch.Tensor"]
    metadata: Mapping[str, Any]
    golden_inputs: Mapping[str, "torch.Tensor"]

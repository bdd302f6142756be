"""What serving a model over HTTP asks of a task, and what a loaded model is to those who serve it. No torch."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec

from pipeline.contract.parts import Part

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from pipeline.contract.model import Model

RunOnnx = Callable[[Mapping[str, "NDArray[Any]"]], dict[str, "NDArray[Any]"]]
"""One call of an ONNX session: arrays by name to arrays by name. Threads may call it at the same time."""
AnswerAll = Callable[[Sequence[Any]], Sequence[Any]]
"""Examples [N] to their predictions [N], each the same whatever stands beside it."""


@dataclass(frozen=True)
class ModelIdentity:
    """Which model answers: hashes and description of an inference_v1 file, and what its version is called."""

    task: str
    path: Path
    weights_hash: str
    brain_spec_hash: str
    metadata_hash: str
    created_at: str
    brain_spec: Mapping[str, Any] = field(repr=False)
    metadata: Mapping[str, Any] = field(repr=False)
    version: str = ""

    @property
    def model(self) -> str:
        """What its rows say in ``model``: the first 16 digits of the weights' hash."""
        return self.weights_hash[:16]


@dataclass(frozen=True, eq=False)
class Answerer:
    """A loaded model. ``answer`` gives a prediction an example, in order; threads may call it at the same time.

    What it says of an example does not depend on those beside it: all at once or one by one, the same rows.
    """

    identity: ModelIdentity
    answer: AnswerAll


@dataclass(frozen=True, kw_only=True)
class Opening:
    """What a task opens a model with, in its own way.

    ``options`` is the section ``infer`` of the recipe. ``load()`` is the model by torch, its golden outputs replayed.
    ``run_onnx()`` is the ONNX form of the same file (of tasks with an `OnnxPart`) by ONNX Runtime, with no torch in
    this process: it is made once by a process of its own, which replays the golden outputs, and kept under the file's
    hashes. ``image_root`` is the folder of files that requests may name, None where they may name none.
    """

    identity: ModelIdentity
    options: Any
    device: str
    load: Callable[[], "Model"]
    run_onnx: Callable[[], RunOnnx]
    image_root: Path | None = None


@dataclass(frozen=True)
class TensorDescription:
    """An input or output of the Open Inference Protocol: ``datatype`` such as "FP32", -1 for a size that is free.

    The first dimension of ``shape`` is the batch.
    """

    name: str
    datatype: str
    shape: tuple[int, ...]


@dataclass(frozen=True, kw_only=True)
class TensorForm:
    """The same requests and answers as tensors by name, [N, ...] each, for clients of the Open Inference Protocol.

    ``to_examples`` raises UserError for values that no example can have; the ids are those to give the examples.
    """

    inputs: Sequence[TensorDescription]
    outputs: Sequence[TensorDescription]
    to_examples: Callable[[Mapping[str, "NDArray[Any]"], Sequence[str]], Sequence[Any]]
    from_predictions: Callable[[Sequence[Any]], Mapping[str, "NDArray[np.generic]"]]


@dataclass(frozen=True)
class Gauge:
    """A live metric of joined rows: what /metrics calls it, and the record metric and statistic of the task's
    `EvaluatePart.measure_records` that it is."""

    name: str
    metric: str
    statistic: str
    description: str


@dataclass(frozen=True, kw_only=True)
class ServePart(Part):
    """A task's model behind HTTP; optional. No torch.

    ``truth`` are the fields of an example that are ground truth, and what its prediction calls them: they are no part
    of a request, and `POST /v1/truth` brings them later. ``body`` is what a request says, where that is not the
    example without them; ``to_example(body, id)`` makes the example, and raises UserError where it says nothing that a
    model could be asked. ``options`` is the decoding that is served, of the recipe's section ``infer``.
    ``open`` opens a model in the task's own way; without it `InferPart.predict` answers. ``page`` is a script
    for the page to try it from: it sets ``window.task = {example(model), show(place, answer)}``, either of which may
    be left out: a request to begin with, and the answer shown in an element.
    """

    HOMES = ("serve",)
    truth: Mapping[str, str] = field(default_factory=dict)
    body: type[msgspec.Struct] | None = None
    to_example: Callable[[Any, str], Any] | None = None
    options: Callable[[Any], Any] = lambda options: options
    open: Callable[[Opening], AnswerAll] | None = None
    gauges: Sequence[Gauge] = ()
    tensors: TensorForm | None = None
    page: Path | None = None

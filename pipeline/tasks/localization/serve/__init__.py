"""Localization behind HTTP: measurements to a fix and its ellipses, by ONNX Runtime, with no torch in the server."""

from collections.abc import Sequence
from pathlib import Path

import msgspec
import numpy as np

from pipeline.contract.serving import AnswerAll, Opening, ServePart
from pipeline.tasks.localization.infer.answer import answer, prepare
from pipeline.tasks.localization.model.brain import read_network
from pipeline.tasks.localization.rows import Example, Prediction
from schemas.brain import BrainSpec


def open_model(opening: Opening) -> AnswerAll:
    """As infer answers. A record goes through the network alone, so that the others in a batch change nothing."""
    run, model = opening.run_onnx(), opening.identity.model
    brain = read_network(msgspec.convert(dict(opening.identity.brain_spec), BrainSpec))

    def answer_all(examples: Sequence[Example]) -> list[Prediction]:
        inputs = prepare(examples, brain)
        each = [run({name: array[n : n + 1] for name, array in inputs.tensors.items()}) for n in range(len(examples))]
        outputs = {name: np.concatenate([one[name] for one in each]) for name in each[0]}
        return answer(examples, inputs, outputs, model)

    return answer_all


PART = ServePart(
    truth={"latitude": "latitude", "longitude": "longitude"},
    open=open_model,
    page=Path(__file__).with_name("map.js"),
)

"""Localization behind HTTP: what receivers measured to where the transmitter is; by ONNX Runtime, without torch."""

from collections.abc import Sequence
from pathlib import Path

import msgspec
import numpy as np

from pipeline.contract.serving import AnswerAll, Gauge, Opening, ServePart
from pipeline.errors import UserError
from pipeline.tasks.localization.infer.answer import answer, one_by_one, prepare
from pipeline.tasks.localization.model.brain import read_network
from pipeline.tasks.localization.rows import Example, Prediction
from schemas.brain import BrainSpec


def open_model(opening: Opening) -> AnswerAll:
    """The ONNX form, a record a call as in infer."""
    brain = read_network(msgspec.convert(dict(opening.identity.brain_spec), BrainSpec))
    run, model = opening.run_onnx(), opening.identity.model

    def answer_all(records: Sequence[Example]) -> list[Prediction]:
        with np.errstate(all="ignore"):  # what overflows is refused
            inputs = prepare(records, brain)
            if not all(np.isfinite(array).all() for array in inputs.tensors.values()):
                raise UserError("a number is too large", where="measurements", remedy="dBm, MHz, metres, nanoseconds")
            return answer(records, inputs, one_by_one(run, inputs), model)

    return answer_all


COVERAGES = (50, 68, 90, 95)
PART = ServePart(
    truth={"latitude": "latitude", "longitude": "longitude"},
    open=open_model,
    page=Path(__file__).with_name("map.js"),
    gauges=(
        Gauge("model_accuracy_meters", "error_m", "median", "Median distance of the fix to the truth, in metres."),
        *(
            Gauge(f"model_coverage_{p}", f"coverage_{p}", "rate", f"Share of truths in the {p} % region.")
            for p in COVERAGES
        ),
    ),
)

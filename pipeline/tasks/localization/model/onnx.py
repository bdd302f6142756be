"""The network as an ONNX file: `baton export --format onnx`, and what answers with `infer.runtime: onnxruntime`."""

from torch import nn

from pipeline.model.onnx import OnnxForm, OnnxPart
from pipeline.tasks.localization.model.head import OUTPUTS
from pipeline.tasks.localization.model.network import Network, golden_inputs


def onnx_form(module: nn.Module) -> OnnxForm:
    """The inputs of the network, by name, to weights, means_km, factors and fix_km."""
    assert isinstance(module, Network)
    return OnnxForm(
        step=module.eval(),
        example=golden_inputs(module.brain),
        outputs=OUTPUTS,
        replay=lambda run, golden: run(golden),
    )


PART = OnnxPart(form=onnx_form)

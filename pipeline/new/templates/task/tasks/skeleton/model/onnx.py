"""The network as an ONNX file: `baton export --format onnx`."""

import torch
from torch import nn

from pipeline.model.onnx import OnnxForm, OnnxPart


def onnx_form(module: nn.Module) -> OnnxForm:
    """x float32 [B, 1] -> y [B, 1]."""
    return OnnxForm(
        step=module, example={"x": torch.zeros(2, 1)}, outputs=("y",), replay=lambda run, golden: run(golden)
    )


PART = OnnxPart(form=onnx_form)

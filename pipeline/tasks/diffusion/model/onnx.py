"""The denoiser as an ONNX file: `baton export --format onnx`. Samplers stay with who uses it."""

import torch
from torch import Tensor, nn

from pipeline.model.onnx import OnnxForm, OnnxPart
from pipeline.tasks.diffusion.model.network import DiffusionNetwork


class _Step(nn.Module):
    """One call: what `DiffusionNetwork.denoise` says, and what the judge says of that."""

    def __init__(self, network: DiffusionNetwork) -> None:
        super().__init__()
        self.network = network

    def forward(self, x: Tensor, sigma: Tensor, labels: Tensor) -> tuple[Tensor, ...]:
        denoised = self.network.denoise(x, sigma, labels)
        return (denoised, *self.network.judge(denoised))


def onnx_form(module: nn.Module) -> OnnxForm:
    """x [B, C, H, W], sigma [B], labels int64 [B] -> denoised [B, C, H, W], features [B, F], logits [B, K]."""
    assert isinstance(module, DiffusionNetwork)
    config = module.config
    example = {
        "x": torch.zeros(2, config.channels, config.size, config.size),
        "sigma": torch.ones(2),
        "labels": torch.zeros(2, dtype=torch.int64),
    }
    outputs = ("denoised", "features", "logits")
    return OnnxForm(_Step(module).eval(), example, outputs, replay=lambda run, golden: run(golden))


PART = OnnxPart(form=onnx_form)

"""How a Q-network becomes an ONNX file: one step, with the hidden state as an input and an output."""

from collections.abc import Mapping

import torch
from torch import Tensor

from pipeline.model.onnx import OnnxForm, OnnxPart, Run
from pipeline.tasks.gridworld.model.network import QNetwork

_EXAMPLE_ROWS = 2


class _Step(torch.nn.Module):
    def __init__(self, network: QNetwork) -> None:
        super().__init__()
        self.network = network

    def forward(self, observations: Tensor, hidden: Tensor | None = None) -> tuple[Tensor, ...]:
        q_values, after = self.network(observations, hidden)
        return (q_values,) if after is None else (q_values, after)


def onnx_form(module: torch.nn.Module) -> OnnxForm:
    """observations float32 [B, D] (and hidden [B, H]) to q_values [B, A] (and next_hidden [B, H])."""
    assert isinstance(module, QNetwork)
    network = module
    example = {"observations": torch.zeros(_EXAMPLE_ROWS, network.input_size)}
    outputs: tuple[str, ...] = ("q_values",)
    if network.hidden_size:
        example["hidden"] = network.initial_hidden(_EXAMPLE_ROWS)
        outputs = ("q_values", "next_hidden")

    def replay(run: Run, golden: Mapping[str, Tensor]) -> dict[str, Tensor]:
        steps = []
        hidden = network.initial_hidden(golden["observations"].shape[1])
        for observations, reset in zip(golden["observations"], golden["resets"], strict=True):
            if not network.hidden_size:
                steps.append(run({"observations": observations})["q_values"])
                continue
            answers = run({"observations": observations, "hidden": hidden * (~reset).unsqueeze(1)})
            steps.append(answers["q_values"])
            hidden = answers["next_hidden"]
        q_values = torch.stack(steps)
        return {"q_values": q_values, "hidden": hidden} if network.hidden_size else {"q_values": q_values}

    return OnnxForm(_Step(network).eval(), example, outputs, replay)


PART = OnnxPart(form=onnx_form)

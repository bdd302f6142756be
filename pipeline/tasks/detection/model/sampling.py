"""The next token of every row of a batch, each row by itself: its logits, what it wrote, its own random stream."""

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from pipeline.tasks.detection.recipe import Infer


def penalised(logits: Tensor, seen: Tensor, penalty: float) -> Tensor:
    """Logits [B, V], those of tokens that were ``seen`` (bool [B, V]) made less likely (Keskar et al. 2019).

    Positive ones are divided by the penalty and negative ones multiplied, as transformers and vLLM do.
    """
    if penalty == 1.0:
        return logits
    return torch.where(seen, torch.where(logits > 0, logits / penalty, logits * penalty), logits)


def choose(logits: Tensor, options: Infer, streams: Sequence[np.random.Generator]) -> Tensor:
    """The next tokens int64 [B] by logits [B, V]; a temperature above 0 needs one stream a row, and draws one number.

    At a temperature of 0 it is the likeliest one (the lowest number among equals); else one of the likeliest that make
    up ``top_p`` of the probability, at least one (Holtzman et al. 2020).
    """
    if options.temperature == 0.0:
        return logits.argmax(-1)
    ranked, order = torch.sort(logits.double() / options.temperature, dim=-1, descending=True, stable=True)
    totals = ranked.softmax(-1).cumsum(-1)
    num_kept = (totals < options.top_p * totals[:, -1:]).sum(-1, keepdim=True) + 1
    num_kept = num_kept.clamp(max=totals.shape[-1])
    chances = torch.tensor([[stream.random()] for stream in streams], dtype=torch.float64, device=logits.device)
    drawn = (totals <= chances * totals.gather(-1, num_kept - 1)).sum(-1, keepdim=True)
    return order.gather(-1, torch.minimum(drawn, num_kept - 1))[:, 0]

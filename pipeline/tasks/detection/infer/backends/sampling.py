"""The next token of every row of a batch, each row by itself: what padding or neighbours there are changes nothing.

transformers' own sampling draws one stream for a whole batch, and its repetition penalty takes the padding before a
short prompt for text that was written; both make a row depend on its neighbours. So all of it happens here.
"""

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from pipeline.tasks.detection.recipe import Infer


class TokenChooser:
    """A logits processor for transformers' ``generate`` that leaves the chosen token alone finite: greedy takes it.

    ``attention_mask`` int64 [B, T] tells prompts from padding. ``seeds`` start one random stream a row, which gives one
    number a token. ``repetition_penalty`` divides positive logits of tokens that stand in the row's prompt or were
    written, and multiplies negative ones (Keskar et al. 2019), as transformers and vLLM do. ``top_p`` keeps the
    likeliest tokens that make up that share (Holtzman et al. 2020).
    """

    def __init__(self, options: Infer, seeds: Sequence[int], attention_mask: Tensor, end_id: int) -> None:
        self._options, self._end_id, self._mask = options, end_id, attention_mask
        self._streams = [np.random.default_rng(seed) for seed in seeds]
        self._seen: Tensor | None = None
        self.prompt_length = 0
        self.logprobs: list[Tensor] = []
        self.is_finite = torch.ones(len(seeds), dtype=torch.bool)

    def __call__(self, input_ids: Tensor, scores: Tensor) -> Tensor:
        """input_ids int64 [B, T + t], logits [B, V] -> 0 at the chosen token, -inf elsewhere, [B, V].

        ``logprobs`` gets the natural logarithm of the probability that the model itself gave the chosen tokens,
        float32 [B]. A row whose logits are NaN or infinite ends, and ``is_finite`` of it is false from then on.
        """
        raw = scores.float()
        broken = raw.isnan().any(-1) | ~raw.amax(-1).isfinite()
        self.is_finite &= ~broken.cpu()
        raw = raw.masked_fill(broken[:, None], 0.0)
        chosen = self._choose(self._penalised(input_ids, raw))
        chosen = chosen.masked_fill(broken, self._end_id)
        self.logprobs.append(raw.log_softmax(-1).gather(-1, chosen[:, None])[:, 0].cpu())
        return torch.full_like(scores, -torch.inf).scatter_(-1, chosen[:, None], 0.0)

    def _penalised(self, input_ids: Tensor, logits: Tensor) -> Tensor:
        penalty = self._options.repetition_penalty
        if self._seen is None:
            self.prompt_length = input_ids.shape[1]
            self._seen = torch.zeros_like(logits, dtype=torch.bool)
            shown = self._mask.bool() if self._mask.shape == input_ids.shape else torch.ones_like(input_ids).bool()
            rows, places = shown.nonzero(as_tuple=True)
            self._seen[rows, input_ids[rows, places]] = True
        else:
            self._seen.scatter_(-1, input_ids[:, -1:], True)
        if penalty == 1.0:
            return logits
        return torch.where(self._seen, torch.where(logits > 0, logits / penalty, logits * penalty), logits)

    def _choose(self, logits: Tensor) -> Tensor:
        if self._options.temperature == 0.0:
            return logits.argmax(-1)
        ranked, order = torch.sort(logits.double() / self._options.temperature, dim=-1, descending=True, stable=True)
        totals = ranked.softmax(-1).cumsum(-1)
        num_kept = (totals < self._options.top_p * totals[:, -1:]).sum(-1, keepdim=True) + 1
        num_kept = num_kept.clamp(max=totals.shape[-1])
        chances = torch.tensor([[stream.random()] for stream in self._streams], device=logits.device)
        drawn = (totals <= chances * totals.gather(-1, num_kept - 1)).sum(-1, keepdim=True)
        return order.gather(-1, torch.minimum(drawn, num_kept - 1))[:, 0]

"""The next tokens of a batch in transformers' ``generate``, so that padding and neighbours change nothing of a row.

transformers' own sampling draws one stream for a whole batch, and its repetition penalty takes the padding before a
short prompt for text that was written.
"""

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from pipeline.tasks.detection.model.sampling import choose, penalised
from pipeline.tasks.detection.recipe import Infer


class TokenChooser:
    """A logits processor for transformers' ``generate`` that leaves the chosen token alone finite: greedy takes it.

    ``attention_mask`` int64 [B, T] tells prompts from padding: what stands in a prompt counts as written where it is
    penalised. ``seeds`` start one random stream a row.
    """

    def __init__(self, options: Infer, seeds: Sequence[int], attention_mask: Tensor, end_id: int) -> None:
        self._options, self._end_id, self._mask = options, end_id, attention_mask
        self._streams = [np.random.default_rng(seed) for seed in seeds]
        self._seen = torch.empty(0)  # bool [B, V]
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
        self._note(input_ids, raw)
        chosen = choose(penalised(raw, self._seen, self._options.repetition_penalty), self._options, self._streams)
        chosen = chosen.masked_fill(broken, self._end_id)
        self.logprobs.append(raw.log_softmax(-1).gather(-1, chosen[:, None])[:, 0].cpu())
        return torch.full_like(scores, -torch.inf).scatter_(-1, chosen[:, None], 0.0)

    def _note(self, input_ids: Tensor, logits: Tensor) -> None:
        """What stands in the prompts, at first, and then the last token."""
        if not self.logprobs:
            self.prompt_length = input_ids.shape[1]
            self._seen = torch.zeros_like(logits, dtype=torch.bool)
            shown = self._mask.bool() if self._mask.shape == input_ids.shape else torch.ones_like(input_ids).bool()
            rows, places = shown.nonzero(as_tuple=True)
            self._seen[rows, input_ids[rows, places]] = True
        else:
            self._seen.scatter_(-1, input_ids[:, -1:], True)

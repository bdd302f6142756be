"""A network that weighs classical solutions, for any number of receivers in any order."""

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from pipeline.model.layers import Linear
from pipeline.tasks.localization.model.brain import NUM_FACTS, NUM_PAIR_FACTS, NUM_RECEIVER_FACTS, WeighingBrain
from pipeline.tasks.localization.model.head import Mixture, Outputs, log_mhz, ring, spread

_NEVER = -1e4  # logarithm of the weight of a candidate that is none
_FURTHEST = 3.0  # standard deviations that a candidate is moved at most
_WIDER = 1.2  # logarithm of how much wider each scale of a candidate begins than the one before


class WeighingNetwork(nn.Module):
    """Candidates and what speaks for them -> a mixture about them. Shapes are in `brain.input_shapes`."""

    def __init__(self, brain: WeighingBrain) -> None:
        super().__init__()
        self.brain = brain
        width, pair_width = brain.width, brain.pair_width
        names = len(brain.receivers_known)
        self.identity = nn.Parameter(torch.zeros(names, width)) if names else None
        self.receiver = nn.Sequential(Linear(NUM_RECEIVER_FACTS, width), nn.SiLU(), Linear(width, width), nn.SiLU())
        self.context = nn.Sequential(Linear(2 * width + 1, 2 * width), nn.SiLU(), Linear(2 * width, width))
        self.of_receiver = Linear(width, pair_width)
        self.pair = Linear(NUM_PAIR_FACTS, pair_width)
        self.candidate = Linear(pair_width + NUM_FACTS + width, width)
        self.candidate_deeper = Linear(width, width)
        self.attend = Linear(width, 1)
        self.others = Linear(width, width)
        self.weigh = Linear(width, 6 * brain.num_scales, gain=0.1)
        self.free = nn.Sequential(Linear(2 * width, 2 * width), nn.SiLU(), Linear(2 * width, 6 * brain.num_free))
        self.begin = nn.Parameter(ring(brain.num_free))

    def forward(
        self,
        candidates_km: Tensor,
        factors_km: Tensor,
        valid: Tensor,
        facts: Tensor,
        pairs: Tensor,
        receivers: Tensor,
        heard: Tensor,
        frequency_mhz: Tensor,
    ) -> Outputs:
        """What `Mixture.outputs` says: the tensors of an ONNX file."""
        return self.say(candidates_km, factors_km, valid, facts, pairs, receivers, heard, frequency_mhz).outputs()

    def say(self, *inputs: Tensor) -> Mixture:
        """The mixture that is learnt by, from the inputs in their order."""
        candidates_km, factors_km, valid, facts, pairs, receivers, heard, frequency_mhz = inputs
        each = self.receiver[0](receivers)
        if self.identity is not None:
            each = each + self.identity
        each = self.receiver[1:](each) * heard.unsqueeze(-1)
        pooled = torch.cat((each.mean(1), each.amax(1), log_mhz(frequency_mhz)), 1)
        context = self.context(pooled)
        seen = self._look(facts, pairs, each, heard, context)
        attention = torch.softmax(self.attend(seen).squeeze(-1) + _NEVER * (1.0 - valid), -1)
        others = (attention.unsqueeze(-1) * seen).sum(1)
        seen = seen + F.silu(self.others(others)).unsqueeze(1)
        free = self.free(torch.cat((context, others), 1)).unflatten(1, (self.brain.num_free, 6))
        about = self.weigh(F.silu(seen)).unflatten(2, (self.brain.num_scales, 6))
        candidates = self._about(about, candidates_km, factors_km, valid)
        elsewhere = spread(free, self.begin, self.brain.scales.distance_km)
        parts = [torch.cat(pair, 1) for pair in zip(candidates, elsewhere, strict=True)]
        return Mixture(torch.log_softmax(parts[0], 1), *parts[1:])

    def _look(self, facts: Tensor, pairs: Tensor, each: Tensor, heard: Tensor, context: Tensor) -> Tensor:
        """Candidates by what each receiver says of them: [B, C, W]."""
        said = F.silu(self.pair(pairs) + self.of_receiver(each).unsqueeze(1))
        said = torch.einsum("bcrw,br->bcw", said, heard)
        told = torch.cat((said, facts, context.unsqueeze(1).expand(-1, facts.shape[1], -1)), -1)
        seen = F.silu(self.candidate(told))
        return seen + F.silu(self.candidate_deeper(seen))

    def _about(self, raw: Tensor, places: Tensor, factors: Tensor, valid: Tensor) -> Mixture:
        """Components about candidates, in the measure of their covariances: raw [B, C, S, 6] -> [B, C S, ...]."""
        weight, east, north, first, last, corner = raw.unbind(-1)
        wider = _WIDER * torch.arange(self.brain.num_scales)
        a, b, c = (factors[..., place].unsqueeze(-1) for place in range(3))
        east, north = (_FURTHEST * torch.tanh(one) for one in (east, north))
        means = torch.stack((places[..., :1] + a * east, places[..., 1:] + b * east + c * north), -1)
        log_first, log_last = first - wider, last - wider
        diagonal = torch.stack((log_first - a.log(), log_last - c.log()), -1)
        # The precision factor is that of the whitened place times the inverse of [[a, 0], [b, c]].
        corner = (corner * log_first.exp() - log_last.exp() * b / c) / a
        logits = weight + _NEVER * (1.0 - valid).unsqueeze(-1) - wider
        return Mixture(logits.flatten(1), means.flatten(1, 2), diagonal.flatten(1, 2), corner.flatten(1))

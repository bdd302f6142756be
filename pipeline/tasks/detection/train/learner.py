"""One update of the vision-text network from one batch of scenes.

What is monitored and exported is an exponential average of the weights.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional as F

from pipeline.tasks.detection.model.network import FINE_STRIDE, VisionTextNetwork, build
from pipeline.tasks.detection.model.tokens import NUM_COORDINATES, PAD, Geometry
from pipeline.tasks.detection.recipe import Train
from pipeline.tasks.detection.scenes.scene import DrawnShape
from pipeline.tasks.detection.train.optimizer import MuonAdamW
from pipeline.tasks.detection.train.targets import DenseTargets, dense_targets, pad_texts, written
from schemas.brain import BrainSpec

_AVERAGE_WARMUP = 10  # the average starts as a plain mean of the first weights, not as their initial value
_FOCUS = 2.0  # exponent of the focal loss (Lin et al. 2017)


def learning_rate(options: Train, step: int) -> float:
    """The learning rate of a step (from 0): a linear warm-up times a cosine over all steps."""
    done = min(step / max(options.num_steps, 1), 1.0)
    fraction = options.final_fraction + (1.0 - options.final_fraction) * 0.5 * (1.0 + math.cos(math.pi * done))
    warmup = min((step + 1) / options.warmup_steps, 1.0) if options.warmup_steps else 1.0
    return options.learning_rate * fraction * warmup


def dense_loss(heat: Tensor, distances: Tensor, targets: dict[str, Tensor]) -> Tensor:
    """Focal loss of the classes and an absolute loss of the distances, by place that answers for an object."""
    each = F.binary_cross_entropy_with_logits(heat, targets["heat"], reduction="none")
    chance = torch.sigmoid(heat)
    wrong = torch.where(targets["heat"] > 0, 1.0 - chance, chance)
    mask = targets["mask"].unsqueeze(1)
    count = targets["mask"].sum().clamp(min=1)
    classes = (each * wrong**_FOCUS).sum() / count
    edges = (F.smooth_l1_loss(distances, targets["distances"], reduction="none", beta=0.1) * mask).sum() / count
    return classes + 0.5 * edges


@dataclass(frozen=True)
class Losses:
    """Of one batch: what was minimised, and its parts. ``num_tokens`` were to be written."""

    loss: float
    token_loss: float
    dense_loss: float
    num_tokens: int


class Learner:
    """Online and average network, optimizer."""

    def __init__(self, options: Train, brain: BrainSpec, seed: int, device: str) -> None:
        self.options, self.device = options, torch.device(device)
        self.online = self._network(brain, seed)
        self.average = self._network(brain, seed).requires_grad_(False).eval()
        config = self.online.config
        self._weights: list[Tensor] = list(self.online.parameters())
        self._average_weights: list[Tensor] = list(self.average.parameters())
        self.optimizer = self._make_optimizer()
        self.update_count = 0
        self.labels, self.side = list(config.labels), config.image_size // FINE_STRIDE
        self._soft = _soft_targets(options.sigma).to(self.device)
        self._entropy = -(self._soft * self._soft.clamp(min=1e-30).log()).sum(1)

    def _network(self, brain: BrainSpec, seed: int) -> VisionTextNetwork:
        return build(brain, torch.Generator().manual_seed(seed)).to(self.device)

    def _make_optimizer(self) -> torch.optim.Optimizer:
        options = self.options
        if options.optimizer == "muon":
            return MuonAdamW(self.online, options.learning_rate, options.weight_decay)
        groups = [
            {"params": [w for w in self._weights if w.dim() > 1], "weight_decay": options.weight_decay},
            {"params": [w for w in self._weights if w.dim() <= 1], "weight_decay": 0.0},
        ]
        return torch.optim.AdamW(groups, options.learning_rate, betas=(0.9, 0.98), fused=True)

    def _tensor(self, array: NDArray[Any]) -> Tensor:
        return torch.from_numpy(array).clone().to(self.device)  # a copy, for torch's alignment in memory

    def update(
        self, images: NDArray[np.uint8], drawn: Sequence[Sequence[DrawnShape]], generator: np.random.Generator
    ) -> Losses:
        """One gradient step from images [B, S, S, 3] and what is drawn on them."""
        for group in self.optimizer.param_groups:
            group["lr"] = learning_rate(self.options, self.update_count)
        tokens, dense, num_tokens = self.losses(images, drawn, generator)
        loss = tokens + self.options.dense_weight * dense
        self.optimizer.zero_grad(set_to_none=True)
        loss.backward()  # type: ignore[no-untyped-call]  # torch leaves it untyped
        nn.utils.clip_grad_norm_(self._weights, self.options.max_grad_norm)
        self.optimizer.step()
        self.update_count += 1
        self._move_average()
        return Losses(float(loss.detach()), float(tokens.detach()), float(dense.detach()), num_tokens)

    def losses(
        self, images: NDArray[np.uint8], drawn: Sequence[Sequence[DrawnShape]], generator: np.random.Generator
    ) -> tuple[Tensor, Tensor, int]:
        """Token loss (mean over tokens, then over geometries), dense loss, number of tokens."""
        enabled = self.options.precision == "bfloat16"
        with torch.autocast(self.device.type, torch.bfloat16, enabled=enabled):
            memory, said = self.online.encode(self._tensor(images))
            image = self.online.remember(memory)
            dense = self._dense_loss(said, dense_targets(drawn, self.labels, self.side, FINE_STRIDE))
            parts, num_tokens = [], 0
            for geometry in self.options.geometries:
                asked = self._num_asked(geometry, len(drawn))
                texts = [written(shapes, geometry, self.online.config.image_size) for shapes in drawn[:asked]]
                tokens = pad_texts(self.online.vocabulary, texts, geometry)
                jitter = generator.normal(0.0, self.options.jitter, tokens[:, :-1].shape).astype(np.float32)
                seen = [(keys[:asked], values[:asked]) for keys, values in image]
                states = self.online(self._tensor(tokens[:, :-1]), seen, self._tensor(jitter))
                wanted = self._tensor(tokens[:, 1:])
                parts.append(self._token_loss(states[wanted != PAD], wanted[wanted != PAD]))
                num_tokens += int((tokens[:, 1:] != PAD).sum())
        return torch.stack(parts).mean(), dense, num_tokens

    def _num_asked(self, geometry: Geometry, num_images: int) -> int:
        """Polygons take three times as many tokens as boxes: beside boxes, they are asked for in part of the images."""
        if geometry == "bbox_2d" or len(self.options.geometries) == 1:
            return num_images
        return max(round(self.options.polygon_share * num_images), 1)

    def _dense_loss(self, said: tuple[Tensor, Tensor], targets: DenseTargets) -> Tensor:
        wanted = {name: self._tensor(getattr(targets, name)) for name in ("heat", "distances", "mask")}
        return dense_loss(*said, wanted)

    def _token_loss(self, states: Tensor, wanted: Tensor) -> Tensor:
        """Cross-entropy with spread coordinates, less the entropy that the spread has by itself."""
        scores = torch.log_softmax(self.online.logits(states).float(), -1)
        num_pieces = self.online.num_pieces
        is_piece = wanted < num_pieces
        total = F.nll_loss(scores[is_piece], wanted[is_piece], reduction="sum")
        if self.online.vocabulary.num_coordinates:
            values = wanted[~is_piece] - num_pieces
            spread = (self._soft[values] * scores[~is_piece][:, num_pieces:]).sum()
            total = total - spread - self._entropy[values].sum()
        return total / len(wanted)

    @torch.no_grad()
    def _move_average(self) -> None:
        keep = min(self.options.average_decay, self.update_count / (self.update_count + _AVERAGE_WARMUP))
        torch._foreach_lerp_(self._average_weights, self._weights, 1.0 - keep)

    def get_state(self) -> dict[str, Any]:
        """Tensors and builtins, for checkpoints (``weights_only=True`` loads them)."""
        return {
            "weights": self.online.state_dict(),
            "average_weights": self.average.state_dict(),
            "optimizer": self.optimizer.state_dict(),
            "update_count": self.update_count,
        }

    def set_state(self, state: dict[str, Any]) -> None:
        """Continue from what `get_state` returned."""
        self.online.load_state_dict(state["weights"])
        self.average.load_state_dict(state["average_weights"])
        self.optimizer.load_state_dict(state["optimizer"])
        self.update_count = state["update_count"]


def _soft_targets(sigma: float) -> Tensor:
    """Row k: a normal distribution around coordinate k, float32 [1000, 1000]."""
    places = torch.arange(NUM_COORDINATES, dtype=torch.float64)
    weights = torch.exp(-0.5 * ((places - places.unsqueeze(1)) / sigma) ** 2)
    return (weights / weights.sum(1, keepdim=True)).to(torch.float32)

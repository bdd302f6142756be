"""One update of the vision-text network from one batch of scenes."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional as F

from pipeline.tasks.detection.model.network import FINE_STRIDE, VisionTextNetwork, build
from pipeline.tasks.detection.model.tokens import NUM_COORDINATES, PAD, Geometry
from pipeline.tasks.detection.recipe import DetectionRecipe
from pipeline.tasks.detection.scenes.scene import DrawnShape
from pipeline.tasks.detection.train.optimizer import MuonAdamW
from pipeline.tasks.detection.train.targets import dense_targets, pad_texts, written
from pipeline.train.learner import AveragedLearner
from schemas.brain import BrainSpec

_FOCUS = 2.0  # exponent of the focal loss (Lin et al. 2017)


def dense_loss(heat: Tensor, distances: Tensor, true_heat: Tensor, true_distances: Tensor, mask: Tensor) -> Tensor:
    """Focal loss of the classes and an absolute loss of the distances, by place that answers for an object.

    The last three are tensors of `DenseTargets`.
    """
    each = F.binary_cross_entropy_with_logits(heat, true_heat, reduction="none")
    chance = torch.sigmoid(heat)
    wrong = torch.where(true_heat > 0, 1.0 - chance, chance)
    count = mask.sum().clamp(min=1)
    classes = (each * wrong**_FOCUS).sum() / count
    away = F.smooth_l1_loss(distances, true_distances, reduction="none", beta=0.1)
    return classes + 0.5 * ((away * mask.unsqueeze(1)).sum() / count)


@dataclass(frozen=True)
class Losses:
    """Of one batch: what was minimised, and its parts. ``num_tokens`` were to be written."""

    loss: float
    token_loss: float
    dense_loss: float
    num_tokens: int


class Learner(AveragedLearner[VisionTextNetwork]):
    """The network that learns to write about images, and what its answers are compared with."""

    def __init__(self, recipe: DetectionRecipe, brain: BrainSpec, device: str) -> None:
        self.train, self.muon = recipe.train, recipe.optimizer.type == "muon"

        def make() -> VisionTextNetwork:
            return build(brain, torch.Generator().manual_seed(recipe.seed))

        super().__init__(recipe.optimizer, make, recipe.train.num_steps, device)
        config = self.online.config
        self.labels, self.side = list(config.labels), config.image_size // FINE_STRIDE
        self._soft = _soft_targets(recipe.train.sigma).to(self.device)
        self._entropy = -(self._soft * self._soft.clamp(min=1e-30).log()).sum(1)

    def make_optimizer(self) -> torch.optim.Optimizer:
        """Muon and AdamW, or AdamW alone; weights without a second axis (norms, biases) do not decay."""
        options = self.options
        if self.muon:
            return MuonAdamW(self.online, options.learning_rate, options.weight_decay)
        groups = [
            {"params": [w for w in self.weights if w.dim() > 1], "weight_decay": options.weight_decay},
            {"params": [w for w in self.weights if w.dim() <= 1], "weight_decay": 0.0},
        ]
        return torch.optim.AdamW(groups, options.learning_rate, betas=(0.9, 0.98), fused=True)

    def update(
        self, images: NDArray[np.uint8], drawn: Sequence[Sequence[DrawnShape]], generator: np.random.Generator
    ) -> Losses:
        """One gradient step from images [B, S, S, 3] and what is drawn on them."""
        tokens, dense, num_tokens = self._losses(images, drawn, generator)
        loss = tokens + self.train.dense_weight * dense
        self.descend(loss)
        return Losses(float(loss.detach()), float(tokens.detach()), float(dense.detach()), num_tokens)

    def _losses(
        self, images: NDArray[np.uint8], drawn: Sequence[Sequence[DrawnShape]], generator: np.random.Generator
    ) -> tuple[Tensor, Tensor, int]:
        """Token loss (mean over tokens, then over geometries), dense loss, number of tokens."""
        enabled = self.train.precision == "bfloat16"
        with torch.autocast(self.device.type, torch.bfloat16, enabled=enabled):
            memory, said = self.online.encode(self.tensor(images))
            image = self.online.remember(memory)
            targets = dense_targets(drawn, self.labels, self.side, FINE_STRIDE)
            dense = dense_loss(*said, *map(self.tensor, targets))
            parts, num_tokens = [], 0
            for geometry in self.train.geometries:
                asked = self._num_asked(geometry, len(drawn))
                texts = [written(shapes, geometry, self.online.config.image_size) for shapes in drawn[:asked]]
                tokens = pad_texts(self.online.vocabulary, texts, geometry)
                jitter = generator.normal(0.0, self.train.jitter, tokens[:, :-1].shape).astype(np.float32)
                seen = [(keys[:asked], values[:asked]) for keys, values in image]
                states = self.online(self.tensor(tokens[:, :-1]), seen, self.tensor(jitter))
                wanted = self.tensor(tokens[:, 1:])
                parts.append(self._token_loss(states[wanted != PAD], wanted[wanted != PAD]))
                num_tokens += int((tokens[:, 1:] != PAD).sum())
        return torch.stack(parts).mean(), dense, num_tokens

    def _num_asked(self, geometry: Geometry, num_images: int) -> int:
        """Polygons take three times as many tokens as boxes: beside boxes, they are asked for in part of the images."""
        if geometry == "bbox_2d" or len(self.train.geometries) == 1:
            return num_images
        return max(round(self.train.polygon_share * num_images), 1)

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


def _soft_targets(sigma: float) -> Tensor:
    """Row k: a normal distribution around coordinate k, float32 [1000, 1000]."""
    places = torch.arange(NUM_COORDINATES, dtype=torch.float64)
    weights = torch.exp(-0.5 * ((places - places.unsqueeze(1)) / sigma) ** 2)
    return (weights / weights.sum(1, keepdim=True)).to(torch.float32)

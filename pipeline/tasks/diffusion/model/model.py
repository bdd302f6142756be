"""What `load_model` returns for diffusion: classes and seeds in, images out, and what the judge says of images."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from pipeline.errors import UserError
from pipeline.model.layers import one_thread
from pipeline.tasks.diffusion.model.denoiser import Denoiser
from pipeline.tasks.diffusion.model.network import DiffusionNetwork, OwnDenoiser
from pipeline.tasks.diffusion.model.sample import TILE_ROWS, Draw, Settings, sample
from pipeline.tasks.diffusion.pixels import Pixels, to_pixels, to_values
from schemas.brain import BrainSpec

HEUN_18 = Settings()


@dataclass(frozen=True)
class Judgement:
    """What the judge says of an image: ``probabilities`` [K] of the classes, ``features`` [F], and the training image
    that is nearest with its distance (`judge.TrainingImages.nearest`)."""

    probabilities: NDArray[np.float32]
    features: NDArray[np.float32]
    nearest_train: int
    nearest_train_distance: float


class DiffusionModel:
    """A generator behind one pure method: the same input gives the same images, in any company.

    brain         the spec the network was built from
    metadata      what the file says about the training, the input and the output
    weights_hash  sha256 (64 hexadecimal digits) that names the weights
    module        the torch module, in evaluation mode
    denoiser      the module as samplers use it
    """

    def __init__(
        self, module: torch.nn.Module, brain: BrainSpec, metadata: Mapping[str, Any], weights_hash: str
    ) -> None:
        if not isinstance(module, DiffusionNetwork):
            raise TypeError(f"a diffusion model needs a DiffusionNetwork, not {type(module).__name__}")
        self.module, self.brain, self.metadata, self.weights_hash = module.eval(), brain, metadata, weights_hash
        self.denoiser: Denoiser = OwnDenoiser(module)

    @property
    def labels(self) -> tuple[str, ...]:
        """The classes that can be asked for."""
        return self.module.config.labels

    def number_of(self, label: str | None) -> int:
        """The number of a class; of None that of no class. Raises UserError for a class that was not learned."""
        if label is None:
            return self.module.null_label
        if label not in self.labels:
            known = ", ".join(self.labels[:20])
            raise UserError(f"the model has not learned class {label!r}", remedy=f"one of: {known}; or none")
        return self.labels.index(label)

    def predict(self, labels: Sequence[str | None], seeds: Sequence[int], settings: Settings = HEUN_18) -> Pixels:
        """Images uint8 [B, S, S, C] of classes (None: of none), each from the noise of its seed.

        Raises UserError for a class that was not learned, and where there is not one seed for each.
        """
        if len(labels) != len(seeds):
            raise UserError(f"there are {len(labels)} labels and {len(seeds)} seeds", remedy="give one seed a label")
        draws = [Draw(self.number_of(label), seed) for label, seed in zip(labels, seeds, strict=True)]
        size, channels = self.module.config.size, self.module.config.channels
        ways = [way.image for way in sample(self.denoiser, draws, settings)]
        return to_pixels(np.stack(ways)) if ways else np.zeros((0, size, size, channels), np.uint8)

    @torch.inference_mode()
    def judge(self, images: Sequence[Pixels]) -> list[Judgement]:
        """What the judge says of images uint8 [S, S, C] each, a tile at a time for the same bits in any company."""
        found = []
        for start in range(0, len(images), TILE_ROWS):
            tile = images[start : start + TILE_ROWS]
            values = torch.from_numpy(to_values(np.stack([*tile, *[tile[-1]] * (TILE_ROWS - len(tile))])))
            with one_thread():
                features, logits = self.module.judge(values.to(self.denoiser.device))
                probabilities = torch.softmax(logits, 1)
                for row in range(len(tile)):
                    nearest = self.module.training_images.nearest(values[row].to(self.denoiser.device))
                    found.append(Judgement(probabilities[row].cpu().numpy(), features[row].cpu().numpy(), *nearest))
        return found

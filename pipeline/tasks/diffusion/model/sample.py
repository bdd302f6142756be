"""From noise to images: the samplers of Karras et al. 2022, guidance (Ho and Salimans 2022), and a seed for each image.

An image depends on its label, its seed and the settings; not on the images beside it, nor on how many there are. So
exactly `TILE_ROWS` are made together (short tiles are padded), as a product picks its kernel, and with it the order of
its sums, by the number of its rows.
"""

import math
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from pipeline.model.layers import one_thread
from pipeline.tasks.diffusion.model.denoiser import Denoiser
from pipeline.tasks.diffusion.recipe import SIGMA_MAX, SIGMA_MIN, Initial, Sampling

TILE_ROWS = 8
_RHO = 7.0  # of the schedule: most steps are at low noise
# Stochastic sampling, table 5 of Karras et al. 2022 for ImageNet 64: noise added at a step, between which levels.
_CHURN, _CHURN_MIN, _CHURN_MAX, _CHURN_NOISE = 40.0, 0.05, 50.0, 1.003

Values = NDArray[np.float32]


Settings = Sampling
Around = Callable[[int, Sequence[int]], AbstractContextManager[object]]
"""What is around the network's calls of a step: by its number from 0, and the numbers of the draws in the tile."""


@dataclass(frozen=True)
class Draw:
    """One image: its label (the number of classes for none), the seed of all its noise, and what it begins with."""

    label: int
    seed: int
    initial: Initial = "noise"


@dataclass(frozen=True)
class Way:
    """How an image came to be. ``denoised`` float32 [N, C, H, W] is what the model said at each noise level ``sigmas``;
    ``image`` [C, H, W] is where that led to. ``num_evaluations`` counts calls of the network."""

    image: Values
    denoised: Values
    sigmas: tuple[float, ...]
    num_evaluations: int


def schedule(num_steps: int, sigma_min: float = SIGMA_MIN, sigma_max: float = SIGMA_MAX) -> list[float]:
    """``num_steps`` noise levels from the highest to the lowest, and 0 behind them (equation 5): a step leads from each
    to the next, and the last one ends without noise."""
    high, low = sigma_max ** (1.0 / _RHO), sigma_min ** (1.0 / _RHO)
    return [*((high + k / max(num_steps - 1, 1) * (low - high)) ** _RHO for k in range(num_steps)), 0.0]


def sample(
    denoiser: Denoiser, draws: Sequence[Draw], settings: Settings, around: Around = lambda step, tile: nullcontext()
) -> Iterator[Way]:
    """The images of ``draws``, in order, made a tile at a time."""
    for start in range(0, len(draws), TILE_ROWS):
        tile = tiled(range(start, min(start + TILE_ROWS, len(draws))))
        with torch.inference_mode(), one_thread():
            ways = _sample_tile(denoiser, [draws[n] for n in tile], settings, around, tile)
        yield from ways[: len(draws) - start]


def tiled(numbers: Sequence[int]) -> list[int]:
    """A whole tile: the last one as often as it takes."""
    return [*numbers, *[numbers[-1]] * (TILE_ROWS - len(numbers))]


def _sample_tile(
    denoiser: Denoiser, draws: Sequence[Draw], settings: Settings, around: Around, tile: Sequence[int]
) -> list[Way]:
    """The state is float64, as in the paper's code: at 80 times the image, float32 loses digits of it."""
    generators = [np.random.default_rng(draw.seed) for draw in draws]
    labels = torch.tensor([draw.label for draw in draws], device=denoiser.device)
    guided = _Guided(denoiser, labels, settings.guidance)
    sigmas = schedule(settings.num_steps, settings.sigma_min, settings.sigma_max)
    begins = torch.tensor([draw.initial == "noise" for draw in draws], device=denoiser.device)
    x = _noise(generators, denoiser) * begins[:, None, None, None] * sigmas[0]
    said = []
    for step, (sigma, after) in enumerate(pairwise(sigmas)):
        if settings.sampler == "stochastic":
            more = _churned(sigma, settings.num_steps)
            x = x + _noise(generators, denoiser) * (_CHURN_NOISE * math.sqrt(more**2 - sigma**2))
            sigma = more
        with around(step, tile):
            denoised = guided(x, sigma)
            slope = (x - denoised) / sigma
            ahead = x + (after - sigma) * slope
            if settings.sampler != "euler" and after > 0.0:  # Heun's second order
                slope = (slope + (ahead - guided(ahead, after)) / after) / 2.0
                ahead = x + (after - sigma) * slope
        said.append(denoised)
        x = ahead
    denoised_all = torch.stack(said, 1).float().cpu().numpy()
    images = x.float().cpu().numpy()
    found = (tuple(sigmas[:-1]), guided.num_calls)
    return [Way(image, ways, *found) for image, ways in zip(images, denoised_all, strict=True)]


class _Guided:
    """The denoiser at a guidance: what the class changes is taken so many times."""

    def __init__(self, denoiser: Denoiser, labels: Tensor, guidance: float) -> None:
        self.denoiser, self.labels, self.guidance, self.num_calls = denoiser, labels, guidance, 0

    def __call__(self, x: Tensor, sigma: float) -> Tensor:
        null = torch.full_like(self.labels, self.denoiser.num_classes)
        if self.guidance == 0.0:
            return self._call(x, sigma, null)
        told = self._call(x, sigma, self.labels)
        if self.guidance == 1.0:
            return told
        untold = self._call(x, sigma, null)
        return untold + self.guidance * (told - untold)

    def _call(self, x: Tensor, sigma: float, labels: Tensor) -> Tensor:
        self.num_calls += 1
        return self.denoiser.forward(x.float(), sigma, labels).double()


def _churned(sigma: float, num_steps: int) -> float:
    """The noise level to go up to before a step of stochastic sampling."""
    if not _CHURN_MIN <= sigma <= _CHURN_MAX:
        return sigma
    return sigma * (1.0 + min(_CHURN / num_steps, math.sqrt(2.0) - 1.0))


def _noise(generators: Sequence[np.random.Generator], denoiser: Denoiser) -> Tensor:
    """Standard normal float64 [B, C, H, W], each image from its own generator."""
    drawn = np.stack([generator.standard_normal(denoiser.shape) for generator in generators])
    return torch.from_numpy(drawn).to(denoiser.device)

"""What layers say of images: of an image with noise added, usually without being told its class.

Told the class, a layer says it back: neighbours were found to be of one class even in pure noise.
"""

from collections.abc import Mapping, Sequence

import numpy as np
import torch
from numpy.typing import NDArray

from pipeline.model.layers import one_thread
from pipeline.tasks.diffusion.model.denoiser import Denoiser, recorded
from pipeline.tasks.diffusion.model.sample import TILE_ROWS, Draw, Settings, Values, sample, tiled
from pipeline.tasks.diffusion.pixels import to_pixels, to_values

_NOISE_STREAM = 1  # of an image's seed, apart from the noise it was made from
_MAX_KEPT = 2048  # references whose activations are remembered

Said = NDArray[np.float32]


def look_at(
    denoiser: Denoiser,
    images: Sequence[Values],
    seeds: Sequence[int],
    layers: Sequence[str],
    sigmas: Sequence[float],
    labels: Sequence[int] | None = None,
) -> dict[str, Said]:
    """What each layer says of images [C, H, W] at each noise level: float32 [N, L, C', H', W'] by name.

    The noise of an image follows from its seed and is the same, but for its size, at every level. ``labels`` are what
    the model is told (None: of no image).
    """
    told = list(labels) if labels is not None else [denoiser.num_classes] * len(images)
    parts: dict[str, list[Said]] = {name: [] for name in layers}
    for start in range(0, len(images), TILE_ROWS):
        numbers = range(start, min(start + TILE_ROWS, len(images)))
        for name, said in _look_at_tile(denoiser, images, seeds, tiled(numbers), (layers, sigmas, told)).items():
            parts[name].append(said[: len(numbers)])
    return {name: np.concatenate(said) for name, said in parts.items()}


def _look_at_tile(
    denoiser: Denoiser,
    images: Sequence[Values],
    seeds: Sequence[int],
    tile: Sequence[int],
    how: tuple[Sequence[str], Sequence[float], Sequence[int]],
) -> dict[str, Said]:
    layers, sigmas, told = how
    noise = np.stack([np.random.default_rng((seeds[n], _NOISE_STREAM)).standard_normal(denoiser.shape) for n in tile])
    clean = np.stack([images[n] for n in tile]).astype(np.float64)
    labels = torch.tensor([told[n] for n in tile], device=denoiser.device)
    said: dict[str, list[Said]] = {name: [] for name in layers}
    with torch.inference_mode(), one_thread():
        for sigma in sigmas:
            x = torch.from_numpy((clean + sigma * noise).astype(np.float32)).to(denoiser.device)
            with recorded(denoiser, layers) as found:
                denoiser.forward(x, sigma, labels)
            for name in layers:
                said[name].append(found[name].float().cpu().numpy())
    return {name: np.stack(levels, axis=1) for name, levels in said.items()}


class References:
    """The mean of what layers say of reference images: each image is made and looked at once."""

    def __init__(self, denoiser: Denoiser) -> None:
        self.denoiser = denoiser
        self._kept: dict[tuple[int, int, tuple[str, ...], float], Mapping[str, Said]] = {}

    def mean(
        self, references: Sequence[tuple[int, int]], layers: tuple[str, ...], sigma: float
    ) -> Mapping[str, torch.Tensor]:
        """Of references (label, seed), by layer: float32 [1, C, H, W]."""
        missing = [one for one in dict.fromkeys(references) if (*one, layers, sigma) not in self._kept]
        if missing:
            self._make(missing, layers, sigma)
        said = [self._kept[*one, layers, sigma] for one in references]
        return {name: torch.from_numpy(np.mean([one[name] for one in said], axis=0)) for name in layers}

    def _make(self, references: Sequence[tuple[int, int]], layers: tuple[str, ...], sigma: float) -> None:
        images = generate(self.denoiser, references)
        said = look_at(self.denoiser, images, [seed for _, seed in references], layers, [sigma])
        for number, one in enumerate(references):
            if len(self._kept) >= _MAX_KEPT:
                self._kept.pop(next(iter(self._kept)))
            self._kept[*one, layers, sigma] = {name: said[name][number] for name in layers}


def generate(denoiser: Denoiser, references: Sequence[tuple[int, int]]) -> list[Values]:
    """The images of (label, seed) with the usual settings, as rows hold them: rounded to 8 bits, [C, H, W]."""
    ways = sample(denoiser, [Draw(label, seed) for label, seed in references], Settings())
    return [to_values(to_pixels(way.image)) for way in ways]

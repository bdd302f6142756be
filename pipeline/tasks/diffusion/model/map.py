"""The map of what a layer says, frozen in the model's file: where references lie, and where anything else does."""

from collections.abc import Sequence
from typing import Annotated

import numpy as np
import torch
from msgspec import Meta, Struct
from torch import Tensor, nn

from pipeline.stats import Floats
from pipeline.tasks.diffusion.evaluate.maps import shared_neighbours, trustworthiness
from pipeline.tasks.diffusion.model.activations import generate, look_at
from pipeline.tasks.diffusion.model.denoiser import Denoiser, check_layers
from pipeline.tasks.diffusion.model.layout import LAYOUTS
from pipeline.tasks.diffusion.recipe import Map
from schemas.recipe import Count, Positive

# The references that say where a new point lies, and the power of their distance. Of five by 1 / distance, references
# left out were placed 1.5 % of a map's extent from where a layout of all puts them (median, 400 digits), so 1.0 %.
NUM_NEAREST, POWER = 3, 8
FIRST_SEED = 20_000  # of the references
NUM_NEIGHBOURS = 12  # by which a map's quality is told
Sizes = Annotated[tuple[Positive, ...], Meta(min_length=1)]


class MapBrain(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What of a map is architecture: the layer and how many values it says, the noise levels, how many references and
    principal components there are."""

    layer: str
    num_values: Count
    sigmas: Sizes
    num_references: Count
    num_components: Count


class ActivationMap(nn.Module):
    """Scaler, principal components, and at each of L noise levels R references: all that places a new point.

    ``mean`` and ``scale`` [D], ``components`` [K, D], ``points`` [L, R, K], ``coordinates`` [L, R, 2]; ``labels`` and
    ``seeds`` [R] int64 say of which images the references are.
    """

    mean: Tensor
    scale: Tensor
    components: Tensor
    points: Tensor
    coordinates: Tensor
    labels: Tensor
    seeds: Tensor

    def __init__(self, config: MapBrain) -> None:
        super().__init__()
        self.config = config
        levels, references = len(config.sigmas), config.num_references
        for name, shape in {
            "mean": (config.num_values,),
            "scale": (config.num_values,),
            "components": (config.num_components, config.num_values),
            "points": (levels, references, config.num_components),
            "coordinates": (levels, references, 2),
        }.items():
            self.register_buffer(name, torch.zeros(shape))
        for name in ("labels", "seeds"):
            self.register_buffer(name, torch.zeros(references, dtype=torch.int64))

    def embed(self, said: Tensor) -> Tensor:
        """What the layer says of one image, [C, H, W] -> its principal components [K]."""
        return self.components @ ((said.flatten() - self.mean) / self.scale)

    def level(self, sigma: float) -> int:
        """The number of the noise level that is nearest, by its logarithm."""
        return int(np.argmin([abs(np.log(sigma / one)) for one in self.config.sigmas]))

    def place(self, embedded: Tensor, sigma: float) -> Tensor:
        """Where a point [K] lies on the map, [2]: at the mean of the nearest references of its noise level, the nearer
        the more."""
        level = self.level(sigma)
        return place_by(embedded, self.points[level], self.coordinates[level])


def place_by(point: Tensor, points: Tensor, coordinates: Tensor) -> Tensor:
    """`ActivationMap.place` among points [R, K] with coordinates [R, 2]."""
    distances = ((points - point) ** 2).sum(1).sqrt()
    nearest, numbers = distances.topk(min(NUM_NEAREST, len(points)), largest=False)
    weights = (nearest[0].clamp(min=1e-9) / nearest.clamp(min=1e-9)) ** POWER
    placed: Tensor = (weights[:, None] * coordinates[numbers]).sum(0) / weights.sum()
    return placed


def fit_map(denoiser: Denoiser, options: Map) -> tuple[ActivationMap, dict[str, float]]:
    """The map of a model, and how good it is. Takes seconds, most of them for making the references.

    Raises UserError when the model has no such layer.
    """
    check_layers(denoiser, [options.layer], "map.layer")
    labels = [k % denoiser.num_classes for k in range(options.num_references)]
    seeds = [FIRST_SEED + k for k in range(options.num_references)]
    images = generate(denoiser, list(zip(labels, seeds, strict=True)))
    said = look_at(denoiser, images, seeds, [options.layer], options.sigmas)[options.layer]
    flat = said.reshape(len(labels), len(options.sigmas), -1).swapaxes(0, 1).astype(np.float64)  # [L, R, D]
    fitted = fit_points(flat, options)
    fitted.labels.copy_(torch.tensor(labels))
    fitted.seeds.copy_(torch.tensor(seeds))
    return fitted, _quality(fitted)


def fit_points(flat: Floats, options: Map) -> ActivationMap:
    """Scaler, principal components and layout of activations [L, R, D]: one for all noise levels."""
    rows = flat.reshape(-1, flat.shape[2])
    mean, scale = rows.mean(axis=0), rows.std(axis=0).clip(1e-6)
    scaled = torch.from_numpy((rows - mean) / scale)
    _, _, vectors = torch.linalg.svd(scaled, full_matrices=False)
    components = vectors[: options.num_components]
    largest = components.gather(1, components.abs().argmax(1, keepdim=True))
    components = components * largest.sign()  # the sign of a component is arbitrary: its largest entry is positive
    points = (scaled @ components.T).numpy()
    fitted = ActivationMap(
        MapBrain(
            layer=options.layer,
            num_values=flat.shape[2],
            sigmas=options.sigmas,
            num_references=flat.shape[1],
            num_components=len(components),
        )
    )
    found = {"mean": mean, "scale": scale, "components": components.numpy(), "points": points}
    found["coordinates"] = LAYOUTS[options.layout](points, options.perplexity)
    for name, values in found.items():
        buffer = getattr(fitted, name)
        buffer.copy_(torch.from_numpy(np.ascontiguousarray(values)).reshape(buffer.shape))
    return fitted


def _quality(fitted: ActivationMap) -> dict[str, float]:
    """Trustworthiness and shared neighbours at the first level; how far from where it lies a reference would be placed
    by the others, median, as a share of the map's extent."""
    points, coordinates = fitted.points[0].double(), fitted.coordinates[0].double()
    count = max(1, min(NUM_NEIGHBOURS, (len(points) - 1) // 2))
    arrays = points.numpy(), coordinates.numpy()
    others: Sequence[Tensor] = [torch.arange(len(points)) != k for k in range(len(points))]
    placed = torch.stack([place_by(points[k], points[own], coordinates[own]) for k, own in enumerate(others)])
    extent = (coordinates.amax(0) - coordinates.amin(0)).norm()
    return {
        "trustworthiness": round(float(trustworthiness(*arrays, count).mean()), 4),
        "shared_neighbours": round(float(shared_neighbours(*arrays, count).mean()), 4),
        "placement_error": round(float((placed - coordinates).norm(dim=1).median() / extent), 4),
    }

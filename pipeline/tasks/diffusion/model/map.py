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
from pipeline.tasks.diffusion.model.layout import Layout, place
from pipeline.tasks.diffusion.recipe import Map
from schemas.recipe import Count, Positive

FIRST_SEED = 20_000  # of the references
NUM_NEIGHBOURS = 12  # by which a map's quality is told
_PLACING = ("mean", "scale", "components", "points", "coordinates")
Sizes = Annotated[tuple[Positive, ...], Meta(min_length=1)]


class MapBrain(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What of a map is architecture: the layer and how many values it says, the noise levels, how many references and
    principal components there are, and about how many references are a point's neighbours."""

    layer: str
    num_values: Count
    sigmas: Sizes
    num_references: Count
    num_components: Count
    perplexity: Positive = 20.0


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

    @property
    def layout(self) -> Layout:
        """What places a point, as arrays."""
        arrays = {name: getattr(self, name).cpu().numpy() for name in _PLACING}
        return Layout(**arrays, sigmas=self.config.sigmas, perplexity=self.config.perplexity)

    def embed(self, said: Sequence[Tensor]) -> Floats:
        """What the layer says of images, [C, H, W] each -> their principal components [B, K]."""
        return self.layout.embed(torch.stack([*said]).flatten(1).float().cpu().numpy())

    def place(self, said: Sequence[Tensor], sigmas: Sequence[float]) -> list[tuple[float, float]]:
        """Where images lie on the map by what the layer says of each at its noise level."""
        return [(x, y) for x, y in self.layout.place(self.embed(said), sigmas).tolist()]


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
    layout = Layout.fit(flat, options)
    fitted = ActivationMap(
        MapBrain(
            layer=options.layer,
            num_values=flat.shape[2],
            sigmas=options.sigmas,
            num_references=flat.shape[1],
            num_components=len(layout.components),
            perplexity=options.perplexity,
        )
    )
    for name in _PLACING:
        getattr(fitted, name).copy_(torch.from_numpy(getattr(layout, name).copy()))
    fitted.labels.copy_(torch.tensor(labels))
    fitted.seeds.copy_(torch.tensor(seeds))
    return fitted, _quality(fitted.layout)


def _quality(layout: Layout) -> dict[str, float]:
    """Trustworthiness and shared neighbours at the first level; how far from where it lies a reference would be placed
    by the others, median, as a share of the map's extent."""
    points, coordinates = layout.points[0].astype(np.float64), layout.coordinates[0].astype(np.float64)
    count = max(1, min(NUM_NEIGHBOURS, (len(points) - 1) // 2))
    others = [np.arange(len(points)) != k for k in range(len(points))]
    placed = [place(points[~own], points[own], coordinates[own], layout.perplexity)[0] for own in others]
    extent = np.linalg.norm(np.ptp(coordinates, axis=0))
    return {
        "trustworthiness": round(float(trustworthiness(points, coordinates, count).mean()), 4),
        "shared_neighbours": round(float(shared_neighbours(points, coordinates, count).mean()), 4),
        "placement_error": round(float(np.median(np.linalg.norm(placed - coordinates, axis=1)) / extent), 4),
    }

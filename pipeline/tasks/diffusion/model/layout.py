"""Points of many dimensions on a plane, neighbours near each other: t-SNE (van der Maaten and Hinton 2008), exact, or
UMAP (McInnes et al. 2018) of umap-learn.

Nothing is left to chance: t-SNE begins from the first two principal components, and UMAP is seeded, so that the same
points give the same map.
"""

from collections.abc import Callable

import numpy as np
import torch
from torch import Tensor

from pipeline.errors import UserError
from pipeline.stats import Floats

_NUM_STEPS, _NUM_EXAGGERATED = 400, 120
_EXAGGERATION = 12.0
_BISECTIONS = 40  # of the width of each point's neighbourhood


def tsne(points: Floats, perplexity: float) -> Floats:
    """Points float64 [N, K], of which the first two dimensions vary most, -> float64 [N, 2].

    Time and memory grow with N squared: 1,000 points take some seconds.
    """
    wanted = torch.from_numpy(points).float()
    affinities = _affinities(
        torch.cdist(wanted, wanted).double() ** 2, min(perplexity, (len(points) - 1) / 3.0)
    ).float()
    places = (wanted[:, :2] / wanted[:, 0].std() * 1e-4).clone()
    velocity, gains = torch.zeros_like(places), torch.ones_like(places)
    rate = max(len(points) / _EXAGGERATION / 4.0, 50.0)  # as Belkina et al. 2019
    exaggerated = affinities * _EXAGGERATION
    for step in range(_NUM_STEPS):
        early = step < _NUM_EXAGGERATED
        slope = _slope(places, exaggerated if early else affinities)
        gains = torch.where(slope.sign() == velocity.sign(), gains * 0.8, gains + 0.2).clamp(min=0.01)
        velocity = (0.5 if early else 0.8) * velocity - rate * gains * slope
        places = places + velocity
    centred = places - places.mean(0)
    return centred.double().numpy()


def umap(points: Floats, perplexity: float) -> Floats:
    """The same by umap-learn, ``perplexity`` being its number of neighbours. Raises UserError where it is missing."""
    try:
        from umap import UMAP  # here: an extra, which takes half a minute of compiling at its first use
    except ImportError:
        remedy = "pip install 'baton-pipeline[umap]', or leave it out: t-SNE needs nothing"
        raise UserError("umap-learn is not installed", where="map.layout: umap", remedy=remedy) from None
    fitted = UMAP(n_neighbors=max(2, min(round(perplexity), len(points) - 1)), random_state=0, n_jobs=1)
    places = np.asarray(fitted.fit_transform(points), np.float64)
    centred: Floats = places - places.mean(axis=0)
    return centred


LAYOUTS: dict[str, Callable[[Floats, float], Floats]] = {"tsne": tsne, "umap": umap}


def _affinities(squared: Tensor, perplexity: float) -> Tensor:
    """How much each point is another's neighbour, [N, N], 1 in all: every neighbourhood has the same entropy."""
    num = len(squared)
    low, high = squared.new_zeros(num, 1), squared.new_full((num, 1), float("inf"))
    width = squared.new_ones(num, 1) / squared.mean()
    near = squared - squared.masked_fill(torch.eye(num, dtype=torch.bool), float("inf")).amin(1, keepdim=True)
    for _ in range(_BISECTIONS):
        weights = (-near * width).exp().fill_diagonal_(0.0)
        share = weights / weights.sum(1, keepdim=True)
        entropy = -(share * share.clamp(min=1e-300).log()).sum(1, keepdim=True)
        is_wide = entropy > np.log(perplexity)
        low, high = torch.where(is_wide, width, low), torch.where(is_wide, high, width)
        width = torch.where(high.isinf(), width * 2.0, (low + high) / 2.0)
    return (share + share.T) / (2.0 * num)


def _slope(places: Tensor, affinities: Tensor) -> Tensor:
    """The gradient of the divergence between neighbourhoods in the space and on the plane: [N, 2]."""
    x, y = places.T
    across, down = x[:, None] - x, y[:, None] - y
    # In place, each over N squared values: these passes are most of a layout's time.
    kernel = across.square_().addcmul_(down, down).add_(1.0).reciprocal_().fill_diagonal_(0.0)
    pull = torch.add(affinities, kernel, alpha=-1.0 / float(kernel.sum())).mul_(kernel)
    return 4.0 * (pull.sum(1, keepdim=True) * places - pull @ places)

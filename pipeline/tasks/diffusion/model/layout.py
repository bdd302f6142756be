"""A plane for what a layer says: t-SNE (van der Maaten and Hinton 2008), exact, or UMAP (McInnes et al. 2018) of
umap-learn, and the places of new points among those that have one.

Nothing is left to chance: t-SNE begins from the first two principal components, and UMAP is seeded, so that the same
points give the same map. Plain arrays: a first map needs no torch.

Shapes: R references and B new points of D values, L noise levels, K principal components.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from pipeline.errors import UserError
from pipeline.stats import Floats
from pipeline.tasks.diffusion.recipe import Map

Singles = NDArray[np.float32]

MAX_FITTED = 1000  # points that a map is fitted to where the model brings none; all others are placed between them
_NUM_STEPS, _NUM_EXAGGERATED = 350, 100
_EXAGGERATION = 12.0
_BISECTIONS = 30  # of the width of each point's neighbourhood
_NUM_PLACING_STEPS = 20  # 400 digits: nine of ten new ones within .3 % of a map's extent from where 2,000 put them
_BLOCK = 128  # points at a time, so that their rows of a kernel stay near the processor


@dataclass(frozen=True)
class Layout:
    """Scaler and principal components of what a layer says, and its references' places: all that places a new point.

    ``mean`` and ``scale`` [D], ``components`` [K, D], ``points`` [L, R, K], ``coordinates`` [L, R, 2]; ``sigmas`` are
    the noise levels, and ``perplexity`` is about how many references count as a point's neighbours.
    """

    mean: NDArray[Any]
    scale: NDArray[Any]
    components: NDArray[Any]
    points: NDArray[Any]
    coordinates: NDArray[Any]
    sigmas: tuple[float, ...]
    perplexity: float

    @classmethod
    def fit(cls, said: Floats, options: Map) -> Self:
        """Of what a layer says of references at each noise level, [L, R, D]: one plane for all levels."""
        rows = said.reshape(-1, said.shape[2])
        mean, scale = rows.mean(axis=0), rows.std(axis=0).clip(1e-6)
        scaled = (rows - mean) / scale
        _, vectors = np.linalg.eigh(scaled.T @ scaled)  # the largest last
        components = vectors.T[::-1][: max(2, min(options.num_components, len(rows)))]
        largest = np.take_along_axis(components, np.abs(components).argmax(axis=1)[:, None], axis=1)
        components = components * np.sign(largest)  # a component's sign is arbitrary: its largest entry is positive
        points = scaled @ components.T
        coordinates = LAYOUTS[options.layout](points, options.perplexity)
        placed = points.reshape(*said.shape[:2], -1), coordinates.reshape(*said.shape[:2], 2)
        return cls(mean, scale, components, *placed, options.sigmas, options.perplexity)

    def embed(self, said: NDArray[Any]) -> Floats:
        """What the layer says of images, [B, D] -> its principal components [B, K]: of each in any company."""
        embedded: Floats = np.einsum("bd,kd->bk", (said.astype(np.float64) - self.mean) / self.scale, self.components)
        return embedded

    def place(self, embedded: Floats, sigmas: Sequence[float]) -> Floats:
        """Where points [B, K] at noise levels [B] lie on the map, [B, 2]: each by the references of the level that is
        nearest to its own."""
        levels = np.abs(np.log(np.divide.outer(sigmas, self.sigmas))).argmin(axis=1)
        places = np.empty((len(embedded), 2))
        for level in np.unique(levels):
            own = levels == level
            places[own] = place(embedded[own], self.points[level], self.coordinates[level], self.perplexity)
        return places


def lay_out(places: Singles, said: NDArray[Any], levels: Sequence[float], frozen: Layout | None) -> None:
    """Fill ``places`` [N, L, 2] of what a layer says of images, [N, L, D]: by the map that is frozen in the model's
    file, or by one that is fitted to the first of them."""
    num_fitted = 0
    if frozen is None:
        some = said[: max(MAX_FITTED // len(levels), 8)].astype(np.float64).swapaxes(0, 1)
        frozen, num_fitted = Layout.fit(some, Map(sigmas=tuple(levels))), some.shape[1]
        places[:num_fitted] = frozen.coordinates.swapaxes(0, 1)
    for start in range(num_fitted, len(said), _BLOCK):
        rows = slice(start, start + _BLOCK)
        for level, sigma in enumerate(levels):
            embedded = frozen.embed(said[rows, level])
            places[rows, level] = frozen.place(embedded, [sigma] * len(embedded))


def place(points: NDArray[Any], references: NDArray[Any], coordinates: NDArray[Any], perplexity: float) -> Floats:
    """Where new points [B, K] belong among references [R, K] that lie at coordinates [R, 2]: float64 [B, 2].

    The references stay. Each new point has t-SNE's divergence of its own, which is lessened from the nearest reference
    on: a step ends where the sum of what pulls would be least if its weights stayed (as in Yang et al. 2009).
    """
    squared = np.array([((references - one) ** 2).sum(axis=1, dtype=np.float64) for one in points])
    shares = _neighbourhoods(squared, perplexity)
    x, y = coordinates.T.astype(np.float64)
    placed: Floats = coordinates[squared.argmin(axis=1)].astype(np.float64)
    for _ in range(_NUM_PLACING_STEPS):
        across, down = placed[:, :1] - x, placed[:, 1:] - y
        kernel = 1.0 / (1.0 + across * across + down * down)
        pull = shares * kernel
        force = pull - kernel * (kernel / kernel.sum(axis=1, keepdims=True))
        slope = np.stack(((force * across).sum(axis=1), (force * down).sum(axis=1)), axis=1)
        placed -= slope / pull.sum(axis=1, keepdims=True)
    # What is like no reference, such as the noise that a generation begins with, would be pushed off the map.
    return placed.clip(coordinates.min(axis=0), coordinates.max(axis=0))


def tsne(points: Floats, perplexity: float) -> Floats:
    """Points [N, K], of which the first two dimensions vary most, -> [N, 2].

    Time and memory grow with N squared: 1,000 points take a second.
    """
    if len(points) == 1:
        return np.zeros((1, 2))
    squares = (points**2).sum(axis=1)
    squared = (squares[:, None] + squares - 2.0 * points @ points.T).clip(0.0)
    np.fill_diagonal(squared, np.inf)
    shares = _neighbourhoods(squared, perplexity)
    affinities = ((shares + shares.T) / (2 * len(points))).astype(np.float32)
    places = (points[:, :2] / max(points[:, 0].std(), 1e-12) * 1e-4).astype(np.float32)
    velocity, gains = np.zeros_like(places), np.ones_like(places)
    rate = max(len(points) / _EXAGGERATION / 4.0, 50.0)  # as Belkina et al. 2019
    for step in range(_NUM_STEPS):
        early = step < _NUM_EXAGGERATED
        slope = _slope(places, affinities, _EXAGGERATION if early else 1.0)
        gains = np.where(np.sign(slope) == np.sign(velocity), gains * 0.8, gains + 0.2).clip(0.01)
        velocity = (0.5 if early else 0.8) * velocity - rate * gains * slope
        places = places + velocity
    centred: Floats = (places - places.mean(axis=0)).astype(np.float64)
    return centred


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


def _neighbourhoods(squared: Floats, perplexity: float) -> Singles:
    """How much each of R points is a neighbour, by squared distances [B, R] (inf: of itself): float32 [B, R], 1 in all.

    A neighbourhood has the entropy of ``perplexity`` points that count alike, of a third of all at most.
    """
    wanted = np.log(max(min(perplexity, (squared.shape[1] - 1) / 3.0), 1.0))
    near = (squared - squared.min(axis=1, keepdims=True)).astype(np.float32)
    finite = np.where(np.isinf(near), np.float32(0.0), near)
    width = 1.0 / finite.mean(axis=1, keepdims=True).clip(1e-12)
    low, high = np.zeros_like(width), np.full_like(width, np.inf)
    for _ in range(_BISECTIONS):
        weights = np.exp(-near * width)
        total = weights.sum(axis=1, keepdims=True)
        entropy = np.log(total) + width * (weights * finite).sum(axis=1, keepdims=True) / total
        is_wide = entropy > wanted
        low, high = np.where(is_wide, width, low), np.where(is_wide, high, width)
        width = np.where(np.isinf(high), width * 2, (low + high) / 2)
    shares: Singles = weights / total
    return shares


def _slope(places: Singles, affinities: Singles, exaggeration: float) -> Singles:
    """The gradient of the divergence between neighbourhoods in the space and on the plane: [N, 2]."""
    ones, squares = np.ones((len(places), 1), np.float32), (places**2).sum(axis=1, keepdims=True)
    left, right = np.hstack((places, ones, squares + 1.0)), np.hstack((-2.0 * places, squares, ones)).T
    summed = np.hstack((places, ones))
    pull, push, total = np.empty_like(summed), np.empty_like(summed), 0.0
    for start in range(0, len(places), _BLOCK):
        rows = slice(start, start + _BLOCK)
        kernel = np.reciprocal(left[rows] @ right)  # of 1 + the squared distances
        np.fill_diagonal(kernel[:, start:], 0.0)
        total += float(kernel.sum())
        pull[rows] = (affinities[rows] * kernel) @ summed
        push[rows] = np.square(kernel, out=kernel) @ summed
    forces = exaggeration * pull - push / np.float32(total)
    return 4.0 * (forces[:, 2:] * places - forces[:, :2])

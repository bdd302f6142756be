"""A request is generated as infer does it, and told step by step: the image, and where each layer lies on its map."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from pipeline.contract.exploring import Cancelled, OpenedBundle, Place, Step
from pipeline.model.file import load_model
from pipeline.tasks.diffusion.infer.predict import answer
from pipeline.tasks.diffusion.infer.watch import Watch
from pipeline.tasks.diffusion.model.activations import References
from pipeline.tasks.diffusion.model.denoiser import Denoiser, recorded
from pipeline.tasks.diffusion.model.map import NUM_NEAREST, ActivationMap
from pipeline.tasks.diffusion.model.model import DiffusionModel
from pipeline.tasks.diffusion.model.sample import schedule
from pipeline.tasks.diffusion.pixels import to_pixels
from pipeline.tasks.diffusion.recipe import Infer
from pipeline.tasks.diffusion.rows import DiffusionExample, DiffusionPrediction

Said = Mapping[str, Tensor]


@dataclass
class Heard:
    """A `Denoiser` that keeps what goes in and out of its calls, of the first image of each."""

    inner: Denoiser
    calls: list[tuple[Tensor, Tensor]] = field(default_factory=list)

    @property
    def shape(self) -> tuple[int, int, int]:
        """As of the inner one; so are the others."""
        return self.inner.shape

    @property
    def num_classes(self) -> int:
        """The number that is no class."""
        return self.inner.num_classes

    @property
    def sigma_range(self) -> tuple[float, float]:
        """The noise levels that it knows."""
        return self.inner.sigma_range

    @property
    def layers(self) -> Mapping[str, nn.Module]:
        """What can be looked at."""
        return self.inner.layers

    @property
    def device(self) -> torch.device:
        """Where it works."""
        return self.inner.device

    def forward(self, x: Tensor, sigma: float, labels: Tensor) -> Tensor:
        """As the inner one does it."""
        out = self.inner.forward(x, sigma, labels)
        self.calls.append((x[0], out[0]))
        return out


class DiffusionExplorer:
    """A model file opened to generate beside a bundle, one request at a time."""

    def __init__(self, path: Path, bundle: OpenedBundle, device: str) -> None:
        model = load_model(path, task="diffusion", device=device)
        assert isinstance(model, DiffusionModel)
        self.model, self.heard = model, Heard(model.denoiser)
        model.denoiser = self.heard
        self.references, self.placer = References(model.denoiser), Placer(bundle, model.module.map)

    def generate(
        self, request: DiffusionExample, on_step: Callable[[Step], None], should_cancel: Callable[[], bool]
    ) -> DiffusionPrediction:
        """The row that infer gives. Raises Cancelled."""

        def watch(denoiser: Denoiser, found: ActivationMap | None, masks: Sequence[Any], num_masked: int) -> Watch:
            teller = Teller(self.heard, self.placer, request, on_step, should_cancel)
            return TellingWatch(denoiser, found, masks, num_masked, teller)

        (row,) = answer(self.model, [request], Infer().num_frames, self.references, watch)
        return row


@dataclass
class Teller:
    """Makes steps of what was heard in them."""

    heard: Heard
    placer: "Placer"
    request: DiffusionExample
    on_step: Callable[[Step], None]
    should_cancel: Callable[[], bool]

    def begin(self) -> None:
        """A step begins. Raises Cancelled."""
        if self.should_cancel():
            raise Cancelled
        self.heard.calls.clear()

    def tell(self, number: int, before: Said, after: Said | None) -> None:
        """A step has ended; ``after`` is what layers said where something was put in for some of it."""
        (x, denoised), *others = self.heard.calls
        if self.request.guidance not in (0.0, 1.0):
            untold = others[0][1]
            denoised = untold + self.request.guidance * (denoised - untold)
        noise_level = _sigma(self.request, number)
        self.on_step(
            Step(
                number=number,
                num_steps=self.request.num_steps,
                noise_level=noise_level,
                image=to_pixels(denoised.float().cpu().numpy()),
                noised=to_pixels((x / max(1.0, noise_level)).float().cpu().numpy()),
                places=self.placer.places(before, noise_level),
                masked_places=self.placer.places(after, noise_level) if after is not None else {},
            )
        )


class TellingWatch(Watch):
    """A `Watch` of one draw that tells each step."""

    def __init__(self, *watched: Any) -> None:
        *own, self.teller = watched
        super().__init__(*own)

    @contextmanager
    def __call__(self, step: int, tile: Sequence[int]) -> Iterator[None]:
        """Around one step."""
        self.teller.begin()
        layers, is_masked = self.teller.placer.layers, step < self.num_masked
        with (  # hooks are called in this order: before those of the masks, and after them
            recorded(self.denoiser, layers, first=True) as before,
            super().__call__(step, tile),
            recorded(self.denoiser, layers, first=True) as after,
        ):
            yield
        self.teller.tell(step, before, after if is_masked else None)


@dataclass(frozen=True)
class Placer:
    """Where activations lie on the maps of a bundle: on the frozen one where a layer has it, else between records."""

    bundle: OpenedBundle
    frozen: ActivationMap | None

    @property
    def layers(self) -> tuple[str, ...]:
        """Those that have a map."""
        return tuple(layer.name for layer in self.bundle.manifest.layers)

    def places(self, said: Said, sigma: float) -> dict[str, Place]:
        """Of what layers said of the first image."""
        return {name: self._place(name, said[name][0], sigma) for name in self.layers}

    def _place(self, name: str, said: Tensor, sigma: float) -> Place:
        if self.frozen is not None and name == self.frozen.config.layer:
            x, y = self.frozen.place(self.frozen.embed(said), sigma).tolist()
            return x, y
        levels = self.bundle.manifest.noise_levels
        level = int(np.argmin([abs(np.log(sigma / one)) for one in levels]))
        point = said.flatten().float().cpu().numpy()
        return place_between(self.bundle.activations[name][:, level], self.bundle.coordinates[name][:, level], point)


def place_between(points: NDArray[Any], places: NDArray[np.float32], point: NDArray[np.float32]) -> Place:
    """Where a point [D] lies among points [N, D] with places [N, 2]: at the mean of the nearest, each as much as it is
    near."""
    apart = points.astype(np.float32) - point
    squares = np.einsum("ij,ij->i", apart, apart)
    nearest = np.argsort(squares, kind="stable")[:NUM_NEAREST]
    weights = 1.0 / np.sqrt(squares[nearest]).clip(1e-9)
    x, y = (weights[:, None] * places[nearest]).sum(0) / weights.sum()
    return float(x), float(y)


def _sigma(request: DiffusionExample, number: int) -> float:
    return schedule(request.num_steps, request.sigma_min, request.sigma_max)[number]

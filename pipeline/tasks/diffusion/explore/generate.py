"""A request is generated as infer does it, and told step by step: the image, and where each layer lies on its map."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from torch import Tensor

from pipeline.contract.exploring import Cancelled, OpenedBundle, Place, Step
from pipeline.model.file import load_model
from pipeline.tasks.diffusion.infer.predict import answer
from pipeline.tasks.diffusion.infer.watch import Watch
from pipeline.tasks.diffusion.model.activations import References
from pipeline.tasks.diffusion.model.denoiser import recorded
from pipeline.tasks.diffusion.model.layout import place
from pipeline.tasks.diffusion.model.map import ActivationMap
from pipeline.tasks.diffusion.model.model import DiffusionModel
from pipeline.tasks.diffusion.model.network import DiffusionNetwork, OwnDenoiser
from pipeline.tasks.diffusion.model.sample import schedule
from pipeline.tasks.diffusion.pixels import to_pixels
from pipeline.tasks.diffusion.recipe import Infer, Map
from pipeline.tasks.diffusion.rows import DiffusionExample, DiffusionPrediction

Said = Mapping[str, Tensor]


class Heard(OwnDenoiser):
    """Keeps what goes in and out of its calls, of the first image of each."""

    def __init__(self, network: DiffusionNetwork) -> None:
        super().__init__(network)
        self.calls: list[tuple[Tensor, Tensor]] = []

    def forward(self, x: Tensor, sigma: float, labels: Tensor) -> Tensor:
        """As usual."""
        out = super().forward(x, sigma, labels)
        self.calls.append((x[0], out[0]))
        return out


class DiffusionExplorer:
    """A model file opened to generate beside a bundle, one request at a time."""

    def __init__(self, path: Path, bundle: OpenedBundle, device: str) -> None:
        model = load_model(path, task="diffusion", device=device)
        assert isinstance(model, DiffusionModel)
        self.model, self.heard = model, Heard(model.module)
        model.denoiser = self.heard
        self.references, self.placer = References(model.denoiser), Placer(bundle, model.module.map)

    def generate(
        self, request: DiffusionExample, on_step: Callable[[Step], None], should_cancel: Callable[[], bool]
    ) -> DiffusionPrediction:
        """The row that infer gives. Raises Cancelled."""

        def watch(*watched: Any) -> Watch:
            return TellingWatch(*watched, told=Told(self.heard, self.placer, request, on_step, should_cancel))

        (row,) = answer(self.model, [request], Infer().num_frames, self.references, watch)
        return row


@dataclass(frozen=True)
class Told:
    """What a request is told with, and to whom."""

    heard: Heard
    placer: "Placer"
    request: DiffusionExample
    on_step: Callable[[Step], None]
    should_cancel: Callable[[], bool]


class TellingWatch(Watch):
    """A `Watch` of one draw that tells each step, and ends the generation where it should. Raises Cancelled."""

    def __init__(self, *watched: Any, told: Told) -> None:
        super().__init__(*watched)
        self.told = told

    @contextmanager
    def __call__(self, step: int, tile: Sequence[int]) -> Iterator[None]:
        """Around one step."""
        if self.told.should_cancel():
            raise Cancelled
        self.told.heard.calls.clear()
        layers = self.told.placer.layers
        with (  # hooks are called in this order: before those of the masks, and after them
            recorded(self.denoiser, layers, first=True) as before,
            super().__call__(step, tile),
            recorded(self.denoiser, layers, first=True) as after,
        ):
            yield
        self.told.on_step(self._made(step, before, after if step < self.num_masked else None))

    def _made(self, number: int, before: Said, after: Said | None) -> Step:
        """``after`` is what layers said where something was put in for some of it."""
        request, placer = self.told.request, self.told.placer
        (x, denoised), *others = self.told.heard.calls
        if request.guidance not in (0.0, 1.0):
            untold = others[0][1]
            denoised = untold + request.guidance * (denoised - untold)
        noise_level = schedule(request.num_steps, request.sigma_min, request.sigma_max)[number]
        return Step(
            number=number,
            num_steps=request.num_steps,
            noise_level=noise_level,
            image=to_pixels(denoised.float().cpu().numpy()),
            noised=to_pixels((x / max(1.0, noise_level)).float().cpu().numpy()),
            places=placer.places(before, noise_level),
            masked_places=placer.places(after, noise_level) if after is not None else {},
        )


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
            return self.frozen.place([said], [sigma])[0]
        levels = self.bundle.manifest.noise_levels
        level = int(np.argmin([abs(np.log(sigma / one)) for one in levels]))
        points, places = (
            array[name][:, level].astype(np.float32) for array in (self.bundle.activations, self.bundle.coordinates)
        )
        x, y = place(said.flatten().float().cpu().numpy()[None], points, places, Map().perplexity)[0].tolist()
        return x, y

"""Brain spec to network: the preconditioned U-Net (Karras et al. 2022), and beside it what judges its images."""

from collections.abc import Mapping
from typing import Annotated, Any, Literal

import msgspec
import numpy as np
import torch
from msgspec import Meta
from torch import Tensor, nn

from pipeline.contract.model import ExportParts
from pipeline.contract.parts import ModelPart
from pipeline.errors import UserError
from pipeline.model import brain
from pipeline.model.checkpoint import read_section, read_trained_brain
from pipeline.model.layers import initialise
from pipeline.tasks.diffusion.model.judge import Judge, TrainingImages
from pipeline.tasks.diffusion.model.map import ActivationMap, MapBrain, fit_map
from pipeline.tasks.diffusion.model.unet import UNetModule
from pipeline.tasks.diffusion.recipe import Map, UNet
from schemas.brain import BrainSpec
from schemas.recipe import Count, Positive

MAX_WIDTH, MAX_BLOCKS, MAX_IMAGES, MAX_CLASSES = 1024, 16, 2**20, 4096
_GOLDEN_SIGMAS = (0.1, 1.0, 20.0)
_GOLDEN_SEED = 0


class DiffusionBrain(UNet, frozen=True, kw_only=True, forbid_unknown_fields=True, tag="unet"):
    """`UNet`, with what the data say of it: the image's side and channels, the classes, the standard deviation of the
    values (from -1 to 1) of training images, how many of these the file remembers, and its map, if it has one."""

    size: Annotated[int, Meta(ge=4, le=256)]
    channels: Literal[1, 3]
    labels: tuple[str, ...]
    sigma_data: Positive
    num_train: Count
    map: MapBrain | None = None


class DiffusionNetwork(nn.Module):
    """``denoise`` is the model; ``judge`` and ``training_images`` say what an image is worth."""

    def __init__(self, config: DiffusionBrain) -> None:
        super().__init__()
        self.config = config
        self.unet = UNetModule(config, config.channels, len(config.labels))
        self.judge = Judge(config.channels, config.size, len(config.labels))
        self.training_images = TrainingImages(config.num_train, config.channels * config.size**2)
        self.map = ActivationMap(config.map) if config.map is not None else None

    @property
    def null_label(self) -> int:
        """The number that stands for no class."""
        return len(self.config.labels)

    def denoise(self, x: Tensor, sigma: Tensor, labels: Tensor) -> Tensor:
        """The mean image behind noisy ones: x float32 [B, C, H, W], sigma [B], labels int64 [B] -> [B, C, H, W].

        Table 1 of Karras et al. 2022: the network sees and says values of variance 1 at every noise level.
        """
        data = self.config.sigma_data
        level = sigma[:, None, None, None]
        total = (level**2 + data**2).sqrt()
        said: Tensor = self.unet(x / total, sigma.log() / 4.0, labels)
        return x * (data / total) ** 2 + said * (level * data / total)


class OwnDenoiser:
    """The network of this task as a `Denoiser`."""

    def __init__(self, network: DiffusionNetwork) -> None:
        self.network = network

    @property
    def shape(self) -> tuple[int, int, int]:
        config = self.network.config
        return config.channels, config.size, config.size

    @property
    def num_classes(self) -> int:
        return self.network.null_label

    @property
    def sigma_range(self) -> tuple[float, float]:
        return 0.0, float("inf")

    @property
    def layers(self) -> Mapping[str, nn.Module]:
        return self.network.unet.layers

    @property
    def device(self) -> torch.device:
        return next(self.network.parameters()).device

    def forward(self, x: Tensor, sigma: float, labels: Tensor) -> Tensor:
        return self.network.denoise(x, x.new_full((len(x),), sigma), labels)


def parse_network(data: Mapping[str, Any]) -> DiffusionBrain:
    """The network section of a brain spec as its Struct, every default filled in.

    Raises UserError that names the wrong key or value, and the nearest known one.
    """
    network: DiffusionBrain = brain.parse_network(data, DiffusionBrain, "diffusion")
    return network


def check(spec: BrainSpec, network: DiffusionBrain) -> None:
    """Raises UserError when the parts of a spec do not fit together, or are out of all proportion."""
    limits = {
        "width": (network.width * max(network.multipliers), MAX_WIDTH),
        "num_blocks": (network.num_blocks, MAX_BLOCKS),
        "labels": (len(network.labels), MAX_CLASSES),
        "num_train": (network.num_train, MAX_IMAGES),
    }
    for name, (found, most) in limits.items():
        if not 1 <= found <= most:
            raise UserError(f"{name} is {found:,}, but it is from 1 to {most:,}", where=f"brain spec: network.{name}")
    halvings = 2 ** (len(network.multipliers) - 1)
    if network.size % halvings:
        what = f"images of {network.size} pixels cannot be halved {len(network.multipliers) - 1} times"
        raise UserError(what, where="brain spec: network.multipliers", remedy="take fewer multipliers")
    values = network.channels * network.size**2
    if (spec.input_size, spec.output_size) != (values, values):
        what = f"input_size and output_size are {spec.input_size} and {spec.output_size}, an image has {values} values"
        raise UserError(what, where="brain spec: input_size, output_size")


def brain_spec(network: DiffusionBrain) -> BrainSpec:
    """The spec of a network: values of an image go in and come out."""
    values = network.channels * network.size**2
    spec = BrainSpec(task="diffusion", input_size=values, output_size=values, network=msgspec.to_builtins(network))
    check(spec, network)
    return spec


def build(spec: BrainSpec, generator: torch.Generator | None = None) -> DiffusionNetwork:
    """The network of a brain spec, its weights drawn from ``generator`` (None: from torch's global one).

    Raises UserError when the spec is not valid.
    """
    network = parse_network(spec.network)
    check(spec, network)
    module = DiffusionNetwork(network)
    if next(module.parameters()).device.type != "meta":
        initialise(module, generator)
        nn.init.normal_(module.unet.classes.weight, generator=generator)  # as loud as the noise level
    return module


def export_parts(checkpoint: Mapping[str, Any]) -> ExportParts:
    """What export makes of a checkpoint: averaged weights, judge and training images, and what goes in and comes out.

    Raises UserError when the checkpoint lacks something.
    """
    spec, weights = read_trained_brain(checkpoint), dict(checkpoint["average_weights"])
    recipe = read_section(checkpoint, "recipe")
    quality: dict[str, float] = {}
    options = msgspec.convert(recipe.get("map", {"num_references": 0}), Map)
    if options.num_references:
        module = build(spec, torch.Generator())
        module.load_state_dict(weights)
        fitted, quality = fit_map(OwnDenoiser(module.eval()), options)
        weights |= {f"map.{name}": tensor for name, tensor in fitted.state_dict().items()}
        mapped = {**spec.network, "map": msgspec.to_builtins(fitted.config)}
        spec = msgspec.structs.replace(spec, network=mapped)
    network = parse_network(spec.network)
    image = {"dtype": "float32", "shape": ["B", network.channels, network.size, network.size], "range": [-1, 1]}
    metadata = {
        "task": "diffusion",
        "step": checkpoint["step"],
        "facts": read_section(checkpoint, "facts"),
        "recipe": recipe,
        "recipe_hash": checkpoint.get("recipe_hash"),
        "input": {
            "x": {**image, "range": None},
            "sigma": {"shape": ["B"], "range": [0, 80]},
            "labels": {"shape": ["B"]},
        },
        "output": {"denoised": image, "labels": [*network.labels], "null_label": len(network.labels)},
        "layers": list(build(spec, torch.Generator()).unet.layers),
    }
    return ExportParts(spec, weights, metadata | ({"map": quality} if quality else {}), _golden_inputs(network))


def _golden_inputs(network: DiffusionBrain) -> dict[str, Tensor]:
    """Noise at a low, a middle and a high level; a class, the last one, and none."""
    generator = np.random.default_rng(_GOLDEN_SEED)
    sigma = np.array(_GOLDEN_SIGMAS, np.float32)
    noise = generator.standard_normal((len(sigma), network.channels, network.size, network.size), np.float32)
    labels = torch.tensor([0, len(network.labels) - 1, len(network.labels)])
    return {
        "x": torch.from_numpy(noise * sigma[:, None, None, None]),
        "sigma": torch.from_numpy(sigma),
        "labels": labels,
    }


@torch.inference_mode()
def golden_outputs(module: nn.Module, inputs: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """What is denoised of golden inputs, and what the judge says of that."""
    assert isinstance(module, DiffusionNetwork)
    denoised = module.denoise(inputs["x"], inputs["sigma"], inputs["labels"])
    features, logits = module.judge(denoised)
    return {"denoised": denoised, "features": features, "logits": logits}


PART = ModelPart(network=DiffusionBrain, build=build, export_parts=export_parts, golden_outputs=golden_outputs)

"""Models of other makers as a `Denoiser`: what samples, records and steers here then works on theirs.

A folder of diffusers (https://huggingface.co/docs/diffusers) holds ``unet/`` and ``scheduler/``. Weights are read from
safetensors alone, and nothing is fetched. Needs the package diffusers.
"""

import importlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from pipeline.errors import UserError

PREDICTIONS = ("epsilon", "v_prediction", "sample")  # what a network of diffusers can be trained to say


class DiffusersDenoiser:
    """A `UNet2DModel` of diffusers, trained on a schedule that keeps the variance (Ho et al. 2020).

    Where it has classes, the last one is taken for that of no class. A noise level is that of the nearest timestep that
    it was trained on. Of its layers those are named that give one tensor: ``stem``, ``middle``, ``up_N`` ... ``up_0``.
    """

    def __init__(self, unet: Any, alphas_cumprod: Tensor, prediction: str) -> None:
        if prediction not in PREDICTIONS:
            what = f"the network says {prediction!r}, and known are {', '.join(PREDICTIONS)}"
            raise UserError(what, where="scheduler/scheduler_config.json: prediction_type")
        self.unet, self.prediction = unet.eval(), prediction
        self.levels = ((1.0 - alphas_cumprod) / alphas_cumprod).double().sqrt()  # by timestep, rising

    @property
    def shape(self) -> tuple[int, int, int]:
        size = self.unet.config.sample_size
        height, width = (size, size) if isinstance(size, int) else size
        return int(self.unet.config.in_channels), int(height), int(width)

    @property
    def num_classes(self) -> int:
        return max((self.unet.config.num_class_embeds or 1) - 1, 0)

    @property
    def sigma_range(self) -> tuple[float, float]:
        return float(self.levels[0]), float(self.levels[-1])

    @property
    def layers(self) -> Mapping[str, nn.Module]:
        count = len(self.unet.up_blocks)
        up = {f"up_{count - 1 - k}": block for k, block in enumerate(self.unet.up_blocks)}
        return {"stem": self.unet.conv_in, "middle": self.unet.mid_block, **up}

    @property
    def device(self) -> torch.device:
        return next(iter(self.unet.parameters())).device  # type: ignore[no-any-return]  # diffusers is not typed

    def forward(self, x: Tensor, sigma: float, labels: Tensor) -> Tensor:
        """`Denoiser.forward`: the network sees image and noise with a variance of 1 together."""
        timestep = int((self.levels.log() - torch.tensor(sigma).double().log()).abs().argmin())
        level = float(self.levels[timestep])
        kept = (1.0 + level**2) ** -0.5
        told = {"class_labels": labels} if self.unet.config.num_class_embeds else {}
        said: Tensor = self.unet(x * kept, timestep, **told).sample
        if self.prediction == "epsilon":
            return x - level * said
        return x * kept**2 - level * kept * said if self.prediction == "v_prediction" else said


def open_diffusers(folder: Path | str) -> DiffusersDenoiser:
    """The network of a pipeline folder. Raises UserError when it is none, or diffusers is not installed."""
    root = Path(folder)
    for name in ("unet/config.json", "scheduler/scheduler_config.json"):
        if not (root / name).is_file():
            raise UserError(f"this is no pipeline folder of diffusers: it has no {name}", where=str(root))
    try:
        library: Any = importlib.import_module("diffusers")
    except ImportError as error:
        raise UserError("this folder needs diffusers, which is missing", remedy="pip install diffusers") from error
    try:
        unet = library.UNet2DModel.from_pretrained(root / "unet", local_files_only=True, use_safetensors=True)
        scheduler = library.DDPMScheduler.from_pretrained(root / "scheduler", local_files_only=True)
    except (OSError, ValueError, TypeError) as error:
        raise UserError(f"diffusers cannot open it: {str(error).splitlines()[0]}", where=str(root)) from error
    return DiffusersDenoiser(unet, scheduler.alphas_cumprod, scheduler.config.prediction_type)

"""A randomly initialised network of diffusers, sampled and looked at as our own is."""

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from pipeline.errors import UserError
from pipeline.tasks.diffusion.model.activations import References, look_at
from pipeline.tasks.diffusion.model.adapters import DiffusersDenoiser, open_diffusers
from pipeline.tasks.diffusion.model.denoiser import Denoiser
from pipeline.tasks.diffusion.model.sample import Draw, Settings, sample

ALPHAS = torch.linspace(0.999, 0.001, 50).double()


class Exact(nn.Module):
    """What a perfect network of each kind says of images that are 0.5 everywhere, as a `UNet2DModel` would."""

    def __init__(self, prediction: str) -> None:
        super().__init__()
        self.prediction, self.config = prediction, SimpleNamespace(num_class_embeds=None)

    def forward(self, x: Tensor, timestep: int) -> Any:
        alpha = float(ALPHAS[timestep]) ** 0.5
        spread = (1.0 - alpha**2) ** 0.5
        noise = (x - alpha * 0.5) / spread
        said = {"epsilon": noise, "v_prediction": alpha * noise - spread * 0.5, "sample": torch.full_like(x, 0.5)}
        return SimpleNamespace(sample=said[self.prediction])


@pytest.mark.parametrize("prediction", ["epsilon", "v_prediction", "sample"])
def test_whatever_a_network_says_is_turned_into_the_image(prediction: str) -> None:
    denoiser = DiffusersDenoiser(Exact(prediction), ALPHAS, prediction)
    for timestep in (0, 20, 49):
        sigma = float(denoiser.levels[timestep])
        x = 0.5 + sigma * torch.randn(2, 1, 4, 4, generator=torch.Generator().manual_seed(0))
        assert torch.allclose(denoiser.forward(x, sigma, torch.tensor([0, 0])), torch.full_like(x, 0.5), atol=1e-4)


def test_another_kind_of_network_and_another_folder_are_refused(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="says 'flow'"):
        DiffusersDenoiser(Exact("epsilon"), ALPHAS, "flow")
    with pytest.raises(UserError, match=r"no unet/config\.json"):
        open_diffusers(tmp_path)


def test_a_pipeline_folder_is_sampled_recorded_and_steered(tmp_path: Path) -> None:
    diffusers = pytest.importorskip("diffusers", reason="pip install diffusers")
    torch.manual_seed(0)
    blocks: dict[str, Any] = {"down_block_types": ("DownBlock2D",) * 2, "up_block_types": ("UpBlock2D",) * 2}
    unet = diffusers.UNet2DModel(
        sample_size=8, in_channels=1, out_channels=1, block_out_channels=(8, 16), layers_per_block=1,
        norm_num_groups=4, num_class_embeds=4, **blocks,
    )  # fmt: skip
    unet.save_pretrained(tmp_path / "unet")
    diffusers.DDPMScheduler().save_pretrained(tmp_path / "scheduler")
    denoiser: Denoiser = open_diffusers(tmp_path)
    assert (denoiser.shape, denoiser.num_classes) == ((1, 8, 8), 3)
    assert denoiser.sigma_range[1] > 100.0
    settings = Settings(num_steps=3)
    one, two = (next(sample(denoiser, [Draw(label, 5)], settings)).image for label in (0, 1))
    assert one.shape == (1, 8, 8) and np.isfinite(one).all() and not np.array_equal(one, two)
    said = look_at(denoiser, [one], [0], ["middle", "up_0"], [1.0])
    assert said["middle"].shape == (1, 1, 16, 4, 4) and said["up_0"].shape == (1, 1, 8, 8, 8)
    assert References(denoiser).mean([(0, 1), (0, 2)], ("middle",), 1.0)["middle"].shape == (1, 16, 4, 4)

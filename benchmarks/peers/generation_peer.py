"""Worker: 64 images of one network, at one turn by diffusers' own pipeline, at the next by our sampler."""

import warnings
from typing import Any

import diffusers
import torch

from benchmarks.harness.turns import Turns
from pipeline.tasks.diffusion.model.adapters import DiffusersDenoiser
from pipeline.tasks.diffusion.model.sample import Draw, Settings, sample

NUM_IMAGES, NUM_STEPS = 64, 18


def main() -> None:
    """Measure in turns for as long as the other side asks. Both call the network once a step, on one thread."""
    torch.set_num_threads(1)
    torch.manual_seed(0)
    warnings.simplefilter("ignore")
    blocks: dict[str, Any] = {"down_block_types": ("DownBlock2D",) * 2, "up_block_types": ("UpBlock2D",) * 2}
    sizes: dict[str, Any] = {"sample_size": 8, "block_out_channels": (32, 64), "layers_per_block": 1}
    unet = diffusers.UNet2DModel(in_channels=1, out_channels=1, norm_num_groups=8, **sizes, **blocks)
    pipeline = diffusers.DDIMPipeline(unet, diffusers.DDIMScheduler())
    pipeline.set_progress_bar_config(disable=True)
    denoiser = DiffusersDenoiser(unet, pipeline.scheduler.alphas_cumprod, "epsilon")
    low, high = denoiser.sigma_range
    settings = Settings(sampler="euler", num_steps=NUM_STEPS, sigma_min=low, sigma_max=high)
    turns = Turns()
    turns.pause()
    while True:
        pipeline(batch_size=NUM_IMAGES, num_inference_steps=NUM_STEPS, output_type="np")
        turns.pause()
        list(sample(denoiser, [Draw(0, seed) for seed in range(NUM_IMAGES)], settings))
        turns.pause()


if __name__ == "__main__":
    main()

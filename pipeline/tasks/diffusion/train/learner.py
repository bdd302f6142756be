"""One update of the denoiser from one batch of images at noise levels of their own (Karras et al. 2022, table 1)."""

import numpy as np
import torch

from pipeline.tasks.diffusion.data.load import Ints
from pipeline.tasks.diffusion.model.network import DiffusionNetwork, build
from pipeline.tasks.diffusion.model.sample import Values
from pipeline.tasks.diffusion.recipe import DiffusionRecipe
from pipeline.train.learner import AveragedLearner
from schemas.brain import BrainSpec


class Learner(AveragedLearner[DiffusionNetwork]):
    """The network that learns, and its average. The judge and the training images are the same in both, and stay."""

    def __init__(self, recipe: DiffusionRecipe, brain: BrainSpec, device: str) -> None:
        self.train = recipe.train

        def make() -> DiffusionNetwork:
            return build(brain, torch.Generator().manual_seed(recipe.seed))

        super().__init__(recipe.optimizer, make, recipe.train.num_steps, device)

    def make_optimizer(self) -> torch.optim.Optimizer:
        """Adam for the U-Net alone; its learning rate is set before each update."""
        return torch.optim.Adam(self.online.unet.parameters(), self.options.learning_rate, fused=True)

    def take_judge(self, network: DiffusionNetwork) -> None:
        """Judge and training images of another network, for both of these."""
        for own in (self.online, self.average):
            own.judge.load_state_dict(network.judge.state_dict())
            own.training_images.load_state_dict(network.training_images.state_dict())
            own.judge.requires_grad_(False)
        self._judge = network

    def begin_here(self) -> None:
        """After weights were taken from another model: its judge knows other images, so that this one's stays."""
        super().begin_here()
        self.take_judge(self._judge)

    def update(self, images: Values, labels: Ints, generator: np.random.Generator) -> float:
        """One gradient step from images float32 [B, C, H, W] from -1 to 1 and labels [B]; returns the loss.

        The squared error of what is denoised, weighted so that every noise level counts the same at the start.
        """
        options, data = self.train, self.online.config.sigma_data
        count = len(images)
        sigma = np.exp(generator.normal(options.log_sigma_mean, options.log_sigma_std, count)).astype(np.float32)
        noise = generator.standard_normal(images.shape, np.float32)
        told = np.where(generator.random(count) < options.label_dropout, self.online.null_label, labels)
        noisy = self.tensor(images + sigma[:, None, None, None] * noise)
        denoised = self.online.denoise(noisy, self.tensor(sigma), self.tensor(told))
        weights = self.tensor((sigma**2 + data**2) / (sigma * data) ** 2)
        loss = (weights * (denoised - self.tensor(images)).pow(2).mean((1, 2, 3))).mean()
        self.descend(loss)
        return float(loss.detach())

"""A network with random weights, for what does not depend on what was learned."""

import torch

from pipeline.tasks.diffusion.model.network import DiffusionBrain, DiffusionNetwork, brain_spec, build

LABELS = ("a", "b", "c")


def small_brain(**changes: object) -> DiffusionBrain:
    facts = {"width": 8, "size": 8, "channels": 1, "labels": LABELS, "sigma_data": 0.5, "num_train": 20}
    return DiffusionBrain(**(facts | changes))  # type: ignore[arg-type]


def small_network(**changes: object) -> DiffusionNetwork:
    network = build(brain_spec(small_brain(**changes)), torch.Generator().manual_seed(0))
    torch.nn.init.normal_(network.unet.out.weight, std=0.1, generator=torch.Generator().manual_seed(1))
    network.training_images.remember(torch.rand(20, 1, 8, 8, generator=torch.Generator().manual_seed(2)) * 2 - 1)
    return network.eval()

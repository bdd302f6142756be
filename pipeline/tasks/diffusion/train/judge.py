"""The judge learns first, from the same images, and by what it says of held-out ones one knows how far to trust it."""

import numpy as np
import torch
from torch.nn import functional as F

from pipeline.tasks.diffusion.data.load import Split
from pipeline.tasks.diffusion.model.network import DiffusionNetwork
from pipeline.tasks.diffusion.pixels import to_values
from pipeline.tasks.diffusion.recipe import Judge

_WEIGHT_DECAY = 0.01
_BATCH = 256  # images judged at a time


def fit_judge(network: DiffusionNetwork, split: Split, options: Judge, seed: int) -> float:
    """Train the judge of ``network``, let it remember the training images, and freeze both.

    Returns the share of held-out images of which the judge says the class.
    """
    images = torch.from_numpy(to_values(split.train.images))
    labels = torch.from_numpy(split.train.labels)
    judge = network.judge
    optimizer = torch.optim.AdamW(judge.parameters(), options.learning_rate, weight_decay=_WEIGHT_DECAY)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, options.num_steps)
    for step in range(options.num_steps):
        generator = np.random.default_rng((seed, 2, step))
        chosen = generator.integers(len(images), size=options.batch_size)
        noise = torch.from_numpy(generator.standard_normal(images[chosen].shape, np.float32))
        _, logits = judge(images[chosen] + options.noise * noise)
        optimizer.zero_grad()
        F.cross_entropy(logits, labels[chosen]).backward()  # type: ignore[no-untyped-call]  # torch leaves it untyped
        optimizer.step()
        schedule.step()
    network.training_images.remember(images)
    judge.requires_grad_(False)
    return judged_accuracy(network, split)


@torch.no_grad()
def judged_accuracy(network: DiffusionNetwork, split: Split) -> float:
    """The share of held-out images of which the judge says the class."""
    images = torch.from_numpy(to_values(split.heldout.images)).to(next(network.parameters()).device)
    said = torch.cat([network.judge(part)[1].argmax(1) for part in torch.split(images, _BATCH)])
    return float((said.cpu().numpy() == split.heldout.labels).mean())

"""One gradient step by the likelihood of the true places."""

import numpy as np
import torch

from pipeline.stats import Floats
from pipeline.tasks.localization import geo
from pipeline.tasks.localization.measured import Measured
from pipeline.tasks.localization.model.inputs import Inputs
from pipeline.tasks.localization.model.network import Network
from pipeline.train.learner import AveragedLearner


def truth_km(measured: Measured, inputs: Inputs) -> Floats:
    """True places in the frames of the inputs: float32 [B, 2]."""
    return (geo.to_local(measured.truth, inputs.centre) / 1000.0).astype(np.float32)


class Learner(AveragedLearner[Network]):
    """The network that learns, and the average of its weights, which is monitored and exported."""

    def make_optimizer(self) -> torch.optim.Optimizer:
        """Vectors - biases, and where components begin - do not decay."""
        options = self.options
        groups = [
            {"params": [w for w in self.weights if w.dim() > 1], "weight_decay": options.weight_decay},
            {"params": [w for w in self.weights if w.dim() <= 1], "weight_decay": 0.0},
        ]
        return torch.optim.AdamW(groups, options.learning_rate, fused=True)

    def update(self, inputs: Inputs, truth: Floats) -> float:
        """One step from inputs and truths [B, 2] in kilometres; returns the mean negative log-likelihood."""
        said = self.online.say(*map(self.tensor, inputs.tensors.values()))
        loss = -said.log_density(self.tensor(truth)).mean()
        self.descend(loss)
        return float(loss.detach())

    @torch.inference_mode()
    def measure(self, inputs: Inputs, truth: Floats) -> tuple[float, float]:
        """Of the averaged weights: median error in metres, mean negative log-likelihood."""
        said = self.average.say(*map(self.tensor, inputs.tensors.values()))
        place = self.tensor(truth)
        error_km = (said.fix() - place).norm(dim=1).median()
        return float(error_km) * 1000.0, float(-said.log_density(place).mean())

"""Mixtures of Gaussians as networks say them: how likely a place is, and the one place that is best told."""

import math
from typing import NamedTuple

import torch
from torch import Tensor

Outputs = tuple[Tensor, Tensor, Tensor, Tensor]

_MEAN_LOG_MHZ = 2.4  # between the bands of 145 and 435 MHz
_STEPS = 12  # of Weiszfeld's iteration; the fix moved by less than .1 % of the spread in the last


class Mixture(NamedTuple):
    """Of B records, K Gaussians each, in local kilometres.

    log_weights  [B, K], whose exponentials add up to 1
    means        [B, K, 2], east and north
    log_diagonal [B, K, 2], logarithms of a and c
    corner       [B, K], b: the precision is F'F with the factor F = [[a, 0], [b, c]]
    """

    log_weights: Tensor
    means: Tensor
    log_diagonal: Tensor
    corner: Tensor

    def log_density(self, place: Tensor) -> Tensor:
        """Logarithm of the density a square kilometre at places [B, 2]: [B].

        It is not clamped: the worst records must have a gradient as well.
        """
        east, north = (place.unsqueeze(1) - self.means).unbind(-1)
        first, last = self.log_diagonal.exp().unbind(-1)
        squares = (first * east).square() + (self.corner * east + last * north).square()
        each = self.log_weights + self.log_diagonal.sum(-1) - 0.5 * squares - math.log(2.0 * math.pi)
        return torch.logsumexp(each, -1)

    def fix(self) -> Tensor:
        """The place with the least expected distance from the truth, nearly: [B, 2].

        That is the spatial median. The mean lies between two branches where neither is, and a component of weight .01
        that is far away moves it by more than the error.
        """
        if self.means.shape[1] == 1:
            return self.means[:, 0]
        weights, (first, last) = self.log_weights.exp(), self.log_diagonal.exp().unbind(-1)
        variance = first**-2 + last**-2 + (self.corner / (first * last)).square()
        place = (weights.unsqueeze(-1) * self.means).sum(1)
        for _ in range(_STEPS):
            distances = ((self.means - place.unsqueeze(1)).square().sum(-1) + variance).sqrt()
            pull = weights / distances
            place = (pull.unsqueeze(-1) * self.means).sum(1) / pull.sum(1, keepdim=True)
        return place

    def outputs(self) -> Outputs:
        """What a model file answers: weights [B, K], means_km [B, K, 2], factors [B, K, 3] a b c, fix_km [B, 2]."""
        first, last = self.log_diagonal.exp().unbind(-1)
        factors = torch.stack((first, self.corner, last), -1)
        return self.log_weights.exp(), self.means, factors, self.fix()


OUTPUTS = ("weights", "means_km", "factors", "fix_km")


def mixture(raw: Tensor, begin: Tensor, scale_km: float) -> Mixture:
    """Numbers of about 1 [B, K, 6] as a mixture on a scale, from components that begin at ``begin`` [K, 2]."""
    said = spread(raw, begin, scale_km)
    return said._replace(log_weights=torch.log_softmax(said.log_weights, -1))


def spread(raw: Tensor, begin: Tensor, scale_km: float) -> Mixture:
    """The same before the weights add up to 1: their logits."""
    weight, east, north, first, last, corner = raw.unbind(-1)
    return Mixture(
        log_weights=weight,
        means=(torch.stack((east, north), -1) + begin) * scale_km,
        log_diagonal=torch.stack((first, last), -1) + 1.0 - math.log(scale_km),
        corner=corner / scale_km,
    )


def ring(num: int) -> Tensor:
    """Where components begin, [K, 2]: those that begin in one place stay together."""
    angles = torch.arange(num) * (2.0 * math.pi / num)
    return 0.5 * torch.stack((angles.sin(), angles.cos()), 1)


def log_mhz(frequency_mhz: Tensor) -> Tensor:
    """Frequencies as numbers of about 1."""
    return frequency_mhz.clamp(min=1.0).log10() - _MEAN_LOG_MHZ

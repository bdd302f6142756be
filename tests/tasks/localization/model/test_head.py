"""Mixtures as networks say them, against scipy and numpy."""

import numpy as np
import torch
from scipy.stats import multivariate_normal

from pipeline.tasks.localization.infer.answer import parts
from pipeline.tasks.localization.model.head import mixture, ring


def one() -> tuple[torch.Tensor, torch.Tensor]:
    raw = torch.randn(5, 3, 6, generator=torch.Generator().manual_seed(0))
    return raw, torch.randn(5, 2, generator=torch.Generator().manual_seed(1)) * 30.0


def test_density_is_that_of_the_covariances_that_a_row_tells() -> None:
    raw, place = one()
    said = mixture(raw, ring(3), 30.0)
    weights, means, factors, _ = (array.tolist() for array in said.outputs())
    for row in range(5):
        density = 0.0
        for weight, x, y, east, both, north in parts(weights[row], means[row], factors[row]):
            normal = multivariate_normal([x / 1000.0, y / 1000.0], np.array([[east, both], [both, north]]) / 1e6)
            density += weight * normal.pdf(place[row].numpy())
        np.testing.assert_allclose(said.log_density(place)[row].item(), np.log(density), rtol=1e-4)


def test_worst_records_still_have_a_gradient() -> None:
    raw, _ = one()
    raw.requires_grad_(True)
    mixture(raw, ring(3), 30.0).log_density(torch.full((5, 2), 1e4)).sum().backward()
    assert (raw.grad.abs().amax((1, 2)) > 1.0).all()  # type: ignore[union-attr]


def test_a_fix_stays_on_the_likelier_branch_where_the_mean_lies_between() -> None:
    raw = torch.zeros(1, 2, 6)
    raw[0, :, 0] = torch.tensor([0.7, 0.3]).log()
    raw[0, 1, 1] = 10.0  # 100 scales of the components apart
    raw[..., 3:5] = 2.0
    said = mixture(raw, torch.zeros(2, 2), 1.0)
    assert said.fix()[0].norm() < 0.1
    even = raw.clone()
    even[0, :, 0] = 0.0
    assert abs(mixture(even, torch.zeros(2, 2), 1.0).fix()[0, 0] - 5.0) < 0.5


def test_a_fix_of_one_gaussian_is_its_mean() -> None:
    raw, _ = one()
    said = mixture(raw[:, :1], ring(1), 30.0)
    torch.testing.assert_close(said.fix(), said.means[:, 0])

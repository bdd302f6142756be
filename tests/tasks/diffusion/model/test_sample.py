"""Samplers: the schedule to its end, their order, guidance, and images that do not depend on their company."""

import math
from collections.abc import Mapping

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from pipeline.tasks.diffusion.model.network import OwnDenoiser
from pipeline.tasks.diffusion.model.sample import Draw, Settings, sample, schedule
from tests.tasks.diffusion.small_model import small_network


class Gaussian:
    """The exact denoiser of images that are normal with mean ``label`` and standard deviation 0.5 at every place."""

    shape, num_classes, sigma_range, device = (1, 2, 2), 3, (0.0, 80.0), torch.device("cpu")
    layers: Mapping[str, nn.Module] = {}

    def __init__(self) -> None:
        self.asked: list[float] = []

    def forward(self, x: Tensor, sigma: float, labels: Tensor) -> Tensor:
        self.asked.append(sigma)
        mean = torch.where(labels == 3, 0.0, labels.float())[:, None, None, None]
        return mean + (x - mean) * 0.25 / (0.25 + sigma**2)


def exact(noise: np.ndarray, mean: float) -> np.ndarray:
    """Where the flow leads from ``noise`` times 80: the solution of its equation."""
    return mean + (80.0 * noise - mean) * 0.5 / math.sqrt(0.25 + 80.0**2)


def test_a_schedule_falls_from_the_highest_level_to_the_lowest_and_ends_without_noise() -> None:
    levels = schedule(18)
    assert len(levels) == 19 and levels[0] == pytest.approx(80.0) and levels[-2] == pytest.approx(0.002)
    assert levels[-1] == 0.0
    assert levels == sorted(levels, reverse=True)
    assert schedule(1, 0.1, 5.0) == [pytest.approx(5.0), 0.0]


@pytest.mark.parametrize(("sampler", "calls"), [("heun", 35), ("euler", 18), ("stochastic", 35)])
def test_every_step_is_taken_the_last_one_too(sampler: str, calls: int) -> None:
    denoiser = Gaussian()
    (way,) = sample(denoiser, [Draw(1, 5)], Settings(sampler=sampler))  # type: ignore[arg-type]
    assert way.num_evaluations == len(denoiser.asked) == calls
    assert min(denoiser.asked) == pytest.approx(0.002)
    assert len(way.denoised) == len(way.sigmas) == 18


def test_heun_is_of_second_order_and_euler_of_first() -> None:
    noise = np.random.default_rng(7).standard_normal((1, 2, 2))

    def error(sampler: str, num_steps: int) -> float:
        settings = Settings(sampler=sampler, num_steps=num_steps)  # type: ignore[arg-type]
        (way,) = sample(Gaussian(), [Draw(1, 7)], settings)
        return float(np.abs(way.image - exact(noise, 1.0)).max())

    assert error("heun", 18) < 0.03
    assert error("heun", 18) / error("heun", 36) > 3.0  # 4 in the limit
    assert 1.7 < error("euler", 40) / error("euler", 80) < 2.5  # 2 in the limit


def test_the_stochastic_sampler_draws_from_the_distribution() -> None:
    draws = [Draw(2, seed) for seed in range(400)]
    images = np.stack([way.image for way in sample(Gaussian(), draws, Settings(sampler="stochastic", num_steps=40))])
    assert images.mean() == pytest.approx(2.0, abs=0.05)
    assert images.std() == pytest.approx(0.5, abs=0.05)


def test_guidance_takes_what_the_class_changes_so_many_times() -> None:
    def mean(label: int, guidance: float) -> float:
        (way,) = sample(Gaussian(), [Draw(label, 0, "zero")], Settings(guidance=guidance, num_steps=60))
        return float(way.image.mean())

    assert mean(2, 1.0) == pytest.approx(2.0, abs=0.02)
    assert mean(2, 3.0) == pytest.approx(6.0, abs=0.06)
    assert mean(2, 0.0) == mean(3, 1.0) == pytest.approx(0.0, abs=1e-6)


def test_an_image_is_the_same_alone_and_in_any_company() -> None:
    denoiser = OwnDenoiser(small_network())
    draws = [Draw(k % 4, 100 + k) for k in range(11)]
    for sampler in ("heun", "stochastic"):
        settings = Settings(sampler=sampler, num_steps=4, guidance=1.5)  # type: ignore[arg-type]
        together = [way.image.tobytes() for way in sample(denoiser, draws, settings)]
        alone = [next(sample(denoiser, [draw], settings)).image.tobytes() for draw in draws]
        turned = [way.image.tobytes() for way in sample(denoiser, draws[::-1], settings)][::-1]
        assert together == alone == turned
        assert len(set(together)) == len(draws)

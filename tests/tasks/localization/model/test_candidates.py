"""Classical solutions as candidates: the truth is among them, whoever is wrong; the set network is blind to order."""

import dataclasses

import numpy as np
import torch

from pipeline.tasks.localization import geo
from pipeline.tasks.localization.measured import Measured, of_batch
from pipeline.tasks.localization.model.brain import brain_spec
from pipeline.tasks.localization.model.candidates import find_candidates
from pipeline.tasks.localization.model.inputs import network_inputs
from pipeline.tasks.localization.model.network import build
from pipeline.tasks.localization.recipe import World
from pipeline.tasks.localization.train.batches import Simulated
from pipeline.tasks.localization.train.trainer import make_brain
from pipeline.tasks.localization.world.draw import draw_batch
from tests.tasks.localization.small import RECIPES, recipe

EXACT = World(tier="times", jitter_factor=1e-9)


def measured(kind: str, num: int = 300) -> Measured:
    return of_batch(draw_batch(num, EXACT, (kind,), np.random.default_rng(0)))  # type: ignore[arg-type]


def nearest_m(some: Measured) -> np.ndarray:
    found = find_candidates(some)
    distance = geo.distance_m(found.places, some.truth[:, None])
    return np.where(found.valid, distance, np.inf).min(1)


def test_the_truth_is_a_candidate_where_times_are_exact() -> None:
    some = measured("clean")
    heard = some.heard.sum(1)
    assert np.mean(nearest_m(some)[heard >= 4] < 1.0) > 0.97
    assert np.mean(nearest_m(some)[heard == 3] < 100.0) > 0.85  # one of two branches; where they meet, none is sharp


def test_it_is_one_where_any_receiver_is_wrong_and_four_others_are_not() -> None:
    for kind in ("one_late_3us", "one_early_3us", "one_late_30us"):
        some = measured(kind)
        assert np.mean(nearest_m(some)[some.heard.sum(1) >= 5] < 1.0) > 0.97


def test_a_network_of_any_receivers_is_blind_to_their_order() -> None:
    wanted = recipe(RECIPES["any"])
    brain = make_brain(wanted, Simulated(wanted))
    module = build(brain_spec(brain), torch.Generator().manual_seed(0))
    some, order = measured("one_late_3us", 20), np.array([3, 0, 6, 2, 5, 1, 4])
    by_receiver = ("places", "heard", "level_dbm", "arrival_ns", "sigma_ns")
    turned = dataclasses.replace(some, **{name: getattr(some, name)[:, order] for name in by_receiver})
    fixes = [ask(module, network_inputs(brain, one).tensors) for one in (some, turned)]
    torch.testing.assert_close(*fixes, rtol=1e-3, atol=1e-2)


@torch.inference_mode()
def ask(module: torch.nn.Module, tensors: dict[str, np.ndarray]) -> torch.Tensor:
    fix: torch.Tensor = module(**{name: torch.from_numpy(one) for name, one in tensors.items()})[3]
    return fix

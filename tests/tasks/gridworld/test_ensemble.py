"""Several models that act as one: whose action is taken, how far they differ, and what the rows say of it."""

import copy
from pathlib import Path

import numpy as np
import pytest
import torch
from msgspec import UNSET

from pipeline import load_model
from pipeline.contract.jobs import EnsembleRule, InferJob
from pipeline.errors import UserError
from pipeline.files import encode, write_all
from pipeline.tasks.gridworld.evaluate.score import evaluate, measure_records
from pipeline.tasks.gridworld.infer.predict import predict
from pipeline.tasks.gridworld.model.ensemble import GridworldEnsemble, combine
from pipeline.tasks.gridworld.model.model import GridworldModel
from pipeline.tasks.gridworld.recipe import Evaluate, Infer
from pipeline.tasks.gridworld.rows import GridworldExample, GridworldPrediction
from tests.conftest import ROOT, Baton

PRETRAINED = ROOT / "runs/pretrained/gridworld"
RULES: tuple[EnsembleRule, ...] = ("mean", "vote", "least_disagreement")
ALL = np.ones((1, 3), np.bool_)


def members(name: str, num: int = 3) -> list[GridworldModel]:
    """A pretrained model, and others that are it with noise on their weights."""
    found = [load_model(PRETRAINED / f"{name}.inference_v1")]
    for seed in range(1, num):
        module, generator = copy.deepcopy(found[0].module), torch.Generator().manual_seed(seed)
        with torch.no_grad():
            for weights in module.parameters():
                weights += 0.03 * torch.randn(weights.shape, generator=generator)
        found.append(GridworldModel(module, found[0].brain, found[0].metadata, f"{seed:064d}"))
    return found


def play(model: object, level: str, batch_size: int = 4) -> list[GridworldPrediction]:
    examples = [GridworldExample(id=f"{n}", level=level, seed=n, multiplier=20.0 + n) for n in range(4)]
    options = Infer(num_traces=1, batch_size=batch_size)
    report = lambda done, total, facts: None  # noqa: E731
    return list(predict(InferJob(model, examples, 0, options, "cpu", report)))


def test_values_are_averaged_after_scaling_so_that_no_scale_outweighs_the_others() -> None:
    """The third model's scale is a thousand times that of the others, who both want action 0."""
    q = np.array([[[3.0, 2.0, 1.0], [3.0, 1.0, 2.0], [0.0, 1000.0, 2000.0]]], np.float32)
    scores, spread = combine(q, ALL, "mean")
    assert (scores.argmax(), q.mean(axis=1).argmax()) == (0, 2)
    assert spread[0] == pytest.approx(
        np.std([[1.2247, 0, -1.2247], [1.2247, -1.2247, 0], [-1.2247, 0, 1.2247]], axis=0), abs=1e-4
    )


def test_a_vote_goes_to_the_majority_and_the_mean_decides_between_equals() -> None:
    majority = np.array([[[3.0, 2.9, 0.0], [3.0, 2.9, 0.0], [-9.0, 9.0, 0.0]]], np.float32)
    assert (combine(majority, ALL, "vote")[0].argmax(), combine(majority, ALL, "mean")[0].argmax()) == (0, 1)
    equal = np.array([[[3.0, 2.9, 0.0], [0.0, 3.0, -3.0]]], np.float32)
    assert combine(equal, ALL, "vote")[0].argmax() == 1


def test_the_least_disagreement_is_sought_among_actions_that_a_member_would_take() -> None:
    """All agree that action 2 is worst; of the favourites 0 and 1 they agree more on 1."""
    q = np.array([[[3.0, 2.8, -5.0], [0.0, 3.0, -5.0]]], np.float32)
    scores, spread = combine(q, ALL, "least_disagreement")
    assert (spread.argmin(), scores.argmax()) == (2, 1)


@pytest.mark.parametrize("rule", RULES)
def test_an_action_that_is_not_allowed_is_neither_scaled_with_nor_voted_for(rule: EnsembleRule) -> None:
    q = np.array([[[99.0, 2.0, 1.0], [99.0, 2.0, 1.0]]], np.float32)
    mask = np.array([[False, True, True]])
    scores, spread = combine(q, mask, rule)
    assert np.where(mask, scores, -np.inf).argmax() == 1
    assert np.isfinite(scores).all() and (spread == 0.0).all()


@pytest.mark.parametrize("rule", RULES)
def test_rows_are_the_same_in_any_batch_and_any_order_of_members(rule: EnsembleRule) -> None:
    models = members("full")
    rows = play(GridworldEnsemble(models, rule), "full")
    assert all(row.uncertainty is not UNSET and row.uncertainty > 0.0 for row in rows)
    assert list(map(encode, rows)) == list(map(encode, play(GridworldEnsemble(models[::-1], rule), "full", 1)))


def test_a_model_alone_leaves_the_uncertainty_out() -> None:
    assert b"uncertainty" not in encode(play(members("full", 1)[0], "full")[0])


@pytest.mark.parametrize("rule", RULES)
def test_members_that_agree_act_like_each_of_them_with_their_own_memory(rule: EnsembleRule) -> None:
    """The recurrent model of level partial, under two names: it needs a hidden state each."""
    (model,) = members("partial", 1)
    assert model.hidden_size
    twin = GridworldModel(model.module, model.brain, model.metadata, "f" * 64)
    for alone, together in zip(
        play(model, "partial"), play(GridworldEnsemble([model, twin], rule), "partial"), strict=True
    ):
        assert (together.num_steps, together.wellbeing, together.uncertainty) == (alone.num_steps, alone.wellbeing, 0.0)


def test_the_name_of_an_ensemble_is_a_hash_of_its_members_and_its_rule() -> None:
    models = members("full")
    names = {GridworldEnsemble(chosen, rule).weights_hash for rule in RULES for chosen in (models, models[:2])}
    assert len(names) == 6


def test_members_must_differ_and_see_the_same() -> None:
    (model,) = members("full", 1)
    with pytest.raises(UserError, match="are one model"):
        GridworldEnsemble([model, model], "mean")
    with pytest.raises(UserError, match="do not see the same"):
        GridworldEnsemble([model, members("temporal", 1)[0]], "mean")


def test_evaluate_tells_the_uncertainty_and_whether_it_warns() -> None:
    rows = play(GridworldEnsemble(members("full"), "mean"), "full")
    found = {(m.name, m.statistic): m for m in evaluate(rows, Evaluate()).metrics if m.slice_by == "all"}
    mean = found["uncertainty", "mean"]
    assert mean.value == pytest.approx(np.mean([row.uncertainty for row in rows]))
    warning = found["uncertainty_warning", "rank_correlation"]
    order = lambda values: np.argsort(np.argsort(values))  # noqa: E731
    ranks = order([row.uncertainty for row in rows]), order([row.wellbeing for row in rows])
    assert warning.value == pytest.approx(np.corrcoef(*ranks)[0, 1])
    assert warning.low is not None and warning.low <= warning.value
    assert "uncertainty" in measure_records(rows, Evaluate()).values
    alone = play(members("full", 1)[0], "full")
    assert not any("uncertainty" in m.name for m in evaluate(alone, Evaluate()).metrics)


def test_the_command_takes_several_models_and_says_what_is_missing(baton: Baton, tmp_path: Path) -> None:
    write_all(tmp_path / "x.jsonl", [GridworldExample(id="a", level="full", seed=1, multiplier=1.0)])
    models = ("--model", str(PRETRAINED / "full.inference_v1"), "--model", str(PRETRAINED / "temporal.inference_v1"))
    asked = ("infer", "gridworld", "--input", str(tmp_path / "x.jsonl"), "--out", str(tmp_path / "out"))
    assert "how they answer together" in baton(*asked, *models).err
    assert "needs two models" in baton(*asked, *models[:2], "--ensemble", "vote").err
    assert "do not see the same" in baton(*asked, *models, "--ensemble", "vote").err
    assert "answers by itself" in baton(*asked, *models, "--ensemble", "vote", "--replay", "texts.jsonl").err
    other = baton("infer", "detection", *asked[2:], *models, "--ensemble", "mean")
    assert (other.code, "no ensembles" in other.err) == (2, True)

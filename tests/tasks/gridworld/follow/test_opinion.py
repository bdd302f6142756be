"""A second model's Q-values for a recorded episode: the model that played it must say again what it said then."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from pipeline.contract.model import ExportParts
from pipeline.errors import UserError
from pipeline.model.brain import compile_brain
from pipeline.model.file import load_model, save_model
from pipeline.tasks.gridworld.follow import opinion as live_model
from pipeline.tasks.gridworld.follow.opinion import open_model
from pipeline.tasks.gridworld.infer.rollout import Scenarios, play
from pipeline.tasks.gridworld.rows import GridworldEpisode
from pipeline.tasks.gridworld.town.observe import Encoding, observation_size
from pipeline.tasks.gridworld.town.rules import PACKED, REWARDS, find_level
from pipeline.tasks.gridworld.town.step import TownBatch
from pipeline.tasks.gridworld.town.trace import build_trace
from schemas.brain import BrainSpec
from tests.conftest import ROOT
from tests.tasks.gridworld.fake_episodes import Play
from tests.tasks.gridworld.fake_episodes import play as play_script
from tests.tasks.gridworld.literal_rows import episode

FEEDFORWARD = {"type": "dueling", "hidden": [16], "stream": [8]}
RECURRENT = {"type": "recurrent", "encoder": [16], "hidden_size": 12, "head": [8]}


def save(path: Path, level: str, encoding: Encoding, network: dict[str, Any]) -> Path:
    """A model file with random weights."""
    size = observation_size(level, encoding)
    brain = BrainSpec(task="gridworld", input_size=size, output_size=8, network=network)
    module = compile_brain(brain, torch.Generator().manual_seed(1))
    golden = {"observations": torch.zeros(1, 1, size), "resets": torch.zeros(1, 1, dtype=torch.bool)}
    metadata = {"task": "gridworld", "recipe": {"environment": {"level": level, "encoding": encoding}}}
    save_model(path, ExportParts(brain, module.state_dict(), metadata, golden))
    return path


def record(path: Path, level: str, encoding: Encoding) -> GridworldEpisode:
    """An episode that the model plays, half of its actions at random."""
    model: Any = load_model(path)

    def answer(observations: np.ndarray[Any, Any], hidden: Any) -> tuple[Any, Any]:
        decision = model.predict(observations, hidden=hidden)
        return decision.q_values, decision.hidden

    one = np.array([3], dtype=np.uint64)
    scenarios = Scenarios(find_level(level), encoding, one, np.ones(1), one)
    (played,) = play(answer, scenarios, epsilon=0.5, num_traces=1)
    assert played.recorded is not None
    rules = find_level(level)
    fields = {"size": rules.size, "window": rules.window, "cap": rules.cap, "reward_components": list(REWARDS)}
    return episode(
        *build_trace(played.recorded, rules), **played.account, level=level, grid_places=played.grid_places, **fields
    )


@pytest.mark.parametrize(
    ("level", "encoding", "network"),
    [
        ("full", "places", FEEDFORWARD),
        ("full", "grid", FEEDFORWARD),
        ("temporal", "memory", FEEDFORWARD),
        ("partial", "window", RECURRENT),
        ("temporal", "memory", RECURRENT),
    ],
)
def test_the_model_that_played_says_again_what_it_said(
    tmp_path: Path, level: str, encoding: Encoding, network: dict[str, Any]
) -> None:
    path = save(tmp_path / "model.inference_v1", level, encoding, network)
    row = record(path, level, encoding)
    assert len(row.trace) > 50
    again = open_model(path)(row)
    recorded = [step.q for step in row.trace]
    np.testing.assert_allclose(again, np.array(recorded), atol=1e-3)  # meters are recorded to four decimals
    assert np.ptp(np.array(again), axis=0).max() > 0.01  # and the answers do depend on the state


@pytest.mark.parametrize("level", ["full", "partial", "temporal"])
def test_recorded_steps_give_back_the_packed_states(level: str, monkeypatch: pytest.MonkeyPatch) -> None:
    states: list[np.ndarray[Any, Any]] = []
    step = TownBatch.step

    def spy(town: TownBatch, actions: Any) -> None:
        states.append(town.packed[0].copy())
        step(town, actions)

    monkeypatch.setattr(TownBatch, "step", spy)
    row = play_script(Play(level=level, seed=5, skill=0.7, max_steps=120))
    rebuilt = live_model.packed_rows(row, find_level(level))
    np.testing.assert_allclose(rebuilt, np.stack(states), atol=1e-4)
    assert (rebuilt[:, PACKED.seen] == np.stack(states)[:, PACKED.seen]).all()


def test_a_model_of_another_task_is_refused() -> None:
    with pytest.raises(UserError, match="of task 'detection', not of 'gridworld'"):
        open_model(ROOT / "runs/pretrained/detection/full.inference_v1")


def test_a_model_of_another_level_is_refused_when_an_episode_is_shown(tmp_path: Path) -> None:
    opinion = open_model(save(tmp_path / "m", "minimal", "grid", FEEDFORWARD))
    with pytest.raises(UserError, match="does not fit level 'full'"):
        opinion(play_script(Play(level="full", seed=5, max_steps=3)))


def test_a_model_that_does_not_say_how_it_sees_is_refused(tmp_path: Path) -> None:
    brain = BrainSpec(task="gridworld", input_size=6, output_size=8, network=FEEDFORWARD)
    golden = {"observations": torch.zeros(1, 1, 6), "resets": torch.zeros(1, 1, dtype=torch.bool)}
    weights = compile_brain(brain, torch.Generator().manual_seed(1)).state_dict()
    save_model(tmp_path / "m", ExportParts(brain, weights, {"task": "gridworld"}, golden))
    with pytest.raises(UserError, match="how it sees"):
        open_model(tmp_path / "m")


def test_an_episode_without_steps_has_no_values(tmp_path: Path) -> None:
    opinion = open_model(save(tmp_path / "m", "full", "places", FEEDFORWARD))
    assert opinion(episode(level="full")) == []

"""Checkpoints of version 3: both networks answer as before, step by step; what is missing is named key by key."""

import collections
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from pipeline import load_model
from pipeline.contract.jobs import InferJob
from pipeline.errors import UserError
from pipeline.export import export_model
from pipeline.tasks.gridworld.infer.predict import predict
from pipeline.tasks.gridworld.recipe import Infer
from pipeline.tasks.gridworld.rows import GridworldExample
from tests.model.checkpoint_parts import A, save

PARTIAL = {"level": "partial", "encoding": "occupancy"}


class Simple(nn.Module):
    def __init__(self, num_inputs: int, width: int = 128) -> None:
        super().__init__()
        self.net = nn.Sequential(
            nn.Linear(num_inputs, width),
            nn.LayerNorm(width),
            nn.ReLU(),
            nn.Linear(width, width),
            nn.LayerNorm(width),
            nn.ReLU(),
            nn.Linear(width, A),
        )

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        q: torch.Tensor = self.net(x)
        return q


class Spatial(nn.Module):
    """Window of 25 cells, position, 8 meters, place underfoot of 15: the first 50 numbers."""

    def __init__(self) -> None:
        super().__init__()
        self.vision_encoder = nn.Sequential(
            nn.Conv2d(1, 16, 3, padding=1),
            nn.ReLU(),
            nn.Conv2d(16, 32, 3, padding=1),
            nn.ReLU(),
            nn.Flatten(),
            nn.Linear(32 * 25, 128),
            nn.LayerNorm(128),
            nn.ReLU(),
        )
        self.position_encoder = nn.Sequential(nn.Linear(2, 32), nn.ReLU())
        self.meter_encoder = nn.Sequential(nn.Linear(8, 32), nn.ReLU())
        self.affordance_encoder = nn.Sequential(nn.Linear(15, 32), nn.ReLU())
        self.lstm = nn.LSTM(224, 256, batch_first=True)
        self.lstm_norm = nn.LayerNorm(256)
        self.q_head = nn.Sequential(nn.Linear(256, 128), nn.LayerNorm(128), nn.ReLU(), nn.Linear(128, A))

    def forward(self, x: torch.Tensor, hidden: Any) -> tuple[torch.Tensor, Any]:
        """One step: x [B, 50 or more] -> q [B, A], next hidden state."""
        window, position, meters, place = x[:, :50].split([25, 2, 8, 15], dim=1)
        parts = [self.vision_encoder(window.view(-1, 1, 5, 5)), self.position_encoder(position)]
        parts += [self.meter_encoder(meters), self.affordance_encoder(place)]
        out, hidden = self.lstm(torch.cat(parts, 1).unsqueeze(1), hidden)
        return self.q_head(self.lstm_norm(out.squeeze(1))), hidden


def version_3(network: nn.Module, network_type: str, obs_dim: int, **changes: Any) -> dict[str, Any]:
    """As it is saved there, with weights of which no two are alike."""
    generator = torch.Generator().manual_seed(4)
    for parameter in network.parameters():
        nn.init.normal_(parameter, std=0.1, generator=generator)
    return {
        "version": 3,
        "episode": 1200,
        "timestamp": 1.7e9,
        "substrate_metadata": {"position_dim": 2, "substrate_type": "grid2d"},
        "population_state": {
            "q_network": network.state_dict(),
            "target_network": network.state_dict(),
            "optimizer": torch.optim.Adam(network.parameters()).state_dict(),
            "scheduler": None,
            "total_steps": 345_678,
            "training_step_counter": 100,
            "exploration_state": {"rnd": torch.zeros(3)},
            "universe_metadata": {"meter_count": 8, "obs_dim": obs_dim, "action_dim": A},
            "replay_buffer": {"observations": torch.zeros(10, obs_dim)},
        },
        "curriculum_state": {"stages": torch.ones(4)},
        "affordance_layout": {"positions": {"Bed": [1, 2]}},
        "agent_ids": ["agent_0"],
        "epsilon": 0.07,
        "training_config": {"population": {"network_type": network_type}},
        "config_dir": "configs/level",
        "brain_hash": "ab" * 32,
        "observation_dim": obs_dim,
        "action_dim": A,
        "meter_count": 8,
        "observation_field_uuids": ["0" * 16],
        **changes,
    }


def rows(*shape: int) -> torch.Tensor:
    return torch.rand(*shape, generator=torch.Generator().manual_seed(5))


@pytest.mark.parametrize(
    ("size", "level", "encoding"), [(121, "full", "occupancy"), (36, "minimal", "occupancy_short")]
)
def test_the_simple_network_answers_as_before_and_plays(tmp_path: Path, size: int, level: str, encoding: str) -> None:
    network = Simple(size)
    path = save(tmp_path / "c", version_3(network, "simple", size))
    made = export_model(path, tmp_path / "m", task="gridworld", environment={"level": level, "encoding": encoding})
    assert made.source_format == "version 3"
    model = load_model(tmp_path / "m")
    with torch.no_grad():
        np.testing.assert_allclose(model.predict(rows(5, size)).q_values, network(rows(5, size)), atol=1e-5)
    assert (model.metadata["step"], model.metadata["episode"], model.metadata["epsilon"]) == (345_678, 1200, 0.07)
    assert play(tmp_path / "m", level).num_steps > 0


def test_the_recurrent_network_answers_as_before_over_a_sequence(tmp_path: Path) -> None:
    network = Spatial()
    path = save(tmp_path / "c", version_3(network, "recurrent", 121))
    made = export_model(path, tmp_path / "m", task="gridworld", environment=PARTIAL)
    assert any("read at 64, 89, 94, 102" in sentence for sentence in made.filled_in)
    model = load_model(tmp_path / "m")
    ours = theirs = None
    largest = 0.0
    for x in rows(20, 3, 121):
        decision = model.predict(x, hidden=ours)
        with torch.no_grad():
            expected, theirs = network(torch.cat([x[:, 64:91], x[:, 94:117]], 1), theirs)
        largest = max(largest, float(np.abs(decision.q_values - expected.numpy()).max()))
        ours = decision.hidden
    assert largest < 1e-5
    np.testing.assert_allclose(ours, torch.cat([theirs[0][0], theirs[1][0]], 1), atol=1e-5)
    assert play(tmp_path / "m", "partial").num_steps > 0


def test_a_recurrent_network_of_54_numbers_reads_them_from_the_first_on(tmp_path: Path) -> None:
    network = Spatial()
    path = save(tmp_path / "c", version_3(network, "recurrent", 54))
    made = export_model(path, tmp_path / "m", task="gridworld")
    assert any("the first 50 numbers, in this order" in sentence for sentence in made.filled_in)
    with torch.no_grad():
        expected, _ = network(rows(2, 54), None)
    np.testing.assert_allclose(load_model(tmp_path / "m").predict(rows(2, 54)).q_values, expected, atol=1e-5)


def play(model: Path, level: str) -> Any:
    example = GridworldExample(id="a", level=level, seed=1, multiplier=1.0)
    return next(predict(InferJob(load_model(model), [example], 0, Infer(), "cpu", lambda done, total, facts: None)))


def test_what_the_checkpoint_does_not_say_is_named_by_its_key(tmp_path: Path) -> None:
    contents = version_3(Spatial(), "recurrent", 121)
    del contents["epsilon"], contents["observation_dim"], contents["population_state"]["total_steps"]
    contents["population_state"]["universe_metadata"] = {}
    made = export_model(save(tmp_path / "c", contents), tmp_path / "m", task="gridworld", environment=PARTIAL)
    assert list(made.filled_in)[:5] == [
        "step: not told (population_state.total_steps is missing)",
        "epsilon: not told (epsilon is missing)",
        "observation_dim: not told (observation_dim, population_state.universe_metadata.obs_dim is missing)",
        "observation: the checkpoint does not say what its numbers mean; what is said here does (--trained-in)",
        "network.observation_dim: 121 (params do not say it)",
    ]


@pytest.mark.parametrize(
    ("change", "what"),
    [
        ({"population_state": {}}, "lacks population_state.q_network"),
        ({"training_config": {}}, "lacks training_config.population.network_type"),
        ({"version": None, "population_state": {}}, "lacks version, population_state.q_network"),
        ({"version": 2}, "version is 2; known is 3"),
        ({"observation_dim": "many"}, "observation_dim is 'many', not a number"),
        ({"observation_dim": 91}, "observation_dim is 91, but the network takes 121"),
    ],
)
def test_a_checkpoint_that_lacks_what_is_needed_is_refused(tmp_path: Path, change: dict[str, Any], what: str) -> None:
    path = save(tmp_path / "c", version_3(Simple(121), "simple", 121, **change))
    with pytest.raises(UserError, match=what):
        export_model(path, tmp_path / "m", task="gridworld")


def test_missing_and_unknown_layers_are_named(tmp_path: Path) -> None:
    contents = version_3(Spatial(), "recurrent", 121)
    weights = contents["population_state"]["q_network"]
    del weights["lstm_norm.bias"], weights["vision_encoder.2.weight"]
    weights["temporal_encoder.0.weight"] = torch.zeros(2, 2)
    with pytest.raises(UserError) as caught:
        export_model(save(tmp_path / "c", contents), tmp_path / "m", task="gridworld")
    assert "lacks lstm_norm.bias, vision_encoder.2.weight and has temporal_encoder.0.weight" in caught.value.what


def test_a_layer_of_another_shape_is_named(tmp_path: Path) -> None:
    for name, weight in (("vision_encoder.0", torch.zeros(16, 1, 5, 5)), ("vision_encoder.5", torch.zeros(3))):
        contents = version_3(Spatial(), "recurrent", 121)
        contents["population_state"]["q_network"][f"{name}.weight"] = weight
        with pytest.raises(UserError, match=rf"{name} has a weight of shape \["):
            export_model(save(tmp_path / "c", contents), tmp_path / "m", task="gridworld")


class Trap:
    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[Any, tuple[Any, ...]]:
        return shutil.copyfile, (__file__, str(self.path))


def test_objects_beside_the_weights_are_not_read_and_nothing_of_them_is_run(tmp_path: Path) -> None:
    path = save(tmp_path / "c", version_3(Simple(121), "simple", 121, curriculum_state=Trap(tmp_path / "run")))
    made = export_model(path, tmp_path / "m", task="gridworld")
    assert not (tmp_path / "run").exists()
    assert any(sentence.startswith("not read: objects of shutil.copyfile") for sentence in made.filled_in)
    several = {
        "a": collections.Counter([1]),
        "e": collections.deque([1.0]),
        "f": collections.defaultdict(list, {1: [2]}),
        "b": np.float64(0.5),
        "c": np.zeros(3),
        "d": Path("x"),
    }
    path = save(tmp_path / "c", version_3(Simple(121), "simple", 121, curriculum_state=several))
    export_model(path, tmp_path / "m", task="gridworld")

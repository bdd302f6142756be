"""checkpoint_v0: old networks answer as before, what was filled in is said, and what cannot be read is refused."""

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
from tests.model.checkpoint_parts import SIZE, TOWN, A, observations, save


class OldDueling(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.shared = nn.Sequential(nn.Linear(SIZE, 12), nn.ELU(), nn.Linear(12, 10), nn.ELU())
        self.value_stream = nn.Sequential(nn.Linear(10, 6), nn.ELU(), nn.Linear(6, 1))
        self.advantage_stream = nn.Sequential(nn.Linear(10, 6), nn.ELU(), nn.Linear(6, A))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = self.shared(x)
        advantage: torch.Tensor = self.advantage_stream(x)
        value: torch.Tensor = self.value_stream(x)
        return value + advantage - advantage.mean(-1, keepdim=True)


class OldRecurrent(nn.Module):
    def __init__(self, cell: type[nn.LSTM] | type[nn.GRU], *, dueling: bool = False, wrapped: bool = True) -> None:
        super().__init__()
        self.encoder = nn.Sequential(nn.Linear(SIZE, 10), nn.LayerNorm(10), nn.ReLU()) if wrapped else nn.Identity()
        self.rnn = cell(10 if wrapped else SIZE, 7, batch_first=True)
        self.head = nn.Sequential(nn.Linear(7, 6), nn.LayerNorm(6), nn.ReLU()) if wrapped else nn.Identity()
        width = 6 if wrapped else 7
        self.last = nn.ModuleDict({"value": nn.Linear(width, 1)} if dueling else {})
        self.last["advantage" if dueling else "q"] = nn.Linear(width, A)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """x [B, T, D] -> [B, T, A]."""
        out, _ = self.rnn(self.encoder(x))
        out = self.head(out)
        if "q" in self.last:
            q: torch.Tensor = self.last["q"](out)
            return q
        advantage, value = self.last["advantage"](out), self.last["value"](out)
        return value + advantage - advantage.mean(-1, keepdim=True)  # type: ignore[no-any-return]  # modules are untyped


def old_simple() -> nn.Module:
    return nn.Sequential(
        nn.Linear(SIZE, 12), nn.LayerNorm(12), nn.ReLU(), nn.Linear(12, 9), nn.LayerNorm(9), nn.ReLU(), nn.Linear(9, A)
    )


def checkpoint_v0(network: nn.Module, network_type: str, **changes: Any) -> dict[str, Any]:
    """With weights that are not those of an initialisation, so that no two of a kind can be mixed up unseen."""
    generator = torch.Generator().manual_seed(4)
    for parameter in network.parameters():
        nn.init.normal_(parameter, std=0.3, generator=generator)
    optimizer = torch.optim.Adam(network.parameters()).state_dict()
    contents = {"state_dict": network.state_dict(), "network_type": network_type, "params": {}, "optimizer": optimizer}
    return contents | {"replay": [(torch.zeros(3), 1, 0.5)]} | changes


@pytest.mark.parametrize(
    ("network", "kind", "params"),
    [
        (old_simple(), "simple", {"hidden_dims": [12, 9]}),
        (nn.Sequential(nn.Linear(SIZE, A)), "simple", {}),
        (OldDueling(), "dueling", {"activation": "ELU"}),
    ],
)
def test_an_old_network_answers_as_before(
    tmp_path: Path, network: nn.Module, kind: str, params: dict[str, Any]
) -> None:
    path = save(tmp_path / "c", checkpoint_v0(network, kind, params=params))
    made = export_model(path, tmp_path / "m", task="gridworld", environment=TOWN)
    assert made.source_format == "checkpoint_v0"
    with torch.no_grad():
        expected = network(observations()).numpy()
    found = load_model(tmp_path / "m").predict(observations().numpy()).q_values
    np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("cell", [nn.LSTM, nn.GRU])
@pytest.mark.parametrize("dueling", [False, True])
@pytest.mark.parametrize("wrapped", [False, True])
def test_an_old_recurrent_network_remembers_as_before(
    tmp_path: Path, cell: type[nn.LSTM] | type[nn.GRU], dueling: bool, wrapped: bool
) -> None:
    network = OldRecurrent(cell, dueling=dueling, wrapped=wrapped)
    contents = checkpoint_v0(network, "recurrent")
    export_model(save(tmp_path / "c", contents), tmp_path / "m", task="gridworld", environment=TOWN)
    model = load_model(tmp_path / "m")
    sequence = torch.rand(3, 4, SIZE, generator=torch.Generator().manual_seed(5))
    with torch.no_grad():
        expected = network(sequence).numpy()
    hidden = None
    for step in range(4):
        out = model.predict(sequence[:, step].numpy(), hidden=hidden)
        np.testing.assert_allclose(out.q_values, expected[:, step], rtol=1e-4, atol=1e-5)
        hidden = out.hidden


def test_what_was_filled_in_is_said_and_stays_in_the_file(tmp_path: Path) -> None:
    contents = checkpoint_v0(old_simple(), "simple", params={"learning_rate": 1e-3}, episode=42, epsilon=0.05)
    made = export_model(save(tmp_path / "c", contents), tmp_path / "m", task="gridworld")
    assert list(made.filled_in) == [
        "network.activation: 'relu' (params do not say it)",
        "network.dropout: 0.0 (params do not say it)",
        "step: 0 (the checkpoint does not say it)",
        "params.learning_rate is not used",
        "level and encoding: not known, so the file does not describe its input and infer cannot use it",
    ]
    about = load_model(tmp_path / "m").metadata
    assert about["filled_in"] == list(made.filled_in)
    assert (about["episode"], about["epsilon"], about["step"]) == (42, 0.05, 0)


def test_infer_says_that_a_model_without_encoding_cannot_be_used(tmp_path: Path) -> None:
    export_model(save(tmp_path / "c", checkpoint_v0(old_simple(), "simple")), tmp_path / "m", task="gridworld")
    example = GridworldExample(id="a", level="full", seed=1, multiplier=1.0)
    job = InferJob(load_model(tmp_path / "m"), [example], 0, Infer(), "cpu", lambda done, total, facts: None)
    with pytest.raises(UserError, match="does not say how its observations are encoded"):
        next(predict(job))


def test_nothing_is_filled_in_that_the_checkpoint_says(tmp_path: Path) -> None:
    params = {"activation": "tanh", "dropout": 0.1}
    contents = checkpoint_v0(old_simple(), "simple", params=params, step=7)
    made = export_model(save(tmp_path / "c", contents), tmp_path / "m", task="gridworld", environment=TOWN)
    assert made.filled_in == ()
    assert load_model(tmp_path / "m").brain.network["activation"] == "tanh"


def _lacking(network: nn.Module, *names: str) -> dict[str, Any]:
    return {k: v for k, v in network.state_dict().items() if k not in names}


@pytest.mark.parametrize(
    ("contents", "what"),
    [
        (checkpoint_v0(old_simple(), "transformer"), "network_type is 'transformer'; known are simple, dueling"),
        (checkpoint_v0(old_simple(), "simple", state_dict={}), "state_dict is not a dict of tensors"),
        (checkpoint_v0(old_simple(), "simple", state_dict={"a.weight": 3}), "something else than float tensors"),
        (checkpoint_v0(old_simple(), "simple", params=[1]), "params is not a dict"),
        (checkpoint_v0(nn.Sequential(nn.Conv1d(1, 4, 3)), "simple"), "0 is neither a linear layer nor"),
        (checkpoint_v0(nn.Sequential(nn.LayerNorm(4)), "simple"), "0 is neither a linear layer nor"),
        (checkpoint_v0(nn.Sequential(nn.Linear(SIZE, 8, bias=False)), "simple"), "0 is neither a linear layer nor"),
        (checkpoint_v0(nn.Sequential(nn.Linear(SIZE, 9), nn.Linear(5, A)), "simple"), "1 takes 5 numbers, but"),
        (checkpoint_v0(nn.Sequential(nn.Linear(SIZE, 3)), "simple"), "has 3 outputs; gridworld has 8 actions"),
        (checkpoint_v0(old_simple(), "simple", state_dict=_lacking(old_simple(), "1.weight", "1.bias")), "LayerNorm"),
        (checkpoint_v0(old_simple(), "simple", params={"hidden_dims": [12, 8]}), "but the tensors have"),
        (checkpoint_v0(old_simple(), "simple", params={"activation": "swishy"}), "cannot be 'swishy'"),
        (checkpoint_v0(old_simple(), "dueling"), "a dueling network has a trunk"),
        (checkpoint_v0(old_simple(), "recurrent"), "one LSTM or GRU"),
        (checkpoint_v0(nn.LSTM(SIZE, 8, num_layers=2), "recurrent"), "one LSTM or GRU"),
        (checkpoint_v0(nn.GRU(SIZE, 8, bidirectional=True), "recurrent"), "one LSTM or GRU"),
        (checkpoint_v0(OldRecurrent(nn.GRU), "recurrent", params={"cell": "lstm"}), "params.cell is 'lstm'"),
        (checkpoint_v0(OldRecurrent(nn.GRU), "recurrent", params={"hidden_size": 9}), "params.hidden_size is 9"),
    ],
)
def test_an_old_checkpoint_that_has_no_brain_spec_is_refused(
    tmp_path: Path, contents: dict[str, Any], what: str
) -> None:
    with pytest.raises(UserError, match=what) as caught:
        export_model(save(tmp_path / "c", contents), tmp_path / "m", task="gridworld", environment=TOWN)
    assert str(tmp_path / "c") in str(caught.value)


@pytest.mark.parametrize("environment", [{"level": "full"}, {"levle": "full", "encoding": "grid"}])
def test_where_it_was_trained_is_told_in_full_or_not_at_all(tmp_path: Path, environment: dict[str, str]) -> None:
    path = save(tmp_path / "c", checkpoint_v0(old_simple(), "simple"))
    with pytest.raises(UserError, match="told by level and encoding"):
        export_model(path, tmp_path / "m", task="gridworld", environment=environment)

"""Export: a checkpoint of either kind becomes a model that answers as its network did, or an error says why not."""

import json
import os
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pytest
import torch
from torch import nn

from pipeline import load_model, onnx_export
from pipeline.brain import compile_brain, read_brain
from pipeline.errors import UserError
from pipeline.export import export_model, read_checkpoint
from pipeline.model_file import open_model
from pipeline.onnx_export import export_onnx
from pipeline.tasks.gridworld.observation import layout
from pipeline.tasks.gridworld.predict import predict
from pipeline.tasks.gridworld.recipe import Infer
from pipeline.tasks.gridworld.rows import GridworldExample
from pipeline.tasks.interface import InferJob

ROOT = Path(__file__).resolve().parents[1]
SIZE, A = 158, 8
TOWN = {"level": "full", "encoding": "places"}


def checkpoint_v1(network: dict[str, Any] | None = None, **changes: Any) -> dict[str, Any]:
    network = network or {"type": "dueling", "hidden": [8], "stream": [4]}
    brain = read_brain({"task": "gridworld", "input_size": SIZE, "output_size": A, "network": network})
    average = compile_brain(brain, torch.Generator().manual_seed(1)).state_dict()
    return {
        "format": "checkpoint_v1",
        "task": "gridworld",
        "step": 4096,
        "brain": msgspec.to_builtins(brain),
        "weights": compile_brain(brain, torch.Generator().manual_seed(2)).state_dict(),
        "average_weights": average,
        "recipe": {"name": "small", "environment": TOWN, "q_learning": {"gamma": 0.9, "reward_scale": 0.1}},
        "recipe_hash": "cd" * 32,
        "facts": {"num_episodes": 17, "epsilon": 0.1, "stage": 2, "multiplier": 0.8},
        "replay": {"states": torch.zeros(1000, 28)},
        **changes,
    }


def save(path: Path, contents: Any) -> Path:
    torch.save(contents, path)
    return path


def observations(num_rows: int = 5) -> torch.Tensor:
    return torch.rand(num_rows, SIZE, generator=torch.Generator().manual_seed(3))


# ------------------------------------------------------------------------------------------ checkpoint_v1


def test_the_averaged_weights_are_exported_with_where_they_came_from(tmp_path: Path) -> None:
    contents = checkpoint_v1()
    made = export_model(save(tmp_path / "c", contents), tmp_path / "m", task="gridworld")
    model = load_model(tmp_path / "m")
    module = compile_brain(model.brain)
    module.load_state_dict(contents["average_weights"])
    with torch.no_grad():
        expected = module.eval()(observations())[0].numpy()
    np.testing.assert_allclose(model.predict(observations().numpy()).q_values, expected, rtol=1e-5, atol=1e-6)
    about = model.metadata
    assert (about["task"], about["step"], about["episode"]) == ("gridworld", 4096, 17)
    assert (about["epsilon"], about["stage"], about["facts"]) == (0.1, 2, {"multiplier": 0.8})
    assert (about["recipe"]["name"], about["recipe_hash"]) == ("small", "cd" * 32)
    assert about["parent"]["format"] == "checkpoint_v1" and len(about["parent"]["sha256"]) == 64
    assert about["output"]["labels"][4] == "interact" and about["output"]["gamma"] == 0.9
    assert (made.source_format, made.filled_in, made.golden_difference) == ("checkpoint_v1", (), 0.0)
    assert made.num_bytes == (tmp_path / "m").stat().st_size


def test_the_blocks_of_the_input_are_in_the_file(tmp_path: Path) -> None:
    export_model(save(tmp_path / "c", checkpoint_v1()), tmp_path / "m", task="gridworld")
    about = load_model(tmp_path / "m").metadata["input"]
    assert (about["level"], about["encoding"], about["shape"]) == ("full", "places", ["B", SIZE])
    assert about["blocks"] == json.loads(msgspec.json.encode(layout("full", "places")))


def test_golden_inputs_are_states_of_the_town_in_the_ranges_of_the_blocks(tmp_path: Path) -> None:
    export_model(save(tmp_path / "c", checkpoint_v1()), tmp_path / "m", task="gridworld")
    golden = open_model(tmp_path / "m").golden_inputs["observations"]
    for block in layout("full", "places"):
        part = golden[..., block.start : block.stop]
        assert part.min() >= block.low and part.max() <= block.high
    meters = golden[..., 6:14]
    assert len(meters.unique()) > 16


def test_the_same_checkpoint_gives_the_same_bytes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SOURCE_DATE_EPOCH", "1700000000")
    path = save(tmp_path / "c", checkpoint_v1())
    for name in ("a", "b"):
        export_model(path, tmp_path / name, task="gridworld")
    assert (tmp_path / "a").read_bytes() == (tmp_path / "b").read_bytes()


def test_a_model_is_much_smaller_than_the_checkpoint_it_comes_from(tmp_path: Path) -> None:
    network = {"type": "dueling", "hidden": [64]}
    made = export_model(save(tmp_path / "c", checkpoint_v1(network)), tmp_path / "m", task="gridworld")
    assert made.num_bytes < made.checkpoint_bytes


class Custom:
    """A class of the file's own."""


@pytest.mark.parametrize(
    ("contents", "what"),
    [
        (checkpoint_v1(format="checkpoint_v7"), "format 'checkpoint_v7'"),
        ({"weights": {}}, "format 'None'"),
        ([1, 2], "holds a list"),
        (checkpoint_v1(task="detection"), "is of task 'detection'"),
        ({k: v for k, v in checkpoint_v1().items() if k != "brain"}, "has no 'brain'"),
        ({k: v for k, v in checkpoint_v1().items() if k != "average_weights"}, "has no 'average_weights'"),
        (checkpoint_v1(brain={"task": "gridworld"}), "brain spec is not valid"),
        (checkpoint_v1(average_weights={}), "is missing"),
        (checkpoint_v1(average_weights=[1]), "average_weights"),
        (checkpoint_v1(average_weights={"trunk.0.linear.weight": 3}), "average_weights"),
        (checkpoint_v1(recipe={"environment": {"level": "full", "encoding": "grid"}}), "takes 158 numbers, but level"),
        (checkpoint_v1(recipe={"environment": {"level": "moon", "encoding": "grid"}}), "moon"),
        (checkpoint_v1(recipe={"environment": {"level": "full"}}), "has no encoding"),
        (checkpoint_v1(recipe=3), "recipe"),
        (checkpoint_v1(facts=3), "facts"),
        (checkpoint_v1(replay=Custom()), "holds an object of .*Custom"),
    ],
)
def test_a_checkpoint_that_is_not_right_is_refused(tmp_path: Path, contents: Any, what: str) -> None:
    path = save(tmp_path / "c", contents)
    with pytest.raises(UserError, match=what) as caught:
        export_model(path, tmp_path / "m", task="gridworld")
    assert str(path) in str(caught.value)
    assert not (tmp_path / "m").exists()


def test_weights_that_are_nan_are_refused(tmp_path: Path) -> None:
    contents = checkpoint_v1()
    contents["average_weights"]["value.bias"] = torch.tensor([torch.nan])
    with pytest.raises(UserError, match="NaN or infinity"):
        export_model(save(tmp_path / "c", contents), tmp_path / "m", task="gridworld")


@pytest.mark.parametrize("share", [0.0, 0.5, 0.99])
def test_a_truncated_checkpoint_is_refused(tmp_path: Path, share: float) -> None:
    path = save(tmp_path / "c", checkpoint_v1())
    content = path.read_bytes()
    path.write_bytes(content[: int(share * len(content))])
    with pytest.raises(UserError, match="damaged or is no torch file"):
        read_checkpoint(path)


def test_what_is_no_checkpoint_is_refused(tmp_path: Path) -> None:
    (tmp_path / "text").write_text("hello")
    with pytest.raises(UserError, match="no torch file"):
        read_checkpoint(tmp_path / "text")
    with pytest.raises(UserError, match="cannot read the checkpoint"):
        read_checkpoint(tmp_path / "none")
    with pytest.raises(UserError, match="there is no task 'gridwold'"):
        export_model(save(tmp_path / "c", checkpoint_v1()), tmp_path / "m", task="gridwold")


def test_a_checkpoint_v1_is_not_told_where_it_was_trained(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="says itself"):
        export_model(save(tmp_path / "c", checkpoint_v1()), tmp_path / "m", task="gridworld", environment=TOWN)


# ------------------------------------------------------------------------------------------ checkpoint_v0


class OldDueling(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.shared = nn.Sequential(nn.Linear(SIZE, 12), nn.ELU(), nn.Linear(12, 10), nn.ELU())
        self.value_stream = nn.Sequential(nn.Linear(10, 6), nn.ELU(), nn.Linear(6, 1))
        self.advantage_stream = nn.Sequential(nn.Linear(10, 6), nn.ELU(), nn.Linear(6, A))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = self.shared(x)
        advantage = self.advantage_stream(x)
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


# --------------------------------------------------------------------------------------------------- ONNX

ONNX_KINDS: dict[str, dict[str, Any]] = {
    "dueling": {"type": "dueling", "hidden": [8], "stream": [4], "activation": "gelu"},
    "lstm": {"type": "recurrent", "encoder": [8], "cell": "lstm", "hidden_size": 5, "head": [6]},
    "places with memory": {"type": "places", "place": [8], "mixed_size": 8, "trunk": [8], "memory": {"hidden_size": 3}},
}


@pytest.mark.parametrize("kind", ONNX_KINDS)
def test_one_onnx_file_answers_like_the_model_at_any_batch_size(tmp_path: Path, kind: str) -> None:
    import onnxruntime

    export_model(save(tmp_path / "c", checkpoint_v1(ONNX_KINDS[kind])), tmp_path / "m", task="gridworld")
    made = export_onnx(tmp_path / "m", tmp_path / "onnx" / "model.onnx")
    assert [path.name for path in (tmp_path / "onnx").iterdir()] == ["model.onnx"]
    assert made.largest_difference <= made.tolerance
    session = onnxruntime.InferenceSession(tmp_path / "onnx" / "model.onnx")
    model: Any = load_model(tmp_path / "m")
    assert [one.name for one in session.get_inputs()] == list(made.inputs)
    assert session.get_modelmeta().custom_metadata_map["weights_hash"] == model.weights_hash
    for num_rows in (1, 3):
        rows = observations(num_rows).numpy()
        feed = {"observations": rows}
        hidden = None
        if model.hidden_size:
            hidden = np.full((num_rows, model.hidden_size), 0.3, np.float32)
            feed["hidden"] = hidden
        answers = session.run(list(made.outputs), feed)
        expected = model.predict(rows, hidden=hidden)
        np.testing.assert_allclose(answers[0], expected.q_values, atol=made.tolerance)
        if model.hidden_size:
            np.testing.assert_allclose(answers[1], expected.hidden, atol=made.tolerance)


def test_an_onnx_file_that_answers_otherwise_is_not_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    export_model(save(tmp_path / "c", checkpoint_v1()), tmp_path / "m", task="gridworld")
    runner = onnx_export._runner

    def wrong(content: bytes) -> onnx_export.Run:
        run = runner(content)
        return lambda feed: {name: answer + 0.01 for name, answer in run(feed).items()}

    monkeypatch.setattr(onnx_export, "_runner", wrong)
    with pytest.raises(UserError, match=r"ONNX Runtime answers 0\.01 away from torch"):
        export_onnx(tmp_path / "m", tmp_path / "model.onnx")
    assert not (tmp_path / "model.onnx").exists()


@pytest.mark.parametrize("package", ["onnx", "onnxscript", "onnxruntime"])
def test_a_missing_package_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, package: str) -> None:
    monkeypatch.setitem(sys.modules, package, None)
    with pytest.raises(UserError) as caught:
        export_onnx(tmp_path / "m", tmp_path / "model.onnx")
    assert caught.value.remedy == "pip install 'baton-pipeline[onnx]'"


# --------------------------------------------------------------------------------------------------- docs


def run_page(page: str, folder: Path) -> None:
    """Run every code block of a page in order, in ``folder``: bash in a shell, Python in one namespace."""
    text = (ROOT / "docs" / page).read_text()
    blocks = re.findall(r"^```(\w+)\n(.*?)^```", text, re.MULTILINE | re.DOTALL)
    assert blocks and {language for language, _ in blocks} <= {"python", "bash"}
    environment = os.environ | {"PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"}
    namespace: dict[str, Any] = {}
    run: dict[str, Callable[[str], object]] = {
        "python": lambda code: exec(compile(code, page, "exec"), namespace),
        "bash": lambda code: subprocess.run(["bash", "-ec", code], cwd=folder, env=environment, check=True),
    }
    for language, code in blocks:
        run[language](code)


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.mark.parametrize("kind", ["dueling", "lstm"])
def test_the_page_on_using_a_model_works(folder: Path, kind: str) -> None:
    first = checkpoint_v1(ONNX_KINDS[kind])
    export_model(save(folder / "c", first), folder / "model.inference_v1", task="gridworld")
    other = first | {"average_weights": first["weights"]}
    export_model(save(folder / "c", other), folder / "other.inference_v1", task="gridworld")
    run_page("using-a-model.md", folder)


def test_the_page_on_old_checkpoints_works(folder: Path) -> None:
    run_page("migrating-checkpoints.md", folder)

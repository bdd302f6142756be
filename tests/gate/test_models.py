"""The gate on real models: it fails what was made worse on purpose and passes what differs by noise alone."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from pipeline import load_model
from pipeline.contract.jobs import InferJob
from pipeline.files import read_all, write_all
from pipeline.tasks.gridworld.infer.predict import predict
from pipeline.tasks.gridworld.recipe import Infer
from pipeline.tasks.gridworld.rows import GridworldExample
from tests.conftest import ROOT
from tests.gate.gate_parts import ANOTHER_SEED, EARLY, Gate

MODEL = ROOT / "runs/pretrained/gridworld/full.inference_v1"
EXAMPLES = ROOT / "runs/gates/gridworld/full.examples.jsonl"
Play = Callable[..., Path]


@pytest.fixture
def gate(capsys: pytest.CaptureFixture[str]) -> Gate:
    return Gate(capsys)


@pytest.fixture(scope="module")
def play(tmp_path_factory: pytest.TempPathFactory) -> Play:
    """Predictions of the pretrained model on the scenarios of the gate, with ``noise`` (in spreads) on its weights."""
    examples = read_all(EXAMPLES, GridworldExample)
    folder = tmp_path_factory.mktemp("played")

    def played(noise: float = 0.0, **options: Any) -> Path:
        model = load_model(MODEL)
        generator = torch.Generator().manual_seed(0)
        with torch.no_grad():
            for weights in model.module.parameters() if noise else ():
                weights += noise * weights.std(correction=0) * torch.randn(weights.shape, generator=generator)
        job = InferJob(
            model=model,
            examples=examples,
            first_index=0,
            options=Infer(num_traces=0, **options),
            device="cpu",
            report=lambda done, total, facts: None,
        )
        path = folder / f"{noise}-{options}.jsonl"
        write_all(path, predict(job))
        return path

    return played


@pytest.mark.parametrize("how", [{"epsilon": 0.3}, {"noise": 0.5}])
def test_a_model_made_worse_on_purpose_fails(how: dict[str, float], play: Play, gate: Gate) -> None:
    done = gate("--gate", "full", "--input", play(**how))
    assert done.code == 1
    assert done.out.startswith("FAIL gridworld/full: ") and "wellbeing/mean" in done.out.splitlines()[0]


def test_an_earlier_checkpoint_fails(gate: Gate) -> None:
    assert gate("--gate", "full", "--input", EARLY).code == 1


def test_the_model_itself_and_a_training_with_another_seed_pass(play: Play, gate: Gate) -> None:
    assert gate("--gate", "full", "--input", play()).code == 0
    assert gate("--gate", "full", "--input", ANOTHER_SEED).code == 0


def test_another_seed_of_sampling_is_noise_and_more_of_it_is_worse(play: Play, gate: Gate) -> None:
    """With no tolerance at all, in both directions, so that luck has no side to be on."""
    one, other = (play(epsilon=0.05, seed=seed) for seed in (0, 1))
    assert gate("--input", one, "--baseline", other).code == 0
    assert gate("--input", other, "--baseline", one).code == 0
    assert gate("--input", play(epsilon=0.1, seed=1), "--baseline", one).code == 1

"""The models that ship reach what the README says of them, on scenarios that training and selection never saw.

Bounds are the reported means less about five standard errors of the mean over 64 scenarios.
"""

import hashlib
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pytest

from pipeline import load_model
from pipeline.contract.jobs import InferJob
from pipeline.tasks.gridworld.infer.predict import predict
from pipeline.tasks.gridworld.recipe import Infer
from pipeline.tasks.gridworld.rows import GridworldExample
from pipeline.tasks.gridworld.town.seeds import EXAMPLES, derive
from schemas.manifest import Manifest

FOLDER = Path(__file__).parents[3] / "runs/pretrained/gridworld"
LEVELS = sorted(path.name.split(".")[0] for path in FOLDER.glob("*.inference_v1"))
# level: (survived steps, wellbeing), epsilon of decoding
FLOORS = {
    "minimal": (330.0, 240.0, 0.0),
    "resources": (1930.0, 1700.0, 0.0),
    "full": (495.0, 450.0, 0.0),
    "partial": (485.0, 420.0, 0.0),
    "temporal": (495.0, 430.0, 0.0),
}


def _mean(level: str, num: int = 64, **options: Any) -> tuple[float, float]:
    """Mean survived steps and wellbeing of the shipped model on scenarios of its level."""
    seeds = derive(EXAMPLES, 99, np.arange(num)).tolist()
    examples = [GridworldExample(id=f"{level}-{i}", level=level, seed=s, multiplier=1.0) for i, s in enumerate(seeds)]
    job = InferJob(
        model=load_model(FOLDER / f"{level}.inference_v1"),
        examples=examples,
        first_index=0,
        options=Infer(num_traces=0, batch_size=num, **options),
        device="cpu",
        report=lambda done, total, facts: None,
    )
    rows = list(predict(job))
    return float(np.mean([row.num_steps for row in rows])), float(np.mean([row.wellbeing for row in rows]))


def test_every_level_ships_a_model() -> None:
    assert set(LEVELS) == set(FLOORS)


@pytest.mark.parametrize("level", LEVELS)
def test_it_reaches_what_is_reported(level: str) -> None:
    least_steps, least_wellbeing, epsilon = FLOORS[level]
    steps, wellbeing = _mean(level, epsilon=epsilon)
    assert steps >= least_steps and wellbeing >= least_wellbeing


@pytest.mark.parametrize("level", LEVELS)
def test_its_manifests_tell_where_it_came_from(level: str) -> None:
    def manifest(stage: str) -> Manifest:
        return msgspec.json.decode((FOLDER / f"{level}.{stage}.manifest.json").read_bytes(), type=Manifest)

    train, export = manifest("train"), manifest("export")
    model = (FOLDER / f"{level}.inference_v1").read_bytes()
    assert train.status == export.status == "ok"
    assert export.outputs["model"].sha256 == hashlib.sha256(model).hexdigest()
    assert export.inputs["checkpoint"].sha256 == train.outputs["selected"].sha256


def test_without_its_memory_the_recurrent_model_loses_its_way() -> None:
    remembering, forgetting = _mean("partial"), _mean("partial", forget=True)
    assert forgetting[0] < remembering[0] - 90 and forgetting[1] < remembering[1] - 140

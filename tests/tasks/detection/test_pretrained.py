"""The pretrained file: it opens, it writes what its README says, and it is what its manifest says."""

import json
from pathlib import Path
from typing import Any

import pytest

from pipeline.files.hashes import sha256_file
from pipeline.model.file import load_model
from pipeline.tasks.detection.model.tokens import GEOMETRIES
from pipeline.tasks.detection.recipe import Scenes
from pipeline.tasks.detection.scenes.scene import make_batch
from pipeline.tasks.detection.train.monitor import measure

FOLDER = Path(__file__).resolve().parents[3] / "runs/pretrained/detection"
NUM_SCENES = 48
# A good deal below what 500 scenes give (docs/detection.md): these are few.
LEAST = {"heldout": {"bbox_2d": 0.85, "poly": 0.6}, "unseen": {"bbox_2d": 0.6, "poly": 0.4}}


@pytest.fixture(scope="module")
def model() -> Any:
    return load_model(FOLDER / "full.inference_v1")


@pytest.mark.parametrize("geometry", GEOMETRIES)
@pytest.mark.parametrize("split", ["heldout", "unseen"])
def test_it_finds_the_shapes(model: Any, split: Any, geometry: Any) -> None:
    images, drawn = make_batch(Scenes(), split, 77, range(NUM_SCENES))
    found = measure(model.module, images, drawn, geometry)
    assert found.average_precision >= LEAST[split][geometry], found
    assert found.malformed_share <= 0.1, found


def test_its_manifest_names_it() -> None:
    manifest = json.loads((FOLDER / "full.export.manifest.json").read_text())
    assert manifest["status"] == "ok"
    assert sha256_file(FOLDER / "full.inference_v1") in json.dumps(manifest["outputs"])

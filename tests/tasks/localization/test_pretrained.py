"""The pretrained files: they open, they are as good and as honest as the docs say, and their manifests name them."""

import json
from pathlib import Path

import msgspec
import numpy as np
import pytest

from pipeline.files.hashes import sha256_file
from pipeline.model.file import load_model
from pipeline.recipe.load import load_recipe
from pipeline.tasks.localization import geo
from pipeline.tasks.localization.examples import make_examples
from pipeline.tasks.localization.mixture import of_predictions, region

FOLDER = Path(__file__).resolve().parents[3] / "runs/pretrained/localization"
NUM_RECORDS = 600
# A good deal above what 20,000 records give (docs/localization.md): these are few.
MOST_MEDIAN_M = {"levels": 20_000.0, "times": 450.0}


@pytest.mark.parametrize("name", MOST_MEDIAN_M)
def test_it_finds_transmitters_and_knows_how_sure_it_is(name: str) -> None:
    recipe = load_recipe(str(FOLDER / f"{name}.recipe.yaml"), "localization", ("seed=77",))
    # The kinds as they are mixed in training: no other mixture is covered as stated.
    wanted = msgspec.structs.replace(recipe.examples, num_records=NUM_RECORDS, kinds=recipe.train.kinds)
    examples = list(make_examples(msgspec.structs.replace(recipe, examples=wanted)))
    rows = load_model(FOLDER / f"{name}.inference_v1").predict(examples)
    mixtures, fixes = of_predictions(rows)
    truths = np.array([(row.latitude, row.longitude) for row in rows])
    assert np.median(geo.distance_m(fixes, truths)) < MOST_MEDIAN_M[name]
    regions = region(mixtures, geo.to_local(truths, fixes))
    for probability in (0.5, 0.68, 0.9, 0.95):
        assert np.mean(regions <= probability) == pytest.approx(probability, abs=0.06)


@pytest.mark.parametrize("name", MOST_MEDIAN_M)
def test_its_manifest_names_it(name: str) -> None:
    manifest = json.loads((FOLDER / f"{name}.export.manifest.json").read_text())
    assert manifest["status"] == "ok"
    assert sha256_file(FOLDER / f"{name}.inference_v1") in json.dumps(manifest["outputs"])

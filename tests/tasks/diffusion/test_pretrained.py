"""The pretrained file: it opens, it makes what docs/diffusion.md says, and it is what its manifest says."""

import json
from pathlib import Path

import numpy as np

from pipeline.files.hashes import sha256_file
from pipeline.model.file import load_model
from pipeline.recipe.load import load_recipe
from pipeline.tasks.diffusion.data.load import load_split

FOLDER = Path(__file__).parents[3] / "runs/pretrained/diffusion"


def test_it_makes_the_digits_that_are_asked_for_and_none_by_heart() -> None:
    model = load_model(FOLDER / "digits.inference_v1")
    recipe = load_recipe(str(FOLDER / "digits.recipe.yaml"), "diffusion")
    asked = [*model.labels] * 4
    made = model.judge(list(model.predict(asked, range(len(asked)), recipe.examples.sampling)))
    right = [model.labels[int(one.probabilities.argmax())] == label for one, label in zip(made, asked, strict=True)]
    assert np.mean(right) >= 0.97  # of many .998
    heldout = load_split(recipe.data).heldout
    real = model.judge(list(heldout.images))
    assert np.mean([one.probabilities.argmax() for one in real] == heldout.labels) >= 0.99
    near, nearest = (np.mean([one.nearest_train_distance for one in ones]) for ones in (made, real))
    assert 0.9 * nearest < near < 1.2 * nearest


def test_its_map_is_as_true_as_the_docs_say_and_its_manifest_names_it() -> None:
    quality = load_model(FOLDER / "digits.inference_v1").metadata["map"]
    assert quality["trustworthiness"] >= 0.97 and quality["placement_error"] <= 0.01
    manifest = json.loads((FOLDER / "digits.export.manifest.json").read_text())
    assert manifest["status"] == "ok" and not manifest["provenance"]["git_dirty"]
    assert sha256_file(FOLDER / "digits.inference_v1") in json.dumps(manifest["outputs"])

"""Steering: masks of references for the first steps, told before and after, and what comes of it."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from pipeline.model.file import load_model
from pipeline.recipe.load import load_recipe
from pipeline.tasks.diffusion.evaluate.maps import neighbours
from pipeline.tasks.diffusion.examples import make_examples
from pipeline.tasks.diffusion.infer.watch import Watch
from pipeline.tasks.diffusion.model.activations import References, generate, look_at
from pipeline.tasks.diffusion.model.network import OwnDenoiser
from pipeline.tasks.diffusion.model.sample import Draw, Settings, sample
from pipeline.tasks.diffusion.pixels import decode_png, to_values
from tests.conftest import Baton
from tests.tasks.diffusion.small_model import small_network

REFERENCES = [(0, 11), (1, 12), (0, 13)]


def test_the_mask_is_the_mean_of_what_the_layer_says_of_the_references() -> None:
    denoiser = OwnDenoiser(small_network())
    mean = References(denoiser).mean(REFERENCES, ("middle",), 0.6)["middle"]
    images = generate(denoiser, REFERENCES)
    said = [
        look_at(denoiser, [image], [seed], ["middle"], [0.6])["middle"][0]
        for image, (_, seed) in zip(images, REFERENCES, strict=True)
    ]
    assert mean.shape == (1, 16, 4, 4)
    assert np.allclose(mean.numpy(), np.mean(said, axis=0), atol=1e-6)


def test_only_the_first_steps_are_masked_and_an_image_does_not_depend_on_its_company() -> None:
    denoiser = OwnDenoiser(small_network())
    references = References(denoiser)
    masks = [references.mean([one], ("up_1",), 0.6) for one in REFERENCES]
    draws = [Draw(3, 50 + k) for k in range(3)]

    def images(num_masked: int, chosen: list[int], strength: float = 1.0) -> list[bytes]:
        watch = Watch(denoiser, None, [masks[n] for n in chosen], num_masked, strength)
        found = sample(denoiser, [draws[n] for n in chosen], Settings(num_steps=4), watch)
        return [way.image.tobytes() for way in found]

    none, some, all_of_them = (images(count, [0, 1, 2]) for count in (0, 2, 4))
    assert none == [way.image.tobytes() for way in sample(denoiser, draws, Settings(num_steps=4))]
    assert len({none[0], some[0], all_of_them[0]}) == 3
    assert images(2, [2, 0]) == [some[2], some[0]]
    assert images(2, [1]) == [some[1]]
    assert len({some[0], images(2, [0], 1.5)[0], images(2, [0], 0.5)[0]}) == 3
    (hardly,) = images(2, [0], 1e-6)
    assert np.allclose(np.frombuffer(hardly, np.float32), np.frombuffer(none[0], np.float32), atol=1e-3)


def rows(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text().splitlines()]


def test_steered_images_are_of_the_class_of_the_references_more_often(digits_run: Path) -> None:
    found = [row for row in rows(digits_run / "infer/predictions.jsonl") if row["steering"]]
    shares = {}
    for masked in (0, 14):
        own = [row for row in found if row["steering"]["num_masked"] == masked]
        assert len(own) == 20 and all(row["label"] != row["steering"]["target"] for row in own)
        shares[masked] = np.mean([row["judged_label"] == row["steering"]["target"] for row in own])
    assert shares[0] <= 0.15 and shares[14] >= shares[0] + 0.2


def test_where_a_step_lies_on_the_map_is_told_before_and_after_the_mask(
    baton: Baton, digits_run: Path, tmp_path: Path
) -> None:
    asked = [row for row in rows(digits_run / "examples/examples.jsonl") if row["variant"] == "steered-other-14"][:4]
    for row in asked:
        row["steering"] |= {"layers": ["middle"], "num_masked": 6, "strength": 1.0}  # the layer of the map
    asked[1]["steering"]["layers"] = ["nowhere"]
    asked[2]["steering"]["references"][0]["label"] = "zebra"
    asked[3]["steering"]["strength"] = 1e300
    (tmp_path / "asked.jsonl").write_text("".join(json.dumps(row) + "\n" for row in asked))
    model = digits_run / "export/model.inference_v1"
    done = baton("infer", "diffusion", "--model", model, "--input", tmp_path / "asked.jsonl", "--out", tmp_path / "out")
    assert done.code == 0, done.err
    first, *others = rows(tmp_path / "out/predictions.jsonl")
    assert [row["error"] for row in others] == ["wrong_steering", "unknown_class", "wrong_steering"]
    assert len(first["positions"]) == 18 and len(first["masked_positions"]) == 6
    # A fixed mask is one point at each noise level of the map; what the layer itself says is not.
    assert len({tuple(place) for place in first["masked_positions"]}) <= 3
    assert len({tuple(place) for place in first["positions"]}) > 6


def test_every_row_says_where_its_image_lies_on_the_map(digits_run: Path) -> None:
    model = load_model(digits_run / "export/model.inference_v1")
    quality = model.metadata["map"]
    assert quality["trustworthiness"] > 0.75 and quality["placement_error"] < 0.15
    found = rows(digits_run / "infer/predictions.jsonl")
    assert all(len(row["map_position"]) == 2 and len(row["map_embedding"]) == 50 for row in found)
    places = np.array([row["map_position"] for row in found])
    assert np.isfinite(places).all() and len(np.unique(places, axis=0)) > 0.95 * len(places)
    extent = model.module.map.coordinates.abs().amax().item()
    assert np.abs(places).max() <= extent  # nothing lies beyond the references


@pytest.mark.parametrize("mode", ["reference", "none", "other"])
def test_requests_say_what_the_model_is_told_beside_the_references(mode: str) -> None:
    settings = [f"examples.steering.labels=[{mode}]", "examples.num_images=1", "examples.sweep.num_images=0"]
    steered = [row for row in make_examples(load_recipe("tiny", "diffusion", settings)) if row.steering is not None]
    assert len(steered) == 40
    for row in steered:
        assert row.steering is not None and row.real_label == row.steering.target
        assert {one.label for one in row.steering.references} == {row.steering.target}
        told = {"reference": row.label == row.steering.target, "none": row.label is None}
        assert told.get(mode, row.label not in (None, row.steering.target))


def test_a_layer_that_is_told_the_class_says_it_back_even_of_noise(digits_run: Path) -> None:
    model = load_model(digits_run / "export/model.inference_v1")
    found = [row for row in rows(digits_run / "infer/predictions.jsonl") if row["variant"] == "main"]
    images = [to_values(decode_png(row["image_png"])) for row in found]
    labels = np.array([model.number_of(row["label"]) for row in found])

    def purity(told: Any) -> float:
        """Share of the nearest images that are of the same class, at a noise level at which nothing is to be seen."""
        said = look_at(model.denoiser, images, [row["seed"] for row in found], ["middle"], [80.0], told)["middle"]
        nearest = neighbours(said.reshape(len(found), -1).astype(np.float64), 3)
        return float((labels[nearest] == labels[:, None]).mean())

    assert purity(labels.tolist()) > 0.9
    assert purity(None) < 0.3

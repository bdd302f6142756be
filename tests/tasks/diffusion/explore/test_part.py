"""Diffusion on the page of `baton explore`: a form becomes a request, and its way is told as it is generated."""

import shutil
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pytest

from pipeline.contract.exploring import Cancelled, Choice, Step
from pipeline.contract.jobs import InferJob
from pipeline.errors import UserError
from pipeline.explore.bundle import Bundle, open_bundle
from pipeline.files import read_all, write_all
from pipeline.model.file import load_model
from pipeline.tasks.diffusion.explore.part import PART, DiffusionForm, make_request
from pipeline.tasks.diffusion.explore.record import probe, probed_facts, record
from pipeline.tasks.diffusion.infer import predict as codes_of
from pipeline.tasks.diffusion.infer.predict import predict
from pipeline.tasks.diffusion.recipe import Infer
from pipeline.tasks.diffusion.rows import DiffusionPrediction, Reference
from tests.conftest import made_once, run_baton

SETTING = "infer.activations.layers=[middle, up_1]"
CHOICE = Choice(references=("3/5", "3/6", "4/7"), layer="up_1")


@pytest.fixture(scope="module")
def bundle(digits_run: Path, shared_folder: Path) -> Bundle:
    """What infer records of the small model, as a bundle."""

    def make(folder: Path) -> None:
        examples, model = digits_run / "examples/examples.jsonl", digits_run / "export/model.inference_v1"
        more = ("--input", examples, "--model", model, "--out", folder / "infer", "--set", SETTING)
        done = run_baton("infer", "diffusion", *more, runs=folder)
        assert done.code == 0, done.err
        assert PART.record is not None
        PART.record(folder / "infer", model, folder / "bundle")

    return open_bundle(made_once(shared_folder / "explored", make) / "bundle")


@pytest.fixture(scope="module")
def explorer(bundle: Bundle, digits_model: Path) -> Any:
    return PART.open(digits_model, bundle, "cpu")


def generate(explorer: Any, form: DiffusionForm, choice: Choice = CHOICE) -> tuple[Any, list[Step]]:
    told: list[Step] = []
    return explorer.generate(make_request(form, choice, "made-000001"), told.append, lambda: False), told


@pytest.mark.parametrize(
    "form",
    [
        DiffusionForm(label="3", seed=1, num_steps=5),
        DiffusionForm(label="3", seed=1, num_steps=4, sampler="euler", guidance=2.0),
        DiffusionForm(seed=2, num_steps=6, num_masked=4, is_steered=True),
    ],
)
def test_what_is_generated_is_the_row_of_infer_and_every_step_is_told(
    explorer: Any, digits_model: Path, form: DiffusionForm
) -> None:
    row, told = generate(explorer, form)
    job = InferJob(
        model=load_model(digits_model),
        examples=[make_request(form, CHOICE, "made-000001")],
        first_index=0,
        options=Infer(),
        device="cpu",
        report=lambda done, total, facts: None,
    )
    assert [row] == list(predict(job))
    assert [step.number for step in told] == list(range(form.num_steps))
    assert tuple(round(step.noise_level, 5) for step in told) == row.sigmas
    assert {*told[0].places} == {"middle", "up_1"}
    num_masked = form.num_masked if form.is_steered else 0
    assert [bool(step.masked_places) for step in told] == [k < num_masked for k in range(form.num_steps)]
    assert np.allclose([step.places["middle"] for step in told], row.positions, atol=1e-3)
    assert told[-1].image.shape == told[-1].noised.shape == (8, 8, 1)  # type: ignore[union-attr]


def test_a_generation_that_is_cancelled_ends_at_its_next_step(explorer: Any) -> None:
    told: list[Step] = []
    with pytest.raises(Cancelled):
        explorer.generate(make_request(DiffusionForm(), CHOICE, "a"), told.append, lambda: len(told) == 2)
    assert len(told) == 2


def test_a_bundle_knows_what_the_layers_know(bundle: Bundle) -> None:
    manifest = bundle.manifest
    assert (manifest.conditioning, manifest.noise_levels, manifest.classes[:2]) == (
        "none",
        (2.2, 0.6, 0.15),
        ("0", "1"),
    )
    assert [layer.name for layer in manifest.layers] == ["middle", "up_1"]
    assert manifest.layers[0].probes["class"][0] < manifest.layers[0].probes["class"][2]  # noise hides the class
    assert manifest.curves[0].lines["other"][0][0] == 0
    label, seed = bundle.records[0].id.split("/")
    assert label == bundle.records[0].label and seed.isdecimal()
    assert np.isfinite(bundle.coordinates["up_1"]).all()


def test_of_classes_that_say_several_factors_each_is_probed() -> None:
    facts = probed_facts(["disc/red", "cross/red", "disc/blue", "disc/red"])
    assert {fact: values.tolist() for fact, values in facts.items()} == {
        "class": [2, 0, 1, 2],
        "shape": [1, 0, 1, 1],
        "colour": [1, 1, 0, 1],
    }
    assert [*probed_facts(["3", "1"])] == ["class"]
    assert probed_facts(["3", "3"]) == {}
    assert [*probed_facts(["disc/red", "cross/red"])] == ["class", "shape"]


def test_of_several_images_of_a_class_and_seed_the_first_is_a_record(
    digits_model: Path, tmp_path: Path, bundle: Bundle
) -> None:
    recorded = bundle.folder.parent / "infer"
    rows = read_all(recorded / "predictions.jsonl", DiffusionPrediction)
    shutil.copytree(recorded / "activations", tmp_path / "activations")
    again = [msgspec.structs.replace(row, id=f"{row.id}-again", guidance=2.0) for row in rows]
    write_all(tmp_path / "predictions.jsonl", [*rows, *again])
    record(tmp_path, digits_model, tmp_path / "bundle")
    requests = [one.facts["request"] for one in open_bundle(tmp_path / "bundle").records]
    assert requests == [one.facts["request"] for one in bundle.records]


def test_a_probe_tells_classes_that_lie_apart_and_guesses_at_noise() -> None:
    rng = np.random.default_rng(0)
    labels = np.arange(300) % 3
    apart = np.eye(3)[labels] * 4 + rng.normal(0, 0.3, (300, 3))
    assert probe(apart, labels) == 1.0
    assert probe(rng.normal(0, 1, (300, 3)), labels) < 0.55


def test_a_form_becomes_a_request() -> None:
    request = make_request(DiffusionForm(label="3", seed=4, highest_noise=50.0), CHOICE, "a")
    assert (request.label, request.seed, request.steering, request.sigma_min) == ("3", 4, None, 0.002)
    assert request.sigma_max == pytest.approx(2.515, abs=1e-3)  # half of the way that noise levels go in (rho 7)
    steered = make_request(DiffusionForm(is_steered=True, label_mode="reference"), CHOICE, "a")
    assert steered.steering is not None and steered.label == steered.steering.target == "3"
    assert steered.steering.references == tuple(Reference(label=one[0], seed=int(one[2])) for one in CHOICE.references)
    assert steered.steering.layers == ("up_1",)


@pytest.mark.parametrize(
    ("form", "choice", "what"),
    [
        (DiffusionForm(highest_noise=10, lowest_noise=20), CHOICE, "the highest noise is not above the lowest"),
        (DiffusionForm(is_steered=True), Choice(layer="up_1"), "nothing is chosen to steer by"),
        (DiffusionForm(is_steered=True, num_steps=5), CHOICE, "more steps are masked than there are"),
        (
            DiffusionForm(is_steered=True, label_mode="other", label="3"),
            CHOICE,
            "another class than that of the references",
        ),
        (DiffusionForm(is_steered=True), Choice(references=("r1",), layer="up_1"), "is no generated image"),
    ],
)
def test_what_does_not_go_together_is_refused(form: DiffusionForm, choice: Choice, what: str) -> None:
    with pytest.raises(UserError, match=what):
        make_request(form, choice, "a")


def test_every_code_that_a_request_may_be_refused_with_is_told_in_words() -> None:
    codes = {value for name, value in vars(codes_of).items() if name.isupper() and isinstance(value, str)}
    assert {*PART.reasons} == codes


def test_the_steps_of_a_row_from_elsewhere_are_its_frames(explorer: Any) -> None:
    row, told = generate(explorer, DiffusionForm(label="3", num_steps=5))
    steps = PART.steps(row)
    assert [step.noise_level for step in steps] == list(row.sigmas)  # five steps, six frames at most: all are kept
    assert np.array_equal(steps[2].image, told[2].image)

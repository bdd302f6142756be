"""Predictions: the same bytes however a run is cut; what goes wrong with a record stands in its row."""

from pathlib import Path

import msgspec
import numpy as np
import pytest

from pipeline.contract.jobs import InferJob, Source
from pipeline.model.file import load_model
from pipeline.tasks.localization.examples import make_examples
from pipeline.tasks.localization.infer.answer import parts
from pipeline.tasks.localization.infer.predict import predict
from pipeline.tasks.localization.mixture import second_moments
from pipeline.tasks.localization.recipe import Infer
from pipeline.tasks.localization.rows import Example, Measurement, Prediction
from tests.support.zygote import Zygote
from tests.tasks.localization.small import RECIPES, export_small, recipe


@pytest.fixture(scope="module", params=RECIPES)
def exported(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, list[Example]]:
    wanted = recipe(RECIPES[request.param])
    return export_small(tmp_path_factory.mktemp("model"), wanted), list(make_examples(wanted))


def run(path: Path, examples: list[Example], first: int = 0, **options: str) -> list[Prediction]:
    job = InferJob(
        model=load_model(path),
        examples=examples,
        first_index=first,
        options=msgspec.convert(options, Infer),
        device="cpu",
        report=lambda done, total, facts: None,
        source=Source(model_file=path),
    )
    return list(predict(job))


def test_a_record_is_answered_alike_in_any_company(exported: tuple[Path, list[Example]]) -> None:
    path, examples = exported
    whole = run(path, examples)
    assert run(path, examples, first=17) == whole[17:]
    assert run(path, [examples[30]]) == [whole[30]]


def test_rows_hold_truth_measurements_and_an_honest_form(exported: tuple[Path, list[Example]]) -> None:
    path, examples = exported
    for row, example in zip(run(path, examples), examples, strict=True):
        assert (row.id, row.latitude, row.longitude) == (example.id, example.latitude, example.longitude)
        assert row.measurements == example.measurements and row.kind == example.kind and row.error is None
        assert sum(one.weight for one in row.components) == pytest.approx(1.0)
        assert [one.probability for one in row.ellipses] == [0.5, 0.68, 0.9, 0.95]
        assert row.covariance_m2 is not None and np.linalg.det(matrix(row.covariance_m2)) > 0.0


def matrix(covariance: tuple[float, float, float]) -> np.ndarray:
    east, both, north = covariance
    return np.array([[east, both], [both, north]])


def test_onnx_runtime_answers_as_torch_does(exported: tuple[Path, list[Example]]) -> None:
    path, examples = exported
    if load_model(path).brain.network["type"] != "mlp":
        pytest.skip("making an ONNX file takes long: once is enough")
    for one, other in zip(run(path, examples[:5]), run(path, examples[:5], runtime="onnxruntime"), strict=True):
        assert other.fix_latitude == pytest.approx(one.fix_latitude, abs=1e-4)
        assert other.fix_longitude == pytest.approx(one.fix_longitude, abs=1e-4)


def test_a_record_of_strangers_has_an_error_and_the_others_do_not(exported: tuple[Path, list[Example]]) -> None:
    path, examples = exported
    stranger = Example(id="x", measurements=(Measurement(receiver="nobody", level_dbm=-80.0),))
    rows = run(path, [examples[0], stranger, examples[1]])
    assert [row.error for row in rows] == [None, "no_known_receiver", None]
    assert rows[1].fix_latitude is None and rows[0] == run(path, [examples[0]])[0]


def test_a_server_needs_no_torch_to_ask_and_to_answer(without_torch: Zygote) -> None:
    assert without_torch.run(code="import pipeline.tasks.localization.infer.answer").code == 0


def test_what_is_wider_than_the_earth_is_no_part_of_an_answer() -> None:
    sure, nowhere = (1.0, 0.0, 1.0), (1e-12, 0.0, 1e-12)  # precision factors a kilometre: of 1 km and of 1e12 km
    for factors in ([sure, nowhere], [sure, (0.0, 0.0, 0.0)]):
        found = parts([0.9999, 1e-7], [(0.0, 0.0), (0.0, 0.0)], factors)
        assert [part[0] for part in found] == [1.0, 0.0] and np.isfinite(found).all()
        assert second_moments(found, (0.0, 0.0)) == pytest.approx((1e6, 0.0, 1e6))

"""Localization behind HTTP: the rows of infer, from ONNX Runtime, in processes that never load torch."""

import subprocess
import sys
from pathlib import Path
from typing import Any

import msgspec
import pytest

from pipeline.errors import UserError
from pipeline.files import encode, read_all, write_all
from pipeline.serve.answer import open_answerer
from pipeline.serve.exchange import exchange_of
from pipeline.tasks.localization.examples import make_examples
from pipeline.tasks.localization.rows import Example, Measurement, Prediction
from tests.conftest import ROOT, Baton
from tests.serve.conftest import Start
from tests.tasks.localization.small import RECIPES, export_small, recipe

NUM = 30


@pytest.fixture(scope="module", params=["levels", "any"])
def model(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, list[Example]]:
    """A small model, and examples of its kind without their truth."""
    wanted = recipe(RECIPES[request.param])
    examples = [msgspec.structs.replace(one, latitude=None, longitude=None) for one in make_examples(wanted)]
    return export_small(tmp_path_factory.mktemp("model"), wanted), examples[:NUM]


def test_served_rows_are_those_of_infer(model: tuple[Path, list[Example]], baton: Baton, tmp_path: Path) -> None:
    path, examples = model
    write_all(tmp_path / "examples.jsonl", examples)
    files = ("--model", path, "--input", tmp_path / "examples.jsonl", "--out", tmp_path / "infer")
    done = baton("infer", "localization", *files, "--set", "infer.runtime=onnxruntime")
    assert done.code == 0, done.err
    served = open_answerer("localization", path).answer(examples)
    assert b"".join(map(encode, served)) == (tmp_path / "infer/predictions.jsonl").read_bytes()


def test_a_server_answers_and_measures_coverage_as_evaluate_does(
    model: tuple[Path, list[Example]], start: Start, baton: Baton, tmp_path: Path
) -> None:
    path, examples = model
    server = start("localization", "--model", path)
    body = exchange_of("localization").body
    with server.client() as client:
        for number, example in enumerate(examples):
            plain = msgspec.to_builtins(example)
            asked = {name: plain[name] for name in body.__struct_fields__}
            row = client.post("/v1/predict", json=asked).json()
            assert row["error"] is None and len(row["ellipses"]) == 4
            truth = {"id": row["id"], "latitude": row["fix_latitude"] + number / 20, "longitude": row["fix_longitude"]}
            assert client.post("/v1/truth", json=truth).status_code == 200
            assert client.post("/v1/truth", json=truth | {"latitude": 91}).status_code == 422
    (folder,) = server.log.iterdir()
    files = ("--input", folder / "predictions.jsonl", "--truths", folder / "truths.jsonl", "--out", tmp_path / "judged")
    done = baton("evaluate", "localization", *files, "--set", "evaluate.num_resamples=20")
    assert done.code == 0, done.err
    rows: list[dict[str, Any]] = read_all(tmp_path / "judged/metrics.jsonl", dict)
    judged = {
        (row["name"], row["statistic"]): row["value"]
        for row in rows
        if (row["slice_by"], row["subject"]) == ("all", "model")
    }
    told = server.metrics_when(lambda now: f'model_coverage_95{{model="{folder.name}"}}' in now)
    for name, metric in {
        "model_accuracy_meters": ("error_m", "median"),
        "model_coverage_50": ("coverage_50", "rate"),
        "model_coverage_95": ("coverage_95", "rate"),
    }.items():
        assert told[f'{name}{{model="{folder.name}"}}'] == pytest.approx(judged[metric], rel=1e-12), name


def test_a_server_never_loads_torch(model: tuple[Path, list[Example]]) -> None:
    code = (
        "import sys; from pathlib import Path; from pipeline.serve.answer import open_answerer; "
        "open_answerer('localization', Path(sys.argv[1])); print('torch' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code, model[0]], cwd=ROOT, capture_output=True, text=True)
    assert done.stdout == "False\n", done.stderr


@pytest.mark.parametrize("number", [1e300, -1e300, 1e39])
def test_a_number_that_no_network_can_take_is_refused(number: float, model: tuple[Path, list[Example]]) -> None:
    path, (example, *_) = model
    loud = Measurement(receiver=example.measurements[0].receiver, level_dbm=number)
    with pytest.raises(UserError, match=r"a number is too large|is no covariance"):
        open_answerer("localization", path).answer([msgspec.structs.replace(example, measurements=(loud,))])


def test_a_truth_makes_of_an_answer_the_row_that_infer_writes(model: tuple[Path, list[Example]]) -> None:
    path, examples = model
    exchange = exchange_of("localization")
    (row,) = open_answerer("localization", path).answer(examples[:1])
    joined: Prediction = exchange.with_truth(row, exchange.truth(id=row.id, latitude=45.0, longitude=8.0))
    assert (joined.latitude, joined.longitude, joined.fix_latitude) == (45.0, 8.0, row.fix_latitude)

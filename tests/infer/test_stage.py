"""infer: one prediction per example, in order, the same bytes whatever happened on the way."""

import os
import random
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from pipeline.contract.jobs import InferJob
from pipeline.errors import UserError
from pipeline.files import read_all
from pipeline.infer.run import InferenceCounts, run_inference
from pipeline.model.container import describe
from schemas.rows import Example, Prediction
from stages import infer
from stages.common import run_command

RUN = "gridworld/tiny"
EXAMPLES = [Example(task="toy", id=f"record-{number}") for number in range(5)]


# the run over examples, with a part that needs no model


class ToyPart:
    """Predicts for each example; stops with an error before record ``dies_at``."""

    def __init__(self, dies_at: int | None = None, errors: tuple[int, ...] = (), skip: int | None = None) -> None:
        self.dies_at, self.errors, self.skip = dies_at, errors, skip
        self.asked: list[str] = []

    def wrap(self, *_: Any) -> Any:
        raise NotImplementedError

    def predict(self, job: InferJob) -> Iterator[Prediction]:
        for number, example in enumerate(job.examples[job.first_index :], start=job.first_index):
            if number == self.dies_at:
                raise KeyboardInterrupt
            if number == self.skip:
                continue
            self.asked.append(example.id)
            error = "the input is empty" if number in self.errors else None
            yield Prediction(task="toy", id=example.id, model="m", error=error)


def toy_run(part: ToyPart, path: Path, model_id: str | None = "m") -> InferenceCounts:
    job = InferJob(None, EXAMPLES, 0, None, "cpu", lambda done, total, facts: None)
    return run_inference(part, job, path, row_type=Prediction, model_id=model_id)


def test_every_example_has_one_line_in_order(tmp_path: Path) -> None:
    counts = toy_run(ToyPart(), tmp_path / "p.jsonl")
    assert [row.id for row in read_all(tmp_path / "p.jsonl", Prediction)] == [example.id for example in EXAMPLES]
    assert counts == InferenceCounts(5, 0, {})


def test_an_interrupted_run_goes_on_behind_what_it_wrote(tmp_path: Path) -> None:
    path = tmp_path / "p.jsonl"
    with pytest.raises(KeyboardInterrupt):
        toy_run(ToyPart(dies_at=2), path)
    part = ToyPart()
    assert toy_run(part, path).num_resumed == 2
    assert part.asked == ["record-2", "record-3", "record-4"]
    toy_run(ToyPart(), tmp_path / "whole.jsonl")
    assert path.read_bytes() == (tmp_path / "whole.jsonl").read_bytes()


def test_a_run_cut_at_any_byte_ends_in_the_same_bytes(tmp_path: Path) -> None:
    path = tmp_path / "p.jsonl"
    toy_run(ToyPart(errors=(1,)), path)
    whole = path.read_bytes()
    for length in range(len(whole) + 1):
        path.write_bytes(whole[:length])
        assert toy_run(ToyPart(errors=(1,)), path).error_counts == {"the input is empty": 1}
        assert path.read_bytes() == whole


def test_an_answer_is_in_the_file_before_the_next_is_asked_for(tmp_path: Path) -> None:
    path = tmp_path / "p.jsonl"

    class Counting(ToyPart):
        def predict(self, job: InferJob) -> Iterator[Prediction]:
            for number, row in enumerate(super().predict(job)):
                assert path.read_bytes().count(b"\n") == number
                yield row

    toy_run(Counting(), path)


def test_errors_are_counted_those_of_the_resumed_part_too(tmp_path: Path) -> None:
    with pytest.raises(KeyboardInterrupt):
        toy_run(ToyPart(errors=(0, 3), dies_at=2), tmp_path / "p.jsonl")
    assert toy_run(ToyPart(errors=(0, 3)), tmp_path / "p.jsonl").error_counts == {"the input is empty": 2}


def test_predictions_of_another_model_are_not_continued(tmp_path: Path) -> None:
    toy_run(ToyPart(), tmp_path / "p.jsonl")
    with pytest.raises(UserError, match="expected 'record-0' by model n") as caught:
        toy_run(ToyPart(), tmp_path / "p.jsonl", model_id="n")
    assert caught.value.where == f"{tmp_path / 'p.jsonl'}:1"
    assert "--force" in str(caught.value.remedy)


def test_predictions_of_other_examples_are_not_continued(tmp_path: Path) -> None:
    path = tmp_path / "p.jsonl"
    toy_run(ToyPart(), path)
    first, second, *rest = path.read_bytes().splitlines(keepends=True)
    path.write_bytes(b"".join([second, first, *rest]))
    with pytest.raises(UserError, match="this line is 'record-1'"):
        toy_run(ToyPart(), path)


def test_examples_that_share_an_id_are_refused(tmp_path: Path) -> None:
    job = InferJob(None, [*EXAMPLES, EXAMPLES[1]], 0, None, "cpu", lambda done, total, facts: None)
    with pytest.raises(UserError, match="two examples are called 'record-1'") as caught:
        run_inference(ToyPart(), job, tmp_path / "p.jsonl", row_type=Prediction, model_id="m")
    assert caught.value.where == "records 2 and 6 of the input"
    assert not (tmp_path / "p.jsonl").exists()


def test_rows_of_several_models_are_taken_and_continued_where_the_task_says_which(tmp_path: Path) -> None:
    path = tmp_path / "p.jsonl"
    with pytest.raises(KeyboardInterrupt):
        toy_run(ToyPart(dies_at=2), path, model_id=None)
    path.write_bytes(path.read_bytes().replace(b'"model":"m"', b'"model":"n"', 1))
    assert toy_run(ToyPart(), path, model_id=None) == InferenceCounts(5, 2, {})


def test_more_predictions_than_examples_are_not_continued(tmp_path: Path) -> None:
    path = tmp_path / "p.jsonl"
    toy_run(ToyPart(), path)
    path.write_bytes(path.read_bytes() + b'{"schema":"prediction_v1","task":"toy","id":"record-5","model":"m"}\n')
    with pytest.raises(UserError, match="expected None"):
        toy_run(ToyPart(), path)


def test_a_part_that_leaves_an_example_out_is_a_bug(tmp_path: Path) -> None:
    with pytest.raises(AssertionError, match="record-3"):
        toy_run(ToyPart(skip=2), tmp_path / "p.jsonl")
    with pytest.raises(ValueError, match="shorter"):
        toy_run(ToyPart(skip=4), tmp_path / "p.jsonl")


# the stage, with a trained model


@pytest.fixture
def runs(tiny_runs: Path, tmp_path: Path) -> Path:
    """A copy of the tiny run that a test may change."""
    shutil.copytree(tiny_runs, tmp_path / "runs")
    return tmp_path / "runs"


def run_infer(runs: Path, *arguments: str | Path) -> int:
    return run_command(infer.app, ["gridworld", "--recipe", "tiny", "--runs-dir", str(runs), *map(str, arguments)])


def predictions(runs: Path) -> Path:
    return runs / RUN / "infer/predictions.jsonl"


def test_it_answers_each_example_once_and_marks_rows_with_the_model(runs: Path) -> None:
    examples = read_all(runs / RUN / "examples/examples.jsonl", dict)
    rows = read_all(predictions(runs), dict)
    assert [row["id"] for row in rows] == [row["id"] for row in examples]
    assert len({row["model"] for row in rows}) == 1
    assert [row["trace"] is not None for row in rows] == [n < 3 or row["died"] for n, row in enumerate(rows)]


def test_repetition_and_another_batch_size_give_the_same_bytes(runs: Path, tmp_path: Path) -> None:
    before = predictions(runs).read_bytes()
    for number, size in enumerate((1, 5, 256)):
        assert run_infer(runs, "--set", f"infer.batch_size={size}", "--out", tmp_path / f"{number}") == 0
        assert (tmp_path / f"{number}" / "predictions.jsonl").read_bytes() == before


def test_a_run_cut_at_random_bytes_resumes_to_the_same_bytes(runs: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path, manifest = predictions(runs), runs / RUN / "infer/manifest.json"
    whole, killed = path.read_bytes(), manifest.read_text().replace('"status": "ok"', '"status": "started"')
    generator = random.Random(0)
    for _ in range(10):
        path.write_bytes(whole[: generator.randrange(len(whole) + 1)])
        manifest.write_text(killed)
        assert run_infer(runs) == 0, capsys.readouterr().err
        assert path.read_bytes() == whole


def test_explicit_paths_need_no_recipe(runs: Path, tmp_path: Path) -> None:
    model, examples = runs / RUN / "export/model.inference_v1", runs / RUN / "examples/examples.jsonl"
    given = ["gridworld", "--model", str(model), "--input", str(examples), "--out", str(tmp_path / "here")]
    assert run_command(infer.app, given) == 0
    rows = read_all(tmp_path / "here/predictions.jsonl", dict)
    assert [row["wellbeing"] for row in rows] == [row["wellbeing"] for row in read_all(predictions(runs), dict)]


def test_without_a_model_it_says_what_to_run(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run_infer(tmp_path / "empty") == 2
    error = capsys.readouterr().err
    assert "input 'model' does not exist" in error
    assert str(tmp_path / "empty" / RUN / "export/model.inference_v1") in error


@pytest.mark.parametrize(
    ("flag", "message"), [("--replay", "has no use for --replay"), ("--backend", "backend"), ("--image-root", "no use")]
)
def test_a_task_that_answers_from_model_files_alone_refuses_other_sources(
    flag: str, message: str, runs: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run_infer(runs, flag, "replay", "--out", tmp_path / "out") == 2
    assert message in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


def test_a_damaged_model_is_refused(runs: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    model = tmp_path / "damaged.inference_v1"
    data = bytearray((runs / RUN / "export/model.inference_v1").read_bytes())
    data[-100] ^= 1
    model.write_bytes(data)
    assert run_infer(runs, "--model", model, "--out", tmp_path / "out") == 2
    assert "damaged" in capsys.readouterr().err
    assert os.path.exists(tmp_path / "out/manifest.json")


def test_examples_without_a_row_are_refused(runs: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "none.jsonl").touch()
    assert run_infer(runs, "--input", tmp_path / "none.jsonl", "--out", tmp_path / "out") == 2
    told = capsys.readouterr().err
    assert "there are no examples in it" in told
    assert "`baton examples`" in told


def test_the_manifest_names_the_model_and_its_training_step(runs: Path) -> None:
    text = (runs / RUN / "infer/manifest.json").read_text()
    (row, *_) = read_all(predictions(runs), dict)
    assert f'"model": "{row["model"]}"' in text
    assert '"step": ' in text
    recipe = describe(runs / RUN / "export/model.inference_v1")["metadata"]["recipe_hash"]
    assert f'"training": "{recipe}"' in text

"""Activations beside the rows: the same files however they are made, what they hold, and files that were changed."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from pipeline.contract.jobs import InferJob
from pipeline.errors import UserError
from pipeline.files import read_all
from pipeline.infer.run import run_inference
from pipeline.tasks.diffusion.infer import predict
from pipeline.tasks.diffusion.infer.record import open_activations
from pipeline.tasks.diffusion.model.activations import look_at
from pipeline.tasks.diffusion.model.model import DiffusionModel
from pipeline.tasks.diffusion.model.network import brain_spec
from pipeline.tasks.diffusion.pixels import decode_png, to_values
from pipeline.tasks.diffusion.recipe import Activations, Infer
from pipeline.tasks.diffusion.rows import DiffusionExample, DiffusionPrediction
from tests.conftest import Baton
from tests.tasks.diffusion.small_model import LABELS, small_brain, small_network

WANTED = Activations(layers=("middle", "stem"), sigmas=(2.0, 0.5))
ASKED = [
    DiffusionExample(id=f"r{k}", label=LABELS[k % 3] if k != 5 else "zebra", seed=k, num_steps=2) for k in range(10)
]


@pytest.fixture
def job(monkeypatch: pytest.MonkeyPatch) -> InferJob:
    """Ten requests, one of which cannot be answered, in chunks of four."""
    monkeypatch.setattr(predict, "CHUNK", 4)
    model = DiffusionModel(small_network(), brain_spec(small_brain()), {}, "0" * 64)
    options = Infer(batch_size=3, num_frames=0, activations=WANTED)
    return InferJob(model, ASKED, 0, options, "cpu", lambda done, total, facts: None)


def run(job: InferJob, folder: Path) -> dict[str, bytes]:
    """All files that an inference leaves in a folder."""
    folder.mkdir(exist_ok=True)
    run_inference(
        predict.PART, job, folder / "predictions.jsonl", row_type=DiffusionPrediction, model_id=job.model and "0" * 16
    )
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_batches_and_runs_that_were_cut_off_leave_the_same_files(job: InferJob, tmp_path: Path) -> None:
    whole = run(job, tmp_path / "whole")
    names = [f"activations/{layer}-{start:08d}.npy" for layer in ("middle", "stem") for start in (0, 4, 8)]
    assert sorted(whole) == [*sorted(names), "predictions.jsonl"]
    assert run(replace(job, options=Infer(batch_size=1, num_frames=0, activations=WANTED)), tmp_path / "ones") == whole
    cut = tmp_path / "cut"
    (cut / "activations").mkdir(parents=True)
    lines = whole["predictions.jsonl"].splitlines(keepends=True)
    (cut / "predictions.jsonl").write_bytes(b"".join(lines[:6]) + lines[6][:40])
    (cut / names[0]).write_bytes(whole[names[0]])
    (cut / names[1]).write_bytes(b"torn")
    found = run(job, cut)
    assert {name: found[name] for name in found if name != names[3]} | {names[3]: whole[names[3]]} == whole
    assert names[3] not in found  # of rows that were there: whoever removed it is told when it is opened


def test_a_file_holds_what_the_layer_says_of_the_images_with_noise_and_without_a_label(
    job: InferJob, tmp_path: Path
) -> None:
    run(job, tmp_path / "out")
    rows = list(read_all(tmp_path / "out/predictions.jsonl", DiffusionPrediction))
    found = dict(open_activations(tmp_path / "out", rows, "middle"))
    assert list(found) == [f"r{k}" for k in range(10) if k != 5]
    assert rows[5].error == "unknown_class" and rows[5].activations is None
    assert isinstance(job.model, DiffusionModel)
    image = to_values(decode_png(rows[6].image_png or ""))
    expected = look_at(job.model.denoiser, [image], [6], ["middle"], [2.0, 0.5])["middle"][0]
    assert np.array_equal(found["r6"], expected.astype(np.float16))
    assert rows[6].activations is not None and rows[6].activations.label == "none"
    told = look_at(job.model.denoiser, [image], [6], ["middle"], [2.0, 0.5], [0])["middle"][0]
    assert not np.array_equal(told, expected)


def test_a_file_that_was_changed_is_refused(job: InferJob, tmp_path: Path) -> None:
    run(job, tmp_path / "out")
    rows = list(read_all(tmp_path / "out/predictions.jsonl", DiffusionPrediction))
    path = tmp_path / "out/activations/stem-00000004.npy"
    path.write_bytes(path.read_bytes()[:-1] + b"x")
    with pytest.raises(UserError, match="not those that the predictions name") as caught:
        list(open_activations(tmp_path / "out", rows, "stem"))
    assert caught.value.where == str(path)
    path.unlink()
    with pytest.raises(UserError, match="no such file"):
        list(open_activations(tmp_path / "out", rows, "stem"))


def test_without_a_folder_nothing_is_recorded_and_that_is_said(job: InferJob) -> None:
    with pytest.raises(UserError, match="no folder"):
        next(predict.predict(job))
    with pytest.raises(UserError, match="no layer 'top'") as caught:
        options = Infer(activations=Activations(layers=("top",)))
        next(predict.predict(replace(job, options=options)))
    assert "middle" in (caught.value.remedy or "")


def rows_of(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text().splitlines()]


def test_the_command_lists_the_files_and_workers_leave_the_same(baton: Baton, digits_run: Path, tmp_path: Path) -> None:
    asked = digits_run / "examples/examples.jsonl"
    given = ("infer", "diffusion", "--model", digits_run / "export/model.inference_v1", "--input", asked,
             "--set", "infer.activations.layers=[middle]", "--set", "infer.num_frames=0", "--out")  # fmt: skip
    done = baton(*given, tmp_path / "one")
    assert done.code == 0, done.err
    assert baton(*given, tmp_path / "two", "--num-workers", "2").code == 0
    name = "activations/middle-00000000.npy"
    for file in (name, "predictions.jsonl"):
        assert (tmp_path / "one" / file).read_bytes() == (tmp_path / "two" / file).read_bytes()
    manifest = json.loads((tmp_path / "one/manifest.json").read_text())
    assert manifest["counts"]["num_files"] == 1
    sha256 = rows_of(tmp_path / "one/predictions.jsonl")[0]["activations"]["files"]["middle"]["sha256"]
    assert manifest["outputs"][name]["sha256"] == sha256
    (tmp_path / "one" / name).unlink()
    again = baton(*given, tmp_path / "one")
    assert again.code == 2 and name in again.err
    assert baton(*given, tmp_path / "one", "--force").code == 0
    assert (tmp_path / "one" / name).is_file()

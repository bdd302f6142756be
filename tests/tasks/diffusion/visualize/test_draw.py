"""Figures from rows alone, and what is said where something cannot be drawn."""

from pathlib import Path

import msgspec
import numpy as np
import pytest
from PIL import Image

from pipeline.contract.jobs import DrawJob, PairDrawJob
from pipeline.errors import UserError
from pipeline.files import read_all
from pipeline.tasks.diffusion.rows import DiffusionPrediction
from pipeline.tasks.diffusion.visualize.draw import draw, draw_pair
from pipeline.tasks.diffusion.visualize.sheets import sheet


@pytest.fixture
def rows(digits_run: Path) -> list[DiffusionPrediction]:
    return list(read_all(digits_run / "infer/predictions.jsonl", DiffusionPrediction))


def test_a_sheet_has_a_pixel_of_paper_between_images() -> None:
    black = np.zeros((2, 2, 1), np.uint8)
    assert sheet([[black, black], [black]])[:, :, 0].tolist() == [
        [0, 0, 255, 0, 0, 255], [0, 0, 255, 0, 0, 255], [255] * 6,
        [0, 0, 255, 255, 255, 255], [0, 0, 255, 255, 255, 255], [255] * 6,
    ]  # fmt: skip


def test_all_there_is_to_see_is_drawn(rows: list[DiffusionPrediction], digits_run: Path, tmp_path: Path) -> None:
    notes: list[str] = []
    job = DrawJob({"a": rows, "b": rows}, tmp_path, train_folder=digits_run / "train", note=notes.append)
    figures = {figure.id: figure for figure in draw(job)}
    assert list(figures) == ["sheet", "ways", "worst", "nearest", "steering", "map", "maps", "training", "checkpoints"]
    assert notes == []
    for figure in figures.values():
        with Image.open(tmp_path / figure.path) as image:
            assert image.width == 1500
    least = min((row for row in rows if row.variant == "main"), key=lambda row: row.label_probability or 0.0)
    assert figures["worst"].record_ids[0] == least.id


def test_steps_are_a_curve_where_several_were_asked_for(rows: list[DiffusionPrediction], tmp_path: Path) -> None:
    more = [msgspec.structs.replace(row, id=f"x{row.id}", num_steps=9, variant="nine") for row in rows]
    assert "steps" in {figure.id for figure in draw(DrawJob({"a": [*rows, *more]}, tmp_path))}


def test_ways_that_are_not_kept_are_noted(rows: list[DiffusionPrediction], tmp_path: Path) -> None:
    bare = [msgspec.structs.replace(row, frames_png=None, real_png=None) for row in rows]
    notes: list[str] = []
    figures = [figure.id for figure in draw(DrawJob({"a": bare}, tmp_path, note=notes.append))]
    assert "ways" not in figures and "sheet" in figures
    assert "infer.num_frames" in notes[0]
    with pytest.raises(UserError, match="no images"):
        list(draw(DrawJob({"a": []}, tmp_path)))


def test_a_record_is_drawn_as_several_models_answered_it(rows: list[DiffusionPrediction], tmp_path: Path) -> None:
    (figure,) = draw_pair(PairDrawJob(records=[{"old": rows[0], "new": rows[0]}], folder=tmp_path))
    assert figure.path == "figures/pair_000.png" and figure.record_ids == (rows[0].id,)
    assert (tmp_path / figure.path).stat().st_size > 0

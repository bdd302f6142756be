"""infer with a text format: stored texts of other models, what the manifest keeps, and what the last line says."""

from pathlib import Path
from typing import Any

import pytest

from pipeline.errors import UserError
from pipeline.run.manifest import load_manifest
from pipeline.tasks.detection.geometry import to_pixels
from pipeline.tasks.detection.infer.sources import resolve_prompt
from pipeline.tasks.detection.read_text.formats import DEFAULT, PRESETS, TextFormat
from pipeline.tasks.detection.rows import DetectionPrediction
from tests.tasks.detection.input_records import predictions, run_infer, write_lines

TRUTH = [64, 48, 320, 240]
QWEN = '[{"bbox_2d":[64,48,320,240],"label":"cat"}]'
GEMINI = '[{"box_2d":[100,100,500,500],"label":"cat"}]'
FLORENCE = "cat<loc_100><loc_100><loc_500><loc_500>"


def replay(folder: Path, texts: list[str], *settings: str, out: str = "out") -> list[DetectionPrediction]:
    """The rows of ``texts`` about images of 640 x 480 with one true cat."""
    objects = [{"desc": "cat", "bbox_2d": TRUTH}]
    facts: dict[str, Any] = {"width": 640, "height": 480, "objects": objects}
    examples = [{"images": [f"{n}.png"], "image_id": n} | facts for n in range(len(texts))]
    written = [{"id": n, "raw_output": text} for n, text in enumerate(texts)]
    files = (
        "--replay", write_lines(folder / "texts.jsonl", written),
        "--input", write_lines(folder / "examples.jsonl", examples),
    )  # fmt: skip
    assert run_infer("--backend", "replay", *files, "--out", folder / out, settings=settings) == 0
    return predictions(folder / out)


def pixels(row: DetectionPrediction) -> list[float]:
    return to_pixels(row.preds[0].bbox_2d or (), row.coord_mode, row.width, row.height)


def test_stored_texts_are_read_in_the_format_of_a_preset(tmp_path: Path) -> None:
    rows = replay(tmp_path, [GEMINI] * 3, "text_format.preset=gemini")
    assert {row.status for row in rows} == {"ok"}
    assert [pixels(row) for row in rows] == [pytest.approx(TRUTH)] * 3


def test_the_manifest_holds_the_format_and_another_one_outdates_the_run(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    replay(tmp_path, [GEMINI], "text_format.preset=gemini")
    kept = load_manifest(tmp_path / "out").config["text_format"]
    assert (kept["preset"], kept["box_key"], kept["axes"], kept["grid"]) == ("gemini", "box_2d", "yxyx", 1000)
    files = ("--replay", tmp_path / "texts.jsonl", "--input", tmp_path / "examples.jsonl", "--out", tmp_path / "out")
    assert run_infer("--backend", "replay", *files, settings=["text_format.preset=glm-v"]) == 2
    assert "text_format" in capsys.readouterr().err


def test_without_a_format_the_configuration_is_as_it_was(tmp_path: Path) -> None:
    replay(tmp_path, ["[]"], "text_format.preset=baton")
    assert "text_format" not in load_manifest(tmp_path / "out").config


def last_line(folder: Path, capsys: pytest.CaptureFixture[str], texts: list[str], *settings: str) -> str:
    replay(folder, texts, *settings)
    return capsys.readouterr().out.splitlines()[-1].strip()


def test_where_nothing_was_read_the_last_line_names_the_presets_that_would_have(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    said = last_line(tmp_path, capsys, [QWEN, QWEN, "[]", "no idea"])
    assert said == (
        "in 3 records nothing was read; 2 would be read with --set text_format.preset=qwen3-vl (2 objects) or "
        "preset=qwen2.5-vl (2 objects) or preset=glm-v (2 objects); the model that wrote them says which"
    )
    assert [row.preds for row in predictions(tmp_path / "out")] == [[]] * 4  # told, and not done


@pytest.mark.parametrize(
    ("text", "settings", "said"),
    [
        (GEMINI, (), "1 would be read with --set text_format.preset=gemini (1 object)"),
        (GEMINI, ("text_format.preset=gemini", "text_format.grid=99"), "text_format.preset=gemini (1 object)"),
        (
            '[{"rect":[0.1,0.1,0.5,0.5],"name":"cat","note":""}]',
            (),
            "1 would be read with --set text_format.box_key=rect --set text_format.desc_key=name (1 object), and "
            "text_format.grid and axes as that model writes them",
        ),
        (FLORENCE, (), "text_format.preset=florence (1 object)"),
        (FLORENCE, ("text_format.preset=paligemma",), "text_format.preset=florence (1 object)"),
        ('[{"bbox_2d":[1,2,300,400],"desc":"cat"}]', ("text_format.preset=gemini",), "text_format.preset=baton"),
        (
            '[{"bbox_2d":[100,100,1000,500],"desc":"cat"},{"bbox_2d":[0,0,1000,1000],"desc":"room"}]',
            (),
            "2 objects touching 1000, which lies outside of a grid of 0 to 999: --set text_format.grid=1000 reads",
        ),
        ('<point x="1" y="2" alt="cat">cat</point>', (), "in 1 record nothing was read, and points are written"),
        (
            '<point x="1" y="2" alt="cat">cat</point>',
            ("text_format.preset=molmo",),
            "1 point dropped: a point has no extent",
        ),
    ],
)
def test_the_last_line_says_what_would_help(
    text: str, settings: tuple[str, ...], said: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert said in last_line(tmp_path, capsys, [text], *settings)


def test_nothing_is_said_where_all_was_read(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert last_line(tmp_path, capsys, ["[]", '[{"bbox_2d":[1,2,300,400],"desc":"cat"}]']).startswith("predictions:")


def test_what_was_said_is_said_again_where_the_run_is_up_to_date(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    first = last_line(tmp_path, capsys, [GEMINI])
    assert last_line(tmp_path, capsys, [GEMINI]) == first
    assert load_manifest(tmp_path / "out").notes["remarks"] == [first]


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        (["text_format.preset=gemni"], "gemini"),
        (["text_format.preset=florence", "text_format.box_key=box"], "write tokens and no keys"),
        (["text_format.box_key=desc"], "the keys differ from each other"),
        (["text_format.box_key=a b"], "box_key"),
        (["text_format.axes=xyx"], "cxcywh"),
        (["text_format.grid=0"], "grid"),
    ],
)
def test_a_format_that_cannot_be_is_refused_before_anything_runs(
    settings: list[str], said: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    files = ("--replay", tmp_path / "texts.jsonl", "--input", tmp_path / "examples.jsonl", "--out", tmp_path / "out")
    assert run_infer("--backend", "replay", *files, settings=settings) == 2
    assert said in capsys.readouterr().err


# the prompt


def test_the_default_prompt_asks_for_what_the_format_reads() -> None:
    assert resolve_prompt("server", "", DEFAULT) == (
        "Find all objects in the image. Answer with a JSON list and nothing else. Each entry is "
        '{"bbox_2d": [x1, y1, x2, y2], "desc": "a short name"}; coordinates are whole numbers from 0 (left, top) to '
        "999 (right, bottom). If there is no object, answer []."
    )
    assert resolve_prompt("own", "", PRESETS["gemini"]) == resolve_prompt("replay", "", PRESETS["florence"]) == ""
    assert resolve_prompt("server", "Where?", PRESETS["florence"]) == "Where?"
    asked = resolve_prompt("server", "", PRESETS["gemini"])
    assert '{"box_2d": [y1, x1, y2, x2], "label": "a short name"}' in asked
    assert "whole numbers from 0 (left, top) to 1000 (right, bottom)" in asked
    assert "in pixels of the image" in resolve_prompt("huggingface", "", PRESETS["qwen2.5-vl"])
    assert "are numbers from 0 (left, top) to 1 " in resolve_prompt("server", "", TextFormat(grid=1))


def test_a_family_that_writes_tokens_needs_a_prompt_of_its_own() -> None:
    with pytest.raises(UserError, match="the prompt is empty"):
        resolve_prompt("server", "", PRESETS["paligemma"])

"""The report of detection: visualize on files, and what a reader finds in the page."""

import html
from pathlib import Path

import msgspec
import pytest
from PIL import Image

from pipeline.files import read_all, write_all
from pipeline.run.manifest import image_root_of, load_manifest
from schemas.rows import Figure
from stages.common import run_command
from stages.visualize import app
from tests.conftest import Baton
from tests.look.report_views import VIEWS, open_report
from tests.tasks.detection.visualize.drawing import CAT, ROWS, predicted, row, save_images, true

HOSTILE = "</script></pre><img src=x onerror=alert(1)>"


@pytest.fixture
def predictions(tmp_path: Path) -> Path:
    """Two predictions with the images beside them."""
    save_images(tmp_path, ROWS[:2])
    write_all(tmp_path / "predictions.jsonl", ROWS[:2])
    return tmp_path / "predictions.jsonl"


@pytest.fixture(scope="module")
def report(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder that visualize wrote of all rows, with their images. For reading only."""
    folder = tmp_path_factory.mktemp("report")
    save_images(folder, ROWS)
    write_all(folder / "predictions.jsonl", ROWS)
    assert visualize("--input", folder / "predictions.jsonl", "--out", folder / "out") == 0
    return folder / "out"


def visualize(*arguments: str | Path) -> int:
    return run_command(app, ["detection", "--set", "evaluate.num_resamples=20", *map(str, arguments)])


@pytest.mark.parametrize("kind", VIEWS)
def test_a_reader_filters_to_the_worst_images_of_one_class(kind: str, report: Path, tmp_path: Path) -> None:
    with open_report(kind, report / "report.html") as view:

        def shown() -> list[str]:
            return [title.partition(" Figure")[0].partition(". ")[2] for title in view.shown()]

        worst = ["wrong class", "invented", "cut", "failed", "twice", "half", "good", "nothing"]
        assert shown() == worst  # the worst stand first from the beginning
        view.order("F1", upward=False)
        assert shown()[:2] == ["good", "half"]
        view.order(None)
        view.choose("error", "not found")
        assert shown() == ["wrong class", "cut", "failed", "half"]
        view.choose("class", "dog")
        assert shown() == ["wrong class", "failed", "half"]
        if view.page:
            view.page.run("document.querySelector('.gallery').scrollIntoView({behavior: 'instant'})")
            view.page.screenshot(tmp_path / "filtered.png")
            _check_screenshot(tmp_path / "filtered.png")
        view.choose("status", "not_run")
        assert shown() == ["failed"]


def _check_screenshot(path: Path) -> None:
    """The picture of the image whose object has the wrong class: its orange line, and no green of a match."""
    with Image.open(path) as shot:
        assert shot.size == (1400, 1000)
        colors = shot.convert("RGB").getcolors(1 << 24) or []
    near = {
        name: sum(number for number, rgb in colors if sum(abs(a - b) for a, b in zip(rgb, wanted, strict=True)) < 80)
        for name, wanted in (
            ("false", (0xFF, 0x7A, 0x45)),
            ("not found", (0xFF, 0xD5, 0x4A)),
            ("match", (0x2F, 0xE0, 0xA0)),
        )
    }
    assert near["false"] > 60
    assert near["not found"] > 60
    assert near["match"] == 0


def test_what_a_model_wrote_is_there_as_text_with_its_objects_marked(tmp_path: Path) -> None:
    text = f'[{{"bbox_2d": 1, "desc": "{HOSTILE}"}}] {HOSTILE}'
    hostile = row(
        HOSTILE, [true(HOSTILE, CAT)], [predicted(HOSTILE, CAT, span=(1, 20))], raw_output=text, model=HOSTILE
    )
    write_all(tmp_path / "p.jsonl", [hostile, row("b", [true("cat", CAT)], model=HOSTILE, raw_output=HOSTILE)])
    assert visualize("--input", tmp_path / "p.jsonl", "--out", tmp_path / "out") == 0
    page = (tmp_path / "out/report.html").read_text()
    assert "<img src=x" not in page
    assert page.count("</script>") == page.count("<script")
    assert f'<mark class="good" title="{html.escape(HOSTILE.casefold())}: matched, IoU 1.00">' in page
    assert html.escape(text[20:]) in page


def test_facts_and_texts_are_in_the_rows_of_figures(report: Path) -> None:
    figures = {one.record_ids: one for one in read_all(report / "figures.jsonl", Figure)}
    assert figures[("cut",)].facts["status"] == "truncated"
    assert figures[("cut",)].text is not None
    assert figures[("failed",)].text is None


def test_the_table_of_records_has_their_scores(report: Path) -> None:
    page = (report / "report.html").read_text()
    data = msgspec.json.decode(page.partition('id="records-data">')[2].partition("</script>")[0])
    f1 = data["columns"].index("f1")
    found = {line[0]: line[f1] for line in data["rows"]}
    assert (found["good"], found["twice"], found["nothing"]) == (1.0, 0.5, None)


def test_images_that_change_outdate_the_report(
    predictions: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    again = ("--input", predictions, "--out", tmp_path / "out")
    assert visualize(*again) == 0
    capsys.readouterr()
    assert visualize(*again) == 0
    assert "up to date" in capsys.readouterr().out
    Image.new("RGB", (80, 60), "white").save(tmp_path / ROWS[0].images[0])
    assert visualize(*again) == 2
    assert "images_sha256" in capsys.readouterr().err


def test_images_are_found_where_the_flag_says(predictions: Path, tmp_path: Path) -> None:
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    (tmp_path / "images").rename(elsewhere / "images")
    assert visualize("--input", predictions, "--image-root", elsewhere, "--out", tmp_path / "with") == 0
    assert "could not be opened" not in str(load_manifest(tmp_path / "with").notes["missing"])


def test_an_image_root_that_does_not_exist_is_the_users_mistake(
    predictions: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert visualize("--input", predictions, "--image-root", tmp_path / "no", "--out", tmp_path / "out") == 2
    assert "no such folder of images" in capsys.readouterr().err


def test_images_are_found_where_infer_found_them(baton: Baton, tmp_path: Path) -> None:
    examples = tmp_path / "made/examples.jsonl"
    made = baton(
        "examples", "detection", "--recipe", "heldout", "--set", "examples.num_images=2", "--out", examples.parent
    )
    assert made.code == 0, made.err
    ids = [msgspec.json.decode(line)["id"] for line in examples.read_text().splitlines()]
    texts = "".join(f'{{"id": "{id}", "raw_output": "[]", "model": "m"}}\n' for id in ids)
    (tmp_path / "texts.jsonl").write_text(texts)
    replay = ("--backend", "replay", "--replay", tmp_path / "texts.jsonl")
    done = baton("infer", "detection", *replay, "--input", examples, "--out", tmp_path / "run/infer")
    assert done.code == 0, done.err
    assert image_root_of(tmp_path / "run/infer/predictions.jsonl") == examples.parent
    assert visualize("--input", tmp_path / "run/infer/predictions.jsonl", "--out", tmp_path / "out") == 0
    assert "could not be opened" not in str(load_manifest(tmp_path / "out").notes["missing"])


def test_of_predictions_from_anywhere_the_images_lie_beside_them(tmp_path: Path) -> None:
    assert image_root_of(tmp_path / "predictions.jsonl") == tmp_path

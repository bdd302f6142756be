"""The pictures of detection: every one from rows, and nothing that is missing or hostile stops them."""

from collections.abc import Sequence
from dataclasses import replace as changed
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pytest
from matplotlib.figure import Figure as Canvas
from PIL import Image

from pipeline.contract.jobs import DrawJob
from pipeline.errors import UserError
from pipeline.files import write_all
from pipeline.look import plotting
from pipeline.look.picture import Picture
from pipeline.tasks.detection.evaluate.dataset import collect
from pipeline.tasks.detection.evaluate.explain import look
from pipeline.tasks.detection.evaluate.figures import Figures
from pipeline.tasks.detection.evaluate.score import evaluate
from pipeline.tasks.detection.recipe import Evaluate, Visualize
from pipeline.tasks.detection.rows import DetectionPrediction, DroppedObject
from pipeline.tasks.detection.visualize.curves import interpolated_precision, precision_curves, precision_recall
from pipeline.tasks.detection.visualize.draw import IMAGES, SHEETS, draw, hash_images, sections
from pipeline.tasks.detection.visualize.errors import confusion, confusion_table, with_full_end
from pipeline.tasks.detection.visualize.outlines import OBJECT_LOOKS
from pipeline.tasks.detection.visualize.worst import JudgedImage, judge, text_of
from schemas.rows import Figure
from tests.tasks.detection.visualize.drawing import CAT, DOG, ROWS, monitor, predicted, progress, row, save_images, true

SCORED = [
    row("a", [true("cat", CAT)], [predicted("cat", CAT, 0.9), predicted("cat", DOG, 0.2)]),
    row("b", [true("cat", CAT)], [predicted("cat", CAT, 0.6)]),
]


def drawn(
    rows: Sequence[DetectionPrediction], root: Path | None, section: str = IMAGES, **changes: Any
) -> tuple[dict[str, Picture], list[str]]:
    """The pictures of a section by slug, and the notes."""
    notes: list[str] = []
    job = DrawJob(predictions={"a": rows}, folder=Path("nowhere"), image_root=root, note=notes.append)
    with plotting.style():
        every = sections(changed(job, **changes))
        return {picture.slug: picture for name, found in every if name == section for picture in found}, notes


@pytest.fixture(scope="module")
def pictures(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Picture]:
    """Every image of `ROWS`, by slug. For looking only."""
    return drawn(ROWS, save_images(tmp_path_factory.mktemp("images"), ROWS))[0]


def judged_of(rows: Sequence[DetectionPrediction]) -> list[JudgedImage]:
    return judge(Figures(collect(rows), Evaluate()))


def texts_of(canvas: Canvas) -> str:
    return " | ".join(text.get_text() for text in [*canvas.texts, *(t for ax in canvas.axes for t in ax.texts)])


def looks_in(canvas: Canvas, panel: int) -> set[str]:
    """The names of the looks of the outlines on a panel."""
    names = {str(collection.get_label()) for collection in canvas.axes[panel].collections}
    return names & set(OBJECT_LOOKS)


def image_of(found: dict[str, Picture], id: str) -> Picture:
    return next(p for p in found.values() if p.record_ids == (id,) and p.slug.startswith("image_"))


@pytest.fixture(scope="module")
def everything(tmp_path_factory: pytest.TempPathFactory) -> tuple[DrawJob, list[Figure], list[str]]:
    """All there is to draw, its rows and the notes. For looking only."""
    folder, notes = tmp_path_factory.mktemp("everything"), list[str]()
    write_all(folder / "train/progress.jsonl", progress())
    write_all(folder / "train/monitor.jsonl", monitor())
    job = DrawJob(
        predictions={"early": ROWS, "late": [*ROWS, *SCORED]},
        folder=folder,
        image_root=save_images(folder, [*ROWS, *SCORED]),
        train_folder=folder / "train",
        note=notes.append,
        options=Visualize(num_images=2),
    )
    return job, list(draw(job)), notes


def test_everything_there_is_to_see(everything: tuple[DrawJob, list[Figure], list[str]]) -> None:
    job, figures, notes = everything
    records = ["precision_recall", "scores", "errors", "confusion", "found", "texts"]
    images = ["worst", "image_0001", "image_0002"]  # a sheet of all, and as many as the recipe says
    assert [figure.id for figure in figures] == [*records, *images, "training", "checkpoints"]
    assert [note.partition(":")[0] for note in notes] == ["2 of 10 images are shown one by one, the worst first"]
    for figure in figures:
        with Image.open(job.folder / figure.path) as picture:
            assert picture.width == 1500
            assert np.asarray(picture.convert("L")).std() > 5  # something is on it


def test_the_same_predictions_give_the_same_pictures(
    everything: tuple[DrawJob, list[Figure], list[str]], tmp_path: Path
) -> None:
    job, figures, _ = everything
    assert list(draw(changed(job, folder=tmp_path))) == figures
    for figure in figures:
        assert (tmp_path / figure.path).read_bytes() == (job.folder / figure.path).read_bytes()


def test_images_stand_worst_first_and_say_what_is_wrong() -> None:
    judged = judged_of(ROWS)
    assert [image.row.id for image in judged] == [
        "wrong class",  # F1 0, one false and one not found
        "invented",  # F1 0, one error each, in the order of the rows
        "cut",
        "failed",
        "twice",  # 1 of 3 right
        "half",
        "good",
        "nothing",  # nothing to find, nothing said: no F1
    ]
    assert [image.score.f1 for image in judged] == pytest.approx([0, 0, 0, 0, 0.5, 2 / 3, 1, None])
    assert judged[0].errors == ("classification", "not found")
    assert judged[4].errors == ("duplicate", "repeated")
    scores = {score.image_id: score for score in evaluate(ROWS, Evaluate(num_resamples=0)).scores}
    assert {image.row.id: image.score for image in judged} == scores


def test_facts_are_what_the_page_filters_by(pictures: dict[str, Picture]) -> None:
    facts = image_of(pictures, "wrong class").facts
    assert facts["class"] == ("cat", "dog")
    assert facts["error"] == ("classification", "not found")
    assert (facts["status"], facts["F1"], facts["false"], facts["not found"]) == ("ok", 0.0, 1, 1)
    assert image_of(pictures, "failed").facts["failure"] == "image_missing"


def test_the_truth_is_left_and_the_prediction_right(pictures: dict[str, Picture]) -> None:
    half, wrong, cut = (image_of(pictures, id).canvas for id in ("half", "wrong class", "cut"))
    assert (looks_in(half, 0), looks_in(half, 1)) == ({"found", "not found"}, {"matched"})
    assert (looks_in(wrong, 0), looks_in(wrong, 1)) == ({"not found"}, {"false"})
    assert looks_in(cut, 1) == {"uncounted"}
    assert "cat, salvaged" in texts_of(cut)
    assert "dog, classification" in texts_of(wrong)
    assert "no prediction: image missing" in texts_of(image_of(pictures, "failed").canvas)


def test_a_sheet_lays_the_truth_and_the_prediction_over_each_other(tmp_path: Path) -> None:
    found, _ = drawn(ROWS, save_images(tmp_path, ROWS), SHEETS)
    assert list(found) == ["worst"]
    assert found["worst"].record_ids == tuple(image.row.id for image in judged_of(ROWS))
    canvas = found["worst"].canvas
    assert all(ax.images for ax in canvas.axes)
    assert looks_in(canvas, 0) == {"not found", "false"}
    assert looks_in(canvas, 5) == {"found", "not found", "matched"}


def test_headings_of_a_sheet_end_where_their_images_end() -> None:
    found, _ = drawn([row(f"{'W' * 15}-{k:06}") for k in range(5)], None, SHEETS)
    canvas = found["worst"].canvas
    assert all(text.get_text().endswith(f"-{k:06}  no objects") for k, text in enumerate(canvas.texts))
    for text, ax in zip(canvas.texts, canvas.axes, strict=True):
        assert text.get_window_extent().x1 <= ax.get_window_extent().x1


def test_of_many_images_a_second_sheet_goes_from_the_worst_to_the_best() -> None:
    rows = [row(f"r{k}", [true("cat", CAT)], [predicted("cat", (5, 5, 30, 31.0 + k % 20))]) for k in range(45)]
    found, _ = drawn(rows, None, SHEETS)
    worst_first = [image.row.id for image in judged_of(rows)]
    assert found["worst"].record_ids == tuple(worst_first[:20])
    places = [worst_first.index(id) for id in found["spread"].record_ids]
    assert places == sorted(set(places)) and (len(places), places[0], places[-1]) == (20, 0, 44)


def test_as_many_bars_as_there_are_statuses_fill_the_panel() -> None:
    found, _ = drawn([row("a")], None, "How the texts were read")
    assert found["texts"].canvas.axes[0].get_ylim() == (0.5, -0.5)


def test_scores_are_shown_where_they_differ(pictures: dict[str, Picture]) -> None:
    shown = [drawn(rows, None, "How good it is")[0] for rows in (ROWS, SCORED)]
    assert ["scores" in found for found in shown] == [False, True]
    assert "cat 0.90, IoU 1.00" in texts_of(image_of(drawn(SCORED, None)[0], "a").canvas)
    assert "cat, IoU 1.00" in texts_of(image_of(pictures, "good").canvas)


@pytest.mark.parametrize("root", ["empty", "nowhere", None])
def test_a_missing_image_is_an_empty_canvas_and_noted(root: str | None, tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    found, notes = drawn(ROWS[:2], None if root is None else tmp_path / root)
    canvas = image_of(found, "half").canvas
    assert "no image: image missing" in texts_of(canvas)
    assert looks_in(canvas, 1) == {"matched"}
    assert len(notes) == 1
    assert notes[0].startswith("2 of 2 images that are shown could not be opened (image missing 2)")


def test_an_image_outside_of_the_root_is_not_opened(tmp_path: Path) -> None:
    save_images(tmp_path, [row("secret")])
    (tmp_path / "root").mkdir()
    outside = row("a", [true("cat", CAT)], images=["../images/secret.png"])
    found, notes = drawn([outside], tmp_path / "root")
    assert "image outside root" in notes[0]
    assert not image_of(found, "a").canvas.axes[0].images


def test_what_became_of_every_object_of_an_image() -> None:
    owl = true("owl", (70.0, 50.0, 80.0, 60.0))
    preds = [predicted("dog", DOG), predicted("Cat", CAT), predicted("cat", CAT)]
    image = next(one for one in judged_of([row("a", [true("cat", CAT), owl], preds), row("b")]) if one.row.id == "a")
    assert [(one.label, one.kind, one.iou) for one in image.objects] == [
        ("dog", "background", 0.0),
        ("cat", "matched", 1.0),
        ("cat", "duplicate", 0.0),
    ]
    assert (image.labels, image.is_found) == (("cat", "owl"), (True, False))


def test_spans_of_the_text_are_marked_by_what_became_of_them() -> None:
    text = '[{cat}, {dog}, {rope}] and "<b>"'
    preds = [predicted("cat", CAT, span=(1, 6)), predicted("dog", CAT, span=(8, 13))]
    dropped = (DroppedObject(code="line_geometry", span=(15, 21)),)
    (image,) = judged_of([row("a", [true("cat", CAT)], preds, raw_output=text, dropped=dropped)])
    found = text_of(image)
    assert found is not None
    assert [(text[mark.start : mark.stop], mark.kind, mark.note) for mark in found.marks] == [
        ("{cat}", "good", "cat: matched, IoU 1.00"),
        ("{dog}", "bad", "dog: false (classification)"),
        ("{rope}", "doubtful", "dropped: line geometry"),
    ]


def test_precision_is_interpolated_as_coco_does() -> None:
    states = np.array([1, 0, 1, 2, 1], np.uint8)  # right, wrong, right, ignored, right; one of 4 is not found
    curve = interpolated_precision(states, 4)
    assert curve[0] == pytest.approx(1.0)
    assert curve[[25, 26, 50, 51, 75]] == pytest.approx([1.0, 0.75, 0.75, 0.75, 0.75])  # the highest from there on
    assert (curve[76:] == 0).all()


@pytest.mark.parametrize("rows", [ROWS, SCORED, [*ROWS, *SCORED]])
def test_the_mean_of_a_curve_is_the_average_precision_of_evaluate(rows: list[DetectionPrediction]) -> None:
    metrics = evaluate(rows, Evaluate(num_resamples=0)).metrics
    curves = precision_curves(Figures(collect(rows), Evaluate()))
    for index, name in enumerate(collect(rows).classes[: len(curves)]):
        value = {m.name: m.value for m in metrics if (m.slice_by, m.slice_value) == ("class", name)}
        assert curves[index].mean() == pytest.approx(value["average_precision"], abs=1e-12)
        assert curves[index, 0].mean() == pytest.approx(value["average_precision_50"], abs=1e-12)


def test_classes_taken_for_others_are_counted_with_the_background() -> None:
    table, rows, columns = confusion_table(look(collect(ROWS)))
    assert rows == ["cat", "dog", "(background)"]
    assert columns == ["cat", "dog", "(not found)"]
    assert table.tolist() == [
        [3, 1, 1],  # good, half, twice; as a dog; cut
        [0, 1, 2],  # good; half, failed
        [3, 0, 0],  # twice (2), invented
    ]


def test_a_confusion_that_never_was_is_a_0_and_what_cannot_be_is_hatched() -> None:
    def texts(rows: list[DetectionPrediction]) -> list[str]:
        with plotting.style():
            return [text.get_text() for text in confusion(look(collect(rows))).canvas.axes[0].texts]

    assert texts(ROWS) == ["3", "1", "1", "0", "1", "2", "3", "0", ""]
    assert texts(ROWS[:1]) == ["1", "0", "0", "0", "1", "0", "", "", ""]  # nothing false: no row to be a share of


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        ([1] * 20 + [2] * 12 + [7], [1] * 20 + [2] * 13),
        ([1] * 20 + [3] * 4 + [9] * 6, [1] * 20 + [3] * 10),
        ([4, 4, 5], [4, 4, 4]),
        ([], []),
    ],
)
def test_the_last_group_by_number_of_objects_is_full(values: list[int], expected: list[int]) -> None:
    assert with_full_end(np.array(values, dtype=np.int64)).tolist() == expected


@pytest.mark.parametrize(("num_false", "floor"), [(0, 0.9), (4, 0.8), (40, 0.0)])
def test_classes_that_lie_on_each_other_at_the_top_are_drawn_larger(num_false: int, floor: float) -> None:
    rows = [row(f"{k:03d}", [true("cat", CAT)], [predicted("cat", CAT)]) for k in range(30)]
    rows += [row(f"0{k:03d}", [], [predicted("cat", DOG)]) for k in range(num_false)]
    with plotting.style():
        right = precision_recall(collect(rows), precision_curves(Figures(collect(rows), Evaluate()))).canvas.axes[1]
    assert right.get_ylim()[0] == floor


def test_of_many_classes_the_rare_ones_are_taken_together() -> None:
    gt = [true(f"c{k:02d}", CAT) for k in range(30) for _ in range(30 - k)]
    table, rows, columns = confusion_table(look(collect([row("a", gt, [predicted("c00", CAT)])])))
    assert rows[:2] == ["c00", "c01"]
    assert rows[-2:] == ["(others)", "(background)"]
    assert table.sum() == len(gt)
    assert len(columns) == len(rows) == 15


@pytest.mark.parametrize(
    "rows",
    [
        [row("a")],
        [row("a", [true("cat", CAT)])],
        [row("a", [], [predicted("cat", CAT)])],
        [
            row("s", width=100_000, height=1),
            row("t", [true("cat", (0, 0, 1, 1))], width=1, height=100_000),
            row("f", [true("cat", (-1e300, 0, 1e300, 5))], [predicted("cat", (1e307, 1e307, 1e308, 1e308))]),
            row("n", [true("$\\frac{\n" + "日本" * 30, CAT)], [predicted("\x00\u202e" + "x" * 500, CAT)]),
            row("a" * 500, [true("cat", CAT)], images=[]),
        ],
    ],
    ids=["nothing", "no predictions", "no truth", "slivers, far away, strange names, no image"],
)
def test_strange_rows_are_drawn(rows: list[DetectionPrediction], tmp_path: Path) -> None:
    figures = list(draw(DrawJob(predictions={"a": rows}, folder=tmp_path)))
    for figure in figures:
        with Image.open(tmp_path / figure.path) as picture:
            assert picture.height < 1600


def test_without_predictions_there_is_nothing_to_draw(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="no predictions to draw"):
        list(draw(DrawJob(predictions={"a": []}, folder=tmp_path)))


def test_a_change_of_an_image_changes_the_hash(tmp_path: Path) -> None:
    root = save_images(tmp_path, ROWS)
    before = hash_images(ROWS, root)
    assert before == hash_images(ROWS, root)
    Image.new("RGB", (80, 60), (1, 2, 3)).save(root / ROWS[3].images[0])
    assert hash_images(ROWS, root) != before
    assert hash_images([msgspec.structs.replace(one, images=["gone.png"]) for one in ROWS], root) != before

"""What detection shows in the live view: scenes of literal rows."""

import base64
import io
from typing import Any

import msgspec
import pytest
from msgspec.structs import replace as changed
from PIL import Image

from pipeline.files import encode
from pipeline.follow.scene import Moment, Outline, Plane, Prose, Scene, Table
from pipeline.follow.terminal.frame import compose
from pipeline.follow.terminal.text import Size
from pipeline.tasks.detection.follow import training as live
from pipeline.tasks.detection.follow.objects import overlap, read_objects
from pipeline.tasks.detection.read_text.parse import parse
from pipeline.tasks.detection.rows import DetectionEpisode, TrueObject
from tests.follow.test_frame import view

TEXT = '[{"bbox_2d":[0,0,499,499],"desc":"circle"},{"bbox_2d":[500,500,999,999],"desc":"star"}]'
TRUTH = [
    TrueObject(desc="circle", bbox_2d=(0.0, 0.0, 8.0, 8.0)),
    TrueObject(desc="square", bbox_2d=(8.0, 8.0, 16.0, 16.0)),
]


def png(color: tuple[int, int, int] = (200, 10, 20), size: tuple[int, int] = (16, 16)) -> str:
    file = io.BytesIO()
    Image.new("RGB", size, color).save(file, "PNG")
    return base64.b64encode(file.getvalue()).decode()


def episode(text: str = TEXT, gt: list[TrueObject] = TRUTH, **fields: Any) -> DetectionEpisode:
    parsed = parse(text)
    facts: dict[str, Any] = {
        "id": "step-00000050",
        "step": 50,
        "ended_unix_s": 1.0,
        "width": 16,
        "height": 16,
        "image_png": png(),
        "raw_output": text,
        "status": parsed.status,
        "preds": list(parsed.preds),
        "gt": gt,
        "gt_coord_mode": "pixel",
        "loss": 0.5,
        "num_gt": len(gt),
        "num_preds": len(parsed.preds),
        "num_matched": 1,
        "average_precision": 0.25,
    }
    return DetectionEpisode(**(facts | fields))


def summary(row: DetectionEpisode) -> live.Summary:
    return live.Summary(**{name: getattr(row, name) for name in live.Summary.__struct_fields__})


def scene(row: DetectionEpisode, frame: int = 0) -> Scene:
    """The scene of a sample that is alone in its file."""
    return live.scene(Moment(row, frame, [summary(row)]))


def outlines(shown: Scene) -> tuple[Outline, ...]:
    assert isinstance(shown.picture, Plane)
    return shown.picture.outlines


@pytest.mark.parametrize(
    "row",
    [
        episode(),
        episode(text=""),
        episode(text="[]", gt=[]),
        episode(text='[{"bbox_2d":[1,2,3', gt=[]),
        episode(image_png="no image"),
        episode(image_png=base64.b64encode(b"\x89PNG\r\n\x1a\n cut").decode()),
        episode(text='[{"poly":[0,0,999,0,999,999],"desc":"a\\u001b[31m very long name of a thing"}]' * 3),
        episode(gt=[TrueObject(desc="square", bbox_2d=(0.0, 0.0, 16.0, 16.0))] * 40),
        episode(width=1, height=1, image_png=png(size=(1, 1))),
        episode(width=200, height=20, image_png=png(size=(200, 20))),
        episode(width=0, height=0, gt=[]),
    ],
)
def test_nothing_in_a_row_breaks_the_screen(row: DetectionEpisode) -> None:
    for panel, size in ((None, Size(80, 24)), (1, Size(64, 20)), (2, Size(140, 45)), (3, Size(64, 20))):
        for frame in range(live.num_frames(summary(row))):
            lines = compose(view(changed(scene(row, frame), frame=min(frame, 9)), panel=panel), size)
            assert [line.cell_len for line in lines] == [size.width] * size.height


def test_objects_appear_one_by_one_and_the_truth_in_the_last_frame() -> None:
    shown = [scene(episode(), frame) for frame in range(live.num_frames(summary(episode())))]
    written = [[(one.sign, one.name, one.strong) for one in moment.readings[0].values] for moment in shown]
    assert written[1:3] == [[("1 ✓", "circle", True)], [("1 ✓", "circle", False), ("2 ✗", "star", True)]]
    truth = [[(one.sign, one.name) for one in moment.readings[1].values] for moment in shown]
    assert truth == [[], [], [], [("a ○", "circle"), ("b ●", "square")]]
    assert [moment.readings[1].note.text for moment in shown] == ["2 to find"] * 3 + [""]
    assert [len(outlines(moment)) for moment in shown] == [0, 1, 2, 4]
    assert [one.dashed for one in outlines(shown[3])] == [False, False, True, True]


def test_every_object_is_an_event_and_so_is_what_was_missed() -> None:
    events = scene(episode()).events
    assert events is not None and [(one.frame, one.sign, one.text) for one in events] == [
        (1, "✓", "circle, IoU 1.00"),
        (2, "✗", "star, IoU 1.00"),
        (3, "●", "the truth: 1 of 2 found, 2 written"),
    ]


def test_the_text_is_told_up_to_the_object_that_was_written_last() -> None:
    first, last = ([(words.tone, words.text) for words in live._text(episode(), frame)] for frame in (1, 3))
    assert [tone for tone, _ in first] == ["plain", "accent", "muted"]
    assert first[1][1] == '{"bbox_2d":[0,0,499,499],"desc":"circle"}' and last == [("plain", TEXT)]


def test_panels_tell_coordinates_and_mistakes() -> None:
    (coordinates,), (mistakes,) = (panel.sections for panel in scene(episode(), 3).panels[1:])
    assert isinstance(coordinates, Table) and isinstance(mistakes, Prose)
    assert [words.text for words in coordinates.rows[1]] == ["2", "500", "500", "999", "999", "star"]
    assert [line[0].text for line in mistakes.lines] == ["2 is no star there (IoU 1.00)", "b, a square, is missed"]
    assert "told when all is written" in str(scene(episode(), 2).panels[2])


def test_each_object_takes_the_best_free_true_one_of_its_class() -> None:
    text = (
        '[{"bbox_2d":[0,0,499,499],"desc":"circle"},{"bbox_2d":[0,0,480,480],"desc":"circle"},'
        '{"bbox_2d":[500,500,999,999],"desc":"circle"}]'
    )
    written, truths = read_objects(episode(text), "norm1000")
    assert [one.verdict for one in written] == ["right", "wrong", "wrong"]  # a duplicate, and another class
    assert [one.verdict for one in truths] == ["found", "missed"]
    assert written[0].iou == pytest.approx(1.0, abs=0.01) and written[1].iou > 0.8


@pytest.mark.parametrize(
    ("a", "b", "iou"),
    [
        ((0, 0, 2, 2), (0, 0, 2, 2), 1.0),
        ((0, 0, 2, 2), (1, 0, 3, 2), 1 / 3),
        ((0, 0, 1, 1), (1, 1, 2, 2), 0.0),
        ((0, 0, 0, 0), (0, 0, 0, 0), 0.0),
    ],
)
def test_overlap_is_intersection_over_union(a: Any, b: Any, iou: float) -> None:
    assert overlap(a, b) == pytest.approx(iou)


def test_filters_find_mistakes_and_malformed_texts() -> None:
    perfect = episode('[{"bbox_2d":[0,0,499,499],"desc":"circle"}]', TRUTH[:1])
    rows = [perfect, episode(), episode(text="nothing", num_matched=0)]
    mistakes, malformed = (choice.start() for choice in live.FILTERS)
    assert [mistakes(summary(row)) for row in rows] == [False, True, True]
    assert [malformed(summary(row)) for row in rows] == [False, False, True]


def test_f1_of_an_empty_scene_is_one_only_when_nothing_is_written_properly() -> None:
    assert live.f1(summary(episode("[]", [], num_matched=0))) == 1.0
    assert live.f1(summary(episode("", [], num_matched=0))) == 0.0
    assert live.f1(summary(episode())) == 0.5


def test_a_summary_reads_a_line_of_the_tail() -> None:
    row = episode()
    assert msgspec.json.decode(encode(row), type=live.Summary) == summary(row)
    assert live.tell(summary(row)) == ("step-00000050  ok  wrote 2  true 2  matched 1  loss 0.500  best AP 0.250")

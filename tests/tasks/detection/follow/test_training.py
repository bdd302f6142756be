"""What detection shows in the live view: rendered lines of literal rows, at 80x24 and other sizes."""

import base64
import io
from typing import Any

import msgspec
import pytest
from PIL import Image

from pipeline.files import encode
from pipeline.follow.index import EpisodeIndex
from pipeline.follow.playback import Playback
from pipeline.follow.scene import Lines, Scene, Size
from pipeline.follow.terminal.frame import View, compose
from pipeline.follow.text import to_ascii
from pipeline.tasks.detection.follow import training as live
from pipeline.tasks.detection.follow.outlines import overlap, read_outlines
from pipeline.tasks.detection.follow.picture import draw_picture, open_image
from pipeline.tasks.detection.read_text.parse import parse
from pipeline.tasks.detection.rows import DetectionEpisode, TrueObject

SIZES = [Size(80, 24), Size(64, 20), Size(100, 30), Size(120, 40), Size(200, 60)]
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
    return Scene(row, frame, [summary(row)])


def screen(row: DetectionEpisode, frame: int = 0, size: Size = SIZES[0], panel: int | None = None) -> str:
    index = EpisodeIndex(live.FILTERS)
    index.add(summary(row), offset=0, length=1)
    playback = Playback(index, live.num_frames)
    playback.show(0, frame)
    view = View(live.PART, playback, scene(row, frame), live.draw_marks(row), panel)
    return "\n".join(plain(compose(view, size)))


def plain(lines: Lines) -> list[str]:
    return [line.plain for line in lines]


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("panel", [None, *range(len(live.PANELS))])
@pytest.mark.parametrize("frame", range(4))
def test_every_frame_fits_every_screen(size: Size, panel: int | None, frame: int) -> None:
    lines = screen(episode(), frame, size, panel).splitlines()
    assert len(lines) == size.height and all(len(line) <= size.width for line in lines)


@pytest.mark.parametrize(
    "row",
    [
        episode(text=""),
        episode(text="[]", gt=[]),
        episode(text='[{"bbox_2d":[1,2,3', gt=[]),
        episode(image_png="no image"),
        episode(image_png=base64.b64encode(b"\x89PNG\r\n\x1a\n cut").decode()),
        episode(text='[{"poly":[0,0,999,0,999,999],"desc":"a\\u001b[31m very long name of a thing"}]' * 3),
        episode(gt=[TrueObject(desc="square", bbox_2d=(0.0, 0.0, 16.0, 16.0))] * 40),
        episode(width=1, height=1, image_png=png(size=(1, 1))),
        episode(width=200, height=20, image_png=png(size=(200, 20))),
    ],
)
def test_nothing_in_a_row_breaks_the_screen(row: DetectionEpisode) -> None:
    for size in SIZES:
        for frame in range(live.num_frames(summary(row))):
            lines = screen(row, frame, size).splitlines()
            assert len(lines) == size.height and all(len(line) <= size.width for line in lines)


def test_objects_appear_one_by_one_and_the_truth_in_the_last_frame() -> None:
    row = episode()
    assert live.num_frames(summary(row)) == 4
    shown = [screen(row, frame) for frame in range(4)]
    assert ["1 ✓ circle" in text for text in shown] == [False, True, True, True]
    assert ["2 ✗ star" in text for text in shown] == [False, False, True, True]
    assert ["a ○ circle" in text and "b ● square" in text for text in shown] == [False, False, False, True]
    assert "2 to find" in shown[0] and "the truth: 1 of 2 found, 2 written" in shown[3]


def test_the_picture_has_the_colours_of_the_image_and_the_boxes_over_it() -> None:
    lines = draw_picture(scene(episode(), 3), Size(40, 17))
    heading, *picture = lines
    assert heading.plain == "16 x 16 pixels" and len(picture) == 16 and all(len(line) == 32 for line in picture)
    assert "#c80a14" in str(picture[0].spans[-1].style)  # the upper right corner, where nothing is drawn
    assert picture[0].plain[:16] == "1" + "─" * 14 + "┐"
    assert {"│", "─"} <= set("".join(plain(picture)))


def test_written_and_true_outlines_differ_without_colours() -> None:
    truth = [TrueObject(desc="square", poly=[8.0, 0.0, 15.0, 0.0, 15.0, 7.0])]
    picture = "".join(plain(draw_picture(scene(episode(gt=truth), 3), Size(40, 17))))
    assert {"1", "2", "a", "─", "◦"} <= set(picture)
    assert "◦" not in "".join(plain(draw_picture(scene(episode(gt=truth), 2), Size(40, 17))))


def test_each_object_takes_the_best_free_true_one_of_its_class() -> None:
    text = (
        '[{"bbox_2d":[0,0,499,499],"desc":"circle"},{"bbox_2d":[0,0,480,480],"desc":"circle"},'
        '{"bbox_2d":[500,500,999,999],"desc":"circle"}]'
    )
    written, truths = read_outlines(episode(text))
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


def test_a_damaged_image_is_grey_and_of_its_size() -> None:
    assert open_image(episode(image_png="!!")).size == (16, 16)


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
    assert live.summary_line(summary(row)) == (
        "step-00000050  ok  wrote 2  true 2  matched 1  loss 0.500  best AP 0.250"
    )


def test_in_ascii_nothing_is_a_question_mark() -> None:
    shown = [to_ascii(line) for line in screen(episode(), 3).splitlines()]
    assert "?" not in "".join(shown).replace("? help", "")

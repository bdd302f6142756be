"""What the terminal makes of a scene: lines that fill any size, and say where something is left out."""

import re
from dataclasses import replace
from typing import Any

import pytest
from msgspec.structs import replace as changed
from rich.text import Text

from pipeline.follow.characters import to_ascii
from pipeline.follow.index import EpisodeIndex
from pipeline.follow.playback import Playback
from pipeline.follow.scene import Brief, Event, Images, Log, Outline, Plane, Scene, Words, prose
from pipeline.follow.terminal.frame import View, compose
from pipeline.follow.terminal.picture import draw_picture
from pipeline.follow.terminal.sections import draw_sections, draw_trend
from pipeline.follow.terminal.text import Size
from tests.follow.toy import GRID, MAP, METERS, PHOTO, PLACES, VALUES, WHOLE, png

SIZES = [Size(80, 24), Size(64, 20), Size(100, 30), Size(120, 40), Size(200, 60)]


def view(scene: Scene = WHOLE, **fields: Any) -> View:
    """A scene of an episode of ten frames that is alone in its file, paused."""
    index = EpisodeIndex()
    index.add(Brief(id="a"), 0, 1)
    playback = Playback(index, lambda summary: 10)
    playback.show(0, scene.frame)
    return View(playback, scene, **fields)


def plain(lines: list[Text]) -> list[str]:
    return [line.plain.rstrip() for line in lines]


def screen(shown: View, size: Size = SIZES[0]) -> str:
    return "\n".join(plain(compose(shown, size)))


@pytest.mark.parametrize("size", SIZES, ids=lambda size: f"{size.width}x{size.height}")
@pytest.mark.parametrize("panel", [None, 0, 1, 2, 9])
@pytest.mark.parametrize("picture", [GRID, PHOTO, MAP, Images(columns=2, images=(PHOTO,) * 3), None])
def test_every_screen_fills_its_size_exactly(size: Size, panel: int | None, picture: Any) -> None:
    lines = compose(view(changed(WHOLE, picture=picture), panel=panel), size)
    assert [line.cell_len for line in lines] == [size.width] * size.height


def test_a_window_that_is_too_small_says_what_it_needs() -> None:
    assert "64x20 cells are needed, here are 40x10" in screen(view(), Size(40, 10))


def test_facts_that_have_no_room_give_way_to_an_ellipsis() -> None:
    assert " episode 1 of 1  first fact · second fact · …" in screen(view()).splitlines()[0]
    assert "left out where there is no room " in screen(view(), Size(160, 40)).splitlines()[0]


def test_the_caption_is_the_gravest_of_the_latest_events_and_how_long_ago_it_was() -> None:
    at = {frame: screen(view(changed(WHOLE, frame=frame, caption=Words("a new day")))) for frame in (0, 3, 4, 9)}
    assert " a new day" in at[0]
    assert re.search(r"! energy is low +now\n", at[3]) and re.search(r"! energy is low +1 step ago\n", at[4])
    assert re.search(r"† died +now\n", at[9])


def test_the_timeline_marks_events_that_have_a_rank() -> None:
    line = screen(view()).splitlines()[-3]
    assert line.endswith("10/s") and "━" in line
    assert "!" in line and "†" in line and "•" not in line and "·" not in line


def test_readings_show_sign_warning_value_and_change() -> None:
    text = "\n".join(plain(draw_sections([METERS], Size(34, 18))))
    assert re.search(r"┃!energy +█+\S* +0.25 -.012", text)
    assert re.search(r"│ money +█+ +\$50$", text)


def test_choices_show_what_was_taken_and_what_is_masked() -> None:
    choices = changed(VALUES, options=tuple(changed(one, other=None) for one in VALUES.options))
    head, up, down, masked = plain(draw_sections([choices], Size(40, 18)))
    assert head.startswith("Q-VALUES") and head.endswith("greedy, sure 100% (+3.000)")
    assert re.fullmatch(r"  up +█ +1.000", up) and re.fullmatch(r"▶ down +█+ +4.000", down)
    assert masked == "✗ interact masked"


def test_a_second_opinion_stands_beside_with_what_it_would_take() -> None:
    head, up, down, _ = plain(draw_sections([VALUES], Size(34, 18)))
    assert head.endswith("recorded   model")
    assert up.endswith("1.000   3.000 ◆") and down.endswith("4.000   2.000")


def test_a_table_spares_columns_and_ends_in_an_ellipsis_where_there_is_no_room() -> None:
    wide, narrow = ("\n".join(plain(draw_sections([PLACES], Size(width, 9)))) for width in (80, 40))
    assert "ticks" in wide and "ticks" not in narrow and "open" in narrow
    shown = compose(view(panel=1), SIZES[0])
    assert "a long list of meters that a…" in "\n".join(plain(shown))
    assert "on #56b4e9" in str(draw_sections([PLACES], Size(80, 9))[2].spans)


def test_what_is_cut_at_the_bottom_is_counted() -> None:
    lines = prose(*(Words(f"line {number}") for number in range(9)))
    assert plain(draw_sections([lines], Size(34, 4))) == ["line 0", "line 1", "line 2", "… 6 more"]
    log = Log(tuple(Event(frame=number, text="something") for number in range(9)))
    assert plain(draw_sections([log], Size(34, 3))) == ["… 7 earlier", "   7 • something", "   8 • something"]
    assert plain(draw_sections([Log(())], Size(34, 3))) == ["nothing has happened yet"]


def test_sections_stand_apart_where_there_is_room() -> None:
    assert len(draw_sections([METERS, VALUES], Size(34, 7))) == 7
    assert plain(draw_sections([METERS, VALUES], Size(34, 8)))[3] == ""


def test_control_characters_in_a_row_never_reach_the_terminal() -> None:
    bad = prose(Words("a\x1b[31mb\nc"))
    assert plain(draw_sections([bad], Size(34, 4))) == ["a?[31mb?c"]


def test_the_trend_tells_last_mean_and_best() -> None:
    (line,) = plain(draw_trend(WHOLE.trend, Size(78, 1)))
    assert line == "SURVIVED, last 3 ▂█▅ last 300  mean 300  best 500 of 500"
    _, *chart = plain(draw_trend(WHOLE.trend, Size(40, 6)))
    assert chart == ["   ███", "   ███", "   ██████", "   ██████", "█████████"]


def test_help_lists_keys_panels_filters_and_signs() -> None:
    text = screen(view(help=True))
    for words in ("newest, and stay live", "2     panel: places", "@ the agent"):
        assert words in text
    assert "…" not in text
    assert "panel:" not in screen(replace(view(help=True), scene=None))


def test_every_character_has_an_ascii_counterpart() -> None:
    for picture in (GRID, PHOTO, MAP):
        text = "".join(plain(compose(view(changed(WHOLE, picture=picture)), Size(120, 40))))
        assert "?" not in to_ascii(text.replace("? help", "").replace("far?", ""))


def test_a_grid_has_names_signs_and_the_outline_of_what_is_seen() -> None:
    lines = plain(draw_picture(GRID, Size(25, 8)))
    assert lines[0].startswith("╭─ noon ") and lines[0].endswith(" step 1 ─╮") and "rest" in lines[-1]
    assert lines[1:7] == [
        "│ name┌              ┐│",
        "│     │ ·    ·    ·  ││",
        "│     │              ││",
        "│     └ ·    @z   ·  ┘│",
        "│                far? │",
        "│                shut │",
    ]
    assert any("reverse" in str(span.style) for span in draw_picture(GRID, Size(25, 8))[4].spans), (
        "the agent stands out"
    )
    small = plain(draw_picture(GRID, Size(16, 6)))
    assert small[1].startswith("│ Nm┌") and "@z" in small[2] and "F?" in small[3]
    assert "long name" in plain(draw_picture(GRID, Size(80, 30)))[2]


def test_an_image_has_its_colours_and_outlines_over_it() -> None:
    heading, *lines = draw_picture(PHOTO, Size(40, 17))
    assert heading.plain.rstrip() == "16 x 16" and [len(line) for line in lines] == [32] * 16
    assert "#c80a14" in str(lines[0].spans[-1].style)  # the upper right corner, where nothing is drawn
    assert lines[0].plain[:17] == "1" + "─" * 15 + "┐"
    assert lines[8].plain[:17] == "└" + "─" * 15 + "┘"


@pytest.mark.parametrize("file", [b"", b"\x89PNG\r\n\x1a\n cut", png((1, 1), (60, 60, 60))])
def test_a_damaged_image_is_grey_and_of_its_size(file: bytes) -> None:
    lines = draw_picture(Plane(width=16, height=16, png=file), Size(40, 8))
    assert [len(line) for line in lines] == [16] * 8 and "#3c3c3c" in str(lines[0].spans)


def test_on_a_map_points_and_ellipses_are_where_they_belong() -> None:
    lines = plain(draw_picture(MAP, Size(100, 20)))
    assert lines[10][50] == "x"
    assert lines[10][30] == lines[10][70] == "•"
    assert {line[50] for line in lines[5:16]} == {" ", "•", "x"} and lines[4].strip() == ""


def test_dashed_outlines_lie_below_the_others_and_long_names_are_whole() -> None:
    corners = ((0.0, 0.0), (9.0, 0.0), (9.0, 9.0), (0.0, 9.0))
    over = Outline(points=corners, name="12")
    lines = plain(
        draw_picture(Plane(width=10, height=10, outlines=(over, changed(over, dashed=True, name="ab"))), Size(10, 5))
    )
    assert lines[0] == "12••••••••" and "◦" not in "".join(lines)

"""What gridworld shows in the live view: rendered lines of literal rows, at 80x24 and other sizes."""

import re

import pytest
from rich.text import Text

from pipeline.follow.index import EpisodeIndex
from pipeline.follow.playback import Playback
from pipeline.follow.scene import Lines, Scene, Size
from pipeline.follow.terminal.frame import View, compose
from pipeline.follow.text import to_ascii
from pipeline.tasks.gridworld.follow import training as live
from pipeline.tasks.gridworld.follow.panels import draw_caption, draw_forecast, draw_marks
from pipeline.tasks.gridworld.follow.readings import TIERS, projected_death, read_certainty
from pipeline.tasks.gridworld.rows import GridworldEpisode
from pipeline.tasks.gridworld.town.rules import CASCADES, ENERGY, FITNESS, HEALTH, METERS, MONEY
from tests.tasks.gridworld.fake_episodes import Play, play
from tests.tasks.gridworld.literal_rows import FULL_METERS, Q, episode, meters, step

PANEL_NUMBERS = range(len(live.PANELS))
SIZES = [Size(80, 24), Size(64, 20), Size(100, 30), Size(120, 40), Size(200, 60)]


def summary(row: GridworldEpisode) -> live.Summary:
    return live.Summary(**{name: getattr(row, name) for name in live.Summary.__struct_fields__})


def view(row: GridworldEpisode, frame: int = 0, *, panel: int | None = None, opinion: object = None) -> View:
    """The view of an episode that is alone in its file, paused at a frame."""
    index = EpisodeIndex(live.FILTERS)
    index.add(summary(row), offset=0, length=1)
    playback = Playback(index, live.num_frames)
    playback.show(0, frame)
    scene = Scene(row, frame, [summary(row)], opinion)
    return View(live.PART, playback, scene, draw_marks(row), panel)


def plain(lines: Lines) -> list[str]:
    return [line.plain for line in lines]


def screen(row: GridworldEpisode, frame: int = 0, size: Size = SIZES[0], panel: int | None = None) -> str:
    return "\n".join(plain(compose(view(row, frame, panel=panel), size)))


def line_with(text: str, word: str) -> str:
    """The one line that has ``word``."""
    (found,) = [line for line in text.splitlines() if word in line]
    return found


@pytest.fixture(scope="module")
def whole() -> GridworldEpisode:
    """An episode of the temporal town that ends in death."""
    row = play(Play(seed=11, skill=0.4))
    assert row.died
    return row


@pytest.mark.parametrize("size", SIZES, ids=lambda size: f"{size.width}x{size.height}")
@pytest.mark.parametrize("panel", [None, *PANEL_NUMBERS])
def test_every_screen_fills_its_size_exactly(whole: GridworldEpisode, size: Size, panel: int | None) -> None:
    for frame in (0, 1, len(whole.trace) // 2, len(whole.trace)):
        lines = compose(view(whole, frame, panel=panel), size)
        assert [line.cell_len for line in lines] == [size.width] * size.height


@pytest.mark.parametrize("panel", [None, *PANEL_NUMBERS])
def test_nothing_but_the_headline_is_cut_at_80x24(whole: GridworldEpisode, panel: int | None) -> None:
    for frame in range(0, len(whole.trace) + 1, 7):
        header, *rest = plain(compose(view(whole, frame, panel=panel), SIZES[0]))
        body = rest[:18]
        assert "…" not in "\n".join(body), "\n".join(body)
        assert header.startswith(" episode 1 of 1 ")


@pytest.mark.parametrize("level", ["minimal", "resources", "full", "partial", "temporal"])
@pytest.mark.parametrize("size", SIZES, ids=lambda size: f"{size.width}x{size.height}")
def test_every_level_fits(level: str, size: Size) -> None:
    row = play(Play(level=level, seed=2, skill=0.5, max_steps=40))
    for frame in (0, 20, len(row.trace)):
        lines = plain(compose(view(row, frame, panel=0), size))
        assert {len(Text(line).plain) for line in lines} == {size.width}
        assert "@" in "\n".join(lines)


def test_a_window_that_is_too_small_says_what_it_needs() -> None:
    assert "64x20 cells are needed, here are 40x10" in screen(episode(step()), size=Size(40, 10))


def test_the_town_shows_places_the_agent_and_its_action_where_they_are() -> None:
    row = episode(step("right", (1, 1)), level="full", window=None)
    lines = plain(live.draw_picture(Scene(row, 0), Size(43, 18)))
    assert len(lines) == 18
    assert lines[1][2 + 2 * 5 : 2 + 2 * 5 + 4].strip() == "bed"
    assert lines[1][2:6].strip() == "job"
    assert lines[1 + 3 * 2][2 + 3 * 5 : 2 + 3 * 5 + 4].strip() == "bar"
    assert lines[1 + 1 * 2 + 1][2 + 1 * 5 : 2 + 1 * 5 + 4].strip() == "@→"
    assert "12:00 day" in lines[0]
    assert "→ right" in lines[-1]


def test_the_town_shows_a_use_in_progress_and_where_the_agent_stands() -> None:
    in_use = step("interact", (2, 0), underfoot="bed", use_place="bed", use_ticks=3)
    assert "bed ███░░ 3 of 5" in plain(live.draw_picture(Scene(episode(in_use), 0), Size(43, 18)))[-1]
    standing = step("wait", (3, 3), underfoot="bar")
    assert "at bar, shut" in plain(live.draw_picture(Scene(episode(standing), 0), Size(43, 18)))[-1]
    awake = step("wait", (3, 3), underfoot="bar", hour=20)
    footer = plain(live.draw_picture(Scene(episode(awake), 0), Size(43, 18)))[-1]
    assert "at bar" in footer
    assert "shut" not in footer


def test_the_window_is_outlined_and_places_outside_are_remembered_or_unknown() -> None:
    row = episode(step("down", (1, 1)), step("wait", (1, 6)))
    begin = "\n".join(plain(live.draw_picture(Scene(row, 0), Size(43, 18))))
    assert begin.count("┌") == begin.count("┐") == begin.count("└") == begin.count("┘") == 1
    assert "job" in begin and "bed" in begin
    assert "bar" in begin and "bar?" not in begin  # (3, 3) is within two cells of (1, 1)
    far = episode(step("wait", (7, 7)))
    assert all(
        f"{name}?" in "\n".join(plain(live.draw_picture(Scene(far, 0), Size(43, 18)))) for name in ("job", "bed")
    )
    later = "\n".join(plain(live.draw_picture(Scene(row, 1), Size(43, 18))))
    assert "?" not in later
    assert "shut" not in later  # the bar is shut at noon, but out of sight


def test_the_trail_is_where_the_agent_was_and_fades() -> None:
    row = episode(
        *[step("right", (x, 2)) for x in range(8)],
        *[step("left", (7 - k, 3)) for k in range(6)],
        level="full",
        window=None,
    )
    lines = plain(live.draw_picture(Scene(row, 13), Size(43, 18)))
    older, newer = ([line[2 + x * 5 : 6 + x * 5].strip() for x in range(8)] for line in (lines[6], lines[8]))
    assert older == ["◦", "◦", "◦", "◦", "◦", "•", "•", "•"]
    assert newer[2:] == ["@←", "•", "•", "•", "•", "•"]


def test_meters_stand_in_tiers_that_follow_the_cascades() -> None:
    (_, _, pivotal), (_, _, primary), (_, _, secondary) = TIERS
    assert sorted((*pivotal, *primary, *secondary)) == list(range(len(METERS)))
    assert pivotal == (ENERGY, HEALTH)
    drains = {(source, target) for source, target, _ in CASCADES}
    for meter in primary:
        assert meter in (MONEY, FITNESS) or any((meter, target) in drains for target in pivotal)
    for meter in secondary:
        assert any((meter, target) in drains for target in primary)


def test_low_meters_carry_a_sign_and_money_does_not() -> None:
    text = screen(episode(step(meters=meters(energy=0.29, money=0.0, social=0.3))))
    assert "┃!energy" in text
    assert "│ money" in text
    assert "┆ social" in text
    assert line_with(text, "energy  ").rstrip().endswith("0.29")
    assert "$0" in line_with(text, "money")


def test_rates_and_the_projected_death_follow_the_last_steps() -> None:
    trace = [step(meters=meters(energy=1.0 - 0.02 * k, health=1.0 - 0.001 * k)) for k in range(21)]
    row = episode(*trace, final_meters=meters(energy=0.58, health=0.979))
    assert projected_death(Scene(row, 0)) is None
    assert projected_death(Scene(row, 20)) == (ENERGY, 30)
    text = screen(row, 20)
    assert "energy lasts 30 steps" in text
    assert "-.020" in line_with(text, "┃ energy")
    forecast = plain(draw_forecast(Scene(row, 20), Size(34, 17)))
    assert forecast[0] == "it dies of energy at step 50"
    assert any(re.search(r"health +0.98  kills in 980$", line) for line in forecast)


def test_the_forecast_does_not_tell_the_end_before_it() -> None:
    row = episode(step(), step(), died=True, cause="energy", final_meters=meters(energy=0.0))
    assert "died" not in "\n".join(plain(draw_forecast(Scene(row, 1), Size(34, 17))))
    assert plain(draw_forecast(Scene(row, 2), Size(34, 17)))[0] == "it died of energy at step 2"


@pytest.mark.parametrize(
    ("q", "mask", "margin", "share"),
    [
        ([1.0, 2.0, 4.0], [True, True, True], 2.0, 2 / 3),
        ([1.0, 2.0, 4.0], [True, True, False], 1.0, 1.0),  # the best is masked
        ([3.0, 3.0, 1.0], [True, True, True], 0.0, 0.0),
        ([3.0, 3.0], [True, True], 0.0, 0.0),
        ([3.0, 1.0], [False, True], 0.0, 1.0),
    ],
)
def test_certainty_is_the_margin_over_the_range_of_legal_values(
    q: list[float], mask: list[bool], margin: float, share: float
) -> None:
    certainty = read_certainty(q, mask)
    assert (certainty.margin, certainty.share) == pytest.approx((margin, share))


def test_q_values_show_the_chosen_and_the_masked_action() -> None:
    mask = [True] * 4 + [False] + [True] * 3
    text = screen(episode(step("left", mask=mask, q=Q, mode="random")))
    assert "random, sure 14% (+1.000)" in text
    assert re.search(r"▶ left +█+\S* +3.000", text)
    assert re.search(r"✗ interact masked", text)
    assert "5.000" not in text
    best, worst = line_with(text, "meditate"), line_with(text, "  up ")
    assert best.count("█") > worst.count("█")


def test_a_step_without_q_values_says_so() -> None:
    text = screen(episode(step("left", q=None, mode="warmup")))
    assert "warmup: no Q-values" in text
    assert re.search(r"▶ left", text)


def test_q_values_of_a_second_model_stand_beside_the_recorded_ones() -> None:
    row = episode(step("left", mask=[True] * 7 + [False]))
    second = [[8.0, 7.0, 6.0, 5.5, 4.5, 3.5, 2.5, 1.5]]
    text = "\n".join(plain(compose(view(row, opinion=second), Size(80, 24))))
    assert "recorded   model" in text
    assert "maske" not in text.replace("masked", "")
    assert re.search(r"up .* 1.000 +8.000 ◆", text)
    assert text.count("◆") == 1
    assert re.search(r"▶ left .* 3.000 +6.000", text)


def test_the_caption_tells_the_latest_event_and_how_long_ago() -> None:
    row = episode(step("interact", (5, 5)), step(), step(), step())
    assert draw_caption(Scene(row, 0), 78).plain == "a new day"
    assert draw_caption(Scene(row, 1), 78).plain.startswith("✗ nothing here to interact with")
    assert draw_caption(Scene(row, 1), 78).plain.endswith("now")
    assert draw_caption(Scene(row, 4), 78).plain.endswith("3 steps ago")


def test_the_event_log_grows_with_the_frames_and_keeps_the_newest_in_sight() -> None:
    row = episode(*[step("interact", (5, 5))] * 30)
    log = live.PANELS[0].draw
    assert plain(log(Scene(row, 0), Size(40, 10))) == ["nothing has happened yet"]
    assert len(log(Scene(row, 3), Size(40, 10))) == 3
    assert plain(log(Scene(row, 30), Size(40, 10)))[-1].startswith("  30 ✗ nothing here")


def test_visits_are_counted_up_to_the_frame() -> None:
    row = episode(step("right", (0, 0)), step("left", (1, 0)), step("wait", (0, 0)), step("wait", (0, 0)))
    first_row = plain(live.PANELS[1].draw(Scene(row, 2), Size(34, 17)))[0]
    assert first_row.split()[:4] == ["2:", "1", "○", "·"]  # the job, a cell, the bed, a cell
    assert plain(live.PANELS[1].draw(Scene(row, 3), Size(34, 17)))[0].split()[0] == "3:"


def test_rewards_are_told_by_component() -> None:
    row = episode(step(rewards=[0.5, 0.0, -0.25]), step(rewards=[0.75, 1.0, 0.0]))
    lines = plain(live.PANELS[2].draw(Scene(row, 1), Size(34, 17)))
    assert lines[1].split() == ["wellbeing", "+0.750", "0.50"]
    assert lines[3].split() == ["shaping", "+0.000", "-0.25"]
    assert lines[4].split() == ["all", "+1.750", "0.25"]


def test_the_certificate_waits_for_the_end_and_names_killer_feeder_and_places() -> None:
    row = episode(
        step(),
        died=True,
        cause="energy",
        wellbeing=12.345,
        final_meters=meters(energy=0.0, satiation=0.05),
        place_uses={"bed": 2, "job": 3},
        returns={"wellbeing": 12.345, "retirement": 0.0, "shaping": -1.0},
    )
    certificate = live.PANELS[3].draw
    before = "\n".join(plain(certificate(Scene(row, 0), Size(34, 17))))
    assert "energy" not in before and "DEATH" not in before
    after = "\n".join(plain(certificate(Scene(row, 1), Size(34, 17))))
    assert "CERTIFICATE OF DEATH" in after
    assert "energy reached 0, drained by" in after and "satiation (0.05)" in after
    for words in ("1 of 500 steps", "12.3", "11.35", "2 of 3", "job 3, bed 2", "low at the end: energy"):
        assert words in after


def test_who_lives_to_the_cap_gets_another_certificate() -> None:
    row = episode(step(), cap=1)
    assert "CERTIFICATE OF RETIREMENT" in "\n".join(plain(live.PANELS[3].draw(Scene(row, 1), Size(34, 17))))


def test_places_tell_hours_and_prices_where_they_apply() -> None:
    text = "\n".join(plain(live.PANELS[5].draw(Scene(episode(step()), 0), Size(60, 17))))
    assert re.search(r"bar +18-4 +2 +\$15 social, satiation, mood", text)
    assert re.search(r"job +8-18 +8 +free \$51, social", text)
    instant = "\n".join(plain(live.PANELS[5].draw(Scene(episode(step(), level="full"), 0), Size(60, 17))))
    assert "18-4" not in instant


def test_the_trend_tells_last_mean_and_best() -> None:
    row = episode(step())
    past = [summary(episode(step(), num_steps=steps)) for steps in (100, 500, 300)]
    (line,) = plain(live.draw_trend(Scene(row, 0, past), Size(78, 1)))
    assert line == "SURVIVED, last 3 ▂█▅ last 300  mean 300  best 500 of 500"
    _, *chart = plain(live.draw_trend(Scene(row, 0, past), Size(40, 6)))
    assert [line.rstrip() for line in chart] == ["   ███", "   ███", "   ██████", "   ██████", "█████████"]


def test_the_timeline_marks_uses_and_the_end(whole: GridworldEpisode) -> None:
    marks = draw_marks(whole)
    assert marks[-1].glyph == "†"
    assert marks[-1].frame == len(whole.trace)
    timeline = plain(compose(view(whole, 0), SIZES[0]))[-3]
    assert timeline.rstrip().endswith("10/s")
    assert "†" in timeline and "•" in timeline and "━" not in timeline
    assert "━" in plain(compose(view(whole, len(whole.trace)), SIZES[0]))[-3]


@pytest.mark.parametrize("panel", [None, *PANEL_NUMBERS])
def test_every_character_has_an_ascii_counterpart(whole: GridworldEpisode, panel: int | None) -> None:
    for frame in (0, 50, len(whole.trace)):
        for line in plain(compose(view(whole, frame, panel=panel), Size(120, 40))):
            ascii_line = to_ascii(line)
            assert len(ascii_line) == len(line)
            assert ascii_line.isascii()
            unknown = {sign for sign, plain_sign in zip(line, ascii_line, strict=True) if plain_sign == "?" != sign}
            assert unknown == set()


def test_help_lists_every_key_and_panel_and_filter() -> None:
    shown = View(live.PART, view(episode(step())).playback, help=True)
    text = "\n".join(plain(compose(shown, SIZES[0])))
    for word in (
        "space",
        "newest, and stay live",
        "quit",
        "only deaths",
        "only best so far",
        "panel: forecast",
        "masked",
    ):
        assert word in text
    assert "…" not in text


def test_summary_lines_tell_the_end() -> None:
    died = summary(episode(step(), died=True, cause="health", wellbeing=33.33))
    line = live.summary_line(died)
    assert line.startswith("env0-0  temporal x1  stage 1  epsilon 0.100  survived 1  wellbeing 33.3")
    assert line.endswith("died of health")
    assert live.summary_line(summary(episode(step(), cap=1))).endswith("retired")


def test_filters_choose_deaths_records_and_stage_changes() -> None:
    rows = [
        summary(episode(step(), wellbeing=wellbeing, stage=stage, died=died))
        for wellbeing, stage, died in ((5.0, 0, True), (3.0, 0, False), (7.0, 1, False), (7.0, 0, True))
    ]
    kept = {
        choice.name: [number for number, row in enumerate(rows) if keeps(row)]
        for choice in live.FILTERS
        for keeps in [choice.start()]
    }
    assert kept == {"deaths": [0, 3], "best so far": [0, 2], "stage changes": [2, 3]}


def test_meters_of_the_last_frame_are_the_final_ones() -> None:
    row = episode(step(meters=FULL_METERS), final_meters=meters(health=0.42))
    assert "0.42" not in screen(row, 0)
    assert "0.42" in line_with(screen(row, 1), "┃ health")

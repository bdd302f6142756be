"""What gridworld shows of an episode: scenes of literal rows; how they are drawn, tests/follow/test_frame.py says."""

import pytest

from pipeline.follow.scene import Cell, Choice, Moment, Panel, Prose, Reading, Scene, Table, Words
from pipeline.tasks.gridworld.follow import training as live
from pipeline.tasks.gridworld.follow.readings import TIERS, projected_death
from pipeline.tasks.gridworld.rows import GridworldEpisode
from pipeline.tasks.gridworld.town.rules import CASCADES, ENERGY, FITNESS, METERS, MONEY
from tests.tasks.gridworld.fake_episodes import Play, play
from tests.tasks.gridworld.literal_rows import FULL_METERS, Q, episode, meters, step


def summary(row: GridworldEpisode) -> live.Summary:
    return live.Summary(**{name: getattr(row, name) for name in live.Summary.__struct_fields__})


def scene(row: GridworldEpisode, frame: int = 0, opinion: object = None) -> Scene:
    """The scene of an episode that is alone in its file."""
    return live.scene(Moment(row, frame, [summary(row)], opinion))


def cells(shown: Scene) -> dict[tuple[int, int], Cell]:
    assert shown.picture is not None and shown.picture.__struct_config__.tag == "grid"
    return {(cell.x, cell.y): cell for cell in shown.picture.cells}


def reading(shown: Scene, name: str) -> Reading:
    (found,) = [one for one in shown.readings[0].values if one.name == name]
    return found


def choice(shown: Scene, name: str) -> Choice:
    assert shown.choices is not None
    (found,) = [one for one in shown.choices.options if one.name == name]
    return found


def panel(shown: Scene, title: str) -> Panel:
    (found,) = [one for one in shown.panels if one.title == title]
    return found


def rows(panel: Panel, section: int) -> list[list[str]]:
    """The texts of a table or of prose in a panel."""
    found = panel.sections[section]
    assert isinstance(found, Table | Prose)
    return [[words.text for words in row] for row in (found.rows if isinstance(found, Table) else found.lines)]


def text(line: tuple[Words, ...]) -> str:
    return "".join(words.text for words in line)


@pytest.mark.parametrize("level", ["minimal", "resources", "full", "partial", "temporal"])
def test_every_frame_of_every_level_has_a_scene_with_the_agent_in_it(level: str) -> None:
    row = play(Play(level=level, seed=2, skill=0.5, max_steps=40))
    for frame in range(live.num_frames(summary(row))):
        agents = [cell for cell in cells(scene(row, frame)).values() if cell.sign.text.startswith("@")]
        assert len(agents) == 1


def test_the_town_shows_places_the_agent_and_its_action_where_they_are() -> None:
    shown = scene(episode(step("right", (1, 1)), level="full", window=None))
    town = cells(shown)
    assert {at: cell.names[0] for at, cell in town.items() if cell.names} == {
        (2, 0): "bed",
        (0, 0): "job",
        (3, 3): "bar",
    }
    assert town[1, 1].sign == Words("@→", "agent", strong=True)
    assert shown.picture is not None
    assert (text(shown.picture.title), text(shown.picture.foot)) == ("12:00 day", "→ right")
    assert text(shown.picture.aside) == "step 0 of 500"


@pytest.mark.parametrize(
    ("now", "told"),
    [
        (step("interact", (2, 0), underfoot="bed", use_place="bed", use_ticks=3), "bed ███░░ 3 of 5"),
        (step("wait", (3, 3), underfoot="bar"), "at bar, shut"),
        (step("wait", (3, 3), underfoot="bar", hour=20), "at bar"),
        (step("wait", (5, 5)), ""),
    ],
)
def test_the_town_tells_a_use_in_progress_and_where_the_agent_stands(now: object, told: str) -> None:
    picture = scene(episode(now)).picture  # type: ignore[arg-type]  # a step
    assert picture is not None and text(picture.foot_aside) == told


def test_places_are_known_remembered_or_unknown() -> None:
    row = episode(step("down", (1, 1)), step("wait", (1, 6)))
    assert scene(row).picture.sight == (0, 3, 0, 3)  # type: ignore[union-attr]  # a grid
    assert all(cell.strong and "?" not in cell.names[0] for cell in cells(scene(row)).values() if cell.names)
    later = cells(scene(row, 1))
    assert {(cell.tone, cell.strong, cell.sign.text) for cell in later.values() if cell.names} == {("muted", False, "")}
    far = cells(scene(episode(step("wait", (7, 7)))))
    assert far[0, 0].names == ("job?", "job?", "Jo?", "J?") and far[0, 0].tone == "faint"


def test_a_place_that_is_shut_says_so_where_it_is_seen() -> None:
    assert cells(scene(episode(step("wait", (2, 2)))))[3, 3].sign.text == "shut"


def test_the_trail_is_where_the_agent_was_and_fades() -> None:
    there = [step("right", (x, 2)) for x in range(8)]
    back = [step("left", (7 - k, 3)) for k in range(6)]
    town = cells(scene(episode(*there, *back, level="full", window=None), 13))
    assert [town[x, 2].sign.text for x in range(8)] == ["◦", "◦", "◦", "◦", "◦", "•", "•", "•"]
    assert [town[x, 3].sign.text for x in range(2, 8)] == ["@←", "•", "•", "•", "•", "•"]


@pytest.mark.parametrize(("died", "sign"), [(True, "@†"), (False, "@★")])
def test_the_end_shows_in_the_town(died: bool, sign: str) -> None:
    row = episode(step("right", (1, 2)), died=died, cause="energy" if died else None)
    assert cells(scene(row, 1))[2, 2].sign.text == sign


def test_meters_stand_in_tiers_that_follow_the_cascades() -> None:
    (_, _, pivotal), (_, _, primary), (_, _, secondary) = TIERS
    assert sorted((*pivotal, *primary, *secondary)) == list(range(len(METERS)))
    drains = {(source, target) for source, target, _ in CASCADES}
    for meter in primary:
        assert meter in (MONEY, FITNESS) or any((meter, target) in drains for target in pivotal)
    for meter in secondary:
        assert any((meter, target) in drains for target in primary)


def test_low_meters_carry_a_warning_and_money_does_not() -> None:
    shown = scene(episode(step(meters=meters(energy=0.29, money=0.0, social=0.3))))
    warned = {one.name for one in shown.readings[0].values if one.warning}
    assert warned == {"energy"} and reading(shown, "energy").sign == "┃"
    assert reading(shown, "money").shown == "$0"


def test_rates_and_the_projected_death_follow_the_last_steps() -> None:
    trace = [step(meters=meters(energy=1.0 - 0.02 * k, health=1.0 - 0.001 * k)) for k in range(21)]
    row = episode(*trace, final_meters=meters(energy=0.58, health=0.979))
    assert projected_death(Moment(row, 0)) is None
    assert projected_death(Moment(row, 20)) == (ENERGY, 30)
    shown = scene(row, 20)
    assert shown.readings[0].note.text == "energy lasts 30 steps"
    assert reading(shown, "energy").change == pytest.approx(-0.02)
    assert rows(panel(shown, "forecast"), 0)[0] == ["it dies of energy at step 50"]
    assert ["┃ health", "0.98", "kills in 980"] in rows(panel(shown, "forecast"), 1)


def test_the_forecast_does_not_tell_the_end_before_it() -> None:
    row = episode(step(), step(), died=True, cause="energy", final_meters=meters(energy=0.0))
    told = [rows(panel(scene(row, frame), "forecast"), 0)[0][0] for frame in (1, 2)]
    assert "died" not in told[0] and told[1] == "it died of energy at step 2"


def test_choices_have_the_values_of_the_step_and_of_a_second_model() -> None:
    row = episode(step("left", mask=[True] * 4 + [False] + [True] * 3, q=Q, mode="random"))
    shown = scene(row, opinion=[[8.0, 7.0, 6.0, 5.5, 4.5, 3.5, 2.5, 1.5]])
    assert choice(shown, "left") == Choice(name="left", value=3.0, taken=True, other=6.0)
    assert not choice(shown, "interact").allowed
    assert shown.choices is not None and shown.choices.note.text == "random"
    assert choice(scene(row), "left").other is None


def test_a_step_without_q_values_says_so() -> None:
    shown = scene(episode(step("left", q=None, mode="warmup")))
    assert shown.choices is not None and shown.choices.note.text == "warmup: no Q-values"
    assert choice(shown, "left") == Choice(name="left", taken=True)


def test_at_the_end_stands_how_it_went_and_the_final_meters() -> None:
    shown = scene(episode(step(meters=FULL_METERS), final_meters=meters(health=0.42)), 1)
    assert shown.choices is None and isinstance(shown.notes[0], Prose)
    assert [text(line) for line in shown.notes[0].lines] == [" retired", " 1 of 500 steps, wellbeing 0.5"]
    assert reading(shown, "health").value == 0.42


def test_events_are_told_of_the_whole_episode_and_ranked() -> None:
    row = play(Play(seed=11, skill=0.4))
    events = scene(row).events
    assert events is not None and events == scene(row, 5).events
    assert (events[-1].sign, events[-1].frame) == ("†", len(row.trace))
    refused = scene(episode(step("interact", (5, 5)))).events
    assert refused is not None and [event.text for event in refused] == ["nothing here to interact with"]


def test_visits_are_counted_up_to_the_frame() -> None:
    row = episode(step("right", (0, 0)), step("left", (1, 0)), step("wait", (0, 0)), step("wait", (0, 0)))
    visits = panel(scene(row, 2), "visits")
    assert rows(visits, 0)[0][:4] == ["2:", "1 ", "○ ", "· "]  # the job, a cell, the bed, a cell
    assert visits.sections[0].rows[0][1].heat == 0.5  # type: ignore[union-attr]  # a table
    assert rows(panel(scene(row, 3), "visits"), 0)[0][0] == "3:"


def test_rewards_are_told_by_component() -> None:
    row = episode(step(rewards=[0.5, 0.0, -0.25]), step(rewards=[0.75, 1.0, 0.0]))
    told = rows(panel(scene(row, 1), "rewards"), 0)
    assert told[0] == ["wellbeing", "+0.750", "0.50"]
    assert told[2:] == [["shaping", "+0.000", "-0.25"], ["all", "+1.750", "0.25"]]


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
    before, after = (panel(scene(row, frame), "certificate") for frame in (0, 1))
    assert "energy" not in str(before) and "DEATH" not in str(before)
    assert after.opens_at_end
    assert rows(after, 0) == [["† CERTIFICATE OF DEATH"], ["energy reached 0, drained by satiation (0.05)"]]
    facts = ["1 of 500 steps", "12.3", "11.35", "0.50 mean", "2 of 3"]
    assert [value for _, value in rows(after, 1)] == facts
    assert rows(after, 2) == [["job 3, bed 2"], ["low at the end: energy, satiation"]]
    lived = panel(scene(episode(step(), cap=1), 1), "certificate")
    assert rows(lived, 0) == [["★ CERTIFICATE OF RETIREMENT"]]


def test_places_tell_hours_and_prices_where_they_apply() -> None:
    told = rows(panel(scene(episode(step())), "places"), 0)
    assert ["bar", "18-4", "2", "$15", "social, satiation, mood"] in told
    assert ["job", "8-18", "8", "free", "$51, social"] in told
    instant = rows(panel(scene(episode(step(), level="full")), "places"), 0)
    assert ["bar", "", "", "$15", "social, satiation, mood"] in instant


def test_the_trend_is_the_steps_of_the_episodes_before() -> None:
    past = [summary(episode(step(), num_steps=steps)) for steps in (100, 500, 300)]
    trend = live.scene(Moment(episode(step()), 0, past)).trend
    assert trend is not None and (trend.values, trend.high) == ((100, 500, 300), 500)


def test_summary_lines_tell_the_end() -> None:
    died = summary(episode(step(), died=True, cause="health", wellbeing=33.33))
    line = live.tell(died)
    assert line.startswith("env0-0  temporal x1  stage 1  epsilon 0.100  survived 1  wellbeing 33.3")
    assert line.endswith("died of health")
    assert live.tell(summary(episode(step(), cap=1))).endswith("retired")


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

"""What an episode's events say, and that the words agree with the town itself."""

import numpy as np
import pytest

from pipeline.tasks.gridworld.rows import GridworldEpisode
from pipeline.tasks.gridworld.town.events import Event, consequence, feeding_chain, read_events
from pipeline.tasks.gridworld.town.rules import ENERGY, FITNESS, HEALTH, HYGIENE, METERS, MOOD, SATIATION, SOCIAL
from pipeline.tasks.gridworld.town.step import TownBatch
from tests.tasks.gridworld.fake_episodes import Play, play
from tests.tasks.gridworld.literal_rows import episode, meters, step
from tests.tasks.gridworld.town import oracle


def told(row: GridworldEpisode) -> list[Event]:
    return read_events(row)


def test_a_meter_that_falls_low_says_what_it_does() -> None:
    row = episode(
        step(meters=meters(satiation=0.301, fitness=0.301)),
        step(meters=meters(satiation=0.299, fitness=0.299)),
        step(meters=meters(satiation=0.29, fitness=0.3)),
    )
    assert told(row)[:3] == [
        Event(1, "low", "satiation is below 0.3: drains health and energy"),
        Event(1, "low", "fitness is below 0.3: health falls faster"),
        Event(2, "recovered", "fitness is above 0.3 again"),
    ]


def test_money_is_not_a_need() -> None:
    row = episode(step(meters=meters(money=0.5)), final_meters=meters(money=0.0))
    assert told(row) == []


@pytest.mark.parametrize(
    ("meter", "words"),
    [
        (ENERGY, "at 0 it kills"),
        (MOOD, "drains energy"),
        (SOCIAL, "drains mood and energy"),
        (HYGIENE, "drains satiation, fitness, mood, health and energy"),
    ],
)
def test_consequences_are_those_of_the_cascades(meter: int, words: str) -> None:
    assert consequence(meter) == words


def test_a_use_is_told_from_its_start_to_its_effect() -> None:
    row = episode(
        step("interact", (2, 0), underfoot="bed"),
        step("interact", (2, 0), underfoot="bed", use_place="bed", use_ticks=1),
        step("interact", (2, 0), underfoot="bed", use_place="bed", use_ticks=4, completed="bed"),
    )
    assert told(row) == [
        Event(1, "started", "started bed (5 ticks)"),
        Event(3, "used", "used bed: energy +.50, health +.02, paid $5.00"),
    ]


def test_work_tells_what_was_earned() -> None:
    row = episode(step("interact", (0, 0), underfoot="job", use_place="job", use_ticks=7, completed="job"))
    assert told(row)[0].text == "used job: earned $50.60, energy -.15, social +.02, health -.03"


def test_leaving_a_use_tells_what_was_lost() -> None:
    row = episode(step("left", (2, 0), use_place="bed", use_ticks=3), step("wait", (1, 0)))
    assert told(row) == [Event(1, "lost", "left bed after 3 of 5 ticks: all lost")]


def test_waiting_in_a_use_loses_nothing() -> None:
    row = episode(
        step("wait", (2, 0), use_place="bed", use_ticks=3), step("wait", (2, 0), use_place="bed", use_ticks=3)
    )
    assert told(row) == []


def test_what_cannot_be_paid_is_refused_at_the_price_of_the_level() -> None:
    poor = meters(money=0.07)
    at_bar = step("interact", (3, 3), hour=20, underfoot="bar", meters=poor)
    assert told(episode(at_bar, final_meters=poor)) == [
        Event(1, "refused", "could not afford bar ($7.50, has $7.00)"),
    ]
    assert told(episode(at_bar, final_meters=poor, level="full", window=None))[0].text == (
        "could not afford bar ($15.00, has $7.00)"
    )


def test_a_closed_place_is_refused_where_hours_apply() -> None:
    at_noon = step("interact", (3, 3), hour=12, underfoot="bar")
    assert told(episode(at_noon))[0].text == "bar is closed (18-4)"
    assert "closed" not in str(told(episode(at_noon, level="full")))


def test_interact_away_from_a_place_is_refused() -> None:
    assert told(episode(step("interact", (5, 5)))) == [Event(1, "refused", "nothing here to interact with")]


def test_death_names_what_killed_and_the_chain_that_fed_it() -> None:
    row = episode(
        step(meters=meters(energy=0.01, mood=0.1, social=0.05)),
        died=True,
        cause="energy",
        final_meters=meters(energy=0.0, mood=0.1, social=0.05),
    )
    assert told(row)[-1] == Event(1, "died", "died: energy reached 0, drained by mood (0.10), drained by social (0.05)")


def test_retirement_is_told_at_the_cap_only() -> None:
    assert told(episode(step(), step(), cap=2))[-1] == Event(2, "retired", "lived all 2 steps: retired")
    assert told(episode(step(), step(), cap=3)) == []


def test_a_chain_goes_through_unfitness() -> None:
    assert feeding_chain(HEALTH, meters(health=0.0, fitness=0.0, hygiene=0.1)) == [HEALTH, FITNESS, HYGIENE]
    assert feeding_chain(HEALTH, meters(health=0.0)) == [HEALTH]
    assert feeding_chain(ENERGY, meters(energy=0.0, satiation=0.0, mood=0.1)) == [ENERGY, SATIATION]


def test_chains_end_where_the_scalar_rules_say_that_the_death_began() -> None:
    seeds = np.arange(1, 65, dtype=np.uint64)
    town = TownBatch("full", len(seeds))
    town.reset(seeds, 1.0)
    rng = np.random.default_rng(0)
    for _ in range(500):
        town.step(np.array([rng.choice(np.flatnonzero(mask)) for mask in town.mask]))
    assert town.died.sum() > 50
    for env in np.flatnonzero(town.died):
        cause, final = int(town.cause[env]), town.meters[env].tolist()
        began = oracle.where_it_began(METERS[cause], dict(zip(METERS, final, strict=True)))
        assert METERS[feeding_chain(cause, final)[-1]] == began


@pytest.mark.parametrize("level", ["minimal", "resources", "full", "partial", "temporal"])
def test_uses_told_are_the_uses_of_the_row(level: str) -> None:
    row = play(Play(level=level, seed=3, skill=0.8, max_steps=300))
    events = told(row)
    assert sum(event.kind == "used" for event in events) == sum(row.place_uses.values()) > 0
    assert [event.frame for event in events] == sorted(event.frame for event in events)
    assert all(event.kind != "refused" or "afford" in event.text for event in events)

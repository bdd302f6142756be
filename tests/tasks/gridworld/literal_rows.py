"""Rows of episodes written out by hand, for tests that look at single steps."""

from typing import Any

import msgspec

from pipeline.tasks.gridworld.rows import GridworldEpisode, GridworldPrediction, Step
from pipeline.tasks.gridworld.town.rules import ACTIONS, METERS, PLACES

FULL_METERS = [1.0, 1.0, 1.0, 0.5, 1.0, 1.0, 1.0, 1.0]
ALL_LEGAL = [True] * len(ACTIONS)
Q = [1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 7.0, 8.0]


def meters(**levels: float) -> list[float]:
    """All meters full and money at a half, except for those named."""
    return [levels.get(name, full) for name, full in zip(METERS, FULL_METERS, strict=True)]


def step(action: str = "wait", at: tuple[int, int] = (0, 0), **fields: Any) -> Step:
    """One step at noon, with nothing underfoot and everything allowed, except for what is named."""
    plain: dict[str, Any] = {
        "hour": 12,
        "meters": FULL_METERS,
        "underfoot": -1,
        "use_place": -1,
        "use_ticks": 0,
        "mask": ALL_LEGAL,
        "q": Q,
        "mode": "greedy",
        "rewards": [1.0, 0.0, 0.0],
        "completed": -1,
    }
    named = {"use_place", "underfoot", "completed"} & fields.keys()
    places = {name: PLACES.index(fields.pop(name)) for name in named}
    return Step(action=ACTIONS.index(action), position=at, **(plain | fields | places))


def episode(*trace: Step, **fields: Any) -> GridworldEpisode:
    """A temporal town with a bed at (2, 0), a job at (0, 0) and a bar at (3, 3); it lived, except where said."""
    plain: dict[str, Any] = {
        "id": "env0-0",
        "step": 12_345,
        "ended_unix_s": 1.0,
        "level": "temporal",
        "seed": 7,
        "multiplier": 1.0,
        "num_steps": len(trace),
        "died": False,
        "cause": None,
        "wellbeing": 0.5 * len(trace),
        "mean_lowest_meter": 0.5,
        "returns": {"wellbeing": 0.5 * len(trace), "retirement": 0.0, "shaping": 0.0},
        "place_uses": {},
        "final_meters": FULL_METERS,
        "env_index": 0,
        "episode_index": 0,
        "epsilon": 0.1,
        "stage": 1,
        "size": 8,
        "window": 5,
        "cap": 500,
        "grid_places": {"bed": (2, 0), "job": (0, 0), "bar": (3, 3)},
        "reward_components": ["wellbeing", "retirement", "shaping"],
    }
    return GridworldEpisode(trace=list(trace), **(plain | fields))


def prediction(*trace: Step, keeps_steps: bool = True, **fields: Any) -> GridworldPrediction:
    """A prediction of these steps in the same town; without ``keeps_steps`` they are counted and left out."""
    known = {*GridworldPrediction.__struct_fields__}
    plain = {name: value for name, value in msgspec.structs.asdict(episode(*trace)).items() if name in known}
    own = {"schema": "prediction_v1", "id": "record", "model": "m" * 16, "trace": list(trace) if keeps_steps else None}
    return GridworldPrediction(**(plain | own | fields))

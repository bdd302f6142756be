"""What another model says in the states of a recorded episode: its Q-values, step by step.

The one part of the live view that needs torch: it is loaded for ``baton follow --model`` alone.
"""

from pathlib import Path
from typing import cast

import numpy as np

from pipeline.contract.parts import OpinionPart, SecondOpinion
from pipeline.errors import UserError
from pipeline.model.file import load_model
from pipeline.tasks.gridworld.model.model import GridworldModel
from pipeline.tasks.gridworld.rows import GridworldEpisode
from pipeline.tasks.gridworld.town.arrays import F32, tables
from pipeline.tasks.gridworld.town.observe import Encoding, encode, observation_size
from pipeline.tasks.gridworld.town.rules import PACKED, PLACES, Level, find_level


def open_model(path: Path) -> SecondOpinion:
    """The Q-values [L][8] of an inference_v1 file for the L steps of an episode (a `GridworldEpisode`).

    Raises UserError when the file is not a gridworld model; the function it returns raises it when an episode is of a
    level that the model cannot see.
    """
    model = cast(GridworldModel, load_model(path, task="gridworld"))
    environment = (model.metadata.get("recipe") or {}).get("environment") or {}
    encoding: Encoding | None = environment.get("encoding")
    if encoding is None:
        what = "the model does not say how it sees the town"
        raise UserError(what, where=str(path), remedy="export it with a recipe whose environment has an encoding")

    def q_values(episode: GridworldEpisode) -> list[list[float]]:
        level = find_level(episode.level)
        if observation_size(level, encoding) != model.brain.input_size:
            raise UserError(f"the model does not fit level {level.name!r}", where=str(path))
        if not episode.trace:
            return []
        values: list[list[float]] = answer(model, encode(packed_rows(episode, level), level, encoding)).tolist()
        return values

    return q_values


def answer(model: GridworldModel, observations: F32) -> F32:
    """Q-values float32 [L, 8] for the observations [L, D] of one episode, in order; memory starts empty."""
    if not model.hidden_size:
        return model.predict(observations).q_values
    hidden, rows = None, []
    for observation in observations:
        decision = model.predict(observation, hidden=hidden)
        hidden = decision.hidden
        rows.append(decision.q_values)
    return np.stack(rows)


def packed_rows(episode: GridworldEpisode, level: Level) -> F32:
    """The packed state rows (`rules.PACKED`) float32 [L, S] of the recorded steps, meters to the recorded decimals."""
    rows = np.full((len(episode.trace), PACKED.width), -1, dtype=np.float32)
    in_sight = tables(level).cells_in_sight
    cells_seen = np.zeros_like(in_sight[0])
    seen = 0
    for row, (number, step) in zip(rows, enumerate(episode.trace), strict=True):
        x, y = step.position
        for key, (place_x, place_y) in episode.grid_places.items():
            row[PACKED.place_cells.start + PLACES.index(key)] = place_y * level.size + place_x
            if max(abs(place_x - x), abs(place_y - y)) <= level.sight:
                seen |= 1 << PLACES.index(key)
        cells_seen |= in_sight[y * level.size + x]
        row[PACKED.agent_cell] = y * level.size + x
        row[PACKED.meters] = step.meters
        row[PACKED.seen] = seen
        row[PACKED.cells_seen] = cells_seen
        row[PACKED.hour] = step.hour
        row[PACKED.place_in_use] = step.use_place
        row[PACKED.ticks_done] = step.use_ticks
        row[PACKED.num_steps] = number
        row[PACKED.multiplier] = episode.multiplier
    return rows


PART = OpinionPart(open_model=open_model)

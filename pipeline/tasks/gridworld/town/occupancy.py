"""The encodings "occupancy" and "occupancy_short": which cells are taken, but not by what.

They are those of an older system, so that models from there can be played here. Its town remembers the last move as a
velocity; this one does not, and says 0.
"""

import numpy as np

from pipeline.tasks.gridworld.town.arrays import F32, tables
from pipeline.tasks.gridworld.town.rules import METERS, PACKED, PLACES, Level

Row = tuple[str, float, float, tuple[int, ...], tuple[str, ...], str]
"""name, low, high, shape, labels and description of a block."""

_SIDE = 5  # of the window where the level has none; it is empty then
_SHORT = ("grid", "meters", "underfoot", "clock", "use_progress", "lifetime")


def rows(level: Level, short: bool) -> list[Row]:
    """The blocks of an observation in order."""
    side = level.window or _SIDE
    taken = "0 for an empty cell, 1 for a place{}, rows from the top; empty where the level has {} window"
    blocks: list[Row] = [
        ("grid", 0.0, 2.0, (level.size, level.size, 1), ("taken",), taken.format(" or the agent, 2 for both", "a")),
        ("window", 0.0, 1.0, (side, side, 1), ("taken",), taken.format(", the agent in the middle", "no")),
        ("position", 0.0, 1.0, (2,), ("x", "y"), "column and row of the agent over size - 1, from the top left corner"),
        ("velocity", 0.0, 0.0, (3,), ("x", "y", "magnitude"), "always 0"),
        ("meters", 0.0, 1.0, (len(METERS),), METERS, "the eight meters"),
        (
            "underfoot",
            0.0,
            1.0,
            (len(PLACES) + 1,),
            (*PLACES, "none"),
            "one-hot type of the place the agent stands on; zeros where the level has a window",
        ),
        ("clock", -1.0, 1.0, (2,), ("sin", "cos"), "hour of the day as an angle, midnight at 0"),
        ("use_progress", 0.0, 1.0, (1,), ("done",), "ticks done of the use in progress over the ticks of a full use"),
        ("lifetime", 0.0, 1.0, (1,), ("done",), "steps lived over the cap of the level"),
    ]
    return [block for block in blocks if not short or block[0] in _SHORT]


def encode_occupancy(packed: F32, level: Level, short: bool, out: F32) -> None:
    """Fill ``out`` [N, D] from packed rows [N, S]."""
    table, each = tables(level), np.arange(len(packed))
    column = {name: packed[:, getattr(PACKED, name)] for name in ("agent_cell", "place_in_use", "ticks_done", "hour")}
    agent, in_use = column["agent_cell"].astype(np.int64), column["place_in_use"].astype(np.int64)
    there = packed[:, PACKED.place_cells].astype(np.int64)
    taken = np.zeros((len(packed), level.size**2 + 1), np.float32)
    taken[each[:, None], there] = 1.0  # a place that the town has not, at -1, takes the cell behind the last
    taken = taken[:, :-1]
    blocks = {
        name: np.zeros((len(packed), int(np.prod(shape))), np.float32) for name, *_, shape, _, _ in rows(level, False)
    }
    y, x = np.divmod(agent, level.size)
    if level.window is None:
        blocks["grid"][:] = taken
        blocks["grid"][each, agent] += 1.0
        here = np.where((there == agent[:, None]).any(1), (there == agent[:, None]).argmax(1), len(PLACES))
        blocks["underfoot"][each, here] = 1.0
    else:
        cells = np.pad(taken.reshape(-1, level.size, level.size), ((0, 0), (level.sight,) * 2, (level.sight,) * 2))
        around = np.arange(level.window)
        seen = cells[each[:, None, None], (y[:, None] + around)[:, :, None], (x[:, None] + around)[:, None, :]]
        blocks["window"][:] = seen.reshape(len(packed), -1)
    blocks["position"][:] = np.stack((x, y), 1) / (level.size - 1)
    blocks["meters"][:] = packed[:, PACKED.meters]
    blocks["clock"][:] = table.clock[column["hour"].astype(np.int64)]
    blocks["use_progress"][:, 0] = np.where(in_use >= 0, column["ticks_done"] / table.ticks[in_use], 0.0)
    blocks["lifetime"][:, 0] = packed[:, PACKED.num_steps] / level.cap
    np.concatenate([blocks[name] for name, *_ in rows(level, short)], axis=1, out=out)

"""The rules of a level as arrays, the form in which compiled code takes them."""

from functools import cache
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from pipeline.tasks.gridworld.town import rules
from pipeline.tasks.gridworld.town.rules import Level, find_level

# What arrays are made of, for the town and all that works with its rows.
F32 = NDArray[np.float32]
F64 = NDArray[np.float64]
I64 = NDArray[np.int64]
I8 = NDArray[np.int8]
U8 = NDArray[np.uint8]
U64 = NDArray[np.uint64]
Bools = NDArray[np.bool_]

PLACE_FEATURES = ("present", "visible", "dx", "dy", "sign_dx", "sign_dy", "here", "distance", "open")
"""What the encodings "places" and "memory" say about each place."""
CELL_BITS = 24
"""Cells in each column of `Packed.cells_seen`."""


class Offsets(NamedTuple):
    """First column of each part of a packed row, in a form that compiled code can take as an argument."""

    agent_cell: int
    meters: int
    place_cells: int
    seen: int
    hour: int
    place_in_use: int
    ticks_done: int
    num_steps: int
    multiplier: int
    cells_seen: int


class Tables(NamedTuple):
    """One level's rules as arrays.

    Compiled code receives its numbers through this argument and never as globals: numba's disk cache
    notices a change of the file that holds the compiled function, but not of the files it imports.

    An instant level is a temporal one whose uses last one tick and whose places never close, so the
    compiled code has a single path.
    """

    at: Offsets
    size: int
    sight: int
    cap: int
    row_of: I64  # [cells]
    column_of: I64  # [cells]
    neighbour: I64  # [4, cells] where UP, DOWN, LEFT and RIGHT lead; into a wall: nowhere else
    in_sight: I8  # [cells, cells] 1 where the second cell is in the visible square around the first
    cells_in_sight: I64  # [cells, 3] the row of `in_sight` as bits, in the columns of `Packed.cells_seen`
    rings: U64  # [cells, 2 * size - 1] cells at 0, 1, 2, ... steps, as bits; only with a window
    offset_of: I64  # [cells] such that offset_of[there] - offset_of[cell] is an index into `relative`
    relative: F32  # [3, (2 * size - 1) ** 2, 8], see `_relative`
    empty_window: F32  # [cells, side * side * 16] what the window shows where no place is
    start_hour: int
    places: I64  # [P] indices of the types that exist
    legal_in: Bools  # [cells, 8] not into a wall; INTERACT as if a place were everywhere
    initial: F64  # [8]
    decay: F64  # [8]
    action_effects: F64  # [8 actions, 8 meters]
    open_at: Bools  # [24, 14]
    open_places: I64  # [24] the same as bits, place 0 the lowest
    ticks: I64  # [14]
    tick_price: F64  # [14]
    payment_tolerance: float
    tick_effects: F64  # [14, 8] of every tick
    last_effects: F64  # [14, 8] in addition on the last tick
    health_decay: float
    health_base: float
    health_unfit: float
    cascade_threshold: float
    cascade_source: I64  # [10]
    cascade_target: I64  # [10]
    cascade_strength: F64  # [10]
    retirement_bonus: float
    clock: F32  # [24, 2] sine and cosine of the hour


def _dense(rows: list[dict[int, float]]) -> F64:
    return np.array([[effects.get(meter, 0.0) for meter in range(len(rules.METERS))] for effects in rows])


def _offsets() -> Offsets:
    starts = {name: getattr(rules.PACKED, name) for name in Offsets._fields}
    return Offsets(**{name: v.start if isinstance(v, slice) else v for name, v in starts.items()})


def _relative(level: Level) -> F32:
    """What an agent knows of a place dy rows and dx columns away.

    At [known, (dy + size - 1) * (2 * size - 1) + dx + size - 1]: all of PLACE_FEATURES but the last, which
    depends on the hour. known 0: only what is in sight, zeros for the rest; known 1: a place remembered, in sight or
    not; known 2: no such place in the town, zeros.
    """
    last = level.size - 1
    away = np.arange(-last, last + 1)
    dy, dx = np.meshgrid(away, away, indexing="ij")
    visible = np.maximum(abs(dy), abs(dx)) <= level.sight
    here = (dy == 0) & (dx == 0)
    distance = (abs(dy) + abs(dx)) / (2 * last)
    present = np.ones_like(dx)
    features = (present, visible, dx / last, dy / last, np.sign(dx), np.sign(dy), here, distance)
    remembered = np.stack(features, axis=-1)
    known = np.stack([remembered * visible[..., None], remembered, 0 * remembered]).astype(np.float32)
    return known.reshape(3, -1, len(features))


def _neighbour(level: Level) -> I64:
    """The cell that each move leads to, [4, cells]."""
    y, x = np.divmod(np.arange(level.size**2), level.size)
    last = level.size - 1
    rows = {rules.UP: np.maximum(y - 1, 0), rules.DOWN: np.minimum(y + 1, last)}
    columns = {rules.LEFT: np.maximum(x - 1, 0), rules.RIGHT: np.minimum(x + 1, last)}
    return np.stack([rows.get(move, y) * level.size + columns.get(move, x) for move in range(4)])


def _in_sight(level: Level) -> I8:
    y, x = np.divmod(np.arange(level.size**2), level.size)
    in_sight = np.maximum(abs(y[:, None] - y), abs(x[:, None] - x)) <= level.sight
    return np.asarray(in_sight, dtype=np.int8)


def _cells_in_sight(in_sight: I8) -> I64:
    num_columns = rules.PACKED.cells_seen.stop - rules.PACKED.cells_seen.start
    columns = np.zeros((len(in_sight), num_columns), dtype=np.int64)
    for cell in range(min(len(in_sight), num_columns * CELL_BITS)):
        columns[:, cell // CELL_BITS] |= in_sight[:, cell].astype(np.int64) << (cell % CELL_BITS)
    return columns


def _rings(level: Level) -> U64:
    """For each cell, the cells at each distance in steps, cell c as bit c."""
    rings = np.zeros((level.size**2, 2 * level.size - 1), dtype=np.uint64)
    if level.window is not None:
        y, x = np.divmod(np.arange(level.size**2), level.size)
        distance = abs(y[:, None] - y) + abs(x[:, None] - x)
        for cell, row in enumerate(distance):
            np.bitwise_or.at(rings[cell], row, np.uint64(1) << np.arange(len(row), dtype=np.uint64))
    return rings


def _empty_window(level: Level) -> F32:
    """The encoding "window" from each cell of a town without places: one-hot, after the types "empty" and "outside"."""
    if level.window is None:
        return np.zeros((level.size**2, 0), dtype=np.float32)
    steps = np.arange(-level.sight, level.sight + 1)
    row_of, column_of = np.divmod(np.arange(level.size**2), level.size)
    rows, columns = row_of[:, None, None] + steps[:, None], column_of[:, None, None] + steps
    inside = (rows >= 0) & (rows < level.size) & (columns >= 0) & (columns < level.size)
    window = np.zeros((*inside.shape, len(rules.PLACE_TYPES) + 2), dtype=np.float32)
    window[..., -2] = inside
    window[..., -1] = ~inside
    return window.reshape(level.size**2, -1)


@cache
def tables(level: Level | str) -> Tables:
    """The rules of a level as arrays, for compiled code; made once, so not to be changed."""
    level = find_level(level)
    effects = _dense([place.effects for place in rules.PLACE_TYPES])
    ticks = np.array([place.ticks if level.temporal else 1 for place in rules.PLACE_TYPES], dtype=np.int64)
    share = rules.SHARE_DURING_TICKS if level.temporal else 1.0
    angle = 2 * np.pi * np.arange(rules.HOURS_PER_DAY) / rules.HOURS_PER_DAY
    row_of, column_of = np.divmod(np.arange(level.size**2), level.size)
    neighbour = _neighbour(level)
    legal_in = np.ones((level.size**2, len(rules.ACTIONS)), dtype=np.bool_)
    legal_in[:, :4] = np.arange(level.size**2)[:, None] != neighbour.T
    hours = range(rules.HOURS_PER_DAY)
    open_at = np.array([[place.is_open(hour) or not level.temporal for place in rules.PLACE_TYPES] for hour in hours])
    return Tables(
        at=_offsets(),
        size=level.size,
        sight=level.sight,
        cap=level.cap,
        row_of=row_of,
        column_of=column_of,
        neighbour=neighbour,
        in_sight=_in_sight(level),
        cells_in_sight=_cells_in_sight(_in_sight(level)),
        rings=_rings(level),
        offset_of=row_of * (2 * level.size - 1) + column_of,
        relative=_relative(level),
        empty_window=_empty_window(level),
        start_hour=rules.START_HOUR,
        places=np.array(level.places, dtype=np.int64),
        legal_in=legal_in,
        initial=np.array(rules.INITIAL_METERS),
        decay=np.array(rules.BASE_DECAY),
        action_effects=_dense([rules.ACTION_EFFECTS[action] for action in range(len(rules.ACTIONS))]),
        open_at=open_at,
        open_places=(open_at << np.arange(len(rules.PLACE_TYPES))).sum(axis=1),
        ticks=ticks,
        tick_price=np.array([place.price for place in rules.PLACE_TYPES]) / ticks,
        payment_tolerance=rules.PAYMENT_TOLERANCE,
        tick_effects=effects * share / ticks[:, None],
        last_effects=effects * (1.0 - share),
        health_decay=rules.HEALTH_DECAY,
        health_base=rules.HEALTH_BASE,
        health_unfit=rules.HEALTH_UNFIT,
        cascade_threshold=rules.CASCADE_THRESHOLD,
        cascade_source=np.array([source for source, _, _ in rules.CASCADES], dtype=np.int64),
        cascade_target=np.array([target for _, target, _ in rules.CASCADES], dtype=np.int64),
        cascade_strength=np.array([strength for _, _, strength in rules.CASCADES]),
        retirement_bonus=rules.RETIREMENT_BONUS,
        clock=np.stack([np.sin(angle), np.cos(angle)], axis=1).astype(np.float32),
    )

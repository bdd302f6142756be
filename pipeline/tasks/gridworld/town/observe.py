"""Packed state rows to observations: six encodings, their layouts, and the mask of legal actions.

An observation is a flat float32 vector made of named blocks (`layout`). Networks, model files and pictures
find their way by these blocks and never by counting.
"""

from collections.abc import Sequence
from functools import cache
from typing import Any, Literal, get_args

import msgspec
import numpy as np

from pipeline.compiled import inlined, kernel
from pipeline.errors import UserError
from pipeline.tasks.gridworld.town import occupancy
from pipeline.tasks.gridworld.town.arrays import CELL_BITS, F32, PLACE_FEATURES, Bools, Tables, tables
from pipeline.tasks.gridworld.town.rules import ACTIONS, INTERACT, METERS, PACKED, PLACES, Level, find_level

Encoding = Literal["places", "memory", "window", "grid", "occupancy", "occupancy_short"]
ENCODINGS: tuple[Encoding, ...] = get_args(Encoding)

_NUM_FEATURES, _NUM_PLACES, _NUM_ACTIONS = len(PLACE_FEATURES), len(PLACES), len(ACTIONS)


class Block(msgspec.Struct, frozen=True, kw_only=True):
    """A named slice [start, stop) of the observation vector; every value in it lies in [low, high].

    The slice reshapes to `shape`; `labels` names the entries along its last axis.
    """

    name: str
    start: int
    stop: int
    low: float
    high: float
    description: str
    shape: tuple[int, ...]
    labels: tuple[str, ...]


# name, low, labels, description of the blocks that "places", "memory", "window" and "grid" begin with; all end at 1.
_COMMON = (
    ("position", 0.0, ("x", "y"), "column and row of the agent over size - 1, from the top left corner"),
    ("walls", 0.0, ("up", "down", "left", "right"), "1 where a wall blocks the move"),
    ("meters", 0.0, METERS, "the eight meters"),
    ("underfoot", 0.0, PLACES, "one-hot type of the place the agent stands on"),
    ("clock", -1.0, ("sin", "cos"), "hour of the day as an angle, midnight at 0"),
    ("use_progress", 0.0, ("done",), "ticks done of the use in progress over the ticks of a full use"),
    ("lifetime", 0.0, ("done",), "steps lived over the cap of the level"),
)
_COMMON_SIZE = sum(len(labels) for _, _, labels, _ in _COMMON)
_UNDERFOOT = 14  # where that block begins
_OCCUPANCY = ("occupancy", "occupancy_short")
_UNSEEN = ("any", "dx", "dy", "sign_dx", "sign_dy", "distance", "share")


def _last_block(level: Level, encoding: Encoding) -> tuple[str, float, tuple[int, ...], tuple[str, ...], str]:
    if encoding == "window":
        side = 2 * level.sight + 1
        about = "one-hot content of each cell of the window, rows from the top, the agent in the middle"
        return "window", 0.0, (side, side, len(PLACES) + 2), (*PLACES, "empty", "outside"), about
    if encoding == "grid":
        about = "one-hot type of the place in each cell, rows from the top"
        return "grid", 0.0, (level.size, level.size, len(PLACES)), PLACES, about
    known = "seen so far in the episode" if encoding == "memory" and level.window else "visible now"
    about = (
        f"one row a place, in the order of PLACES, zeros unless {known}: dx and dy from the agent over size - 1, "
        "distance in steps over the longest possible, open for business in this hour"
    )
    return "places", -1.0, (len(PLACES), _NUM_FEATURES), PLACE_FEATURES, about


def _check(level: Level, encoding: Encoding) -> None:
    unfit, why = ["window"], "has no window"
    if level.window is not None:
        unfit, why = ["grid", "occupancy_short"], "does not show the whole grid"
    fitting = [one for one in ENCODINGS if one not in unfit]
    if encoding not in fitting:
        known = f"encoding {encoding!r} does not fit level {level.name!r}, which {why}"
        what = known if encoding in ENCODINGS else f"unknown encoding {encoding!r}"
        raise UserError(what, where="encoding", remedy=f"use one of: {', '.join(fitting)}")


def layout(level: Level | str, encoding: Encoding) -> tuple[Block, ...]:
    """The blocks of an observation in order, without gaps. Raises UserError if level and encoding do not fit."""
    level = find_level(level)
    _check(level, encoding)
    if encoding in _OCCUPANCY:
        return _blocks(occupancy.rows(level, encoding == "occupancy_short"))
    common = [(name, low, 1.0, (len(labels),), labels, about) for name, low, labels, about in _COMMON]
    if encoding == "memory" and level.window is not None:  # empty where everything is visible
        about = (
            "nearest cell not seen so far in the episode: 1 if there is any, dx and dy from the agent over size - 1, "
            "their signs, distance in steps over the longest possible; share of all cells not seen so far"
        )
        common.append(("unseen", -1.0, 1.0, (len(_UNSEEN),), _UNSEEN, about))
    name, low, shape, labels, about = _last_block(level, encoding)
    return _blocks([*common, (name, low, 1.0, shape, labels, about)])


def _blocks(rows: Sequence[occupancy.Row]) -> tuple[Block, ...]:
    """One behind the other."""
    blocks: list[Block] = []
    for name, low, high, shape, labels, about in rows:
        start = blocks[-1].stop if blocks else 0
        place = {"start": start, "stop": start + int(np.prod(shape))}
        blocks.append(Block(name=name, low=low, high=high, description=about, shape=shape, labels=labels, **place))
    return tuple(blocks)


@cache  # `encode` asks at every step
def observation_size(level: Level | str, encoding: Encoding) -> int:
    """Length of the observation vector."""
    return layout(level, encoding)[-1].stop


@inlined
def _legal_actions_of(row: F32, level: Tables, out: Bools) -> None:
    """Write the legal actions of one packed row into `out` [8]."""
    at = level.at
    here = row[at.agent_cell]
    underfoot = np.int64(0)  # places as bits: without branches the compiler compares several of them at once
    for place in range(_NUM_PLACES):
        underfoot |= np.int64(row[at.place_cells + place] == here) << place
    for action in range(_NUM_ACTIONS):
        out[action] = level.legal_in[np.int64(here), action]
    out[INTERACT] &= (underfoot & level.open_places[np.int64(row[at.hour])]) != 0


@kernel
def write_legal_actions(packed: F32, level: Tables, out: Bools) -> None:
    """`legal_actions` of all rows into `out` [N, 8]."""
    for i in range(len(packed)):
        _legal_actions_of(packed[i], level, out[i])


@kernel
def legal_actions_where(which: Bools, packed: F32, level: Tables, out: Bools) -> None:
    """`legal_actions` of the rows where `which` [N], written into `out` [N, 8]; the other rows stay."""
    for i in range(len(which)):
        if which[i]:
            _legal_actions_of(packed[i], level, out[i])


@inlined
def _encode_common(row: F32, level: Tables, out: F32) -> None:
    """Write the blocks of `_COMMON`, "underfoot" as zeros."""
    at = level.at
    for k in range(_COMMON_SIZE):
        out[k] = 0.0
    cell = np.int64(row[at.agent_cell])
    y, x = level.row_of[cell], level.column_of[cell]
    last = level.size - 1
    out[0] = np.float32(x) / np.float32(last)
    out[1] = np.float32(y) / np.float32(last)
    out[2] = y == 0
    out[3] = y == last
    out[4] = x == 0
    out[5] = x == last
    for m in range(8):
        out[6 + m] = row[at.meters + m]
    hour = np.int64(row[at.hour])
    out[28] = level.clock[hour, 0]
    out[29] = level.clock[hour, 1]
    place_in_use = np.int64(row[at.place_in_use])
    if place_in_use >= 0:
        out[30] = row[at.ticks_done] / np.float32(level.ticks[place_in_use])
    out[31] = row[at.num_steps] / np.float32(level.cap)


@inlined
def _count_bits(bits: Any) -> Any:
    """Number of ones in 64 bits (Warren, Hacker's Delight, section 5-1)."""
    bits -= (bits >> np.uint64(1)) & np.uint64(0x5555555555555555)
    bits = (bits & np.uint64(0x3333333333333333)) + ((bits >> np.uint64(2)) & np.uint64(0x3333333333333333))
    bits = (bits + (bits >> np.uint64(4))) & np.uint64(0x0F0F0F0F0F0F0F0F)
    return (bits * np.uint64(0x0101010101010101)) >> np.uint64(56)


@inlined
def _encode_unseen(row: F32, level: Tables, out: F32) -> None:
    """Write the block "unseen" into the last columns of `out`; of several nearest cells the first in reading order."""
    start = len(out) - len(_UNSEEN)
    for k in range(start, len(out)):
        out[k] = 0.0
    num_cells = level.size * level.size
    seen = np.uint64(0)
    for k in range(level.cells_in_sight.shape[1]):
        seen |= np.uint64(np.int64(row[level.at.cells_seen + k])) << np.uint64(k * CELL_BITS)
    unseen = ~seen & (~np.uint64(0) >> np.uint64(64 - num_cells))
    if unseen == np.uint64(0):
        return
    cell = np.int64(row[level.at.agent_cell])
    steps = 1
    while level.rings[cell, steps] & unseen == np.uint64(0):
        steps += 1
    nearest = level.rings[cell, steps] & unseen
    there = np.int64(_count_bits((nearest - np.uint64(1)) & ~nearest))  # ones below the lowest one
    away = level.offset_of[there] - level.offset_of[cell] + 2 * level.size * (level.size - 1)
    about = level.relative[1, away]
    out[start] = 1.0
    for k in range(4):  # dx, dy and their signs
        out[start + 1 + k] = about[2 + k]
    out[start + 5] = about[7]
    out[start + 6] = np.float32(_count_bits(unseen)) / np.float32(num_cells)


@kernel
def _encode_places(packed: F32, level: Tables, remember: bool, out: F32) -> None:
    """Common blocks and one row of PLACE_FEATURES a place; `remember`: seen so far instead of visible now."""
    at = level.at
    last = level.size - 1
    first = out.shape[1] - _NUM_PLACES * _NUM_FEATURES
    for i in range(len(packed)):
        row = packed[i]
        _encode_common(row, level, out[i])
        if first > _COMMON_SIZE:
            _encode_unseen(row, level, out[i, :first])
        features, underfoot = out[i, first:], out[i, _UNDERFOOT:]
        origin = level.offset_of[np.int64(row[at.agent_cell])] - 2 * level.size * last
        seen = np.int64(row[at.seen]) if remember else 0
        hour = np.uint64(row[at.hour])
        # Unsigned indices: for a signed one the compiler adds a test whether it counts from the end, and with that
        # it stores one number at a time. 1,024 towns of "temporal" took 78 us so, and take 34.
        for place in range(np.uint64(_NUM_PLACES)):
            there = np.int64(row[np.uint64(at.place_cells) + place])
            known = np.uint64((seen >> np.int64(place)) & 1 if there >= 0 else 2)
            away = level.offset_of[np.uint64(there if there >= 0 else 0)] - origin
            about = level.relative[known, np.uint64(away)]
            # All reads before all writes: the compiler cannot know that the arrays do not overlap, and
            # moves eight numbers at once only like this.
            present, visible, dx, dy = about[0], about[1], about[2], about[3]
            sign_dx, sign_dy, here, distance = about[4], about[5], about[6], about[7]
            start = place * np.uint64(_NUM_FEATURES)
            features[start] = present
            features[start + np.uint64(1)] = visible
            features[start + np.uint64(2)] = dx
            features[start + np.uint64(3)] = dy
            features[start + np.uint64(4)] = sign_dx
            features[start + np.uint64(5)] = sign_dy
            features[start + np.uint64(6)] = here
            features[start + np.uint64(7)] = distance
            features[start + np.uint64(8)] = present * level.open_at[hour, place]
            underfoot[place] = here


@kernel
def _encode_cells(packed: F32, level: Tables, window: bool, out: F32) -> None:
    """Common blocks and one-hot cells: the square around the agent (`window`) or the whole grid."""
    at = level.at
    num_types = len(level.ticks)
    depth = num_types + 2 if window else num_types
    side = 2 * level.sight + 1 if window else level.size
    for i in range(len(packed)):
        row = packed[i]
        out[i] = 0.0  # a row at a time, while it is near: two passes over the whole array took longer
        _encode_common(row, level, out[i])
        cell = np.int64(row[at.agent_cell])
        top = level.row_of[cell] - level.sight if window else 0
        left = level.column_of[cell] - level.sight if window else 0
        if window:
            for k in range(side * side * depth):
                out[i, _COMMON_SIZE + k] = level.empty_window[cell, k]
        for place in level.places:
            there = np.int64(row[at.place_cells + place])
            out[i, _UNDERFOOT + place] = there == cell
            y, x = level.row_of[there] - top, level.column_of[there] - left
            if 0 <= y < side and 0 <= x < side:
                start = _COMMON_SIZE + (y * side + x) * depth
                out[i, start + place] = 1.0
                if window:
                    out[i, start + num_types] = 0.0


def _rows(packed: F32) -> F32:
    rows = np.ascontiguousarray(packed, dtype=np.float32)
    if rows.ndim != 2 or rows.shape[1] != PACKED.width:
        raise ValueError(f"packed must have shape [N, {PACKED.width}], not {packed.shape}")
    return rows


def encode(packed: F32, level: Level | str, encoding: Encoding, out: F32 | None = None) -> F32:
    """Observations of packed state rows: float32 [N, S] -> float32 [N, D], blocks as in `layout`.

    On levels with a window only "memory" tells of places outside it: those seen so far in the episode.
    `out`, C-contiguous of the right shape, is filled and returned when given.
    """
    level = find_level(level)
    rows = _rows(packed)
    shape = (len(rows), observation_size(level, encoding))
    if out is None:
        out = np.empty(shape, dtype=np.float32)
    elif out.shape != shape or out.dtype != np.float32 or not out.flags.c_contiguous:
        raise ValueError(f"out must be C-contiguous float32 {shape}, not {out.dtype} {out.shape}")
    if encoding in ("places", "memory"):
        _encode_places(rows, tables(level), encoding == "memory", out)
    elif encoding in _OCCUPANCY:
        occupancy.encode_occupancy(rows, level, encoding == "occupancy_short", out)
    else:
        _encode_cells(rows, tables(level), encoding == "window", out)
    return out


def legal_actions(packed: F32, level: Level | str) -> Bools:
    """Which actions make sense in each state: float32 [N, S] -> bool [N, 8].

    Not legal: moves into a wall, INTERACT away from a place or at a closed one.
    Whether the agent can pay is not looked at. WAIT is always legal.
    """
    out = np.empty((len(packed), len(ACTIONS)), dtype=np.bool_)
    write_legal_actions(_rows(packed), tables(level), out)
    return out

"""The town, many copies at once: one compiled loop steps them all.

Meters are float64 and every operation happens in the order that `tests/tasks/gridworld/town/oracle.py` spells out,
so that both give the same numbers bit for bit.
"""

from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from pipeline.compiled import inlined, kernel
from pipeline.tasks.gridworld.town import observe, rules
from pipeline.tasks.gridworld.town.arrays import F32, F64, I8, I64, U64, Bools, Tables, tables
from pipeline.tasks.gridworld.town.rules import ENERGY, FITNESS, HEALTH, INTERACT, MONEY, PACKED, Level, find_level

_WELLBEING, _RETIREMENT, _SHAPING = range(len(rules.REWARDS))


@dataclass(frozen=True, kw_only=True)
class RewardOptions:
    """What the environment pays.

    `sparse`: no wellbeing while alive; at the end of the episode the share of the cap that was survived
    (num_steps / cap) is paid in the component "retirement", beside the bonus.
    `shaping_weight`: weight of the potential-based shaping reward gamma * p(s') - p(s), where p is the
    lowest meter (money left out) and p(s') = 0 on death. It does not change which policy is best
    (Ng, Harada and Russell 1999) if `shaping_gamma` is the discount of the learner.
    """

    sparse: bool = False
    shaping_weight: float = 0.0
    shaping_gamma: float = 0.99


class _Town(NamedTuple):
    """The arrays of a TownBatch, for compiled code."""

    packed: F32
    meters: F64
    multiplier: F64
    rewards: F32
    died: Bools
    retired: Bools
    finished: Bools
    cause: I8
    interacted: I8
    sparse: Bools


@inlined
def _mix(bits: Any) -> Any:
    """Output function of splitmix64 (Steele, Lea and Flood 2014)."""
    bits = (bits ^ (bits >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    bits = (bits ^ (bits >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return bits ^ (bits >> np.uint64(31))


@inlined
def _draw(seed: Any, index: int, bound: int) -> Any:
    """Number `index` of the random sequence of `seed`, in 0 .. bound-1."""
    golden = np.uint64(0x9E3779B97F4A7C15)
    bits = _mix(_mix(seed + golden) + golden * np.uint64(index + 1))
    return np.int64(((bits >> np.uint64(32)) * np.uint64(bound)) >> np.uint64(32))


@inlined
def _clamp(value: float) -> float:
    return min(max(value, 0.0), 1.0)


@inlined
def _look_around(row: F32, level: Tables) -> None:
    """Add the visible square and the places in it to the sets of cells and places seen."""
    at = level.at
    cell = np.int64(row[at.agent_cell])
    seen = np.int64(row[at.seen])
    for place in level.places:
        seen |= np.int64(level.in_sight[cell, np.int64(row[at.place_cells + place])]) << place
    row[at.seen] = seen
    for k in range(level.cells_in_sight.shape[1]):
        row[at.cells_seen + k] = np.int64(row[at.cells_seen + k]) | level.cells_in_sight[cell, k]


@inlined
def _reset_one(i: int, seed: Any, multiplier: float, town: _Town, level: Tables, cells: I64) -> None:
    at = level.at
    row = town.packed[i]
    row[:] = -1.0
    for cell in range(len(cells)):
        cells[cell] = cell
    for k in range(len(level.places) + 1):  # a shuffle that stops when everything is placed
        other = k + _draw(seed, k, len(cells) - k)
        cells[k], cells[other] = cells[other], cells[k]
    row[at.agent_cell] = cells[0]
    for k, place in enumerate(level.places):
        row[at.place_cells + place] = cells[k + 1]
    for m in range(len(level.initial)):
        town.meters[i, m] = level.initial[m]
        row[at.meters + m] = level.initial[m]
    row[at.seen] = 0.0
    for k in range(level.cells_in_sight.shape[1]):
        row[at.cells_seen + k] = 0.0
    row[at.hour] = level.start_hour
    row[at.ticks_done] = 0.0
    row[at.num_steps] = 0.0
    row[at.multiplier] = multiplier
    _look_around(row, level)
    town.multiplier[i] = multiplier
    town.rewards[i, :] = 0.0
    town.died[i] = town.retired[i] = town.finished[i] = False
    town.cause[i] = town.interacted[i] = -1


@kernel
def _reset(town: _Town, level: Tables, which: Bools, seeds: U64, multiplier: F64, cells: I64) -> None:
    """Reset the towns where `which`; `cells` [size * size] is scratch space."""
    for i in range(len(which)):
        if which[i]:
            _reset_one(i, seeds[i], multiplier[i], town, level, cells)


@inlined
def _move(action: int, row: F32, level: Tables) -> None:
    """Move one cell unless a wall is there; leaving the cell ends the use in progress."""
    at = level.at
    cell = np.int64(row[at.agent_cell])
    there = level.neighbour[action, cell]
    if there != cell:
        row[at.agent_cell] = there
        row[at.place_in_use] = -1.0
        row[at.ticks_done] = 0.0
        if level.sight < level.size - 1:
            _look_around(row, level)


@inlined
def _interact(meters: F64, row: F32, level: Tables) -> int:
    """One tick of the place underfoot. Returns the place if the use is complete, else -1."""
    at = level.at
    hour = np.int64(row[at.hour])
    for place in level.places:
        if row[at.place_cells + place] != row[at.agent_cell]:
            continue
        price = level.tick_price[place]
        if not level.open_at[hour, place] or meters[MONEY] < price - level.payment_tolerance:
            return -1
        meters[MONEY] = _clamp(meters[MONEY] - price)
        for m in range(len(meters)):
            meters[m] = _clamp(meters[m] + level.tick_effects[place, m])
        row[at.ticks_done] += 1.0
        row[at.place_in_use] = place
        if row[at.ticks_done] < level.ticks[place]:
            return -1
        for m in range(len(meters)):
            meters[m] = _clamp(meters[m] + level.last_effects[place, m])
        row[at.ticks_done] = 0.0
        row[at.place_in_use] = -1.0
        return int(place)
    return -1


@inlined
def _live(meters: F64, multiplier: float, level: Tables) -> None:
    """What a step does to the meters by itself: decay, health, cascades."""
    for m in range(len(meters)):
        meters[m] = _clamp(meters[m] - level.decay[m] * multiplier)
    strain = level.health_base + level.health_unfit * (1.0 - meters[FITNESS])
    meters[HEALTH] = _clamp(meters[HEALTH] - level.health_decay * strain)
    threshold = level.cascade_threshold
    for c in range(len(level.cascade_source)):
        source = meters[level.cascade_source[c]]
        if source < threshold:
            target = level.cascade_target[c]
            loss = level.cascade_strength[c] * (threshold - source) / threshold
            meters[target] = _clamp(meters[target] - loss)


@inlined
def _lowest_need(meters: F64) -> float:
    lowest = 1.0
    for m in range(len(meters)):
        if m != MONEY:
            lowest = min(lowest, meters[m])
    return lowest


@inlined
def _step_one(action: int, multiplier: float, row: F32, meters: F64, level: Tables) -> int:
    """One step of one town. Returns the place whose use was completed, or -1."""
    at = level.at
    for m in range(len(meters)):
        meters[m] = _clamp(meters[m] + level.action_effects[action, m])
    completed = -1
    if action < INTERACT:
        _move(action, row, level)
    elif action == INTERACT:
        completed = _interact(meters, row, level)
    _live(meters, multiplier, level)
    for m in range(len(meters)):
        row[at.meters + m] = meters[m]
    row[at.num_steps] += 1.0
    row[at.hour] = row[at.hour] + 1.0 if row[at.hour] + 1.0 < len(level.clock) else 0.0
    return completed


@kernel
def _step(town: _Town, level: Tables, shaping_weight: float, shaping_gamma: float, actions: I64) -> None:
    packed, all_meters, rewards = town.packed, town.meters, town.rewards
    died, retired, finished, sparse = town.died, town.retired, town.finished, town.sparse
    for i in range(len(actions)):
        rewards[i, _WELLBEING] = rewards[i, _RETIREMENT] = rewards[i, _SHAPING] = 0.0
        town.interacted[i] = -1
        if finished[i]:
            continue
        row, meters = packed[i], all_meters[i]
        potential = _lowest_need(meters)
        town.interacted[i] = _step_one(actions[i], town.multiplier[i], row, meters, level)
        died[i] = meters[ENERGY] <= 0.0 or meters[HEALTH] <= 0.0
        if died[i]:
            town.cause[i] = ENERGY if meters[ENERGY] <= 0.0 else HEALTH
        num_steps = row[level.at.num_steps]
        retired[i] = num_steps >= level.cap and not died[i]
        finished[i] = died[i] or retired[i]
        if not sparse[i]:
            rewards[i, _WELLBEING] = meters[ENERGY] * meters[HEALTH]
        payment = level.retirement_bonus if retired[i] else 0.0
        if finished[i] and sparse[i]:
            payment += num_steps / level.cap
        rewards[i, _RETIREMENT] = payment
        if shaping_weight != 0.0:
            after = 0.0 if died[i] else _lowest_need(meters)
            rewards[i, _SHAPING] = shaping_weight * (shaping_gamma * after - potential)


class TownBatch:
    """`num_envs` towns of one level, stepped together. All arrays are updated in place.

    packed         float32 [N, PACKED.width]  state rows, always current
    mask           bool    [N, 8]             legal actions in the current state
    rewards        float32 [N, 3]             components of the last step, columns as in REWARDS
    finished       bool    [N]                the episode is over; steps do nothing until the next reset
    died, retired  bool    [N]                how it ended; kept until the reset
    cause          int8    [N]                meter that killed (energy or health), -1 if none did
    interacted     int8    [N]                place whose use was completed by the last step, -1 none
    meters         float64 [N, 8]             the exact meters behind `packed`

    `reward` may be replaced at any time: shaping follows at once, `sparse` from each town's next reset.
    """

    def __init__(self, level: Level | str, num_envs: int, *, reward: RewardOptions | None = None) -> None:
        if num_envs < 1:
            raise ValueError(f"num_envs must be at least 1, not {num_envs}")
        self.reward = reward or RewardOptions()
        self.level = find_level(level)
        self.num_envs = num_envs
        self._tables = tables(self.level)
        self._town = _Town(
            packed=np.zeros((num_envs, PACKED.width), dtype=np.float32),
            meters=np.zeros((num_envs, len(rules.METERS))),
            multiplier=np.ones(num_envs),
            rewards=np.zeros((num_envs, len(rules.REWARDS)), dtype=np.float32),
            died=np.zeros(num_envs, dtype=np.bool_),
            retired=np.zeros(num_envs, dtype=np.bool_),
            finished=np.ones(num_envs, dtype=np.bool_),
            cause=np.full(num_envs, -1, dtype=np.int8),
            interacted=np.full(num_envs, -1, dtype=np.int8),
            sparse=np.zeros(num_envs, dtype=np.bool_),
        )
        self._cells = np.zeros(self.level.size**2, dtype=np.int64)
        self.mask = np.zeros((num_envs, len(rules.ACTIONS)), dtype=np.bool_)
        self.packed, self.meters, self.rewards = self._town.packed, self._town.meters, self._town.rewards
        self.died, self.retired, self.finished = self._town.died, self._town.retired, self._town.finished
        self.cause, self.interacted = self._town.cause, self._town.interacted

    def reset(self, seeds: U64, multiplier: float | F64 = 1.0) -> None:
        """Start every town anew. A town depends on its seed alone, not on its place in the batch."""
        self.reset_where(np.ones(self.num_envs, dtype=np.bool_), seeds, multiplier)

    def reset_where(self, which: Bools, seeds: U64, multiplier: float | F64 = 1.0) -> None:
        """Start the towns where `which` [N] is true anew, each with its entry of `seeds` [N].

        `multiplier` scales the base decay; one number or one a town.
        """
        seeds = np.ascontiguousarray(seeds, dtype=np.uint64)
        decay = np.ascontiguousarray(np.broadcast_to(np.float64(multiplier), self.num_envs), dtype=np.float64)
        which = np.ascontiguousarray(which, dtype=np.bool_)
        if seeds.shape != (self.num_envs,) or which.shape != (self.num_envs,):
            raise ValueError(f"seeds and which must have shape ({self.num_envs},)")
        if not (np.isfinite(decay).all() and (decay >= 0).all()):
            raise ValueError("multiplier must be finite and not negative")
        self._town.sparse[which] = self.reward.sparse
        _reset(self._town, self._tables, which, seeds, decay, self._cells)
        observe.legal_actions_where(which, self.packed, self._tables, self.mask)

    def step(self, actions: I64) -> None:
        """Advance every town by one step. `actions` int64 [N]; a finished town ignores its action.

        Illegal actions are not refused: a move into a wall stays and pays, like an INTERACT for nothing.
        """
        actions = np.ascontiguousarray(actions, dtype=np.int64)
        if actions.shape != (self.num_envs,):
            raise ValueError(f"actions must have shape ({self.num_envs},), not {actions.shape}")
        if actions.min() < 0 or actions.max() >= len(rules.ACTIONS):
            raise ValueError(f"actions must be in 0..{len(rules.ACTIONS) - 1}")
        _step(self._town, self._tables, float(self.reward.shaping_weight), float(self.reward.shaping_gamma), actions)
        self.update_mask()

    def update_mask(self) -> None:
        """After `packed` was changed from outside."""
        observe.write_legal_actions(self.packed, self._tables, self.mask)

    def get_state(self) -> dict[str, NDArray[Any]]:
        """Copies of all arrays, exact: `set_state` with them continues bit for bit."""
        return {name: array.copy() for name, array in self._town._asdict().items()}

    def set_state(self, state: dict[str, NDArray[Any]]) -> None:
        """Continue from what `get_state` returned. Raises ValueError if one is missing or of another shape or dtype."""
        arrays = self._town._asdict()
        for name, array in arrays.items():
            if name not in state or (state[name].shape, state[name].dtype) != (array.shape, array.dtype):
                raise ValueError(f"state must have {name}, {array.dtype} {array.shape}")
        for name, array in arrays.items():
            array[:] = state[name]
        self.update_mask()

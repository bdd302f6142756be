"""What scripted policies do in compiled loops: go to a place; and the tuned script, which also chooses the place.

The tuned script goes at every step for the place that is worth most for the time it takes.

What a place is worth: each meter m has a discomfort w_m * (d + k_m * d^3) of its distance d = 1 - value from full.
A use is worth the discomfort it removes from the meters as they will be on arrival (money counts like any
other meter, so prices and wages need no rule of their own), divided by the steps it takes: way, waiting
for opening, ticks, and a constant. If nothing is worth `idle`, the script rests.

Twenty parameters: w (8), k (8), the constant, a bonus for going on with a use in progress, `idle`, and how
much of the decay on the way is foreseen. `benchmarks.tools.tune_script` finds them.
"""

import numpy as np

from pipeline.compiled import inlined, kernel
from pipeline.tasks.gridworld.town.arrays import F32, F64, I64, Bools, Tables
from pipeline.tasks.gridworld.town.rules import DOWN, INTERACT, LEFT, MONEY, REST, RIGHT, UP, WAIT

NUM_PARAMETERS = 20
# Places in the vector of parameters.
_WEIGHT, _CURVE = 0, 8
_OVERHEAD, _STAY, _IDLE, _FORESIGHT = 16, 17, 18, 19

_FULL = (
    *(3.739, 0.2857, 0.3829, 0.5208, 0.2731, 0.3227, 5.3387, 1.6407),
    *(0.3297, 1.3208, 1.2185, 2.0992, 0.3046, 0.1026, 0.8201, 0.2649),
    *(0.5336, 0.041, 0.0234, 0.5079),
)
# Found by `benchmarks.tools.tune_script` with its defaults but --generations 20 --scenarios 24 (minimal, resources),
# --generations 20 (full), --generations 25 (temporal). Survived steps / wellbeing on 1,000 other towns, at decay 1.0,
# 1.5 and 2.0:
#   minimal    366 / 256    295 / 195    231 / 158   (one bed and $50: nobody lives to 1,000)
#   resources  2000 / 1869  2000 / 1843  2000 / 1817
#   full       500 / 474    500 / 464    500 / 453
#   temporal   500 / 458    499 / 437    456 / 372
_FOUND = {
    "minimal": (
        *(0.97, 3.7131, 1.2724, 0.5058, 0.3305, 2.3091, 2.8538, 0.7551),
        *(0.8373, 9.5525, 0.51, 3.8048, 0.1208, 0.3851, 0.1374, 1.7881),
        *(0.8712, 0.2055, 0.0072, 0.6543),
    ),
    "resources": (
        *(2.4518, 0.2559, 0.2424, 0.179, 0.1897, 0.4423, 3.4454, 1.3489),
        *(0.2586, 0.7731, 1.7804, 4.8912, 0.2245, 0.6595, 0.4731, 0.717),
        *(0.3185, 0.0096, 0.0313, 0.2587),
    ),
    "full": _FULL,
    "partial": _FULL,  # differs from full only in what is seen
    "temporal": (
        *(2.6169, 0.4146, 0.1885, 1.5201, 0.1981, 0.6475, 8.8787, 1.4929),
        *(0.1883, 0.9443, 2.2576, 0.4574, 0.5812, 0.1106, 0.2328, 1.2867),
        *(0.333, 0.177, 0.0195, 0.4483),
    ),
}
TUNED: dict[str, F64] = {level: np.array(parameters) for level, parameters in _FOUND.items()}


@inlined
def _towards(cell: int, goal: int, level: Tables) -> int:
    """INTERACT on the goal, else a step towards it along the longer side of the way."""
    dy = level.row_of[goal] - level.row_of[cell]
    dx = level.column_of[goal] - level.column_of[cell]
    if dy == 0 and dx == 0:
        return INTERACT
    if abs(dx) >= abs(dy):
        return RIGHT if dx > 0 else LEFT
    return DOWN if dy > 0 else UP


@kernel
def _go_to(packed: F32, mask: Bools, level: Tables, places: I64, actions: I64) -> None:
    at = level.at
    for i in range(len(packed)):
        goal = int(packed[i, at.place_cells + places[i]])
        action = WAIT
        if goal >= 0:
            action = _towards(int(packed[i, at.agent_cell]), goal, level)
        actions[i] = action if mask[i, action] else WAIT


def go_to(packed: F32, mask: Bools, level: Tables, places: I64) -> I64:
    """Actions int64 [N] that lead to `places` [N] and use them; WAIT where a place is closed or does not exist."""
    actions = np.empty(len(packed), dtype=np.int64)
    _go_to(packed, mask, level, places, actions)
    return actions


@inlined
def _discomfort(meter: int, value: float, parameters: F64) -> float:
    missing = 1.0 - min(max(value, 0.0), 1.0)
    return float(parameters[_WEIGHT + meter] * (missing + parameters[_CURVE + meter] * missing * missing * missing))


@inlined
def _hours_until_open(place: int, hour: int, level: Tables) -> int:
    for wait in range(24):
        if level.open_at[(hour + wait) % 24, place]:
            return wait
    return 24


@inlined
def _worth(place: int, row: F32, way: int, level: Tables, parameters: F64) -> float:
    """Discomfort removed by using the place, for each step it takes."""
    at = level.at
    done = np.int64(row[at.ticks_done]) if np.int64(row[at.place_in_use]) == place else 0
    wait = _hours_until_open(place, (int(row[at.hour]) + way) % 24, level)
    ticks = level.ticks[place] - done
    price = level.tick_price[place]
    if price > 0.0:
        ticks = min(ticks, np.int64((row[at.meters + MONEY] + 1e-6) / price))
    if ticks == 0:
        return -1e9
    is_last = ticks == level.ticks[place] - done
    removed = 0.0
    for m in range(8):
        change = ticks * level.tick_effects[place, m] + (level.last_effects[place, m] if is_last else 0.0)
        if m == MONEY:
            change -= ticks * price
        if change != 0.0:
            lost = (way + wait) * (level.decay[m] * row[at.multiplier] - level.action_effects[UP, m])
            before = row[at.meters + m] - parameters[_FORESIGHT] * lost
            removed += _discomfort(m, before, parameters) - _discomfort(m, before + change, parameters)
    if done > 0:
        removed += parameters[_STAY]
    return float(removed / (way + wait + ticks + parameters[_OVERHEAD]))


@inlined
def _best_action(row: F32, level: Tables, parameters: F64) -> int:
    at = level.at
    cell = np.int64(row[at.agent_cell])
    best, goal = parameters[_IDLE], -1
    for place in level.places:
        there = np.int64(row[at.place_cells + place])
        way = abs(level.row_of[there] - level.row_of[cell]) + abs(level.column_of[there] - level.column_of[cell])
        worth = _worth(place, row, way, level, parameters)
        if worth > best:
            best, goal = worth, int(there)
    return REST if goal < 0 else _towards(int(cell), goal, level)


@kernel
def _follow_script(packed: F32, level: Tables, parameters: F64, actions: I64) -> None:
    for i in range(len(packed)):
        actions[i] = _best_action(packed[i], level, parameters)


def follow_script(packed: F32, level: Tables, parameters: F64) -> I64:
    """Actions int64 [N] of the script with the given 20 parameters in the states `packed` [N, S]."""
    actions = np.empty(len(packed), dtype=np.int64)
    _follow_script(packed, level, parameters, actions)
    return actions

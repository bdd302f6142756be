"""From arrays recorded step by step to the rows that tell of an episode: its trace and its account.

Used for training episodes and for predictions alike, so that both say the same things in the same words.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pipeline.tasks.gridworld.rows import ExploreMode, Step
from pipeline.tasks.gridworld.town.arrays import F32, I8, I64, Bools
from pipeline.tasks.gridworld.town.rules import ACTIONS, ENERGY, HEALTH, METERS, NEEDS, PACKED, PLACES, Level
from pipeline.tasks.gridworld.town.step import TownBatch

MODES: tuple[ExploreMode, ...] = ("greedy", "random", "warmup")
GREEDY, RANDOM, WARMUP = range(3)
_DIGITS = 4  # of meters, Q-values and rewards in rows: their bars and curves show no more


@dataclass(frozen=True)
class Recorded:
    """L steps of one episode: everything as before the action, then the action and what it brought.

    packed float32 [L, S], mask bool [L, A], q float32 [L, A], actions int [L], modes int [L] (index in MODES),
    rewards float32 [L, C] by component, completed int [L] (place index, -1 none), final float32 [S] the last state.
    """

    packed: F32
    mask: Bools
    q: F32
    actions: I64
    modes: I8
    rewards: F32
    completed: I8
    final: F32


class Recorder:
    """Keeps every step of the running episodes of those environments that are in ``envs`` [W]."""

    def __init__(self, envs: I64, cap: int, num_components: int) -> None:
        self.envs = envs
        room = (len(envs), cap)
        self.arrays: dict[str, NDArray[Any]] = {
            "packed": np.zeros((*room, PACKED.width), np.float32),
            "mask": np.zeros((*room, len(ACTIONS)), np.bool_),
            "q": np.zeros((*room, len(ACTIONS)), np.float32),
            "actions": np.zeros(room, np.int64),
            "modes": np.zeros(room, np.int8),
            "rewards": np.zeros((*room, num_components), np.float32),
            "completed": np.zeros(room, np.int8),
        }

    def record(self, at: I64, played: Bools, **columns: NDArray[Any]) -> None:
        """Store one step: ``at`` [N] is each environment's step number, ``played`` [N] whether it took part."""
        kept = np.flatnonzero(played[self.envs])
        envs = self.envs[kept]
        for name, column in columns.items():
            self.arrays[name][kept, at[envs]] = column[envs]

    def episode(self, env: int, num_steps: int, final: F32) -> Recorded | None:
        """A copy of the recorded steps of the episode that ended in ``env``; None where none are kept."""
        where = np.flatnonzero(self.envs == env)
        if not len(where):
            return None
        return Recorded(**{k: a[where[0], :num_steps].copy() for k, a in self.arrays.items()}, final=final.copy())


def _rounded(values: NDArray[Any]) -> list[Any]:
    rounded: list[Any] = np.round(values.astype(np.float64), _DIGITS).tolist()
    return rounded


def _underfoot(packed: F32) -> I64:
    here = packed[:, PACKED.place_cells] == packed[:, PACKED.agent_cell, None]
    return np.where(here.any(axis=1), here.argmax(axis=1), -1)


def build_trace(episode: Recorded, level: Level) -> list[Step]:
    """The steps of a recorded episode as rows."""
    packed = episode.packed
    cells = packed[:, PACKED.agent_cell].astype(int)
    modes = [MODES[mode] for mode in episode.modes.tolist()]
    columns: dict[str, list[Any]] = {
        "hour": packed[:, PACKED.hour].astype(int).tolist(),
        "position": [*zip((cells % level.size).tolist(), (cells // level.size).tolist(), strict=True)],
        "meters": _rounded(packed[:, PACKED.meters]),
        "underfoot": _underfoot(packed).tolist(),
        "use_place": packed[:, PACKED.place_in_use].astype(int).tolist(),
        "use_ticks": packed[:, PACKED.ticks_done].astype(int).tolist(),
        "mask": episode.mask.tolist(),
        "q": [None if mode == "warmup" else q for q, mode in zip(_rounded(episode.q), modes, strict=True)],
        "action": episode.actions.tolist(),
        "mode": modes,
        "rewards": _rounded(episode.rewards),
        "completed": episode.completed.tolist(),
    }
    return [Step(**dict(zip(columns, step, strict=True))) for step in zip(*columns.values(), strict=True)]


def place_positions(final: F32, level: Level) -> dict[str, tuple[int, int]]:
    """Where the places of a packed row [S] are: place key to (x, y)."""
    cells = final[PACKED.place_cells].astype(int).tolist()
    return {PLACES[p]: (cells[p] % level.size, cells[p] // level.size) for p in level.places}


class Tally:
    """Running sums over the current episode of each of N environments, from which accounts are made."""

    def __init__(self, num_envs: int, components: tuple[str, ...]) -> None:
        self.components = components
        self.num_steps = np.zeros(num_envs, np.int64)
        self.wellbeing = np.zeros(num_envs)
        self.lowest = np.zeros(num_envs)
        self.returns = np.zeros((num_envs, len(components)))
        self.uses = np.zeros((num_envs, len(PLACES)), np.int64)

    def add(self, town: TownBatch, rewards: F32, played: Bools) -> None:
        """One step of ``town``: its rewards [N, C] by component, and who played [N] (was not finished before)."""
        meters, completed = town.meters, town.interacted
        self.num_steps += played
        self.wellbeing += np.where(~town.died & played, meters[:, ENERGY] * meters[:, HEALTH], 0.0)
        self.lowest += np.where(played, meters[:, NEEDS].min(axis=1), 0.0)
        self.returns += np.where(played[:, None], rewards, 0.0)
        users = np.flatnonzero(played & (completed >= 0))
        self.uses[users, completed[users]] += 1

    def clear(self, which: Bools) -> None:
        """Start anew where ``which`` [N]."""
        for array in self.get_state().values():
            array[which] = 0

    def account(self, env: int, town: TownBatch) -> dict[str, Any]:
        """The fields that end an account (`rows.ACCOUNT`) of the episode that has just ended in ``env``."""
        steps, cause = int(self.num_steps[env]), int(town.cause[env])
        return {
            "num_steps": steps,
            "died": cause >= 0,
            "cause": METERS[cause] if cause >= 0 else None,
            "wellbeing": round(float(self.wellbeing[env]), 6),
            "mean_lowest_meter": round(float(self.lowest[env]) / max(steps, 1), 6),
            "returns": {name: round(float(v), 6) for name, v in zip(self.components, self.returns[env], strict=True)},
            "place_uses": {PLACES[p]: int(n) for p, n in enumerate(self.uses[env]) if n},
            "final_meters": [round(float(v), 6) for v in town.meters[env]],
        }

    def get_state(self) -> dict[str, NDArray[Any]]:
        """The arrays themselves, not copies."""
        return {name: getattr(self, name) for name in ("num_steps", "wellbeing", "lowest", "returns", "uses")}

    def set_state(self, state: dict[str, NDArray[Any]]) -> None:
        """Continue from what `get_state` returned."""
        for name, array in self.get_state().items():
            array[:] = state[name]

"""Replay memory: packed state rows in a ring, encoded again when they are sampled.

A packed row has 32 numbers where an observation has 158 or more (432 for a window), so the memory and the checkpoints
that hold it are five times smaller, and the encoding costs little (it is compiled).

Rows are added a vector step at a time: ring[t, n] is environment n at ring row t. After an episode ended, its
environment stays for one more row, a dummy whose state is the final state of the episode: an episode that was ended by
the cap (retired) is bootstrapped from there, a death is not bootstrapped at all. Dummies are never learnt from.
"""

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from pipeline.compiled import kernel
from pipeline.tasks.gridworld.recipe import QLearning
from pipeline.tasks.gridworld.recipe import Replay as ReplayOptions
from pipeline.tasks.gridworld.town.arrays import F32, F64, I8, I64, U8, Bools
from pipeline.tasks.gridworld.town.rules import PACKED

DIED, RETIRED, DUMMY, FIRST, EXPLORED = 1, 2, 4, 8, 16


class Batch(NamedTuple):
    """Sampled transitions. B transitions; for sequences T positions of B sequences (time first).

    states       float32 [B, S], or [T, B, S] for sequences (burn-in, learnt and bootstrap positions)
    actions      int64   [B], or [L, B] for the L learnt positions
    returns      float32 [B] or [L, B]: n-step return, discounted
    bootstrap    float32 [B, S] the state after the n steps, or int64 [L, B] its position in the sequence
    discounts    float32 [B] or [L, B]: gamma ** steps, 0 after a death
    valid        float32 [B] or [L, B]: 0 for dummies
    weights      float32 [B]: importance weights (1 when uniform)
    slots        int64   [B]: what `update_priorities` takes
    resets       bool    [T, B], hidden float32 [B, H]: sequences of recurrent networks only
    """

    states: F32
    actions: I64
    returns: F32
    bootstrap: NDArray[Any]
    discounts: F32
    valid: F32
    weights: F32
    slots: I64
    resets: Bools
    hidden: F32


class _Ring(NamedTuple):
    packed: F32  # [T, N, S]
    actions: I8  # [T, N]
    rewards: F32  # [T, N]
    flags: U8  # [T, N]


class _Return(NamedTuple):
    """What an n-step return is; steps with a flag of ``cut`` are not looked into."""

    num_steps: int
    gamma: float
    cut: int


@kernel
def _look_ahead(ring: _Ring, row: int, env: int, options: _Return) -> Any:
    """n-step return from ring[row, env]: (return, discount of the bootstrap, steps to the bootstrap state).

    A later step with a flag of `options.cut` is not looked into: its state is where the return is bootstrapped.
    """
    num_rows = len(ring.actions)
    total, discount = 0.0, 1.0
    for k in range(options.num_steps):
        t = (row + k) % num_rows
        if k > 0 and ring.flags[t, env] & options.cut:
            return total, discount, k
        total += discount * ring.rewards[t, env]
        discount *= options.gamma
        if ring.flags[t, env] & 1:
            return total, 0.0, k + 1
        if ring.flags[t, env] & 2:
            return total, discount, k + 1
    return total, discount, options.num_steps


@kernel
def _gather(ring: _Ring, rows: Any, envs: Any, options: _Return, out: Any) -> None:
    states, actions, returns, bootstrap, discounts, valid = out
    num_rows = len(ring.actions)
    for b in range(len(rows)):
        row, env = rows[b], envs[b]
        total, discount, steps = _look_ahead(ring, row, env, options)
        ahead = (row + steps) % num_rows
        for s in range(states.shape[1]):
            states[b, s] = ring.packed[row, env, s]
            bootstrap[b, s] = ring.packed[ahead, env, s]
        actions[b] = ring.actions[row, env]
        returns[b] = total
        discounts[b] = discount
        valid[b] = 0.0 if ring.flags[row, env] & 4 else 1.0


@kernel
def _gather_sequences(ring: _Ring, rows: Any, envs: Any, burn_in: int, options: _Return, out: Any) -> None:
    states, actions, returns, bootstrap, discounts, valid, resets = out
    num_rows = len(ring.actions)
    for b in range(len(rows)):
        env = envs[b]
        for t in range(len(states)):
            row = (rows[b] + t) % num_rows
            for s in range(states.shape[2]):
                states[t, b, s] = ring.packed[row, env, s]
            resets[t, b] = (ring.flags[row, env] & 8) != 0 and t > 0
        for k in range(len(actions)):
            row = (rows[b] + burn_in + k) % num_rows
            total, discount, steps = _look_ahead(ring, row, env, options)
            actions[k, b] = ring.actions[row, env]
            returns[k, b] = total
            bootstrap[k, b] = burn_in + k + steps
            discounts[k, b] = discount
            valid[k, b] = 0.0 if ring.flags[row, env] & 4 else 1.0


@kernel
def _set_priorities(tree: F64, slots: I64, priorities: F64) -> None:
    """Sum tree in an array: leaves in its second half, each node the sum of its two children, node 1 the total."""
    half = len(tree) // 2
    for i in range(len(slots)):
        node = half + slots[i]
        tree[node] = priorities[i]
        node //= 2
        while node >= 1:
            tree[node] = tree[2 * node] + tree[2 * node + 1]
            node //= 2


@kernel
def _find_slots(tree: F64, targets: F64, out: I64) -> None:
    """For each target in [0, total): the slot at which the running sum of priorities passes it."""
    half = len(tree) // 2
    for i in range(len(targets)):
        node, target = 1, targets[i]
        while node < half:
            node *= 2
            if target >= tree[node] and tree[node + 1] > 0.0:
                target -= tree[node]
                node += 1
        out[i] = node - half


class Replay:
    """Uniform or prioritized replay over ``num_envs`` environments; ``hidden_size`` > 0 samples sequences.

    Sequences start at every ``sequence`` // 2-th ring row, where the hidden state of the moment is stored.
    """

    def __init__(self, options: ReplayOptions, q_learning: QLearning, num_envs: int, hidden_size: int) -> None:
        self.options = options
        self.num_step_return = q_learning.num_step_return
        cut = EXPLORED if q_learning.cut_at_exploration else 0
        self.returns = _Return(q_learning.num_step_return, q_learning.gamma, cut)
        self.num_envs, self.hidden_size = num_envs, hidden_size
        self.stride = max(options.sequence // 2, 1) if hidden_size else 1
        self.length = options.burn_in + options.sequence + self.num_step_return if hidden_size else 1
        least = self.length + self.num_step_return + 2 * self.stride
        num_rows = max(options.capacity // num_envs, least)
        self.num_rows = num_rows = -(-num_rows // self.stride) * self.stride
        self.ring = _Ring(
            packed=np.zeros((num_rows, num_envs, PACKED.width), np.float32),
            actions=np.zeros((num_rows, num_envs), np.int8),
            rewards=np.zeros((num_rows, num_envs), np.float32),
            flags=np.full((num_rows, num_envs), DUMMY, np.uint8),
        )
        self.hidden = np.zeros((num_rows // self.stride if hidden_size else 0, num_envs, hidden_size), np.float32)
        self.num_added = 0  # ring rows ever added
        self.tree = np.zeros(0)
        self.highest_priority = 1.0
        if options.type == "prioritized":
            num_slots = (num_rows // self.stride) * num_envs
            self.tree = np.zeros(2 * (1 << (num_slots - 1).bit_length()))

    @property
    def ready(self) -> bool:
        """Whether anything can be sampled yet."""
        return self._num_starts() > 0

    def begin(self, packed: F32, hidden: F32 | None) -> None:
        """Store the states [N, S] (and hidden states [N, H]) in which actions are about to be taken."""
        row = self.num_added % self.num_rows
        self.ring.packed[row] = packed
        if hidden is not None and row % self.stride == 0:
            self.hidden[row // self.stride] = hidden

    def finish(self, actions: I64, rewards: F32, flags: U8) -> None:
        """Complete the row that `begin` started: actions, rewards and flags [N] (DIED, RETIRED, ...)."""
        row = self.num_added % self.num_rows
        self.ring.actions[row] = actions
        self.ring.rewards[row] = rewards
        self.ring.flags[row] = flags
        self.num_added += 1
        if len(self.tree):
            self._open_and_close_slots()

    def _reach(self) -> int:
        """Ring rows that a sample needs from its first row on."""
        return self.length + (0 if self.hidden_size else self.num_step_return)

    def _first_start(self) -> int:
        oldest = max(self.num_added - self.num_rows + 1, 0)  # the row to be overwritten next is left alone
        return -(-oldest // self.stride)

    def _num_starts(self) -> int:
        """How many ring rows (multiples of the stride) may begin a sample now."""
        return max((self.num_added - self._reach()) // self.stride - self._first_start() + 1, 0)

    def _open_and_close_slots(self) -> None:
        """Prioritized: a slot opens with the highest priority when its sample is complete, closes when overwritten."""
        complete = self.num_added - self._reach()
        if complete >= 0 and complete % self.stride == 0:
            row = complete % self.num_rows
            dummy = (self.ring.flags[row] & DUMMY) != 0 if not self.hidden_size else np.zeros(self.num_envs, bool)
            self._set_row(row, np.where(dummy, 0.0, self.highest_priority))
        if self.num_added >= self.num_rows and self.num_added % self.stride == 0:
            self._set_row(self.num_added % self.num_rows, np.zeros(self.num_envs))

    def _set_row(self, row: int, priorities: F64) -> None:
        _set_priorities(self.tree, (row // self.stride) * self.num_envs + np.arange(self.num_envs), priorities)

    def sample(self, rng: np.random.Generator, batch_size: int, beta: float) -> Batch:
        """``batch_size`` transitions (recurrent: batch_size // sequence sequences of that many)."""
        size = max(batch_size // self.options.sequence, 1) if self.hidden_size else batch_size
        weights = np.ones(size, np.float32)
        if len(self.tree):
            total = self.tree[1]
            slots = np.empty(size, np.int64)
            _find_slots(self.tree, (np.arange(size) + rng.random(size)) * (total / size), slots)
            chance = self.tree[len(self.tree) // 2 + slots] / total
            weights = ((1.0 / (self._num_starts() * self.num_envs)) / chance) ** beta
            weights = (weights / weights.max()).astype(np.float32)
        else:
            starts = self._first_start() + rng.integers(0, self._num_starts(), size)
            rows = (starts * self.stride) % self.num_rows
            slots = (rows // self.stride) * self.num_envs + rng.integers(0, self.num_envs, size)
        rows, envs = (slots // self.num_envs) * self.stride, slots % self.num_envs
        shape = (self.options.sequence, size) if self.hidden_size else (size,)
        actions, returns = np.empty(shape, np.int64), np.empty(shape, np.float32)
        discounts, valid = np.empty_like(returns), np.empty_like(returns)
        if not self.hidden_size:
            states, ahead = (np.empty((size, PACKED.width), np.float32) for _ in range(2))
            _gather(self.ring, rows, envs, self.returns, (states, actions, returns, ahead, discounts, valid))
            none = np.zeros((0, 0), bool), np.zeros((0, 0), np.float32)
            return Batch(states, actions, returns, ahead, discounts, valid, weights, slots, *none)
        states = np.empty((self.length, size, PACKED.width), np.float32)
        positions, resets = np.empty_like(actions), np.empty((self.length, size), np.bool_)
        out = (states, actions, returns, positions, discounts, valid, resets)
        _gather_sequences(self.ring, rows, envs, self.options.burn_in, self.returns, out)
        return Batch(*out[:6], weights, slots, resets, self.hidden[rows // self.stride, envs])

    def update_priorities(self, slots: I64, errors: F32) -> None:
        """Set priorities from absolute TD errors [B]. Does nothing when uniform."""
        if len(self.tree):
            priorities = (errors.astype(np.float64) + self.options.priority_epsilon) ** self.options.alpha
            open_slots = self.tree[len(self.tree) // 2 + slots] > 0
            _set_priorities(self.tree, slots[open_slots], priorities[open_slots])
            self.highest_priority = max(self.highest_priority, float(priorities.max()))

    def get_state(self) -> dict[str, Any]:
        """Everything, exact; arrays are views of what is filled, to be written before the next step."""
        filled = min(self.num_added, self.num_rows)
        state = {name: array[:filled] for name, array in self.ring._asdict().items()}
        state |= {"hidden": self.hidden, "tree": self.tree}
        return state | {"num_added": self.num_added, "highest_priority": self.highest_priority}

    def set_state(self, state: dict[str, Any]) -> None:
        """Continue from what `get_state` returned."""
        filled = min(state["num_added"], self.num_rows)
        for name, array in self.ring._asdict().items():
            array[:filled] = state[name]
        self.hidden[:] = state["hidden"]
        self.tree[:] = state["tree"]
        self.num_added, self.highest_priority = state["num_added"], state["highest_priority"]

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

    states: NDArray[np.float32]
    actions: NDArray[np.int64]
    returns: NDArray[np.float32]
    bootstrap: NDArray[Any]
    discounts: NDArray[np.float32]
    valid: NDArray[np.float32]
    weights: NDArray[np.float32]
    slots: NDArray[np.int64]
    resets: NDArray[np.bool_]
    hidden: NDArray[np.float32]


class _Ring(NamedTuple):
    packed: NDArray[np.float32]  # [T, N, S]
    actions: NDArray[np.int8]  # [T, N]
    rewards: NDArray[np.float32]  # [T, N]
    flags: NDArray[np.uint8]  # [T, N]


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
def _set_priorities(tree: NDArray[np.float64], slots: NDArray[np.int64], priorities: NDArray[np.float64]) -> None:
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
def _find_slots(tree: NDArray[np.float64], targets: NDArray[np.float64], out: NDArray[np.int64]) -> None:
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

    def __len__(self) -> int:
        """Transitions held."""
        return min(self.num_added, self.num_rows) * self.num_envs

    @property
    def ready(self) -> bool:
        """Whether anything can be sampled yet."""
        return self._num_starts() > 0

    def begin(self, packed: NDArray[np.float32], hidden: NDArray[np.float32] | None) -> None:
        """Store the states [N, S] (and hidden states [N, H]) in which actions are about to be taken."""
        row = self.num_added % self.num_rows
        self.ring.packed[row] = packed
        if hidden is not None and row % self.stride == 0:
            self.hidden[row // self.stride] = hidden

    def finish(self, actions: NDArray[np.int64], rewards: NDArray[np.float32], flags: NDArray[np.uint8]) -> None:
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

    def _num_starts(self) -> int:
        """How many ring rows (multiples of the stride) may begin a sample now."""
        oldest = max(self.num_added - self.num_rows + 1, 0)  # the row to be overwritten next is left alone
        first = -(-oldest // self.stride)
        return max((self.num_added - self._reach()) // self.stride - first + 1, 0)

    def _start_row(self, number: NDArray[np.int64]) -> NDArray[np.int64]:
        oldest = max(self.num_added - self.num_rows + 1, 0)
        first = -(-oldest // self.stride)
        return ((first + number) * self.stride) % self.num_rows

    def _open_and_close_slots(self) -> None:
        """Prioritized: a slot opens with the highest priority when its sample is complete, closes when overwritten."""
        envs = np.arange(self.num_envs)
        complete = self.num_added - self._reach()
        if complete >= 0 and complete % self.stride == 0:
            row = complete % self.num_rows
            dummy = (self.ring.flags[row] & DUMMY) != 0 if not self.hidden_size else np.zeros(self.num_envs, bool)
            _set_priorities(
                self.tree, (row // self.stride) * self.num_envs + envs, np.where(dummy, 0.0, self.highest_priority)
            )
        if self.num_added >= self.num_rows and self.num_added % self.stride == 0:
            row = self.num_added % self.num_rows
            _set_priorities(self.tree, (row // self.stride) * self.num_envs + envs, np.zeros(self.num_envs))

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
            rows = self._start_row(rng.integers(0, self._num_starts(), size))
            slots = (rows // self.stride) * self.num_envs + rng.integers(0, self.num_envs, size)
        rows, envs = (slots // self.num_envs) * self.stride, slots % self.num_envs
        if self.hidden_size:
            return self._sequences(rows, envs, weights, slots)
        out = (
            np.empty((size, PACKED.width), np.float32),
            np.empty(size, np.int64),
            np.empty(size, np.float32),
            np.empty((size, PACKED.width), np.float32),
            np.empty(size, np.float32),
            np.empty(size, np.float32),
        )
        _gather(self.ring, rows, envs, self.returns, out)
        return Batch(*out, weights, slots, np.zeros((0, 0), bool), np.zeros((0, 0), np.float32))

    def _sequences(self, rows: Any, envs: Any, weights: Any, slots: Any) -> Batch:
        size, learnt = len(rows), (self.options.sequence, len(rows))
        out = (
            np.empty((self.length, size, PACKED.width), np.float32),
            np.empty(learnt, np.int64),
            np.empty(learnt, np.float32),
            np.empty(learnt, np.int64),
            np.empty(learnt, np.float32),
            np.empty(learnt, np.float32),
            np.empty((self.length, size), np.bool_),
        )
        _gather_sequences(self.ring, rows, envs, self.options.burn_in, self.returns, out)
        return Batch(*out[:6], weights, slots, out[6], self.hidden[rows // self.stride, envs])

    def update_priorities(self, slots: NDArray[np.int64], errors: NDArray[np.float32]) -> None:
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

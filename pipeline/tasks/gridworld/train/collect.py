"""The acting half of a training: many towns stepped together, their steps stored and their episodes told.

Every finished episode becomes one short progress row; those of a few watched environments are recorded step by step and
handed to the live tail as whole episodes. Everything recorded of a step is of the moment before its action.
"""

import json
import time
from collections.abc import Callable
from functools import cache
from typing import Any

import numpy as np
import torch
from torch import Tensor

from pipeline.tasks.gridworld.recipe import Exploration, GridworldRecipe, Stage
from pipeline.tasks.gridworld.rows import GridworldEpisode, GridworldProgress
from pipeline.tasks.gridworld.town import seeds, trace
from pipeline.tasks.gridworld.town.arrays import F32, F64, I8, I64, Bools
from pipeline.tasks.gridworld.town.observe import encode
from pipeline.tasks.gridworld.town.rules import ENERGY, HEALTH, HOURS_PER_DAY, LEVELS, PACKED, REWARDS
from pipeline.tasks.gridworld.town.step import RewardOptions, TownBatch
from pipeline.tasks.gridworld.train.curriculum import CurriculumState, policy_entropy
from pipeline.tasks.gridworld.train.learner import Learner, answer
from pipeline.tasks.gridworld.train.novelty import NoveltyBonus
from pipeline.tasks.gridworld.train.replay import DIED, DUMMY, EXPLORED, FIRST, RETIRED, Replay

Build = Callable[[int], GridworldEpisode]
VITAL = [ENERGY, HEALTH]
LEAST_VITAL = 0.2  # of energy and health at a random start: below it most episodes die before they teach anything
_ENTROPY_EVERY = 16  # vector steps between two looks at the entropy of the policy
_OWN_ARRAYS = ("episode_index", "stages", "first", "random_start")  # of the collector's state


def epsilons(options: Exploration, num_envs: int, step: int) -> F64:
    """Each environment's epsilon [N]: from 1 at the start to its place in a geometric spread (Horgan et al. 2018)."""
    done = min(step / options.anneal_steps, 1.0) if options.anneal_steps else 1.0
    return 1.0 - done * (1.0 - _spread(options.highest, options.lowest, num_envs))


@cache
def _spread(highest: float, lowest: float, num_envs: int) -> F64:
    spread = np.geomspace(highest, lowest, num_envs)
    spread.flags.writeable = False
    return spread


class Collector:
    """``num_envs`` towns and all that belongs to their running episodes."""

    def __init__(self, recipe: GridworldRecipe, learner: Learner, replay: Replay) -> None:
        self.recipe, self.learner, self.replay = recipe, learner, replay
        environment, self.num_envs = recipe.environment, recipe.train.num_envs
        self.level, self.encoding = LEVELS[environment.level], environment.encoding
        self.components = (*REWARDS, "novelty") if recipe.novelty else REWARDS
        self.curriculum = CurriculumState(recipe.curriculum) if recipe.curriculum else None
        self.rng = np.random.Generator(np.random.PCG64(recipe.seed))
        self.town = TownBatch(self.level, self.num_envs)
        self.episode_index = np.zeros(self.num_envs, np.int64)
        self.stages = np.zeros(self.num_envs, np.int64)
        self.first = np.ones(self.num_envs, np.bool_)
        self.random_start = np.zeros(self.num_envs, np.bool_)  # episodes that began with random meters
        self.tally = trace.Tally(self.num_envs, self.components)
        # The watched ones are spread evenly over all, and so over the epsilons.
        num_watched = min(recipe.train.num_watched, self.num_envs)
        watched = np.linspace(0, self.num_envs - 1, num_watched).round().astype(np.int64)
        self.watch = trace.Recorder(watched, self.level.cap, len(self.components))
        self.hidden: Tensor | None = None
        if learner.hidden_size:
            self.hidden = torch.zeros(self.num_envs, learner.hidden_size)
        size = learner.online.input_size
        self.novelty = NoveltyBonus(recipe.novelty, size, recipe.seed) if recipe.novelty else None
        self._start(np.ones(self.num_envs, np.bool_))

    @property
    def stage(self) -> Stage:
        environment = self.recipe.environment
        constant = Stage(multiplier=environment.multiplier, sparse=environment.sparse)
        return self.curriculum.stage if self.curriculum else constant

    def _start(self, which: Bools) -> None:
        """Begin new episodes where ``which`` [N], in the stage that is on."""
        stage, shaping = self.stage, self.recipe.environment.shaping
        self.town.reward = RewardOptions(
            sparse=stage.sparse, shaping_weight=shaping, shaping_gamma=self.recipe.q_learning.gamma
        )
        envs = np.arange(self.num_envs)
        scenario = seeds.derive(seeds.TRAINING, self.recipe.seed, self.episode_index, envs)
        self.town.reset_where(which, scenario, stage.multiplier)
        self._randomise(which)
        self.stages[which] = self.curriculum.index if self.curriculum else 0
        self.tally.clear(which)
        self.first = which.copy()
        if self.hidden is not None:
            self.hidden[torch.from_numpy(which)] = 0.0

    def _randomise(self, which: Bools) -> None:
        """Let a share of the new episodes begin with any meters at any hour (exploring starts, Sutton and Barto 2018).

        What matters most, a wallet or a stomach that runs empty, else comes up only after hundreds of steps.
        """
        share = self.recipe.exploration.random_starts
        self.random_start[which] = False
        if not share:
            return
        meters, hours = self.rng.random(self.town.meters.shape), self.rng.integers(0, HOURS_PER_DAY, self.num_envs)
        chosen = which & (self.rng.random(self.num_envs) < share)
        self.random_start[chosen] = True
        meters[:, VITAL] = np.maximum(meters[:, VITAL], LEAST_VITAL)
        self.town.meters[chosen] = meters[chosen]
        self.town.packed[chosen, PACKED.meters] = meters[chosen].astype(np.float32)
        self.town.packed[chosen, PACKED.hour] = hours[chosen]
        self.town.update_mask()

    def _choose(self, q: F32, step: int) -> tuple[I64, I8]:
        """Actions and modes [N]: greedy, or uniform over the legal actions with each environment's epsilon."""
        mask = self.town.mask
        noise = self.rng.random(mask.shape)
        random_actions = np.where(mask, noise, -1.0).argmax(axis=1)
        if step < self.recipe.train.warmup_steps:
            return random_actions, np.full(self.num_envs, trace.WARMUP, np.int8)
        explore = self.rng.random(self.num_envs) < epsilons(self.recipe.exploration, self.num_envs, step)
        greedy = np.where(mask, q, -np.inf).argmax(axis=1)
        return np.where(explore, random_actions, greedy), np.where(explore, trace.RANDOM, trace.GREEDY).astype(np.int8)

    def step(self, step: int) -> list[tuple[GridworldProgress, Build | None]]:
        """One step of every town at training step ``step``; returns a progress row, and a tail row if watched, of each
        episode that ended."""
        town = self.town
        observations = encode(town.packed, self.level, self.encoding)
        q, hidden_after = answer(self.learner.online, observations, self.hidden)
        if self.curriculum and (step // self.num_envs) % _ENTROPY_EVERY == 0 and step >= self.recipe.train.warmup_steps:
            self.curriculum.record_entropy(policy_entropy(q, town.mask, self.curriculum.options.entropy_temperature))
        actions, modes = self._choose(q, step)
        idle = town.finished.copy()
        self.replay.begin(town.packed, None if self.hidden is None else self.hidden.cpu().numpy())
        now = {"packed": town.packed, "mask": town.mask, "q": q, "actions": actions, "modes": modes}
        at = self.tally.num_steps.copy()
        self.watch.record(at, ~idle, **now)
        town.step(actions)
        rewards = self._rewards(step)
        self.watch.record(at, ~idle, rewards=rewards, completed=town.interacted)
        ended = town.finished & ~idle
        flags = DIED * (town.died & ended) + RETIRED * (town.retired & ended) + DUMMY * idle + FIRST * self.first
        flags += EXPLORED * (modes != trace.GREEDY)
        self.replay.finish(actions, rewards.sum(axis=1), flags.astype(np.uint8))
        self.tally.add(town, rewards, ~idle)
        self.hidden = hidden_after if hidden_after is None else hidden_after.clone()
        told = [self._tell(int(env), step + self.num_envs) for env in np.flatnonzero(ended)]
        self.episode_index += idle
        self.first = idle
        if idle.any():
            self._start(idle)
        return told

    def _rewards(self, step: int) -> F32:
        """The reward of the last step by component [N, C]."""
        if self.novelty is None:
            return self.town.rewards
        bonus = self.novelty.rewards(encode(self.town.packed, self.level, self.encoding), step)
        bonus[self.town.finished] = 0.0
        return np.concatenate((self.town.rewards, bonus[:, None]), axis=1)

    def _tell(self, env: int, step: int) -> tuple[GridworldProgress, Build | None]:
        """The rows of the episode that has just ended in ``env``."""
        town, stage = self.town, int(self.stages[env])
        account = self.tally.account(env, town)
        episode_index = int(self.episode_index[env])
        final = town.packed[env].copy()
        shared: dict[str, Any] = {
            "id": f"{self.level.name}-{env:04d}-{episode_index:06d}",
            "step": step,
            "env_index": env,
            "epsilon": round(float(epsilons(self.recipe.exploration, self.num_envs, step)[env]), 6),
            "stage": stage,
            "multiplier": round(float(final[PACKED.multiplier]), 6),
        }
        if self.curriculum and not self.random_start[env]:  # a random start is harder than the stage
            lived = account["num_steps"] / self.level.cap
            self.curriculum.record_episode(lived=lived, survived=not account["died"], stage=stage)
        brief = {name: account[name] for name in ("num_steps", "died", "cause", "wellbeing")}
        total = round(sum(account["returns"].values()), 6)
        progress = GridworldProgress(**shared, **brief, return_total=total)
        recorded = self.watch.episode(env, account["num_steps"], final)
        if recorded is None:
            return progress, None
        scenario = seeds.derive(seeds.TRAINING, self.recipe.seed, episode_index, env)
        whole = shared | account | {"seed": int(scenario[0]), "episode_index": episode_index}
        return progress, self._tail_row(whole, recorded)

    def _tail_row(self, fields: dict[str, Any], recorded: trace.Recorded) -> Build:
        """A function that builds the tail row: it runs in the writer's thread, so that the training does not wait."""
        level, components, ended = self.level, list(self.components), time.time()

        def build(num_dropped_before: int) -> GridworldEpisode:
            return GridworldEpisode(
                **fields,
                ended_unix_s=ended,
                num_dropped_before=num_dropped_before,
                level=level.name,
                size=level.size,
                window=level.window,
                cap=level.cap,
                grid_places=trace.place_positions(recorded.final, level),
                reward_components=components,
                trace=trace.build_trace(recorded, level),
            )

        return build

    def get_state(self) -> dict[str, Any]:
        """All of it, exact: arrays as tensors, the random generator as text (its numbers exceed 64 bits)."""
        groups = {"town": self.town.get_state(), "tally": self.tally.get_state(), "watch": self.watch.arrays}
        groups["own"] = {name: getattr(self, name) for name in _OWN_ARRAYS}
        state: dict[str, Any] = {k: {n: torch.from_numpy(a) for n, a in group.items()} for k, group in groups.items()}
        state["rng"] = json.dumps(self.rng.bit_generator.state)
        state["hidden"] = self.hidden
        state["curriculum"] = self.curriculum.get_state() if self.curriculum else None
        state["novelty"] = self.novelty.get_state() if self.novelty else None
        return state

    def set_state(self, state: dict[str, Any]) -> None:
        """Continue from what `get_state` returned."""
        for name, tensor in state["own"].items():
            setattr(self, name, tensor.numpy())
        self.town.set_state({name: tensor.numpy() for name, tensor in state["town"].items()})
        self.tally.set_state({name: tensor.numpy() for name, tensor in state["tally"].items()})
        for name, tensor in state["watch"].items():
            self.watch.arrays[name][:] = tensor.numpy()
        self.rng.bit_generator.state = json.loads(state["rng"])
        self.hidden = state["hidden"]
        if self.curriculum:
            self.curriculum.set_state(state["curriculum"])
        if self.novelty:
            self.novelty.set_state(state["novelty"])

"""The training of gridworld: act, store, learn, monitor, checkpoint; resumed it ends in the same bytes.

What it leaves in its folder (`pipeline.train.loop`):

- ``progress.jsonl``      every finished episode, one short row
- ``episodes.jsonl``      the live tail: whole episodes of a few watched environments
- ``monitor.jsonl``       the averaged weights, greedy, on monitoring scenarios; ``selected.checkpoint_v1`` is the one
  with the highest wellbeing there
- ``resume.checkpoint_v1``    everything that is needed to go on, replay memory included
"""

import json
from collections.abc import Mapping
from typing import Any

import msgspec
import numpy as np
import torch

from pipeline.contract.jobs import TrainJob, TrainOutcome
from pipeline.contract.parts import TrainPart
from pipeline.errors import UserError
from pipeline.files import Appender
from pipeline.tasks.gridworld.infer.rollout import Scenarios, play
from pipeline.tasks.gridworld.model.network import SPATIAL_PARTS, parse_network
from pipeline.tasks.gridworld.recipe import GridworldRecipe, RecurrentSpatial
from pipeline.tasks.gridworld.rows import GridworldMonitor, GridworldProgress
from pipeline.tasks.gridworld.town import seeds
from pipeline.tasks.gridworld.town.observe import layout
from pipeline.tasks.gridworld.town.rules import ACTIONS, LEVELS
from pipeline.tasks.gridworld.train.collect import Collector, epsilons
from pipeline.tasks.gridworld.train.learner import Learner, answer
from pipeline.tasks.gridworld.train.replay import Replay
from pipeline.train import trainer
from pipeline.train.loop import run_training
from pipeline.train.tail import Tail
from schemas.brain import BrainSpec

_REPORT_EVERY = 20  # vector steps between two reports of progress
_NUM_RECENT = 200  # episodes that the progress display shows the means of
# Networks that read blocks by name, and the encodings that have these.
_READABLE: dict[str, tuple[str, ...]] = {"places": ("places", "memory"), "recurrent_spatial": ("occupancy",)}


def brain_spec(recipe: GridworldRecipe) -> BrainSpec:
    """The brain spec that a recipe asks for, every default spelled out.

    Raises UserError when network and encoding do not fit.
    """
    encoding, network = recipe.environment.encoding, msgspec.to_builtins(recipe.network)
    readable = _READABLE.get(network["type"], (encoding,))
    if encoding not in readable:
        raise UserError(
            f"a network of type {network['type']} cannot read encoding {encoding!r}",
            where="network.type, environment.encoding",
            remedy=f"use encoding {' or '.join(readable)}, or another type of network",
        )
    blocks = layout(recipe.environment.level, encoding)
    if isinstance(recipe.network, RecurrentSpatial):
        places = {block.name: (block.start, block.stop) for block in blocks}
        cells = "grid" if LEVELS[recipe.environment.level].window is None else "window"
        network |= {"cells": places[cells]} | {name: places[name] for name in SPATIAL_PARTS}
    return BrainSpec(
        task=recipe.task,
        input_size=blocks[-1].stop,
        output_size=len(ACTIONS),
        network=msgspec.to_builtins(parse_network(network)),
    )


class Trainer(trainer.Trainer[Learner]):
    """Adds the replay memory, the towns that are acted in, and what of that is random."""

    recipe: GridworldRecipe
    step_digits = 10
    step = 0  # of the environments, summed over them
    plain_state = ("updates_due", "loss", "recent")

    def __init__(self, job: TrainJob) -> None:
        recipe = job.recipe
        assert isinstance(recipe, GridworldRecipe)
        super().__init__(job, brain_spec(recipe))
        self.level, train = LEVELS[recipe.environment.level], recipe.train
        self.report_every = _REPORT_EVERY * train.num_envs
        num_vector_steps = -(-train.num_steps // train.num_envs)
        num_updates = int((num_vector_steps - train.warmup_steps // train.num_envs) * train.updates_per_step)
        torch.manual_seed(recipe.seed)  # dropout draws from the global generator
        self.learner = Learner(recipe, self.brain, num_updates, job.device)
        self.replay = Replay(recipe.replay, recipe.q_learning, train.num_envs, self.learner.hidden_size)
        self.collector = Collector(recipe, self.learner, self.replay)
        self.sampling = np.random.Generator(np.random.PCG64(recipe.seed + 1))
        self.num_episodes = 0
        self.updates_due = 0.0
        self.loss = 0.0
        self.recent: list[list[float]] = []  # steps and wellbeing of the last episodes

    @property
    def depends_on_length(self) -> bool:
        """Prioritized replay corrects for its priorities more and more towards the end."""
        return super().depends_on_length or self.recipe.replay.type == "prioritized"

    def advance(self, progress: Appender, tail: Tail) -> None:
        """One step of every environment, and the updates that are due."""
        train = self.recipe.train
        for row, build in self.collector.step(self.step):
            self._record(row, progress)
            if build is not None:
                tail.offer(build)
        self.step += train.num_envs
        if self.collector.curriculum:
            self.collector.curriculum.update(self.step)
        if self.step > train.warmup_steps and self.replay.ready:
            self.updates_due += train.updates_per_step
            while self.updates_due >= 1.0:
                self.updates_due -= 1.0
                self._learn()

    def _record(self, row: GridworldProgress, progress: Appender) -> None:
        progress.append(row)
        self.num_episodes += 1
        self.recent = [*self.recent[1 - _NUM_RECENT :], [row.num_steps, row.wellbeing]]

    def _learn(self) -> None:
        replay = self.recipe.replay
        beta = replay.beta + (1.0 - replay.beta) * min(self.step / self.recipe.train.num_steps, 1.0)
        batch = self.replay.sample(self.sampling, self.recipe.train.batch_size, beta)
        loss, errors = self.learner.update(batch)
        self.loss = 0.99 * self.loss + 0.01 * loss if self.learner.update_count > 1 else loss
        self.replay.update_priorities(batch.slots, errors)

    def monitor(self) -> GridworldMonitor:
        """Play the monitoring scenarios with the averaged weights, keep a checkpoint, and say how it did."""
        train, environment = self.recipe.train, self.recipe.environment
        index = np.arange(train.monitor_episodes)
        scenarios = Scenarios(
            level=self.level,
            encoding=environment.encoding,
            seeds=seeds.derive(seeds.MONITORING, 0, index),
            multipliers=np.full(len(index), environment.multiplier),
            streams=seeds.derive(seeds.MONITORING, 1, index),
        )
        episodes = play(
            lambda observations, hidden: answer(self.learner.average, observations, hidden),
            scenarios,
            epsilon=train.monitor_epsilon,
        )
        steps = [episode.account["num_steps"] for episode in episodes]
        wellbeing = float(np.mean([episode.account["wellbeing"] for episode in episodes]))
        return GridworldMonitor(
            id=self.step_name,
            step=self.step,
            checkpoint=self.keep(wellbeing),
            selected_by=round(wellbeing, 6),
            num_episodes=len(episodes),
            num_steps_mean=round(float(np.mean(steps)), 6),
            survival_rate=round(float(np.mean([not episode.account["died"] for episode in episodes])), 6),
            wellbeing_mean=round(wellbeing, 6),
            loss=round(self.loss, 6),
            num_updates=self.learner.update_count,
        )

    def checkpoint(self) -> dict[str, Any]:
        """What is needed to export this moment, or to start another training from it."""
        return super().checkpoint() | self.learner.get_state()

    def checkpoint_facts(self) -> dict[str, Any]:
        """How much was learned from, and how much is left to chance."""
        epsilon = epsilons(self.recipe.exploration, self.recipe.train.num_envs, self.step)
        return {
            "num_episodes": self.num_episodes,
            "num_updates": self.learner.update_count,
            "epsilon": float(epsilon.mean()),
            "stage": self.collector.curriculum.index if self.collector.curriculum else None,
            "multiplier": self.collector.stage.multiplier,
        }

    def get_state(self) -> dict[str, Any]:
        """With the replay memory, the towns, and where the random generators are."""
        replay = self.replay.get_state()
        return super().get_state() | {
            "replay": {k: torch.from_numpy(v) if isinstance(v, np.ndarray) else v for k, v in replay.items()},
            "environment": self.collector.get_state(),
            "rng": {"sampling": json.dumps(self.sampling.bit_generator.state), "torch": torch.get_rng_state()},
        }

    def set_state(self, state: Mapping[str, Any]) -> None:
        """Continue from what `get_state` returned."""
        super().set_state(state)
        self.step, self.num_episodes = state["step"], state["facts"]["num_episodes"]
        replay = {k: v.numpy() if isinstance(v, torch.Tensor) else v for k, v in state["replay"].items()}
        self.replay.set_state(replay)
        self.collector.set_state(state["environment"])
        self.sampling.bit_generator.state = json.loads(state["rng"]["sampling"])
        torch.set_rng_state(state["rng"]["torch"])

    def counts(self) -> dict[str, int]:
        """Episodes and updates."""
        return {"episodes": self.num_episodes, "updates": self.learner.update_count}

    def notes(self) -> dict[str, Any]:
        """What was selected by, and when the curriculum went on or back."""
        notes: dict[str, Any] = {"selected_wellbeing": self.best}
        if self.collector.curriculum:
            notes["stage_changes"] = [list(change) for change in self.collector.curriculum.changes]
        return notes

    def facts(self) -> dict[str, float | str]:
        """What the progress display shows."""
        steps = float(np.mean([s for s, _ in self.recent])) if self.recent else 0.0
        wellbeing = float(np.mean([w for _, w in self.recent])) if self.recent else 0.0
        facts: dict[str, float | str] = {"survived": round(steps, 1), "wellbeing": round(wellbeing, 1)}
        if self.collector.curriculum:
            facts["stage"] = self.collector.curriculum.index
        return facts | {"best": round(self.best, 1) if self.best_checkpoint else "-", "loss": round(self.loss, 5)}


def train(job: TrainJob) -> TrainOutcome:
    """Train by the job's recipe (`run_training`)."""
    return run_training(job, Trainer)


PART = TrainPart(train=train)

"""Worker of the DQN benchmark: Baton's own training, as `baton train` runs it.

python -m benchmarks.peers.dqn_ours SEED NUM_SCENARIOS NUM_STEPS TURN WARMUP ANNEAL
"""

import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path

import msgspec
import torch

from benchmarks.harness.turns import Turns
from benchmarks.peers import dqn_task
from benchmarks.peers.dqn_task import Plan
from pipeline.contract.jobs import TrainJob
from pipeline.tasks.gridworld.model.network import build
from pipeline.tasks.gridworld.recipe import GridworldRecipe
from pipeline.tasks.gridworld.train.learner import answer
from pipeline.tasks.gridworld.train.trainer import train
from pipeline.train.loop import SELECTED
from schemas.brain import BrainSpec

NUM_ENVS = 256
AVERAGE_DECAY = 0.97  # the training makes 800 updates: an average over 1,000 would end far behind
HIGHEST_EPSILON = 0.2


def recipe(plan: Plan, seed: int) -> GridworldRecipe:
    """256 environments and one update of 256 samples a vector step: one sample an environment step."""
    return msgspec.convert(
        {
            "schema": "recipe_v1",
            "task": "gridworld",
            "name": "bench",
            "seed": seed,
            "environment": {"level": dqn_task.LEVEL, "encoding": dqn_task.ENCODING},
            "network": {"type": "feedforward", "hidden": list(dqn_task.HIDDEN), "layer_norm": False},
            "optimizer": {
                "learning_rate": dqn_task.LEARNING_RATE,
                "final_fraction": dqn_task.FINAL_FRACTION,
                "average_decay": AVERAGE_DECAY,
            },
            "q_learning": {
                "gamma": dqn_task.GAMMA,
                "num_step_return": dqn_task.NUM_STEP_RETURN,
                "polyak": dqn_task.POLYAK[NUM_ENVS],
                "double": False,  # as the peer
                "reward_scale": dqn_task.REWARD_SCALE,
            },
            "replay": {"capacity": dqn_task.CAPACITY},
            "exploration": {
                "anneal_steps": plan.anneal,
                "random_starts": dqn_task.RANDOM_STARTS,
                "highest": HIGHEST_EPSILON,
            },
            "train": {
                "num_steps": plan.num_steps,
                "num_envs": NUM_ENVS,
                "batch_size": NUM_ENVS,
                "updates_per_step": 1.0,
                "warmup_steps": plan.warmup,
                "monitor_every": plan.num_steps,
                "monitor_episodes": 1,  # the monitor would also choose the best moment; the peer has no such thing
                "checkpoint_every": 2 * plan.num_steps,
            },
        },
        GridworldRecipe,
    )


def main() -> None:
    """Train, pausing at the end of every turn; then tell the wellbeing of the last weights."""
    seed, num_scenarios, *steps = map(int, sys.argv[1:])
    plan, turns = Plan(*steps), Turns()

    def report(done: int, total: int, facts: Mapping[str, float | str]) -> None:
        if done % plan.turn == 0:
            turns.pause(steps=done)

    with tempfile.TemporaryDirectory() as folder:
        job = TrainJob(recipe=recipe(plan, seed), folder=Path(folder), resume=False, device="cpu", report=report)
        turns.pause(steps=0)
        train(job)
        checkpoint = torch.load(Path(folder) / SELECTED, weights_only=True)
    network = build(msgspec.convert(checkpoint["brain"], BrainSpec))
    network.load_state_dict(checkpoint["average_weights"])
    values = dqn_task.wellbeing(lambda observations, hidden: answer(network, observations, hidden), num_scenarios)
    turns.pause(wellbeing=values.tolist(), network=[list(p.shape) for p in network.parameters()])


if __name__ == "__main__":
    main()

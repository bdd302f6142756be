"""Worker of the DQN benchmark: stable-baselines3, in an environment of its own, over our Gymnasium environment.

    python -m benchmarks.peers.dqn_peer NUM_ENVS BATCH_SIZE SEED NUM_SCENARIOS NUM_STEPS TURN WARMUP ANNEAL

One update of BATCH_SIZE samples every BATCH_SIZE environment steps: one sample an environment step, as on our side.
"""

import sys
from importlib import metadata
from typing import Any

import gymnasium
import numpy as np
import torch
from numpy.typing import NDArray
from stable_baselines3 import DQN
from stable_baselines3.common.vec_env import DummyVecEnv

from benchmarks.harness.turns import Turns
from benchmarks.peers import dqn_task
from benchmarks.peers.dqn_task import Plan
from pipeline.tasks.gridworld.town.gym import TownEnv


def make_environment() -> gymnasium.Env[Any, Any]:
    """The town, with rewards scaled as on our side, where the training scales them."""
    town = TownEnv(dqn_task.LEVEL, dqn_task.ENCODING)
    return gymnasium.wrappers.TransformReward(town, lambda reward: float(reward) * dqn_task.REWARD_SCALE)


def learning_rate(remaining: float) -> float:
    """Linear, from its value to its final fraction; ``remaining`` falls from 1 to 0."""
    return dqn_task.LEARNING_RATE * (dqn_task.FINAL_FRACTION + (1.0 - dqn_task.FINAL_FRACTION) * remaining)


def make_training(num_envs: int, batch_size: int, seed: int, plan: Plan) -> Any:
    """A DQN with all that both sides have; double Q-learning and masks it does not have."""
    environment = DummyVecEnv([make_environment] * num_envs)
    return DQN(
        "MlpPolicy",
        environment,
        learning_rate=learning_rate,
        buffer_size=dqn_task.CAPACITY,
        learning_starts=plan.warmup,
        batch_size=batch_size,
        tau=dqn_task.POLYAK[batch_size],
        gamma=dqn_task.GAMMA,
        train_freq=batch_size // num_envs,
        gradient_steps=1,
        n_steps=dqn_task.NUM_STEP_RETURN,
        target_update_interval=batch_size,
        exploration_fraction=plan.anneal / plan.num_steps,
        max_grad_norm=dqn_task.MAX_GRAD_NORM,
        policy_kwargs={"net_arch": list(dqn_task.HIDDEN)},
        seed=seed,
        device="cpu",
    )


def main() -> None:
    """Train, pausing at the end of every turn; then tell the wellbeing of the last weights."""
    num_envs, batch_size, seed, num_scenarios, *steps = map(int, sys.argv[1:])
    plan, turns = Plan(*steps), Turns()
    torch.set_num_threads(1)
    torch.set_flush_denormal(True)
    training = make_training(num_envs, batch_size, seed, plan)
    versions = {name: metadata.version(name) for name in ("stable-baselines3", "torch", "numpy", "gymnasium")}
    turns.pause(steps=0, versions=versions)

    def after_step(_locals: dict[str, Any], _globals: dict[str, Any]) -> bool:
        if training.num_timesteps % plan.turn == 0:
            turns.pause(steps=training.num_timesteps)
        return True

    training.learn(plan.num_steps, callback=after_step)

    @torch.inference_mode()
    def answer(observations: NDArray[np.float32], _: None) -> tuple[NDArray[np.float32], None]:
        return training.q_net(torch.from_numpy(observations)).numpy(), None

    values = dqn_task.wellbeing(answer, num_scenarios)
    turns.pause(wellbeing=values.tolist(), network=[list(p.shape) for p in training.q_net.parameters()])


if __name__ == "__main__":
    main()

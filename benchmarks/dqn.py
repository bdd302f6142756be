"""Steps a second of a DQN training and what it has learnt, against stable-baselines3 over the same environment."""

import sys
from collections.abc import Iterator, Mapping
from contextlib import ExitStack
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from benchmarks.harness import Claim, Report, Samples, at_least, quotients
from benchmarks.harness.turns import Worker
from benchmarks.peers.dqn_task import HIDDEN, LEVEL, POLYAK, RANDOM_STARTS, Plan
from benchmarks.training import ROOT
from pipeline.errors import UserError
from pipeline.stats import bootstrap, mean

_PEER_PYTHON = ROOT / ".venv-bench/bin/python"
OURS, SINGLE, BATCHED = "Baton, 256 towns", "stable-baselines3, 1 town", "stable-baselines3, 256 towns"
PEERS = {SINGLE: ("1", "32"), BATCHED: ("256", "256")}


@dataclass
class _Shown:
    """Steps a second in each turn, and the wellbeing by seed and scenario [K, N]."""

    rates: list[float] = field(default_factory=list)
    wellbeing: list[list[float]] = field(default_factory=list)


def run(quick: bool) -> Report:
    """One training a seed on each side, turn by turn; the turn before learning begins is not counted."""
    if not _PEER_PYTHON.exists():
        raise UserError("stable-baselines3 is not installed", where=str(_PEER_PYTHON), remedy="make bench installs it")
    seeds: tuple[int, ...] = (1, 2, 3)
    plan, num_scenarios = Plan(204_800, 20_480, 20_000, 50_000), 200
    if quick:
        plan, seeds, num_scenarios = Plan(15_360, 5_120, 5_000, 10_000), (1,), 10
    shown = {name: _Shown() for name in (OURS, *PEERS)}
    versions = ""
    for seed in seeds:
        versions = _train_all(plan, seed, num_scenarios, shown)
    return Report(
        title="training",
        method=(
            f"Level {LEVEL}, perceptron of {HIDDEN[0]} and {HIDDEN[1]} units, one replayed sample an environment step, "
            f"{plan.num_steps:,} steps, seeds {', '.join(map(str, seeds))}; same learning rate, discount, n-step "
            "return, clipping and memory; one thread each. stable-baselines3 once with one town and updates of 32 "
            "samples (its default), once with our 256 towns and updates of 256. The target network moves "
            f"by {POLYAK[32]} at an update of 32 samples and by {POLYAK[256]} at one of 256. Ours explores in its own "
            f"way: {RANDOM_STARTS:.0%} of its episodes begin with random meters at a random hour. Trainings take turns "
            f"of {plan.turn:,} steps. Ours writes its progress and its tail, as always."
        ),
        samples=[Samples(name, "steps/s", tuple(one.rates)) for name, one in shown.items()]
        + [
            Samples(f"{name}: wellbeing by seed", "points", tuple(float(np.mean(seed)) for seed in one.wellbeing))
            for name, one in shown.items()
        ],
        claims=list(_claims(shown)),
        notes=(
            f"Greedy episodes in {num_scenarios} scenarios that no training has, with illegal actions masked on both "
            "sides (stable-baselines3 by itself has no masks). Brackets of a difference: 95 % interval over scenarios.",
            f"The peer's environment: {versions}.",
        ),
    )


def _train_all(plan: Plan, seed: int, num_scenarios: int, shown: Mapping[str, _Shown]) -> str:
    """Train every side with one seed; returns the versions of the peer."""
    common = [str(seed), str(num_scenarios), *plan.arguments]
    commands = {OURS: [sys.executable, "-m", "benchmarks.peers.dqn_ours", *common]}
    for name, shape in PEERS.items():
        commands[name] = [str(_PEER_PYTHON), "-m", "benchmarks.peers.dqn_peer", *shape, *common]
    with ExitStack() as stack:
        workers = {name: stack.enter_context(Worker(command, ROOT)) for name, command in commands.items()}
        for number in range(plan.num_steps // plan.turn):
            for name, worker in workers.items():
                told = worker.turn()
                assert told["steps"] == (number + 1) * plan.turn
                if number * plan.turn >= plan.warmup:
                    shown[name].rates.append(plan.turn / told["seconds"])
        last: dict[str, Any] = {name: worker.turn() for name, worker in workers.items()}
        assert len({str(told["network"]) for told in last.values()}) == 1, "the networks differ"
        for name, told in last.items():
            shown[name].wellbeing.append(told["wellbeing"])
        return ", ".join(f"{name} {version}" for name, version in workers[SINGLE].hello["versions"].items())


def _claims(shown: Mapping[str, _Shown]) -> Iterator[Claim]:
    for name in PEERS:
        ratio = quotients(shown[OURS].rates, shown[name].rates)
        yield at_least(f"steps a second against {name}", ratio, 10.0)
    for name in PEERS:
        ours, theirs = (np.mean(shown[side].wellbeing, axis=0) for side in (OURS, name))
        difference = bootstrap(ours - theirs, mean, np.random.default_rng(0))
        what = f"wellbeing {ours.mean():.0f} against {theirs.mean():.0f} of {name}"
        yield Claim(what, difference.value, difference.low, difference.high, "points", ">= 0", difference.value >= 0)

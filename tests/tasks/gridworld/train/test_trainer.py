"""The training: the same seed gives the same bytes, interrupted and resumed or not; it learns; it tells the truth."""

import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from pipeline.errors import UserError
from pipeline.files import read_all
from pipeline.tasks.gridworld.recipe import Exploration
from pipeline.tasks.gridworld.rows import GridworldEpisode, GridworldMonitor, GridworldProgress
from pipeline.tasks.gridworld.town import rules
from pipeline.tasks.gridworld.train.collect import epsilons
from pipeline.train.checkpoint import load_checkpoint
from pipeline.train.loop import SELECTED
from pipeline.train.trainer import RESUME
from tests.support.trainings import results_of, train_in

SMALL: dict[str, Any] = {
    "schema": "recipe_v1",
    "task": "gridworld",
    "name": "small",
    "seed": 3,
    "network": {"type": "dueling", "hidden": [16], "stream": [8]},
    "replay": {"capacity": 2048},
    "exploration": {"anneal_steps": 500, "random_starts": 0.5},
    "train": {
        "num_steps": 3200,
        "num_envs": 16,
        "batch_size": 16,
        "warmup_steps": 320,
        "monitor_every": 1600,
        "monitor_episodes": 4,
        "checkpoint_every": 800,
    },
}
EVERYTHING_ELSE = SMALL | {
    "environment": {"level": "partial", "encoding": "places", "shaping": 0.5},
    "network": {"type": "places", "place": [8], "mixed_size": 8, "memory": {"hidden_size": 2}, "dropout": 0.1},
    "replay": {"type": "prioritized", "capacity": 2048, "burn_in": 2, "sequence": 8},
    "q_learning": {"target_every": 10, "double": False, "loss": "mse"},
    "novelty": {"anneal_steps": 3000},
    "train": SMALL["train"] | {"batch_size": 32},
    "curriculum": {"min_episodes": 5, "window_episodes": 5, "max_entropy": 1.0, "retreat_survival": 0.0},
}
RECURRENT = SMALL | {
    "environment": {"level": "temporal", "encoding": "window"},
    "network": {"type": "recurrent", "encoder": [8], "cell": "lstm", "hidden_size": 8, "head": [8]},
}
SPATIAL = SMALL | {
    "environment": {"level": "partial", "encoding": "occupancy"},
    "network": {"type": "recurrent_spatial", "channels": [2, 3], "vision_size": 8, "part_size": 4, "hidden_size": 8},
}


@pytest.mark.parametrize(
    "recipe",
    [SMALL, EVERYTHING_ELSE, RECURRENT, SPATIAL],
    ids=["plain", "everything else", "recurrent", "recurrent spatial"],
)
def test_the_same_seed_gives_the_same_bytes_stopped_and_resumed_or_not(tmp_path: Path, recipe: dict[str, Any]) -> None:
    train_in(tmp_path / "whole", recipe)
    for stop_after in (30, 90):
        with pytest.raises(KeyboardInterrupt):
            train_in(tmp_path / "stopped", recipe, stop_after=stop_after, resume=True)
    train_in(tmp_path / "stopped", recipe, resume=True)
    whole, stopped = results_of(tmp_path / "whole"), results_of(tmp_path / "stopped")
    assert whole.keys() == stopped.keys() and SELECTED in whole and len(whole["progress.jsonl"]) > 100
    assert [name for name in whole if whole[name] != stopped[name]] == []


@pytest.mark.parametrize(("random_starts", "num_changes"), [(0.0, 1), (1.0, 0)])
def test_the_curriculum_judges_episodes_that_began_as_the_stage_does(
    tmp_path: Path, random_starts: float, num_changes: int
) -> None:
    easy_then_hard = {
        "stages": [{"multiplier": 0.0}, {"multiplier": 1.0}],
        "min_episodes": 5,
        "window_episodes": 5,
        "max_entropy": 1.0,
        "advance_survival": 0.0,
        "saturated_survival": 0.0,
    }
    one_life = SMALL["train"] | {"num_steps": 16 * 510, "updates_per_step": 0.0}
    exploration = {"random_starts": random_starts}
    recipe = SMALL | {"curriculum": easy_then_hard, "train": one_life, "exploration": exploration}
    assert len(train_in(tmp_path, recipe).notes["stage_changes"]) == num_changes


def test_what_a_checkpoint_counts_on_is_on_the_disk_before_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A power cut loses what was not synced: never a file's end without the checkpoint that remembers it."""
    written: list[str] = []
    sync, replace = os.fsync, os.replace

    def synced(descriptor: int) -> None:
        written.append(Path(os.readlink(f"/proc/self/fd/{descriptor}")).name)
        sync(descriptor)

    def replaced(source: Path, target: Path) -> None:
        written.append(target.name)
        replace(source, target)

    monkeypatch.setattr(os, "fsync", synced)
    monkeypatch.setattr(os, "replace", replaced)
    train_in(tmp_path, SMALL)
    saves = [number for number, name in enumerate(written) if name == RESUME]
    assert len(saves) == 4
    for start, end in zip([0, *saves], saves, strict=False):
        assert {"progress.jsonl", "monitor.jsonl", "episodes.jsonl"} <= {*written[start:end]}


def test_a_training_started_from_another_resumes_to_the_same_bytes_and_keeps_what_is_frozen(tmp_path: Path) -> None:
    train_in(tmp_path / "first", SMALL)
    first = load_checkpoint(tmp_path / "first" / SELECTED)["average_weights"]
    recipe = SMALL | {"seed": 5, "train": SMALL["train"] | {"start_from": "first", "frozen": ["trunk"]}}
    whole = train_in(tmp_path / "whole", recipe, start=first)
    with pytest.raises(KeyboardInterrupt):
        train_in(tmp_path / "stopped", recipe, stop_after=90, resume=True, start=first)
    stopped = train_in(tmp_path / "stopped", recipe, resume=True, start=first)
    assert results_of(tmp_path / "whole") == results_of(tmp_path / "stopped")
    assert stopped.notes["started_from"] == whole.notes["started_from"]
    state = load_checkpoint(tmp_path / "whole" / RESUME)
    for kind in ("weights", "average_weights", "target_weights"):
        same = {name for name, weight in state[kind].items() if torch.equal(weight, first[name])}
        assert same == {name for name in first if name.startswith("trunk.")}, kind


@pytest.fixture(scope="module")
def watched(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What a training left of which half of the towns were watched."""
    folder = tmp_path_factory.mktemp("watched")
    options = SMALL["train"] | {"num_steps": 6400, "num_watched": 8}
    outcome = train_in(folder, SMALL | {"exploration": {"anneal_steps": 500}, "train": options})
    assert outcome.counts["episodes"] == len(read_all(folder / "progress.jsonl", GridworldProgress))
    return folder


def test_progress_has_every_episode_and_the_tail_tells_the_same_of_those_it_has(watched: Path) -> None:
    progress = {row.id: row for row in read_all(watched / "progress.jsonl", GridworldProgress)}
    episodes = read_all(watched / "episodes.jsonl", GridworldEpisode)
    assert len(progress) > len(episodes) > 5
    for row in episodes:
        for name in ("num_steps", "died", "cause", "wellbeing"):
            assert getattr(row, name) == getattr(progress[row.id], name)
        assert len(row.trace) == row.num_steps


def test_every_recorded_step_is_of_the_moment_before_its_action(watched: Path) -> None:
    for row in read_all(watched / "episodes.jsonl", GridworldEpisode):
        first = row.trace[0]
        assert first.meters == list(rules.INITIAL_METERS) and first.hour == rules.START_HOUR
        for step, after in zip(row.trace, row.trace[1:], strict=False):
            assert step.mask[step.action]
            moves = {rules.UP: (0, -1), rules.DOWN: (0, 1), rules.LEFT: (-1, 0), rules.RIGHT: (1, 0)}
            dx, dy = moves.get(step.action, (0, 0))
            assert after.position == (step.position[0] + dx, step.position[1] + dy)
            assert step.rewards[0] == pytest.approx(after.meters[rules.ENERGY] * after.meters[rules.HEALTH], abs=2e-4)
            if step.mode == "greedy":
                legal = [q for q, legal in zip(step.q or [], step.mask, strict=True) if legal]
                assert (step.q or [])[step.action] == max(legal)
        assert sum(step.rewards[0] for step in row.trace) == pytest.approx(row.wellbeing, abs=0.05)


def test_the_selected_checkpoint_is_the_best_monitored_one(watched: Path) -> None:
    best = max(read_all(watched / "monitor.jsonl", GridworldMonitor), key=lambda row: row.selected_by)
    assert (watched / SELECTED).read_bytes() == (watched / best.checkpoint).read_bytes()
    checkpoint = torch.load(watched / SELECTED, weights_only=True)
    assert checkpoint["format"] == "checkpoint_v1" and checkpoint["step"] == best.step


def test_it_learns_to_live_longer_than_chance(tmp_path: Path) -> None:
    """Minimal level, 1,800 updates: waiting lives 191 steps there."""
    recipe = SMALL | {
        "environment": {"level": "minimal"},
        "network": {"type": "dueling", "hidden": [64], "stream": [32]},
        "replay": {"capacity": 40_000},
        "exploration": {"anneal_steps": 8_000},
        "optimizer": {"average_decay": 0.98},
        "train": {
            "num_steps": 120_000,
            "num_envs": 64,
            "batch_size": 128,
            "warmup_steps": 2_000,
            "monitor_every": 120_000,
            "monitor_episodes": 20,
        },
    }
    train_in(tmp_path, recipe)
    monitor = read_all(tmp_path / "monitor.jsonl", GridworldMonitor)[-1]
    assert monitor.num_steps_mean > 250


def test_epsilons_begin_at_one_and_end_in_a_geometric_spread() -> None:
    options = Exploration(highest=0.4, lowest=0.1, anneal_steps=100)
    assert epsilons(options, 3, 0).tolist() == [1, 1, 1]
    assert epsilons(options, 3, 100) == pytest.approx(np.array([0.4, 0.2, 0.1]))
    assert epsilons(options, 3, 50) == pytest.approx(np.array([0.7, 0.6, 0.55]))


@pytest.mark.parametrize("kind", ["adam", "adamw", "rmsprop", "sgd"])
def test_every_optimizer_trains(tmp_path: Path, kind: str) -> None:
    train_options = SMALL["train"] | {"num_steps": 800, "monitor_every": 800}
    train_in(tmp_path, SMALL | {"optimizer": {"type": kind, "weight_decay": 0.01}, "train": train_options})
    weights = torch.load(tmp_path / SELECTED, weights_only=True)["weights"]
    assert all(torch.isfinite(tensor).all() for tensor in weights.values())


def test_a_network_over_places_refuses_an_encoding_without_a_block_per_place(tmp_path: Path) -> None:
    recipe = SMALL | {"environment": {"level": "full", "encoding": "grid"}, "network": {"type": "places"}}
    with pytest.raises(UserError, match="cannot read encoding 'grid'"):
        train_in(tmp_path, recipe)

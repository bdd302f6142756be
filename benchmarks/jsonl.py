"""Decoding a file of rows to keep them all, against the loop that everyone writes: one orjson call a line."""

import gc
import tempfile
from collections.abc import Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import orjson

from benchmarks.harness import Measure, Report, Samples, at_least, quotients, take_turns, timed
from pipeline.files import read_all, write_all
from pipeline.tasks.gridworld.infer.rollout import Scenarios, play
from pipeline.tasks.gridworld.rows import GridworldPrediction, GridworldProgress
from pipeline.tasks.gridworld.town import seeds
from pipeline.tasks.gridworld.town.rules import LEVELS, REWARDS

_NUM_EPISODES = 1024  # different ones; a file repeats them under new ids
_BASE: dict[str, Any] = {"level": "full", "multiplier": 1.0, "epsilon": 0.0}


def run(quick: bool) -> Report:
    """Predictions (without traces) and progress rows, as dicts and as typed rows."""
    rounds, num_bytes = (2, 2_000_000) if quick else (7, 52_000_000)
    samples, claims = [], []
    with tempfile.TemporaryDirectory() as folder:
        for name, rows in (("predictions", _predictions()), ("progress", _progress())):
            path = Path(folder) / f"{name}.jsonl"
            _write(path, rows, num_bytes)
            megabytes = path.stat().st_size / 1e6
            times = take_turns(
                {
                    "dicts": _clean(timed(partial(read_all, path, dict))),
                    "typed": _clean(timed(partial(read_all, path, type(rows[0])))),
                    "orjson": _clean(timed(partial(_plain_loop, path))),
                },
                rounds,
            )
            samples += [
                Samples(f"{name} ({megabytes:.0f} MB), {label}", "MB/s", tuple(megabytes / s for s in seconds))
                for label, seconds in times.items()
            ]
            claims += [
                at_least(f"{name}: {label} against the orjson loop", quotients(times["orjson"], times[label]), 4.0)
                for label in ("dicts", "typed")
            ]
    return Report(
        title="decode and keep all rows",
        method=(
            "`pipeline.files.read_all` into dicts and into typed, validated rows, against "
            "`[orjson.loads(line) for line in file]` written as a loop with the garbage collector on, as it is by "
            "default. All rows are kept until the clock has stopped. The file is in the page cache."
        ),
        samples=samples,
        claims=claims,
        notes=(
            "A row of progress holds no list and no dict: the collector does not follow it, so that the plain loop "
            "loses nothing to the collector there.",
        ),
    )


def _plain_loop(path: Path) -> list[Any]:
    rows = []
    with path.open("rb") as file:
        for line in file:
            rows.append(orjson.loads(line))  # noqa: PERF401  the loop is what is measured
    return rows


def _clean(measure: Measure) -> Measure:
    """Collect what the candidate before left behind, so that nobody pays for it."""

    def collected() -> float:
        gc.collect()
        return measure()

    return collected


def _write(path: Path, rows: Sequence[Any], num_bytes: int) -> None:
    """Repeat ``rows`` under new ids until the file has ``num_bytes``."""
    average = sum(len(msgspec.json.encode(row)) + 1 for row in rows) / len(rows)

    def renamed() -> Iterator[Any]:
        for number in range(int(num_bytes / average) + 1):
            yield msgspec.structs.replace(rows[number % len(rows)], id=f"full-{number:07d}")

    write_all(path, renamed())


def _predictions() -> list[GridworldPrediction]:
    """Rows of real episodes, of a policy that acts at random."""
    index = np.arange(_NUM_EPISODES)
    level = LEVELS["full"]
    scenarios = Scenarios(
        level=level,
        encoding="places",
        seeds=seeds.derive(seeds.EXAMPLES, 0, index),
        multipliers=np.ones(len(index)),
        streams=seeds.derive(seeds.EXAMPLES, 1, index),
    )
    generator = np.random.default_rng(0)
    episodes = play(lambda observations, _: (generator.random((len(observations), 8), np.float32), None), scenarios)
    return [
        GridworldPrediction(
            id="",
            model="0123456789abcdef",
            seed=int(seed),
            **_BASE,
            **episode.account,
            size=level.size,
            window=level.window,
            cap=level.cap,
            stage=None,
            grid_places=episode.grid_places,
            reward_components=list(REWARDS),
            trace=None,
        )
        for seed, episode in zip(scenarios.seeds, episodes, strict=True)
    ]


def _progress() -> list[GridworldProgress]:
    return [
        GridworldProgress(
            id="",
            step=1_000_000 + number,
            env_index=number % 256,
            num_steps=row.num_steps,
            died=row.died,
            cause=row.cause,
            wellbeing=row.wellbeing,
            return_total=round(sum(row.returns.values()), 6),
            epsilon=0.05,
            stage=0,
            multiplier=row.multiplier,
        )
        for number, row in enumerate(_predictions())
    ]

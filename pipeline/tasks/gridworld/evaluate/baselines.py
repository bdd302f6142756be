"""The scripted policies, played on the very scenarios that a model was asked: on all processors, and once.

What they do depends on the scenarios and on the code of this task alone, so it is kept between runs
(`pipeline.files.cache`), in blocks of records: other models on the same examples, and `visualize`, find it there.
"""

import hashlib
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import cache as once
from functools import partial
from pathlib import Path

import msgspec
import numpy as np
import zstandard
from numpy.typing import NDArray

from pipeline.files import cache, encode
from pipeline.processors import Processes
from pipeline.stats import Floats
from pipeline.tasks.gridworld.evaluate.glossary import MEASURES, measure
from pipeline.tasks.gridworld.rows import GridworldPrediction, GridworldScore
from pipeline.tasks.gridworld.town.policies import POLICIES, play

BAR = "tuned_script"
BASELINES = tuple(POLICIES)
NUM_TOGETHER = 4096  # records of a block: played in 0.43 ms a record; with 1,024 in 0.49
_LINE_START = b'{"task":"gridworld","id":"'

Block = list[GridworldPrediction]


@dataclass(frozen=True)
class Scenarios:
    """N scenarios: ``levels[n]``, seeds uint64 [N], multipliers of the decay float64 [N]."""

    levels: Sequence[str]
    seeds: NDArray[np.uint64]
    multipliers: NDArray[np.float64]


class Played(msgspec.Struct, frozen=True):
    """What one policy did in N scenarios: ``values`` are float64 [M, N], one row for each of `MEASURES`, as bytes;
    ``lines[n]`` is the score row behind its id, with what ends the id left out."""

    values: bytes
    lines: list[bytes]

    def measured(self) -> Floats:
        """The values, [M, N]."""
        return np.frombuffer(self.values).reshape(len(MEASURES), -1)

    def line(self, n: int, id: str, policy: str) -> bytes:
        """The score row of scenario n, for the record ``id``."""
        return b"%b%b/%b%b" % (_LINE_START, msgspec.json.encode(id)[1:-1], policy.encode(), self.lines[n])


AllPlayed = dict[str, Played]  # by policy, in the order of BASELINES


def play_baseline(policy: str, predictions: Sequence[GridworldPrediction]) -> list[GridworldScore]:
    """What the policy does in the scenario (level, seed, multiplier) of every prediction, in their order.

    Raises UserError for a level that does not exist.
    """
    scores = _play(policy, scenarios_of(predictions))
    return [
        msgspec.structs.replace(score, id=f"{prediction.id}/{policy}")
        for score, prediction in zip(scores, predictions, strict=True)
    ]


def scenarios_of(predictions: Sequence[GridworldPrediction]) -> Scenarios:
    """What was asked."""
    return Scenarios(
        levels=[p.level for p in predictions],
        seeds=np.array([p.seed for p in predictions], dtype=np.uint64),
        multipliers=np.array([p.multiplier for p in predictions], dtype=np.float64),
    )


def with_baselines(blocks: Iterable[Block]) -> Iterator[tuple[Block, AllPlayed]]:
    """Each block with what all policies do in its scenarios, in order. Raises UserError as `play_baseline`.

    Nothing is played beside errors alone. A short block is played here, which takes less than starting processes.
    """
    with Processes() as processes:
        waiting: deque[tuple[Block, Callable[[], AllPlayed]]] = deque()
        for block in blocks:
            waiting.append((block, _begin(block, processes)))
            if len(waiting) > 2 * processes.num_workers:
                ready, played = waiting.popleft()
                yield ready, played()
        for ready, played in waiting:
            yield ready, played()


def _begin(block: Block, processes: Processes) -> Callable[[], AllPlayed]:
    if all(p.error is not None for p in block):
        return dict
    scenarios = scenarios_of(block)
    key = _key(scenarios)
    kept = cache.load(key)
    if kept is not None:
        return lambda: _decode(kept)
    play_here = partial(_play_all, scenarios)
    played = play_here if len(block) < NUM_TOGETHER else processes.begin(play_here)

    def result() -> AllPlayed:
        data = played()
        cache.keep(key, data)
        return _decode(data)

    return result


def _decode(data: bytes) -> AllPlayed:
    return msgspec.msgpack.decode(zstandard.decompress(data), type=AllPlayed)


def _play_all(scenarios: Scenarios) -> bytes:
    """What all policies do in the scenarios, as it is kept."""
    played = {policy: _told(_play(policy, scenarios)) for policy in BASELINES}
    return zstandard.compress(msgspec.msgpack.encode(played), level=1)


def _told(scores: list[GridworldScore]) -> Played:
    values = np.stack(list(measure(scores).values()))
    return Played(values=values.tobytes(), lines=[encode(score)[len(_LINE_START) :] for score in scores])


def _key(scenarios: Scenarios) -> str:
    asked = msgspec.json.encode([_code(), scenarios.levels])
    digest = hashlib.sha256(asked + scenarios.seeds.tobytes() + scenarios.multipliers.tobytes())
    return f"gridworld-baselines-{digest.hexdigest()}"


@once
def _code() -> str:
    """A hash of all code of this task: any change of it may change what a policy does, or how that is told."""
    digest = hashlib.sha256()
    for path in sorted(Path(__file__).parents[1].rglob("*.py")):
        digest.update(path.read_bytes())
    return digest.hexdigest()


def _play(policy: str, scenarios: Scenarios) -> list[GridworldScore]:
    """One score a scenario, without an id."""
    scores: dict[int, GridworldScore] = {}
    for level in {*scenarios.levels}:
        members = [index for index, one in enumerate(scenarios.levels) if one == level]
        town, tally = play(policy, level, scenarios.seeds[members], scenarios.multipliers[members])
        for row, index in enumerate(members):
            account = tally.account(row, town)
            scores[index] = GridworldScore(
                id="",
                subject=policy,
                level=level,
                seed=int(scenarios.seeds[index]),
                multiplier=float(scenarios.multipliers[index]),
                num_place_kinds=len(account["place_uses"]),
                **account,
            )
    return [scores[index] for index in sorted(scores)]

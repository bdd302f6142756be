"""A model and scenarios to predictions: one greedy episode a scenario, whatever the batch it is played in.

A row is a function of the model, its scenario and the decoding options: the model answers each observation the same
whatever stands beside it (see `model`), the town follows from its seed, and random actions from the scenario's stream.
"""

import hashlib
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, cast

import numpy as np
import torch
from msgspec import UNSET

from pipeline.contract.jobs import InferJob
from pipeline.contract.parts import InferPart
from pipeline.errors import UserError
from pipeline.tasks.gridworld.infer.rollout import Answer, Episode, Scenarios, play, play_traced
from pipeline.tasks.gridworld.model.ensemble import GridworldEnsemble
from pipeline.tasks.gridworld.model.model import GridworldModel
from pipeline.tasks.gridworld.recipe import Infer
from pipeline.tasks.gridworld.rows import GridworldExample, GridworldPrediction
from pipeline.tasks.gridworld.town.arrays import F32
from pipeline.tasks.gridworld.town.observe import Encoding, observation_size
from pipeline.tasks.gridworld.town.rules import REWARDS, find_level
from pipeline.tasks.gridworld.town.trace import build_trace
from schemas.brain import BrainSpec

Answering = GridworldModel | GridworldEnsemble
_HIDDEN_DIGITS = 3  # enough for the picture of the hidden state


def wrap(module: torch.nn.Module, brain: BrainSpec, metadata: Mapping[str, Any], weights_hash: str) -> GridworldModel:
    """The model behind ``load_model(path)``."""
    return GridworldModel(module, brain, metadata, weights_hash)


def _stream(example: GridworldExample, seed: int) -> int:
    """The scenario's own random stream: a hash of the decoding seed and the record's id."""
    digest = hashlib.sha256(f"{seed}/{example.id}".encode()).digest()
    return int.from_bytes(digest[:8], "little")


def _encoding(model: Answering) -> Encoding:
    """How the model sees. Raises UserError if its file does not say, as when an old checkpoint did not either."""
    encoding: Encoding | None = model.metadata["input"].get("encoding")
    if encoding is None:
        raise UserError(
            "the model file does not say how its observations are encoded",
            remedy="export its checkpoint again with --trained-in level=... --trained-in encoding=...",
        )
    return encoding


def _scenarios(examples: Sequence[GridworldExample], encoding: Encoding, brain: BrainSpec, seed: int) -> Scenarios:
    """Examples of one level as scenarios. Raises UserError if the model cannot see that level."""
    level = find_level(examples[0].level)
    if observation_size(level, encoding) != brain.input_size:
        raise UserError(
            f"the model takes {brain.input_size} numbers, but level {level.name!r} shows "
            f"{observation_size(level, encoding)} in encoding {encoding!r}",
            where=f"record {examples[0].id}",
            remedy="use examples of the level that the model was trained on",
        )
    return Scenarios(
        level=level,
        encoding=encoding,
        seeds=np.array([example.seed for example in examples], np.uint64),
        multipliers=np.array([example.multiplier for example in examples]),
        streams=np.array([_stream(example, seed) for example in examples], np.uint64),
    )


def _row(example: GridworldExample, episode: Episode, model: Answering, options: Infer) -> GridworldPrediction:
    level = find_level(example.level)
    recorded, hidden = episode.recorded, episode.hidden
    return GridworldPrediction(
        id=example.id,
        model=model.weights_hash[:16],
        level=example.level,
        seed=example.seed,
        multiplier=example.multiplier,
        **episode.account,
        epsilon=options.epsilon,
        size=level.size,
        window=level.window,
        cap=level.cap,
        stage=model.metadata.get("stage"),
        grid_places=episode.grid_places,
        reward_components=list(REWARDS),
        trace=None if recorded is None else build_trace(recorded, level),
        uncertainty=UNSET if episode.uncertainty is None else round(episode.uncertainty, 6),
        hidden=None if hidden is None else np.round(hidden.astype(np.float64), _HIDDEN_DIGITS).tolist(),
    )


def _answer(model: Answering, *, forget: bool) -> Answer:
    """What the model, or each of several, says of the rows before it."""

    def answer(observations: F32, hidden: Any) -> tuple[F32, Any]:
        hidden = None if forget else hidden
        if isinstance(model, GridworldEnsemble):
            return model.predict(observations, hidden)
        decision = model.predict(observations, hidden=hidden)
        return decision.q_values, decision.hidden

    return answer


def predict(job: InferJob) -> Iterator[GridworldPrediction]:
    """One row for each of ``job.examples[job.first_index:]``, in their order."""
    model, options = cast(Answering, job.model), cast(Infer, job.options)
    encoding, answer = _encoding(model), _answer(model, forget=options.forget)
    combine = model.combine if isinstance(model, GridworldEnsemble) else None

    start, total = job.first_index, len(job.examples)
    while start < total:
        level = job.examples[start].level
        stop = start
        while stop < total and stop - start < options.batch_size and job.examples[stop].level == level:
            stop += 1
        batch = job.examples[start:stop]
        scenarios = _scenarios(batch, encoding, model.brain, options.seed)
        num_traces = min(max(options.num_traces - start, 0), len(batch))
        playing = play_traced if options.num_traces else play
        episodes = playing(answer, scenarios, epsilon=options.epsilon, num_traces=num_traces, combine=combine)
        for example, episode in zip(batch, episodes, strict=True):
            yield _row(example, episode, model, options)
        start = stop
        job.report(stop, total, {})


def remarks(rows: Iterable[GridworldPrediction], recipe: Any, metadata: Mapping[str, Any]) -> list[str]:
    """What to know of records in other levels than the model was trained in."""
    trained = ((metadata.get("recipe") or {}).get("environment") or {}).get("level")
    levels = Counter(row.level for row in rows)
    others = {level: count for level, count in sorted(levels.items()) if trained not in (None, level)}
    if not others:
        return []
    told = " and ".join(f"{count:,} of level {level!r}" for level, count in others.items())
    return [f"the model was trained in level {trained!r}, and asked in {told}"]


PART = InferPart(predict=predict, wrap=wrap, remarks=remarks, ensemble=GridworldEnsemble)

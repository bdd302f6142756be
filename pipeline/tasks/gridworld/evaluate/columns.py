"""Predictions as columns, read a block of records at a time: what all metrics are computed from."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Any

import numpy as np
from msgspec import UNSET
from numpy.typing import NDArray

from pipeline.errors import UserError
from pipeline.stats import Floats
from pipeline.tasks.gridworld.evaluate.baselines import BASELINES, NUM_TOGETHER, AllPlayed, Block, with_baselines
from pipeline.tasks.gridworld.evaluate.glossary import COMPONENTS, MEASURES, UNCERTAINTY, measure
from pipeline.tasks.gridworld.rows import GridworldPrediction
from pipeline.tasks.gridworld.town.rules import LEVELS, REWARDS, find_level

MODEL = "model"
EXTRA = tuple(name for name in COMPONENTS if name not in REWARDS)  # that the town itself does not pay
NO_STAGE = np.iinfo(np.int64).min
Column = NDArray[Any]


@dataclass(frozen=True)
class Columns:
    """N records, of which S are scored, for they have no error.

    ``by_record[name]`` [N] are "id" (int64, a hash), "level" (index in `LEVELS`), "multiplier", "stage" (`NO_STAGE`
    without one) and "scored". ``values[subject, measure]`` [S] are those of the scored ones, in the smallest type that
    holds them; ``values[MODEL, component]`` says for each of `EXTRA` which of them were paid it. ``models`` are named
    by the rows.
    """

    by_record: Mapping[str, Column]
    values: Mapping[tuple[str, str], Column]
    models: Sequence[str]


def in_blocks(predictions: Iterable[GridworldPrediction]) -> Iterator[Block]:
    """Runs of `NUM_TOGETHER` records, the last one shorter."""
    rows = iter(predictions)
    while block := list(islice(rows, NUM_TOGETHER)):
        yield block


def read_columns(predictions: Sequence[GridworldPrediction]) -> Columns:
    """The columns of all predictions, with those of the scripted policies in the same scenarios.

    Raises UserError when there are none, and for a row that says what no measure would count.
    """
    by_record: list[dict[str, Column]] = []
    values: list[dict[tuple[str, str], Column]] = []
    models: set[str] = set()
    for block, played in with_baselines(in_blocks(predictions)):
        by_record.append(_by_record(block))
        values.append(dict(_values(block, played)))
        models.update(p.model for p in block)
    if not values:
        raise UserError("there are no predictions to evaluate", remedy="run `baton infer` first")
    everywhere = [key for key in values[0] if all(key in part for part in values)]
    return Columns(
        by_record={name: np.concatenate([part[name] for part in by_record]) for name in by_record[0]},
        values={key: np.concatenate([part.pop(key) for part in values]) for key in everywhere},
        models=sorted(models),
    )


def _by_record(block: Block) -> dict[str, Column]:
    levels = list(LEVELS)
    return {
        "id": np.array([hash(p.id) for p in block]),
        "level": np.array([levels.index(find_level(p.level).name) for p in block], dtype=np.int8),
        "multiplier": np.array([p.multiplier for p in block], dtype=np.float64),
        "stage": np.array([NO_STAGE if p.stage is None else p.stage for p in block], dtype=np.int64),
        "scored": np.array([p.error is None for p in block], dtype=np.bool_),
    }


def _values(block: Block, played: AllPlayed) -> Iterator[tuple[tuple[str, str], Column]]:
    scored = np.array([p.error is None for p in block], dtype=np.bool_)
    good = [p for p in block if p.error is None]
    for name, column in measure(good).items():
        yield (MODEL, name), _smallest(column)
    if good and all(p.uncertainty is not UNSET for p in good):
        yield (MODEL, UNCERTAINTY.name), np.array([p.uncertainty for p in good], dtype=np.float64)
    for component in EXTRA:
        yield (MODEL, component), np.array([component in p.returns for p in good], dtype=np.bool_)
    for policy in BASELINES:
        measured = played[policy].measured()[:, scored] if played else np.empty((len(MEASURES), 0))
        for m, column in zip(MEASURES, measured, strict=True):
            yield (policy, m.name), _smallest(column)


def _smallest(column: Floats) -> Column:
    """The same values, as whole numbers of one or two bytes where they are such."""
    if len(column) and not np.signbit(column).any() and (largest := column.max()) < 2**16:
        small = column.astype(np.uint8 if largest < 2**8 else np.uint16)
        if (small == column).all():
            return small
    return column.copy()

"""Gridworld behind HTTP: a request is a scenario, an answer the model's whole episode in it."""

from typing import Annotated, Literal, cast

from msgspec import Meta, Struct
from msgspec.structs import replace

from pipeline.contract.serving import ServePart
from pipeline.errors import UserError
from pipeline.tasks.gridworld.recipe import Infer
from pipeline.tasks.gridworld.rows import GridworldExample
from pipeline.tasks.gridworld.town.rules import LEVELS

_MAX_SEED = 2**64 - 1


class GridworldRequest(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A scenario: a level, a seed (64 bit) for positions, and what the meters' decay is multiplied with."""

    id: Annotated[str, Meta(min_length=1, max_length=256)] | None = None
    level: Literal[tuple(LEVELS)]  # type: ignore[valid-type]  # the names are those of the rules
    seed: Annotated[int, Meta(ge=0)]
    multiplier: Annotated[float, Meta(ge=0, le=100)] = 1.0


def to_example(request: GridworldRequest, id: str) -> GridworldExample:
    """Raises UserError for a seed of more than 64 bits, which the bounds of a field cannot say."""
    if request.seed > _MAX_SEED:
        raise UserError("a seed has up to 64 bits", where="seed", remedy=f"from 0 to {_MAX_SEED}")
    return GridworldExample(id=id, level=request.level, seed=request.seed, multiplier=request.multiplier)


def without_traces(options: object) -> Infer:
    """Which episodes keep every step depends on their place in a run: of what is served, none does."""
    return replace(cast(Infer, options), num_traces=0)


PART = ServePart(body=GridworldRequest, to_example=to_example, options=without_traces)

"""Gridworld behind HTTP: a request is a scenario, an answer the model's whole episode in it."""

from typing import cast

from msgspec.structs import replace

from pipeline.contract.serving import ServePart
from pipeline.tasks.gridworld.recipe import Infer


def without_traces(options: object) -> Infer:
    """Which episodes keep every step depends on their place in a run: of what is served, none does."""
    return replace(cast(Infer, options), num_traces=0)


PART = ServePart(options=without_traces)

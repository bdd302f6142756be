"""The brain spec envelope: everything that is needed to rebuild a network, and nothing about how it was trained.

The architecture's hash is taken over this spec alone, so a new learning rate or description is not a new architecture.
``network`` is typed by the task (``pipeline/tasks/<task>/recipe.py``: ``Network``).
"""

from typing import Any, Literal

from msgspec import Struct


class Block(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A named slice ``[start:stop]`` of a flat input or output vector: the range its values keep to, and their unit."""

    name: str
    start: int
    stop: int
    low: float
    high: float
    unit: str = ""
    description: str = ""


class BrainSpec(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """``brain_v1``: sizes of input and output, and the network between them. Canonical JSON of it is hashed."""

    schema: Literal["brain_v1"] = "brain_v1"
    task: str
    input_size: int
    output_size: int
    network: dict[str, Any]

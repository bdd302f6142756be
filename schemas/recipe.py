"""The recipe envelope: what every ``runs/recipes/<task>/<name>.yaml`` says, whatever the task.

A task adds typed sections by inheritance (``pipeline/tasks/<task>/recipe.py``); unknown keys are refused.
"""

from collections.abc import Mapping
from typing import Annotated, ClassVar, Literal

from msgspec import Meta, Struct

# What numbers of a recipe may be; a task's sections are written in these.
Count = Annotated[int, Meta(ge=1)]
CountOrZero = Annotated[int, Meta(ge=0)]
Positive = Annotated[float, Meta(gt=0)]
NotNegative = Annotated[float, Meta(ge=0)]
Share = Annotated[float, Meta(ge=0, le=1)]
ShareBelowOne = Annotated[float, Meta(ge=0, lt=1)]
Seed = Annotated[int, Meta(ge=0, le=2**63 - 1)]

Schedule = Literal["constant", "linear", "cosine"]

# A run's folder name: nothing that could lead out of runs/<task>/.
Name = Annotated[str, Meta(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]*$", max_length=100)]


class Section(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Base of every section of a recipe: frozen, keyword only, unknown keys refused."""


class Training(Section, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What section ``train`` of every task says; how long a step is, the task says.

    The model in training is tried every ``monitor_every`` steps, and what is needed to go on is saved every
    ``checkpoint_every``. An update learns from ``batch_size`` samples.

    ``start_from`` is an inference_v1 or checkpoint_v1, by path or pretrained name, whose weights the training begins
    with: all that fit, or only those of ``start_parts`` ("trunk", "trunk.0"). The parts in ``frozen`` stay as they are.
    """

    num_steps: Count
    batch_size: Count
    monitor_every: Count
    checkpoint_every: Count
    num_threads: Count = 1
    start_from: str | None = None
    start_parts: tuple[str, ...] | None = None
    frozen: tuple[str, ...] | None = None


class Optimizer(Section, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What section ``optimizer`` of every task says; ``type`` is one of the task's own.

    ``learning_rate`` is reached after ``warmup_updates`` and falls to ``final_fraction`` of it over the training.
    Gradients longer than ``max_grad_norm`` are shortened to it. What is monitored and exported is an exponential
    average of the weights: ``average_decay`` is the share of it that an update leaves.
    """

    type: str
    learning_rate: Positive
    weight_decay: NotNegative = 0.0
    final_fraction: Share = 0.1
    warmup_updates: CountOrZero = 0
    max_grad_norm: Positive = 10.0
    average_decay: ShareBelowOne = 0.999


class Recipe(Section, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What all recipes share. ``name`` is the run's folder name; ``seed`` seeds everything random in the run.

    A section named after a stage belongs to that stage alone; ``belongs_to`` says so of sections with other names.
    """

    belongs_to: ClassVar[Mapping[str, str]] = {}

    schema: Literal["recipe_v1"]
    task: str
    name: Name
    description: str = ""
    seed: Seed = 0

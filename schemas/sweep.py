"""A sweep: what its file says, what its ledger records, and what its table holds, one row a cell.

A sweep file (``runs/sweeps/<task>/<name>.yaml``, version ``sweep_v1``) names a grid. Every point of the grid is a cell,
and what goes into a cell is its key; what several cells need (a training, an export) is a part with a key of its own.
"""

from typing import Annotated, Any, Literal

from msgspec import Meta, field

from schemas.recipe import Count, Name, Section, Seed
from schemas.rows import Metric, Row

Event = Literal["started", "finished", "stopped", "failed", "interrupted"]
Kind = Literal["cell", "export", "train", "examples"]
Outcome = Literal["finished", "stopped", "failed", "waiting"]
Axis = str | int | float | bool | None


class Checkpoint(Section, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A trained model: an inference_v1 file by path or by name, a folder that infer can answer from, or a checkpoint to
    export."""

    path: str
    label: Name | None = None


class Training(Section, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A training for each of ``seeds``, and which of its checkpoints are looked at: training steps, or "selected".

    ``set`` replaces values of the recipe: ``train.num_steps: 4096``. ``label`` is what the table calls it; without one,
    the recipe's name.
    """

    recipe: str
    label: Name | None = None
    seeds: Annotated[tuple[Seed, ...], Meta(min_length=1)] = (0,)
    checkpoints: Annotated[tuple[Literal["selected"] | Count, ...], Meta(min_length=1)] = ("selected",)
    set: dict[str, Any] = field(default_factory=dict)


class Sweep(Section, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The grid: every model of ``checkpoints`` and ``train`` by every combination of decoding settings in ``infer``.

    ``recipe`` says how models are decoded and evaluated, and on which examples (none: the task's defaults); ``set``
    replaces values of it. ``examples`` is a file of input records instead of those that the recipe makes. ``infer``
    has a list of values for each key of the recipe's section ``infer``.
    """

    schema: Literal["sweep_v1"]
    task: str
    name: Name
    description: str = ""
    recipe: str | None = None
    set: dict[str, Any] = field(default_factory=dict)
    examples: str | None = None
    checkpoints: tuple[str | Checkpoint, ...] = ()
    train: tuple[Training, ...] = ()
    infer: dict[str, Annotated[list[Any], Meta(min_length=1)]] = field(default_factory=dict)


class Cell(Row, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One line of ``ledger.jsonl``: what happened to a cell, or to a part that cells share.

    ``id`` is ``<first 16 digits of the key>/<attempt>/<event>``. ``folder`` is where that attempt works, relative to
    the sweep's. ``metrics`` are the main ones of a finished cell, ``step`` is its model's training step, where known.
    ``note`` says why a cell was stopped before its end.
    """

    schema: Literal["cell_v1"] = "cell_v1"
    key: str
    kind: Kind
    label: str
    event: Event
    attempt: Count
    worker: str
    host: str
    unix_s: float
    folder: str
    error: str | None = None
    note: str | None = None
    step: int | None = None
    metrics: tuple[Metric, ...] = ()


class CellResult(Row, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One line of ``sweep.jsonl``: a cell of the grid, in the order of the grid, and what came of it.

    A pure function of the sweep's grid and its cells: no time stamps, workers or hosts. ``id`` is the first 16 digits
    of ``key``. ``axes`` say where the cell lies in the grid; a cell that was not run yet is "waiting".
    """

    schema: Literal["cell_result_v1"] = "cell_result_v1"
    key: str
    label: str
    axes: dict[str, Axis]
    status: Outcome
    step: int | None = None
    error: str | None = None
    note: str | None = None
    metrics: tuple[Metric, ...] = ()

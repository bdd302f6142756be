"""Row envelopes: what every line of every JSONL file of Baton carries, whatever the task.

A task extends an envelope by inheritance (``pipeline/tasks/<task>/rows.py``), so its fields are flat: ``jq
.num_steps``, pandas and duckdb see them as columns. Rows are joined by ``id``, never by position. Unknown fields
are refused. A changed meaning is a new ``schema`` version, with an upgrade function in `schemas.upgrades`.

Units stand in the names (``latency_s``, ``error_m``); counts start with ``num_``. No field may hold NaN or
infinity: JSON has neither, and the writer (`pipeline.files`) refuses them by name.
"""

from typing import Literal

from msgspec import Struct

Better = Literal["higher", "lower", "neither"]


class Row(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What all rows share. ``id`` is unique within a file and stable across runs."""

    task: str
    id: str


class Episode(Row, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One whole episode (or whole sample) of the live tail ``episodes.jsonl``.

    ``step`` is the training step at which it ended; ``ended_unix_s`` the trainer's clock at that moment, from which a
    follower tells how late it is; ``num_dropped_before`` counts the episodes that the tail dropped since the
    line before.
    """

    schema: Literal["episode_v1"] = "episode_v1"
    step: int
    ended_unix_s: float
    num_dropped_before: int = 0


class Progress(Row, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One short row of ``progress.jsonl``, which is complete: nothing in it is ever dropped."""

    schema: Literal["progress_v1"] = "progress_v1"
    step: int


class Monitor(Row, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One line of ``monitor.jsonl``: what the model in training does on the monitoring set, at one checkpoint.

    ``checkpoint`` is the path of that checkpoint, relative to the training folder; ``selected_by`` orders
    checkpoints: the one with the highest value is what ``selected.checkpoint_v1`` holds.
    """

    schema: Literal["monitor_v1"] = "monitor_v1"
    step: int
    checkpoint: str
    selected_by: float


class Example(Row, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One input record of ``examples.jsonl``."""

    schema: Literal["example_v1"] = "example_v1"


class Prediction(Row, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One line of ``predictions.jsonl``: exactly one per input record, in input order.

    A pure function of model, input and decoding parameters: no time stamps, durations or host names. ``model`` is the
    first 16 hexadecimal digits of the model's weights hash. ``error`` says what failed for this record alone.
    """

    schema: Literal["prediction_v1"] = "prediction_v1"
    model: str
    error: str | None = None


class Score(Row, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What one record scored, one line per record and subject (the model, or a baseline on the same record)."""

    schema: Literal["score_v1"] = "score_v1"
    subject: str


class Metric(Row, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One aggregate over records: a value with its interval.

    ``name`` is in the task's glossary; ``statistic`` is how records were aggregated (mean, iqm, median, rate);
    ``subject`` is "model" or a baseline; ``slice_by``/``slice_value`` name a subset ("all" for none). ``low``
    and ``high`` bound a ``confidence`` interval by ``interval`` (for example "bootstrap_percentile"); all three
    are null where no interval is defined.
    """

    schema: Literal["metric_v1"] = "metric_v1"
    name: str
    statistic: str
    subject: str
    slice_by: str = "all"
    slice_value: str = "all"
    value: float
    low: float | None = None
    high: float | None = None
    confidence: float | None = None
    interval: str | None = None
    unit: str
    better: Better
    num_records: int


Fact = str | int | float | tuple[str, ...] | None
MarkKind = Literal["good", "bad", "doubtful"]


class TextMark(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A part of a text, [start, stop) in characters, that is set off, and what it is."""

    start: int
    stop: int
    kind: MarkKind
    note: str


class FigureText(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A text that is read beside a picture, such as the one that a model wrote. ``marks`` may lie in one another."""

    heading: str
    text: str
    marks: tuple[TextMark, ...] = ()


class Figure(Row, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One picture that visualize made. ``path`` is relative to the folder of ``figures.jsonl``.

    ``facts`` are what the figures of a section are filtered and sorted by, by name: a word, several words (of which one
    may be asked for), or a number; null where there is none.
    """

    schema: Literal["figure_v1"] = "figure_v1"
    path: str
    title: str
    caption: str
    section: str
    record_ids: tuple[str, ...] = ()
    facts: dict[str, Fact] = {}
    text: FigureText | None = None


ENVELOPES: dict[str, type[Row]] = {
    "episode_v1": Episode,
    "progress_v1": Progress,
    "monitor_v1": Monitor,
    "example_v1": Example,
    "prediction_v1": Prediction,
    "score_v1": Score,
    "metric_v1": Metric,
    "figure_v1": Figure,
}

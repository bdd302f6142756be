"""A gate on disk: what it checks (gate_v1), what it compares with (baseline_v1), what it found (verdict_v1)."""

from typing import Annotated, Any, Literal

from msgspec import Meta, Struct, field

from schemas.recipe import Name, Section, Seed
from schemas.rows import Better, Row

Percent = Annotated[str, Meta(pattern=r"^ *[0-9]+(\.[0-9]+)? *% *$")]
Limit = Annotated[float, Meta(ge=0)] | Percent  # in the metric's unit, or a share of the baseline's value: "2 %"
Confidence = Annotated[float, Meta(gt=0, lt=1)]
Resamples = Annotated[int, Meta(ge=100)]
Watch = Literal["worse", "both"]
Outcome = Literal["passes", "fails", "cannot_tell"]
Kind = Literal["change", "at_least", "at_most", "errors"]


class Check(Section, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One metric that is watched.

    ``statistic`` may be left out: the first that the metric has. ``slice_by`` checks the records of one
    ``slice_value``, or of every value by itself where none is named. It may change for the worse by ``tolerance``; what
    is worse by no more than ``min_effect`` is not reported. ``watch: both`` forbids a change either way. ``at_least``
    and ``at_most`` bound the value itself.
    """

    metric: str
    statistic: str | None = None
    slice_by: str = "all"
    slice_value: str | None = None
    tolerance: Limit = 0.0
    min_effect: Limit = 0.0
    watch: Watch = "worse"
    at_least: float | None = None
    at_most: float | None = None
    strict: bool | None = None


class GateSpec(Section, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A gate: ``runs/gates/<task>/<name>.yaml``.

    ``baseline`` is relative to the gate's folder (default: ``<name>.baseline.json``). ``confidence`` is that of all
    intervals together. ``strict``: a point estimate beyond the tolerance fails, whatever the interval says.
    ``undecided``: what becomes of a check whose interval holds the tolerance. ``evaluate`` are options of the recipe's
    section of that name. No ``checks``: the columns of the task's table.
    """

    schema: Literal["gate_v1"]
    task: str
    name: Name
    description: str = ""
    baseline: str | None = None
    confidence: Confidence = 0.95
    num_resamples: Resamples = 4000
    seed: Seed = 0
    strict: bool = False
    undecided: Literal["pass", "fail"] = "pass"
    evaluate: dict[str, Any] = field(default_factory=dict)
    checks: tuple[Check, ...] = ()


class BaselineMetric(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A value of the baseline with its own interval, where there is one."""

    metric: str
    statistic: str
    slice_by: str = "all"
    slice_value: str = "all"
    value: float
    low: float | None = None
    high: float | None = None
    confidence: float | None = None
    num_records: int


class BaselineRecord(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What one record of the baseline measured: ``values`` in the order of the baseline's ``columns``.

    ``truth`` is the hash of the input that the prediction answers. Records that are not ``scored`` count in no metric.
    """

    id: str
    truth: str
    scored: bool = True
    values: list[float]


class BaselineFile(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The predictions behind a baseline; ``path`` is relative to the baseline's folder."""

    path: str
    sha256: str


class Baseline(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What a gate compares with: one JSON document.

    ``metrics`` are the values of the checks. Pairs need more: ``records`` (what each measured, by ``columns``), or the
    ``predictions`` themselves where a metric is taken over the parts of all records together. ``options`` are those of
    the recipe's section ``evaluate`` that the values depend on; ``models`` the models of the predictions.
    """

    schema: Literal["baseline_v1"] = "baseline_v1"
    task: str
    name: str
    models: tuple[str, ...] = ()
    num_records: Annotated[int, Meta(ge=0)] = 0
    options: dict[str, Any] = {}
    metrics: tuple[BaselineMetric, ...]
    predictions: BaselineFile | None = None
    columns: tuple[str, ...] = ()
    records: tuple[BaselineRecord, ...] = ()


class Verdict(Row, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What a gate found about one check.

    ``change`` is ``now`` less ``baseline``, [``low``, ``high``] its interval, at ``confidence`` for all checks
    together; ``paired`` if it is one of paired records. ``watch`` "both": a change either way is one for the worse.
    ``tolerance`` and ``min_effect`` are in the metric's unit. Of the kinds at_least and at_most, ``tolerance`` is the
    bound of the value itself. Null is what there is not: a baseline of a bound, an interval of a count.
    """

    schema: Literal["verdict_v1"] = "verdict_v1"
    kind: Kind
    metric: str
    statistic: str
    slice_by: str
    slice_value: str
    unit: str
    better: Better
    watch: Watch
    baseline: float | None
    now: float | None
    change: float | None
    low: float | None
    high: float | None
    confidence: float | None
    paired: bool
    tolerance: float
    min_effect: float
    num_records: int
    outcome: Outcome
    reason: str

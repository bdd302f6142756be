"""Rows of the compare stage: what two files of predictions differ by, and which records make the difference.

``label`` and ``baseline`` are the names that the command line gave to the two files; a difference is always that of
``label`` less that of ``baseline``.
"""

from typing import Literal

from msgspec import UNSET, UnsetType

from schemas.rows import Better, Row

Verdict = Literal["better", "worse", "higher", "lower", "no_difference_shown", "equal"]
Kind = Literal["paired", "train_gap", "forgetting"]


class Comparison(Row, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One metric of two files, over all records or those of a slice.

    ``kind`` "paired": both files answer the same records. "train_gap": ``baseline`` is the same model on records that
    it learned from, other records than those of ``label``; there is no test then, and the verdict follows the interval.
    "forgetting": ``label`` is the last file, ``baseline`` the best of the earlier ones over that slice: by the steps of
    one training, where the files are its checkpoints, else by the order given.

    ``low`` and ``high`` bound the ``confidence`` interval of ``difference``. ``p_value`` is that of ``test``,
    two-sided; ``p_adjusted`` is adjusted (Holm) for the ``num_in_family`` tests it stands among: those over all
    records, or those over slices. ``effect_size`` is the mean difference in standard deviations of the differences
    (d_z). Of the records, ``label`` is better on ``num_better``, worse on ``num_worse`` and the same on ``num_equal``;
    ``win_rate`` is the share of the better ones, the same ones counting half. ``probability_of_improvement`` is the
    chance that any record of ``label`` is better than any of ``baseline``, with its ``confidence`` interval (``_low``,
    ``_high``; absent in rows of older versions). Both are of larger values where the metric has no direction. All of
    these are null where records have no value of their own.

    ``num_trainings`` and ``baseline_num_trainings`` are there where a side is a group of several trainings of one
    recipe: its value is then the mean over them, the interval holds for trainings to come, and ``p_value`` is twice the
    rarer side of 0 among the resampled differences.

    ``verdict`` is about ``label``, "better" or "worse" ("higher" or "lower" without a direction) where ``p_adjusted``
    is below 1 - ``confidence``, "equal" where every record is.
    """

    schema: Literal["comparison_v1"] = "comparison_v1"
    kind: Kind
    label: str
    baseline: str
    name: str
    statistic: str
    slice_by: str = "all"
    slice_value: str = "all"
    value: float
    baseline_value: float
    difference: float
    low: float | None
    high: float | None
    confidence: float
    interval: str | None
    p_value: float | None
    p_adjusted: float | None
    num_in_family: int | None
    test: str | None
    effect_size: float | None
    win_rate: float | None
    probability_of_improvement: float | None
    probability_of_improvement_low: float | None = None
    probability_of_improvement_high: float | None = None
    num_better: int | None
    num_worse: int | None
    num_equal: int | None
    unit: str
    better: Better
    verdict: Verdict
    num_records: int
    num_trainings: int | UnsetType = UNSET
    baseline_num_trainings: int | UnsetType = UNSET


class Mover(Row, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One record that moved a metric, those that moved it most first (``place`` 1).

    ``change`` is what ``label`` would lose if this one record had the answer of ``baseline``: for a mean the difference
    of the two values over the number of records, for a pooled metric the difference of the whole figure. ``value`` and
    ``baseline_value`` are the record's own, null where it has none. ``line`` and ``baseline_line`` are its lines in the
    two files, from 1; null where a file lacks the record. ``figure`` is the id of its picture, if there is one.
    """

    schema: Literal["mover_v1"] = "mover_v1"
    label: str
    baseline: str
    name: str
    statistic: str
    place: int
    record_id: str
    change: float
    value: float | None
    baseline_value: float | None
    line: int | None
    baseline_line: int | None
    unit: str
    better: Better
    figure: str | None = None


ROW_TYPES: dict[str, type[Row]] = {"comparison_v1": Comparison, "mover_v1": Mover}

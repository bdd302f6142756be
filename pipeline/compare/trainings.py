"""Groups of files, each several trainings of one recipe: what differs between recipes, not between two trainings."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import msgspec
import numpy as np

from pipeline.compare.judge import BY_RECORD, Judge
from pipeline.contract.metrics import RecordMetric
from pipeline.errors import UserError
from pipeline.look.numbers import plural
from pipeline.records.join import Slice
from pipeline.stats import Floats
from pipeline.stats.trainings import METHOD, TEST, least_exchange_p, training_errors, two_sided
from schemas.comparison import Comparison


@dataclass
class GroupJudge(Judge):
    """A judge whose labels are those of ``groups``: the labels of the files that each holds."""

    groups: Mapping[str, Sequence[str]] = field(kw_only=True)

    def __post_init__(self) -> None:
        super().__post_init__()
        for label, members in self.groups.items():
            self._refuse_repeats(label, members)

    @property
    def labels(self) -> list[str]:
        return list(self.groups)

    def by_record(self, label: str, name: str) -> Floats:
        """The mean over the trainings of each record."""
        found: Floats = np.mean([super(GroupJudge, self).by_record(one, name) for one in self.groups[label]], axis=0)
        return found

    def value(self, label: str, metric: RecordMetric, part: Slice) -> float:
        """The mean over the trainings of the metric of each."""
        return float(np.mean(self._values(label, metric, part)))

    def resampled(self, label: str, metric: RecordMetric, part: Slice) -> Floats:
        """The same over resamples of trainings and of records, which all groups share: [B]."""
        return self._by_records(label, metric, part) + self._errors((label,), metric, part)

    def differences(self, pair: tuple[str, str], metric: RecordMetric, part: Slice) -> Floats:
        by_records = self._by_records(pair[0], metric, part) - self._by_records(pair[1], metric, part)
        return by_records + self._errors(pair, metric, part)

    def tested(
        self, pair: tuple[str, str], metric: RecordMetric, part: Slice, difference: float, spread: Floats
    ) -> dict[str, Any]:
        defined = spread[np.isfinite(spread)]
        return {
            **dict.fromkeys(BY_RECORD),
            "p_value": two_sided(defined) if len(defined) else 1.0,
            "test": TEST,
            "verdict": "no_difference_shown",
        }

    def compare(self, pair: tuple[str, str], metric: RecordMetric, part: Slice) -> Comparison | None:
        row = super().compare(pair, metric, part)
        if row is None:
            return None
        num, other = (len(self.groups[label]) for label in pair)
        how = None if row.interval is None else METHOD
        return msgspec.structs.replace(row, interval=how, num_trainings=num, baseline_num_trainings=other)

    def least_p(self, rows: Sequence[Comparison]) -> float:
        return 2.0 / (self.settings.num_resamples + 1)

    def told(self, pair: tuple[str, str]) -> list[str]:
        """What the interval of a pair holds for, and what so many trainings can show."""
        num, other = (len(self.groups[label]) for label in pair)
        names = " and ".join(label for label in reversed(pair) if len(self.groups[label]) > 1)
        notes = [
            f"{pair[0]} against {pair[1]}: {plural(num, 'training')} against {other}. The interval holds for another "
            f"training of the recipe of {names}, on other records of this kind: the trainings are what is repeated, "
            "and more records make it no narrower than their scatter."
        ]
        notes += [
            f"{label} is one training: what is shown holds for that model, not for its recipe."
            for label in pair
            if len(self.groups[label]) == 1
        ]
        least = least_exchange_p(num, other)
        if min(num, other) > 1 and least > 1.0 - self.settings.confidence:
            notes.append(
                f"{num} and {other} trainings are few: a test that exchanges them, and assumes nothing, gives no p "
                f"below {least:.2g}. Interval and p here assume that trainings scatter normally (Student's t)."
            )
        return notes

    def _by_records(self, label: str, metric: RecordMetric, part: Slice) -> Floats:
        """The mean over these very trainings, over each resample of the records: [B]."""
        resampled = [super(GroupJudge, self).resampled(one, metric, part) for one in self.groups[label]]
        found: Floats = np.mean(resampled, axis=0)
        return found

    def _errors(self, labels: Sequence[str], metric: RecordMetric, part: Slice) -> Floats:
        groups = [self._values(label, metric, part) for label in labels]
        return training_errors(groups, self.settings.generator("trainings"), self.settings.num_resamples)

    def _values(self, label: str, metric: RecordMetric, part: Slice) -> list[float]:
        return [super(GroupJudge, self).value(one, metric, part) for one in self.groups[label]]

    def _refuse_repeats(self, label: str, members: Sequence[str]) -> None:
        """One model twice would pass for two trainings that agree."""
        files = [self.joined.files[one] for one in members]
        models = [records.models for records in files]
        for number, model in enumerate(models):
            first = models.index(model)
            if first < number:
                raise UserError(
                    f"two files of {label} are of one model ({', '.join(model)}): they are not two trainings",
                    where=f"{files[first].path}, {files[number].path}",
                    remedy="give a file for each training; files of one model are compared as labels of their own",
                )

"""Which free-text labels are the same class: equal after folding, or by a table of synonyms that the user gives."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from pipeline.errors import UserError

LabelMatch = Literal["folded", "exact"]


@dataclass(frozen=True)
class Labels:
    """How a ``desc`` becomes a class. ``canonical`` maps a folded synonym to the class it stands for."""

    match: LabelMatch = "folded"
    canonical: Mapping[str, str] = field(default_factory=dict)

    def class_of(self, desc: str) -> str:
        """The class of a label: folded (unless "exact"), and the canonical label where the table has it."""
        label = fold(desc) if self.match == "folded" else desc
        return self.canonical.get(label, label)


def fold(desc: str) -> str:
    """Without space around it, runs of space as one, and without case: " Traffic  Light" is "traffic light"."""
    return " ".join(desc.split()).casefold()


def load_labels(match: LabelMatch, path: str | None) -> Labels:
    """`Labels` with the synonyms of a YAML or JSON file: ``canonical: [synonym, ...]``; paths as the shell sees them.

    Raises UserError when the file is not that, or gives one synonym to two classes.
    """
    if path is None:
        return Labels(match)
    folding = fold if match == "folded" else str
    table: dict[str, str] = {}
    for canonical, synonyms in _read(path).items():
        for synonym in (canonical, *synonyms):
            other = table.setdefault(folding(synonym), folding(canonical))
            if other != folding(canonical):
                raise UserError(
                    f"{synonym!r} is a synonym of both {other!r} and {canonical!r}",
                    where=f"evaluate.synonyms: {path}",
                    remedy="keep it under one of them",
                )
    return Labels(match, table)


def _read(path: str) -> dict[str, list[str]]:
    from pipeline.recipe.yaml import parse  # here: most evaluations have no table

    try:
        raw = Path(path).read_bytes()
    except OSError as error:
        raise UserError(f"cannot read the synonyms: {error.strerror}", where=f"evaluate.synonyms: {path}") from error
    data: Any = parse(raw, path).data
    lists = data if isinstance(data, dict) else {}
    if not lists or not all(isinstance(v, list) and all(isinstance(s, str) for s in v) for v in lists.values()):
        raise UserError(
            "a table of synonyms maps each label to a list of others",
            where=f"evaluate.synonyms: {path}",
            remedy="for example: `person: [man, woman, pedestrian]`",
        )
    return {str(canonical): synonyms for canonical, synonyms in lists.items()}

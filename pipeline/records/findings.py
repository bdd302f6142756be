"""What is wrong with entries of other tools' files: all of it is found, listed and counted, and refused or left out."""

import math
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

from msgspec import Struct

from pipeline.contract.jobs import OnBad
from pipeline.errors import UserError
from pipeline.files import write_all

LISTING = "bad.jsonl"
NUM_IDS = 10  # named in an error


class Wrong(Exception):
    """An entry is not as it should be: ``kind`` is one of its `Findings`, ``field`` is where within the entry."""

    def __init__(self, kind: str, what: str, field: str = "") -> None:
        super().__init__(what)
        self.kind, self.what, self.field = kind, what, field


class Bad(Struct, frozen=True, kw_only=True):
    """A line of the listing: ``entry`` is the place in ``file``, ``id`` what the entry calls itself."""

    kind: str
    what: str
    file: str
    entry: str
    id: int | str | None


class Position(Protocol):
    """Where an entry stands: in ``path``, at what ``entry`` calls it."""

    @property
    def path(self) -> Path: ...
    def entry(self, field: str = "") -> str: ...


@dataclass(frozen=True)
class Place:
    """Where an entry of a list stands in a JSON file."""

    path: Path
    name: str
    index: int

    def entry(self, field: str = "") -> str:
        """As errors name it: ``annotations[3].bbox``."""
        return f"{self.name}[{self.index}]{'.' if field else ''}{field}"


@dataclass(frozen=True)
class Line:
    """Where a line of a text file stands; ``index`` counts from 1, 0 is the file as a whole."""

    path: Path
    index: int

    def entry(self, field: str = "") -> str:
        """As errors name it; "" for the file as a whole."""
        return ":".join(filter(None, (str(self.index or ""), field)))


@dataclass
class Findings:
    """All bad entries of a conversion, in the order in which they were found.

    ``kinds`` are all kinds of faults, by name, and what is expected instead.
    """

    kinds: Mapping[str, str]
    bad: list[Bad] = field(default_factory=list)

    @contextmanager
    def at(self, place: Position, id: object = None) -> Iterator[None]:
        """What is `Wrong` within is noted, and the rest of the block left out."""
        try:
            yield
        except Wrong as wrong:
            self.note(place, id, wrong)

    def note(self, place: Position, id: object, wrong: Wrong) -> None:
        """One more bad entry."""
        name = id if isinstance(id, int | str) else None
        entry = place.entry(wrong.field)
        self.bad.append(Bad(kind=wrong.kind, what=wrong.what, file=str(place.path), entry=entry, id=name))

    def settle(self, folder: Path, on_bad: OnBad) -> tuple[dict[str, Path], dict[str, int]]:
        """Writes the listing, where anything is bad. Outputs and counts to go on with; UserError for "refuse"."""
        if not self.bad:
            return {}, {}
        path = folder / LISTING
        write_all(path, self.bad)
        if on_bad == "refuse":
            raise self._refusal(path)
        counts = Counter(one.kind for one in self.bad)
        return {"bad": path}, {f"num_{kind}": counts[kind] for kind in self.kinds if kind in counts}

    def _refusal(self, listing: Path) -> UserError:
        first, remedy = self.bad[0], f"correct the file, or leave them out with --on-bad skip; all of them: {listing}"
        where = ":".join(filter(None, (first.file, first.entry)))
        if len(self.bad) == 1:
            return UserError(first.what, where=where, remedy=remedy)
        kinds = [[one for one in self.bad if one.kind == kind] for kind in self.kinds]
        what = "\n    ".join([f"{_num(self.bad)} are wrong", *(self._told(found) for found in kinds if found)])
        return UserError(what, where=where, remedy=remedy)

    def _told(self, found: Sequence[Bad]) -> str:
        """``negative_size: 50 annotations (1, 2, 3, ...): what is expected``."""
        said = [_name(one) if one.id is None else one.id for one in found]
        names = sorted(said, key=lambda name: name if isinstance(name, int) else math.inf)  # texts in order of the file
        ids = ", ".join(map(str, names[:NUM_IDS])) + (", ..." if len(names) > NUM_IDS else "")
        return f"{found[0].kind}: {_num(found)} ({ids}); {self.kinds[found[0].kind]}"


def _name(bad: Bad) -> str:
    """What an entry without an id is called: its place in a list, or its file and line."""
    if "[" in bad.entry:
        return bad.entry.partition(".")[0]
    return ":".join(filter(None, (Path(bad.file).name, bad.entry.partition(":")[0])))


def _num(found: Sequence[Bad]) -> str:
    """How many of what: entries of one list have its name."""
    names = {_kind_of_place(one.entry) for one in found}
    return f"{len(found):,} {names.pop() if len(names) == 1 else 'entries'}"


def _kind_of_place(entry: str) -> str:
    if "[" in entry:
        return entry.partition("[")[0] or "results"  # a list that is the whole file
    return "lines" if entry else "files"

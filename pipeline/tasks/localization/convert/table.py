"""CSV files: their rows as texts by column, and the numbers, places and parts that cells say."""

import csv
import hashlib
import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal, TypeVar

from msgspec import Meta, Struct

from pipeline.errors import UserError, nearest
from pipeline.files.foreign import refuse_foreign
from pipeline.records.findings import Findings, Line, Position, Wrong
from pipeline.tasks.localization.rows import Degrees, Measurement

Row = Mapping[str, str]
Delimiter = Literal[",", ";", "tab"]
PARTS = ("train", "calibration", "test")
LEAST_LEVEL_DBM, MOST_LEVEL_DBM = -200.0, 0.0  # below all noise, and more than any receiver stands
T = TypeVar("T")
Share = Annotated[float, Meta(gt=0, lt=1)]
ShareOrZero = Annotated[float, Meta(ge=0, lt=1)]


@dataclass(frozen=True)
class Table:
    """A CSV file: the names of its columns, and where it lies."""

    path: Path
    columns: Sequence[str]
    delimiter: str

    def column(self, name: str, setting: str) -> str:
        """The column of that name, in any case. Raises UserError, which says the ``setting`` that names another."""
        found = next((one for one in self.columns if one.strip().lower() == name.strip().lower()), None)
        if found is None:
            remedy = f"name it with {setting}: {nearest(name, self.columns)}"
            raise UserError(f"there is no column {name!r}", where=f"{self.path}:1", remedy=remedy)
        return found

    def rows(self, findings: Findings) -> Iterator[tuple[Line, Row]]:
        """Each row with the line that it ends on; those of another length than the header are noted and left out."""
        with self.path.open(encoding="utf-8-sig", newline="") as file:
            reader = csv.reader(file, delimiter=self.delimiter)
            next(reader)
            for cells in reader:
                place = Line(self.path, reader.line_num)
                if len(cells) == len(self.columns):
                    yield place, dict(zip(self.columns, cells, strict=True))
                elif cells:
                    what = f"the row has {len(cells)} cells, the header {len(self.columns)}"
                    findings.note(place, None, Wrong("wrong_row", what))


def open_table(path: Path, delimiter: Delimiter = ",") -> Table:
    """A CSV file by its header. Raises UserError where it has none, or is something else."""
    try:
        with path.open("rb") as file:
            refuse_foreign(file.read(64), str(path))
        with path.open(encoding="utf-8-sig", newline="") as text:
            said = "\t" if delimiter == "tab" else delimiter
            columns = next(csv.reader(text, delimiter=said), [])
    except OSError as error:
        raise UserError(f"cannot read the file: {error.strerror}", where=str(path)) from error
    except UnicodeDecodeError:
        raise UserError("the file is not UTF-8", where=str(path), remedy="write it as UTF-8, with iconv") from None
    if not columns:
        raise UserError("the file is empty", where=str(path), remedy="its first line names the columns")
    other = next((one for one in (";", "\t") if len(columns) == 1 and one in columns[0]), None)
    if other is not None:
        named = "tab" if other == "\t" else other
        raise UserError("the columns are not parted by commas", where=str(path), remedy=f"--set 'delimiter={named}'")
    twice = next((name for name in columns if columns.count(name) > 1), None)
    if twice is not None:
        raise UserError(f"two columns are called {twice!r}", where=f"{path}:1", remedy="rename one of them")
    return Table(path, columns, said)


def number(row: Row, column: str | None) -> float | None:
    """The number of a cell, None where it is empty or there is no such column. Raises Wrong."""
    if column is None or is_empty(row[column]):
        return None
    try:
        value = float(row[column])
    except ValueError:
        value = math.nan
    if not math.isfinite(value):
        raise Wrong("no_number", f"{row[column]!r} is no number", column)
    return value


def place(row: Row, latitude: str, longitude: str) -> Degrees | None:
    """The place of a row in degrees, None where both cells are empty. Raises Wrong."""
    north, east = number(row, latitude), number(row, longitude)
    if north is None and east is None:
        return None
    if north is None or east is None:
        raise Wrong("no_place", "one of latitude and longitude is missing")
    check_place(north, east)
    return north, east


def check_place(latitude: float, longitude: float) -> None:
    """Raises Wrong for what is not on Earth."""
    if not -90 <= latitude <= 90 or not -180 <= longitude <= 180:
        raise Wrong("out_of_range", f"latitude {latitude:g}, longitude {longitude:g} is no place")


def is_empty(cell: str) -> bool:
    """Whether a cell says that there is nothing."""
    return cell.strip().lower() in ("", "nan", "null", "none")


def read_sites(
    path: Path, findings: Findings, name: str = "receiver", altitude: str = "altitude_m"
) -> dict[str, Measurement]:
    """Receivers by name, as measurements that say nothing but places: of the columns ``name``, latitude, longitude and,
    where there is one, ``altitude``. Raises UserError."""
    found = open_table(path)
    named, latitude, longitude = (found.column(one, "its header") for one in (name, "latitude", "longitude"))
    height = found.column(altitude, "its header") if altitude in map(str.lower, found.columns) else None

    def sites() -> Iterator[tuple[Line, str, Measurement]]:
        for at, row in found.rows(findings):
            with findings.at(at, row[named]):
                where = place(row, latitude, longitude)
                if where is None:
                    raise Wrong("no_place", "the receiver has no place")
                said = {"latitude": where[0], "longitude": where[1], "altitude_m": number(row, height)}
                yield at, row[named], Measurement(receiver=row[named], **said)

    return {one.receiver: one for one in distinct(sites(), findings)}


class SplitOptions(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How groups are dealt to --split train, calibration and test: shares of the groups, the rest is for training."""

    test_share: Share = 0.2
    calibration_share: ShareOrZero = 0.0
    seed: int = 0

    def part_of(self, group: str) -> str:
        """The part that all of a group is in, which depends on its name and these options and on nothing else."""
        digest = hashlib.sha256(f"{self.seed}/{group}".encode()).digest()
        place = int.from_bytes(digest[:8], "big") / 2**64
        if place < self.test_share:
            return "test"
        return "calibration" if place < self.test_share + self.calibration_share else "train"


def distinct(named: Iterable[tuple[Position, str, T]], findings: Findings) -> Iterator[T]:
    """What has a name that was not there before; the others are noted."""
    seen: set[str] = set()
    for at, name, one in named:
        if name in seen:
            findings.note(at, name, Wrong("id_twice", f"the id {name!r} stands more than once"))
            continue
        seen.add(name)
        yield one

"""Messages in a CSV file: a row a message, a column a receiver with the level in dBm, and where it was sent.

So are LoRaWAN data sets published, for example (Aernouts et al., Data 2018: -200 stands for "not heard").
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from pathlib import Path

from pipeline.errors import UserError
from pipeline.records.findings import Findings, Line, Wrong
from pipeline.tasks.localization.convert import table
from pipeline.tasks.localization.convert.receivers import Sites
from pipeline.tasks.localization.rows import Example, Measurement


class CsvOptions(table.SplitOptions, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Names of columns, null where there is none of the kind. ``receivers`` is a pattern for those of the receivers
    (``BS *``): all that have no other use by default. ``not_heard`` is the number that stands for no level; an empty
    cell does, too. ``frequency_mhz`` is that of all messages."""

    latitude: str = "latitude"
    longitude: str = "longitude"
    id: str | None = None
    group: str | None = None
    time: str | None = None
    altitude_m: str | None = None
    receivers: str = "*"
    not_heard: float = -200.0
    frequency_mhz: float | None = None
    delimiter: table.Delimiter = ","


@dataclass(frozen=True)
class Columns:
    """Which columns of a file say what."""

    latitude: str
    longitude: str
    id: str | None
    group: str | None
    time: str | None
    altitude_m: str | None
    receivers: Sequence[str]


def read_messages(
    path: Path, options: CsvOptions, sites: Sites, split: str | None, findings: Findings
) -> tuple[list[Example], list[str]]:
    """An example a row, and what a user should know. What is bad is left out, and noted. Raises UserError.

    An id is that of its column, else the number of the row's line.
    """
    found = table.open_table(path, options.delimiter)
    columns = _columns(found, options)
    if split is not None and columns.group is None:
        remedy = "name the column of the device, by which data are split: --set group=NAME"
        raise UserError("--split needs to know whose message each row is", where=str(path), remedy=remedy)
    examples = list(table.distinct(_messages(found, columns, options, sites, findings), findings))
    if split is not None:
        examples = [e for e in examples if options.part_of(e.group or "") == split]
    return examples, _notes(columns, sites)


def _columns(found: table.Table, options: CsvOptions) -> Columns:
    names = {key: getattr(options, key) for key in ("latitude", "longitude", "id", "group", "time", "altitude_m")}
    used = {key: None if name is None else found.column(name, f"--set {key}=NAME") for key, name in names.items()}
    receivers = [c for c in found.columns if c not in used.values() and fnmatchcase(c, options.receivers)]
    if not receivers:
        remedy = "say what their columns are called, for example --set 'receivers=BS *'"
        raise UserError(f"no column is like {options.receivers!r}", where=f"{found.path}:1", remedy=remedy)
    return Columns(receivers=receivers, **used)  # type: ignore[arg-type]


def _messages(
    found: table.Table, columns: Columns, options: CsvOptions, sites: Sites, findings: Findings
) -> Iterator[tuple[Line, str, Example]]:
    for at, row in found.rows(findings):
        name = str(at.index) if columns.id is None else row[columns.id]
        with findings.at(at, name):
            yield at, name, _message(name, row, columns, options, sites)


def _message(name: str, row: table.Row, columns: Columns, options: CsvOptions, sites: Sites) -> Example:
    where = table.place(row, columns.latitude, columns.longitude)
    heard = {one: level for one in columns.receivers if (level := _level(row, one, options)) is not None}
    if not heard:
        raise Wrong("not_heard", "no receiver heard it")
    group = None if columns.group is None else row[columns.group]
    if columns.group is not None and not group:
        raise Wrong("no_group", "it is not said whose message it is", columns.group)
    return Example(
        id=name,
        measurements=tuple(
            Measurement(receiver=one, level_dbm=level, **(sites[one]._asdict() if one in sites else {}))
            for one, level in heard.items()
        ),
        frequency_mhz=options.frequency_mhz,
        altitude_m=table.optional_number(row, columns.altitude_m),
        group=group,
        time=None if columns.time is None else row[columns.time] or None,
        latitude=None if where is None else where[0],
        longitude=None if where is None else where[1],
    )


def _level(row: table.Row, column: str, options: CsvOptions) -> float | None:
    """What a receiver measured, None where it heard nothing. Raises Wrong."""
    level = table.optional_number(row, column)
    if level is None or level == options.not_heard:
        return None
    if not table.LEAST_LEVEL_DBM < level <= table.MOST_LEVEL_DBM:
        what = f"{level:g} is no level in dBm: is {column!r} a receiver (--set receivers=PATTERN names them)?"
        raise Wrong("no_level", what, column)
    return level


def _notes(columns: Columns, sites: Sites) -> list[str]:
    without = [one for one in columns.receivers if one not in sites]
    if not sites:
        return [f"no places of the {len(without):,} receivers: --file places=FILE gives them, where they are known"]
    return [f"{len(without):,} receivers have no place, {', '.join(without[:5])} among them"] if without else []

"""Messages in a CSV file: a row a message, a column a receiver with the level in dBm, and where it was sent.

So are LoRaWAN data sets published, for example (Aernouts et al., Data 2018: -200 stands for "not heard").
"""

from collections.abc import Iterator, Mapping, Sequence
from fnmatch import fnmatchcase
from pathlib import Path
from typing import cast

import msgspec

from pipeline.contract.jobs import ConvertJob
from pipeline.errors import UserError
from pipeline.records.findings import Findings, Line, Wrong
from pipeline.tasks.localization.convert import from_geojson, table
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


def read_messages(job: ConvertJob, findings: Findings) -> tuple[list[Example], list[str]]:
    """An example a row, and what a user should know. What is bad is left out, and noted. Raises UserError.

    An id is that of its column, else the number of the row's line.
    """
    path, options = job.files["input"], cast(CsvOptions, job.options)
    sites = _sites(job.files["places"], findings) if "places" in job.files else {}
    found = table.open_table(path, options.delimiter)
    columns, receivers = _columns(found, options)
    if job.split is not None and columns.group is None:
        remedy = "name the column of the device, by which data are split: --set group=NAME"
        raise UserError("--split needs to know whose message each row is", where=str(path), remedy=remedy)

    def messages() -> Iterator[tuple[Line, str, Example]]:
        for at, row in found.rows(findings):
            name = str(at.index) if columns.id is None else row[columns.id]
            with findings.at(at, name):
                heard = {one: level for one in receivers if (level := _level(row, one, options)) is not None}
                yield at, name, _message(name, row, columns, [_heard(sites, *one) for one in heard.items()])

    examples = list(table.distinct(messages(), findings))
    if job.split is not None:
        examples = [e for e in examples if options.part_of(e.group or "") == job.split]
    return examples, _notes(receivers, sites)


def _sites(path: Path, findings: Findings) -> dict[str, Measurement]:
    if path.suffix.lower() in (".geojson", ".json"):
        return from_geojson.read_sites(path, findings)
    return table.read_sites(path, findings)


def _columns(found: table.Table, options: CsvOptions) -> tuple[CsvOptions, Sequence[str]]:
    """The options with the names that the columns have in the file, and the columns of the receivers."""
    said = {key: getattr(options, key) for key in ("latitude", "longitude", "id", "group", "time", "altitude_m")}
    used = {key: name and found.column(name, f"--set {key}=NAME") for key, name in said.items()}
    receivers = [c for c in found.columns if c not in used.values() and fnmatchcase(c, options.receivers)]
    if not receivers:
        remedy = "say what their columns are called, for example --set 'receivers=BS *'"
        raise UserError(f"no column is like {options.receivers!r}", where=f"{found.path}:1", remedy=remedy)
    return msgspec.structs.replace(options, **used), receivers


def _heard(sites: Mapping[str, Measurement], receiver: str, level: float) -> Measurement:
    return msgspec.structs.replace(sites.get(receiver, Measurement(receiver=receiver)), level_dbm=level)


def _message(name: str, row: table.Row, columns: CsvOptions, measurements: Sequence[Measurement]) -> Example:
    where = table.place(row, columns.latitude, columns.longitude)
    if not measurements:
        raise Wrong("not_heard", "no receiver heard it")
    group = None if columns.group is None else row[columns.group]
    if group == "":
        raise Wrong("no_group", "it is not said whose message it is", columns.group or "")
    return Example(
        id=name,
        measurements=tuple(measurements),
        frequency_mhz=columns.frequency_mhz,
        altitude_m=table.number(row, columns.altitude_m),
        group=group,
        time=None if columns.time is None else row[columns.time] or None,
        latitude=where and where[0],
        longitude=where and where[1],
    )


def _level(row: table.Row, column: str, options: CsvOptions) -> float | None:
    """What a receiver measured, None where it heard nothing. Raises Wrong."""
    level = table.number(row, column)
    if level is None or level == options.not_heard:
        return None
    if not table.LEAST_LEVEL_DBM < level <= table.MOST_LEVEL_DBM:
        what = f"{level:g} is no level in dBm: is {column!r} a receiver (--set receivers=PATTERN names them)?"
        raise Wrong("no_level", what, column)
    return level


def _notes(receivers: Sequence[str], sites: Mapping[str, Measurement]) -> list[str]:
    without = [one for one in receivers if one not in sites]
    if not sites:
        return [f"no places of the {len(without):,} receivers: --file places=FILE gives them, where they are known"]
    return [f"{len(without):,} receivers have no place, {', '.join(without[:5])} among them"] if without else []

"""Aircraft that receivers heard, in the form of LocaRDS (Schaefer, Strohmeier, Leonardi, Lenders: "LocaRDS: A
Localization Reference Data Set", Sensors 2021): a row a message, and the receivers with their times of arrival.

``sensors.csv`` says where they stand. What they say of strength is no level in dBm, and is left out.
"""

import math
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import cast

import msgspec
import numpy as np

from pipeline.contract.jobs import ConvertJob
from pipeline.errors import UserError
from pipeline.files.hashes import hash_config, sha256_file
from pipeline.records.findings import Findings, Line, Wrong
from pipeline.stats import Floats
from pipeline.tasks.localization import geo
from pipeline.tasks.localization.convert import table
from pipeline.tasks.localization.measured import heard_of
from pipeline.tasks.localization.rows import Example, Measurement, place_of
from pipeline.tasks.localization.world.propagation import SPEED_M_PER_NS

SENSORS = "sensors.csv"
PRIOR_WEIGHT = 20  # residuals: how many of its own outweigh what all receivers say together
GAUSSIAN = 1.4826  # standard deviation of a Gaussian by its median absolute deviation
LEAST_SIGMA_NS = 10.0  # a clock does not read better: times of some come in steps of 15.6 ns


def files_of(path: Path) -> tuple[list[Path], Path]:
    """The files of messages of a folder (or the one that ``path`` is), and that of the receivers. Raises UserError."""
    folder = path if path.is_dir() else path.parent
    messages = sorted(one for one in path.glob("*.csv") if one.name != SENSORS) if path.is_dir() else [path]
    sensors = folder / SENSORS
    if not messages or not sensors.is_file():
        what = f"there is no {SENSORS}" if messages else "there are no files of messages (*.csv)"
        raise UserError(what, where=str(folder), remedy="give the folder, or a file of messages, with --input")
    return messages, sensors


def digest(path: Path) -> str:
    """sha256 over all that rows are made of. Raises UserError."""
    messages, sensors = files_of(path)
    return hash_config({one.name: sha256_file(one) for one in (sensors, *messages)})


def read_messages(job: ConvertJob, findings: Findings) -> tuple[list[Example], list[str]]:
    """The messages of the split (None: all), with the stated errors of their times fitted on the aircraft of "train";
    and what a user should know. Raises UserError."""
    messages, sensors = files_of(job.files["input"])
    sites = table.read_sites(sensors, findings, "serial", "height")
    examples = list(table.distinct((found for one in messages for found in _messages(one, sites, findings)), findings))
    parts = [cast(table.SplitOptions, job.options).part_of(one.group or "") for one in examples]
    sigmas = fit_sigmas([one for one, part in zip(examples, parts, strict=True) if part == "train"])
    stated = [_stated(one, sigmas) for one, part in zip(examples, parts, strict=True) if job.split in (None, part)]
    return stated, ["strengths are left out: they are no levels in dBm"]


def _messages(path: Path, sites: Mapping[str, Measurement], findings: Findings) -> Iterator[tuple[Line, str, Example]]:
    found = table.open_table(path)
    needed = ("id", "aircraft", "timeAtServer", "latitude", "longitude", "geoAltitude", "measurements")
    names = {name: found.column(name, "its header, as LocaRDS does") for name in needed}
    for at, cells in found.rows(findings):
        row = {name: cells[column] for name, column in names.items()}
        with findings.at(at, row["id"]):
            yield at, row["id"], _message(row, sites)


def _message(row: table.Row, sites: Mapping[str, Measurement]) -> Example:
    where = table.place(row, "latitude", "longitude")
    if not row["aircraft"]:
        raise Wrong("no_group", "the aircraft is missing", "aircraft")
    return Example(
        id=row["id"],
        measurements=_measurements(row["measurements"], sites),
        frequency_mhz=1090.0,
        altitude_m=table.number(row, "geoAltitude"),
        group=row["aircraft"],
        time=row["timeAtServer"],
        latitude=where and where[0],
        longitude=where and where[1],
    )


def _measurements(text: str, sites: Mapping[str, Measurement]) -> tuple[Measurement, ...]:
    try:
        listed = msgspec.json.decode(text.encode(), type=list[tuple[int, float, float | None]])
    except msgspec.DecodeError:
        what = "measurements are [[serial, time of arrival in ns, strength], ...]"
        raise Wrong("wrong_type", what, "measurements") from None
    names = [str(serial) for serial, _, _ in listed]
    if not names:
        raise Wrong("not_heard", "no receiver heard it")
    if len({*names}) < len(names):
        raise Wrong("receiver_twice", "a receiver stands twice in measurements")
    unknown = next((name for name in names if name not in sites), None)
    if unknown is not None:
        raise Wrong("unknown_receiver", f"there is no receiver {unknown} in {SENSORS}")
    first = math.floor(min(arrival for _, arrival, _ in listed))  # times count from it: float64 keeps fractions
    return tuple(
        msgspec.structs.replace(sites[name], arrival_ns=arrival - first)
        for name, (_, arrival, _) in zip(names, listed, strict=True)
    )


def fit_sigmas(examples: Sequence[Example]) -> Mapping[str, float]:
    """The error of each receiver's times in ns, and under "" that of one that is not in ``examples``.

    Residuals are those of the arrivals at the true place, against their median in the message. A receiver's variance is
    that of the Gaussian with its median absolute residual, drawn to that of all by `PRIOR_WEIGHT`. One in twenty
    residuals is five times what such a Gaussian says at most: solvers are to expect that.
    """
    residuals: dict[str, list[float]] = defaultdict(list)
    for one in examples:
        if place_of(one) is not None and one.altitude_m is not None:
            for measurement, residual in zip(one.measurements, _residuals_ns(one), strict=True):
                residuals[measurement.receiver].append(abs(float(residual)))
    if not residuals:
        remedy = "a larger part for training has some: --set test_share=.2"
        raise UserError("no aircraft of the part train says where it was: there are no errors to learn", remedy=remedy)
    common = _variance([value for found in residuals.values() for value in found])
    pooled = {
        name: (len(found) * _variance(found) + PRIOR_WEIGHT * common) / (len(found) + PRIOR_WEIGHT)
        for name, found in sorted(residuals.items())
    }
    return {name: round(math.sqrt(value), 1) for name, value in pooled.items()} | {"": round(math.sqrt(common), 1)}


def _variance(residuals: Sequence[float]) -> float:
    return max(GAUSSIAN * float(np.median(residuals)), LEAST_SIGMA_NS) ** 2


def _residuals_ns(one: Example) -> Floats:
    """How much later each receiver heard it than the median of them, after what the way takes."""
    heard = heard_of([one])
    receivers = geo.to_cartesian(heard.places[0, :, :2], heard.places[0, :, 2])
    on_the_way = np.linalg.norm(receivers - geo.to_cartesian(heard.truth, heard.altitude_m), axis=1) / SPEED_M_PER_NS
    late = heard.arrival_ns[0] - on_the_way
    return np.asarray(late - np.median(late), np.float64)


def _stated(one: Example, sigmas: Mapping[str, float]) -> Example:
    stated = [msgspec.structs.replace(m, sigma_ns=sigmas.get(m.receiver, sigmas[""])) for m in one.measurements]
    return msgspec.structs.replace(one, measurements=tuple(stated))

"""LocaRDS: messages of aircraft with times of arrival, whose errors are learned from the aircraft of one part."""

import json
import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from pipeline.contract.jobs import ConvertJob
from pipeline.errors import UserError
from pipeline.files import read_all
from pipeline.tasks.localization import geo
from pipeline.tasks.localization.convert.convert import convert
from pipeline.tasks.localization.convert.table import PARTS, SplitOptions
from pipeline.tasks.localization.rows import Example
from pipeline.tasks.localization.world.propagation import SPEED_M_PER_NS

SITES = {1: (47.0, 8.0, 500.0), 2: (47.5, 9.0, 400.0), 3: (48.0, 8.2, 600.0), 4: (47.2, 9.4, 700.0)}
AIRCRAFT = [str(n) for n in range(30)]
REAL = os.environ.get("BATON_LOCARDS")


def arrivals(place: tuple[float, float], altitude_m: float, late_ns: dict[int, float]) -> list[list[float]]:
    """What the receivers of `SITES` report, each some ns late."""
    receivers = np.array([*SITES.values()])
    source = geo.to_cartesian(np.array(place), altitude_m)
    ranges = np.linalg.norm(geo.to_cartesian(receivers[:, :2], receivers[:, 2]) - source, axis=1)
    times = 4e12 + ranges / SPEED_M_PER_NS
    return [[one, round(time + late_ns.get(one, 0.0)), 50] for one, time in zip(SITES, times.tolist(), strict=True)]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A data set in which receiver 4 is wrong by about 1,000 ns, and the others by about 20."""
    lines = ["serial,latitude,longitude,height,type,good"]
    lines += [f"{name},{lat},{lon},{height},Radarcape,TRUE" for name, (lat, lon, height) in SITES.items()]
    (tmp_path / "set").mkdir()
    (tmp_path / "set/sensors.csv").write_text("\n".join(lines))
    chance = np.random.default_rng(5)
    header = "id,timeAtServer,aircraft,latitude,longitude,baroAltitude,geoAltitude,numMeasurements,measurements"
    rows = [header]
    for n in range(300):
        late = {one: float(chance.normal(0, 1000 if one == 4 else 20)) for one in SITES}
        found = json.dumps(arrivals((47.4, 8.5), 10_000, late))
        rows.append(f'{n},{n / 10},{n % 30},47.4,8.5,9900,10000,4,"{found}"')
    (tmp_path / "set/set_1.csv").write_text("\n".join(rows) + "\n")
    return tmp_path / "set"


def converted(source: Path, out: Path, **changes: Any) -> list[Example]:
    options = SplitOptions()
    convert(ConvertJob("from", "locards", {"input": source}, out, **({"options": options} | changes)))
    return read_all(out / "examples.jsonl", Example)


def test_the_truth_its_altitude_and_the_arrivals_are_kept(folder: Path, tmp_path: Path) -> None:
    one = converted(folder, tmp_path / "out")[7]
    assert (one.id, one.group, one.time) == ("7", "7", "0.7")
    assert (one.latitude, one.longitude, one.altitude_m, one.frequency_mhz) == (47.4, 8.5, 10_000, 1090)
    assert [m.receiver for m in one.measurements] == ["1", "2", "3", "4"]
    assert (one.measurements[0].latitude, one.measurements[0].altitude_m) == (47.0, 500.0)
    assert min(m.arrival_ns for m in one.measurements if m.arrival_ns is not None) == 0.0
    assert {m.level_dbm for m in one.measurements} == {None}


def test_the_stated_error_is_that_of_each_receiver(folder: Path, tmp_path: Path) -> None:
    stated = {m.receiver: m.sigma_ns for m in converted(folder, tmp_path / "out")[0].measurements}
    assert 700 < (stated["4"] or 0) < 1300
    assert all(10 <= (stated[name] or 0) < 60 for name in ("1", "2", "3"))


def test_errors_are_learned_from_the_aircraft_of_train_alone(folder: Path, tmp_path: Path) -> None:
    test = converted(folder, tmp_path / "test", split="test")
    train = converted(folder, tmp_path / "train", split="train")
    assert not {one.group for one in test} & {one.group for one in train}
    assert {one.group for one in test} | {one.group for one in train} == {*AIRCRAFT}
    moved = {one.id for one in test}
    lines = (folder / "set_1.csv").read_text().splitlines()
    changed = [line if line.split(",")[0] not in moved else line.replace("47.4,8.5", "48.4,8.5") for line in lines]
    (folder / "set_1.csv").write_text("\n".join(changed) + "\n")
    again = converted(folder, tmp_path / "again", split="test")
    assert [one.latitude for one in again] == [48.4] * len(test)
    assert [one.measurements for one in again] == [one.measurements for one in test]


def test_a_part_for_calibration_is_taken_from_training_alone(folder: Path, tmp_path: Path) -> None:
    options = SplitOptions(calibration_share=0.3)
    parts = {name: converted(folder, tmp_path / name, split=name, options=options) for name in PARTS}
    groups = {name: {one.group for one in found} for name, found in parts.items()}
    assert sorted(str(group) for found in groups.values() for group in found) == sorted(AIRCRAFT)
    assert groups["test"] == {one.group for one in converted(folder, tmp_path / "test", split="test")}


@pytest.mark.parametrize(
    ("change", "kind"),
    [
        (("[1,", "[99,"), "unknown_receiver"),
        (("[1,", "[2,"), "receiver_twice"),
        (("[[1,", "[1,"), "wrong_type"),
        (("47.4,8.5", "47.4,"), "no_place"),
        (("9900,10000", "9900,high"), "no_number"),
    ],
)
def test_a_bad_message_is_counted_and_refused(folder: Path, tmp_path: Path, change: tuple[str, str], kind: str) -> None:
    path = folder / "set_1.csv"
    lines = path.read_text().replace(", ", ",").splitlines()
    path.write_text("\n".join([*lines[:3], lines[3].replace(*change), *lines[4:]]) + "\n")
    with pytest.raises(UserError) as refused:
        converted(folder, tmp_path / "out")
    assert refused.value.where == f"{path}:4" or str(refused.value.where).startswith(f"{path}:4:")
    assert len(converted(folder, tmp_path / "out", on_bad="skip")) == 299
    assert kind in (tmp_path / "out/bad.jsonl").read_text()


@pytest.mark.skipif(REAL is None, reason="BATON_LOCARDS names no folder of LocaRDS")
def test_the_real_data_set_is_read(tmp_path: Path) -> None:
    found = converted(Path(REAL or ""), tmp_path / "out", split="test")
    assert len({one.group for one in found}) > 20
    assert all(m.sigma_ns is not None and 10 <= m.sigma_ns < 300 for one in found for m in one.measurements)

"""CSV files as people have them become examples, and what is wrong with them is told."""

from pathlib import Path
from typing import Any

import pytest

from pipeline.files import read_all
from pipeline.tasks.localization.rows import Example, Measurement
from tests.conftest import Baton, Done

HEADER = "BS 1,BS 2,SF,device,RX Time,Latitude,Longitude"
ROWS = ("-101.5,-200,12,a,10:00,51.2,4.4", "-200,-80,7,b,10:01,51.3,4.5", ",-90,7,a,,,")
PLACES = "receiver,latitude,longitude,altitude_m\nBS 1,51.1,4.3,30\nBS 2,51.4,4.6,\n"
PATTERN = ("--set", "receivers=BS *")


@pytest.fixture
def convert(baton: Baton, tmp_path: Path) -> Any:
    """Convert a CSV file of these lines with these options."""

    def run(lines: tuple[str, ...], *options: str, header: str = HEADER) -> Done:
        path = tmp_path / "messages.csv"
        path.write_text("\n".join([header, *lines]) + "\n")
        asked = ("convert", "localization", "--from", "csv", "--input", str(path), "--out", str(tmp_path / "rows"))
        return baton(*asked, "--force", *options)

    return run


def examples(tmp_path: Path) -> list[Example]:
    return read_all(tmp_path / "rows/examples.jsonl", Example)


def test_a_row_is_a_transmission_with_what_was_heard(convert: Any, tmp_path: Path) -> None:
    done = convert(ROWS, *PATTERN, "--set", "group=device", "--set", "time=RX Time")
    assert done.code == 0, done.err
    first, second, third = examples(tmp_path)
    assert first == Example(
        id="2", measurements=(Measurement(receiver="BS 1", level_dbm=-101.5),), group="a", time="10:00", latitude=51.2,
        longitude=4.4,
    )  # fmt: skip
    assert [m.receiver for m in second.measurements] == ["BS 2"]
    assert (third.latitude, third.longitude, third.time, third.id) == (None, None, None, "4")
    assert "no places of the 2 receivers" in done.out


def test_places_of_receivers_come_from_a_csv_or_a_geojson_file(convert: Any, tmp_path: Path) -> None:
    (tmp_path / "places.csv").write_text(PLACES)
    points = '{"type": "Feature", "properties": {"name": "BS %d"}, "geometry": {"type": "Point", "coordinates": %s}}'
    listed = ", ".join([points % (1, "[4.3, 51.1, 30]"), points % (2, "[4.6, 51.4]")])
    (tmp_path / "places.geojson").write_text(f'{{"type": "FeatureCollection", "features": [{listed}]}}')
    heard = Measurement(receiver="BS 1", latitude=51.1, longitude=4.3, altitude_m=30.0, level_dbm=-101.5)
    for name in ("places.csv", "places.geojson"):
        assert convert(ROWS, *PATTERN, "--file", f"places={tmp_path / name}").code == 0
        assert examples(tmp_path)[0].measurements == (heard,)


def test_other_names_a_semicolon_and_another_number_for_not_heard(convert: Any, tmp_path: Path) -> None:
    said = ("delimiter=;", "latitude=y", "longitude=x", "id=n", "not_heard=1", "altitude_m=h", "frequency_mhz=868.1")
    options = [word for one in said for word in ("--set", one)]
    assert convert(("m1;-70;1;10;20;3",), *options, header="n;ap 1;ap 2;y;x;h").code == 0
    heard = (Measurement(receiver="ap 1", level_dbm=-70.0),)
    assert examples(tmp_path) == [
        Example(id="m1", measurements=heard, frequency_mhz=868.1, altitude_m=3.0, latitude=10.0, longitude=20.0)
    ]
    wrong = convert(("m1;-70;1;10;20;3",), header="n;ap 1;ap 2;y;x;h")
    assert (wrong.code, "--set 'delimiter=;'" in wrong.err) == (2, True)


def test_parts_hold_whole_devices_and_do_not_depend_on_the_order(convert: Any, tmp_path: Path) -> None:
    lines = tuple(f"-90,-200,{n % 40},0,51,4" for n in range(400))
    header = "BS 1,BS 2,device,t,latitude,longitude"
    groups: dict[str, list[set[str | None]]] = {}
    for part in ("train", "test"):
        for order in (lines, lines[::-1]):
            assert convert(order, *PATTERN, "--set", "group=device", "--split", part, header=header).code == 0
            groups.setdefault(part, []).append({e.group for e in examples(tmp_path)})
    train, test = groups["train"][0], groups["test"][0]
    assert groups["train"][1] == train and groups["test"][1] == test
    assert not train & test and len(train | test) == 40 and 2 <= len(test) <= 16
    again = (*PATTERN, "--set", "group=device", "--split", "test", "--set", "seed=5")
    assert convert(lines, *again, header=header).code == 0
    assert {e.group for e in examples(tmp_path)} != test
    alone = convert(lines, *PATTERN, "--split", "test", header=header)
    assert (alone.code, "--set group=NAME" in alone.err) == (2, True)


@pytest.mark.parametrize(
    ("line", "kind", "what"),
    [
        ("-90,-200,7,a,t,91,4", "out_of_range", "latitude 91"),
        ("-90,-200,7,a,t,51,", "no_place", "one of latitude and longitude"),
        ("-200,-200,7,a,t,51,4", "not_heard", "no receiver heard it"),
        ("-90,-200,7,a,t,51", "wrong_row", "6 cells, the header 7"),
        ("-90 dBm,-200,7,a,t,51,4", "no_number", "'-90 dBm' is no number"),
        ("inf,-200,7,a,t,51,4", "no_number", "'inf' is no number"),
        ("12,-200,7,a,t,51,4", "no_level", "is 'BS 1' a receiver"),
        ("-90,-200,7,,t,51,4", "no_group", "whose message"),
    ],
)
def test_a_bad_row_is_refused_or_left_out(convert: Any, tmp_path: Path, line: str, kind: str, what: str) -> None:
    options = (*PATTERN, "--set", "group=device")
    refused = convert((ROWS[0], line), *options)
    assert refused.code == 2 and what in refused.err and "messages.csv:3" in refused.err
    skipped = convert((ROWS[0], line), *options, "--on-bad", "skip", "--json")
    assert skipped.json["counts"] == {f"num_{kind}": 1, "num_transmissions": 1, "num_measurements": 1, "num_groups": 1}
    assert f'"kind":"{kind}"' in (tmp_path / "rows/bad.jsonl").read_text()


def test_a_column_that_is_no_receiver_is_not_taken_for_one(convert: Any) -> None:
    refused = convert(ROWS[:2], "--set", "group=device", "--set", "time=RX Time")
    assert refused.code == 2 and ":2:SF" in refused.err and "--set receivers=PATTERN" in refused.err


def test_what_the_format_does_not_know_is_refused_with_the_nearest(convert: Any) -> None:
    assert "did you mean 'places'?" in convert(ROWS, "--file", "place=x.csv").err
    assert "did you mean 'not_heard'?" in convert(ROWS, "--set", "not_herd=-100").err
    assert "did you mean 'Latitude'?" in convert(ROWS, "--set", "latitude=latitud").err
    assert "known: train, calibration, test" in convert(ROWS, "--split", "val").err

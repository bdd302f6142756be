"""Recorded IQ, with and without metadata, becomes what its receivers measured."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pytest

from benchmarks.tools.iq_signals import Samples, Signal, receive, transmit
from pipeline.errors import UserError
from pipeline.tasks.localization.infer.answer import answer_measured
from pipeline.tasks.localization.rows import Example, Measurement, Prediction
from pipeline.tasks.localization.signal.recording import hash_recordings, read_recording, with_measurements
from tests.tasks.localization.signal.recordings import write_numbers, write_recording

RECEIVERS = (
    Measurement(receiver="a", latitude=45.0, longitude=7.5, altitude_m=200.0),
    Measurement(receiver="b", latitude=45.2, longitude=7.8),
)
NAMED = [msgspec.to_builtins(one) for one in RECEIVERS]


@pytest.fixture(scope="module")
def heard() -> Samples:
    """Two receivers, the second 30 us later, at a tenth of full scale."""
    generator = np.random.default_rng(0)
    return receive(transmit(Signal("qpsk", 0.004, 1e5), generator), [0.0, 3e-5], [30, 20], generator) / 200


def example(name: str | None, receivers: Any = RECEIVERS) -> Example:
    return Example(id="x", recording=name, measurements=receivers)


def test_a_record_takes_what_its_recording_says(heard: Samples, tmp_path: Path) -> None:
    said = {"localization:full_scale_dbm": -10.0, "core:sample_rate": 200_000}
    write_recording(tmp_path / "one.sigmf-meta", heard, said)
    first, second = with_measurements(example("one.sigmf-meta"), tmp_path).measurements
    assert (first.receiver, first.latitude, first.altitude_m, first.arrival_ns) == ("a", 45.0, 200.0, 0.0)
    assert second.arrival_ns == pytest.approx(30_000, abs=100)
    assert 0 < (first.sigma_ns or 0) < (second.sigma_ns or 0) < 100
    assert first.level_dbm == pytest.approx(30 - 46 - 10, abs=0.7)


def test_receivers_may_stand_in_the_metadata(heard: Samples, tmp_path: Path) -> None:
    write_recording(tmp_path / "one.sigmf-meta", heard, {"localization:receivers": NAMED})
    found = with_measurements(example("one.sigmf-data", ()), tmp_path)
    assert found == with_measurements(example("one.sigmf-data"), tmp_path)


def test_samples_may_be_floats(heard: Samples, tmp_path: Path) -> None:
    write_recording(tmp_path / "one.sigmf-meta", heard, {"core:datatype": "cf32_le"})
    write_numbers(tmp_path / "one.sigmf-data", heard, "<f4")
    found = read_recording(example("one.sigmf-data"), tmp_path)
    assert np.abs(found.samples - heard).max() < 1e-6 and found.sample_rate_hz == 200_000


@pytest.mark.parametrize(("suffix", "number"), [("ci16", "<i2"), ("cf32", "<f4")])
def test_numbers_alone_are_measured_as_with_metadata(heard: Samples, tmp_path: Path, suffix: str, number: str) -> None:
    write_recording(tmp_path / "one.sigmf-meta", heard, {"core:datatype": f"{suffix}_le"})
    write_numbers(tmp_path / "one.sigmf-data", heard, number)
    write_numbers(tmp_path / f"raw.{suffix}", heard, number)
    found = with_measurements(example(f"raw.{suffix}"), tmp_path).measurements
    assert found == with_measurements(example("one.sigmf-meta"), tmp_path).measurements
    assert found[1].arrival_ns == pytest.approx(30_000, abs=100)


@pytest.mark.parametrize("name", ["raw.cf32", "one.sigmf-meta"])
def test_the_hash_changes_with_the_samples(tmp_path: Path, name: str) -> None:
    write_recording(tmp_path / "one.sigmf-meta", np.zeros((2, 800)), {})
    write_numbers(tmp_path / "raw.cf32", np.zeros((2, 800)), "<f4")
    before = hash_recordings([name], tmp_path)
    assert before == hash_recordings([name, name], tmp_path)
    (tmp_path / name.replace("-meta", "-data")).write_bytes(b"other")
    assert hash_recordings([name], tmp_path) != before


def test_what_was_measured_already_stays(tmp_path: Path) -> None:
    done = example("gone.sigmf-meta", (msgspec.structs.replace(RECEIVERS[0], level_dbm=-80.0),))
    assert with_measurements(done, tmp_path) is done
    assert with_measurements(example(None), tmp_path) == example(None)


@pytest.mark.parametrize(
    ("name", "what"),
    [
        ("../one.sigmf-meta", "leads out of its folder"),
        ("/etc/one.sigmf-meta", "leads out of its folder"),
        ("one.wav", "nothing says how its samples are stored"),
        ("gone.sigmf-meta", "cannot read the file"),
        ("gone.cf32", "cannot read the samples"),
        ("odd.ci16", "are no recording of 2 channels"),
        ("short.sigmf-meta", "are no recording of 2 channels"),
        ("odd.sigmf-meta", "are no recording of 2 channels"),
        ("nan.sigmf-meta", "some samples are no numbers"),
        ("three.sigmf-meta", "has 3 channels, and 2 receivers"),
        ("bits.sigmf-meta", "do not say how samples are stored"),
        ("rate.sigmf-meta", "more than 0"),
        ("text.sigmf-meta", "metadata are wrong"),
    ],
)
def test_what_is_no_recording_is_told(tmp_path: Path, name: str, what: str) -> None:
    datas = {"short": b"\0" * 160, "odd": b"\0" * 8001, "nan": np.full(4000, np.nan, "<f4").tobytes()}
    for stem, data in datas.items():
        write_recording(tmp_path / f"{stem}.sigmf-meta", np.zeros((2, 800), np.complex64), {"core:datatype": "cf32_le"})
        (tmp_path / f"{stem}.sigmf-data").write_bytes(data)
    (tmp_path / "odd.ci16").write_bytes(datas["odd"])
    write_recording(tmp_path / "three.sigmf-meta", np.zeros((3, 800), np.complex64), {})
    write_recording(tmp_path / "rate.sigmf-meta", np.zeros((2, 800), np.complex64), {"core:sample_rate": 0})
    write_recording(tmp_path / "text.sigmf-meta", np.zeros((2, 800), np.complex64), {"core:sample_rate": "fast"})
    (tmp_path / "bits.sigmf-meta").write_text(json.dumps({"global": {"core:datatype": "cu8"}}))
    with pytest.raises(UserError, match=what):
        with_measurements(example(name), tmp_path)


def test_a_record_that_cannot_be_measured_fails_alone_and_in_its_place(heard: Samples, tmp_path: Path) -> None:
    write_recording(tmp_path / "one.sigmf-meta", heard, {})
    write_recording(tmp_path / "quiet.sigmf-meta", np.zeros((2, 800)), {})
    records = [
        msgspec.structs.replace(example(name), id=str(n))
        for n, name in enumerate(["gone.sigmf-meta", "one.sigmf-meta", "quiet.sigmf-meta", "one.sigmf-meta"])
    ]

    def answer(ready: Sequence[Example]) -> list[Prediction]:
        return [Prediction(id=one.id, model="m", measurements=one.measurements) for one in ready]

    rows = answer_measured(records, tmp_path, "m", answer)
    assert [row.id for row in rows] == ["0", "1", "2", "3"]
    assert [(row.error or "").partition(":")[0] for row in rows] == ["bad_recording", "", "bad_recording", ""]
    assert rows[0].recording == "gone.sigmf-meta" and rows[1].measurements[1].arrival_ns == pytest.approx(
        30_000, abs=100
    )

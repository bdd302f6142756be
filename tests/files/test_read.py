"""Reading and encoding JSONL: rows come back as written; torn, foreign and broken files are named."""

import bz2
import gc
import gzip
import json
import re
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import orjson
import pytest
import zstandard
from hypothesis import given
from hypothesis import strategies as st

from pipeline import files as jsonl
from pipeline.errors import UserError
from pipeline.files.decode import Head
from pipeline.files.foreign import BOM
from schemas import upgrades
from tests.support.toy_rows import FIVE, Fix, fix, run_python


@pytest.fixture
def five(tmp_path: Path) -> Path:
    path = tmp_path / "predictions.jsonl"
    jsonl.write_all(path, FIVE)
    return path


# Encoding


def test_a_row_is_one_line_of_plain_json() -> None:
    line = jsonl.encode(FIVE[1])
    assert line.count(b"\n") == 1 and line.endswith(b"\n")
    assert json.loads(line) == {
        "task": "toy", "id": "r1", "schema": "prediction_v1", "model": "abc", "error": None,
        "error_m": 0.25, "trace": [[0.5, 1.0]], "note": "a\nb é",
    }  # fmt: skip


def test_numpy_arrays_and_scalars_are_lists_and_numbers() -> None:
    row = {"f": np.array([[0.1, 2.0]], np.float32), "i": np.int64(3), "b": np.bool_(True), "t": np.arange(4)[::2]}
    assert jsonl.encode(row) == b'{"f":[[0.1,2.0]],"i":3,"b":true,"t":[0,2]}\n'


@pytest.mark.parametrize(
    ("row", "field"),
    [
        (fix(1, trace=((0.0,), (1.0, float("nan")))), "trace[1][1]"),
        (fix(1, trace=((float("-inf"),),)), "trace[0][0]"),
        (Fix(id="r1", model="abc", error_m=float("inf")), "error_m"),
        ({"id": "r1", "a": {"b": [{"q": float("nan")}]}}, "a.b[0].q"),
        ({"id": "r1", "a": np.array([1.0, np.nan])}, "a[1]"),
        ({"id": "r1", "a": np.array([[1.0, np.inf]], np.float32)}, "a[0][1]"),
        ({"id": "r1", "a": np.float32("nan")}, "a"),
    ],
)
def test_nan_and_infinity_are_refused_by_the_name_of_their_field(row: object, field: str) -> None:
    with pytest.raises(UserError) as caught:
        jsonl.encode(row)
    assert f"field {field} of" in str(caught.value) and "'r1'" in str(caught.value)


@given(st.floats(allow_nan=False, allow_infinity=False) | st.none() | st.text())
def test_no_finite_value_is_refused_and_all_read_back(value: float | str | None) -> None:
    assert orjson.loads(jsonl.encode({"a": [value], "b": None})) == {"a": [value], "b": None}


def test_what_json_has_no_word_for_is_refused() -> None:
    with pytest.raises(TypeError, match="Path"):
        jsonl.encode({"path": Path("x")})


# Reading


def test_rows_read_back_as_they_were_written(five: Path) -> None:
    assert jsonl.read_all(five, Fix) == list(jsonl.read(five, Fix)) == FIVE
    assert jsonl.scan(five, Fix) == jsonl.Scan(FIVE, five.stat().st_size, None)
    assert [row["id"] for row in jsonl.read_all(five, dict)] == ["r0", "r1", "r2", "r3", "r4"]
    assert jsonl.head(five) == Head("prediction_v1", "toy", "r0")


def test_compressed_files_read_like_plain_ones(tmp_path: Path) -> None:
    path = tmp_path / "predictions.jsonl.zst"
    many = [fix(index) for index in range(20_000)]
    assert jsonl.write_all(path, many) == 20_000
    assert jsonl.read_all(path, Fix) == many
    assert jsonl.head(path).id == "r0"
    whole = path.read_bytes()
    path.write_bytes(whole + whole)  # two frames, as `cat` leaves them
    assert jsonl.read_all(path, Fix) == many + many
    path.write_bytes(whole[:-5])
    torn = jsonl.scan(path, Fix)
    assert torn.torn is not None and torn.rows == many[: len(torn.rows)]
    with pytest.raises(UserError, match="torn"):
        jsonl.read_all(path, Fix)


def test_reading_is_streaming(tmp_path: Path) -> None:
    path = tmp_path / "large.jsonl"
    jsonl.write_all(path, (fix(index, note="x" * 1000) for index in range(5000)))  # 5 MB: several blocks
    with path.open("ab") as file:
        file.write(b"broken\n")
    reader = jsonl.read(path, Fix)
    assert next(reader) == fix(0, note="x" * 1000)  # long before the broken line
    with pytest.raises(UserError) as caught:
        list(reader)
    assert caught.value.where == f"{path}:5001"


def test_blank_lines_are_no_rows(five: Path) -> None:
    five.write_bytes(five.read_bytes().replace(b"\n", b"\n\n", 1) + b"\n")
    assert jsonl.read_all(five, Fix) == FIVE


def test_a_last_line_without_newline_is_read_from_a_finished_file_and_torn_for_a_writer(five: Path) -> None:
    data = five.read_bytes()
    five.write_bytes(data[:-1])
    assert jsonl.read_all(five, Fix) == FIVE
    torn = jsonl.scan(five, Fix)
    assert torn.rows == FIVE[:4] and torn.torn == "the last line has no newline"


@given(st.data())
def test_a_cut_at_any_byte_leaves_exactly_the_rows_before_it(
    tmp_path_factory: pytest.TempPathFactory, data: st.DataObject
) -> None:
    path = tmp_path_factory.mktemp("cut") / "rows.jsonl"
    lines = [jsonl.encode(row) for row in FIVE]
    whole = b"".join(lines)
    cut = data.draw(st.integers(0, len(whole)))
    path.write_bytes(whole[:cut])
    ends = [sum(map(len, lines[: index + 1])) for index in range(5)]
    num_rows = sum(end <= cut for end in ends)
    scan = jsonl.scan(path, Fix)
    assert scan.rows == FIVE[:num_rows] == list(jsonl.read(path, Fix, strict=False))
    assert scan.good_bytes == sum(map(len, lines[:num_rows]))
    assert (scan.torn is None) == (scan.good_bytes == cut)
    with jsonl.Appender(path, resume=True) as appender:
        assert appender.offset == scan.good_bytes
        for row in FIVE[num_rows:]:
            appender.append(row)
    assert path.read_bytes() == whole


def test_a_torn_file_is_refused_with_its_line_and_what_to_run(five: Path) -> None:
    five.write_bytes(five.read_bytes()[:-9])
    with pytest.raises(UserError) as caught:
        jsonl.read_all(five, Fix)
    assert caught.value.where == f"{five}:5"
    assert "torn" in caught.value.what and "run that stage again" in str(caught.value.remedy)


@pytest.mark.parametrize("value", ["NaN", "-Infinity"])
@pytest.mark.parametrize("line", [2, 5])
def test_what_is_no_number_is_told_as_such_and_not_as_damage(five: Path, value: str, line: int) -> None:
    lines = five.read_text().splitlines()
    lines[line - 1] = lines[line - 1].replace('"id":', f'"a_m":{value},"id":', 1)
    five.write_text("\n".join(lines) + "\n")
    with pytest.raises(UserError, match=f"{value} stands for a number") as caught:
        jsonl.read_all(five, Fix)
    assert str(caught.value.where).startswith(f"{five}:{line}, byte ")


@pytest.mark.parametrize("tail", [b"\0" * 4096, b"\0" * 4096 + b"\n", b'{"task":"to\n', b"\xff\xfe\n"])
def test_a_broken_end_is_torn_and_cut_off_on_resume(five: Path, tail: bytes) -> None:
    good = five.read_bytes()
    five.write_bytes(good + tail)
    scan = jsonl.scan(five, Fix)
    assert scan.rows == FIVE and scan.good_bytes == len(good) and scan.torn
    with jsonl.Appender(five, resume=True) as appender:
        appender.append(fix(5))
    assert jsonl.read_all(five, Fix) == [*FIVE, fix(5)]


def test_a_broken_line_in_the_middle_is_never_taken_for_a_torn_one(five: Path) -> None:
    lines = five.read_bytes().splitlines(keepends=True)
    lines[2] = lines[2][:20] + b"\n"
    five.write_bytes(b"".join(lines))
    for reader in (jsonl.scan, jsonl.read_all):
        with pytest.raises(UserError) as caught:
            reader(five, Fix)
        assert caught.value.where == f"{five}:3" and "--force" in str(caught.value.remedy)
    good = jsonl.read(five, Fix, strict=False)
    assert [next(good), next(good)] == FIVE[:2]
    with pytest.raises(UserError):
        next(good)


@pytest.mark.parametrize(
    ("old", "new", "where", "what"),
    [
        (b'"error_m":0.5', b'"error_m":"far"', ":3:error_m", "Expected 'float', got 'str'"),
        (b'"id":"r2"', b'"id":"r2","x":1', ":3", "Object contains unknown field 'x'"),
        (b'"r2","schema":"prediction_v1"', b'"r2","schema":"prediction_v9"', ":3:schema", "known: prediction_v1"),
        (b'"r2","schema":"prediction_v1"', b'"r2","schema":"metric_v1"', ":3:schema", "this is a file of metric rows"),
        (b'"task":"toy","id":"r2"', b'"task":"detection","id":"r2"', ":3:task", "task 'detection', not of 'toy'"),
        (b'[[0.5,1.0]],"note":"a\\nb \xc3\xa9"}\n{"task":"toy","id":"r3"', b'[[0.5,null]]}\n{"task":"toy","id":"r3"',
         ":3:trace[0][1]", "Expected 'float', got 'null'"),
    ],
)  # fmt: skip
def test_an_invalid_row_is_named_by_file_line_and_field(
    five: Path, old: bytes, new: bytes, where: str, what: str
) -> None:
    data = five.read_bytes()
    assert old in data
    five.write_bytes(data.replace(old, new, 1))
    for reader in (jsonl.read_all, jsonl.scan, lambda path, kind: list(jsonl.read(path, kind))):
        with pytest.raises(UserError) as caught:
            reader(five, Fix)
        assert caught.value.where == f"{five}{where}"
        assert what in caught.value.what and caught.value.remedy


def test_an_unknown_version_says_what_to_run(five: Path) -> None:
    five.write_bytes(five.read_bytes().replace(b"prediction_v1", b"prediction_v7"))
    with pytest.raises(UserError) as caught:
        jsonl.read_all(five, Fix)
    assert "prediction_v7" in caught.value.what
    assert "baton infer toy --force" in str(caught.value.remedy)


@pytest.mark.parametrize("content", [b"", b"\x89PNG\r\n\x1a\n", b"[1]\n", b'{"a":1}\n', b'{"schema":"x"', b"\xff\n"])
def test_head_refuses_what_is_no_file_of_rows(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "x.jsonl"
    path.write_bytes(content)
    with pytest.raises(UserError) as caught:
        jsonl.head(path)
    assert str(path) in str(caught.value.where)


def test_missing_files_and_folders_are_named(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="no such file"):
        jsonl.read_all(tmp_path / "absent.jsonl", Fix)
    with pytest.raises(UserError, match="folder"):
        jsonl.scan(tmp_path, Fix)
    (tmp_path / "plain.zst").write_bytes(b"not compressed")
    with pytest.raises(UserError, match="zstd"):
        jsonl.read_all(tmp_path / "plain.zst", Fix)


def test_reading_leaves_the_garbage_collector_as_it_was(five: Path) -> None:
    assert gc.isenabled()
    jsonl.read_all(five, Fix)
    assert gc.isenabled() and gc.get_freeze_count() == 0
    gc.disable()
    try:
        jsonl.read_all(five, Fix)
        assert not gc.isenabled()
    finally:
        gc.enable()
    five.write_bytes(b"broken\nbroken\n")
    with pytest.raises(UserError):
        jsonl.read_all(five, Fix)
    assert gc.isenabled()


# Files of another kind


LINE = (
    b'{"task":"toy","id":"r0","schema":"prediction_v1","model":"abc","error_m":0.25,"trace":[],"note":"caf\xc3\xa9"}\n'
)
AS_TEXT = LINE.decode()


@pytest.mark.parametrize(
    "content",
    [
        BOM + LINE + LINE.replace(b"r0", b"r1"),
        BOM + LINE + BOM + LINE.replace(b"r0", b"r1"),  # as `cat` puts two such files together
        BOM + b"\n" + LINE + LINE.replace(b"r0", b"r1"),
    ],
)
def test_a_byte_order_mark_is_passed_over(content: bytes, tmp_path: Path) -> None:
    path = tmp_path / "x.jsonl"
    path.write_bytes(content)
    for rows in (jsonl.read_all(path, Fix), list(jsonl.read(path, Fix)), jsonl.scan(path, Fix).rows):
        assert [row.id for row in rows] == ["r0", "r1"]
    assert jsonl.scan(path, Fix).good_bytes == len(content)
    assert [row["id"] for row in jsonl.read_all(path, dict)] == ["r0", "r1"]
    if not content.startswith(BOM + b"\n"):
        assert jsonl.head(path).id == "r0"


@pytest.mark.parametrize(
    ("content", "what", "remedy"),
    [
        (gzip.compress(LINE, mtime=0), "a gzip file", "gunzip"),
        (zstandard.compress(LINE), "a zstd file", ".jsonl.zst"),
        (bz2.compress(LINE), "a bzip2 file", "bunzip2"),
        (AS_TEXT.encode("utf-16"), "a text in UTF-16", "iconv -f UTF-16 "),
        (AS_TEXT.encode("utf-16-le"), "a text in UTF-16", "iconv -f UTF-16LE "),
        (AS_TEXT.encode("utf-16-be"), "a text in UTF-16", "iconv -f UTF-16BE "),
        (AS_TEXT.encode("utf-32"), "a text in UTF-32", "iconv -f UTF-32 "),
        (AS_TEXT.encode("latin-1"), "0xe9 is not UTF-8", "iconv -f WINDOWS-1252"),
        (LINE + AS_TEXT.encode("latin-1") + LINE, "0xe9 is not UTF-8", "iconv -f WINDOWS-1252"),
        (AS_TEXT.encode("latin-1")[:-1], "0xe9 is not UTF-8", "iconv -f WINDOWS-1252"),
        (b"[" + LINE[:-1] + b",\n" + LINE[:-1] + b"]\n", "a JSON array", "jq -c '.[]'"),
        (b"[\n  " + LINE + b"]\n", "a JSON array", "jq -c '.[]'"),
        (b'[{"images": []}]', "a JSON array", "jq -c '.[]'"),
        (b'{\n  "task": "toy"\n}\n', "one JSON object over several lines", "jq -c ."),
        (b'{"messages": [{"role": "user", "content": "a"}]}\n', "a row of a chat data set", "write rows that have "),
        (b'{"id": 1, "conversations": [{"from": "human"}]}\n', "a row of a chat data set", "write rows that have "),
        (b'{"images": [], "annotations": [], "categories": []}\n', "a COCO file", "convert detection --from coco"),
        (LINE.replace(b"0.25", b"1e400"), "1e400 is beyond the numbers", "correct"),
        (LINE.replace(b'"trace":[]', b'"trace":[[-2.5E+999]]'), "-2.5E+999 is beyond the numbers", "correct"),
        (b'{"a":' * 50_000 + b"\n", "nested too deeply", "which file"),
    ],
)  # fmt: skip
def test_a_file_of_another_kind_is_said_to_be_that(content: bytes, what: str, remedy: str, tmp_path: Path) -> None:
    path = tmp_path / "my rows.jsonl"
    path.write_bytes(content)
    with pytest.raises(UserError, match=re.escape(what)) as caught:
        jsonl.read_all(path, Fix)
    assert remedy in str(caught.value.remedy)
    assert str(caught.value.where).startswith(str(path)) and "torn" not in caught.value.what


def test_what_is_no_utf_8_and_no_other_text_either_is_damage(five: Path) -> None:
    five.write_bytes(five.read_bytes() + b'{"a":\xe9\n')
    assert jsonl.scan(five, Fix).rows == FIVE


# Upgrades


@pytest.fixture
def made_up_v0() -> Iterator[None]:
    """prediction_v00 -> prediction_v0 (error in cm) -> prediction_v1."""
    upgrades.register("toy", "prediction_v00", "prediction_v0", lambda row: row | {"model": "none"})
    upgrades.register(
        "toy", "prediction_v0", "prediction_v1",
        lambda row: {"task": "toy", "id": row["id"], "model": row["model"], "error_m": row["error_cm"] / 100},
    )  # fmt: skip
    yield
    upgrades.unregister("toy", "prediction_v00")
    upgrades.unregister("toy", "prediction_v0")


@pytest.mark.usefixtures("made_up_v0")
def test_old_rows_are_upgraded_step_by_step_among_new_ones(tmp_path: Path) -> None:
    path = tmp_path / "mixed.jsonl"
    old = [
        {"schema": "prediction_v00", "task": "toy", "id": "r1", "error_cm": 25.0},
        {"schema": "prediction_v0", "task": "toy", "id": "r2", "model": "abc", "error_cm": 50.0},
    ]
    jsonl.write_all(path, [fix(0), *old, fix(3)])
    none = Fix(id="r1", model="none", error_m=0.25)
    assert jsonl.read_all(path, Fix) == [fix(0), none, fix(2), fix(3)]
    assert jsonl.scan(path, Fix).rows == jsonl.read_all(path, Fix)


@pytest.mark.usefixtures("made_up_v0")
def test_an_unknown_version_lists_all_that_can_be_read(tmp_path: Path) -> None:
    path = tmp_path / "rows.jsonl"
    jsonl.write_all(path, [{"schema": "prediction_v5", "task": "toy", "id": "r1"}])
    with pytest.raises(UserError, match="known: prediction_v0, prediction_v00, prediction_v1"):
        jsonl.read_all(path, Fix)


@pytest.mark.usefixtures("made_up_v0")
def test_a_bad_field_of_an_upgraded_row_is_named(tmp_path: Path) -> None:
    path = tmp_path / "rows.jsonl"
    jsonl.write_all(path, [{"schema": "prediction_v0", "task": "toy", "id": 7, "model": "abc", "error_cm": 1.0}])
    with pytest.raises(UserError) as caught:
        jsonl.read_all(path, Fix)
    assert caught.value.where == f"{path}:1:id"


# What it costs to start


def test_reading_and_running_import_no_heavy_library() -> None:
    code = """
        import sys
        import pipeline.files, pipeline.files.follow, pipeline.run.folder, pipeline.recipe.load
        heavy = {"numpy", "pandas", "torch", "numba", "yaml", "zstandard", "matplotlib", "importlib.metadata"}
        print(*sorted(heavy & set(sys.modules)))
    """
    process = run_python(code)
    assert process.communicate()[0].strip() == ""

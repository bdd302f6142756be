"""Rows that are not kept in memory."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from pipeline.errors import UserError
from pipeline.files import Lines, StoredRows, encode, lines_of, read_all, write_all, write_lines
from schemas.rows import Score

ROWS = [Score(task="t", id=name, subject="model") for name in ("a", 'b"c', "ü")]


def test_rows_of_a_file_are_read_anew_each_time(tmp_path: Path) -> None:
    path = tmp_path / "rows.jsonl"
    write_all(path, ROWS)
    rows = StoredRows(path, Score)
    assert list(rows) == ROWS
    assert len(rows) == 3
    write_all(path, ROWS[:1])
    assert list(rows) == ROWS[:1]
    assert rows[0] == ROWS[0]
    assert rows[-1:] == ROWS[:1]


def test_no_rows_are_false(tmp_path: Path) -> None:
    write_all(tmp_path / "rows.jsonl", [])
    assert not StoredRows(tmp_path / "rows.jsonl", Score)


def test_a_bad_line_is_named_when_it_is_reached(tmp_path: Path) -> None:
    path = tmp_path / "rows.jsonl"
    path.write_bytes(encode(ROWS[0]) + b"{}\n")
    with pytest.raises(UserError) as caught:
        list(StoredRows(path, Score))
    assert str(caught.value.where).startswith(f"{path}:2")


def test_lines_are_rows_and_are_written_as_they_are(tmp_path: Path) -> None:
    def make() -> Iterator[bytes]:
        return map(encode, ROWS)

    lines = Lines(make, Score)
    assert list(lines) == ROWS
    assert list(lines_of(lines)) == list(lines_of(ROWS)) == list(make())
    assert write_lines(tmp_path / "rows.jsonl", lines_of(lines)) == 3
    assert read_all(tmp_path / "rows.jsonl", Score) == ROWS


def test_lines_get_a_prefix_before_their_ids() -> None:
    renamed = Lines(lambda: map(encode, ROWS), Score).renamed('x="1"/')
    assert [row.id for row in renamed] == ['x="1"/a', 'x="1"/b"c', 'x="1"/ü']
    assert list(renamed.lines()) == list(map(encode, renamed))

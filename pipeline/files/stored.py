"""Rows that need not be in memory at once: of a file that is read, and of one that will be written."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any, TypeVar, overload

import msgspec

from pipeline.files.encode import encode
from pipeline.files.read import read

T = TypeVar("T")


class Unkept(Sequence[T]):
    """Rows that are made anew, one after the other, each time they are iterated. Who asks for one by its index has all
    of them made, and kept."""

    def __init__(self, make: Callable[[], Iterator[T]]) -> None:
        self._make = make
        self._kept: list[T] | None = None
        self._num_rows: int | None = None

    def __iter__(self) -> Iterator[T]:
        yield from self._make() if self._kept is None else self._kept

    def __len__(self) -> int:
        if self._num_rows is None:
            self._num_rows = sum(1 for _ in self)
        return self._num_rows

    @overload
    def __getitem__(self, index: int) -> T: ...
    @overload
    def __getitem__(self, index: slice) -> list[T]: ...
    def __getitem__(self, index: int | slice) -> T | list[T]:
        if self._kept is None:
            self._kept = list(self._make())
        return self._kept[index]


class StoredRows(Unkept[T]):
    """The rows of a finished file, a block of about 1 MiB in memory at a time. Errors are those of `read`."""

    def __init__(self, path: Path, row_type: type[T]) -> None:
        super().__init__(lambda: read(path, row_type))


class Lines(Unkept[T]):
    """Rows that are made as the lines of a file; as rows they are decoded."""

    def __init__(self, lines: Callable[[], Iterator[bytes]], row_type: type[T]) -> None:
        super().__init__(lambda: map(msgspec.json.Decoder(row_type).decode, lines()))
        self.lines, self._row_type = lines, row_type

    def renamed(self, prefix: str) -> "Lines[T]":
        """The rows, each with ``prefix`` before its id."""
        start = b'"id":"'  # the first one of a line: only the task's name stands before it
        longer = start + msgspec.json.encode(prefix)[1:-1]
        return Lines(lambda: (line.replace(start, longer, 1) for line in self.lines()), self._row_type)


def lines_of(rows: Iterable[Any]) -> Iterable[bytes]:
    """What rows are in a file."""
    return rows.lines() if isinstance(rows, Lines) else map(encode, rows)

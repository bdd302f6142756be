"""Blocks of lines to typed rows. A block goes through one C call; only when that fails is each line looked at."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any, NoReturn

import msgspec
import orjson

from pipeline.errors import UserError
from pipeline.files.blocks import CutShort
from pipeline.files.explain import explain, invalid_row, one_document, stated
from pipeline.files.foreign import BOM, why_not_json
from schemas import upgrades

# What decoders raise on a text that they cannot take.
UNREADABLE = (msgspec.DecodeError, orjson.JSONDecodeError, UnicodeDecodeError, RecursionError)


class BrokenLine(UserError):
    """A line that is not JSON. ``is_last``: nothing but blank space follows it in the file, so it may be torn."""

    def __init__(self, reason: str, *, where: str, is_last: bool) -> None:
        remedy = (
            "its writer was stopped in the middle: run that stage again (it resumes), or take the whole lines only"
            if is_last
            else "the file was damaged after it was written: run the stage that writes it again, with --force"
        )
        what = "the last line is torn" if is_last else "this line is not JSON"
        super().__init__(f"{what}: {reason}", where=where, remedy=remedy)
        self.reason = reason
        self.is_last = is_last


class LineDecoder:
    """Decodes the lines of one file, counting lines and good bytes as it goes.

    ``dict`` as ``row_type`` takes any object. ``accept_unfinished`` takes a last line without a newline when it is a
    whole row.
    """

    def __init__(self, path: Path, row_type: type[Any], *, accept_unfinished: bool) -> None:
        self.path = path
        self.row_type = row_type
        self.num_lines = 0
        self.good_bytes = 0
        self._accept_unfinished = accept_unfinished
        self._decoder: msgspec.json.Decoder[Any] = msgspec.json.Decoder(row_type)

    def feed(self, source: Iterator[bytes], into: list[Any]) -> bool:
        """Decode the next block of ``source``, appending its rows to ``into``. False when there is none.

        Raises BrokenLine or UserError; the good rows before the bad line are in ``into``, and counted, all the same.
        """
        try:
            block = next(source, None)
        except CutShort:
            reason = "the compressed data ends before its end mark"
            raise BrokenLine(reason, where=f"{self.path}:{self.num_lines + 1}", is_last=True) from None
        if block is None:
            return False
        if block.endswith(b"\n") and self.whole_block(block, into):
            return True
        try:
            self._line_by_line(block, into)
        except BrokenLine as broken:
            if broken.is_last:
                broken.is_last = not any(rest.strip() for rest in _until_cut(source))
                if not broken.is_last:
                    raise BrokenLine(broken.reason, where=str(broken.where), is_last=False) from None
            raise
        return True

    def line(self, line: bytes) -> Any:
        """One row of one line (newline or not), the line after those counted so far.

        Raises one of `UNREADABLE` when the line is not JSON, UserError when it is not a valid row.
        """
        line = line.removeprefix(BOM)
        try:
            return self._decoder.decode(line)
        except msgspec.ValidationError as error:
            return self._upgraded(line, error)

    def whole_block(self, block: bytes, into: list[Any]) -> bool:
        """Decode a block of whole lines in one call. False, and nothing done, when a line of it needs a closer look."""
        try:
            rows = _objects(block) if self.row_type is dict else self._decoder.decode_lines(block)
        except UNREADABLE:
            return False
        num_lines = block.count(b"\n")
        if len(rows) != num_lines:  # blank lines, two values on a line, or one value over several lines
            return False
        into += rows
        self.num_lines += num_lines
        self.good_bytes += len(block)
        return True

    def _line_by_line(self, block: bytes, into: list[Any]) -> None:
        start = 0
        while start < len(block):
            newline = block.find(b"\n", start)
            end = len(block) if newline < 0 else newline + 1
            line = block[start:end]
            if newline < 0 and not self._accept_unfinished:
                self._broken("the last line has no newline", block[end:])
            text = line.removeprefix(BOM)
            if text.strip():
                if not self.num_lines and (problem := one_document(text, self.path)):
                    raise problem
                try:
                    into.append(self.line(text))
                except UNREADABLE as error:
                    self._refuse(text, error, block[end:])
            self.num_lines += 1
            self.good_bytes += len(line)
            start = end

    def _refuse(self, line: bytes, error: Exception, rest: bytes) -> NoReturn:
        """A whole line of a writer that does not know JSON's numbers, or UTF-8, is no damage, and reads no better
        another time."""
        found = why_not_json(line, error, str(self.path)) if line.endswith(b"\n") or not rest else None
        if found:
            where = f"{self.path}:{self.num_lines + 1}{found.place}"
            raise UserError(found.what, where=where, remedy=found.remedy)
        self._broken(f"not UTF-8: {error.reason}" if isinstance(error, UnicodeDecodeError) else str(error), rest)

    def _broken(self, reason: str, rest: bytes) -> NoReturn:
        raise BrokenLine(reason, where=f"{self.path}:{self.num_lines + 1}", is_last=not rest.strip())

    def _upgraded(self, line: bytes, error: msgspec.ValidationError) -> Any:
        """The row when it is of an older version that can be upgraded; else the error, made readable."""
        where = f"{self.path}:{self.num_lines + 1}"
        raw = msgspec.json.decode(line)  # raises again where what is wrong is no field but a number beyond all
        version = stated(self.row_type, "schema")
        if isinstance(raw, dict) and version is not None and raw.get("schema") != version:
            row = upgrades.upgrade(raw, version)
            if row is not None:
                try:
                    return msgspec.convert(row, type=self.row_type)
                except msgspec.ValidationError as after:
                    raise invalid_row(where, after) from None
        raise explain(where, raw, self.row_type, error) from None


def _objects(block: bytes) -> list[Any]:
    """Whole lines as dicts: one array in one call, measured 1.1 to 1.5 times as fast as orjson line by line."""
    rows: list[Any] = orjson.loads(b"[%b]" % block[:-1].replace(b"\n", b","))
    return rows if set(map(type, rows)) == {dict} else []


class Head(msgspec.Struct, frozen=True):
    """What the first row of a file says it is."""

    schema: str
    task: str
    id: str


def head_of_line(path: Path, line: bytes) -> Head:
    """The head in a line. Raises UserError when it is not an object that has schema, task and id."""
    try:
        return msgspec.json.decode(line.removeprefix(BOM), type=Head)
    except UNREADABLE as error:
        what = "this is not a JSONL file of rows: its first line has no schema, task and id"
        raise UserError(what, where=f"{path}:1", remedy=f"the line does not read: {error}") from error


def _until_cut(source: Iterator[bytes]) -> Iterator[bytes]:
    try:
        yield from source
    except CutShort:
        return

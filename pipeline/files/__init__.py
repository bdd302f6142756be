"""JSONL files: one JSON object a line, every line with ``schema``, ``task`` and ``id``.

- `encode` one row; NaN and infinity are refused by name
- `read`, `read_all`, `scan`, `head`: typed, streaming, errors name file:line:field; ``.zst`` is read as it is
- `StoredRows`, `Lines`: sequences of rows that are read, or made, as they are iterated
- `gc_paused`: for work that makes and keeps as many objects as there are rows
- `Appender`, `write_all`: whole lines only, resumable; or all at once, beside the place and renamed
- `foreign`: what a file is that is no such text; `document.read_json`: files of one JSON document
- `pipeline.files.follow.Follower`: rows of a file that is still being written (imported by itself)

A file that is being written, or whose writer was killed, ends in a torn line. `scan` returns the rows before it, the
offset of its first byte and the reason; `read` and `read_all` refuse such a file, because they are for finished ones.
"""

from pipeline.files.append import Appender, write_all, write_lines
from pipeline.files.encode import encode
from pipeline.files.read import Scan, gc_paused, head, read, read_all, scan
from pipeline.files.stored import Lines, StoredRows, Unkept, lines_of

__all__ = [
    "Appender",
    "Lines",
    "Scan",
    "StoredRows",
    "Unkept",
    "encode",
    "gc_paused",
    "head",
    "lines_of",
    "read",
    "read_all",
    "scan",
    "write_all",
    "write_lines",
]

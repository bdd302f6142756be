"""The parser as plain Python, not compiled: every index is checked, and its work can be counted.

    python -m tests.detection.plain_parser < request.json

The request has texts to ``parse``, as pairs of a text and whether it was cut, and texts whose work to ``count``. The
answer has what was ``parsed``, and how many lines were run for each text (``work``).
"""

import json
import os
import sys
from types import FrameType
from typing import Any

os.environ["NUMBA_DISABLE_JIT"] = "1"  # before numba is imported

import msgspec
import numpy as np

from pipeline.tasks.detection import parse as parse_module
from pipeline.tasks.detection.parse import parse
from pipeline.tasks.detection.parser import memory as mem

FOLDER = os.path.dirname(mem.__file__)


class Checked(np.ndarray):
    """An array in which no index may be negative. (numpy checks the others; compiled code checks none.)"""

    def __getitem__(self, index: Any) -> Any:
        _check(index)
        return super().__getitem__(index)

    def __setitem__(self, index: Any, value: Any) -> None:
        _check(index)
        super().__setitem__(index, value)


def _check(index: Any) -> None:
    for one in index if isinstance(index, tuple) else (index,):
        if isinstance(one, int | np.integer) and one < 0:
            raise IndexError(f"index {one}")


def check_indices() -> None:
    """From here on every text is read in arrays of its own size whose indices are checked."""

    def memory(size: int) -> mem.Memory:
        arrays = mem.memory_for(size)
        return mem.Memory(*(array.view(Checked) for array in arrays))

    parse_module._memory = memory


def as_json(text: str, cut: bool) -> Any:
    """What `parse` gives, as JSON has it."""
    return json.loads(msgspec.json.encode(parse(text, cut=cut)))


def num_lines(text: str) -> int:
    """Lines of the parser that were run to read ``text``."""
    count = 0

    def trace(frame: FrameType, event: str, argument: object) -> Any:
        nonlocal count
        if event == "call":
            return trace if frame.f_code.co_filename.startswith(FOLDER) else None
        count += event == "line"
        return trace

    sys.settrace(trace)
    try:
        parse(text)
    finally:
        sys.settrace(None)
    return count


def main() -> None:
    request = json.load(sys.stdin)
    work = [num_lines(text) for text in request.get("count", [])]
    check_indices()
    parsed = [as_json(text, cut) for text, cut in request.get("parse", [])]
    json.dump({"parsed": parsed, "work": work}, sys.stdout)


if __name__ == "__main__":
    main()

#!/usr/bin/env python
"""Coverage-guided fuzzing of the parser, not a test by itself: what it finds is kept in corpus/, which a test replays.

    mkdir -p /tmp/found
    timeout 3600 python -m tests.detection.fuzz_parse /tmp/found tests/detection/corpus -max_len=3000
    PYTHONPATH=. tests/detection/fuzz_parse.py -set_cover_merge=1 -use_counters=0 /tmp/kept /tmp/found

The second command keeps the fewest texts that reach every branch found; it starts itself anew, hence a file to run,
with the `python` that has atheris first on the PATH. An hour of one core (103,200 texts, 1,630 branches) found no text
that breaks a rule; `found_*` in corpus/ are what it kept.

A crash is a text that breaks a rule of `check_row`; libFuzzer writes it to a file and stops. Needs atheris.
"""

import os
import sys

import atheris  # type: ignore[import-untyped]  # it has no types

os.environ["NUMBA_DISABLE_JIT"] = "1"  # compiled code has no coverage, and checks no index
with atheris.instrument_imports(include=["pipeline.tasks.detection"]):
    from pipeline.tasks.detection import parse  # noqa: F401

from tests.detection.plain_parser import check_indices
from tests.detection.test_parse_any_text import check_row


def one_text(data: bytes) -> None:
    """The first byte says whether the text counts as cut."""
    if data:
        check_row(data[1:].decode("utf-8", "replace"), bool(data[0] & 1))


if __name__ == "__main__":
    check_indices()
    atheris.Setup(sys.argv, one_text)
    atheris.Fuzz()

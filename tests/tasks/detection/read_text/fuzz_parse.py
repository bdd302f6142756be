#!/usr/bin/env python
"""Coverage-guided fuzzing of the parser, not a test by itself: what it finds is kept in corpus/, which a test replays.

    mkdir -p /tmp/found
    corpus=tests/tasks/detection/read_text/corpus
    timeout 3600 python -m tests.tasks.detection.read_text.fuzz_parse /tmp/found $corpus -max_len=3000
    PYTHONPATH=. tests/tasks/detection/read_text/fuzz_parse.py -set_cover_merge=1 -use_counters=0 /tmp/kept /tmp/found

The second command keeps the fewest texts that reach every branch found; it starts itself anew, hence a file to run,
with the `python` that has atheris first on the PATH. `found_*` in corpus/ are what earlier hours of fuzzing kept.

A crash is a text that breaks a rule of `check_row`, or that the decoder and the scanner do not read alike; libFuzzer
writes it to a file and stops. Needs atheris.
"""

import sys

import atheris  # type: ignore[import-untyped]  # it has no types

with atheris.instrument_imports(include=["pipeline.tasks.detection.read_text"]):
    from pipeline.tasks.detection.read_text.parse import parse, scan, storable

from tests.tasks.detection.read_text.test_parse_any_text import check_row


def one_text(data: bytes) -> None:
    """The first byte says whether the text counts as cut."""
    if data:
        text, cut = data[1:].decode("utf-8", "replace"), bool(data[0] & 1)
        check_row(text, cut)
        assert parse(text, cut=cut) == scan(storable(text), cut=cut)


if __name__ == "__main__":
    atheris.Setup(sys.argv, one_text)
    atheris.Fuzz()

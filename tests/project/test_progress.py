"""How long work shows itself."""

import io
import os
import pty
import subprocess
import sys

import pytest

from pipeline.progress import Lines, choose_style, format_facts, progress
from tests.conftest import ROOT


class Clock:
    """A clock that a test sets."""

    def __init__(self) -> None:
        self.now_s = 0.0

    def __call__(self) -> float:
        return self.now_s


def test_lines_come_at_most_every_few_seconds_and_the_last_state_at_the_end() -> None:
    clock, stream = Clock(), io.StringIO()
    lines = Lines("train", stream, every_s=5.0, clock=clock)
    for second in range(8):
        clock.now_s = float(second)
        lines(1000 * (second + 1), 8000, {"loss": 0.5})
    lines.finish()
    assert stream.getvalue().splitlines() == [
        "train: 1,000 of 8,000 (12 %)  loss 0.5",
        "train: 6,000 of 8,000 (75 %)  loss 0.5",
        "train: 8,000 of 8,000 (100 %)  loss 0.5",
    ]


def test_a_state_is_not_written_twice() -> None:
    stream = io.StringIO()
    lines = Lines("infer", stream, clock=Clock())
    lines(3, 3, {})
    lines.finish()
    assert stream.getvalue() == "infer: 3 of 3 (100 %)\n"


def test_an_unknown_total_is_left_out() -> None:
    stream = io.StringIO()
    Lines("read", stream, clock=Clock())(3, 0, {})
    assert stream.getvalue() == "read: 3\n"


def test_facts_are_short() -> None:
    assert format_facts({"loss": 0.123456, "best": "-", "stage": 2}) == "loss 0.1235  best -  stage 2"


def test_silent_work_says_nothing(capsys: pytest.CaptureFixture[str]) -> None:
    with progress("train", "silent") as report:
        report(1, 2, {"loss": 1.0})
    assert capsys.readouterr() == ("", "")


def test_piped_work_writes_lines_to_stderr_even_when_it_ends_in_an_error(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(KeyError), progress("train", "lines") as report:
        report(1, 4, {})
        report(3, 4, {})
        raise KeyError
    assert capsys.readouterr() == ("", "train: 1 of 4 (25 %)\ntrain: 3 of 4 (75 %)\n")


def test_the_style_follows_the_terminal_and_json() -> None:
    assert choose_style(silent=True) == "silent"
    assert choose_style(silent=False, stream=io.StringIO()) == "lines"


def test_on_a_terminal_there_is_a_bar() -> None:
    """In a real terminal: stderr is the far end of a pseudo-terminal, stdout stays free for results."""
    here, there = pty.openpty()
    code = (
        "from pipeline.progress import *\n"
        "with progress('train', choose_style(silent=False)) as report: report(3, 4, {'loss': 0.5})\n"
    )
    environment = os.environ | {"TERM": "xterm", "COLUMNS": "100"}
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, stderr=there, stdout=subprocess.PIPE, env=environment, check=True
    )
    os.close(there)
    screen = os.read(here, 65536).decode()
    os.close(here)
    assert done.stdout == b""
    assert "train" in screen
    assert "75%" in screen
    assert "loss 0.5" in screen

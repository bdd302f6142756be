"""`baton follow` in real terminals, on a file that another process writes meanwhile."""

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from pipeline.files import encode
from tests.conftest import ROOT, Baton
from tests.support.terminal import PtyTerminal, Terminal, TmuxTerminal, wait_for
from tests.support.zygote import Zygote
from tests.tasks.gridworld.fake_episodes import Play, play
from tests.tasks.gridworld.fake_predictions import Fake, fake_predictions
from tests.tasks.gridworld.literal_rows import episode, step

KINDS = ["pty", "tmux"] if shutil.which("tmux") else ["pty"]
Open = Callable[..., Terminal]


@pytest.fixture
def open_terminal(zygote: Zygote, tmp_path: Path) -> Iterator[Open]:
    """``open_terminal("pty", "--input", path)`` runs `baton follow gridworld` with these arguments, in 80x24; in tmux
    it starts from nothing."""
    opened: list[Terminal] = []

    def start(kind: str, *arguments: str | Path, **env: str) -> Terminal:
        follow = ("follow", "gridworld", *map(str, arguments))
        if kind == "tmux":
            command = [sys.executable, "-m", "stages", *follow]
            terminal: Terminal = TmuxTerminal(command, ROOT, env, 80, 24, tmp_path)
        else:
            terminal = PtyTerminal(zygote, follow, size=(80, 24), **env)
        opened.append(terminal)
        return terminal

    yield start
    for terminal in opened:
        terminal.close()


@pytest.fixture
def recording(tmp_path: Path) -> Path:
    """A file of three episodes, of which the second dies."""
    path = tmp_path / "recording.jsonl"
    plans = [Play(seed=5, skill=0.9), Play(seed=11, skill=0.2, index=1), Play(seed=6, skill=0.9, index=2)]
    path.write_bytes(b"".join(encode(play(plan)) for plan in plans))
    return path


def write_in_another_process(path: Path, count: int, every_s: float) -> subprocess.Popen[bytes]:
    command = [sys.executable, "-m", "tests.tasks.gridworld.fake_episodes", str(path)]
    return subprocess.Popen([*command, "--count", str(count), "--every-s", str(every_s)], cwd=ROOT)


def test_it_waits_for_a_training_follows_it_and_stays_with_it(tmp_path: Path, open_terminal: Open) -> None:
    path = tmp_path / "episodes.jsonl"
    terminal = open_terminal(KINDS[-1], "--input", path)
    wait_for(terminal, lambda text: "there is no such file yet" in " ".join(text.split()))
    writer = write_in_another_process(path, count=12, every_s=0.4)
    try:
        wait_for(terminal, lambda text: all(words in text for words in ("● LIVE", "METERS", "Q-VALUES")))
        wait_for(terminal, "newest arrived")
        wait_for(terminal, "to stay live")
    finally:
        assert writer.wait(120) == 0
    wait_for(terminal, "episode 12 of 12")
    assert len(terminal.screen()) == 24
    assert all(len(line) <= 80 for line in terminal.screen())
    wait_for(terminal, "trainer dropped 2")
    terminal.type("q")
    assert terminal.exit_code() == 0


def test_it_follows_a_real_training_from_before_its_start_to_after_its_end(
    tmp_path: Path, open_terminal: Open, zygote: Zygote
) -> None:
    runs = {"BATON_RUNS": str(tmp_path / "runs")}
    terminal = open_terminal(KINDS[-1], "--recipe", "tiny", **runs)
    wait_for(terminal, "waiting for")
    train = zygote.start("train", "gridworld", "--recipe", "tiny", "--set", "train.num_steps=10000", environment=runs)
    try:
        text = wait_for(terminal, lambda text: "● LIVE" in text and "Q-VALUES" in text)
        assert "full x1 · stage 0" in text
        wait_for(terminal, "newest arrived")
    finally:
        assert train.finish().code == 0
    with (tmp_path / "runs/gridworld/tiny/train/episodes.jsonl").open("rb") as file:
        count = sum(1 for _ in file)
    wait_for(terminal, f"episode {count} of {count}")
    terminal.type("g")
    with (tmp_path / "runs/gridworld/tiny/train/progress.jsonl").open("rb") as file:
        played = sum(1 for _ in file)
    wait_for(terminal, lambda text: f"recorded {count} of {played} played" in text and "the training has ended" in text)
    wait_for(terminal, "step 0 of 500")
    terminal.type("q")
    assert terminal.exit_code() == 0


def test_after_the_training_it_is_a_replay(recording: Path, open_terminal: Open) -> None:
    terminal = open_terminal("pty", "--input", recording, "--from-start")
    wait_for(terminal, "episode 1 of 3")
    terminal.type(" ")
    wait_for(terminal, "PAUSED")
    terminal.type("g")
    wait_for(terminal, "step 0 of 500")
    terminal.type("...,")
    wait_for(terminal, "step 2 of 500")
    terminal.type("d")
    wait_for(terminal, "episode 2 of 3")
    terminal.type("G")
    wait_for(terminal, lambda text: "CERTIFICATE OF DEATH" in text and "† died: " in text)
    terminal.type("p")
    wait_for(terminal, "this is the first episode of 'deaths'")
    terminal.type("?")
    wait_for(terminal, "newest, and stay live")
    terminal.type("N")
    wait_for(terminal, "● LIVE")
    terminal.type("2")
    wait_for(terminal, "2 VISITS")
    terminal.resize(120, 40)
    wait_for(terminal, lambda text: "METERS" in text and "2 VISITS" in text)
    assert len(terminal.screen()) == 40
    terminal.type("q")
    assert terminal.exit_code() == 0


@pytest.mark.parametrize("how", ["ctrl-c", "terminate"])
def test_ctrl_c_and_terminate_leave_the_terminal_as_it_was(recording: Path, open_terminal: Open, how: str) -> None:
    terminal = open_terminal("pty", "--input", recording)
    assert isinstance(terminal, PtyTerminal)
    wait_for(terminal, "episode 3 of 3")
    assert not terminal.is_canonical()
    if how == "ctrl-c":
        terminal.type("\x03")
    else:
        terminal.signal(signal.SIGTERM)
    assert terminal.exit_code() == 130
    assert terminal.is_canonical()
    wait_for(terminal, "interrupted")
    assert "Traceback" not in "\n".join(terminal.screen())


@pytest.mark.parametrize(("arguments", "env"), [(["--no-color"], {}), ([], {"NO_COLOR": "1"})])
def test_without_colour_the_terminal_gets_none(
    recording: Path, open_terminal: Open, arguments: list[str], env: dict[str, str]
) -> None:
    terminal = open_terminal("pty", "--input", recording, *arguments, **env)
    assert isinstance(terminal, PtyTerminal)
    wait_for(terminal, "episode 3 of 3")
    assert terminal.colors() == set()
    assert b"\x1b[38;" not in terminal.raw and b"\x1b[48;" not in terminal.raw


def test_with_colour_the_terminal_gets_some(recording: Path, open_terminal: Open) -> None:
    terminal = open_terminal("pty", "--input", recording, NO_COLOR="")
    assert isinstance(terminal, PtyTerminal)
    wait_for(terminal, "episode 3 of 3")
    assert len(terminal.colors()) > 5


def test_ascii_shows_nothing_else(recording: Path, open_terminal: Open) -> None:
    terminal = open_terminal("pty", "--input", recording, "--ascii")
    wait_for(terminal, "episode 3 of 3")
    assert "\n".join(terminal.screen()).isascii()


def test_a_paused_screen_sends_next_to_nothing(recording: Path, open_terminal: Open) -> None:
    terminal = open_terminal("pty", "--input", recording)
    assert isinstance(terminal, PtyTerminal)
    wait_for(terminal, "episode 3 of 3")
    terminal.type(" g")
    wait_for(terminal, "step 0 of 500")
    time.sleep(0.5)
    before = len(terminal.raw)
    time.sleep(1.0)
    assert len(terminal.raw) - before < 100
    terminal.type(".")
    wait_for(terminal, "step 1 of 500")
    assert len(terminal.raw) - before < 10_000


def test_plain_prints_a_line_an_episode_as_it_arrives_and_ctrl_c_exits_130(tmp_path: Path, zygote: Zygote) -> None:
    path = tmp_path / "episodes.jsonl"
    path.write_bytes(encode(episode(step(), id="old")))
    following = zygote.start("follow", "gridworld", "--input", path, "--plain", "--latency")
    (first,) = following.lines(1)
    assert first.startswith("old  temporal x1")
    assert first.endswith("latency_ms=-")
    with path.open("ab") as file:
        file.write(encode(episode(step(), id="new", ended_unix_s=time.time())))
    _, second = following.lines(2)
    assert second.startswith("new  temporal x1")
    assert float(second.rpartition("latency_ms=")[2]) >= 0
    following.signal(signal.SIGINT)
    done = following.finish()
    assert (done.code, done.out.splitlines()) == (130, [first, second])
    assert "interrupted" in done.err and "Traceback" not in done.err


def test_it_is_plain_without_a_terminal(recording: Path, baton: Baton) -> None:
    done = baton("follow", "gridworld", "--input", recording, "--idle-exit", "0")
    assert done.code == 0
    assert len(done.out.splitlines()) == 3
    deaths = baton("follow", "gridworld", "--input", recording, "--idle-exit", "0", "--filter", "deaths")
    assert deaths.out.splitlines() == [line for line in done.out.splitlines() if "died of" in line] != []
    refused = baton("follow", "gridworld", "--input", recording, "--idle-exit", "0", "--against", recording)
    assert refused.code == 2 and "without a terminal" in refused.err


def test_a_recipe_names_the_file_of_its_training(tmp_path: Path, baton: Baton, recording: Path) -> None:
    folder = tmp_path / "runs/gridworld/tiny/train"
    folder.mkdir(parents=True)
    shutil.copy(recording, folder / "episodes.jsonl")
    done = baton("follow", "gridworld", "--recipe", "tiny", "--plain", "--idle-exit", "0")
    assert len(done.out.splitlines()) == 3


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--filter", "nonsense", "--input", "x"], "use one of: all, deaths, best so far, stage changes"),
        ([], "--recipe NAME"),
        (["--input", "x", "--model", "y"], "leave one of them out"),
        (["--input", "x", "--against", "y"], "leave one of them out"),
        (["--input", "."], "only a plain file can be followed"),
    ],
)
def test_mistakes_are_told_in_one_block(baton: Baton, arguments: list[str], words: str) -> None:
    done = baton("follow", "gridworld", *arguments, "--plain", "--idle-exit", "0")
    assert done.code == 2
    assert words in done.err


def test_two_models_on_the_same_scenarios_in_a_real_terminal(tmp_path: Path, open_terminal: Open) -> None:
    careless = Fake(num_records=3, num_traces=3, carelessness=0.6, model="f" * 16)
    for name, fake in (("careful", Fake(num_records=3, num_traces=2)), ("careless", careless)):
        path = tmp_path / name / "predictions.jsonl"
        path.parent.mkdir()
        path.write_bytes(b"".join(encode(row) for row in fake_predictions(fake)))
    files = [tmp_path / name / "predictions.jsonl" for name in ("careful", "careless")]
    terminal = open_terminal(KINDS[-1], "--input", files[0], "--against", files[1])
    wait_for(terminal, "The window is too small for two.")
    terminal.resize(160, 40)
    wait_for(terminal, lambda text: text.count("METERS") == 2)
    terminal.type(" g")
    text = wait_for(terminal, lambda text: text.count("step 0 of 500") == 2)
    assert " careful " in text and " careless " in text and "episode 1 of 2" in text
    terminal.type("n")
    wait_for(terminal, "episode 2 of 2")
    terminal.type("q")
    assert terminal.exit_code() == 0


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--input", "recording.jsonl", "--against", "recording.jsonl"], "needs predictions on both sides"),
        (["--input", "recording.jsonl", "--against", "b", "--model", "c"], "leave one of them out"),
    ],
)
def test_what_cannot_be_beside_each_other_is_told_on_the_terminal(
    recording: Path, open_terminal: Open, arguments: list[str], words: str
) -> None:
    given = [str(recording) if argument == "recording.jsonl" else argument for argument in arguments]
    terminal = open_terminal("pty", *given)
    assert terminal.exit_code() == 2
    wait_for(terminal, lambda text: words in " ".join(text.split()))


def test_help_loads_no_terminal_library(recording: Path) -> None:
    check = (
        "import sys, stages.follow; from stages.common import run_command;"
        "run_command(stages.follow.app, {arguments!r});"
        "print([name for name in ('textual', 'torch', 'numba') if name in sys.modules])"
    )
    for arguments in (["--help"], ["gridworld", "--input", str(recording), "--plain", "--idle-exit", "0"]):
        code = check.format(arguments=arguments)
        done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, env=os.environ)
        assert json.loads(done.stdout.splitlines()[-1].replace("'", '"')) == [], done.stderr

"""Predictions in the live view, alone and beside those of another run, with textual's own pilot."""

from pathlib import Path
from typing import Any

import pytest

from pipeline.errors import UserError
from pipeline.files import encode
from pipeline.follow.beside import Against
from pipeline.follow.feed import open_recording
from pipeline.follow.index import EpisodeIndex
from pipeline.follow.playback import Playback
from pipeline.follow.scene import Moment
from pipeline.follow.terminal.app import Watch
from pipeline.follow.terminal.frame import View, compose_pair
from pipeline.follow.terminal.text import Size
from pipeline.tasks.gridworld.follow import predictions as live_predictions
from pipeline.tasks.gridworld.follow import training as live
from pipeline.tasks.gridworld.rows import GridworldPrediction
from tests.conftest import Baton
from tests.tasks.gridworld.follow.test_screen import press, running, screen, until
from tests.tasks.gridworld.literal_rows import episode, meters, prediction, step

WIDE, HIGH = Size(160, 40), Size(90, 46)


def lives(name: str, steps: int = 5, **fields: Any) -> GridworldPrediction:
    return prediction(*[step("right", (x % 8, 2)) for x in range(steps)], id=name, **fields)


def dies(name: str, steps: int = 3, **fields: Any) -> GridworldPrediction:
    return lives(name, steps, died=True, cause="energy", final_meters=meters(energy=0.0), **fields)


def write(path: Path, *rows: Any) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(b"".join(encode(row) for row in rows))
    return path


def watch(path: Path, **options: Any) -> Watch:
    return Watch(*open_recording(path, "gridworld"), from_start=True, **options)


def beside(path: Path, other: Path) -> Watch:
    return watch(path, against=Against(other, "gridworld", "new"), label="old")


def test_the_first_line_says_what_a_file_holds(tmp_path: Path) -> None:
    predictions = write(tmp_path / "mine.jsonl", lives("a"))
    episodes = write(tmp_path / "tail.jsonl", episode(step()))
    assert open_recording(predictions, "gridworld").part is live_predictions.PART.view
    assert open_recording(episodes, "gridworld").part is live.PART
    assert open_recording(tmp_path / "not there yet.jsonl", "gridworld").part is live.PART


@pytest.mark.parametrize("so_far", [None, b'{"schema": "predic'])
async def test_predictions_that_are_to_come_are_waited_for(tmp_path: Path, so_far: bytes | None) -> None:
    path = tmp_path / "predictions.jsonl"
    if so_far is not None:
        path.write_bytes(so_far)
    watched = Watch(*open_recording(path, "gridworld", expect_predictions=True), from_start=True)
    async with running(watched) as (app, pilot):
        await until(pilot, lambda: "waiting for" in screen(app))
        write(path, lives("a"))
        await until(pilot, lambda: "temporal x1 · a" in screen(app))


def test_a_task_without_such_a_view_says_what_there_is(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("pipeline.follow.feed.find_part", lambda task, part: None)
    with pytest.raises(UserError, match="has no view for predictions") as caught:
        open_recording(write(tmp_path / "p.jsonl", lives("a")), "gridworld")
    assert caught.value.remedy is not None and "baton visualize gridworld" in caught.value.remedy


async def test_records_with_steps_are_replayed_and_the_others_counted(tmp_path: Path) -> None:
    path = write(tmp_path / "p.jsonl", lives("a"), lives("b", keeps_steps=False), dies("c"))
    async with running(watch(path), Size(120, 24)) as (app, pilot):
        await until(pilot, lambda: "episode 1 of 2" in screen(app))
        text = await press(pilot, "g")
        assert "temporal x1 · a" in text and "METERS" in text
        assert "1 without steps: infer.num_traces" in text and "trainer" not in text
        assert "temporal x1 · c" in await press(pilot, "d")
        assert "CERTIFICATE OF DEATH" in await press(pilot, "G")


async def test_a_file_without_any_steps_says_so(tmp_path: Path) -> None:
    path = write(tmp_path / "p.jsonl", lives("a", keeps_steps=False), lives("b", keeps_steps=False))
    async with running(watch(path)) as (app, pilot):
        await until(pilot, lambda: "2 without steps: infer.num_traces says how many keep them" in screen(app))


def test_plain_lines_are_of_every_record(tmp_path: Path, baton: Baton) -> None:
    path = write(tmp_path / "p.jsonl", lives("a"), dies("b", keeps_steps=False))
    done = baton("follow", "gridworld", "--input", path, "--idle-exit", "0")
    assert done.out.splitlines() == [
        "a  temporal x1  survived 5  wellbeing 2.5  retired",
        "b  temporal x1  survived 3  wellbeing 1.5  died of energy",
    ]


def test_the_run_of_a_recipe_has_predictions_too(tmp_path: Path, baton: Baton) -> None:
    write(tmp_path / "runs/gridworld/tiny/infer/predictions.jsonl", lives("a"))
    done = baton("follow", "gridworld", "--recipe", "tiny", "--predictions", "--idle-exit", "0")
    assert done.out.startswith("a  temporal x1")


@pytest.mark.parametrize("size", [WIDE, HIGH])
async def test_two_runs_of_a_record_are_played_together(tmp_path: Path, size: Size) -> None:
    path = write(tmp_path / "a.jsonl", lives("other"), dies("x", 3), lives("y"))
    other = write(tmp_path / "b.jsonl", lives("y"), lives("x", 8, wellbeing=77.0))
    async with running(beside(path, other), size) as (app, pilot):
        await until(pilot, lambda: "episode 1 of 2" in screen(app))
        text = await press(pilot, "g")
        assert " old " in text and " new " in text
        assert text.count("temporal x1 · x") == 2 and text.count("step 0 of 500") == 2
        assert "1 not in the other file" in text
        text = await press(pilot, "greater_than_sign")
        assert text.count("step 3 of 500") == 1 and text.count("step 8 of 500") == 1
        assert "CERTIFICATE OF DEATH" in text and "CERTIFICATE OF RETIREMENT" in text
        text = await press(pilot, "less_than_sign", "full_stop", "full_stop", "full_stop", "full_stop")
        assert text.count("step 3 of 500") == 1 and text.count("step 4 of 500") == 1
        assert "CERTIFICATE OF DEATH" in text and "CERTIFICATE OF RETIREMENT" not in text
        assert "temporal x1 · y" in await press(pilot, "n")


async def test_the_trend_of_each_is_its_own(tmp_path: Path) -> None:
    path = write(tmp_path / "a.jsonl", lives("x", 4))
    other = write(tmp_path / "b.jsonl", lives("x", 9))
    async with running(beside(path, other), WIDE) as (app, pilot):
        await until(pilot, lambda: "episode 1 of 1" in screen(app))
        text = await press(pilot, "g")
        assert "last 4 " in text and "last 9 " in text


async def test_another_record_with_the_same_id_is_told_and_not_shown(tmp_path: Path) -> None:
    path = write(tmp_path / "a.jsonl", lives("x", seed=7))
    other = write(tmp_path / "b.jsonl", lives("x", seed=8))
    async with running(beside(path, other), WIDE) as (app, pilot):
        await until(pilot, lambda: "METERS" in screen(app))
        words = " ".join((await press(pilot, "g")).replace("│", " ").split())
        assert "its record x is another one: seed 7 and 8" in words
        assert words.count("METERS") == 1


@pytest.mark.parametrize(
    ("size", "fits"), [((128, 20), True), ((64, 38), True), ((127, 37), False), ((200, 19), False), ((20, 5), False)]
)
def test_a_pair_fills_the_screen_exactly_or_says_what_it_needs(size: tuple[int, int], fits: bool) -> None:
    index = EpisodeIndex(live_predictions.PART.view.filters)
    row = lives("x")
    index.add(live_predictions.Summary(**{n: getattr(row, n) for n in NAMES}, has_steps=True), 0, 1)
    playback = Playback(index, live_predictions.num_frames, from_start=True)
    playback.on_news()
    view = View(playback, live_predictions.scene(Moment(row, 2, index.history(0, 5))), label="a")
    lines = compose_pair((view, view), Size(*size))
    assert [line.cell_len for line in lines] == [size[0]] * size[1]
    text = "\n".join(line.plain for line in lines)
    assert text.count("METERS") == (2 if fits else 0)
    assert fits or size[0] < 64 or "128x20 or 64x38 cells are needed" in text


NAMES = ("id", "level", "multiplier", "num_steps", "died", "cause", "wellbeing")


@pytest.mark.parametrize(
    ("rows", "words"),
    [
        (None, "there is no such file"),
        ([episode(step())], "does not hold predictions"),
        ([lives("a", keeps_steps=False)], "no record of this file can be played"),
    ],
)
def test_what_cannot_be_played_beside_is_refused(tmp_path: Path, rows: list[Any] | None, words: str) -> None:
    path = tmp_path / "b.jsonl" if rows is None else write(tmp_path / "b.jsonl", *rows)
    with pytest.raises(UserError, match=words):
        Against(path, "gridworld", "new")

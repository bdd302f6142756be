"""The pictures of gridworld: every one from real play, the same every time, and nothing that is missing stops them."""

from collections.abc import Container, Sequence
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pytest
from PIL import Image

from pipeline.contract.jobs import DrawJob
from pipeline.errors import UserError
from pipeline.files import write_all
from pipeline.look import plotting
from pipeline.tasks.gridworld.rows import GridworldMonitor, GridworldPrediction, GridworldProgress, Step
from pipeline.tasks.gridworld.town.rules import BED, INTERACT, JOB, METERS, RIGHT
from pipeline.tasks.gridworld.visualize import episodes, habits, hidden, records, timelines, training, values
from pipeline.tasks.gridworld.visualize.draw import draw, sections
from pipeline.tasks.gridworld.visualize.episodes import Track, choose_tracks, read_track
from pipeline.tasks.gridworld.visualize.looks import MODEL
from tests.tasks.gridworld import literal_rows
from tests.tasks.gridworld.fake_predictions import Fake, fake_predictions

RECORDS = ["survival", "wellbeing", "paired_full_1", "causes", "places"]
HABITS = ["hours"]
EPISODES = ["trajectories", "visits", "timeline_best", "timeline_median", "timeline_worst"]
VALUES = ["q_best", "q_median", "q_worst"]
HIDDEN = ["hidden_map", "hidden_units"]

replace = msgspec.structs.replace


@pytest.fixture(scope="module")
def rows() -> list[GridworldPrediction]:
    return fake_predictions(Fake(num_records=6, num_traces=4, carelessness=0.5))


def step(**changes: Any) -> Step:
    return replace(literal_rows.step("rest", (1, 2), hour=6, meters=[1.0] * len(METERS), q=[0.0] * 8), **changes)


def prediction(trace: Sequence[Step] | None, **changes: Any) -> GridworldPrediction:
    """Died after three steps in a town of nine cells and a bed."""
    fields: dict[str, Any] = {"id": "r1", "level": "minimal", "size": 3, "window": None, "cap": 1000, "stage": None}
    fields |= {"num_steps": 3, "died": True, "cause": "energy", "wellbeing": 2.0, "grid_places": {"bed": (0, 0)}}
    return literal_rows.prediction(*(trace or ()), keeps_steps=trace is not None, **(fields | changes))


def drawn(
    folder: Path, *files: Sequence[GridworldPrediction], train: Path | None = None, render: Container[str] = ()
) -> tuple[list[str], list[str]]:
    """Slugs of the pictures there are, and the notes; those in `render` are written and looked at."""
    notes: list[str] = []
    predictions = {f"file {k}": rows for k, rows in enumerate(files)}
    slugs = []
    with plotting.style():
        job = DrawJob(predictions=predictions, folder=folder, train_folder=train, note=notes.append)
        for picture in (picture for _, pictures in sections(job) for picture in pictures):
            slugs.append(picture.slug)
            if picture.slug in render:
                plotting.save_png(picture.canvas, folder / f"{picture.slug}.png")
                look_at(folder / f"{picture.slug}.png")
    return slugs, notes


def look_at(path: Path) -> None:
    assert path.stat().st_size < 200_000
    with Image.open(path) as picture:
        assert np.asarray(picture.convert("L")).std() > 5  # something is on it


def test_episodes_of_two_stages_that_mix_are_one_change() -> None:
    """A stage's last episodes end among the first of the next: 20 environments, a change amid each one's episode."""
    mixed = [0] * 7 + [1] * 7 + [0] * 6
    rows = [
        GridworldProgress(
            id=str(k),
            step=k,
            env_index=k % 20,
            num_steps=1,
            died=False,
            cause=None,
            wellbeing=0.0,
            return_total=0.0,
            epsilon=0.1,
            stage=stage,
            multiplier=1.0,
        )
        for k, stage in enumerate([0] * 40 + mixed + [1] * 60)
    ]
    (first, second) = training.stage_changes(rows)
    assert first == (0, 0)
    assert second[1] == 1 and 40 < second[0] <= 60


def write_training(folder: Path, num_episodes: int = 60, stages: int = 2) -> Path:
    folder.mkdir(exist_ok=True)
    progress = [
        GridworldProgress(
            id=f"e{k}",
            step=100 * (k + 1),
            env_index=0,
            num_steps=100 + k,
            died=k % 3 > 0,
            cause=("energy", "health")[k % 2] if k % 3 else None,
            wellbeing=50.0 + k,
            return_total=50.0,
            epsilon=0.1,
            stage=k * stages // num_episodes,
            multiplier=0.5,
        )
        for k in range(num_episodes)
    ]
    monitor = [
        GridworldMonitor(
            id=f"m{k}",
            step=2000 * (k + 1),
            checkpoint="c",
            selected_by=float(k),
            num_episodes=10,
            num_steps_mean=200.0,
            survival_rate=0.5,
            wellbeing_mean=100.0,
            loss=0.1,
            num_updates=10,
        )
        for k in range(3)
    ]
    write_all(folder / "progress.jsonl", progress)
    write_all(folder / "monitor.jsonl", monitor)
    return folder


def test_everything_there_is_to_see(tmp_path: Path) -> None:
    rows = fake_predictions(Fake(level="temporal", num_records=6, num_traces=4, hidden_size=5, carelessness=0.3))
    notes: list[str] = []
    train = write_training(tmp_path / "train")
    job = DrawJob(predictions={"a": rows[:3], "b": rows}, folder=tmp_path, train_folder=train, note=notes.append)
    figures = list(draw(job))
    records = [slug.replace("full", "temporal") for slug in RECORDS]
    slugs = [*records, *HABITS, *EPISODES, *VALUES, *HIDDEN, "training", "loss", "checkpoints"]
    assert [figure.id for figure in figures] == slugs
    assert notes == []
    for figure in figures:
        assert len(figure.caption) > 60
        look_at(tmp_path / figure.path)


def test_the_same_predictions_give_the_same_pictures(tmp_path: Path) -> None:
    rows = [prediction([step()] * 30, hidden=[[0.1, 0.2 * k] for k in range(30)], num_steps=30)]
    train = write_training(tmp_path / "train")
    jobs = [DrawJob(predictions={"a": rows}, folder=tmp_path / name, train_folder=train) for name in ("one", "two")]
    first, second = (list(draw(job)) for job in jobs)
    assert first == second
    for figure in first:
        assert (tmp_path / "one" / figure.path).read_bytes() == (tmp_path / "two" / figure.path).read_bytes()


def test_without_traces_the_records_are_drawn(rows: list[GridworldPrediction], tmp_path: Path) -> None:
    slugs, notes = drawn(tmp_path, [replace(row, trace=None) for row in rows])
    assert slugs == RECORDS
    assert "infer.num_traces" in notes[0]


def test_it_says_where_the_worst_and_the_best_have_no_trace(rows: list[GridworldPrediction], tmp_path: Path) -> None:
    untraced = [
        replace(rows[0], id="low", wellbeing=-1.0, trace=None),
        replace(rows[0], id="high", wellbeing=9e9, trace=None),
    ]
    _, notes = drawn(tmp_path, [*rows, *untraced])
    assert "The worst of all episodes, low (wellbeing -1.0), has no trace" in notes[0]
    assert "The best of all episodes, high" in notes[1] and "A larger infer.num_traces keeps it." in notes[1]
    _, notes = drawn(tmp_path, [row for row in rows if row.trace])
    assert not any("of all episodes" in note for note in notes)


def test_one_record_alone(rows: list[GridworldPrediction], tmp_path: Path) -> None:
    slugs, _ = drawn(tmp_path, rows[:1], render=RECORDS)
    assert slugs == [*RECORDS, *HABITS, "trajectories", "visits", "timeline_best", "q_best"]


@pytest.mark.parametrize("died", [True, False])
def test_everyone_dies_or_nobody(died: bool, rows: list[GridworldPrediction], tmp_path: Path) -> None:
    changes: dict[str, Any] = {"died": died, "cause": "health" if died else None, "num_steps": 40 if died else 500}
    drawn(tmp_path, [replace(row, trace=None, **changes) for row in rows], render=("survival", "causes"))


@pytest.mark.parametrize("level", ["minimal", "resources"])
def test_small_towns(level: str, tmp_path: Path) -> None:
    rows = fake_predictions(Fake(level=level, num_records=1, num_traces=1))
    drawn(tmp_path, rows, render=("trajectories", "visits", "q_best"))


def test_without_q_values_there_are_no_maps_of_them(rows: list[GridworldPrediction], tmp_path: Path) -> None:
    blind = [replace(row, trace=[msgspec.structs.replace(s, q=None) for s in row.trace or []]) for row in rows[:1]]
    slugs, _ = drawn(tmp_path, blind)
    assert not set(slugs) & set(VALUES)
    assert "timeline_best" in slugs


def test_a_life_of_one_step(tmp_path: Path) -> None:
    shown = ("hours", "trajectories", "visits", "timeline_best", "q_best")
    slugs, _ = drawn(tmp_path, [prediction([step()], num_steps=1)], render=shown)
    assert {*shown} <= set(slugs)


def test_several_difficulties_are_drawn_beside_each_other(tmp_path: Path) -> None:
    rows = [r for m in (1.0, 1.5) for r in fake_predictions(Fake(num_records=3, num_traces=0, multiplier=m))]
    slugs, _ = drawn(tmp_path, rows, render=("survival", "places"))
    assert slugs == ["survival", "wellbeing", "paired_full_1", "paired_full_1_5", "causes", "places"]


def test_records_that_failed_are_counted_and_left_out(rows: list[GridworldPrediction], tmp_path: Path) -> None:
    failed = replace(rows[0], id="failed", error="out of memory")
    _, notes = drawn(tmp_path, [failed, *(replace(row, trace=None) for row in rows)])
    assert notes[0] == "1 of 7 records failed and are in no picture."


@pytest.mark.parametrize("error", ["out of memory", None])
def test_nothing_to_draw_is_an_error_of_the_user(error: str | None, rows: list[GridworldPrediction]) -> None:
    found = [replace(rows[0], error=error)] if error else []
    with pytest.raises(UserError, match=r"errors|no predictions"):
        drawn(Path("unused"), found)


def test_a_trace_of_another_town_is_left_out_and_noted(tmp_path: Path) -> None:
    outside = prediction([step(position=(7, 7))])
    slugs, notes = drawn(tmp_path, [outside, prediction([step(meters=[1.0])], id="r2")])
    assert "trajectories" not in slugs
    assert notes[0].startswith("2 traces hold steps that do not fit")


@pytest.mark.parametrize("states", [None, [], [[]], [[0.1, 0.2]] * 2, [[0.1], [0.1, 0.2], [0.3]]])
def test_hidden_states_that_do_not_fit_the_trace_are_none(states: Any, tmp_path: Path) -> None:
    slugs, notes = drawn(tmp_path, [prediction([step()] * 3, hidden=states)])
    assert not set(slugs) & set(HIDDEN)
    assert "no hidden states" in notes[0]


@pytest.mark.parametrize("num_steps", [1, 3])
def test_hidden_states_that_never_change_are_drawn(num_steps: int, tmp_path: Path) -> None:
    slugs, _ = drawn(tmp_path, [prediction([step()] * num_steps, hidden=[[0.5]] * num_steps)], render=HIDDEN)
    assert {*HIDDEN} <= set(slugs)


@pytest.mark.parametrize("missing", ["progress.jsonl", "monitor.jsonl"])
def test_half_a_training_is_drawn(missing: str, tmp_path: Path) -> None:
    train = write_training(tmp_path / "train")
    (train / missing).unlink()
    slugs, notes = drawn(tmp_path, [prediction(None)], train=train, render=("training",))
    assert "training" in slugs
    assert ("loss" in slugs) == (missing == "progress.jsonl")
    assert any(missing in note for note in notes)


@pytest.mark.parametrize(("num_episodes", "num_points"), [(19, 0), (20, 1), (59, 2)])
def test_the_last_episodes_of_a_training_are_a_full_bin_or_none(
    num_episodes: int, num_points: int, tmp_path: Path
) -> None:
    notes: list[str] = []
    with plotting.style():
        picture, _ = training.training_pictures(write_training(tmp_path / "train", num_episodes, 1), notes.append)
    lines = {str(line.get_label()): line for ax in picture.canvas.axes for line in ax.lines}
    line = lines.get("training episodes, exploring (mean, and 10 % to 90 %)")
    assert (0 if line is None else len(line.get_xdata())) == num_points
    assert bool(notes) == (num_points == 0)


def test_a_torn_training_is_drawn_up_to_the_tear(tmp_path: Path) -> None:
    train = write_training(tmp_path / "train")
    with (train / "progress.jsonl").open("ab") as file:
        file.write(b'{"task":"gridworld","id":"e6')
    slugs, notes = drawn(tmp_path, [prediction(None)], train=train)
    assert "training" in slugs
    assert any("torn" in note for note in notes)


def test_a_training_that_cannot_be_read_is_noted(tmp_path: Path) -> None:
    train = write_training(tmp_path / "train")
    (train / "progress.jsonl").write_text('{"what": 1}\n{"is": "this"}\n')
    (train / "monitor.jsonl").unlink()
    slugs, notes = drawn(tmp_path, [prediction(None)], train=train)
    assert "training" not in slugs
    assert any("progress.jsonl cannot be read" in note for note in notes)


def test_worst_median_and_best_by_wellbeing() -> None:
    found = [prediction([step()], id=f"r{w}", wellbeing=float(w)) for w in (5, 1, 4, 2, 3)]
    assert {name: track.row.id for name, track in choose_tracks(found).items()} == {
        "best": "r5",
        "median": "r3",
        "worst": "r1",
    }
    assert list(choose_tracks(found[:1])) == ["best"]
    assert choose_tracks([prediction(None), prediction([])]) == {}


def use(**changes: Any) -> Step:
    return step(action=INTERACT, underfoot=BED, **changes)


@pytest.fixture
def track() -> Track:
    """Walks right, uses the bed with a tick, a vain try and a completion, and rests."""
    steps = [
        step(action=RIGHT, position=(0, 0), hour=21),
        use(hour=22),
        use(use_place=BED, use_ticks=1, hour=23),
        use(use_place=BED, use_ticks=1, completed=BED, hour=0),
        step(position=(1, 2), hour=6, q=None),
    ]
    return read_track(prediction(steps))


def test_a_try_without_effect_is_told_from_a_tick_and_from_a_completed_use(track: Track) -> None:
    assert track.ticks.tolist() == [False, True, False, False, False]
    assert track.in_vain.tolist() == [False, False, True, False, False]
    assert habits.list_activities(track).tolist() == ["walking", "bed", "in vain", "bed", "rest"]


def test_activities_are_listed_by_use_and_idleness_last() -> None:
    found = np.array(["rest", "job", "bed", "bed", "in vain", "walking"])
    assert habits.order_activities(found) == ["bed", "job", "walking", "rest", "in vain"]


def test_nights_are_spans_of_steps(track: Track) -> None:
    assert timelines.nights(track) == [(1.0, 4.0)]


def test_the_raster_lists_uses_then_walking_and_idleness_then_what_was_in_vain(track: Track) -> None:
    doings = timelines.list_doings(track)
    assert [(doing.name, doing.steps.tolist(), doing.ticks.tolist()) for doing in doings] == [
        ("bed", [3], [1]),
        ("walking", [0], []),
        ("rest", [4], []),
        ("in vain", [2], []),
    ]


def test_cells_never_entered_hold_a_0_and_are_not_hatched(track: Track) -> None:
    with plotting.style():
        ax, bar = episodes.visits({"best": track}).canvas.axes
    assert [text.get_text() for text in ax.texts] == ["Be\n1", "0", "0", "0", "0", "0", "0", "4", "0"]
    assert {"1", "2"} <= {label.get_text() for label in bar.get_yticklabels()}


def test_values_by_cell_are_means_over_the_legal_and_known() -> None:
    q = [0.0, 1.0, *[-1.0] * 6]
    mask = [True, False, *[True] * 6]
    track = read_track(prediction([step(q=q, mask=mask), step(q=[2.0, *q[1:]]), step(q=None, position=(0, 0))]))
    assert values.mean_by_cell(track, track.q[:, 0])[2, 1] == 1.0
    assert values.mean_by_cell(track, track.q[:, 1])[2, 1] == 1.0  # only where it was legal
    assert np.isnan(values.mean_by_cell(track, track.q[:, 0])[0, 0])
    best = values.greedy_by_cell(track)
    assert best[2, 1] == 0
    assert best[0, 0] == -1


def test_slices_hold_the_model_first_and_then_the_scripts_by_wellbeing() -> None:
    rows = fake_predictions(Fake(num_records=3, num_traces=0))
    (part,) = records.slice_records(rows)
    names = list(part.lives)
    assert names[0] == MODEL
    assert {"tuned_script", "random"} <= set(names)
    means = [records.column(part.lives[name], "wellbeing").mean() for name in names[1:]]
    assert means == sorted(means, reverse=True)
    assert part.lives[MODEL] == rows


def test_a_habit_tells_never_lived_from_never_done_and_from_seldom() -> None:
    """One use in 300 steps at noon, and no step at any other hour."""
    seldom = step(action=INTERACT, underfoot=JOB, completed=JOB, hour=12)
    often = step(action=INTERACT, underfoot=BED, completed=BED, hour=12)
    tracks = [read_track(prediction([seldom, *[often] * 299, step(hour=12)]))]
    with plotting.style():
        ax = habits.activity_by_hour(tracks).canvas.axes[0]
    texts = [text.get_text() for text in ax.texts]
    assert "<.5" in texts
    assert len(texts) == 3 * 24 and texts.count("") == 3 * 23


def test_use_rates_are_uses_over_steps_lived() -> None:
    rows = [prediction(None, num_steps=n, place_uses={"job": u}) for n, u in ((100, 1), (300, 7))]
    rate, low, high = records.uses_per_100_steps(rows)
    assert rate[JOB] == 2.0
    assert low[JOB] <= 2.0 <= high[JOB]
    assert rate[BED] == 0.0


def test_principal_axes_find_the_direction_that_varies() -> None:
    line = np.outer(np.linspace(-1, 1, 50), [3.0, 4.0, 0.0])
    points, share, axes = hidden.principal_components(line)
    assert share.tolist() == pytest.approx([1.0, 0.0])
    assert axes[0].tolist() == pytest.approx([0.6, 0.8, 0.0])
    assert np.abs(points[:, 0]).max() == pytest.approx(5.0)
    again, _, _ = hidden.principal_components(-line[::-1])
    assert again[:, 0].tolist() == pytest.approx(points[:, 0].tolist())  # the sign is fixed


@pytest.mark.parametrize(("clock", "labels"), [(1.0, 8), (0.0, 1)])
def test_hours_are_written_on_the_hidden_states_only_where_they_lie_apart(clock: float, labels: int) -> None:
    hour = np.arange(2400) % 24
    noise = np.random.default_rng(0).normal(size=(2400, 2)) * 0.1
    points = noise + clock * np.stack([np.cos(hour * np.pi / 12), np.sin(hour * np.pi / 12)], axis=1)
    with plotting.style():
        ax = plotting.new_figure(2.0).subplots()
        hidden.color_by_hour(ax, points, hour)
    assert len(ax.texts) == labels


def test_one_number_has_an_interval_of_its_own() -> None:
    assert training.mean_interval(np.array([3.0])) == (3.0, 3.0, 3.0)
    mean, low, high = training.mean_interval(np.array([1.0, 2.0, 3.0]))
    assert low < mean == 2.0 < high

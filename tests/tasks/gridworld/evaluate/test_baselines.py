"""The scripted policies are played once for a set of scenarios, by any number of processes: the bytes are the same."""

import hashlib
import shutil
from pathlib import Path

import msgspec
import pytest

from pipeline.contract.metrics import Evaluation
from pipeline.files import StoredRows, cache, lines_of, write_all
from pipeline.tasks.gridworld.evaluate import baselines, columns
from pipeline.tasks.gridworld.evaluate.score import evaluate
from pipeline.tasks.gridworld.rows import GridworldPrediction, GridworldScore
from tests.tasks.gridworld.evaluate.test_score import BROKEN, QUICK, RETIRED, SICK, STARVED, changed

ROWS = [
    RETIRED,
    STARVED,
    SICK,
    BROKEN,
    changed(id="e", seed=5, level="temporal", multiplier=2.0, stage=1, wellbeing=310.25),
    changed(STARVED, id="f", seed=6, level="minimal", multiplier=0.2, stage=0, wellbeing=1.5),
]


def told(evaluation: Evaluation) -> bytes:
    """All that is written of it."""
    return b"".join([*lines_of(evaluation.metrics), *lines_of(evaluation.scores)])


@pytest.fixture(scope="module")
def once(tmp_path_factory: pytest.TempPathFactory) -> tuple[bytes, Path]:
    """What is told of the rows, and what was kept of the play."""
    folder = tmp_path_factory.mktemp("kept")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("BATON_CACHE", str(folder))
        return told(evaluate(ROWS, QUICK)), folder


@pytest.fixture(autouse=True)
def kept(once: tuple[bytes, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where results are kept: those of the rows are there."""
    monkeypatch.setenv("BATON_CACHE", str(tmp_path / "kept"))
    return Path(shutil.copytree(once[1], tmp_path / "kept"))


@pytest.fixture
def first(once: tuple[bytes, Path]) -> bytes:
    """What was told of the rows when they were played."""
    return once[0]


@pytest.fixture
def no_play(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever plays now fails."""
    monkeypatch.setattr(baselines, "play", lambda *_: pytest.fail("a policy was played again"))


def test_figures_are_those_of_the_first_version() -> None:
    """Metrics to nine digits: the last ones depend on the processor."""
    evaluation = evaluate(ROWS, QUICK)
    scores = hashlib.sha256(b"".join(lines_of(evaluation.scores)))
    assert scores.hexdigest().startswith("7b8b85c33e497c8a")

    def short(value: float | None) -> str:
        return "None" if value is None else f"{value:.9g}"

    metrics = [f"{m.id} {short(m.value)} {short(m.low)} {short(m.high)} {m.num_records}" for m in evaluation.metrics]
    assert hashlib.sha256("\n".join(metrics).encode()).hexdigest().startswith("8039e0c95ab90a33")


def test_scores_are_rows_and_lines_alike() -> None:
    scores = evaluate(ROWS, QUICK).scores
    assert len(scores) == 5 * 7
    assert list(lines_of(list(scores))) == list(lines_of(scores))
    assert isinstance(scores[0], GridworldScore)


def test_what_was_played_is_found_again(first: bytes, no_play: None) -> None:
    assert told(evaluate(ROWS, QUICK)) == first
    other_model = [msgspec.structs.replace(row, model="f" * 16, wellbeing=row.wellbeing + 1.0) for row in ROWS]
    assert told(evaluate(other_model, QUICK)) != first  # the model's own figures, beside baselines that are not played


@pytest.mark.parametrize("change", [{"seed": 77}, {"multiplier": 1.5}, {"level": "partial"}])
def test_other_scenarios_are_played(change: dict[str, object], no_play: None) -> None:
    with pytest.raises(pytest.fail.Exception, match="played again"):
        evaluate([changed(ROWS[0], **change), *ROWS[1:]], QUICK)


@pytest.mark.parametrize("damage", ["changed", "folder"])
def test_a_damaged_file_is_as_if_it_was_not_there_and_is_replaced(damage: str, kept: Path, first: bytes) -> None:
    (path,) = kept.iterdir()
    data = path.read_bytes()
    if damage == "folder":
        path.unlink()
        path.mkdir()
    else:
        path.write_bytes(data[:99] + b"?" + data[100:])
    assert told(evaluate(ROWS, QUICK)) == first
    assert damage == "folder" or path.read_bytes() == data


def test_where_nothing_can_be_kept_the_bytes_are_the_same(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, first: bytes
) -> None:
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("BATON_CACHE", str(tmp_path / "file/below"))
    assert told(evaluate(ROWS, QUICK)) == first


def test_the_number_of_processes_does_not_change_the_bytes(
    monkeypatch: pytest.MonkeyPatch, kept: Path, first: bytes
) -> None:
    """Six records are one block, which is played here; in blocks of two they are played by processes."""
    for module in (baselines, columns):
        monkeypatch.setattr(module, "NUM_TOGETHER", 2)
    monkeypatch.setattr("pipeline.processors.num_processors", lambda: 2)
    assert told(evaluate(ROWS, QUICK)) == first
    assert len([*kept.iterdir()]) == 4


def test_nothing_is_played_beside_errors_alone(no_play: None) -> None:
    with pytest.raises(Exception, match="all 2 predictions are errors"):
        evaluate([BROKEN, changed(BROKEN, id="z")], QUICK)


def test_rows_of_a_file_give_what_rows_in_memory_give(tmp_path: Path, first: bytes) -> None:
    write_all(tmp_path / "predictions.jsonl", ROWS)
    assert told(evaluate(StoredRows(tmp_path / "predictions.jsonl", GridworldPrediction), QUICK)) == first


def test_what_was_not_used_for_longest_is_removed_first(kept: Path) -> None:
    for path in kept.iterdir():
        path.unlink()
    for name in ("a", "b", "c"):
        cache.keep(name, name.encode() * 100)
    assert cache.load("a") == b"a" * 100
    cache.trim(max_bytes=2 * 132)
    assert {path.name for path in kept.iterdir()} == {"a", "c"}

"""The training: the same seed gives the same bytes, stopped or not; it learns; the live tail shows fixes."""

import shutil
from pathlib import Path

import msgspec
import orjson
import pytest

from pipeline.errors import UserError
from pipeline.files import read
from pipeline.tasks.localization.examples import make_examples
from pipeline.tasks.localization.rows import Episode, Example, Monitor
from pipeline.tasks.localization.train.batches import Recorded
from tests.support.trainings import train_in
from tests.tasks.localization.small import RECIPES, recipe

FILES = ("progress.jsonl", "monitor.jsonl", "selected.checkpoint_v1")


def contents(folder: Path) -> list[bytes]:
    return [(folder / name).read_bytes() for name in FILES]


@pytest.mark.parametrize("tier", RECIPES)
def test_a_training_that_was_stopped_ends_in_the_same_bytes(tier: str, tmp_path: Path) -> None:
    whole, parts = tmp_path / "whole", tmp_path / "parts"
    train_in(whole, recipe(RECIPES[tier]))
    with pytest.raises(KeyboardInterrupt):
        train_in(parts, recipe(RECIPES[tier]), stop_after=7)
    train_in(parts, recipe(RECIPES[tier]), resume=True)
    assert contents(parts) == contents(whole)
    shutil.rmtree(parts)
    other = msgspec.structs.replace(recipe(RECIPES[tier]), seed=4)
    train_in(parts, other)
    assert contents(parts) != contents(whole)


@pytest.mark.parametrize("tier", RECIPES)
def test_it_learns(tier: str, tmp_path: Path) -> None:
    wanted = recipe(RECIPES[tier], num_steps=150, monitor_every=10)
    train_in(tmp_path, wanted)
    first, *_, last = read(tmp_path / "monitor.jsonl", Monitor)
    assert last.negative_log_likelihood < first.negative_log_likelihood - 0.1


def test_the_live_tail_shows_fixes_of_the_same_records(tmp_path: Path) -> None:
    train_in(tmp_path, recipe(RECIPES["levels"]))
    rows = list(read(tmp_path / "episodes.jsonl", Episode))
    assert [row.step for row in rows] == [3, 6, 9, 12]
    assert {tuple(fix.id for fix in row.fixes) for row in rows} == {tuple(f"event-{n}" for n in range(4))}
    assert rows[0].fixes[0].ellipses and rows[0].fixes[0].fix_latitude != rows[-1].fixes[0].fix_latitude


def write(path: Path, rows: list[Example]) -> Path:
    path.write_bytes(b"".join(orjson.dumps(msgspec.to_builtins(row)) + b"\n" for row in rows))
    return path


def grouped(num_groups: int) -> list[Example]:
    rows = make_examples(recipe(RECIPES["levels"]))
    return [msgspec.structs.replace(row, group=f"device-{n % num_groups}") for n, row in enumerate(rows)]


def test_records_of_a_file_are_learnt_from_and_no_group_is_on_both_sides(tmp_path: Path) -> None:
    path = write(tmp_path / "examples.jsonl", grouped(5))
    wanted = recipe(RECIPES["levels"], records=str(path), num_steps=6)
    source = Recorded(wanted, path)
    held = {row.group for row in source.sample(40)}
    assert len(held) == 1 and len(source.learnt) + len(source.monitored) == 40
    assert len(source.learnt) == sum(row.group not in held for row in grouped(5))
    assert source.names == sorted(source.names) and source.places.shape == (7, 3)
    seen = [tuple(truth) for step in range(2) for truth in source.batch(step).truth.tolist()]
    assert len({*seen}) == 32  # none twice in the first pass
    train_in(tmp_path / "run", wanted)


def test_a_file_that_leaves_nothing_to_learn_from_is_refused(tmp_path: Path) -> None:
    path = write(tmp_path / "examples.jsonl", grouped(1))
    with pytest.raises(UserError, match="of 1 groups leave none to learn from"):
        Recorded(recipe(RECIPES["levels"]), path)
    with pytest.raises(UserError, match="no records to learn from"):
        train_in(tmp_path / "run", recipe(RECIPES["levels"], records=str(tmp_path / "nothing.jsonl")))

"""Which model answers: reloads that prove themselves, what is refused, rolled back, remembered, and split."""

import shutil
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from msgspec.structs import replace

from pipeline.contract.serving import Answerer
from pipeline.errors import UserError
from pipeline.files import write_all
from pipeline.registry.folder import FolderRegistry
from pipeline.serve.answer import open_answerer
from pipeline.serve.exchange import exchange_of
from pipeline.serve.models import Models
from pipeline.serve.reload.proof import Prover
from pipeline.serve.reload.second import takes
from pipeline.serve.reload.source import FileSource, ModelSource, RegistrySource
from pipeline.serve.reload.state import State
from pipeline.tasks.gridworld.recipe import Evaluate
from pipeline.tasks.gridworld.rows import GridworldExample, GridworldPrediction
from tests.serve.model_files import MINIMAL, damaged, other, other_golden

SCENARIOS = [GridworldExample(id=f"s{seed}", level="minimal", seed=seed, multiplier=1.0) for seed in range(30)]


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Model files by what they are."""
    folder = tmp_path_factory.mktemp("models")
    return {
        "good": MINIMAL,
        "other": other(folder / "other.inference_v1"),
        "worse": other(folder / "worse.inference_v1", worse=True),
        "damaged": damaged(folder / "damaged.inference_v1"),
        "golden": other_golden(folder / "golden.inference_v1"),
    }


@pytest.fixture(scope="module")
def log(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A request log of the good model."""
    folder = tmp_path_factory.mktemp("log")
    model = open_answerer("gridworld", MINIMAL)
    (folder / model.identity.model).mkdir()
    write_all(folder / model.identity.model / "predictions.jsonl", model.answer(SCENARIOS))
    return folder


@dataclass
class Server:
    """A source of models, and as many workers as a test makes."""

    source: ModelSource
    state: State
    log: Path
    counts: Counter[str] = field(default_factory=Counter)
    workers: list[Models] = field(default_factory=list)

    def worker(self, interval_s: float | None = None) -> Models:
        prover = Prover("gridworld", exchange_of("gridworld"), Evaluate(), self.log)
        models = Models(
            self.source,
            self.state,
            open=lambda path, version: open_answerer("gridworld", path, version=version),
            prove=prover.prove,
            count=lambda event: self.counts.update([event] if event != "adopted" else []),
            interval_s=interval_s,
        )
        self.workers.append(models)
        return models


@pytest.fixture
def served(tmp_path: Path, log: Path) -> Iterator[Server]:
    """A server of one file, ``served.inference_v1`` of the test's folder."""
    shutil.copy(MINIMAL, tmp_path / "served.inference_v1")
    state = State(tmp_path / "state")
    server = Server(FileSource(tmp_path / "served.inference_v1", state), state, log)
    yield server
    for models in server.workers:
        models.close()


@pytest.fixture
def registered(tmp_path: Path, log: Path, files: dict[str, Path]) -> Iterator[Server]:
    """A server of the alias "production" of a registry with versions 1 (good) and 2 (other)."""
    registry = FolderRegistry(tmp_path / "registry")
    for name in ("good", "other"):
        registry.add("town", files[name])
    registry.set_alias("town", "production", "1")
    server = Server(RegistrySource(registry, "town", "production"), State(tmp_path / "state"), log)
    yield server
    for models in server.workers:
        models.close()


def version(models: Models) -> str | None:
    answerer = models.current()
    return answerer.identity.version if answerer else None


def wait_until(is_so: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 60
    while not is_so() and time.monotonic() < deadline:
        time.sleep(0.01)
    assert is_so()


def offer(path: Path, new: Path) -> None:
    """As an export does: beside its place, renamed."""
    beside = path.with_suffix(".beside")
    shutil.copy(new, beside)
    beside.replace(path)


def test_a_file_that_was_replaced_is_answered_from_after_a_reload(
    served: Server, files: dict[str, Path], tmp_path: Path
) -> None:
    models = served.worker()
    old = models.current()
    offer(tmp_path / "served.inference_v1", files["other"])
    outcome = models.reload()
    new = models.current()
    assert outcome.status == "swapped" and new is not None and old is not None
    assert new.identity.model == outcome.model != old.identity.model
    assert outcome.proof is not None
    assert (outcome.proof.num_rows, outcome.proof.num_judged, outcome.proof.num_differing) == (30, 30, 0)
    assert old.answer(SCENARIOS[:1])[0].model == old.identity.model, "who holds the old one gets its answers"
    assert models.reload().status == "unchanged"
    assert served.counts == {"reloaded": 1}


@pytest.mark.parametrize(
    ("kind", "why"),
    [
        ("damaged", "the weights are damaged"),
        ("golden", "does not answer as it did when it was exported"),
        ("worse", "it is worse on 30 logged rows"),
    ],
)
def test_what_is_no_good_is_refused_and_says_why(
    kind: str, why: str, served: Server, files: dict[str, Path], tmp_path: Path
) -> None:
    models = served.worker()
    old = models.current()
    offer(tmp_path / "served.inference_v1", files[kind])
    with pytest.raises(UserError, match=why):
        models.reload()
    assert models.current() is old
    (remembered,) = models.pointer().refused
    assert why in remembered.why
    assert served.counts == {"refused": 1}


def test_files_that_are_refused_again_and_again_leave_the_old_one_to_workers_that_start(
    served: Server, files: dict[str, Path], tmp_path: Path
) -> None:
    """As of a copy into its place that is looked at while it grows."""
    models, whole = served.worker(), files["other"].read_bytes()
    for length in range(10, 16):
        (tmp_path / "served.inference_v1").write_bytes(whole[: length * 100])
        with pytest.raises(UserError):
            models.reload()
    assert version(served.worker()) == "served"
    assert len([*(tmp_path / "state/models").iterdir()]) == 2


def test_a_file_that_is_gone_leaves_the_old_model(served: Server, tmp_path: Path) -> None:
    models = served.worker()
    old = models.current()
    (tmp_path / "served.inference_v1").unlink()
    with pytest.raises(UserError, match="cannot read the model file"):
        models.reload()
    assert models.current() is old and old.answer(SCENARIOS[:1])


def test_the_file_that_was_proven_is_the_one_that_answers(
    served: Server, files: dict[str, Path], tmp_path: Path
) -> None:
    """A worker that opens it later does not see what lies in its place by then."""
    first = served.worker()
    offer(tmp_path / "served.inference_v1", files["other"])
    proven = first.reload().model
    (tmp_path / "served.inference_v1").write_bytes(b"something else")
    late = served.worker().current()
    assert late is not None and late.identity.model == proven


def test_rolling_back_is_one_call_and_can_be_undone(registered: Server) -> None:
    models = registered.worker()
    with pytest.raises(UserError, match="there was no model before this one"):
        models.roll_back()
    models.reload("2")
    assert models.roll_back().version == version(models) == "town/1"
    assert models.roll_back().version == version(models) == "town/2"


def test_an_alias_that_moves_is_followed_by_all_workers(registered: Server, tmp_path: Path) -> None:
    workers = [registered.worker(interval_s=0.05) for _ in range(2)]
    for models in workers:
        models.start()
    FolderRegistry(tmp_path / "registry").set_alias("town", "production", "2")
    wait_until(lambda: all(version(models) == "town/2" for models in workers))
    assert registered.counts == {"reloaded": 1}


def test_what_was_refused_is_not_tried_again_until_the_alias_moves(
    registered: Server, files: dict[str, Path], tmp_path: Path
) -> None:
    models = registered.worker(interval_s=0.02)
    models.start()
    registry = FolderRegistry(tmp_path / "registry")
    registry.set_alias("town", "production", registry.add("town", files["worse"]))
    wait_until(lambda: registered.counts["refused"] == 1)
    time.sleep(0.3)
    assert registered.counts == {"refused": 1} and version(models) == "town/1"
    registry.set_alias("town", "production", "2")
    wait_until(lambda: version(models) == "town/2")


def test_a_rolled_back_model_stays_away_though_the_alias_names_it(registered: Server, tmp_path: Path) -> None:
    models = registered.worker(interval_s=0.02)
    FolderRegistry(tmp_path / "registry").set_alias("town", "production", "2")
    models.reload()
    models.roll_back()
    models.start()
    time.sleep(0.3)
    assert version(models) == "town/1"


def test_two_reloads_at_once_are_one(registered: Server) -> None:
    models = registered.worker()
    with registered.state.exclusive(), pytest.raises(UserError, match="another reload is going on"):
        models.reload("2")
    assert version(models) == "town/1"


def test_a_server_whose_registry_is_not_there_yet_waits_for_it(
    tmp_path: Path, log: Path, files: dict[str, Path]
) -> None:
    registry = FolderRegistry(tmp_path / "registry")
    server = Server(RegistrySource(registry, "town", "production"), State(tmp_path / "state"), log)
    with pytest.raises(UserError, match="there is no model 'town'"):
        server.worker()
    models = server.worker(interval_s=0.02)
    assert models.current() is None
    models.start()
    registry.add("town", files["good"])
    registry.set_alias("town", "production", "1")
    wait_until(lambda: version(models) == "town/1")
    models.close()


def test_a_canary_answers_its_share_of_the_keys_always_the_same_ones(registered: Server) -> None:
    models = registered.worker()
    models.set_second("2", "canary", 0.25)

    def answers(key: str) -> str:
        chosen = models.choose(key)
        assert chosen is not None
        return chosen.identity.version

    keys = [f"key-{number}" for number in range(2000)]
    first = [answers(key) for key in keys]
    assert first == [answers(key) for key in keys]
    assert 0.2 < first.count("town/2") / len(keys) < 0.3
    models.set_second("2", "canary", 0.5)
    assert {key for key, answer in zip(keys, first, strict=True) if answer == "town/2"} <= {
        key for key in keys if answers(key) == "town/2"
    }
    models.set_second(None)
    assert {answers(key) for key in keys} == {"town/1"}


def test_of_workers_that_begin_together_one_sets_the_canary_and_none_fails(registered: Server) -> None:
    workers = [registered.worker() for _ in range(3)]
    with ThreadPoolExecutor() as pool:
        found = [*pool.map(lambda models: models.set_second("2", "canary", 0.5, at_start=True), workers)]
    assert [pointer.generation for pointer in found] == [2, 2, 2]
    workers[0].set_second(None)
    assert registered.worker().set_second("2", "canary", 0.5, at_start=True).second is None


def test_a_canary_that_becomes_the_model_is_no_canary_any_more(registered: Server) -> None:
    models = registered.worker()
    models.set_second("2", "canary", 0.5)
    models.reload("2")
    assert [one.identity.version for one in models.serving()] == ["town/2"]


@pytest.mark.parametrize(("share", "expected"), [(0.0, 0), (1.0, 1000)])
def test_no_share_is_nobody_and_all_of_it_everybody(share: float, expected: int) -> None:
    assert sum(takes(str(number), share) for number in range(1000)) == expected


def test_requests_go_on_while_models_are_swapped(registered: Server) -> None:
    """Each answer is of the model that its request began with, whatever the others do meanwhile."""
    models, over, wrong = registered.worker(), threading.Event(), []

    def ask() -> None:
        while not over.is_set():
            answerer = models.current()
            assert answerer is not None
            (row,) = answerer.answer(SCENARIOS[:1])
            if row.model != answerer.identity.model:
                wrong.append(row)
            time.sleep(0.001)  # for the reloads

    thread = threading.Thread(target=ask)
    thread.start()
    for version in "21":
        models.reload(version)
    over.set()
    thread.join()
    assert wrong == [] and registered.counts == {"reloaded": 2}


def test_a_row_that_cannot_be_asked_again_is_left_out_of_the_proof(log: Path, tmp_path: Path) -> None:
    """Such as one of an image that came with its request: the old model fails on it by now, too."""
    gone = set(range(0, 30, 3))

    model = open_answerer("gridworld", MINIMAL)

    def failing(seeds: set[int]) -> Answerer:
        def answer(examples: Sequence[GridworldExample]) -> list[GridworldPrediction]:
            return [replace(row, error="gone") if row.seed in seeds else row for row in model.answer(examples)]

        return Answerer(model.identity, answer)

    prover = Prover("gridworld", exchange_of("gridworld"), Evaluate(), log)
    assert prover.prove(failing(gone), failing(gone)).num_rows == 20
    with pytest.raises(UserError, match="it fails on 1 of 30 logged rows that the old one answers: s1"):
        prover.prove(failing(gone), failing(gone | {1}))

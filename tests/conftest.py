"""What many tests share: running a command as a user does, and one tiny run through every stage that writes."""

import fcntl
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import hypothesis
import pytest

if TYPE_CHECKING:
    from tests.support.zygote import Zygote

ROOT = Path(__file__).resolve().parents[1]

PLAIN = {"COLUMNS": "100", "NO_COLOR": "1"}  # what is printed where there is no terminal looks the same everywhere

# One thread, like the stages, in this process and those it starts: on a busy machine two threads of torch wait for each
# other (60 updates of a tiny network took 75 s instead of 1).
for variable in ("OMP_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ.setdefault(variable, "1")

# What the scripts of a task did is kept between runs: of tests not among the user's own.
os.environ.setdefault("BATON_CACHE", str(Path(tempfile.gettempdir()) / f"baton-tests-{os.getuid()}"))

# The same examples in every run, however slow the machine: what fails here fails everywhere.
hypothesis.settings.register_profile("repeatable", derandomize=True, deadline=None, database=None)
hypothesis.settings.load_profile("repeatable")


# The files that take longest, longest first: begun last, one of them would run while other workers have nothing to do.
LONGEST = (
    "tests/run/test_killed.py",
    "tests/project/test_flow.py",
    "tests/new/test_skeleton.py",
    "tests/files/test_full_disk.py",
    "tests/serve/test_openapi.py",
    "tests/serve/test_faults.py",
    "tests/follow/test_terminal.py",
    "tests/model/test_docs.py",
    "tests/tasks/gridworld/train/test_trainer.py",
    "tests/tasks/gridworld/visualize/test_draw.py",
    "tests/sweep/test_stage.py",
    "tests/visualize/test_visualize.py",
    "tests/tasks/detection/visualize/test_draw.py",
    "tests/tasks/detection/visualize/test_report.py",
    "tests/project/test_import_rules.py",
    "tests/project/test_wheel.py",
    "tests/gate/test_gate.py",
    "tests/model/test_onnx.py",
    "tests/tasks/detection/read_text/test_parse_any_text.py",
)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """The longest files first, the others as they are."""
    places = {path: place for place, path in enumerate(LONGEST)}
    items.sort(key=lambda item: places.get(item.nodeid.partition("::")[0], len(places)))


@dataclass(frozen=True)
class Done:
    """A finished command."""

    code: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        """What ``--json`` printed: exactly one line."""
        assert self.out.count("\n") == 1, self.out
        return json.loads(self.out)


Baton = Callable[..., Done]


def run_baton(*arguments: str | Path, runs: Path, **environment: str) -> Done:
    """Run ``baton ARGUMENTS`` in a process of its own, from the project's folder, with its runs in ``runs``."""
    command = [sys.executable, "-m", "stages", *map(str, arguments)]
    settings = os.environ | PLAIN | {"BATON_RUNS": str(runs)} | environment
    done = subprocess.run(command, cwd=ROOT, env=settings, capture_output=True, text=True, timeout=300)
    return Done(done.returncode, done.stdout, done.stderr)


@pytest.fixture
def baton(zygote: "Zygote", tmp_path: Path) -> Baton:
    """``baton("inspect", path)`` runs that command in a process of its own, which the zygote has loaded everything for;
    its run folders are in a folder of the test's own."""

    def run(*arguments: str | Path, runs: Path = tmp_path / "runs", **environment: str) -> Done:
        return zygote.run(*arguments, environment={"BATON_RUNS": str(runs)} | environment)

    return run


@pytest.fixture(scope="session")
def shared_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One folder for all workers of a test run."""
    own = tmp_path_factory.getbasetemp()
    return own.parent if "PYTEST_XDIST_WORKER" in os.environ else own


@pytest.fixture(scope="session")
def tiny_runs(shared_folder: Path) -> Path:
    """A runs folder where recipe "tiny" went through examples, train, export and infer, each started from nothing. For
    reading only."""

    def make(folder: Path) -> None:
        for stage in ("examples", "train", "export", "infer"):
            done = run_baton(stage, "gridworld", "--recipe", "tiny", runs=folder / "runs")
            assert done.code == 0, done.err

    return made_once(shared_folder / "tiny", make) / "runs"


def made_once(folder: Path, make: Callable[[Path], None]) -> Path:
    """``folder``, as the first worker that asked had ``make`` fill it."""
    with folder.with_suffix(".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not (folder / "whole").exists():
            make(folder)
            (folder / "whole").touch()
    return folder


@pytest.fixture(scope="session")
def zygote(shared_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> "Iterator[Zygote]":
    """Real commands in processes that start in milliseconds."""
    from tests.support.zygote import WARM, Zygote  # it imports this module

    with Zygote(WARM, shared_folder, tmp_path_factory.mktemp("zygote")) as zygote:
        yield zygote


@pytest.fixture(scope="session")
def without_torch(shared_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> "Iterator[Zygote]":
    """Processes in which importing torch fails, and nothing of the project is loaded."""
    from tests.support.zygote import WITHOUT_TORCH, Zygote

    with Zygote(WITHOUT_TORCH, shared_folder, tmp_path_factory.mktemp("without-torch")) as zygote:
        yield zygote


@pytest.fixture(scope="session")
def libraries(shared_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> "Iterator[Zygote]":
    """Processes in which the libraries are loaded, and nothing of the project."""
    from tests.support.zygote import LIBRARIES, Zygote

    with Zygote(LIBRARIES, shared_folder, tmp_path_factory.mktemp("libraries")) as zygote:
        yield zygote

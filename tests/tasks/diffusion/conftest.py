"""One small training of real digits through examples, train, export and infer, for all tests of the task."""

from pathlib import Path

import pytest

from tests.conftest import made_once, run_baton


@pytest.fixture(scope="session")
def digits_run(shared_folder: Path) -> Path:
    """The run folder of recipe "tiny", each stage started from nothing. For reading only."""

    def make(folder: Path) -> None:
        for stage in ("examples", "train", "export", "infer"):
            done = run_baton(stage, "diffusion", "--recipe", "tiny", runs=folder / "runs")
            assert done.code == 0, done.err

    return made_once(shared_folder / "diffusion", make) / "runs/diffusion/tiny"


@pytest.fixture(scope="session")
def digits_model(digits_run: Path) -> Path:
    """Its model file."""
    return digits_run / "export/model.inference_v1"

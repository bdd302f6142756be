"""Memory that is not there: whose refusal is told, in which words."""

import subprocess
import sys
from pathlib import Path

import pytest
import torch

from pipeline.run import memory
from pipeline.run.memory import available_bytes, memory_error


def test_a_refusal_of_torch_is_told_as_one_of_memory() -> None:
    with pytest.raises(RuntimeError) as refused:
        torch.empty(2**60, dtype=torch.uint8)
    error = memory_error(refused.value)
    assert error is not None and error.what.startswith("there is not enough memory: ")
    assert f"you tried to allocate {2**60} bytes" in error.what and "GB are available" in error.what


@pytest.mark.parametrize("other", [RuntimeError("shapes do not fit"), ValueError("memory"), KeyError("bytes")])
def test_another_error_is_none_of_memory(other: Exception) -> None:
    assert memory_error(other) is None


@pytest.mark.parametrize(
    ("limit", "taken", "cached", "available"),
    [("max", 5, 0, 90), ("50", 20, 0, 30), ("50", 50, 35, 35), ("500", 5, 0, 90)],
)
def test_what_a_container_may_take_is_no_more_than_its_limit_and_its_cache_counts_as_free(
    limit: str, taken: int, cached: int, available: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    gigabyte = 2**30
    (tmp_path / "memory.max").write_text(limit if limit == "max" else str(int(limit) * gigabyte))
    (tmp_path / "memory.current").write_text(f"{taken * gigabyte}\n")
    (tmp_path / "memory.stat").write_text(f"anon 1\ninactive_file {cached * gigabyte}\nactive_file 0\n")
    monkeypatch.setattr(memory, "_CGROUP", tmp_path)
    real = memory._numbers
    told = {"MemAvailable:": 90 * 2**20}
    monkeypatch.setattr(memory, "_numbers", lambda path: told if path.name == "meminfo" else real(path))
    assert available_bytes() == available * gigabyte


def test_a_process_gets_no_more_than_there_is() -> None:
    """More than the machine has free, which Linux alone would promise: zeros take no memory until they are written."""
    available = available_bytes()
    assert available is not None and available > 0
    code = (
        "import numpy as np; from pipeline.run.memory import limit_memory; limit_memory();"
        f"np.zeros(2**20, np.uint8); np.zeros({available + 2**33}, np.uint8)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.returncode == 1 and "Unable to allocate" in done.stderr

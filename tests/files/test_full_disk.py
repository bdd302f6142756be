"""A disk that fills up under train, infer and evaluate: one clear error, whole lines, and the same bytes later.

Two kinds of small disk: a limit on the size of any file, which every user may set and the system answers with "file
too large"; and, where mounting is allowed, a file system in memory that really is too small.
"""

import contextlib
import re
import subprocess
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from pipeline.files import scan
from pipeline.run.manifest import load_manifest, verify
from tests.support.run_files import different_files
from tests.support.zygote import Zygote

FRACTIONS = (0.01, 0.3, 0.6, 0.95)  # of what the finished run takes
PAGE_BYTES = 4096
SETTINGS = {
    "train": ("environment.level=minimal", "replay.capacity=512", "train.num_steps=1024", "train.monitor_every=256"),
    "infer": ("infer.batch_size=4", "infer.num_traces=6"),
    "evaluate": ("evaluate.num_resamples=20",),
}
REASONS = {"file size limit": "the disk takes no more: File too large", "small file system": "the disk is full"}


@dataclass(frozen=True)
class Disk:
    """A folder on a disk that is too small, until `grow`."""

    folder: Path
    max_file_bytes: int | None
    grow: Callable[[], object]


@contextlib.contextmanager
def small_disk(kind: str, folder: Path, whole: Path, fraction: float) -> Iterator[Disk]:
    """A disk that lacks what ``whole`` takes: it has ``fraction`` of it (of its largest file, where that counts)."""
    sizes = [path.stat().st_size for path in whole.rglob("*") if path.is_file() and path.name != "episodes.jsonl"]
    if kind == "file size limit":  # the tail is no measure: a training goes on without it
        yield Disk(folder, int(fraction * max(sizes)), lambda: None)
        return
    total = sum(-(-size // PAGE_BYTES) for size in sizes) * PAGE_BYTES
    folder.mkdir()
    mount("-t", "tmpfs", "-o", f"size={max(PAGE_BYTES, int(fraction * total))}", "none", folder)
    try:
        yield Disk(folder, None, lambda: mount("-o", "remount,size=64m", folder))
    finally:
        subprocess.run(["umount", folder], check=True)


def mount(*arguments: str | Path) -> None:
    subprocess.run(["mount", *arguments], check=True, capture_output=True)


def kinds() -> list[str]:
    """What this user may make small."""
    with tempfile.TemporaryDirectory() as folder:
        try:
            mount("-t", "tmpfs", "-o", "size=4k", "none", Path(folder))
        except (OSError, subprocess.CalledProcessError):
            return ["file size limit"]
        subprocess.run(["umount", folder], check=True)
    return list(REASONS)


@pytest.mark.parametrize("kind", kinds())
@pytest.mark.parametrize("stage", list(SETTINGS))
def test_a_full_disk_is_one_clear_error_and_the_same_command_goes_on_when_there_is_space(
    zygote: Zygote, tiny_runs: Path, tmp_path: Path, stage: str, kind: str
) -> None:
    settings = [text for value in SETTINGS[stage] for text in ("--set", value)]
    arguments: tuple[str | Path, ...] = (
        stage,
        "gridworld",
        "--recipe",
        "tiny",
        "--runs-dir",
        tiny_runs,
        *settings,
        "--out",
    )
    whole = tmp_path / "whole"
    assert zygote.run(*arguments, whole).code == 0
    for number, fraction in enumerate(FRACTIONS):
        with small_disk(kind, tmp_path / f"disk-{number}", whole, fraction) as disk:
            folder = disk.folder / "run"
            for _ in range(2):  # the second time nothing is different
                done = zygote.run(*arguments, folder, max_file_bytes=disk.max_file_bytes)
                assert (done.code, done.out) == (2, ""), done.err
                assert_one_error(done.err, REASONS[kind], folder)
                assert_only_whole_lines(folder)
            disk.grow()
            done = zygote.run(*arguments, folder)
            assert done.code == 0, done.err
            assert different_files(whole, folder) == []
            assert load_manifest(folder).status == "ok" and verify(folder) == []


def assert_one_error(text: str, reason: str, folder: Path) -> None:
    """Behind lines of progress, if any, the block that says what, where and what next."""
    block = text[text.index("error:") :]
    where = re.escape(str(folder)) + r"\S*"
    remedy = "free some space, then run the same command again"
    assert re.fullmatch(f"error: {reason}\n  where: {where}\n  next:  {remedy}\n", block), text


def assert_only_whole_lines(folder: Path) -> None:
    for path in folder.rglob("*.jsonl"):
        assert scan(path, dict).torn is None, path
    assert not list(folder.rglob("*.tmp"))
    if (folder / "manifest.json").exists():
        assert load_manifest(folder).status in ("started", "error")

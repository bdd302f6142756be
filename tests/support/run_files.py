"""Comparing what two runs of one stage left behind."""

from pathlib import Path

from pipeline.train.trainer import RESUME

# May differ: the manifest names times, the lock a process; the tail may drop episodes, and what a training resumes from
# remembers how long the tail is.
MAY_DIFFER = ("manifest.json", ".lock", "episodes.jsonl", RESUME)


def different_files(one: Path, other: Path) -> list[str]:
    """Files that only one of two run folders has, hidden ones too, or whose bytes differ and must not."""

    def contents(folder: Path) -> dict[str, bytes | None]:
        paths = [path for path in folder.rglob("*") if path.is_file()]
        return {str(p.relative_to(folder)): None if p.name in MAY_DIFFER else p.read_bytes() for p in paths}

    first, second = contents(one), contents(other)
    return sorted(name for name in first.keys() | second.keys() if first.get(name, b"") != second.get(name, b""))

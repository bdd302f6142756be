"""On what the benchmarks ran: processor, memory, load, versions."""

import os
import platform
from importlib import metadata
from pathlib import Path

from pipeline.run.provenance import provenance

_BUSY = 0.5  # running processes beside this one, on average over the last minute, from which the figures are suspect


def describe() -> list[str]:
    """Lines of text: the machine, what ran beside this process when it began, versions, commit."""
    facts = provenance("cpu", 1)
    # stable-baselines3 stands in an environment of its own; what it has installed is told by that benchmark.
    versions = facts.versions | {"typer": metadata.version("typer")}
    commit = (facts.git_commit or "unknown")[:12] + (" with local changes" if facts.git_dirty else "")
    load = os.getloadavg()[0]
    return [
        f"Processor: {_processor()}, {len(os.sched_getaffinity(0))} cores; memory: {_memory_gb():.0f} GB",
        f"System: {facts.platform}, Python {facts.python}",
        f"Load before: {load:.2f}" + (" (THE MACHINE WAS BUSY)" if load > _BUSY else ""),
        "Versions: " + ", ".join(f"{name} {version}" for name, version in sorted(versions.items())),
        f"Commit: {commit}",
    ]


def _processor() -> str:
    cpuinfo = Path("/proc/cpuinfo")
    if cpuinfo.exists():
        for line in cpuinfo.read_text().splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.processor() or platform.machine()


def _memory_gb() -> float:
    return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 1e9

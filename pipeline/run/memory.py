"""Memory that a process may not take, because the machine does not have it: told as an error before the machine stalls.

Linux promises more memory than there is, and kills when it is used. A process that may not ask for more than there is
gets a refusal it can tell, at the array that was too large, before any work.
"""

import contextlib
from pathlib import Path

from pipeline.errors import UserError

with contextlib.suppress(ImportError):  # of Unix alone; elsewhere nothing is limited
    import resource

_CGROUP = Path("/sys/fs/cgroup")
_UNTOUCHED = 2 << 30  # bytes that libraries reserve and never write: stacks of threads, pools of allocators
_TORCH_REFUSAL = "can't allocate memory"  # torch says it with a RuntimeError


def available_bytes() -> int | None:
    """What is free or can be freed, of the machine or of the container; None where the system does not say."""
    try:
        found = _numbers(Path("/proc/meminfo"))["MemAvailable:"] * 1024
    except (OSError, KeyError):
        return None
    with contextlib.suppress(OSError, KeyError, ValueError):  # "max" is no number: the container has no limit
        limit, taken = (int((_CGROUP / name).read_text()) for name in ("memory.max", "memory.current"))
        told = _numbers(_CGROUP / "memory.stat")
        cached = told["active_file"] + told["inactive_file"]  # counted as taken, and given back when it is needed
        found = min(found, limit - taken + cached)
    return found


def _numbers(path: Path) -> dict[str, int]:
    """The numbers of a file of the kernel, by the first word of their lines."""
    words = (line.split() for line in path.read_text().splitlines())
    return {word: int(number) for word, number, *_ in words}


def limit_memory() -> None:
    """From here on this process, and each that it starts, may ask for no more memory than there is now."""
    available = available_bytes()
    if available is None:
        return
    taken = int(Path("/proc/self/statm").read_text().split()[5]) * resource.getpagesize()
    hard = resource.getrlimit(resource.RLIMIT_DATA)[1]
    wanted = taken + max(available, 0) + _UNTOUCHED
    resource.setrlimit(resource.RLIMIT_DATA, (wanted if hard == resource.RLIM_INFINITY else min(wanted, hard), hard))


def memory_error(error: BaseException) -> UserError | None:
    """What to tell of a refusal of memory; None for any other error."""
    if not isinstance(error, MemoryError) and not (isinstance(error, RuntimeError) and _TORCH_REFUSAL in str(error)):
        return None
    available = available_bytes()
    there_is = "" if available is None else f"; {available / 1e9:,.1f} GB are available"
    what = next((line for line in str(error).splitlines() if line), "the system refused").strip()
    return UserError(
        f"there is not enough memory: {what}{there_is}",
        remedy="with less memory go: a smaller replay, batch, network or number of environments, records or resamples",
    )

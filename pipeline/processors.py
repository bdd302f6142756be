"""The processors that this process may use, and work that is spread over them in processes of their own."""

import multiprocessing
import os
import sys
import threading
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from multiprocessing.connection import wait as wait_for
from types import TracebackType
from typing import ParamSpec, Self, TypeVar

P = ParamSpec("P")
T = TypeVar("T")


def num_processors() -> int:
    """Those that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


class Processes:
    """Processes for work that holds the interpreter, one for each processor; they start with the first `begin` and end
    with the block, or with this process."""

    def __init__(self) -> None:
        self.num_workers = num_processors()
        self._pool: ProcessPoolExecutor | None = None

    def begin(self, function: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> Callable[[], T]:
        """Have a call done by whichever process is free; what is returned waits for the result. What goes in and out is
        pickled. Where a process ended (for want of memory), the work of all of them is done here, when it is asked for.
        """
        if self._pool is None:
            context = multiprocessing.get_context("forkserver" if sys.platform == "linux" else "spawn")
            self._pool = ProcessPoolExecutor(self.num_workers, mp_context=context, initializer=end_with_parent)
        try:
            future = self._pool.submit(function, *args, **kwargs)
        except BrokenProcessPool:
            return lambda: function(*args, **kwargs)

        def result() -> T:
            try:
                return future.result()
            except BrokenProcessPool:
                return function(*args, **kwargs)

        return result

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Work that nobody waits for any more is given up."""
        if self._pool is not None:
            self._pool.shutdown(wait=True, cancel_futures=True)


def end_with_parent() -> None:
    """A worker waits for work on a pipe that its siblings hold open too: it would not notice that nobody sends any."""
    parent = multiprocessing.parent_process()
    if parent is not None:
        threading.Thread(target=lambda: (wait_for([parent.sentinel]), os._exit(1)), daemon=True).start()

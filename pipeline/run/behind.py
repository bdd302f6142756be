"""Work that must not be waited for: items that a thread writes, behind a bounded queue.

Who offers never waits. When the queue is full the item is dropped, whole, and counted.
"""

import queue
import threading
import time
from collections.abc import Callable
from typing import Generic, TypeVar

T = TypeVar("T")


class Behind(Generic[T]):
    """Hands items to ``write``, in the order in which they were offered, in a thread of its own.

    ``write`` gets all items that wait at that moment, and must not raise. With ``linger_s`` it is not called more often
    than that: a busy process is disturbed less.
    """

    def __init__(self, write: Callable[[list[T]], None], *, capacity: int, name: str, linger_s: float = 0.0) -> None:
        self.num_dropped = 0
        self._write, self._linger_s = write, linger_s
        self._queue: queue.Queue[T | None] = queue.Queue(maxsize=capacity)
        self._thread = threading.Thread(target=self._run, name=name, daemon=True)
        self._thread.start()

    def offer(self, item: T) -> bool:
        """Hand over an item, or drop it if the writer is behind. Returns whether it was taken."""
        try:
            self._queue.put_nowait(item)
        except queue.Full:
            self.num_dropped += 1
            return False
        return True

    def drain(self) -> None:
        """Wait until everything that was offered is written."""
        self._queue.join()

    def close(self) -> None:
        """Write what is queued, then end. Safe to call twice."""
        if self._thread.is_alive():
            self._queue.put(None)
            self._thread.join()

    def _run(self) -> None:
        is_open = True
        while is_open:
            taken = [self._queue.get()]
            if self._linger_s and taken[0] is not None:
                time.sleep(self._linger_s)
            while not self._queue.empty():
                taken.append(self._queue.get_nowait())
            is_open = None not in taken
            items = [item for item in taken if item is not None]
            if items:
                self._write(items)
            for _ in taken:
                self._queue.task_done()

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
        self._write, self._capacity, self._linger_s = write, capacity, linger_s
        self._over = threading.Event()
        # Items, and events that are set when the writer comes to them.
        self._queue: queue.SimpleQueue[T | threading.Event] = queue.SimpleQueue()
        self._thread = threading.Thread(target=self._run, name=name, daemon=True)
        self._thread.start()

    def offer(self, item: T) -> bool:
        """Hand over an item, or drop it if the writer is behind. Returns whether it was taken."""
        if self._queue.qsize() >= self._capacity:
            self.num_dropped += 1
            return False
        self._queue.put(item)
        return True

    def drain(self) -> None:
        """Wait until everything that was offered is written."""
        if self._thread.is_alive():
            reached = threading.Event()
            self._queue.put(reached)
            reached.wait()

    def close(self) -> None:
        """Write what is queued, then end. Safe to call twice."""
        self._queue.put(self._over)
        self._thread.join()

    def _run(self) -> None:
        while not self._over.is_set():
            taken = [self._queue.get()]
            if self._linger_s and not isinstance(taken[0], threading.Event):
                time.sleep(self._linger_s)
            while not self._queue.empty():
                taken.append(self._queue.get_nowait())
            items = [one for one in taken if not isinstance(one, threading.Event)]
            if items:
                self._write(items)
            for one in taken:
                if isinstance(one, threading.Event):
                    one.set()

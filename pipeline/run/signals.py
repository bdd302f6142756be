"""Ctrl-C and SIGTERM: an end at once, or a polite request."""

import contextlib
import signal
import sys
from collections.abc import Iterator


class Terminated(KeyboardInterrupt):
    """SIGTERM arrived: ends a stage as Ctrl-C does."""


@contextlib.contextmanager
def terminate_as_interrupt() -> Iterator[None]:
    """Within, SIGTERM raises Terminated, so that both ends of a stage leave a cancelled manifest."""

    def interrupt(_signal: int, _frame: object) -> None:
        raise Terminated

    before = signal.signal(signal.SIGTERM, interrupt)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


class StopRequest:
    """Calling it tells whether Ctrl-C or SIGTERM was seen. See `stop_on_signal`."""

    def __init__(self) -> None:
        self.seen = False

    def __call__(self) -> bool:
        return self.seen

    def handle(self, _signal: int, _frame: object) -> None:
        """Signal handler: the first signal asks, the second one interrupts at once."""
        if self.seen:
            raise KeyboardInterrupt
        self.seen = True
        print("stopping after this step (once more to stop at once)", file=sys.stderr)


@contextlib.contextmanager
def stop_on_signal() -> Iterator[StopRequest]:
    """Turn the first Ctrl-C or SIGTERM into a polite request, for work that leaves a checkpoint before it ends."""
    stop = StopRequest()
    before = {number: signal.signal(number, stop.handle) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield stop
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)

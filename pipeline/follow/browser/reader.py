"""Reads the file, and those beside it, in a thread."""

import threading
import time
from collections.abc import Callable

from pipeline.errors import UserError
from pipeline.follow.browser.curves import Beside, Curves
from pipeline.follow.browser.live import Found, identify, index_row
from pipeline.follow.feed import News, Opened

WAIT_S = 0.1  # how often it looks whether it should stop
LOOK_EVERY_S = 1.0  # at the curves; and how old a state may be


class Reader:
    """Hands what it finds to ``take``; ``fail`` is called when the file cannot be followed, and ends it."""

    def __init__(self, opened: Opened, take: Callable[[Found], None], fail: Callable[[UserError], None]) -> None:
        self._opened, self._take, self._fail = opened, take, fail
        self._beside = Beside(opened.feed.path)
        self._identity = ""
        self._looked_s = float("-inf")
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._read, name="feed", daemon=True)

    def start(self) -> None:
        """Begin."""
        self._thread.start()

    def stop(self) -> None:
        """End, within moments."""
        self._stopping.set()
        self._thread.join()

    def _read(self) -> None:
        feed = self._opened.feed
        try:
            while not self._stopping.is_set():
                news, is_time = feed.poll(), time.monotonic() - self._looked_s >= LOOK_EVERY_S
                if is_time or not news.is_empty:
                    self._take(self._found(news, self._look() if is_time else None))
                if news.is_empty:
                    feed.wait(WAIT_S)
        except UserError as error:
            self._fail(error)
        finally:
            feed.close()
            self._beside.close()

    def _found(self, news: News, curves: Curves | None) -> Found:
        rows = [index_row(self._opened, arrival.summary) for arrival in news.arrivals]
        if news.arrivals and (news.restart or not self._identity):
            self._identity = identify(self._opened.feed.path)
        return Found(news, rows, self._identity, curves, self._beside.generation)

    def _look(self) -> Curves | None:
        self._looked_s = time.monotonic()
        return self._beside.look()

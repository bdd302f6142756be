"""The live view without a screen: one line an episode, for logs and pipes."""

import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TextIO

from pipeline.follow.characters import to_ascii, without_controls
from pipeline.follow.feed import Arrival, Feed, News
from pipeline.follow.playback import CLOCK_TOLERANCE_S, lateness
from pipeline.follow.scene import ALL, Filter, FollowPart

_WAIT_S = 0.1


@dataclass(frozen=True)
class PlainOptions:
    """``latency`` adds how late each line arrived; ``idle_exit_s`` ends after so long without news (null: never)."""

    latency: bool = False
    ascii: bool = False
    choice: Filter = ALL
    idle_exit_s: float | None = None


def follow_plain(feed: Feed, part: FollowPart, options: PlainOptions, out: TextIO, notes: TextIO = sys.stderr) -> None:
    """Write one line an episode that the filter keeps, each at once; what happens to the file goes to ``notes``."""
    keeps = options.choice.start()
    waiting, ended = "", ""
    for news in _all_news(feed, options.idle_exit_s):
        if news.restart:
            print(f"{news.restart}: starting over", file=notes, flush=True)
            keeps = options.choice.start()
        if news.waiting and news.waiting != waiting:
            print(news.waiting, file=notes, flush=True)
        if news.state.ended and news.state.ended != ended:
            print(news.state.ended, file=notes, flush=True)
        waiting, ended = news.waiting, news.state.ended
        for reason in news.skipped:
            print(reason, file=notes, flush=True)
        for arrival in news.arrivals:
            if keeps(arrival.summary):
                line = episode_line(part, arrival, latency=options.latency)
                print(to_ascii(line) if options.ascii else without_controls(line), file=out, flush=True)


def episode_line(part: FollowPart, arrival: Arrival, *, latency: bool) -> str:
    """The task's line, what the trainer dropped before it, and with ``latency`` the delivery time in milliseconds.

    ``latency_ms=-`` stands where the line was in the file before the viewer started, or the trainer's clock is ahead.
    """
    parts = [part.tell(arrival.summary)]
    if arrival.summary.num_dropped_before:
        parts.append(f"({arrival.summary.num_dropped_before} dropped before it)")
    if latency:
        late = arrival.latency_s
        if late is not None and late < -CLOCK_TOLERANCE_S:
            parts.append(lateness(late))
            late = None
        parts.append(f"latency_ms={'-' if late is None else f'{late * 1000:.2f}'}")
    return "  ".join(parts)


def _all_news(feed: Feed, idle_exit_s: float | None) -> Iterator[News]:
    quiet_since_s = time.monotonic()
    while True:
        news = feed.poll()
        yield news
        if not news.is_empty:
            quiet_since_s = time.monotonic()
            continue
        if idle_exit_s is not None and time.monotonic() - quiet_since_s >= idle_exit_s:
            return
        feed.wait(_WAIT_S)

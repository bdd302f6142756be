"""Where the viewer is: which episode, which frame, how fast. No clock, no file, no terminal: time comes in as seconds.

Two ways to watch:

- live: the newest episode is played as it arrives. When playback falls behind by more than one episode, the rest of
  the episode on screen is run off within `CATCH_UP_S` and playback skips to the newest, and says how many it skipped.
  So what is on screen is never older than one such run-off, however fast episodes arrive, and still every episode that
  is begun is seen to its end.
- replay: any episode, any frame; at the end of one the next that the filter keeps follows.

Whatever places the viewer by hand (a pause, a step, another episode) ends live; `go_live` begins it again.
"""

from collections.abc import Callable
from typing import Any

from pipeline.follow.index import EpisodeIndex
from pipeline.follow.scene import ALL
from pipeline.look.numbers import plural

SPEEDS = (1, 2, 5, 10, 20, 50, 100, 200, 500)  # frames a second
DEFAULT_SPEED = SPEEDS.index(10)
CATCH_UP_S = 2.0
END_HOLD_S = 2.0  # the last frame of an episode stays this long before the next follows
NOTICE_S = 6.0
CLOCK_TOLERANCE_S = 1.0  # clocks that are kept by the network agree better than this


class Playback:
    """State of the viewer over an `EpisodeIndex`. ``num_frames(summary)`` is the length of an episode, at least 1."""

    def __init__(self, index: EpisodeIndex, num_frames: Callable[[Any], int], *, from_start: bool = False) -> None:
        self.index = index
        self.number: int | None = None
        self.frame = 0
        self.playing = True
        self.live = not from_start
        self.choice = ALL.name
        self.notice = ""
        self._num_frames = num_frames
        self._speed = DEFAULT_SPEED
        self._notice_left_s = 0.0
        self._owed_frames = 0.0
        self._held_s = 0.0
        self._catch_up_left_s = CATCH_UP_S

    @property
    def speed(self) -> int:
        """Frames a second."""
        return SPEEDS[self._speed]

    @property
    def num_frames(self) -> int:
        """Frames of the episode on screen; 0 when there is none."""
        return 0 if self.number is None else self._num_frames(self.index[self.number].summary)

    @property
    def at_end(self) -> bool:
        """Whether the last frame is on screen."""
        return self.frame >= self.num_frames - 1

    @property
    def num_behind(self) -> int:
        """How many episodes that the filter keeps came after the one on screen."""
        return 0 if self.number is None else self.index.num_after(self.number, self.choice)

    def say(self, notice: str) -> None:
        """Show a notice for a while."""
        self.notice = notice
        self._notice_left_s = NOTICE_S

    # What the file does.

    def on_news(self) -> None:
        """Episodes were added to the index."""
        if self.number is not None and self.number < self.index.first:
            self._show(self.index.first)
        if self.number is None:
            number = self.index.newest(self.choice) if self.live else self.index.after(-1, self.choice)
            if number is not None:
                self._show(number)

    def on_restart(self, reason: str) -> None:
        """The file was truncated or replaced; the index is empty again."""
        self.number, self.frame = None, 0
        self.say(f"{reason}: starting over")

    # Time.

    def advance(self, seconds: float) -> bool:
        """Let time pass. Returns whether anything on screen changed."""
        before = (self.number, self.frame, self.notice)
        self._notice_left_s -= seconds
        if self._notice_left_s <= 0:
            self.notice = ""
        if self.playing and self.number is not None:
            self._play(seconds)
        return before != (self.number, self.frame, self.notice)

    def _play(self, seconds: float) -> None:
        late = self.live and self.num_behind > 1
        if self.at_end:
            self._held_s += seconds
            if late or self._held_s >= END_HOLD_S:
                self._follow_on()
            return
        pace = float(self.speed)
        if late:
            pace = max(pace, (self.num_frames - self.frame) / max(self._catch_up_left_s, seconds))
            self._catch_up_left_s -= seconds
        self._owed_frames += pace * seconds
        whole = int(self._owed_frames)
        self._owed_frames -= whole
        self.frame = min(self.frame + whole, self.num_frames - 1)

    def _follow_on(self) -> None:
        assert self.number is not None
        if self.live and self.num_behind > 1:
            self._skip_to_newest()
        elif (following := self.index.after(self.number, self.choice)) is not None:
            self._show(following)

    def _skip_to_newest(self) -> None:
        newest, skipped = self.index.newest(self.choice), self.num_behind - 1
        if newest is not None:
            self._show(newest)
            if skipped > 0:
                self.say(f"skipped {plural(skipped, 'episode')} to stay live")

    # What the user does.

    def toggle_pause(self) -> None:
        """Pause, or go on; at the end of the last episode start it again."""
        self.playing = not self.playing
        self.live = False
        if self.playing and self.at_end and self.number is not None and self.num_behind == 0:
            self._show(self.number)

    def step(self, frames: int) -> None:
        """Pause and move by ``frames`` within the episode."""
        self._place(self.frame + frames)

    def first_frame(self) -> None:
        """Pause at the first frame."""
        self._place(0)

    def last_frame(self) -> None:
        """Pause at the last frame."""
        self._place(self.num_frames - 1)

    def next_episode(self) -> None:
        """Go to the next episode that the filter keeps."""
        self._go(1)

    def previous_episode(self) -> None:
        """Go to the previous episode that the filter keeps."""
        self._go(-1)

    def go_live(self) -> None:
        """Jump to the newest episode that the filter keeps and stay with the newest."""
        self.live = self.playing = True
        newest = self.index.newest(self.choice)
        if newest is not None and newest != self.number:
            self._show(newest)

    def faster(self) -> None:
        """One speed up."""
        self._speed = min(self._speed + 1, len(SPEEDS) - 1)

    def slower(self) -> None:
        """One speed down."""
        self._speed = max(self._speed - 1, 0)

    def choose(self, choice: str) -> None:
        """Keep to the episodes of a filter. Choosing the filter that is on goes back to all."""
        self.notice = ""
        self.choice = ALL.name if choice == self.choice else choice
        if self.number is None:
            self.on_news()
        elif not self.index.keeps(self.number, self.choice):
            self._go_to_nearest()

    def cycle_filter(self) -> None:
        """Choose the next filter."""
        self.notice = ""
        names = list(self.index.filters)
        self.choice = names[(names.index(self.choice) + 1) % len(names)]
        if self.number is not None and not self.index.keeps(self.number, self.choice):
            self._go_to_nearest()

    def _go_to_nearest(self) -> None:
        assert self.number is not None
        newest = self.index.newest(self.choice)
        if newest is None:
            self.say(f"no episode matches '{self.choice}' yet")
        elif self.live:
            self._show(newest)
        else:
            following = self.index.after(self.number, self.choice)
            self._show(newest if following is None else following)

    def _go(self, direction: int) -> None:
        self.live, self.notice = False, ""
        if self.number is None:
            return
        step = self.index.after if direction > 0 else self.index.before
        number = step(self.number, self.choice)
        if number is None:
            which = "episode" if self.choice == ALL.name else f"episode of '{self.choice}'"
            self.say(f"this is the {'last' if direction > 0 else 'first'} {which}")
        else:
            self._show(number)

    def _place(self, frame: int) -> None:
        self.playing = self.live = False
        self._owed_frames = 0.0
        self.frame = min(max(frame, 0), max(self.num_frames - 1, 0))

    def show(self, number: int, frame: int) -> None:
        """Pause at a frame of an episode."""
        self._show(number)
        self._place(frame)

    def _show(self, number: int) -> None:
        self.number, self.frame = number, 0
        self._owed_frames = self._held_s = 0.0
        self._catch_up_left_s = CATCH_UP_S


def lateness(seconds: float) -> str:
    """How late an episode came, by two clocks: nothing can be said of it where the trainer's is ahead."""
    if seconds < -CLOCK_TOLERANCE_S:
        return f"clocks differ by {duration(-seconds)}"
    return f"newest arrived {duration(max(seconds, 0.0))} after its end"


def duration(seconds: float) -> str:
    """``12 ms``, ``3.4 s``, ``5 min``, ``2 h``."""
    if seconds < 120:
        return f"{seconds * 1000:.0f} ms" if seconds < 1 else f"{seconds:.1f} s"
    return f"{seconds / 60:.0f} min" if seconds < 59.5 * 60 else f"{seconds / 3600:.0f} h"

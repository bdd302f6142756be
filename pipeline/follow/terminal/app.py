"""The screen: keys, a clock and one widget over `frame.compose`. What is watched comes from a `Feed` in a thread."""

import os
import queue
import signal
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

from textual.app import App, ComposeResult
from textual.binding import Binding

from pipeline.contract.parts import SecondOpinion
from pipeline.errors import UserError
from pipeline.follow.beside import Against, Opinions
from pipeline.follow.feed import Feed, News
from pipeline.follow.index import EpisodeIndex
from pipeline.follow.playback import Playback
from pipeline.follow.scene import FollowPart, Moment
from pipeline.follow.terminal.canvas import Canvas
from pipeline.follow.terminal.frame import KEYS, View, compose, compose_pair
from pipeline.follow.terminal.text import Size
from pipeline.follow.training import State

FRAMES_PER_SECOND = 30
ROOMY_HEIGHT = 33  # from here on there is room for a panel below the readings, and one is open from the start
WAIT_S = 0.1  # how often the reading thread looks whether it should stop
DONE, FAILED, INTERRUPTED = range(3)


@dataclass(frozen=True)
class Watch:
    """What to watch and how: the file, the task's part, and what the command line says.

    ``unplayed`` says of predictions what those lack that cannot be played. With ``against`` only the records that it
    has, too, are watched, and ``label`` is what the file is called.
    """

    feed: Feed
    part: FollowPart
    unfold: Callable[[Any], Any] = lambda row: row
    unplayed: str = ""
    opinion: SecondOpinion | None = None
    ascii: bool = False
    color: bool = True
    from_start: bool = False
    choice: str = "all"
    against: Against | None = None
    label: str = ""


class FollowApp(App[int]):
    """The live view. It returns DONE after q, INTERRUPTED after Ctrl-C, FAILED with ``error`` when the feed failed."""

    TITLE = "baton follow"

    ENABLE_COMMAND_PALETTE = False
    BINDINGS = [  # noqa: RUF012 - textual reads a list
        Binding("ctrl+c", "interrupt", priority=True, show=False),
        *(Binding(key.names, key.action, priority=True, show=False) for key in KEYS),
        *(Binding(str(number), f"panel({number})", priority=True, show=False) for number in range(1, 10)),
    ]

    def __init__(self, watch: Watch) -> None:
        super().__init__(ansi_color=not watch.color)
        self.watched = watch
        self.part = watch.part
        self.index = EpisodeIndex(self.part.filters)
        self.playback = Playback(self.index, self._num_frames, from_start=watch.from_start)
        self.playback.choice = watch.choice
        self.panel: int | None = None
        self.num_panels = 0
        self.help_is_open = False
        self.latency_s: float | None = None
        self.num_unplayed = 0
        self.num_unpaired = 0
        self.waiting = ""
        self.state = State()
        self.error: UserError | None = None
        self._canvas = Canvas(ascii=watch.ascii, color=watch.color)
        self._opinions = None if watch.opinion is None else Opinions(watch.opinion)
        self._found: queue.SimpleQueue[News | UserError] = queue.SimpleQueue()
        self._shown = _Shown()
        self._end_was_closed = False
        self._stop_reading = threading.Event()
        self._then_s = time.monotonic()
        for choice in self.part.filters:
            self.bind(choice.key, f"play('choose', {choice.name!r})", show=False)

    def compose(self) -> ComposeResult:
        """One widget fills the screen."""
        yield self._canvas

    def on_mount(self) -> None:
        """Start the clock and the thread that reads the file."""
        self.panel = 0 if self.size.height >= ROOMY_HEIGHT else None
        threading.Thread(target=self._read, name="feed", daemon=True).start()
        self.set_interval(1 / FRAMES_PER_SECOND, self._tick)
        self.redraw()

    def on_canvas_resized(self) -> None:
        """Draw for the new size."""
        self.redraw()

    def on_unmount(self) -> None:
        """Stop reading."""
        self._stop_reading.set()

    # The file. `_read` runs in a thread of its own; what it finds waits in a queue until the next tick.

    def _read(self) -> None:
        feed, before = self.watched.feed, News()
        try:
            while not self._stop_reading.is_set():
                news = feed.poll()
                if not news.is_empty or (news.waiting, news.state) != (before.waiting, before.state):
                    self._found.put(news)
                    before = news
                else:
                    feed.wait(WAIT_S)
        except UserError as error:
            self._found.put(error)
        finally:
            feed.close()

    def _take_all(self) -> None:
        while not self._found.empty():
            found = self._found.get()
            if isinstance(found, UserError):
                self.error = found
                self.exit(FAILED)
                return
            self.take(found)

    def take(self, news: News) -> None:
        """Add what the feed found. Live playback begins when the whole file has been read."""
        if news.restart:
            self.index.clear()
            self.num_unplayed = self.num_unpaired = 0
            self._shown = _Shown()
            self.playback.on_restart(news.restart)
        if news.skipped:
            self.playback.say(news.skipped[-1])
        for arrival in news.arrivals:
            if self._can_be_played(arrival.summary):
                self.latency_s = self.index.add(*arrival).latency_s
        self.state = news.state
        self.waiting = news.waiting or self._losses()
        if news.behind_bytes and self.playback.live:
            self.waiting = f"reading the file: {len(self.index):,} episodes so far"
        else:
            self.playback.on_news()
        self.redraw()

    def _can_be_played(self, summary: Any) -> bool:
        """Whether there is anything to play, and the same record in the other run; what cannot be is counted."""
        against = self.watched.against
        if self.part.num_frames(summary) < 1:
            self.num_unplayed += 1
        elif against is not None and summary.id not in against:
            self.num_unpaired += 1
        else:
            return True
        return False

    def _num_frames(self, summary: Any) -> int:
        """Frames of an episode; of two that are played together those of the longer one."""
        against = self.watched.against
        return max(self.part.num_frames(summary), against.num_frames(summary.id) if against is not None else 0)

    def _losses(self) -> str:
        """What of the file is not there to be seen."""
        unplayed, played = self.watched.unplayed, self.state.num_progress if self.part.plays_progress else 0
        told = {
            f"recorded {len(self.index):,} of {played:,} played": not unplayed and played > len(self.index) > 0,
            f"trainer dropped {self.index.num_dropped:,}": not unplayed and len(self.index) > 0,
            f"{self.num_unplayed:,} {unplayed}": self.num_unplayed > 0 and bool(unplayed),
            f"{self.num_unpaired:,} not in the other file": self.num_unpaired > 0,
        }
        return " · ".join(words for words, applies in told.items() if applies)

    # The clock.

    def _tick(self) -> None:
        now_s = time.monotonic()
        elapsed_s, self._then_s = now_s - self._then_s, now_s
        self._take_all()
        self._take_opinion()
        if self.playback.advance(elapsed_s):
            self.redraw()

    def redraw(self) -> None:
        """Draw the present state."""
        view, size = self._view(), Size(*self._canvas.size)
        against, shown = self.watched.against, self._shown
        if against is None:
            self._canvas.show(compose(self._at(view, shown.episode, self._history()), size))
            return
        first = self._at(replace(view, label=self.watched.label), shown.episode, self._history())
        other = replace(view, label=against.label, waiting=shown.other_error)
        beside = self._at(other, shown.other, [against.summary(summary.id) for summary in self._history()])
        self._canvas.show(compose_pair((first, beside), size))

    def _view(self) -> View:
        """All but what is shown of the episode, which is loaded here when it is another one than before."""
        number = self.playback.number
        if number is not None and self._shown.number != number:
            self._shown = self._load(number)
            self._end_was_closed = False
        return View(
            playback=self.playback,
            filters=self.part.filters,
            panel=self.panel,
            help=self.help_is_open,
            waiting=self.waiting,
            latency_s=self.latency_s,
            losses=self._losses(),
            ended=self.state.ended,
        )

    def _history(self) -> list[Any]:
        number = self.playback.number
        return [] if number is None else self.index.history(number, self.part.num_recent)

    def _at(self, view: View, episode: Any, history: list[Any]) -> View:
        """The view of an episode at the present frame: of two, the shorter one stays at its end while the other goes
        on. In the last frame a panel may open by itself."""
        if episode is None or not history:
            return view
        last = self.part.num_frames(history[-1]) - 1
        frame = min(self.playback.frame, last)
        scene = self.part.scene(Moment(episode, frame, history, self._shown.opinion))
        self.num_panels = len(scene.all_panels)
        opening = [number for number, panel in enumerate(scene.all_panels) if panel.opens_at_end]
        opens = frame == last and opening and not self._end_was_closed
        return replace(view, scene=scene, panel=opening[0] if opens else view.panel)

    def _load(self, number: int) -> "_Shown":
        try:
            row = self.watched.feed.load(self.index[number])
            episode = self.watched.unfold(row)
        except UserError as error:
            self.waiting = f"episode {number + 1} cannot be shown: {error.what}"
            return _Shown(number)
        if self._opinions is not None:
            self._opinions.ask(episode)
        shown = _Shown(number, episode)
        return shown if self.watched.against is None else self._with_other(shown, row, self.watched.against)

    def _with_other(self, shown: "_Shown", row: Any, against: Against) -> "_Shown":
        try:
            other = against.load(row)
        except UserError as error:
            return replace(shown, other_error=f"{against.label} cannot be shown: {error.what}")
        return replace(shown, other=other)

    def _take_opinion(self) -> None:
        answer = self._opinions.answer() if self._opinions is not None else None
        if answer is None or answer.episode is not self._shown.episode:
            return
        if answer.error:
            self.playback.say(f"no second opinion: {answer.error}")
        self._shown = replace(self._shown, opinion=answer.opinion)
        self.redraw()

    # The keys.

    def action_play(self, act: str, *arguments: Any) -> None:
        """Do something with the playback: ``act`` names a method of `Playback`."""
        self.help_is_open = False
        getattr(self.playback, act)(*arguments)
        self.redraw()

    def action_panel(self, number: int) -> None:
        """Open a panel, or close it when it is open."""
        if 1 <= number <= self.num_panels:
            self._end_was_closed = True
            self._open(None if self.panel == number - 1 else number - 1)

    def action_next_panel(self) -> None:
        """Open the next panel; behind the last none."""
        self._end_was_closed = True
        following = 0 if self.panel is None else self.panel + 1
        self._open(following if following < self.num_panels else None)

    def action_close_panel(self) -> None:
        """Close the help page, or the panel."""
        self._end_was_closed = not self.help_is_open
        self._open(self.panel if self.help_is_open else None)

    def action_help(self) -> None:
        """Open or close the help page."""
        self.help_is_open = not self.help_is_open
        self.redraw()

    async def action_quit(self) -> None:
        """Leave."""
        self.exit(DONE)

    def action_interrupt(self) -> None:
        """Leave as Ctrl-C does everywhere."""
        self.exit(INTERRUPTED)

    def _open(self, panel: int | None) -> None:
        self.panel, self.help_is_open = panel, False
        self.redraw()


def run_screen(watch: Watch) -> bool:
    """Show the screen until the user leaves it. False when that was by Ctrl-C. Raises UserError from the feed."""
    if not watch.color:
        os.environ["NO_COLOR"] = "1"  # textual reads it: it must not set a background of its own either
    for variable in ("COLUMNS", "LINES"):  # textual believes them rather than the terminal, whose size may change
        os.environ.pop(variable, None)
    app = FollowApp(watch)
    # An exception out of a signal handler would leave textual's threads running, and the process would never end.
    before = signal.signal(signal.SIGTERM, lambda _number, _frame: app.exit(INTERRUPTED))
    try:
        code = app.run()
    finally:
        signal.signal(signal.SIGTERM, before)
    if app.error is not None:
        raise app.error
    return code != INTERRUPTED


@dataclass(frozen=True)
class _Shown:
    """The episode on screen, decoded; ``episode`` is null when its line could not be read. ``other`` is the one of the
    other run, null with ``other_error`` when it cannot be shown."""

    number: int | None = None
    episode: Any = None
    opinion: Any = None
    other: Any = None
    other_error: str = ""

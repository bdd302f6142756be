"""How long work shows itself: a bar on a terminal, a plain line every few seconds when piped, nothing for machines.

All of it goes to stderr; stdout belongs to results.
"""

import contextlib
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from typing import Literal, TextIO

Report = Callable[[int, int, Mapping[str, float | str]], None]
"""Called as ``report(done, total, facts)``: the stage shows it as a progress bar or as periodic lines."""

Style = Literal["bar", "lines", "silent"]

# A line every few seconds: a log of an hour stays under a thousand lines.
LINE_EVERY_S = 5.0


def choose_style(*, silent: bool, stream: TextIO | None = None) -> Style:
    """Silent if asked for, a bar if ``stream`` (default: stderr) is a terminal, else lines."""
    if silent:
        return "silent"
    return "bar" if (stream or sys.stderr).isatty() else "lines"


@contextlib.contextmanager
def progress(title: str, style: Style) -> Iterator[Report]:
    """Give a ``report(done, total, facts)`` that shows itself in ``style`` until the block ends."""
    if style == "silent":
        yield lambda done, total, facts: None
    elif style == "lines":
        lines = Lines(title, sys.stderr)
        try:
            yield lines
        finally:
            lines.finish()
    else:
        with _bar(title) as report:
            yield report


def format_facts(facts: Mapping[str, float | str]) -> str:
    """``{"loss": 0.12345, "epsilon": 0.1}`` to ``loss 0.1235  epsilon 0.1``."""
    return "  ".join(
        f"{name} {value:.4g}" if isinstance(value, float) else f"{name} {value}" for name, value in facts.items()
    )


class Lines:
    """Writes ``title done/total (percent) facts`` at most every ``every_s`` seconds, and the last state at the end."""

    def __init__(
        self,
        title: str,
        stream: TextIO,
        every_s: float = LINE_EVERY_S,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.title, self.stream, self.every_s, self.clock = title, stream, every_s, clock
        self.next_s = clock()
        self.unwritten: str | None = None

    def __call__(self, done: int, total: int, facts: Mapping[str, float | str]) -> None:
        """Note the state; write it if the last line is old enough."""
        share = f" of {total:,} ({100 * done / total:.0f} %)" if total else ""
        self.unwritten = f"{self.title}: {done:,}{share}  {format_facts(facts)}".rstrip()
        if self.clock() >= self.next_s:
            self.finish()
            self.next_s = self.clock() + self.every_s

    def finish(self) -> None:
        """Write the last state unless it stands already."""
        if self.unwritten is not None:
            print(self.unwritten, file=self.stream, flush=True)
        self.unwritten = None


@contextlib.contextmanager
def _bar(title: str) -> Iterator[Report]:
    """A rich progress bar on stderr."""
    import rich.console  # loaded here: rich takes longer to load than most stages take to start
    import rich.progress

    columns = (
        rich.progress.TextColumn("{task.description}"),
        rich.progress.BarColumn(),
        rich.progress.TaskProgressColumn(),
        rich.progress.MofNCompleteColumn(),
        rich.progress.TimeRemainingColumn(),
        rich.progress.TextColumn("{task.fields[facts]}"),
    )
    with rich.progress.Progress(*columns, console=rich.console.Console(stderr=True)) as display:
        task = display.add_task(title, total=None, facts="")

        def report(done: int, total: int, facts: Mapping[str, float | str]) -> None:
            display.update(task, completed=done, total=total or None, facts=format_facts(facts))

        yield report

"""A picture of the live view at one moment of a recording, for documents.

python -m tests.follow.screenshot TASK episodes.jsonl out.svg --episode 120 --step 60 --panel 1
"""

import argparse
import asyncio
from dataclasses import dataclass, replace
from pathlib import Path

from pipeline.errors import UserError
from pipeline.follow.beside import open_against
from pipeline.follow.feed import open_recording
from pipeline.follow.terminal.app import FollowApp, Watch
from pipeline.follow.terminal.text import Size

TITLE = "baton follow"


@dataclass(frozen=True)
class Moment:
    """What to show: an episode (1-based, null: the newest), a step of it, and a panel (1-based, null: none)."""

    episode: int | None = None
    step: int = 0
    panel: int | None = None


def take_screenshot(watch: Watch, moment: Moment, size: Size) -> str:
    """The screen as SVG. Raises UserError when the file has no such episode."""
    return asyncio.run(_take(watch, moment, size))


async def _take(watch: Watch, moment: Moment, size: Size) -> str:
    app = FollowApp(watch)
    async with app.run_test(size=size) as pilot:
        while app.error is None and app.playback.number is None and not app.waiting.startswith("waiting"):
            await pilot.pause(0.02)
        if app.error is not None:
            raise app.error
        number = len(app.index) - 1 if moment.episode is None else moment.episode - 1
        if not app.index.first <= number < len(app.index):
            raise UserError(f"there is no episode {number + 1}", where=f"{watch.feed.path}, {len(app.index)} episodes")
        app.playback.show(number, moment.step)
        app.panel = None if moment.panel is None else moment.panel - 1
        app.redraw()
        await pilot.pause()
        return app.export_screenshot(title=TITLE)


def main() -> None:
    """Write one picture."""
    parser = argparse.ArgumentParser(description="A picture of the live view at one moment of a recording.")
    parser.add_argument("task")
    parser.add_argument("input", type=Path)
    parser.add_argument("out", type=Path)
    parser.add_argument("--size", default="110x34", help="columns x lines")
    parser.add_argument("--episode", type=int, help="number in the file, from 1; the newest if not given")
    parser.add_argument("--step", type=int, default=0)
    parser.add_argument("--panel", type=int)
    parser.add_argument("--against", metavar="[LABEL=]FILE", help="predictions to be played beside those of the input")
    arguments = parser.parse_args()
    width, _, height = arguments.size.partition("x")
    watch = Watch(*open_recording(arguments.input, arguments.task))
    if arguments.against is not None:
        against, label = open_against(arguments.input, arguments.against, arguments.task)
        watch = replace(watch, against=against, label=label)
    moment = Moment(arguments.episode, arguments.step, arguments.panel)
    arguments.out.write_text(take_screenshot(watch, moment, Size(int(width), int(height))))


if __name__ == "__main__":
    main()

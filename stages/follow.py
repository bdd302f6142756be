"""``baton follow``: watch a training live in the terminal, or replay it afterwards."""

import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from pipeline.errors import UserError
from pipeline.tasks import load_part
from stages.common import InputOption, Options, Result, command, main

if TYPE_CHECKING:
    from pipeline.live.feed import Feed
    from pipeline.live.scene import Filter
    from pipeline.tasks.interface import LivePart, SecondOpinion

FILE = "episodes.jsonl"

CompareOption = Annotated[
    Path | None,
    typer.Option("--model", metavar="FILE", help="Show what this inference_v1 file says beside the recording (torch)."),
]
PlainOption = Annotated[bool, typer.Option("--plain", help="One line an episode, no screen. Always so when piped.")]
LatencyOption = Annotated[bool, typer.Option("--latency", help="With --plain: how late each line came, in ms.")]
FromStartOption = Annotated[bool, typer.Option("--from-start", help="Begin with the first episode, not the newest.")]
FilterOption = Annotated[
    str | None, typer.Option("--filter", metavar="NAME", help="Only these episodes, for example: deaths.")
]
NoColorOption = Annotated[bool, typer.Option("--no-color", help="No colours; the variable NO_COLOR does it, too.")]
AsciiOption = Annotated[bool, typer.Option("--ascii", help="ASCII characters only.")]
IdleOption = Annotated[
    float | None, typer.Option("--idle-exit", metavar="SECONDS", min=0.0, help="With --plain: end when so long idle.")
]


@command("follow", shared=("task", "recipe", "runs_dir"))
def app(
    options: Options,
    input: InputOption = None,
    model: CompareOption = None,
    plain: PlainOption = False,
    latency: LatencyOption = False,
    from_start: FromStartOption = False,
    filter: FilterOption = None,
    no_color: NoColorOption = False,
    ascii: AsciiOption = False,
    idle_exit: IdleOption = None,
) -> Result:
    """Watch a training live in the terminal, or replay it afterwards.

    Reads the tail of episodes that `baton train` writes, while it is written or at any time later, in a process of its
    own; the file need not exist yet. Press ? for the keys.

    Example: baton follow gridworld --recipe demo

    Example: baton follow gridworld --input episodes.jsonl --plain --latency
    """
    if plain and model is not None:
        raise UserError("--model shows on the screen, and --plain has none", remedy="leave one of them out")
    part: LivePart = load_part(options.task, "live")
    chosen = _find_filter(part, filter)
    feed = _open_feed(_find_input(options, input), options.task, part)
    ascii = ascii or not (sys.stdout.encoding or "").lower().replace("-", "").startswith("utf8")
    if plain or not sys.stdout.isatty() or os.environ.get("TERM", "dumb") == "dumb":
        from pipeline.live.plain import PlainOptions, follow_plain  # here: `--help` need not wait for it

        follow_plain(feed, part, PlainOptions(latency, ascii, chosen, idle_exit), sys.stdout)
        return Result()
    from pipeline.live.app import Watch, run_screen  # here: textual takes longer to load than most stages to start

    opinion = _open_model(options.task, model) if model is not None else None
    color = not (no_color or os.environ.get("NO_COLOR"))
    if not run_screen(Watch(feed, part, opinion, ascii, color, from_start, chosen.name)):
        raise KeyboardInterrupt
    return Result()


def _find_input(options: Options, path: Path | None) -> Path:
    if path is not None:
        return path
    _, run_name = options.recipe_or_defaults()
    return options.folder(run_name, "train") / FILE


def _find_filter(part: "LivePart", name: str | None) -> "Filter":
    from pipeline.live.scene import ALL

    known = {choice.name: choice for choice in (ALL, *part.FILTERS)}
    if name is None or name in known:
        return known[name or ALL.name]
    raise UserError(f"there is no filter {name!r}", where="--filter", remedy=f"use one of: {', '.join(known)}")


def _open_feed(path: Path, task: str, part: "LivePart") -> "Feed":
    from pipeline.live.feed import Feed

    return Feed(path, part.SUMMARY, load_part(task, "rows").ROW_TYPES["episode_v1"])


def _open_model(task: str, path: Path) -> "SecondOpinion":
    try:
        opinion: SecondOpinion = load_part(task, "live_model").open_model(path)
    except ModuleNotFoundError as error:
        if error.name not in ("torch", "safetensors"):
            raise
        what = "--model needs torch, which is not installed"
        raise UserError(what, where="--model", remedy="pip install 'baton-pipeline[torch]'") from error
    return opinion


if __name__ == "__main__":
    main(app)

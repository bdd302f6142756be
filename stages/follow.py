"""``baton follow``: watch a training live, in the terminal or in browsers, or replay it; replay predictions."""

import os
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from pipeline.contract.load import load_part
from pipeline.contract.parts import OpinionPart
from pipeline.errors import UserError
from pipeline.recipe.named import find_model
from stages.common import Result, command, main
from stages.options import HostOption, InputOption, Options, PortOption, TokenOption

if TYPE_CHECKING:
    from pipeline.contract.parts import SecondOpinion
    from pipeline.follow.feed import Opened
    from pipeline.follow.scene import Filter, FollowPart

EPISODES, PREDICTIONS = "episodes.jsonl", "predictions.jsonl"

CompareOption = Annotated[
    Path | None,
    typer.Option(
        "--model", metavar="FILE", help="Show what this inference_v1 file (or name) says beside the recording (torch)."
    ),
]
PredictionsOption = Annotated[
    bool, typer.Option("--predictions", help="Replay the run's predictions instead of its training.")
]
AgainstOption = Annotated[
    str | None,
    typer.Option(
        "--against", metavar="[LABEL=]FILE", help="Play another predictions.jsonl beside this one, by record."
    ),
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
WebOption = Annotated[
    bool, typer.Option("--web", help="Serve a page for browsers, of which any number may watch (extra: web).")
]
SaveOption = Annotated[
    Path | None,
    typer.Option(
        "--save", metavar="FILE", help="Write the newest episode to a file: a page .html, or a .gif or .webp."
    ),
]
IdOption = Annotated[
    list[str] | None, typer.Option("--id", metavar="ID", help="With --save: this episode. A page can hold several.")
]


@command("follow", shared=("task", "recipe", "runs_dir"))
def app(
    options: Options,
    input: InputOption = None,
    model: CompareOption = None,
    predictions: PredictionsOption = False,
    against: AgainstOption = None,
    plain: PlainOption = False,
    latency: LatencyOption = False,
    from_start: FromStartOption = False,
    filter: FilterOption = None,
    no_color: NoColorOption = False,
    ascii: AsciiOption = False,
    idle_exit: IdleOption = None,
    web: WebOption = False,
    port: PortOption = 8007,
    host: HostOption = "127.0.0.1",
    token: TokenOption = None,
    save: SaveOption = None,
    id: IdOption = None,
) -> Result:
    """Watch a training live in the terminal, or replay it afterwards; replay predictions, alone or beside others.

    Reads the tail of episodes that `baton train` writes, while it is written or at any time later, in a process of its
    own; the file need not exist yet. Or the predictions of `baton infer`: what the file holds its first line says.
    Press ? for the keys.

    Example: baton follow gridworld --recipe demo

    Example: baton follow gridworld --input episodes.jsonl --plain --latency

    Example: baton follow gridworld --input a/predictions.jsonl --against b/predictions.jsonl

    Example: baton follow gridworld --recipe demo --web

    Example: baton follow gridworld --recipe demo --filter deaths --save death.html
    """
    _refuse_contradictions(plain, model, against)
    if id and save is None:
        raise UserError("--id names what to save", remedy="give a file with --save, or leave --id out")
    from pipeline.follow.feed import open_recording  # here: `--help` need not wait for it

    path = _find_input(options, input, PREDICTIONS if predictions else EPISODES)
    opened = open_recording(path, options.task, expect_predictions=predictions)
    asked = _Asked(options.task, opened, model, _find_filter(opened.part, filter))
    if web:
        screen = {"--plain": plain, "--filter": filter, "--from-start": from_start, "--save": save}
        _refuse_of_the_screen({**screen, "--latency": latency, "--idle-exit": idle_exit is not None}, against)
        return _serve(asked, host, port, token)
    if save is not None:
        if against is not None:
            raise UserError("--save writes one recording, without the other", remedy="leave --against out")
        return _save(asked, save, id or ())
    ascii = ascii or not (sys.stdout.encoding or "").lower().replace("-", "").startswith("utf8")
    if plain or not sys.stdout.isatty() or os.environ.get("TERM", "dumb") == "dumb":
        _refuse_contradictions(True, None, against)
        return _print_lines(asked, latency, ascii, idle_exit)
    return _show(asked, against, ascii=ascii, color=not (no_color or os.environ.get("NO_COLOR")), from_start=from_start)


@dataclass(frozen=True)
class _Asked:
    """What is to be shown, however: a recording, the filter of its episodes, and a model whose opinion is asked."""

    task: str
    opened: "Opened"
    model: Path | None
    choice: "Filter"

    def open_opinion(self) -> "SecondOpinion | None":
        """What the model says, where one was named. Raises UserError."""
        return None if self.model is None else _open_model(self.task, self.model)


def _serve(asked: _Asked, host: str, port: int, token: str | None) -> Result:
    """A page for browsers, until it is interrupted."""
    from pipeline.follow.browser.serve import serve_page  # here: it needs packages that not all have
    from pipeline.web.address import Address

    serve_page(asked.opened, asked.task, Address(host, port, token), asked.open_opinion())
    return Result()


def _save(asked: _Asked, path: Path, ids: Sequence[str]) -> Result:
    """A page or a moving picture as a file."""
    from pipeline.follow.save import check_kind, save_episodes

    check_kind(path, len(ids))
    saved = save_episodes(asked.opened, path, ids, asked.choice.name, asked.open_opinion(), asked.task)
    size = f"{path.stat().st_size / 1000:,.0f} kB"
    return Result([f"follow: saved {', '.join(saved)}", f"  {path.suffix[1:]}: {path} ({size})"])


def _print_lines(asked: _Asked, latency: bool, ascii: bool, idle_exit_s: float | None) -> Result:
    """A line an episode."""
    from pipeline.follow.plain import PlainOptions, follow_plain

    follow_plain(
        asked.opened.feed, asked.opened.part, PlainOptions(latency, ascii, asked.choice, idle_exit_s), sys.stdout
    )
    return Result()


def _show(asked: _Asked, against: str | None, *, ascii: bool, color: bool, from_start: bool) -> Result:
    """The screen, until the user leaves it."""
    from pipeline.follow.beside import open_against  # these are loaded here: textual takes a while
    from pipeline.follow.terminal.app import Watch, run_screen

    watch = Watch(
        *asked.opened,
        opinion=asked.open_opinion(),
        ascii=ascii,
        color=color,
        from_start=from_start or bool(asked.opened.unplayed),
        choice=asked.choice.name,
    )
    if against is not None:
        other, label = open_against(watch.feed.path, against, asked.task)
        watch = replace(watch, against=other, label=label)
    if not run_screen(watch):
        raise KeyboardInterrupt
    return Result()


def _refuse_contradictions(plain: bool, model: Path | None, against: str | None) -> None:
    for given, name in ((model, "--model"), (against, "--against")):
        if plain and given is not None:
            what = f"{name} shows on the screen, and without a terminal or with --plain there is none"
            raise UserError(what, remedy="leave one of them out")
    if model is not None and against is not None:
        what = "--model and --against both need the place beside the recording"
        raise UserError(what, remedy="leave one of them out")


def _refuse_of_the_screen(given: Mapping[str, object], against: str | None) -> None:
    """Options that a page has no use for: who watches chooses there."""
    names = [name for name, value in given.items() if value]
    if names:
        what = f"{' and '.join(names)} and --web do not go together: a page shows all episodes, and chooses itself"
        raise UserError(what, remedy="leave one of them out")
    if against is not None:
        what = "a page shows one recording: two side by side are for the terminal"
        raise UserError(what, where="--against", remedy="leave out --web, or serve each on a port of its own")


def _find_input(options: Options, path: Path | None, name: str) -> Path:
    if path is not None:
        return path
    _, run_name = options.recipe_or_defaults()
    return options.folder(run_name, "infer" if name == PREDICTIONS else "train") / name


def _find_filter(part: "FollowPart", name: str | None) -> "Filter":
    from pipeline.follow.scene import ALL

    known = {choice.name: choice for choice in (ALL, *part.filters)}
    if name is None or name in known:
        return known[name or ALL.name]
    raise UserError(f"there is no filter {name!r}", where="--filter", remedy=f"use one of: {', '.join(known)}")


def _open_model(task: str, path: Path) -> "SecondOpinion":
    try:
        return load_part(task, OpinionPart).open_model(find_model(path, task))
    except ModuleNotFoundError as error:
        if error.name not in ("torch", "safetensors"):
            raise
        what = "--model needs torch, which is not installed"
        raise UserError(what, where="--model", remedy="pip install 'baton-pipeline[torch]'") from error


if __name__ == "__main__":
    main(app)

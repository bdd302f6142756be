"""Episodes as a file to send to somebody: the page of the live view with its data inside, or a moving picture."""

import base64
import hashlib
import html
import zlib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import msgspec

from pipeline.contract.parts import SecondOpinion
from pipeline.errors import UserError, nearest
from pipeline.files.atomic import write_atomically
from pipeline.follow.browser.curves import Beside
from pipeline.follow.feed import Opened
from pipeline.follow.image import MOVING, moving_picture
from pipeline.follow.index import EpisodeIndex
from pipeline.follow.play import Play, play
from pipeline.follow.scene import ALL, Moment, told_filters

KINDS = (".html", *MOVING)
_BROWSER = Path(__file__).parent / "browser"
_STYLE = '<link rel="stylesheet" href="page.css">\n'
_SCRIPTS = ("scenes.js", "draw.js", "page.js")


def save_episodes(
    opened: Opened,
    path: Path,
    ids: Sequence[str] = (),
    choice: str = ALL.name,
    opinion: SecondOpinion | None = None,
    task: str = "",
) -> list[str]:
    """Write the episodes with these ids to ``path``, or the newest that the filter ``choice`` keeps; returns their ids.

    The name of the file says what it is: a page, or a moving picture of one episode. Raises UserError where there is no
    such episode, or the file cannot be written.
    """
    check_kind(path, len(ids))
    index = _read(opened)
    numbers = _find(opened, index, ids, choice)
    if path.suffix == ".html":
        plays = [_play(opened, index, number, opinion) for number in numbers]
        write_atomically(path, [page(plays, _training(opened, task)).encode()])
    else:
        write_atomically(path, [_moving(opened, index, numbers[0], path.suffix, opinion)])
    return [index[number].summary.id for number in numbers]


def check_kind(path: Path, num_ids: int) -> None:
    """Raises UserError for a file that is neither a page nor a moving picture, or a picture of several episodes."""
    if path.suffix not in KINDS:
        what = f"no kind of file is called {path.suffix or path.name!r} here"
        raise UserError(what, where=str(path), remedy=f"end its name in one of: {', '.join(KINDS)}")
    if path.suffix != ".html" and num_ids > 1:
        raise UserError("a moving picture shows one episode", where=str(path), remedy="name one --id, or a file .html")


def page(plays: Sequence[Play], training: Mapping[str, Any]) -> str:
    """The page with its data inside: it loads nothing, and a content security policy says so to the browser.

    ``training`` holds its curves (`curves.Curves`), ``task`` and ``run`` for the title, and ``filters``; a play may say
    which of them keep it: ``kept``.
    """
    style, script = _asset("page.css"), "\n".join(map(_asset, _SCRIPTS))
    policy = (
        f"default-src 'none'; img-src data:; style-src '{_hash(style)}'; script-src '{_hash(script)}'; "
        "base-uri 'none'; form-action 'none'"
    )
    whole = _asset("page.html")
    for name in _SCRIPTS:
        whole = whole.replace(f'<script src="{name}" defer></script>\n', "")
    head = f'<meta http-equiv="Content-Security-Policy" content="{html.escape(policy)}">\n<style>{style}</style>\n'
    data = "".join(
        f'<script type="application/json" id="{id}">{_json(value)}</script>\n'
        for id, value in (("plays", [_packed(play) for play in plays]), ("training", training))
    )
    before, after = whole.replace(_STYLE, head).split("</body>")
    return f"{before}{data}<script>{script}</script>\n</body>{after}"


def _read(opened: Opened) -> EpisodeIndex:
    """All episodes of the file that can be played."""
    index, num_rows = EpisodeIndex(opened.part.filters), 0
    while not (news := opened.feed.poll()).is_empty:
        num_rows += len(news.arrivals)
        for arrival in news.arrivals:
            if opened.part.num_frames(arrival.summary) > 0:
                index.add(*arrival)
    if len(index) == 0:
        what = news.waiting.removeprefix("waiting for ") if news.waiting else "no episode of this file can be played"
        why = f"all {num_rows:,} are {opened.unplayed}" if num_rows and opened.unplayed else ""
        raise UserError(what, where=str(opened.feed.path), remedy=why or "give a file of episodes with --input")
    return index


def _find(opened: Opened, index: EpisodeIndex, ids: Sequence[str], choice: str) -> list[int]:
    if not ids:
        newest = index.newest(choice)
        if newest is None:
            raise UserError(f"no episode matches {choice!r}", where=str(opened.feed.path), remedy="leave out --filter")
        return [newest]
    numbers = {index[number].summary.id: number for number in range(index.first, len(index))}
    for id in ids:
        if id not in numbers:
            what = f"there is no episode {id!r} that can be played"
            raise UserError(what, where=str(opened.feed.path), remedy=nearest(id, list(numbers)))
    return [numbers[id] for id in dict.fromkeys(ids)]


def _episode(
    opened: Opened, index: EpisodeIndex, number: int, opinion: SecondOpinion | None
) -> tuple[Any, list[Any], Any | None]:
    """What the part draws, its history, and what a second model says."""
    episode = opened.unfold(opened.feed.load(index[number]))
    return episode, index.history(number, max(opened.part.num_recent, 1)), opinion(episode) if opinion else None


def _play(opened: Opened, index: EpisodeIndex, number: int, opinion: SecondOpinion | None) -> Play:
    played = play(opened.part, *_episode(opened, index, number, opinion))
    return {**played, "kept": index.choices(number)}


def _moving(opened: Opened, index: EpisodeIndex, number: int, suffix: str, opinion: SecondOpinion | None) -> bytes:
    episode, history, said = _episode(opened, index, number, opinion)
    scenes = (
        opened.part.scene(Moment(episode, frame, history, said)) for frame in range(opened.part.num_frames(history[-1]))
    )
    return moving_picture(scenes, suffix)


def _training(opened: Opened, task: str) -> dict[str, Any]:
    """The curves beside the file, what to call them, and the filters of the episodes."""
    beside = Beside(opened.feed.path)
    curves = beside.look() or {}
    beside.close()
    folder = opened.feed.path.absolute().parent
    run = folder.parent.name if folder.name in ("train", "infer") else ""
    return {"task": task, "run": run, "filters": told_filters(opened.part.filters), **curves}


def _packed(play: Play) -> Play:
    """The same with its changes as compressed JSON (zlib) in base64."""
    head, changes = {**play}, msgspec.json.encode(play["changes"])
    del head["changes"]
    return {**head, "packed": zlib.compress(changes)}


def _json(value: Any) -> str:
    """JSON that can stand inside a script element: nothing in it can end the element or begin a comment."""
    return msgspec.json.encode(value).decode().replace("<", "\\u003c")


def _asset(name: str) -> str:
    return (_BROWSER / name).read_text(encoding="utf-8")


def _hash(text: str) -> str:
    return "sha256-" + base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()

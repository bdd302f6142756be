"""The whole screen as lines of text, from what there is to show and a size. Pure: no terminal, no clock, no file.

From the top: what is being watched; picture and readings, with the open panel where there is room for it (below the
readings, beside them, or in their place); what just happened; the timeline; the trend; how far behind; the keys.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import groupby
from operator import itemgetter
from typing import NamedTuple

from rich.cells import cell_len
from rich.text import Text

from pipeline.follow.characters import without_controls
from pipeline.follow.playback import Playback, lateness
from pipeline.follow.scene import ALL, Filter, Scene, Words
from pipeline.follow.terminal import theme
from pipeline.follow.terminal.picture import draw_picture
from pipeline.follow.terminal.sections import draw_sections, draw_trend
from pipeline.follow.terminal.text import Lines, Size, as_text, beside, box, ends, fit, styled, wrap
from pipeline.look.numbers import plural


# Bindings, the line at the bottom and the help page are all made from `KEYS`.
class Key(NamedTuple):
    """``names`` are textual's key names; ``shown`` is what the help page calls them; ``action`` is a textual action:
    ``play('step', 1)`` calls `Playback.step`, others are `FollowApp.action_...`.
    """

    names: str
    shown: str
    action: str
    help: str


KEYS = (
    Key("space", "space", "play('toggle_pause')", "pause, go on"),
    Key("full_stop,right", ". →", "play('step', 1)", "one step on"),
    Key("comma,left", ", ←", "play('step', -1)", "one step back"),
    Key("greater_than_sign,shift+right", ">", "play('step', 10)", "ten steps on"),
    Key("less_than_sign,shift+left", "<", "play('step', -10)", "ten steps back"),
    Key("g,home", "g", "play('first_frame')", "first step"),
    Key("G,end", "G", "play('last_frame')", "last step"),
    Key("plus,equals_sign", "+", "play('faster')", "faster"),
    Key("minus", "-", "play('slower')", "slower"),
    Key("n,pagedown", "n", "play('next_episode')", "next episode"),
    Key("p,pageup", "p", "play('previous_episode')", "previous episode"),
    Key("N", "N", "play('go_live')", "newest, and stay live"),
    Key("f", "f", "play('cycle_filter')", "next filter"),
    Key("tab", "tab", "next_panel", "next panel"),
    Key("escape,0", "esc 0", "close_panel", "close the panel"),
    Key("question_mark,h", "?", "help", "this page"),
    Key("q,ctrl+q", "q", "quit", "quit"),
)

# The line at the bottom, most needed first: what does not fit is left out.
REMINDERS = "? help  q quit  space pause  , . step  n p episode  N live  1-6 panel  f filter  + - speed"

SMALLEST = Size(64, 20)
_READINGS = Size(34, 18)  # the least room for readings and choices
_PANEL = Size(36, 8)  # the smallest panel that is worth opening beside the readings
_LABEL = 20  # most characters of what a recording is called
_SHARED = 2  # lines at the very bottom: status, keys
_FRESH = 3  # steps for which an event is news
_CHART_HEIGHT = 5  # from here on the trend stands below the picture, else it has one line


@dataclass(frozen=True)
class View:
    """What is on screen. ``panel`` is the number of the open panel or null; ``waiting`` says what is waited for while
    there is no episode; ``latency_s`` is how late the newest episode arrived; ``losses`` says what is not there to be
    seen, ``ended`` that no more is to come; ``label`` what the recording is called, where there are two."""

    playback: Playback
    scene: Scene | None = None
    filters: Sequence[Filter] = ()
    panel: int | None = None
    help: bool = False
    waiting: str = ""
    latency_s: float | None = None
    losses: str = ""
    ended: str = ""
    label: str = ""


def compose(view: View, size: Size) -> Lines:
    """Exactly ``size.height`` lines of exactly ``size.width`` cells."""
    if size.width < SMALLEST.width or size.height < SMALLEST.height:
        needs = f"{SMALLEST.width}x{SMALLEST.height} cells are needed, here are {size.width}x{size.height}"
        return box([Text("The window is too small."), Text(needs), Text("q quits; --plain needs no room")], *size)
    if view.help:
        return _above_keys(_help(view), size)
    if view.scene is None:
        return _above_keys(_centred(view, size), size)
    shown = _watched(view, Size(size.width, size.height - _SHARED))
    return box([*shown, _status(view, size.width), _keys(size.width)], *size)


def compose_pair(views: tuple[View, View], size: Size) -> Lines:
    """Two recordings that are played together, beside each other or, on narrow and high screens, one above the other.

    Both have the playback of the first, so that their timelines have one length. Lines and cells as in `compose`.
    """
    first = views[0]
    if first.help or first.scene is None:
        return compose(first, size)
    least = Size(SMALLEST.width, SMALLEST.height - _SHARED)
    room = Size(size.width, size.height - _SHARED)
    foot = [_status(first, size.width), _keys(size.width)]
    if room.width >= 2 * least.width and room.height >= least.height:
        halves = [_watched(view, Size(room.width // 2, room.height)) for view in views]
        # Every line begins with a blank, where the one between the two has its place.
        rows = [Text.assemble(a, ("│", theme.LINE), b[1:]) for a, b in zip(*halves, strict=True)]
    elif room.width >= least.width and room.height >= 2 * least.height:
        high = room.height // 2
        rows = [*_watched(first, Size(room.width, high)), *_watched(views[1], Size(room.width, room.height - high))]
    else:
        needs = [(2 * least.width, SMALLEST.height), (least.width, 2 * least.height + _SHARED)]
        told = " or ".join(f"{width}x{height}" for width, height in needs)
        words = ["The window is too small for two.", f"{told} cells are needed, here are {size.width}x{size.height}"]
        return box([*map(Text, words), Text("q quits")], *size)
    return box([*rows, *foot], *size)


def _watched(view: View, size: Size) -> Lines:
    """One recording: header, body, caption, timeline."""
    if view.scene is None:
        return box(_centred(view, size), *size)
    foot = [_indent(_caption(view.scene, size.width - 2)), _timeline(view, view.scene, size.width)]
    body = _body(view, view.scene, Size(size.width, size.height - len(foot) - 2))
    return box([_header(view, view.scene, size.width), *body, *foot], *size)


def _above_keys(lines: Lines, size: Size) -> Lines:
    return [*box(lines, size.width, size.height - 1), fit(_keys(size.width), size.width)]


def _indent(line: Text) -> Text:
    return Text.assemble(" ", line)


def _header(view: View, scene: Scene, width: int) -> Text:
    playback = view.playback
    left = Text.assemble((f" {_place(playback)} ", f"bold {theme.TEXT}"), " ")
    if view.label:
        label = view.label if len(view.label) <= _LABEL else f"…{view.label[1 - _LABEL :]}"
        left = Text.assemble(" ", (f" {label} ", f"bold {theme.GROUND} on {theme.TEXT}"), "  ")
    badge = _badge(playback)
    return ends(left.append_text(_facts(scene.headline, width - left.cell_len - badge.cell_len - 1)), badge, width)


def _place(playback: Playback) -> str:
    number = 0 if playback.number is None else playback.number
    return f"episode {number + 1:,} of {len(playback.index):,}"


def _facts(headline: Sequence[str], room: int) -> Text:
    """As many of the facts as have room, between dots; an ellipsis says that there are more."""
    facts = [without_controls(fact) for fact in headline]
    while cell_len(" · ".join(facts)) > room and len(facts) > 1 + (facts[-1] == "…"):
        facts = [*facts[: -1 - (facts[-1] == "…")], "…"]
    return Text(" · ".join(facts), theme.TEXT)


def _caption(scene: Scene, width: int) -> Text:
    """The latest event up to this frame, the gravest of several, and how long ago."""
    past = scene.log.events
    if not past:
        return styled(scene.caption)
    latest = max(past, key=lambda event: (event.frame, event.rank))
    ago = scene.frame - latest.frame
    words = styled(Words(latest.text, "plain" if ago <= _FRESH else "muted"))
    line = Text.assemble((f"{latest.sign} ", f"bold {theme.TONES[latest.tone]}"), words)
    return ends(line, Text("now" if ago == 0 else f"{plural(ago, 'step')} ago", theme.FAINT), width)


def _badge(playback: Playback) -> Text:
    if not playback.playing:
        return Text(" ‖ PAUSED ", f"bold {theme.GROUND} on {theme.ORANGE}")
    if playback.live:
        return Text(" ● LIVE ", f"bold {theme.GROUND} on {theme.GREEN}")
    return Text(" ▶ REPLAY ", f"bold {theme.GROUND} on {theme.BLUE}")


def _body(view: View, scene: Scene, size: Size) -> Lines:
    """The lines between header and foot: one more than ``size.height``, for the trend, wherever it stands."""
    picture = draw_picture(scene.picture, Size(max(size.width - _READINGS.width - 3, 1), size.height))
    wide = max((line.cell_len for line in picture), default=0)
    free = size.height - len(picture)
    beneath = free >= _CHART_HEIGHT and wide >= _READINGS.width
    if beneath:
        picture = [*box(picture, wide, len(picture)), Text(), *draw_trend(scene.trend, Size(wide, free))]
    height = size.height + 1 if beneath else size.height
    right = Size(size.width - wide - 3, height)
    rows = beside(box(picture, wide, height), box(_right(view, scene, right), *right))
    if not beneath:
        rows += draw_trend(scene.trend, Size(size.width - 2, 1))[:1] or [Text()]
    return [_indent(row) for row in rows]


def _right(view: View, scene: Scene, size: Size) -> Lines:
    """Readings and the open panel: below one another, side by side, or the panel alone."""
    if view.panel is None or view.panel >= len(scene.all_panels):
        return _readings(scene, size)
    if size.height >= _READINGS.height + 1 + _PANEL.height:
        above = Size(size.width, _READINGS.height + 1)
        below = _panel(view.panel, scene, Size(size.width, size.height - above.height - 1))
        return [*box(_readings(scene, above), *above), Text(), *below]
    if size.width >= _READINGS.width + 3 + _PANEL.width:
        left, room = Size(_READINGS.width, size.height), Size(size.width - _READINGS.width - 3, size.height)
        return beside(box(_readings(scene, left), *left), box(_panel(view.panel, scene, room), *room), gap=3)
    return _panel(view.panel, scene, size)


def _readings(scene: Scene, size: Size) -> Lines:
    """All that always stands beside the picture."""
    choices = [scene.choices] if scene.choices is not None else []
    return draw_sections([*scene.readings, *choices, *scene.notes], size)


def _panel(number: int, scene: Scene, size: Size) -> Lines:
    panel = scene.all_panels[number]
    title = Text.assemble((f"{number + 1} ", theme.FAINT), (panel.title.upper(), f"bold {theme.TEXT}"), " ")
    head = Text.assemble(title, ("─" * max(size.width - title.cell_len, 0), theme.LINE))
    return [head, *draw_sections(panel.sections, Size(size.width, size.height - 1))]


def _timeline(view: View, scene: Scene, width: int) -> Text:
    """A line from the first frame to the last: played part, position, marks; the speed behind it."""
    playback = view.playback
    speed = f"{playback.speed}/s"
    room = max(width - len(speed) - 3, 1)
    last = max(playback.num_frames - 1, 1)
    place = min(playback.frame * (room - 1) // last, room - 1)
    signs = ["━" if cell < place else "─" for cell in range(room)]
    styles = [theme.FAINT if cell < place else theme.LINE for cell in range(room)]
    for mark in sorted((event for event in scene.events or () if event.rank > 0), key=lambda event: event.rank):
        cell = min(mark.frame * (room - 1) // last, room - 1)
        signs[cell], styles[cell] = mark.sign, theme.TONES[mark.tone]
    styles[place] = f"bold reverse {theme.TEXT}"
    line = Text(" ")
    for style, run in groupby(zip(signs, styles, strict=True), key=itemgetter(1)):
        line.append("".join(sign for sign, _ in run), style)
    return line.append(f" {speed} ", theme.TEXT)


def _status(view: View, width: int) -> Text:
    """The filter, and a notice when there is one; else how late episodes arrive, or that no more will, and what is not
    there to be seen."""
    playback = view.playback
    line = Text(f" {_place(playback)} · " if view.label else " ", theme.TEXT)
    if playback.choice != ALL.name:
        line.append(f"filter: {playback.choice} ({playback.index.num_kept(playback.choice):,}) · ", theme.TEXT)
    if playback.notice:
        return fit(line.append(playback.notice, f"bold {theme.ORANGE}"), width)
    behind = f"{playback.num_behind:,} {'behind' if playback.live else 'further on'}" if playback.num_behind else ""
    late = lateness(view.latency_s) if view.latency_s is not None else ""
    parts = filter(None, (view.ended or late, behind, view.losses))
    return fit(line.append(" · ".join(parts), theme.FAINT), width)


def _keys(width: int) -> Text:
    line = Text()
    for reminder in REMINDERS.split("  "):
        key, _, what = reminder.rpartition(" ")
        part = Text.assemble("  " if line.cell_len else " ", (key, f"bold {theme.TEXT}"), (f" {what}", theme.FAINT))
        if line.cell_len + part.cell_len > width:
            break
        line.append_text(part)
    return line


def _help(view: View) -> Lines:
    """Every key, the panels and filters of the task, and what the signs mean."""
    scene = view.scene
    general = [(key.shown, key.help) for key in KEYS]
    panels = scene.all_panels if scene is not None else ()
    titles = [(str(number), f"panel: {panel.title}") for number, panel in enumerate(panels, start=1)]
    entries = [*general, *titles, *((choice.key, f"only {choice.name}, and all again") for choice in view.filters)]
    half = (len(entries) + 1) // 2
    lines = [Text(" KEYS", f"bold {theme.TEXT}")]
    for row in range(half):
        line = Text("  ")
        for key, what in entries[row::half]:
            line.append(f"{key:<6}", f"bold {theme.TEXT}").append(f"{what:<32}", theme.FAINT)
        lines.append(line)
    legend = [Text.assemble("  ", as_text(line)) for line in scene.legend] if scene is not None else []
    return [*lines, Text(), Text(" SIGNS", f"bold {theme.TEXT}"), *legend] if legend else lines


def _centred(view: View, size: Size) -> Lines:
    """What is being waited for, in the middle of an empty screen."""
    words = (view.waiting or "waiting for the first episode", view.ended, view.playback.notice)
    parts = [part for word in words if word for part in wrap(Text(word, theme.TEXT), size.width - 8)]
    lines = [Text.assemble(" " * ((size.width - part.cell_len) // 2), part) for part in parts]
    return [*[Text()] * ((size.height - len(lines)) // 2), *lines]

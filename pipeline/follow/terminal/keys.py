"""The keys of the live view: bindings, the line at the bottom and the help page are all made from this table."""

from typing import NamedTuple


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
REMINDERS = (
    ("?", "help"),
    ("q", "quit"),
    ("space", "pause"),
    (", .", "step"),
    ("n p", "episode"),
    ("N", "live"),
    ("1-6", "panel"),
    ("f", "filter"),
    ("+ -", "speed"),
)

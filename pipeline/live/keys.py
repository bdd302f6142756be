"""The keys of the live view: bindings, the line at the bottom and the help page are all made from this table."""

from typing import NamedTuple


class Key(NamedTuple):
    """``names`` are textual's key names; ``shown`` is what the help page calls them; ``action`` is what they do."""

    names: str
    shown: str
    action: str
    help: str


KEYS = (
    Key("space", "space", "toggle_pause", "pause, go on"),
    Key("full_stop,right", ". →", "step(1)", "one step on"),
    Key("comma,left", ", ←", "step(-1)", "one step back"),
    Key("greater_than_sign,shift+right", ">", "step(10)", "ten steps on"),
    Key("less_than_sign,shift+left", "<", "step(-10)", "ten steps back"),
    Key("g,home", "g", "first_frame", "first step"),
    Key("G,end", "G", "last_frame", "last step"),
    Key("plus,equals_sign", "+", "faster", "faster"),
    Key("minus", "-", "slower", "slower"),
    Key("n,pagedown", "n", "next_episode", "next episode"),
    Key("p,pageup", "p", "previous_episode", "previous episode"),
    Key("N", "N", "go_live", "newest, and stay live"),
    Key("f", "f", "cycle_filter", "next filter"),
    Key("tab", "tab", "next_panel", "next panel"),
    Key("escape,0", "esc 0", "close_panel", "close the panel"),
    Key("question_mark,h", "?", "help", "this page"),
    Key("q,ctrl+q", "q", "quit", "quit"),
)

# The line at the bottom, most needed first: what does not fit is left out.
REMINDERS = (
    ("?", "help"),
    ("space", "pause"),
    (", .", "step"),
    ("n p", "episode"),
    ("N", "live"),
    ("f", "filter"),
    ("1-6", "panel"),
    ("q", "quit"),
    ("+ -", "speed"),
)

"""One widget that fills the screen with lines of text."""

from rich.console import Console
from rich.segment import Segment
from rich.style import Style
from textual.geometry import Region
from textual.message import Message
from textual.strip import Strip
from textual.widget import Widget

from pipeline.live.palette import GROUND, TEXT, to_ascii, without_controls
from pipeline.live.scene import Lines


class Canvas(Widget):
    """Lines of text that fill the screen. Only lines that changed are sent to the terminal, for slow connections."""

    DEFAULT_CSS = f"Canvas {{ width: 100%; height: 100%; background: {GROUND}; color: {TEXT}; }}"

    class Resized(Message):
        """The canvas has a new size and wants to be drawn anew."""

    def __init__(self, *, ascii: bool, color: bool) -> None:
        super().__init__()
        self._ascii, self._color = ascii, color
        self._renderer = Console(width=1000, color_system="truecolor", force_terminal=True, _environ={})
        self._strips: list[Strip] = []

    def show(self, lines: Lines) -> None:
        """Replace the lines."""
        strips = [Strip(map(self._segment, line.render(self._renderer))).simplify() for line in lines]
        changed = [
            Region(0, y, self.size.width, 1)
            for y, strip in enumerate(strips)
            if y >= len(self._strips) or self._strips[y] != strip
        ]
        self._strips = strips
        if changed:
            self.refresh(*changed)

    def on_resize(self) -> None:
        """Called by textual once the layout is done."""
        self.post_message(self.Resized())

    def render_line(self, y: int) -> Strip:
        """Called by textual for each line that has to be drawn."""
        strip = self._strips[y] if y < len(self._strips) else Strip.blank(self.size.width)
        return strip.apply_style(self.rich_style if self._color else Style.null())

    def _segment(self, segment: Segment) -> Segment:
        text = to_ascii(segment.text) if self._ascii else without_controls(segment.text)
        style = segment.style
        if style is not None and not self._color:
            style = style.without_color
        return Segment(text, style)

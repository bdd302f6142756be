"""One widget that fills the screen with lines of text, and sends as little of them as it can: for slow connections."""

from collections.abc import Iterable, Mapping, Sequence

from rich.console import Console
from rich.segment import Segment
from rich.style import Style
from textual.app import ComposeResult
from textual.geometry import Region
from textual.message import Message
from textual.strip import Strip
from textual.widget import Widget

from pipeline.follow.characters import to_ascii, without_controls
from pipeline.follow.terminal import theme
from pipeline.follow.terminal.text import Lines

NUM_TILES = 6
"""textual sends a changed line of a widget from its first cell on. So the screen is cut into columns, each a widget of
its own. Played at 10 frames a second in 80x24, an episode was measured to send 22 kB/s, and 104 as one widget."""


class Tile(Widget):
    """Some columns of the screen. Only lines that changed are drawn anew."""

    DEFAULT_CSS = "Tile { width: 1fr; height: 100%; }"

    def __init__(self, *, color: bool) -> None:
        super().__init__()
        self._color = color
        self._strips: list[Strip] = []

    def show(self, lines: Mapping[int, Strip], height: int) -> None:
        """Replace some of the ``height`` lines."""
        self._strips = (self._strips + [Strip([])] * height)[:height]
        changed = [y for y, strip in lines.items() if self._strips[y] != strip]
        for y in changed:
            self._strips[y] = lines[y]
        if changed:
            self.refresh(*(Region(0, y, self.size.width, 1) for y in changed))

    def render_line(self, y: int) -> Strip:
        """Called by textual for each line that has to be drawn."""
        strip = self._strips[y] if y < len(self._strips) else Strip.blank(self.size.width)
        return strip.apply_style(self.rich_style) if self._color else strip


class Canvas(Widget):
    """The screen: `show` replaces its lines. A screen that stands still sends nothing."""

    DEFAULT_CSS = f"""
    Canvas {{ layout: horizontal; width: 100%; height: 100%; }}
    Canvas.color, Canvas.color > Tile {{ background: {theme.GROUND}; color: {theme.TEXT}; }}
    """

    class Resized(Message):
        """The canvas has a new size and wants to be drawn anew."""

    def __init__(self, *, ascii: bool, color: bool) -> None:
        super().__init__(classes="color" if color else "")
        self._ascii, self._color = ascii, color
        self._renderer = Console(width=1000, color_system="truecolor", force_terminal=True, _environ={})
        self._tiles = [Tile(color=color) for _ in range(NUM_TILES)]
        self.strips: list[Strip] = []
        self._lines: Lines = []
        self._ends: list[int] = []

    def compose(self) -> ComposeResult:
        """The tiles, side by side."""
        yield from self._tiles

    def show(self, lines: Lines) -> None:
        """Replace the lines."""
        before, self._lines = self._lines, lines
        ends = [tile.region.right - self.region.x for tile in self._tiles]
        same_tiles, self._ends = ends == self._ends, ends
        self.strips = (self.strips + [Strip([])] * len(lines))[: len(lines)]
        parts: dict[int, Sequence[Strip]] = {}
        for y, line in enumerate(lines):
            if not same_tiles or y >= len(before) or line != before[y] or line.style != before[y].style:
                self.strips[y] = Strip(self._segments(line.render(self._renderer)))
                parts[y] = self.strips[y].divide(ends)
        for number, tile in enumerate(self._tiles):
            tile.show({y: strips[number] for y, strips in parts.items()}, len(lines))

    def on_resize(self) -> None:
        """Called by textual; the tiles get their sizes after this."""
        self.call_after_refresh(self.post_message, self.Resized())

    def _segments(self, parts: Iterable[Segment]) -> list[Segment]:
        """As few segments as show the same: a blank takes the style before it where that makes no difference."""
        merged: list[Segment] = []
        for part in parts:
            text = to_ascii(part.text) if self._ascii else without_controls(part.text)
            style = part.style or Style.null()
            style = style if self._color else style.without_color
            last = merged[-1] if merged else None
            if last is not None and last.style is not None and _show_the_same(text, style, last.style):
                merged[-1] = Segment(last.text + text, last.style)
            else:
                merged.append(Segment(text, style))
        return merged


def _show_the_same(text: str, style: Style, other: Style) -> bool:
    if style == other:
        return True
    has_lines = style.reverse or style.underline or other.reverse or other.underline
    return text.isspace() and style.bgcolor == other.bgcolor and not has_lines

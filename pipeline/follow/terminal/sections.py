"""Sections of a scene as lines of text: readings, choices, tables, prose, events; and the trend."""

from collections.abc import Iterator, Sequence

from rich.cells import cell_len
from rich.text import Text

from pipeline.follow.characters import without_controls
from pipeline.follow.scene import Choice, Choices, Event, Log, Prose, Readings, Section, Table, Trend, Words
from pipeline.follow.terminal import theme
from pipeline.follow.terminal.text import Lines, Size, as_text, bar, clip, columns, ends, fit, sparkline, styled, wrap

_LONGEST_NAME = 12
_CHART_HEIGHT = 5


def draw_sections(sections: Sequence[Section], size: Size) -> Lines:
    """Sections below one another, with a blank line between where there is room for that."""
    names = [one.name for section in sections if isinstance(section, Readings) for one in section.values]
    name_width = min(max(map(cell_len, names), default=0), _LONGEST_NAME)  # one for all: their bars can be compared
    blocks = [_draw(section, size.width, name_width) for section in sections]
    gap = [Text()] if sum(map(len, blocks)) + len(blocks) - 1 <= size.height else []
    lines = [line for number, block in enumerate(blocks) for line in [*(gap if number else []), *block]]
    return clip(lines, size.height, keep_end=bool(sections) and isinstance(sections[-1], Log))


def _draw(section: Section, width: int, name_width: int) -> Lines:
    match section:
        case Readings():
            return [*_heading(section.title, section.note, width), *_draw_readings(section, width, name_width)]
        case Choices():
            return _draw_choices(section, width)
        case Table():
            return _draw_table(section, width)
        case Prose():
            text = [part for line in section.lines for part in wrap(as_text(line), width)]
            return [*_heading(section.title, Words(""), width), *text]
        case Log():
            nothing = [Text("nothing has happened yet", theme.FAINT)]
            return [line for event in section.events for line in _draw_event(event, width)] or nothing


def _heading(title: str, note: Words, width: int) -> Lines:
    return [ends(Text(title.upper(), theme.FAINT), styled(note), width)] if title else []


def _draw_readings(section: Readings, width: int, name_width: int) -> Iterator[Text]:
    """``┃!energy     ████       0.27 -.012``: sign, warning, name, bar, value, change."""
    sign_width = max((cell_len(one.sign) for one in section.values), default=0)
    value_width = max((len(one.shown) for one in section.values), default=0)
    has_change = any(one.change is not None for one in section.values)
    for one in section.values:
        ink = theme.RED if one.warning else theme.TONES[one.tone]
        loud = f"bold {theme.RED}" if one.warning else f"bold {theme.TEXT}" if one.strong else theme.TEXT
        change = "" if one.change is None else _signed(one.change, one.decimals + 1)
        head = Text.assemble(
            fit(Text(one.sign, f"{'bold ' if one.strong else ''}{theme.TONES[one.tone]}"), sign_width),
            ("!" if one.warning else " ", loud),
            fit(Text(without_controls(one.name), loud), name_width),
            " ",
        )
        tail = [(f" {one.shown:>{value_width}}", loud), (f" {change:>5}" if has_change else "", theme.FAINT)]
        yield _with_bar(head, (one.share, f"{ink} on {theme.LINE}"), Text.assemble(*tail), width)


def _with_bar(head: Text, share: tuple[float, str], tail: Text, width: int) -> Text:
    room = max(width - head.cell_len - tail.cell_len, 0)
    return Text.assemble(head, (bar(share[0], room), share[1]), tail)


def _signed(number: float, decimals: int) -> str:
    """``-.012``: the sign always, the zero before the point never; nothing for what is rounded to 0."""
    text = f"{number:+.{decimals}f}"
    if float(text) == 0.0:
        return ""
    return text.replace("0.", ".", 1) if abs(number) < 1 else text


def _draw_choices(section: Choices, width: int) -> Lines:
    """``▶ interact ████████████       4.213``, a line an action; behind it the values of a second model, with a sign at
    what that would take."""
    allowed = [one.value for one in section.options if one.allowed and one.value is not None]
    others = {one.name: one.other for one in section.options if one.allowed and one.other is not None}
    best = max(others, key=lambda name: others[name], default="")
    name_width = max((cell_len(one.name) for one in section.options), default=0) + 1
    lines = _heading(section.title, Words("recorded   model", "muted") if others else _sure(section), width)
    for one in section.options:
        style = f"bold {theme.TEXT}" if one.taken else (theme.TEXT if one.allowed else theme.LINE)
        sign = ("▶", f"bold {theme.BLUE}") if one.taken else (" " if one.allowed else "✗", theme.FAINT)
        head = Text.assemble(sign, (f" {one.name:<{name_width}}", style))
        tail = Text(_number(one.value, one), style)
        if others:
            tail.append(_number(one.other, one)).append(" ◆" if one.name == best else "  ", theme.BLUE)
        share = _share(one.value, allowed) if one.allowed and one.value is not None else 0.0
        if not one.allowed and width - head.cell_len - tail.cell_len >= len("masked"):
            head.append("masked", theme.LINE)
        lines.append(_with_bar(head, (share, theme.BLUE if one.taken else theme.FAINT), tail, width))
    return lines


def _sure(section: Choices) -> Words:
    """The note, and how sure the choice was."""
    if section.certainty is None:
        return section.note
    margin, share = section.certainty
    return Words(f"{section.note.text}, sure {share:.0%} (+{margin:.3f})".removeprefix(", "), section.note.tone)


def _number(value: float | None, one: Choice) -> str:
    return f"{value:>8.3f}" if value is not None and one.allowed else " " * 8


def _share(value: float, allowed: Sequence[float]) -> float:
    """Place between the worst allowed value (a twentieth, to be seen) and the best (1)."""
    low, high = min(allowed), max(allowed)
    return 1.0 if high <= low else 0.05 + 0.95 * (value - low) / (high - low)


def _draw_table(section: Table, width: int) -> Lines:
    """Columns as wide as what is in them; those that may be spared are left out where not all have room."""
    heads = [[Text(head, theme.FAINT) for head in section.heads]] if section.heads else []
    rows = [*heads, *([styled(words) for words in row] for row in section.rows)]
    widths = {column: max(row[column].cell_len for row in rows) for column in range(len(section.align) if rows else 0)}
    for column in section.spare:
        if sum(widths.values()) + len(widths) - 1 > width:
            del widths[column]
    for row in rows:
        for column, room in widths.items():
            if section.align[column] == "r":
                row[column].pad_left(room - row[column].cell_len)
            elif column != max(widths):
                row[column].pad_right(room - row[column].cell_len)
    return [Text(" ").join(row[column] for column in widths) for row in rows]


def _draw_event(event: Event, width: int) -> Iterator[Text]:
    """``  12 • used bed: energy +.50``, its further lines below the first word."""
    for number, part in enumerate(wrap(Text(without_controls(event.text), theme.TEXT), width - 7)):
        frame, sign = (f"{event.frame:>4} ", f"{event.sign} ") if number == 0 else (" " * 5, " " * 2)
        yield Text.assemble((frame, theme.FAINT), (sign, f"bold {theme.TONES[event.tone]}"), part)


def draw_trend(trend: Trend | None, size: Size) -> Lines:
    """Values of recent episodes: one line, or a chart where there is room."""
    if trend is None or not trend.values or size.height < 1:
        return []
    values, decimals = trend.values, trend.decimals
    last, mean, best = (f"{value:.{decimals}f}" for value in (values[-1], sum(values) / len(values), max(values)))
    words = f"last {last}  mean {mean}  best {best} of {trend.high:g}"
    title = f"{trend.title.upper()}, last {len(values)}" if len(values) > 1 else trend.title.upper()
    if size.height < 3:
        room = max(size.width - len(words) - len(title) - 3, 0)
        spark = sparkline(values[len(values) - min(room, len(values)) :], trend.high)
        return [Text.assemble((f"{title} ", theme.FAINT), (spark, theme.GREEN), (f" {words}", theme.TEXT))]
    shown = values[-size.width :]
    wide = max(min(size.width // len(shown), 3), 1)
    chart = columns([value for value in shown for _ in range(wide)], trend.high, min(size.height - 1, _CHART_HEIGHT))
    return [
        ends(Text(title, theme.FAINT), Text(words, theme.TEXT), size.width),
        *(Text(row, theme.CALM) for row in chart),
    ]

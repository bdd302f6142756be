"""The report: one HTML file that shows everything visualize made, to open, to send, to print.

It is whole by itself: pictures are data URIs, style and script stand in the page, nothing is loaded from anywhere, and
a content security policy says so to the browser. Every text that comes from rows is escaped. The same input gives
the same bytes.
"""

import base64
import hashlib
import html
import io
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from importlib import resources
from itertools import pairwise
from pathlib import Path
from string import Template
from typing import Any

from PIL import Image

from pipeline.look.numbers import Number
from pipeline.look.tables import Table
from schemas.rows import Fact, Figure, FigureText, TextMark

MAX_LINKED_RECORDS = 3  # a picture of more records than these is not a picture of one of them
MAX_TEXT = 200  # characters of a text in the table of records
MAX_FIGURE_TEXT = 20_000  # characters of a text beside a figure
SCRIPTS = ("report_choice.js", "report.js")
MEDIA_TYPES = {".png": "image/png", ".webp": "image/webp"}
Cell = str | int | float | bool | None


@dataclass(frozen=True, kw_only=True)
class Headline:
    """One number in large type, with its interval of that ``confidence``; ``against`` says what it is held against.

    On the small scale below, whose ends are ``limits``, ``bar`` is the value to pass, if there is one.
    """

    heading: str
    number: Number
    confidence: float | None
    against: str
    bar: float | None
    limits: tuple[float, float]


@dataclass(frozen=True)
class Records:
    """The table of records: column names and rows; the first column is the id."""

    columns: Sequence[str] = ()
    rows: Sequence[Sequence[Cell]] = ()


@dataclass(frozen=True, kw_only=True)
class Report:
    """What the page says.

    ``folder`` is where the paths of ``figures`` begin; ``orders`` says, by section, how they are ordered; ``meanings``
    explain the numbers, by name; ``footnotes`` stand under the tables; ``missing`` says what is not in the report, and
    why. ``played`` are addresses of pages that play a record, by its id.
    """

    title: str
    subtitle: str
    folder: Path
    figures: Sequence[Figure]
    facts: Mapping[str, str] = field(default_factory=dict)
    headlines: Sequence[Headline] = ()
    tables: Sequence[Table] = ()
    footnotes: Sequence[str] = ()
    meanings: Mapping[str, str] = field(default_factory=dict)
    records: Records = field(default_factory=Records)
    missing: Sequence[str] = ()
    orders: Mapping[str, str] = field(default_factory=dict)
    played: Mapping[str, str] = field(default_factory=dict)


def render(report: Report) -> str:
    """The whole page. Raises OSError where a picture cannot be read, ValueError for an unknown kind of picture."""
    sections = [("Summary", _summary(report))]
    numbers = {figure.id: number for number, figure in enumerate(report.figures, start=1)}
    for name in dict.fromkeys(figure.section for figure in report.figures):
        chosen = [figure for figure in report.figures if figure.section == name]
        shown = "\n".join(_figure(figure, numbers[figure.id], report) for figure in chosen)
        has_facts = any(figure.facts for figure in chosen)
        sections.append((name, _gallery(shown, report.orders.get(name, "")) if has_facts else shown))
    if report.records.rows:
        sections.append(("Record by record", _records(report)))
    if report.missing:
        sections.append(("What is not here", _missing(report.missing)))
    return _page(report, sections)


def _page(report: Report, sections: Sequence[tuple[str, str]]) -> str:
    style, script = _asset("report.css").strip(), "\n".join(_asset(name).strip() for name in SCRIPTS)
    links = "\n".join(f'<li><a href="#section-{n}">{_text(name)}</a></li>' for n, (name, _) in enumerate(sections))
    body = "\n".join(
        f'<section id="section-{n}">{f"<h2>{_text(name)}</h2>" if n else ""}\n{content}\n</section>'
        for n, (name, content) in enumerate(sections)
    )
    policy = (
        f"default-src 'none'; img-src data:; style-src '{_hash(style)}'; script-src '{_hash(script)}'; "
        "base-uri 'none'; form-action 'none'"
    )
    return Template(_asset("report.html")).substitute(
        policy=_text(policy), title=_text(report.title), style=style, links=links, sections=body, script=script
    )


def _summary(report: Report) -> str:
    facts = "".join(f"<li><b>{_text(name)}</b> {_text(value)}</li>" for name, value in report.facts.items())
    cards = "\n".join(map(_card, report.headlines))
    notes = "".join(f"<li>{_text(note)}</li>" for note in report.footnotes)
    meanings = "".join(f"<dt>{_text(name)}</dt><dd>{_text(text)}</dd>" for name, text in report.meanings.items())
    parts = [
        f"<h1>{_text(report.title)}</h1>",
        f'<p class="lead">{_text(report.subtitle)}</p>' if report.subtitle else "",
        f'<ul class="facts">{facts}</ul>' if facts else "",
        f'<div class="cards">{cards}</div>' if cards else "",
        *map(_table, report.tables),
        f'<div class="notes"><ul>{notes}</ul></div>' if notes else "",
        f'<details><summary>What these numbers mean</summary><dl class="glossary">{meanings}</dl></details>'
        if meanings
        else "",
    ]
    return "\n".join(part for part in parts if part)


def _card(headline: Headline) -> str:
    """A number in large type over its interval, as text and as a line with a point; the bar is a dashed stroke."""
    number, (low, high) = headline.number, headline.limits
    start, stop = (number.value if end is None else end for end in (number.low, number.high))
    share = headline.confidence
    interval = f"{100 * share:g} % interval {number.interval}" if share and number.interval else ""

    def x(value: float) -> str:
        return f"{4 + 192 * (value - low) / max(high - low, 1e-12):.1f}"

    bar = headline.bar
    limit = f'<line class="limit" x1="{x(bar)}" x2="{x(bar)}" y1="1" y2="19"/>' if bar is not None else ""
    return (
        f'<div class="card"><div class="name">{_text(headline.heading)}</div>'
        f'<div class="value">{_text(number.text)}</div>'
        f'<div class="interval">{_text(interval)}</div><div class="against">{_text(headline.against)}</div>'
        '<svg viewBox="0 0 200 20" preserveAspectRatio="none" aria-hidden="true">'
        '<line class="track" x1="4" x2="196" y1="10" y2="10"/>'
        f'<line class="range" x1="{x(start)}" x2="{x(stop)}" y1="10" y2="10"/>{limit}'
        f'<line class="point" x1="{x(number.value)}" x2="{x(number.value)}" y1="4" y2="16"/></svg></div>'
    )


def _table(table: Table) -> str:
    """A table of results; the interval of a number stands below it in small type."""
    head = "".join(f'<th scope="col">{_text(column)}</th>' for column in table.columns)
    lines = []
    for name, kind, cells in zip(table.names, table.kinds or [""] * len(table.names), table.rows, strict=True):
        shown = [(cell.text, cell.interval) if isinstance(cell, Number) else (cell, "") for cell in cells]
        values = "".join(
            f"<td>{_text(big)}{f'<small>{_text(small)}</small>' if small else ''}</td>" for big, small in shown
        )
        lines.append(f'<tr class="{_text(kind)}"><th scope="row">{_text(name)}</th>{values}</tr>')
    return (
        f'<div class="scroll results"><table><caption>{_text(table.title)}</caption>'
        f'<thead><tr><th scope="col"></th>{head}</tr></thead><tbody>{"".join(lines)}</tbody></table></div>'
    )


def _figure(figure: Figure, number: int, report: Report) -> str:
    data = (report.folder / figure.path).read_bytes()
    kind = Path(figure.path).suffix.lower()
    if kind not in MEDIA_TYPES:
        raise ValueError(f"{figure.path}: pictures of the kinds {', '.join(MEDIA_TYPES)} can be embedded")
    source = f"data:{MEDIA_TYPES[kind]};base64,{base64.b64encode(data).decode()}"
    return f"""<figure id="figure-{number}">
<h3>{_text(figure.title)} <span class="number">Figure {number}</span></h3>
<div class="frame"><button type="button" class="open" aria-label="Enlarge figure {number}">
<img src="{source}" alt="{_text(figure.title)}"{_size(data)}></button></div>
<figcaption>{_text(figure.caption)}{_player(figure, report.played)}</figcaption>
{_facts(figure.facts)}{_figure_text(figure.text)}
</figure>"""


def _player(figure: Figure, played: Mapping[str, str]) -> str:
    """The way to the page that plays what a figure of a single record shows."""
    address = played.get(figure.record_ids[0]) if len(figure.record_ids) == 1 else None
    return f' <a href="{_text(address)}">Play it step by step</a>' if address else ""


def _gallery(figures: str, order: str) -> str:
    """Figures that can be filtered and sorted by their facts; the script makes the controls of them."""
    return f"""<div class="gallery" data-order="{_text(order)}">
<div class="filters" data-search="Search id and text"><span class="count" aria-live="polite"></span></div>
<p class="none" hidden>No picture is like that.</p>
<div class="figures">
{figures}
</div>
</div>"""


def _facts(facts: Mapping[str, Fact]) -> str:
    """Facts as they are read, each with its value for the script. What is unknown or empty is not shown."""
    entries = []
    for name, value in facts.items():
        shown = ", ".join(value) if isinstance(value, tuple) else f"{value:.3g}" if isinstance(value, float) else value
        hidden = " hidden" if value is None or shown == "" else ""
        data = f'data-name="{_text(name)}" data-value="{_text(json.dumps(value, allow_nan=False))}"'
        entries.append(f"<li {data}{hidden}><b>{_text(name)}</b> {_text(shown)}</li>")
    return f'\n<ul class="facts">{"".join(entries)}</ul>' if entries else ""


def _figure_text(given: FigureText | None) -> str:
    """The text beside a figure, closed at first, with its marks."""
    if given is None:
        return ""
    left = len(given.text) - MAX_FIGURE_TEXT
    rest = f"\n<i>… and {left:,} more characters</i>" if left > 0 else ""
    heading = f"{_text(given.heading)} ({len(given.text):,} characters)"
    body = _marked(given.text[:MAX_FIGURE_TEXT], given.marks)
    # the first line feed of a <pre> is not shown, so that one of the text needs another before it
    return f'\n<details class="text"><summary>{heading}</summary><pre>\n{body}{rest}</pre></details>'


def _marked(text: str, marks: Sequence[TextMark]) -> str:
    """``text`` escaped, every part of it set off as the innermost mark that it lies in."""
    inside = [mark for mark in marks if 0 <= mark.start < min(mark.stop, len(text))]
    edges = sorted({0, len(text), *(end for mark in inside for end in (mark.start, min(mark.stop, len(text))))})
    waiting = sorted(inside, key=lambda mark: (-mark.start, mark.stop))
    open_marks: list[TextMark] = []
    parts = []
    for start, stop in pairwise(edges):
        while waiting and waiting[-1].start <= start:
            open_marks.append(waiting.pop())
        while open_marks and open_marks[-1].stop <= start:
            open_marks.pop()
        part = _text(text[start:stop])
        here = open_marks[-1] if open_marks else None
        parts.append(f'<mark class="{here.kind}" title="{_text(here.note)}">{part}</mark>' if here else part)
    return "".join(parts)


def _size(data: bytes) -> str:
    """Width and height of a picture as attributes, so that the page does not jump while it loads."""
    with Image.open(io.BytesIO(data)) as picture:
        return f' width="{picture.width}" height="{picture.height}"'


def _records(report: Report) -> str:
    """The table of records: the script fills it from the data beside it."""
    figures: dict[str, list[tuple[int, str]]] = {}
    for number, figure in enumerate(report.figures, start=1):
        for record in figure.record_ids if len(figure.record_ids) <= MAX_LINKED_RECORDS else ():
            figures.setdefault(record, []).append((number, figure.title))
    rows = [[_short(value) for value in row] for row in report.records.rows]
    columns = [column.replace("_", " ") for column in report.records.columns]
    data = json_for_script({"columns": columns, "rows": rows, "figures": figures})
    numeric = [_is_numeric(rows, k) for k in range(len(columns))]
    heads = "".join(
        f'<th scope="col"{"" if is_number else " class=left"}><button type="button">{_text(column)}</button></th>'
        for column, is_number in zip(columns, numeric, strict=True)
    )
    pictures = '<th scope="col" class="left">pictures</th>' if figures else ""
    return f"""<div class="records">
<div class="filters" data-search="Search all columns"><span class="count" aria-live="polite"></span></div>
<div class="scroll"><table><thead><tr>{heads}{pictures}</tr></thead><tbody></tbody></table></div>
<button type="button" class="more" hidden>Show more</button>
<noscript>The table of records needs JavaScript.</noscript>
</div>
<script type="application/json" id="records-data">{data}</script>"""


def _is_numeric(rows: Sequence[Sequence[Cell]], column: int) -> bool:
    return all(isinstance(row[column], int | float) and not isinstance(row[column], bool) for row in rows)


def _short(value: Cell) -> Cell:
    if isinstance(value, float):
        return float(f"{value:.5g}")
    return f"{value[: MAX_TEXT - 1]}…" if isinstance(value, str) and len(value) > MAX_TEXT else value


def json_for_script(data: Any) -> str:
    """JSON that can stand inside a script element: no character in it can end the element or start a comment."""
    text = json.dumps(data, ensure_ascii=True, allow_nan=False, separators=(",", ":"))
    return text.replace("<", "\\u003c").replace(">", "\\u003e").replace("&", "\\u0026")


def _missing(missing: Sequence[str]) -> str:
    entries = "".join(f"<p>{_text(note)}</p>" for note in missing)
    return f'<div class="missing">{entries}</div>'


def _text(value: object) -> str:
    return html.escape(str(value), quote=True)


def _asset(name: str) -> str:
    return resources.files("pipeline.look").joinpath(name).read_text(encoding="utf-8")


def _hash(text: str) -> str:
    return "sha256-" + base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()

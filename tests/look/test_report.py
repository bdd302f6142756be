"""The report as a browser sees it: one file, nothing loaded, no text that becomes markup."""

import base64
import hashlib
import io
import json
import re
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from pipeline.look.numbers import Number
from pipeline.look.report import MAX_TEXT, Headline, Records, Report, json_for_script, render
from pipeline.look.tables import Table
from schemas.rows import Figure

HOSTILE = "<script>alert(1)</script>\"' onload=x <!-- & </style>"
VOID = {"meta", "img", "br", "link", "input", "line"}


class Page(HTMLParser):
    """Every element with its attributes and text, and whether each one is closed in order."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.open: list[str] = []
        self.texts: dict[str, str] = {}
        self.feed(text)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        where = self.open[-1] if self.open else ""
        self.texts[where] = self.texts.get(where, "") + data

    def all(self, tag: str) -> list[dict[str, str | None]]:
        return [attributes for name, attributes in self.elements if name == tag]


def png(width: int = 3, height: int = 2) -> bytes:
    out = io.BytesIO()
    Image.new("RGB", (width, height)).save(out, "PNG")
    return out.getvalue()


def figure(number: int, **changes: object) -> Figure:
    fields = {
        "task": "toy",
        "id": f"f{number}",
        "path": "figures/one.png",
        "title": f"Picture {number}",
        "caption": "How to read it.",
        "section": "Pictures",
    }
    return Figure(**{**fields, **changes})  # type: ignore[arg-type]  # a test's literals


def records_of(report: Report) -> Any:
    """The data of the table of records, as the script reads it."""
    return json.loads(render(report).partition('id="records-data">')[2].partition("</script>")[0])


@pytest.fixture
def report(tmp_path: Path) -> Report:
    (tmp_path / "figures").mkdir()
    (tmp_path / "figures/one.png").write_bytes(png())
    return Report(
        title="toy: demo",
        subtitle="A demonstration.",
        folder=tmp_path,
        figures=[figure(1, record_ids=("r1",)), figure(2), figure(3, section="More", record_ids=("r1", "r2"))],
        facts={"records": "2"},
        headlines=[
            Headline(
                heading="wellbeing",
                number=Number(450, 447, 453),
                confidence=0.95,
                against="script: 472",
                bar=472,
                limits=(0, 500),
            )
        ],
        tables=[
            Table(
                title="All",
                heading="subject",
                names=["model"],
                columns={"wellbeing": [Number(450, 447, 453)]},
                kinds=["model"],
            )
        ],
        footnotes=["a note"],
        meanings={"wellbeing": "energy times health"},
        records=Records(["id", "num_steps", "cause"], [["r1", 500, None], ["r2", 123, "energy"]]),
        missing=["No training folder."],
    )


def hostile(report: Report) -> Report:
    """Every text replaced by one that would like to be markup."""
    figures = [
        figure(1, title=HOSTILE, caption=HOSTILE, section=HOSTILE, record_ids=(HOSTILE,)),
        figure(2, title=HOSTILE, section="Pictures"),
    ]
    headline = replace(
        report.headlines[0], heading=HOSTILE, number=Number(1.0, 0.0, 2.0, suffix=HOSTILE), against=HOSTILE
    )
    return replace(
        report,
        title=HOSTILE,
        subtitle=HOSTILE,
        figures=figures,
        facts={HOSTILE: HOSTILE},
        headlines=[headline],
        tables=[
            Table(
                title=HOSTILE,
                heading=HOSTILE,
                names=[HOSTILE],
                columns={HOSTILE: [Number(1.0, 0.0, 2.0, suffix=HOSTILE)], "text": [HOSTILE]},
                kinds=[HOSTILE],
            )
        ],
        footnotes=[HOSTILE],
        meanings={HOSTILE: HOSTILE},
        records=Records(["id", HOSTILE], [[HOSTILE, HOSTILE]]),
        missing=[HOSTILE],
    )


def test_it_is_whole_html_with_ids_that_are_unique_and_links_that_lead_somewhere(report: Report) -> None:
    page = Page(render(report))
    ids = [attributes["id"] for _, attributes in page.elements if "id" in attributes]
    assert len(set(ids)) == len(ids)
    targets = [(attributes["href"] or "") for attributes in page.all("a")]
    assert len(targets) == 5  # summary, two sections, records, what is missing
    assert {target.removeprefix("#") for target in targets} <= set(ids)


def test_nothing_is_loaded_from_anywhere(report: Report) -> None:
    text = render(report)
    without_pictures = re.sub(r"data:image/png;base64,[\w+/=]+", "", text)
    assert not re.search(r"\w://|[\"'(]//|url\(|@import|<link|<iframe|<object|fetch\(|import\(", without_pictures)
    page = Page(text)
    assert all("src" not in attributes for attributes in page.all("script"))
    sources = [attributes["src"] or "" for attributes in page.all("img") if "src" in attributes]
    assert len(sources) == 3
    assert all(source.startswith("data:image/png;base64,") for source in sources)


def test_the_security_policy_allows_this_pages_own_script_and_style_alone(report: Report) -> None:
    page = Page(render(report))
    policy = next(m["content"] or "" for m in page.all("meta") if m.get("http-equiv") == "Content-Security-Policy")
    assert policy.startswith("default-src 'none'; img-src data:;")
    assert "unsafe" not in policy
    text = render(report)
    for tag in ("style", "script"):
        content = text.partition(f"<{tag}>")[2].partition(f"</{tag}>")[0]
        digest = base64.b64encode(hashlib.sha256(content.encode()).digest()).decode()
        assert f"{tag}-src 'sha256-{digest}'" in policy


def test_hostile_texts_stay_texts(report: Report) -> None:
    plain, text = render(report), render(hostile(report))
    page = Page(text)
    assert len(page.all("script")) == len(Page(plain).all("script"))
    assert not any("onload" in attributes for _, attributes in page.elements)
    assert text.count("<!--") == 0
    assert HOSTILE in page.texts["h1"]
    assert HOSTILE in page.texts["figcaption"]


def test_hostile_ids_come_whole_out_of_the_data_of_the_table(report: Report) -> None:
    data = records_of(hostile(report))
    assert data["rows"] == [[HOSTILE, HOSTILE]]
    assert data["figures"] == {HOSTILE: [[1, HOSTILE]]}


def test_json_in_a_script_cannot_end_it() -> None:
    text = json_for_script(["</script>", "<!--", "\u2028", "&"])
    assert not set(text) & set("<>&\u2028")
    assert json.loads(text) == ["</script>", "<!--", "\u2028", "&"]


def test_records_point_to_their_pictures(report: Report) -> None:
    data = records_of(report)
    assert data["figures"] == {"r1": [[1, "Picture 1"], [3, "Picture 3"]], "r2": [[3, "Picture 3"]]}
    assert data["columns"] == ["id", "num steps", "cause"]


def test_a_picture_of_many_records_is_no_picture_of_one(report: Report) -> None:
    many = figure(1, record_ids=tuple(f"r{k}" for k in range(20)))
    assert records_of(replace(report, figures=[many]))["figures"] == {}


def test_numbers_have_their_intervals_and_the_bar(report: Report) -> None:
    text = render(report)
    for shown in ("450", "95 % interval [447, 453]", "script: 472", "a note", "energy times health"):
        assert shown in text
    (limit,) = re.findall(r'class="limit" x1="([\d.]+)"', text)
    (point,) = re.findall(r'class="point" x1="([\d.]+)"', text)
    assert float(point) == pytest.approx(4 + 192 * 450 / 500, abs=0.1)
    assert float(limit) == pytest.approx(4 + 192 * 472 / 500, abs=0.1)


def test_what_is_not_there_leaves_no_empty_section(report: Report) -> None:
    bare = Report(title="toy", subtitle="", folder=report.folder, figures=[])
    page = Page(render(bare))
    assert len(page.all("section")) == 1
    assert not page.all("table")
    assert not page.all("figure")


def test_pictures_say_their_size_and_what_they_show(report: Report) -> None:
    images = [attributes for attributes in Page(render(report)).all("img") if attributes["alt"]]
    assert next((image["width"], image["height"], image["alt"]) for image in images) == ("3", "2", "Picture 1")


def test_a_picture_of_another_kind_is_refused(report: Report) -> None:
    (report.folder / "one.pdf").write_bytes(b"%PDF")
    with pytest.raises(ValueError, match=r"one\.pdf"):
        render(replace(report, figures=[figure(1, path="one.pdf")]))


def test_long_texts_of_records_are_cut_and_numbers_are_short(report: Report) -> None:
    records = Records(["id", "text", "value"], [["r1", "x" * 1000, 0.123456789]])
    ((_, text, value),) = records_of(replace(report, records=records))["rows"]
    assert len(text) == MAX_TEXT
    assert text.endswith("…")
    assert value == 0.12346

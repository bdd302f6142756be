"""Figures that the page filters and sorts by their facts, and the texts beside them."""

import json
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from pipeline.look.report import MAX_FIGURE_TEXT, Records, Report, render
from schemas.rows import Fact, FigureText, MarkKind, TextMark
from tests.look.report_views import VIEWS, open_report
from tests.look.test_report import HOSTILE, Page, figure, png
from tests.support.browser import Page as BrowserPage
from tests.support.script_engine import Choice, Gallery

FACTS: list[dict[str, Fact]] = [
    {"status": "ok", "class": ("cat", "dog"), "F1": 0.9, "num": 2},
    {"status": "cut", "class": ("cat",), "F1": 0.0, "num": 2},
    {"status": "ok", "class": (), "F1": None, "num": 2},
    {"status": "ok", "class": ("dog",), "F1": 0.5, "num": 2},
]


def report_of(folder: Path, facts: Sequence[dict[str, Fact]], **changes: Any) -> Report:
    (folder / "figures").mkdir(exist_ok=True)
    (folder / "figures/one.png").write_bytes(png())
    figures = [figure(k + 1, title=f"record {k}", facts=found, **changes) for k, found in enumerate(facts)]
    return Report(title="toy", subtitle="", folder=folder, figures=figures, orders={"Pictures": "worst first"})


def text_beside(folder: Path, text: str, *marks: tuple[int, int, MarkKind, str]) -> str:
    """The page's HTML of a text with its marks."""
    found = [TextMark(start=start, stop=stop, kind=kind, note=note) for start, stop, kind, note in marks]
    given = FigureText(heading="Text", text=text, marks=tuple(found))
    page = render(report_of(folder, [{}], text=given))
    return page.partition("<pre>\n")[2].partition("</pre>")[0]


# What the script chooses, in an engine without a page


FIGURES = [{"facts": facts, "text": f"record {k}"} for k, facts in enumerate(FACTS)]


def test_there_is_a_control_for_each_fact_that_differs() -> None:
    controls = {control["name"]: control["values"] for control in Choice().controls(FIGURES)}
    assert controls == {
        "status": [{"word": "cut", "count": 1}, {"word": "ok", "count": 3}],
        "class": [{"word": "cat", "count": 2}, {"word": "dog", "count": 2}, {"word": None, "count": 1}],
        "F1": None,  # numbers order; "num" is the same everywhere
    }


@pytest.mark.parametrize(
    ("words", "text", "expected"),
    [
        ({}, "", [0, 1, 2, 3]),
        ({"class": "dog"}, "", [0, 3]),
        ({"class": "dog", "status": "ok"}, " RECORD 3 ", [3]),
        ({"class": None}, "", [2]),
        ({"class": "do"}, "", []),
        ({"no such fact": None}, "", [0, 1, 2, 3]),
    ],
)
def test_figures_are_chosen_by_words_and_text(words: dict[str, str | None], text: str, expected: list[int]) -> None:
    assert Choice().matching(FIGURES, words, text) == expected


def test_figures_are_ordered_by_a_number_with_the_unknown_last() -> None:
    choice = Choice()
    assert choice.ordered(FIGURES, [3, 2, 1, 0], "F1", True) == [1, 3, 0, 2]
    assert choice.ordered(FIGURES, [0, 1, 2, 3], "F1", False) == [0, 3, 1, 2]
    assert choice.ordered(FIGURES, [3, 1], None, True) == [1, 3]
    assert choice.ordered(FIGURES, [3, 2, 0], "num", True) == [0, 2, 3]
    assert choice.ordered(FIGURES, [0, 1, 2, 3], "status", True) == [1, 0, 2, 3]


# The page


def test_the_page_hands_facts_to_the_script_as_they_are(tmp_path: Path) -> None:
    gallery = Gallery(render(report_of(tmp_path, FACTS)))
    expected = [json.loads(json.dumps(facts)) for facts in FACTS]
    assert [one["facts"] for one in gallery.figures] == expected
    assert all("How to read it." in one["text"] for one in gallery.figures)


def test_figures_without_facts_are_no_gallery(tmp_path: Path) -> None:
    assert "gallery" not in render(report_of(tmp_path, [{}, {}])).partition("<body>")[2].partition("<script>")[0]


def test_the_page_says_how_figures_are_ordered(tmp_path: Path) -> None:
    assert 'class="gallery" data-order="worst first"' in render(report_of(tmp_path, FACTS))


def test_facts_without_a_value_are_not_shown(tmp_path: Path) -> None:
    shown = Page(render(report_of(tmp_path, [FACTS[2]]))).all("li")
    hidden = {one["data-name"]: "hidden" in one for one in shown if "data-name" in one}
    assert hidden == {"status": False, "class": True, "F1": True, "num": False}


def test_hostile_facts_and_texts_stay_texts(tmp_path: Path) -> None:
    facts: dict[str, Fact] = {HOSTILE: HOSTILE, "class": (HOSTILE,)}
    mark = TextMark(start=2, stop=30, kind="bad", note=HOSTILE)
    text = FigureText(heading=HOSTILE, text=HOSTILE, marks=(mark,))
    given = report_of(tmp_path, [facts], text=text)
    page = render(replace(given, orders={"Pictures": HOSTILE}))
    parsed, harmless = Page(page), Page(render(report_of(tmp_path, FACTS)))
    assert len(parsed.all("script")) == len(harmless.all("script"))
    assert not any("onload" in attributes for _, attributes in parsed.elements)
    (read,) = Gallery(page).figures
    assert read["facts"] == {HOSTILE: HOSTILE, "class": [HOSTILE]}
    assert HOSTILE in read["text"]


def test_parts_of_a_text_are_marked(tmp_path: Path) -> None:
    assert text_beside(tmp_path, "a <b> c", (2, 5, "good", "it's")) == (
        'a <mark class="good" title="it&#x27;s">&lt;b&gt;</mark> c'
    )


def test_a_mark_in_a_mark_is_its_own(tmp_path: Path) -> None:
    found = text_beside(tmp_path, "0123456789", (1, 9, "good", "out"), (3, 5, "bad", "in"))
    assert found == (
        '0<mark class="good" title="out">12</mark><mark class="bad" title="in">34</mark>'
        '<mark class="good" title="out">5678</mark>9'
    )


@pytest.mark.parametrize("marks", [[(5, 5)], [(7, 3)], [(-2, 3)], [(90, 99)], []])
def test_marks_of_nothing_are_left_out(marks: list[tuple[int, int]], tmp_path: Path) -> None:
    assert text_beside(tmp_path, "0123456789", *((*mark, "good", "") for mark in marks)) == "0123456789"


def test_marks_that_cross_or_leave_the_text_lose_no_letter(tmp_path: Path) -> None:
    found = text_beside(tmp_path, "0123456789", (1, 5, "good", ""), (3, 8, "bad", ""), (6, 99, "doubtful", ""))
    assert "".join(part.rpartition(">")[2] for part in found.split("<")) == "0123456789"


def test_a_very_long_text_is_cut_and_says_so(tmp_path: Path) -> None:
    found = text_beside(tmp_path, "x" * (MAX_FIGURE_TEXT + 1234))
    assert found.count("x") == MAX_FIGURE_TEXT
    assert "… and 1,234 more characters" in found


def test_a_text_that_begins_with_an_empty_line_keeps_it(tmp_path: Path) -> None:
    assert text_beside(tmp_path, "\n\nx") == "\n\nx"  # behind the line feed that a browser leaves out


# As a reader uses it: the script alone, and in a real browser, where there is one


@pytest.mark.parametrize("kind", VIEWS)
def test_a_reader_filters_and_sorts(kind: str, tmp_path: Path) -> None:
    (tmp_path / "report.html").write_text(render(report_of(tmp_path, FACTS)))
    with open_report(kind, tmp_path / "report.html") as view:

        def shown() -> list[str]:
            return [title.partition(" Figure")[0] for title in view.shown()]

        assert shown() == ["record 0", "record 1", "record 2", "record 3"]
        view.order("F1")
        assert shown() == ["record 1", "record 3", "record 0", "record 2"]
        view.choose("class", "dog")
        assert shown() == ["record 3", "record 0"]
        if view.page:
            _enlarge(view.page)
        view.search("Record 3")
        assert shown() == ["record 3"]
        if view.page:  # a link to a picture that is not shown brings all back
            view.page.run("location.hash = '#figure-2'")
            view.page.wait("document.querySelector('.gallery .count').textContent === '4 of 4'")


def _enlarge(page: BrowserPage) -> None:
    """The large view goes on to the next picture of those that are shown."""
    page.click("#figure-4 .open")
    page.click("dialog [data-go='1']")
    assert page.run("document.querySelector('dialog h3').textContent").startswith("record 0")
    page.click("dialog [data-go='1']")
    assert page.run("document.querySelector('dialog h3').textContent").startswith("record 3")
    page.click("dialog [data-go='0']")


@pytest.mark.skipif("browser" not in VIEWS, reason="no browser: apt-get install chromium")
def test_a_reader_filters_and_sorts_the_table_of_records(tmp_path: Path) -> None:
    rows: list[list[Any]] = [["a", "ok", 2.5, True], ["b", None, None, False], ["c", "cut", 10.0, True]]
    given = replace(
        report_of(tmp_path, [FACTS[0]], record_ids=("c",)), records=Records(["id", "status", "num", "died"], rows)
    )
    (tmp_path / "report.html").write_text(render(given))
    with open_report("browser", tmp_path / "report.html") as view:
        page = view.page
        assert page is not None

        def shown() -> str:
            cells = "[...document.querySelectorAll('.records tbody td:first-child')].map((one) => one.textContent)"
            return "".join(page.run(cells))

        assert shown() == "abc"
        page.click(".records th:nth-child(3) button")
        assert shown() == "acb"  # as numbers, what is unknown last
        page.click(".records th:nth-child(3) button")
        assert shown() == "cab"
        page.click(".records th:nth-child(2) button")
        assert shown() == "cab"  # by the words of the status
        page.choose(".records label:nth-of-type(4) select", "yes (2)")
        assert shown() == "ca"
        page.type(".records input[type=search]", "10")
        assert shown() == "c"
        assert page.run("document.querySelector('.records .count').textContent") == "1 of 3"
        page.click(".records input[type=checkbox]")
        assert shown() == "c"
        assert page.run("document.querySelector('.records tbody a').getAttribute('href')") == "#figure-1"

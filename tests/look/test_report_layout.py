"""The report on a desk and on a phone, as a browser lays it out. Without one these tests are left out."""

from collections.abc import Iterator

import pytest

from pipeline.look.numbers import Number
from pipeline.look.report import Report, render
from pipeline.look.tables import Table
from tests.look.test_report import figure, png
from tests.support.browser import Page, find_browser, needs_browser, open_browser

pytestmark = needs_browser

SHARES = ("AP %", "AP50 %", "AP75 %", "precision %", "recall %", "F1 %", "duplicates %", "unparsed %")
LIVES = ("survived steps", "survival %", "wellbeing", "% of script", "lowest meter", "kinds of places")
SHARE, LIFE = Number(99.71, 99.33, 100.0, decimals=2), Number(1991.25, 1982.5, 1998.25, decimals=4)
TABLES = {
    "boxes": (SHARES, SHARE),
    "boxes and masks": (("mask AP %", "agnostic F1 %", *SHARES), SHARE),
    "long lives": (LIVES, LIFE),
}


@pytest.fixture(scope="module")
def page(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Page]:
    """A report with a table of each kind, and pictures as wide as they are drawn, one of them in a gallery."""
    folder = tmp_path_factory.mktemp("report")
    (folder / "figures").mkdir()
    (folder / "figures/one.png").write_bytes(png(1500, 800))
    figures = [figure(1), figure(2, section="One by one", facts={"class": "cat"})]
    tables = [
        Table(title=title, heading="", names=["tuned script (bar)"], columns={name: [cell] for name in names})
        for title, (names, cell) in TABLES.items()
    ]
    path = folder / "report.html"
    path.write_text(render(Report(title="toy", subtitle="", folder=folder, figures=figures, tables=tables)))
    with open_browser(find_browser() or "") as page:
        page.size(1280, 900)
        page.open(path)
        yield page


def widths(page: Page, selector: str) -> list[tuple[int, int]]:
    """(content, frame) of each element, in pixels."""
    found = page.run(f"[...document.querySelectorAll('{selector}')].map((one) => [one.scrollWidth, one.clientWidth])")
    return [(content, frame) for content, frame in found]


def test_at_1280_pixels_no_table_of_results_scrolls(page: Page) -> None:
    page.size(1280, 900)
    found = widths(page, ".results")
    assert len(found) == len(TABLES)
    assert all(content <= frame for content, frame in found), found
    assert widths(page, "html") == [(1280, 1280)]


@pytest.mark.parametrize("width", [390, 360, 768])
def test_on_a_phone_wide_tables_and_figures_scroll_and_the_page_does_not(width: int, page: Page) -> None:
    page.size(width, 844)
    assert widths(page, "html") == [(width, width)]
    assert all(content > frame for content, frame in widths(page, ".results")[:2] if width < 500)
    for content, frame in widths(page, ".frame"):
        assert frame < width
        assert content >= 768  # as wide as its letters need: 9 points of 10 inches are 9.6 pixels then


def test_the_name_of_a_row_stays_while_its_numbers_scroll(page: Page) -> None:
    page.size(390, 844)
    page.run("document.querySelector('.results').scrollLeft = 200")
    places = page.run(
        "['.results', '.results tbody th'].map((one) => document.querySelector(one).getBoundingClientRect().left)"
    )
    assert places[1] == pytest.approx(places[0], abs=2)


def test_small_pictures_fit_the_phone(page: Page) -> None:
    page.size(390, 844)
    page.click(".gallery input[type=checkbox]")
    assert [content <= frame for content, frame in widths(page, ".gallery .frame")] == [True]
    page.click(".gallery input[type=checkbox]")

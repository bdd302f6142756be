"""The page of the live view, saved and opened from disk in a real browser. Without one these tests are left out."""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.follow.walks import saved, walk
from tests.support.browser import Page, find_browser, needs_browser, open_browser

pytestmark = needs_browser

CURVES = {"progress": {"loss": [[k, 1 / (k + 1)] for k in range(900)]}, "monitor": {"loss": [[450, 0.5]]}}


@pytest.fixture(scope="module")
def browser() -> Iterator[Page]:
    with open_browser(find_browser() or "") as page:
        yield page


@pytest.fixture(scope="module")
def file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Three episodes."""
    path = tmp_path_factory.mktemp("saved") / "episode.html"
    return saved(path, walk(1), walk(2, [2, 4, 6, 8]), walk(3), task="toy", run="demo", **CURVES)


@pytest.fixture
def page(browser: Page, file: Path) -> Page:
    """The first frame of the first episode, paused."""
    browser.size(1280, 900)
    browser.go(f"{file.as_uri()}#walk-1/0")
    browser.wait("at.id === 'walk-1' && !at.playing")
    return browser


def place(page: Page) -> tuple[str, int]:
    """Episode and step, as they are to be read."""
    id = page.run("document.getElementById('headline').textContent").split(" ")[0]
    return id, int(page.run("document.getElementById('step').textContent").split(" ")[0])


def reading(page: Page) -> list[str]:
    cells = "#sections .readings tr[data-name=now] > :not(.wide)"
    found: list[str] = page.run(f"[...document.querySelectorAll('{cells}')].map((one) => one.textContent)")
    return found


def text(page: Page, id: str) -> Any:
    return page.run(f"document.getElementById('{id}').textContent")


def test_the_numbers_on_the_page_are_those_of_the_row(page: Page) -> None:
    told = []
    for _ in range(4):
        told.append((*place(page), *reading(page), page.run("document.querySelector('.choices .value').textContent")))
        page.press("ArrowRight")
    assert told == [
        ("walk-1", 0, "now", "0.12", "-.012", "0.062"),  # 1/8 and 1/16, rounded as Python does: ties to even
        ("walk-1", 1, "now", "0.62", "-.012", "0.312"),
        ("walk-1", 2, "!now", "0.88", "-.012", "0.438"),
        ("walk-1", 3, "now", "0.38", "-.012", "0.188"),
    ]
    assert page.errors == []


def test_it_plays_by_itself_to_the_end_of_the_last_episode(browser: Page, tmp_path: Path) -> None:
    browser.open(saved(tmp_path / "one.html", walk(1)))
    browser.wait("at.id !== null")  # its data are unpacked when it is loaded
    assert text(browser, "badge") == "▶ replay"
    browser.wait("at.frame === 3 && !at.playing")
    browser.press(" ")
    browser.wait("at.playing && at.frame < 3")


@pytest.mark.parametrize(
    ("keys", "where"),
    [
        (".", ("walk-1", 1)),
        (".,", ("walk-1", 0)),
        (">", ("walk-1", 3)),
        (">.", ("walk-1", 3)),
        ("G<", ("walk-1", 0)),
        ("G", ("walk-1", 3)),
        ("Gg", ("walk-1", 0)),
        ("n", ("walk-2", 0)),
        ("nn", ("walk-3", 0)),
        ("nnp", ("walk-2", 0)),
        ("p", ("walk-1", 0)),
        ("N ", ("walk-3", 0)),
    ],
)
def test_keys_go_to_a_step_or_an_episode(keys: str, where: tuple[str, int], page: Page) -> None:
    for key in keys:
        page.press(key)
    assert place(page) == where


def test_speed_goes_up_and_down(page: Page) -> None:
    speeds = []
    for key in "++-":
        page.press(key)
        speeds.append(text(page, "speed"))
    assert speeds == ["20/s", "50/s", "20/s"]


def test_panels_open_and_close_by_number_and_the_last_one_by_itself(page: Page) -> None:
    panels = "[...document.querySelectorAll('.panel.open')].map((one) => one.innerText.split('\\n').filter(Boolean))"
    page.press("2")
    assert page.run(panels) == [["2 notes", "all: [1, 5, 7, 3]"]]
    page.press("2")
    assert page.run(panels) == []
    page.press("G")
    assert page.run(panels) == [["3 end", "it is over"]]
    page.press("0")
    assert page.run(panels) == []
    page.press("1")
    assert page.run("[...document.querySelectorAll('.log li')].map((one) => one.innerText.split('\\n').at(-1))") == [
        "came to 3",
        "came to 7",
        "came to 5",
    ]
    page.click(".log li:last-child button")
    assert place(page) == ("walk-1", 1)


def test_help_names_every_key_and_the_signs(page: Page) -> None:
    page.press("?")
    shown = page.run("document.getElementById('help').innerText")
    assert all(words in shown for words in ("one step on", "only high, and all", "@ who walks"))
    page.press("?")
    assert page.run("document.getElementById('help').open") is False


def test_a_filter_keeps_next_and_previous_to_the_lines_with_its_words(page: Page) -> None:
    page.type("#filter", "STEP 300")
    assert text(page, "found") == "1 of 3 episodes"
    page.run("document.activeElement.blur()")
    page.press("n")
    assert place(page) == ("walk-3", 0)
    page.press("p")
    assert text(page, "notice") == "the filter keeps no other episode"


def test_a_filter_of_the_task_is_chosen_by_its_key_and_by_its_button(page: Page) -> None:
    page.press("d")
    assert (place(page), text(page, "found")) == (("walk-2", 0), "1 of 3 episodes")
    assert page.run("document.querySelector('#filters button').ariaPressed") == "true"
    page.press("n")
    assert text(page, "notice") == "the filter keeps no other episode"
    page.click("#filters button")
    assert (place(page), text(page, "found")) == (("walk-2", 0), "3 episodes")


def test_by_touch_it_pauses_and_goes_to_other_episodes(page: Page) -> None:
    page.size(390, 844)
    page.swipe("[data-act=stepOn]", 0)
    page.wait("document.getElementById('step').textContent === '1 / 3'")
    page.swipe("#picture", 0)
    page.wait("at.playing")
    page.swipe("#picture", 0)
    page.wait("!at.playing")
    page.swipe("#picture", -150)
    page.wait("at.id === 'walk-2'")
    page.swipe("#picture", 150)
    page.wait("at.id === 'walk-1'")


def test_the_slider_goes_to_a_step(page: Page) -> None:
    page.run(
        "document.getElementById('seek').value = 2; document.getElementById('seek').dispatchEvent(new Event('input'))"
    )
    assert (place(page), reading(page)[1]) == (("walk-1", 2), "0.88")


def test_the_address_holds_episode_and_step_and_a_reload_keeps_them(page: Page, file: Path) -> None:
    page.press("n")
    page.press(".")
    page.press(".")
    page.wait("location.hash === '#walk-2/2'")
    page.run("window.isOld = true; location.reload()")
    page.wait("window.isOld === undefined && document.readyState === 'complete' && at.id !== null")
    assert (place(page), reading(page)[1]) == (("walk-2", 2), "0.75")
    page.run("location.hash = '#walk-3/1'")
    page.wait("at.id === 'walk-3'")
    assert place(page) == ("walk-3", 1)


def test_an_address_of_an_unknown_episode_is_told(browser: Page, file: Path) -> None:
    browser.go(f"{file.as_uri()}#walk-9/1")
    browser.wait("at.id !== null")
    assert text(browser, "notice") == "there is no episode walk-9 here: this is the newest"
    assert place(browser)[0] == "walk-3"


def test_it_is_told_in_words_and_every_button_has_a_name(page: Page) -> None:
    page.press(".")
    page.press(".")
    assert text(page, "words") == "step 2 of 3; came to 7, now; now 0.88, a warning; chosen: on 0.438."
    assert page.run("document.querySelector('#picture canvas').ariaLabel") == (
        "noon, a grid of 4 by 1, @ in column 3, row 1"
    )
    names = page.run("[...document.querySelectorAll('button')].map((one) => one.ariaLabel || one.textContent.trim())")
    assert all(names)


def test_curves_of_the_training_stand_beside_it(page: Page) -> None:
    page.wait("!isBesideDue")
    assert page.run("[...document.querySelectorAll('#curves canvas')].map((one) => one.ariaLabel)") == [
        "loss: now 0.5, from 0.001114 to 0.5, up to step 450"
    ]


@pytest.mark.parametrize("width", [1280, 390, 360])
@pytest.mark.parametrize("scheme", ["dark", "light"])
def test_it_fits_the_window_in_both_schemes(width: int, scheme: str, page: Page) -> None:
    page.size(width, 844)
    page.scheme(scheme)
    page.wait(f"innerWidth === {width}")
    page.press("1")
    page.press("2")
    page.wait(f"document.documentElement.scrollWidth === {width}")
    grounds = page.run("[getComputedStyle(document.body).backgroundColor, getComputedStyle(document.body).color]")
    assert len(set(grounds)) == 2
    bottom = page.run("document.getElementById('transport').getBoundingClientRect().bottom")
    assert bottom == pytest.approx(844, abs=1)  # play and step are always at hand


HOSTILE = "</script><script>window.harmed = 1</script><img src=x onerror='window.harmed = 1'>\x1b[2J\u202e&lt;b&gt;"


def test_hostile_text_in_a_row_is_text_on_the_page(browser: Page, tmp_path: Path) -> None:
    file = saved(tmp_path / "hostile.html", walk(1, id=HOSTILE), walk(2, id="x" * 1_000_000), task=HOSTILE)
    browser.errors.clear()
    browser.requests.clear()
    browser.open(file)
    browser.wait("at.id !== null")
    assert text(browser, "headline").startswith(HOSTILE)
    assert browser.run("window.harmed") is None
    assert browser.run("document.querySelectorAll('img').length") == 0
    browser.press("n")
    browser.press("1")
    browser.press("1")
    assert len(text(browser, "headline")) < 1000
    browser.size(390, 844)
    browser.wait("document.documentElement.scrollWidth === 390")
    assert browser.errors == []


def test_nothing_is_loaded_from_anywhere(browser: Page, file: Path) -> None:
    browser.requests.clear()
    browser.open(file)
    browser.wait("at.id !== null")
    asked = [url for url in browser.requests if not url.startswith(("data:", "about:"))]
    assert asked == [file.as_uri()]
    assert "//" not in re.sub(r"^//.*|  // .*", "", file.read_text().replace("://${location.host}", ""), flags=re.M)
    refused = "fetch('https://example.org/').then(() => 'loaded', () => 'refused')"
    assert browser.run(refused) == "refused"

"""The page of the live view while episodes come, in a real browser, with a small server of the same protocol."""

from collections.abc import Iterator
from typing import Any

import pytest

pytest.importorskip("websockets")

from tests.follow.browser.fake_server import FakeServer
from tests.follow.walks import plays, walk
from tests.support.browser import Page, find_browser, needs_browser, open_browser

pytestmark = needs_browser


@pytest.fixture(scope="module")
def browser() -> Iterator[Page]:
    with open_browser(find_browser() or "") as page:
        page.size(1280, 900)
        yield page
        assert page.errors == []


@pytest.fixture
def server(browser: Page) -> Iterator[FakeServer]:
    """One that has five episodes, of which it tells the last two to a new page."""
    server = FakeServer(plays(*map(walk, range(1, 6))))
    yield server
    browser.go("data:text/html,gone")
    server.close()


def text(page: Page, id: str) -> Any:
    return page.run(f"document.getElementById('{id}').textContent")


def listed(page: Page) -> Any:
    """The episodes of the list, as soon as it has been drawn."""
    page.wait("!isBesideDue")
    return page.run("[...document.querySelectorAll('#list button')].map((one) => one.dataset.id)")


def reading(page: Page) -> Any:
    return page.run("document.querySelector('tr[data-name=now] .value').textContent")


def watch(page: Page, server: FakeServer, place: str = "") -> None:
    page.go(server.address + place)
    page.wait("at.id !== null && index.length === 5 && !isBesideDue")


def test_an_episode_that_ends_is_drawn_and_its_numbers_are_those_of_the_row(browser: Page) -> None:
    server = FakeServer([])
    browser.go(server.address)
    browser.wait("link.isOpen")
    assert text(browser, "waiting") == "waiting for the first episode"
    server.add(plays(walk(1))[0])
    browser.wait("at.id === 'walk-1'")
    assert text(browser, "headline") == "walk-1 · step 100"
    browser.press("G")
    browser.wait("document.getElementById('step').textContent === '3 / 3'")
    assert reading(browser) == "0.38"
    browser.go("data:text/html,gone")
    server.close()


def test_live_it_goes_on_to_the_newest_when_the_episode_has_been_seen(browser: Page, server: FakeServer) -> None:
    watch(browser, server)
    assert text(browser, "badge") == "● live"
    server.add(plays(walk(6))[0])
    browser.wait("at.id === 'walk-6'")
    assert text(browser, "badge") == "● live"


def test_new_episodes_do_not_move_what_is_looked_at(browser: Page, server: FakeServer) -> None:
    watch(browser, server)
    browser.wait("at.id === 'walk-5'")
    browser.press("p")
    browser.press(" ")
    browser.press(".")
    browser.wait("document.getElementById('step').textContent === '1 / 3'")
    place = (text(browser, "headline"), text(browser, "step"), browser.run("scrollY"))
    for number in (6, 7):
        server.add(plays(walk(number))[0])
    browser.wait("index.length === 7")
    assert (text(browser, "headline"), text(browser, "step"), browser.run("scrollY")) == place
    assert text(browser, "newest") == "3 newer"
    browser.click("#newest")
    assert text(browser, "headline") == "walk-7 · step 700"
    assert text(browser, "badge") == "● live"


def test_an_older_episode_is_fetched_when_it_is_wanted(browser: Page, server: FakeServer) -> None:
    watch(browser, server)
    browser.run("document.querySelector('#list button[data-id=walk-1]').click()")
    browser.wait("at.id === 'walk-1'")
    assert {"type": "get", "id": "walk-1"} in server.said
    assert text(browser, "place") == "episode 1 of 5"


def test_frames_are_asked_for_of_what_is_shown_and_all_is_acknowledged(browser: Page, server: FakeServer) -> None:
    watch(browser, server)
    browser.wait("at.id === 'walk-5' && isWhole(plays.get('walk-5'))")
    browser.press("p")
    browser.press("p")
    browser.wait("at.id === 'walk-3' && isWhole(plays.get('walk-3'))")
    browser.press("n")
    browser.press("n")
    browser.press("p")
    browser.wait("at.id === 'walk-4' && isWhole(plays.get('walk-4'))")
    said = [(one["type"], one["id"]) for one in server.said if one["type"] != "start"]
    assert [id for kind, id in said if kind == "get"] == ["walk-5", "walk-3", "walk-4"]
    assert {id for kind, id in said if kind == "ack"} == {"walk-3", "walk-4", "walk-5"}


def test_frames_of_a_few_episodes_are_kept_and_others_come_again(browser: Page, server: FakeServer) -> None:
    for number in range(6, 9):
        server.add(plays(walk(number))[0])
    browser.go(server.address)
    browser.wait("at.id !== null && index.length === 8")
    for number in range(1, 9):
        browser.run(f"show('walk-{number}', 1)")
        browser.wait(f"at.id === 'walk-{number}' && isWhole(plays.get(at.id))")
    kept = "[...plays.values()].filter((play) => play.changes.length).map((play) => play.id)"
    assert sorted(browser.run(kept)) == [f"walk-{number}" for number in range(4, 9)]
    browser.run("show('walk-1', 2)")
    browser.wait("document.getElementById('step').textContent === '2 / 3' && !isBesideDue")
    assert reading(browser) == "0.88"


def test_after_a_restart_of_the_server_nothing_is_missing_and_nothing_twice(browser: Page, server: FakeServer) -> None:
    watch(browser, server)
    browser.press("G")
    browser.wait("document.getElementById('step').textContent === '3 / 3'")
    place = (text(browser, "headline"), text(browser, "step"))
    server.close()
    browser.wait("!link.isOpen")
    assert text(browser, "state") == "the connection is lost: trying again"
    again = FakeServer([*server.plays, *plays(walk(6), walk(7))], server.port)
    browser.wait("index.length === 7 && plays.has('walk-7')")
    assert again.said[0] == {"type": "start", "after": "file:4:walk-5"}
    assert browser.run("[...plays.keys()]") == ["walk-4", "walk-5", "walk-6", "walk-7"]
    assert listed(browser) == [f"walk-{number}" for number in (7, 6, 5, 4, 3, 2, 1)]
    assert (text(browser, "headline"), text(browser, "step")) == place
    browser.go("data:text/html,gone")
    again.close()


def test_a_reload_keeps_the_place_even_of_an_older_episode(browser: Page, server: FakeServer) -> None:
    watch(browser, server, "#walk-2/2")
    browser.wait("at.id === 'walk-2'")
    browser.run("window.isOld = true; location.reload()")
    browser.wait("window.isOld === undefined && document.readyState === 'complete' && at.id === 'walk-2'")
    browser.wait("document.getElementById('step').textContent === '2 / 3' && !isBesideDue")
    assert reading(browser) == "0.88"
    starts = [said["after"] for said in server.said if said["type"] == "start"]
    assert starts == [None, None]  # a cursor is of the page that has seen what it names


def test_it_says_what_is_lost_and_that_the_training_has_ended(browser: Page, server: FakeServer) -> None:
    watch(browser, server)
    server.tell({"type": "state", "ended": "finished", "recorded": 5, "played": 90})
    browser.wait("link.ended === 'finished'")
    assert text(browser, "state") == "the training has ended · recorded 5 of 90 played"
    server.dropped = 12
    server.add(plays(walk(6))[0])
    browser.wait("link.dropped === 12")
    assert "12 dropped on the way to this page" in text(browser, "state")


def test_when_the_file_starts_over_so_does_the_page(browser: Page, server: FakeServer) -> None:
    watch(browser, server)
    server.tell({"type": "restart", "what": "the file was replaced"})
    browser.wait("at.id === null")
    assert text(browser, "notice") == "the file was replaced: starting over"
    server.plays.clear()
    server.add(plays(walk(1, [8, 8]))[0])
    browser.wait("at.id === 'walk-1'")
    assert (reading(browser), listed(browser)) == ("1.00", ["walk-1"])
    assert text(browser, "place") == "episode 1 of 1"


def test_with_a_filter_of_the_task_only_what_it_keeps_is_followed(browser: Page, server: FakeServer) -> None:
    watch(browser, server)
    browser.press("d")
    assert text(browser, "notice") == "no episode matches 'high' yet"
    for number, numbers in ((6, [8, 8]), (7, [1, 1])):
        server.add(plays(walk(number, numbers))[0])
    browser.wait("index.length === 7")
    browser.press("N")
    browser.wait("at.id === 'walk-6'")
    assert (listed(browser), text(browser, "found")) == (["walk-6"], "1 of 7 episodes")


def test_curves_grow_while_it_trains(browser: Page, server: FakeServer) -> None:
    watch(browser, server)
    server.tell({"type": "curves", "progress": {"loss": [[1, 0.5], [2, 0.25]]}, "monitor": {}})
    server.tell({"type": "curves", "progress": {"loss": [[3, 0.125]]}, "monitor": {"survival": [[3, 0.75], [4, 1.0]]}})
    browser.wait("curves.size === 2 && !isBesideDue")
    assert browser.run("[...document.querySelectorAll('#curves canvas')].map((one) => one.ariaLabel)") == [
        "loss: now 0.125, from 0.125 to 0.5, up to step 3",
        "survival: now 1, from 0.75 to 1, up to step 4",
    ]


def test_the_token_of_the_page_is_the_token_of_the_connection(browser: Page, server: FakeServer) -> None:
    watch(browser, server, "?token=a%20b")
    assert server.paths[-1] == "/live?token=a%20b"


def test_what_the_server_refuses_is_told(browser: Page, server: FakeServer) -> None:
    watch(browser, server)
    server.tell({"type": "error", "what": "there is no episode of that id <b>"})
    browser.wait("document.getElementById('notice').hidden === false")
    assert text(browser, "notice") == "there is no episode of that id <b>"

"""The page of `baton explore` in a real browser, with a real server of a toy generator."""

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("websockets")

from pipeline.explore.bundle import Bundle
from tests.explore.serving import Served, serving
from tests.explore.toy import write_toy_bundle
from tests.support.browser import Page, find_browser, needs_browser, open_browser

pytestmark = needs_browser

READY = (  # also asked while the page loads anew
    "document.readyState === 'complete' && typeof panes === 'object' && panes.length > 0 && link.isOpen && "
    "panes[0].cloud.xs !== undefined && !document.getElementById('all').hidden"
)
BEGIN = """(async (workspace) => {
  history.replaceState(null, "", location.pathname);
  readAddress();
  acts.wholeMap();
  Object.assign(hovered, { id: null, level: null });
  sessionStorage.clear();
  drawForm();
  await post("api/workspaces", { name: workspace });
  await showWorkspace(workspace, [workspace]);
  await showPanes();
  say("");
})"""
DONE = "[...made.values()].filter((one) => one.state === 'done').length"
NEWEST = "[...made.values()].at(-1)"
WHOLE = f"{NEWEST}?.state === 'done' && {NEWEST}.steps?.length === 6 && panes[0].cloud.paths.length > 0"


@pytest.fixture(scope="module")
def browser() -> Iterator[Page]:
    with open_browser(find_browser() or "") as page:
        page.size(1280, 1000)
        yield page
        assert page.errors == []


@pytest.fixture(scope="module")
def bundles(tmp_path_factory: pytest.TempPathFactory) -> tuple[Bundle, Bundle]:
    folder = tmp_path_factory.mktemp("bundles")
    return write_toy_bundle(folder / "a", 80), write_toy_bundle(folder / "b", 40, weights="b", title="other")


@pytest.fixture(scope="module")
def opened(browser: Page, bundles: tuple[Bundle, Bundle], tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    with serving(tmp_path_factory.mktemp("kept"), *bundles) as served:
        yield served
        browser.go("data:text/html,gone")


@pytest.fixture
def served(browser: Page, opened: Served, request: pytest.FixtureRequest) -> Served:
    """The page as it begins, in a workspace of the test's own."""
    opened.toys[0].gate.set()
    opened.toys[0].is_broken = False
    if not browser.run("location.href").startswith(opened.url):
        browser.go(opened.url)
        browser.wait(READY)
    browser.run(f"{BEGIN}({json.dumps(request.node.name[:60])})")
    return opened


def text(page: Page, id: str) -> Any:
    return page.run(f"document.getElementById('{id}').textContent")


def point(page: Page, id: str, pane: int = 0) -> tuple[float, float]:
    """Where a record is drawn, in the window."""
    x, y = page.run(
        f"""(() => {{
          const {{ cloud, bundle, over }} = panes[{pane}], box = over.getBoundingClientRect();
          const level = levelIn(bundle, at.level ?? at.selectedLevel);
          const [x, y] = cloud.pixel(bundle.numbers.get({json.dumps(id)}) * cloud.numLevels + level);
          return [box.x + x / cloud.ratio, box.y + y / cloud.ratio];
        }})()"""
    )
    return x, y


def lone(page: Page, count: int) -> list[str]:
    """Records that no other covers, so that a pointer finds them."""
    found: list[str] = page.run(
        f"""(() => {{
          const {{ cloud, bundle }} = panes[0];
          return bundle.ids.filter((id, number) => {{
            const point = number * cloud.numLevels + at.level, [x, y] = cloud.pixel(point);
            return cloud.pick(x / cloud.ratio, y / cloud.ratio) === point;
          }}).slice(0, {count});
        }})()"""
    )
    assert len(found) == count
    return found


def test_it_loads_and_begins_where_the_model_knows_most(browser: Page, served: Served) -> None:
    assert text(browser, "title") == "explore · toy"
    assert text(browser, "state") == "toy · middle · noise 0.1 · 80 records · recorded with label: null"
    assert browser.run("panes[0].figure.querySelector('figcaption').textContent") == (
        "toy: middle · knows class 97 %, hue 50 %"
    )
    assert browser.run("document.querySelectorAll('#knowledge td button').length") == 16
    assert browser.run("[...document.getElementById('class').options].map((one) => one.text)") == [
        "all (80)",
        "ant (20)",
        "bee (20)",
        "cat (20)",
        "dog (20)",
    ]


def test_hovering_shows_image_and_facts_and_asks_the_server_nothing(browser: Page, served: Served) -> None:
    (id,) = lone(browser, 1)
    browser.wait("here().sheets.get(0).complete")
    browser.requests.clear()
    browser.move(*point(browser, id))
    browser.wait(f"hovered.id === {json.dumps(id)}")
    assert text(browser, "preview-text").startswith(f"{id} · class ant · hue 0 · noise 0.1 · x ")
    pixels = "document.getElementById('preview-image').getContext('2d').getImageData(5, 48, 1, 1).data[0]"
    assert browser.run(pixels) > 100  # the bar of an ant is at the left
    browser.move(*point(browser, lone(browser, 2)[1]))
    assert browser.requests == []


def test_a_click_selects_later_ones_toggle_neighbours_and_the_selected_one_lets_go(
    browser: Page, served: Served
) -> None:
    first, second, third = lone(browser, 3)
    browser.requests.clear()
    browser.click_at(*point(browser, first))
    assert browser.run("at.selected") == first
    assert browser.requests == []
    for id in (second, third):
        browser.click_at(*point(browser, id))
    assert browser.run("[...at.neighbours.keys()]") == [second, third]
    browser.wait("[...at.neighbours.values()].every((one) => one.distance > 0)")
    browser.click_at(*point(browser, third))
    assert browser.run("[...at.neighbours].map(([id, one]) => [id, one.sign])") == [[second, "chosen"]]
    assert browser.run("[...document.querySelectorAll('#chosen button')].map((one) => one.dataset.record)") == [
        first,
        second,
    ]
    browser.click_at(*point(browser, first))
    assert browser.run("[at.selected, at.neighbours.size]") == [None, 0]


def test_neighbours_are_suggested_with_distances_and_no_more_than_20(browser: Page, served: Served) -> None:
    browser.press("n")
    assert text(browser, "notice") == "select a record on the map first"
    browser.run("chooseRecord('r00002', 3)")
    browser.run("document.getElementById('count').value = 20; changes.count('20')")
    browser.click("#suggest")
    browser.wait("at.neighbours.size === 20")
    browser.run("chooseRecord('r00003', 3)")
    assert text(browser, "notice") == "no more than 20 neighbours can be chosen"
    assert text(browser, "chosen-note").startswith("20 neighbours: 19 of class cat, 1 of class")
    labels = browser.run("[...document.querySelectorAll('#chosen button')].map((one) => one.ariaLabel)")
    assert labels[0] == "r00002, class cat, selected" and ", found, distance " in labels[1]
    browser.press("c")
    assert browser.run("document.querySelectorAll('#chosen button').length") == 0


def test_layer_noise_level_and_model_are_switched_and_the_choice_stays(browser: Page, served: Served) -> None:
    browser.run("chooseRecord('r00002', 3)")
    before = point(browser, "r00002")
    browser.press("l")
    browser.wait("panes[0].layer === 'down'")
    assert point(browser, "r00002") != before
    browser.press("[")
    assert browser.run("[at.level, at.selectedLevel]") == [2, 2]
    browser.click("#knowledge tbody tr:last-child td:nth-child(3) button")
    browser.wait("panes[0].layer === 'middle' && at.level === 1")
    browser.choose("#bundle", "other")
    browser.wait("panes[0].bundle.title === 'other'")
    assert browser.run("[at.selected, at.layer, at.level]") == ["r00002", "middle", 1]
    assert "40 records" in text(browser, "state")


def test_a_class_is_told_apart_and_the_others_hidden(browser: Page, served: Served) -> None:
    browser.choose("#class", "bee (20)")
    assert "20 records of class bee" in text(browser, "state")
    drawn = """panes[0].bundle.ids.filter((id, number) => {
      const cloud = panes[0].cloud, point = number * cloud.numLevels + at.level;
      return cloud.cells.some((one) => { for (; one >= 0; one = cloud.next[one]) if (one === point) return true; });
    }).length"""
    assert browser.run(drawn) == 20  # only these are under the pointer
    browser.click("#hide")
    browser.run("document.querySelector('#legend button[data-class=bee]').click()")
    assert browser.run(drawn) == 80


def test_in_3_d_noise_is_the_height_and_a_drag_turns_it(browser: Page, served: Served) -> None:
    browser.click("#deep")
    heights = browser.run("[0, 1, 2, 3].map((level) => panes[0].cloud.pixel(8 + level)[1])")
    assert heights == sorted(heights)  # the highest noise on top
    before = browser.run("panes[0].cloud.camera.yaw")
    x, y = point(browser, "r00002")
    browser.drag((x, y), (x + 60, y + 10))
    assert browser.run("panes[0].cloud.camera.yaw") != before
    assert browser.run("at.selected") is None


def test_zoom_keeps_the_place_under_the_pointer(browser: Page, served: Served) -> None:
    x, y = point(browser, "r00002")
    browser.wheel(x, y, -400)
    browser.wait("panes[0].cloud.camera.zoom > 2 && panes[0].waits === null")
    assert point(browser, "r00002") == pytest.approx((x, y), abs=1)
    browser.press("0")
    assert browser.run("panes[0].cloud.camera.zoom") == 1


def test_keys_alone_go_from_point_to_point_and_select(browser: Page, served: Served) -> None:
    browser.run("panes[0].over.focus()")
    browser.press("ArrowRight")
    first = browser.run("hovered.id")
    browser.press("ArrowRight")
    assert first is not None and browser.run("hovered.id") != first
    browser.press("Enter")
    assert browser.run("at.selected") == browser.run("hovered.id")
    assert "Arrow keys" in browser.run("panes[0].over.ariaLabel")


def test_two_models_are_side_by_side_with_the_same_records_linked(browser: Page, served: Served) -> None:
    browser.choose("#beside", "other: down")
    browser.wait("panes.length === 2 && panes[1].cloud.xs !== undefined")
    (id,) = [one for one in lone(browser, 20) if browser.run(f"panes[1].bundle.numbers.has('{one}')")][:1]
    browser.move(*point(browser, id))
    browser.wait(f"hovered.id === {json.dumps(id)}")
    assert browser.run("panes.map((pane) => pane.cloud.marks.map((one) => one.sign))") == [["hover"], ["linked"]]
    browser.click_at(*point(browser, id))
    assert browser.run("panes.map((pane) => pane.cloud.marks.map((one) => one.sign))") == [
        ["selected", "hover"],
        ["selected", "linked"],
    ]


def test_the_address_holds_the_view_so_that_it_can_be_sent(browser: Page, served: Served) -> None:
    browser.run("chooseRecord('r00002', 3); chooseRecord('r00007', 3)")
    browser.press("n")
    browser.wait("at.neighbours.size === 8")
    browser.run("chooseRecord('r00007', 3)")
    browser.choose("#class", "cat")
    browser.choose("#beside", "other: middle")
    browser.click("#deep")
    told = """JSON.stringify([at.selected, [...at.neighbours].map(([id, one]) => [id, one.sign]), at.filter, at.deep,
      at.beside, at.layer])"""
    before = browser.run(told)
    browser.wait("location.hash.includes('v=3') && location.hash.includes('b2=')")
    address = browser.run("location.href")
    browser.go(address)
    browser.wait(f"{READY} && panes.length === 2")
    assert browser.run(told) == before
    browser.go(served.url + "/#b=gone&l=none&n=9&s=%5B%22nobody%22%2C0%5D&z=1_2")
    browser.wait(READY)
    assert "no record nobody" in text(browser, "notice")


def test_a_generation_comes_image_by_image_is_drawn_as_a_trajectory_and_stays(browser: Page, served: Served) -> None:
    served.toys[0].gate.clear()
    browser.click("#generate")
    browser.wait(f"{NEWEST}?.steps?.length === 1")
    browser.wait("document.getElementById('gallery').textContent.includes('step 1 of 6')")
    assert browser.run("document.querySelector('#gallery img').src.length") > 100
    served.toys[0].gate.set()
    browser.wait(WHOLE)
    assert browser.run("panes[0].cloud.paths.map((path) => [path.steps.length, path.at])") == [[6, 5]]
    browser.click("#generate")
    browser.wait(f"{DONE} === 2 && panes[0].cloud.paths.length === 2")
    browser.run("chooseRecord('r00002', 3); setFilter('bee')")
    assert browser.run("panes[0].cloud.paths.length") == 2  # they survive selection and filter
    browser.press("l")
    browser.wait("panes[0].layer === 'down' && panes[0].cloud.paths.length === 2")
    browser.press("t")
    assert browser.run("panes[0].cloud.paths.length") == 0
    seeds = browser.run("[...made.values()].map((one) => one.request.seed)")
    assert seeds[0] != seeds[1]


def test_the_ends_of_a_trajectory_are_marked_and_keys_go_through_its_steps(browser: Page, served: Served) -> None:
    browser.click("#generate")
    browser.wait(f"{WHOLE} && panes[0].cloud.paths[0].steps.length === 6")
    places = browser.run(
        """(() => { const { cloud, over } = panes[0], box = over.getBoundingClientRect(), ratio = cloud.ratio;
        return cloud.pathPixels(cloud.paths[0]).map(([x, y]) => [x / ratio + box.x, y / ratio + box.y]); })()"""
    )
    ink = """((x, y) => { const { overlay, ratio } = panes[0].cloud, box = overlay.getBoundingClientRect();
      const data = overlay.getContext('2d').getImageData((x - box.x) * ratio, (y - box.y) * ratio, 1, 1).data;
      return [...data].slice(0, 3).join(); })"""
    (start, end) = (browser.run(f"{ink}({x}, {y - dy})") for (x, y), dy in ((places[0], 0), (places[-1], 2)))
    assert start == browser.run("rgb(ink('ground')).join()")  # a ring is open, a diamond filled
    assert end == browser.run("rgb(panes[0].cloud.paths[0].color).join()")
    browser.move(*places[0])
    browser.wait("document.getElementById('preview-text').textContent.endsWith('step 1 of 6 · noise 80')")
    assert text(browser, "step-text").startswith("step 6 of 6")
    browser.press("ArrowLeft")
    browser.press(",")
    assert text(browser, "step-text") == "step 4 of 6 · noise 0.0915"
    assert browser.run("document.getElementById('step-noised').hidden") is False
    browser.wait("panes[0].cloud.paths[0].at === 3")
    assert browser.run("document.querySelectorAll('#strip button').length") == 6


def test_a_generation_is_cancelled_and_one_that_fails_says_why(browser: Page, served: Served) -> None:
    served.toys[0].gate.clear()
    browser.click("#generate")
    browser.wait(f"document.querySelector('#gallery button[data-cancel]') && {NEWEST}.state === 'running'")
    browser.click("#gallery button[data-cancel]")
    browser.wait(f"{NEWEST}.state === 'cancelled'")
    served.toys[0].gate.set()
    served.toys[0].is_broken = True
    browser.choose("#form-label", "bee")
    browser.click("#generate")
    browser.wait("document.getElementById('step-text').textContent.includes('the toy is broken')")
    assert browser.run(f"{NEWEST}.state") == "failed"
    served.toys[0].is_broken, served.toys[0].is_hollow = False, True
    browser.click("#generate")
    told = "no_bee: there are no bees: ask for another class"
    browser.wait(f"document.getElementById('step-text').textContent === '{told}'")
    assert browser.run(f"{NEWEST}.state") == "failed"


def test_steering_takes_the_chosen_records_and_shows_what_it_does_here(browser: Page, served: Served) -> None:
    browser.run("chooseRecord('r00002', 3); chooseRecord('r00006', 3)")
    browser.click("#form-is_steered")
    browser.run("document.getElementById('form-num_masked').value = 4")
    browser.choose("#form-mode", "other")
    assert browser.run("document.querySelector('.curve figcaption').textContent") == (
        "steering: share of the references' class; here other 77 %"
    )
    browser.click("#generate")
    browser.wait(WHOLE)
    assert browser.run(f"{NEWEST}.request.references") == ["r00002", "r00006"]
    browser.wait("panes[0].cloud.paths[0]?.masked.filter(Boolean).length === 4")
    browser.press("c")
    browser.run("settingsAgain()")
    assert browser.run("[at.selected, [...at.neighbours.keys()], formValues().num_masked]") == ["r00002", ["r00006"], 4]


def test_what_was_made_survives_a_reload_and_is_downloaded_as_rows(browser: Page, served: Served) -> None:
    browser.click("#generate")
    browser.wait(f"{WHOLE} && location.hash.includes('t=') && location.hash.includes('o=')")
    image = browser.run(f"{NEWEST}.image")
    browser.run("window.isOld = true; location.reload()")
    browser.wait(f"window.isOld === undefined && {READY} && {WHOLE}")
    assert browser.run(f"{NEWEST}.image") == image
    browser.wait("document.getElementById('steps').hidden === false")
    rows = browser.run("fetch(document.getElementById('predictions').href).then((answer) => answer.text())")
    assert json.loads(rows)["image_png"] == image


def test_a_cut_connection_is_told_and_what_was_asked_for_goes_on(browser: Page, served: Served) -> None:
    served.toys[0].gate.clear()
    browser.click("#generate")
    browser.wait(f"{NEWEST}?.steps?.length === 1")
    browser.run("link.socket.close()")
    browser.wait("!link.isOpen")
    assert "the connection is lost" in text(browser, "notice")
    served.toys[0].gate.set()
    browser.wait(f"link.isOpen && {WHOLE}")
    assert browser.run("document.getElementById('notice').hidden") is True


@pytest.mark.parametrize("width", [390, 1280])
def test_nothing_is_wider_than_the_window_and_all_has_names(browser: Page, served: Served, width: int) -> None:
    browser.size(width, 844)
    browser.run("chooseRecord('r00002', 3); suggest()")
    browser.click("#generate")
    browser.wait(WHOLE)
    assert browser.run("document.documentElement.scrollWidth") <= width
    nameless = """[...document.querySelectorAll('button, input, select, canvas[tabindex]')].filter((one) =>
      one.offsetParent && !one.ariaLabel && !one.textContent.trim() && !one.labels?.length).map((one) => one.id)"""
    assert browser.run(nameless) == []
    browser.size(1280, 1000)


def test_dark_and_light_are_both_drawn(browser: Page, served: Served) -> None:
    corner = "panes[0].cloud.canvas.getContext('2d').getImageData(1, 1, 1, 1).data"
    browser.scheme("dark")
    browser.wait(f"{corner}[0] < 60")
    browser.scheme("light")
    browser.wait(f"{corner}[0] > 200")


def test_while_another_session_switches_and_generates_nothing_of_mine_changes_by_a_byte(
    browser: Page, served: Served
) -> None:
    """Twenty actions of mine, once alone, and once with all that another does in between."""
    acts = [
        *("chooseRecord('r00002', 3)", "suggest()", "chooseRecord('r00003', 3)", "setLevel(2)", "setLayer('down')"),
        *("setFilter('bee')", "setFilter(null)", "acts.turn()", "acts.turn()", "setLevel(null)", "setLevel(3)"),
        *("chooseRecord('r00003', 3)", "at.count = 3, suggest()", "setLayer('middle')", "suggest()"),
        *("showBundle([...bundles.keys()][1])", "suggest()", "showBundle([...bundles.keys()][0])", "suggest()"),
        "at.count = 8, acts.clearChoice()",
    ]
    assert len(acts) == 20
    told = """JSON.stringify([at.bundle, at.layer, at.level, at.selected, [...at.neighbours], at.filter, at.deep,
      document.getElementById('state').textContent, panes[0].cloud.canvas.toDataURL(), made.size])"""

    def go_through(between: Callable[[int], object]) -> list[Any]:
        seen = []
        for number, act in enumerate(acts):
            between(number)
            browser.run(f"(async () => {{ await ({act}); await measure(); }})()")
            seen.append(browser.run(told))
        return seen

    browser.size(700, 500)
    browser.wait("panes[0].cloud.width < 700")
    alone = go_through(lambda number: None)
    with open_browser(find_browser() or "") as other:
        other.go(served.url)
        other.wait(READY)

        def disturb(number: int) -> None:
            other.run(f"""(async () => {{ await showBundle([...bundles.keys()][{number % 2}]);
              await setLayer('{["down", "middle"][number % 2]}'); chooseRecord('r00001', 0); await suggest();
              await generate(); }})()""")

        assert go_through(disturb) == alone
        other.wait(f"{DONE} > 10")
        assert other.errors == []
    browser.size(1280, 1000)


def test_with_users_one_logs_in_and_finds_what_one_made(
    browser: Page, bundles: tuple[Bundle, Bundle], tmp_path: Path
) -> None:
    with serving(tmp_path / "kept", *bundles, passwords={"ada": "a-long-password"}) as served:
        browser.go(served.url)
        browser.wait("!document.getElementById('login').hidden")
        assert browser.run("document.getElementById('by-provider').hidden") is True
        browser.type("#name", "ada")
        browser.type("#password", "a-wrong-password")
        browser.click("[data-act=logIn]")
        browser.wait("document.getElementById('notice').textContent === 'this is not the password of that user'")
        browser.run("document.getElementById('password').value = ''")
        browser.type("#password", "a-long-password")
        browser.click("[data-act=logIn]")
        browser.wait(READY)
        assert text(browser, "user") == "ada"
        browser.type("#new-workspace", "of bees")
        browser.click("[data-act=addWorkspace]")
        browser.wait("at.workspace === 'of bees' && location.hash.includes('w=of+bees')")
        browser.click("#generate")
        browser.wait(f"{DONE} === 1")
        browser.click("#log summary")
        browser.wait("document.querySelectorAll('#log-lines li').length === 3")
        browser.click("#log-out")
        browser.wait("document.getElementById('all')?.hidden && document.getElementById('login')?.hidden === false")
        browser.go("data:text/html,gone")

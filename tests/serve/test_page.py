"""The page to try a model from, in a real browser: a form from the description, the answer, nothing from outside."""

import hashlib
import json
from collections.abc import Iterator

import httpx
import pytest

from tests.serve.conftest import Server, Start
from tests.support.browser import Page, find_browser, needs_browser, open_browser

READY = "document.getElementById('field-seed') !== null"


@pytest.fixture(scope="module")
def page() -> Iterator[Page]:
    program = find_browser()
    assert program is not None
    with open_browser(program) as page:
        yield page


def ask(page: Page) -> None:
    page.click("#form button")
    page.wait("!document.querySelector('#form button').disabled && document.getElementById('state').textContent !== ''")


def shown(page: Page) -> str:
    return str(page.run("document.getElementById('notice').textContent"))


@needs_browser
def test_a_form_is_made_from_the_description_and_asks(server: Server, page: Page) -> None:
    page.go(f"{server.url}/")
    page.wait(READY)
    assert page.run("document.title") == "Baton: gridworld"
    page.choose("#field-level", "minimal")
    ask(page)
    page.wait("!document.getElementById('answer').hidden")
    answer = json.loads(page.run("document.getElementById('answer').textContent"))
    body = {"level": "minimal", "seed": 0, "multiplier": 1.0, "id": answer["id"]}
    assert shown(page) == "" and answer == httpx.post(f"{server.url}/v1/predict", json=body, timeout=60).json()
    assert page.errors == [] and {one.split("/")[2] for one in page.requests if "http" in one} == {server.url[7:]}


@needs_browser
def test_what_is_wrong_is_said_with_what_to_do(server: Server, page: Page) -> None:
    page.go(f"{server.url}/")
    page.wait(READY)
    page.run("document.getElementById('body').value = '{\"seed\": 1}'")
    ask(page)
    page.wait("!document.getElementById('notice').hidden")
    assert "missing required field" in shown(page) and "GET /openapi.json" in shown(page)


@needs_browser
@pytest.mark.parametrize("width", [1280, 390])
def test_nothing_is_wider_than_the_window(width: int, server: Server, page: Page) -> None:
    page.size(width, 900)
    page.go(f"{server.url}/")
    page.wait(READY)
    assert page.run("document.documentElement.scrollWidth") == width


@needs_browser
def test_a_key_is_asked_for_where_one_is_needed(
    start: Start, page: Page, tmp_path_factory: pytest.TempPathFactory
) -> None:
    keys = tmp_path_factory.mktemp("keys") / "keys"
    keys.write_text(f"ann {hashlib.sha256(b'open sesame').hexdigest()}\n")
    server = start("gridworld", "--model", "minimal", "--auth-file", keys)
    page.go(f"{server.url}/")
    page.wait(READY)
    assert not page.run("document.getElementById('key-field').hidden")
    page.run('document.getElementById(\'body\').value = \'{"level": "minimal", "seed": 1, "multiplier": 1}\'')
    ask(page)
    page.wait("!document.getElementById('notice').hidden")
    assert "those who have a key" in shown(page)
    page.type("#key", "open sesame")
    ask(page)
    page.wait("document.getElementById('notice').hidden")
    assert '"level": "minimal"' in page.run("document.getElementById('answer').textContent")


def test_every_file_of_the_page_has_a_policy_that_lets_nothing_in(server: Server) -> None:
    for path, kind in (("/", "text/html"), ("/page.js", "text/javascript"), ("/page.css", "text/css")):
        answer = httpx.get(f"{server.url}{path}")
        assert answer.status_code == 200 and answer.headers["content-type"].startswith(kind)
        assert answer.headers["content-security-policy"].startswith("default-src 'none'; script-src 'self';")
    assert httpx.get(f"{server.url}/page.html").status_code == 404

"""Two ways to look at a report's galleries: in a real browser, where there is one, and with its script alone."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Protocol

from tests.support.browser import Page, find_browser, open_browser
from tests.support.script_engine import Choice, Gallery

VIEWS = ("script", "browser") if find_browser() else ("script",)
_SHOWN = "[...document.querySelectorAll('.gallery figure')].filter((one) => one.offsetHeight)"


class View(Protocol):
    """What a reader does with a gallery. ``page`` is None where there is no browser."""

    page: Page | None

    def choose(self, fact: str, word: str) -> None: ...

    def order(self, fact: str | None, *, upward: bool = True) -> None: ...

    def search(self, text: str) -> None: ...

    def shown(self) -> list[str]: ...


@contextmanager
def open_report(kind: str, path: Path) -> Iterator[View]:
    """A view of one of the kinds of `VIEWS`."""
    program = find_browser()
    if kind == "script" or program is None:
        yield ScriptView(path.read_text(encoding="utf-8"))
        return
    with open_browser(program) as page:
        page.size(1400, 1000)
        page.open(path)
        yield BrowserView(page)
        assert page.errors == []


class ScriptView:
    """The figures as the page hands them to the script, chosen by it."""

    page = None

    def __init__(self, html: str) -> None:
        self._figures, self._choice = Gallery(html).figures, Choice()
        self._words: dict[str, str] = {}
        self._text, self._order = "", (None, True)

    def choose(self, fact: str, word: str) -> None:
        controls = {control["name"]: control["values"] for control in self._choice.controls(self._figures)}
        assert word in [value["word"] for value in controls[fact]]
        self._words[fact] = word

    def order(self, fact: str | None, *, upward: bool = True) -> None:
        self._order: tuple[str | None, bool] = (fact, upward)

    def search(self, text: str) -> None:
        self._text = text

    def shown(self) -> list[str]:
        found = self._choice.matching(self._figures, self._words, self._text)
        return [self._figures[k]["title"] for k in self._choice.ordered(self._figures, found, *self._order)]


class BrowserView:
    """The page itself, used as a reader uses it."""

    def __init__(self, page: Page) -> None:
        self.page = page

    def choose(self, fact: str, word: str) -> None:
        self._select(fact, f"{word} (")

    def order(self, fact: str | None, *, upward: bool = True) -> None:
        self._select("order", "" if fact is None else f"{fact}, {'lowest' if upward else 'highest'} first")

    def search(self, text: str) -> None:
        self.page.type(".gallery input[type=search]", text)

    def shown(self) -> list[str]:
        titles: Any = self.page.run(f"{_SHOWN}.map((one) => one.querySelector('h3').textContent)")
        return list(titles)

    def _select(self, label: str, option: str) -> None:
        labels: Any = self.page.run(
            "[...document.querySelectorAll('.gallery label')].map((one) => one.firstChild.textContent.trim())"
        )
        self.page.choose(f".gallery label:nth-of-type({labels.index(label) + 1}) select", option)

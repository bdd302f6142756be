"""The part of the report's script that needs no page, in an engine of JavaScript that comes as a Python package."""

import json
from html.parser import HTMLParser
from importlib import resources
from typing import Any

from py_mini_racer import MiniRacer

SCRIPT = resources.files("pipeline.look").joinpath("report_choice.js").read_text(encoding="utf-8")


class Choice:
    """``choice`` of report_choice.js."""

    def __init__(self) -> None:
        self._context = MiniRacer()
        self._context.eval(SCRIPT)

    def __getattr__(self, name: str) -> Any:
        def call(*arguments: Any) -> Any:
            values = ", ".join(map(json.dumps, arguments))
            return json.loads(str(self._context.eval(f"JSON.stringify(choice.{name}({values}))")))

        return call


class Gallery(HTMLParser):
    """The figures of a page's galleries with their facts and what a search looks through, as the script reads them."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.figures: list[dict[str, Any]] = []
        self._inside = self._gallery = 0
        self._text = ""
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        attributes = dict(attrs)
        if tag == "div":
            self._gallery += bool(self._gallery) or attributes.get("class") == "gallery"
        elif tag == "figure" and self._gallery:
            self.figures.append({"id": attributes["id"], "title": "", "facts": {}, "text": ""})
        elif tag in ("h3", "figcaption", "pre"):
            self._text = tag
        elif tag == "li" and "data-name" in attributes and self.figures:
            self.figures[-1]["facts"][attributes["data-name"]] = json.loads(attributes["data-value"] or "null")

    def handle_endtag(self, tag: str) -> None:
        if tag == "div" and self._gallery:
            self._gallery -= 1
        if tag == self._text:
            self._text = ""

    def handle_data(self, data: str) -> None:
        if self._gallery and self._text and self.figures:
            self.figures[-1]["text"] += data
            if self._text == "h3":
                self.figures[-1]["title"] += data

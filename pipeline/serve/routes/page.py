"""The page to try a model from: its own files, and the task's script where it has one. Nothing is from outside."""

from http import HTTPStatus
from pathlib import Path

from pipeline.serve.http.message import Asked, Response, Route
from pipeline.web.headers import HEADERS

_FOLDER = Path(__file__).resolve().parents[1] / "page"
_TYPES = {".html": "text/html", ".css": "text/css", ".js": "text/javascript"}
_FILES = {"/": "page.html", "/page.css": "page.css", "/page.js": "page.js"}


class Page:
    """Its routes, one for each file: no path of a request ever becomes one of the disk.

    ``script`` is what the task shows its answers with.
    """

    def __init__(self, script: Path | None) -> None:
        self._files = {path: _answer(Path(name).suffix, (_FOLDER / name).read_bytes()) for path, name in _FILES.items()}
        self._files["/task.js"] = _answer(".js", script.read_bytes() if script else b"")
        self.routes = [Route("GET", path, self.file, is_open=True, is_hidden=True) for path in self._files]

    async def file(self, client: str, asked: Asked) -> Response:
        """``GET /`` and its files."""
        return self._files[asked.path]


def _answer(suffix: str, content: bytes) -> Response:
    lower = [(name.lower(), value) for name, value in HEADERS.items()]
    return HTTPStatus.OK, [("content-type", f"{_TYPES[suffix]}; charset=utf-8"), *lower], content

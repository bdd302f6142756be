"""The files of a page, all of them named: no path of a request ever becomes one of the disk."""

from collections.abc import Mapping
from pathlib import Path

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

TYPES = {".html": "text/html", ".css": "text/css", ".js": "text/javascript"}


def page_files(folder: Path) -> dict[str, Path]:
    """``page.html`` of a folder as "/", and all its scripts and styles by their names."""
    beside = sorted(file for file in folder.iterdir() if file.suffix in (".css", ".js"))
    return {"/": folder / "page.html"} | {f"/{file.name}": file for file in beside}


def page_routes(files: Mapping[str, Path]) -> list[Route]:
    """A route for each file by the address it is served under, such as ``{"/": folder / "page.html"}``."""
    return [_route(address, file.read_bytes(), TYPES[file.suffix]) for address, file in files.items()]


def _route(address: str, content: bytes, kind: str) -> Route:
    async def answer(_request: Request) -> Response:
        return Response(content, media_type=kind)  # with charset=utf-8, as of every text

    return Route(address, answer)

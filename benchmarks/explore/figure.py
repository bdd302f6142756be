"""The peer: a plotly figure that is made on a server and sent anew at each change, as apps of figures do."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import Any

import numpy as np
from numpy.typing import NDArray

from benchmarks.training import ROOT
from tests.support.browser import Page

_SCRIPT = "lib/python*/site-packages/plotly/package_data/plotly.min.js"
_PAGE = """<link rel="icon" href="data:,"><div id="plot" style="width:900px;height:600px"></div>
<script src="plotly.js"></script>"""
_REDRAW = """(async () => {{ const start = performance.now(); const figure = await (await fetch('{name}')).json();
  await Plotly.react('plot', figure.data, figure.layout); return performance.now() - start; }})()"""


def plotly_redraws_ms(page: Page, folder: Path, places: NDArray[np.float32], rounds: int) -> list[float]:
    """Milliseconds of a change of the figure of points [N, 2]; none where plotly is not installed for benchmarks."""
    found = next(iter((ROOT / ".venv-bench").glob(_SCRIPT)), None)
    if found is None:
        return []
    (folder / "plotly.js").write_bytes(found.read_bytes())
    (folder / "index.html").write_text(
        '<div id="plot" style="width:900px;height:600px"></div><script src="plotly.js"></script>'
    )
    for turn in (0, 1):
        (folder / f"figure-{turn}.json").write_text(json.dumps(_figure(places, turn)))
    with _files(folder) as url:
        page.go(url)
        page.wait("window.Plotly !== undefined")
        took = [page.run(_REDRAW.format(name=f"figure-{number % 2}.json")) for number in range(min(rounds, 10) + 1)]
        page.go("data:text/html,gone")
    return took[1:]


def _figure(places: NDArray[np.float32], turn: int) -> dict[str, Any]:
    """Points coloured by class, and a ring around another eight of them each turn."""
    near = places[8 * turn : 8 * turn + 8]
    points = {
        "type": "scattergl",
        "mode": "markers",
        "x": places[:, 0].tolist(),
        "y": places[:, 1].tolist(),
        "marker": {"color": (np.arange(len(places)) % 10).tolist(), "size": 4},
        "text": [f"r{number:06d}" for number in range(len(places))],
    }
    rings = {"type": "scattergl", "mode": "markers", "x": near[:, 0].tolist(), "y": near[:, 1].tolist()}
    return {"data": [points, rings | {"marker": {"size": 12, "symbol": "circle-open"}}], "layout": {"uirevision": 1}}


class _Quiet(SimpleHTTPRequestHandler):
    """Serves files and says nothing."""

    def log_message(self, *_: object) -> None:
        """Nothing."""


@contextmanager
def _files(folder: Path) -> Iterator[str]:
    """A folder over HTTP."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), partial(_Quiet, directory=str(folder)))
    Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}/"
    server.shutdown()
    server.server_close()

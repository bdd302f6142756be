"""A model of a millisecond under a hundred connections, with and without batching what waits."""

import sys
import tempfile
import time
from collections.abc import Sequence
from contextlib import ExitStack
from hashlib import sha256
from pathlib import Path
from typing import Any

from benchmarks.harness import Report, Samples, at_least, quotients, take_turns
from benchmarks.serve.load import PORT, ask, make_model, make_script, require_wrk, serving
from pipeline.contract.serving import Answerer
from pipeline.serve import worker
from pipeline.serve.adapters import Rsgi
from pipeline.serve.answer import open_answerer
from pipeline.serve.http.limits import Limits
from pipeline.serve.settings import VARIABLE, Settings

_CALL_S, _GAIN = 1e-3, 5.0


def run(quick: bool) -> Report:
    """Two servers that differ in how many records may go through the model at once."""
    require_wrk()
    seconds, rounds = (2, 1) if quick else (5, 5)
    granian = [sys.executable, "-m", "granian", "--interface", "rsgi", "--factory", f"{__name__}:rsgi", "--port"]
    with tempfile.TemporaryDirectory() as text, ExitStack() as stack:
        folder = Path(text)
        model, script, urls = make_model(folder), make_script(folder), {}
        for port, num in enumerate((1, 100), start=PORT):
            here = folder / str(num)
            here.mkdir()
            Settings(task="localization", model=model, log=here / "log", limits=Limits(max_items=num)).write(here)
            where = {VARIABLE: str(here / "settings.json")}
            urls[num] = stack.enter_context(serving(granian, port, where)).url
            ask(urls[num], script, 1, 1)
        measures = {
            str(num): lambda url=url: ask(url, script, 100, seconds)["Requests/sec"] for num, url in urls.items()
        }
        shown = take_turns(measures, rounds)
    return Report(
        title="batching what waits",
        method=(
            "The small network, each call of which takes a millisecond more of a processor, without the interpreter, "
            "whatever the number of records. wrk over 100 connections; one server answers a record a call, the other "
            "up to 100 of those that wait. Neither ever waits for more."
        ),
        samples=[
            Samples("a record a call", "requests/s", tuple(shown["1"])),
            Samples("all that waits", "requests/s", tuple(shown["100"])),
        ],
        claims=[at_least("requests a second by batching what waits", quotients(shown["100"], shown["1"]), _GAIN)],
    )


def _slowed(inner: Answerer) -> Answerer:
    """A model that takes a millisecond longer. Hashing lets other threads run."""
    start = time.perf_counter()
    sha256(bytes(1 << 24)).digest()
    data = bytes(int((1 << 24) * _CALL_S / (time.perf_counter() - start)))

    def answer(examples: Sequence[Any]) -> Sequence[Any]:
        sha256(data).digest()
        return inner.answer(examples)

    return Answerer(inner.identity, answer)


def rsgi() -> Rsgi:
    """A worker as ever, but for its model."""
    setattr(worker, "open_answerer", lambda *words, **more: _slowed(open_answerer(*words, **more)))  # noqa: B010
    return worker.rsgi()

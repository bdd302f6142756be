"""Memory of a worker after a million requests, over that after ten thousand."""

import re
import tempfile
from pathlib import Path

import httpx

from benchmarks.harness import Report, Samples, at_most
from benchmarks.serve.load import PORT, Server, ask, baton_serve, make_model, make_script, require_wrk, serving

_FEW, _GROWTH = 10_000, 1.1
_COUNT = re.compile(r'^inference_requests_total\{endpoint="/v1/predict"\} ([\d.e+]+)', re.MULTILINE)


def run(quick: bool) -> Report:
    """One server, asked on and on."""
    require_wrk()
    many = 100_000 if quick else 1_000_000
    with tempfile.TemporaryDirectory() as text:
        folder = Path(text)
        command = baton_serve("--model", make_model(folder), "--log", folder / "log", "--rotate-mb", "100")
        script = make_script(folder)
        with serving(command, PORT) as server:
            shown = [_after(server, script, num) for num in (_FEW, many)]
    return Report(
        title="memory over a million requests",
        method=(
            f"A small localization network, one worker, log and metrics on; wrk over 100 connections until it has "
            f"answered {_FEW:,} requests, and until it has answered {many:,}. What the worker holds (VmRSS)."
        ),
        samples=[
            Samples(f"after {num:,} requests", "MB", (value,)) for num, value in zip((_FEW, many), shown, strict=True)
        ],
        claims=[at_most(f"memory after {many:,} requests over that after {_FEW:,}", [shown[1] / shown[0]], _GROWTH)],
    )


def _after(server: Server, script: Path, num: int) -> float:
    """Megabytes, as soon as it has answered so many."""
    while _answered(server) < num:
        ask(server.url, script, 100, 1 if num == _FEW else 5)
    text = Path(f"/proc/{server.worker()}/status").read_text()
    return int(text.split("VmRSS:")[1].split()[0]) / 1000


def _answered(server: Server) -> float:
    found = _COUNT.search(httpx.get(f"{server.url}/metrics", timeout=60).text)
    return float(found[1]) if found else 0.0

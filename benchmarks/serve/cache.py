"""An answer that was kept, in the process or in a Redis, beside one that the model gives."""

import shutil
import subprocess
import tempfile
from contextlib import ExitStack
from pathlib import Path

from benchmarks.harness import Report, Samples, take_turns
from benchmarks.serve import bare
from benchmarks.serve.load import PORT, ask, baton_serve, make_model, make_script, require_wrk, serving
from pipeline.errors import UserError

_REDIS_PORT = PORT + 9


def run(quick: bool) -> Report:
    """Three servers that differ in where they keep answers; the same request, so that all but the first are kept."""
    require_wrk()
    if not shutil.which("redis-server"):
        raise UserError("redis-server is not installed", remedy="apt-get install redis-server")
    seconds, rounds = (2, 1) if quick else (5, 5)
    redis_words = [
        "redis-server",
        "--port",
        str(_REDIS_PORT),
        "--bind",
        "127.0.0.1",
        "--save",
        "",
        "--appendonly",
        "no",
    ]
    redis = {"REDIS_HOST": "127.0.0.1", "REDIS_PORT": str(_REDIS_PORT)}
    with tempfile.TemporaryDirectory() as text, ExitStack() as stack:
        folder = Path(text)
        model, script = make_model(folder), make_script(folder)
        server = stack.enter_context(subprocess.Popen(redis_words, stdout=subprocess.DEVNULL))
        stack.callback(server.terminate)
        ways: dict[str, tuple[tuple[str, ...], dict[str, str]]] = {
            "the model answers": ((), {}),
            "kept in the process": (("--cache",), {}),
            "kept in a Redis": ((), redis),
        }
        urls = {}
        for port, (name, (words, variables)) in enumerate(ways.items(), start=PORT):
            command = baton_serve("--model", model, "--log", folder / str(port), *words)
            urls[name] = stack.enter_context(serving(command, port, variables)).url
            ask(urls[name], script, 1, 2)
        measures = {name: lambda url=url: ask(url, script, 1, seconds)["50%"] for name, url in urls.items()}
        shown = take_turns({**measures, "session.run, bare": lambda: bare(model, 500)}, rounds)
    return Report(
        title="answers that were kept",
        method=(
            "The small localization network, one worker, the same request over one connection by wrk: the middle time "
            "from request to answer over HTTP. Bare is session.run alone."
        ),
        samples=[Samples(f"{name}, p50", "us", tuple(values)) for name, values in shown.items()],
        claims=[],
    )

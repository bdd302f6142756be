"""Workers of one machine: starts and ends them. Nothing that they need is loaded here: they fork from this process."""

import contextlib
import os
import signal
import tempfile
from pathlib import Path

from pipeline.errors import UserError
from pipeline.serve.answer import identity_of
from pipeline.serve.http.limits import Keys
from pipeline.serve.reload.state import State
from pipeline.serve.settings import METRICS_VARIABLE, Settings, failure_in, state_folder
from pipeline.web.address import listen_at

LEAST_CONNECTIONS = 1024
GRACE_S = 30  # for what is in flight when the server is told to end


def serve(settings: Settings, host: str, port: int) -> None:
    """Answer until Ctrl-C or SIGTERM, then finish what is in flight, and raise KeyboardInterrupt.

    Raises UserError when it cannot begin.
    """
    from granian import Granian  # here: of the extra "serve"
    from granian.constants import Interfaces
    from granian.log import LogLevels

    if settings.model is not None:
        identity_of(settings.task, settings.model)
    Keys(settings.auth_file)
    with listen_at(host, port) as probe:  # what is in the way is told now, and a free port is one for all workers
        port = probe.getsockname()[1]
    with tempfile.TemporaryDirectory(prefix="baton-serve-") as folder:
        settings.write(Path(folder))
        counted = Path(folder, "metrics")
        counted.mkdir()
        os.environ[METRICS_VARIABLE] = str(counted)
        server = Granian(
            "pipeline.serve.worker:rsgi",
            address=host,
            port=port,
            interface=Interfaces.RSGI,
            workers=settings.workers,
            factory=True,
            websockets=False,
            # Connections: what is beyond the limit of requests is told so, and is not to wait for idle ones to end.
            backpressure=max(2 * settings.limits.max_in_flight, LEAST_CONNECTIONS),
            respawn_failed_workers=True,
            workers_kill_timeout=GRACE_S,
            log_enabled=settings.log_level is not None,
            log_level=LogLevels(settings.log_level or "error"),
            log_access=settings.log_level == "debug",
            process_name=None,
        )
        server.on_startup(lambda: signal.signal(signal.SIGHUP, lambda *_: State(state_folder()).ask()))
        shown = f"[{host}]" if ":" in host else host
        print(f"serving {settings.task} at http://{shown}:{port} (Ctrl-C ends it)", flush=True)
        with contextlib.suppress(SystemExit):  # its way to say that workers end by themselves again and again
            server.serve()
        if failure := failure_in(Path(folder)):
            raise failure
        if not server.interrupt_signal:
            what = "its workers ended by themselves, again and again"
            raise UserError(what, remedy="is there enough memory? fewer --workers; standard error may say more")
    raise KeyboardInterrupt

"""Ray Serve (https://docs.ray.io/en/latest/serve): the same application as replicas on the machines of a cluster.

Machines read the model or the registry, and write the log, by the same paths as this one: a shared folder. So they
share the pointer to the model as well, and a reload that one replica is asked for is a reload of all. Each machine
counts for itself: its /metrics are of its replicas.
"""

import os
import signal
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pipeline.errors import UserError
from pipeline.infer.ray import connected
from pipeline.serve.answer import identity_of
from pipeline.serve.http.limits import Keys
from pipeline.serve.http.message import Asked
from pipeline.serve.reload.state import State
from pipeline.serve.settings import METRICS_VARIABLE, VARIABLE, Settings, failure_in, leave_failure, state_folder

if TYPE_CHECKING:
    from starlette.requests import Request
    from starlette.responses import Response

NAME = "baton"
GRACE_S = 30  # for what is in flight when the server is told to end
LOOK_EVERY_S, LOST_AFTER_S = 2.0, 5.0  # at each replica; one that does not answer is replaced


class Replica:
    """The application as Ray Serve calls it."""

    def __init__(self) -> None:
        import ray  # here: of the extra "ray"

        counted = Path(os.environ[VARIABLE]).with_name("metrics") / ray.get_runtime_context().get_node_id()
        counted.mkdir(parents=True, exist_ok=True)
        os.environ[METRICS_VARIABLE] = str(counted)
        from pipeline.serve.worker import application  # here: what it imports reads that variable

        try:
            self._application = application()
        except UserError as error:
            leave_failure(error)
            raise

    async def __call__(self, request: "Request") -> "Response":
        """One request."""
        from starlette.responses import Response

        from pipeline.serve.adapters import read_body

        async def read() -> bytes:
            length, limits = request.headers.get("content-length"), self._application.limits
            return await read_body(length, request.body, request.stream, limits)

        address = request.client.host if request.client else ""
        asked = Asked(request.method, request.url.path, address, request.headers.get, read)
        status, headers, body = await self._application.respond(asked)
        return Response(body, int(status), dict(headers))

    def __del__(self) -> None:
        """What is queued is written."""
        if application := getattr(self, "_application", None):
            application.close()


def serve(settings: Settings, host: str, port: int) -> None:
    """Answer from ``settings.workers`` replicas until Ctrl-C or SIGTERM, then finish what is in flight, and raise
    KeyboardInterrupt. ``host`` and ``port`` are listened at by each machine that has a replica; where Ray Serve runs on
    the cluster already, it listens where it does, and it and what else it runs stay when this ends.

    Raises UserError when it cannot begin.
    """
    ray_serve = _ray_serve()
    if settings.model is not None:
        identity_of(settings.task, settings.model)
    Keys(settings.auth_file)
    shared = settings.log or Path.cwd()
    shared.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=".server-", dir=shared) as folder, connected(settings.workers):
        settings.write(Path(folder))
        signal.signal(signal.SIGHUP, lambda *_: State(state_folder()).ask())
        signal.signal(signal.SIGTERM, signal.default_int_handler)
        try:
            with _application(ray_serve, settings, host, port) as place:
                print(f"serving {settings.task} {place} (Ctrl-C ends it)", flush=True)
                while True:
                    signal.pause()
        except RuntimeError as error:  # of a replica that could not begin
            raise failure_in(Path(folder)) or error from None
        except ray_serve.exceptions.RayServeException as error:  # of another application at the same path
            raise UserError(f"Ray Serve refuses: {getattr(error, 'cause', error)}", where="--engine ray") from error


@contextmanager
def _application(ray_serve: Any, settings: Settings, host: str, port: int) -> Iterator[str]:
    """Run it for the length of the block, and say where it listens; what else Ray Serve runs there stays."""
    before = ray_serve.status()
    if NAME in before.applications:
        what = f"another `baton serve` answers on this cluster: the application {NAME!r} of Ray Serve"
        raise UserError(what, where="--engine ray", remedy="end that one, or name another cluster by RAY_ADDRESS")
    is_first = not before.proxies and not before.applications
    # A proxy on each machine that has a replica, so that who asks loses no more than what is in flight there.
    ray_serve.start(http_options={"host": host, "port": port, "location": "EveryNode"})
    try:
        ray_serve.run(_deployment(ray_serve, settings), name=NAME, route_prefix="/")
        yield f"at http://{host}:{port}, by Ray" if is_first else "where Ray Serve listens on this cluster"
    finally:
        ray_serve.delete(NAME)
        if is_first and not ray_serve.status().applications:
            ray_serve.shutdown()


def _ray_serve() -> Any:
    """The module. Raises UserError where it is not installed, or ray without it."""
    try:
        from ray import serve as ray_serve  # here: of the extra "ray"
    except ImportError as error:
        what, remedy = f"Ray Serve is not installed: {error}", "pip install 'baton-pipeline[ray]'"
        raise UserError(what, where="--engine ray", remedy=remedy) from error
    return ray_serve


def _deployment(ray_serve: Any, settings: Settings) -> Any:
    variables = {VARIABLE: os.environ[VARIABLE]}
    deployment = ray_serve.deployment(Replica).options(
        num_replicas=settings.workers,
        max_ongoing_requests=settings.limits.max_in_flight,
        ray_actor_options={"num_cpus": 1, "runtime_env": {"env_vars": variables}},
        graceful_shutdown_timeout_s=GRACE_S,
        health_check_period_s=LOOK_EVERY_S,
        health_check_timeout_s=LOST_AFTER_S,
    )
    return deployment.bind()

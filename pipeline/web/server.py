"""Runs an application until it is interrupted."""

from collections.abc import Mapping

import uvicorn
from starlette.types import ASGIApp
from uvicorn.protocols.websockets.websockets_sansio_impl import WebSocketsSansIOProtocol

from pipeline.web.address import Address
from pipeline.web.guard import Guard
from pipeline.web.headers import HEADERS

MAX_QUESTION_BYTES = 1 << 16  # what a client has to say is short
GRACE_S = 1  # for who does not close its connection when it is told to


class Server:
    """Listens at once, so that what is in the way is told before anything is loaded. Raises UserError."""

    def __init__(self, app: ASGIApp, address: Address, headers: Mapping[str, str] = HEADERS) -> None:
        self._listener = address.listen()
        self._url = address.url(self._listener.getsockname()[1])
        config = uvicorn.Config(
            Guard(app, address, headers),
            ws=WebSocketsSansIOProtocol,
            ws_max_size=MAX_QUESTION_BYTES,
            ws_per_message_deflate=False,  # it would be done for each client again
            timeout_graceful_shutdown=GRACE_S,
            server_header=False,
            log_config=None,
            log_level="critical",
        )
        self._server = uvicorn.Server(config)
        self._is_stopped = False

    def run(self) -> None:
        """Print the address to open, and answer until `stop`; Ctrl-C and SIGTERM raise KeyboardInterrupt at the end."""
        with self._listener:
            print(f"open {self._url} (Ctrl-C ends it)", flush=True)
            self._server.run([self._listener])
        if not self._is_stopped:
            raise KeyboardInterrupt

    def stop(self) -> None:
        """End, from the event loop."""
        self._is_stopped = self._server.should_exit = True

"""Where a server listens, and whom it takes for one of its own."""

import errno
import ipaddress
import secrets
import socket
from dataclasses import dataclass, field
from urllib.parse import quote, urlsplit

from pipeline.errors import UserError

LOOPBACK = "127.0.0.1"
MIN_TOKEN = 8  # characters: 48 bits of a random one, which nobody finds by asking


@dataclass(frozen=True)
class Address:
    """Where to listen (``port`` 0: any that is free), and the ``token`` that who connects must know, if there is one.

    ``asks_who`` where everybody has to log in, which does as well as a token. ``names`` are further names of this
    server, such as that of what stands in front of it. Raises UserError when others than this machine could connect,
    and nothing is asked of them.
    """

    host: str = LOOPBACK
    port: int = 8007
    token: str | None = field(default=None, repr=False)
    asks_who: bool = False
    names: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        example = f"--token {secrets.token_urlsafe(12)}"
        if self.token is None and not self.asks_who and not is_loopback(self.host):
            what = "others than this machine may only connect with a token"
            forward = f"ssh -L {self.port}:{LOOPBACK}:{self.port}"
            remedy = f"add one, such as {example}; or leave --host out and forward the port: {forward}"
            raise UserError(what, where=f"--host {self.host}", remedy=remedy)
        if self.token is not None and len(self.token) < MIN_TOKEN:
            what = f"a token must have {MIN_TOKEN} characters or more, or it can be guessed"
            raise UserError(what, where="--token", remedy=f"take {example}")

    def listen(self) -> socket.socket:
        """A socket that listens there. Raises UserError when it cannot."""
        return listen_at(self.host, self.port)

    def url(self, port: int) -> str:
        """What to open in a browser; ``port`` is the one that it listens on."""
        everywhere = self.host in ("0.0.0.0", "::")
        host = socket.gethostname() if everywhere else f"[{self.host}]" if ":" in self.host else self.host
        return f"http://{host}:{port}/" + (f"?token={quote(self.token, safe='')}" if self.token else "")

    def knows(self, host: str) -> bool:
        """Whether a Host header names this server, by any port (which may be forwarded).

        A page of elsewhere that has its own name lead here ("DNS rebinding") says that name. A number is nobody's name.
        """
        name = _name(host)
        if is_loopback(name) or name in self.names:
            return True
        if is_loopback(self.host):
            return False
        own = socket.gethostname().lower()
        return _is_number(name) or name in (self.host.lower(), own, f"{own}.local", socket.getfqdn().lower())


def listen_at(host: str, port: int) -> socket.socket:
    """A socket that listens there (port 0: any that is free). Raises UserError when it cannot."""
    where = f"{host}:{port}"
    try:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)[0]
        family, kind, protocol, _, place = found
        # With the protocol named, asyncio sends small answers at once; else each waits 40 ms for those before it.
        listener = socket.socket(family, kind, protocol)
    except (OSError, UnicodeError) as error:  # what is no name at all cannot be encoded as one
        why = error.strerror if isinstance(error, OSError) else error
        raise UserError(f"no such host: {why}", where=where, remedy=f"--host {LOOPBACK}") from error
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind(place)
        listener.listen(128)
    except (OSError, OverflowError) as error:
        listener.close()
        raise _refused(error, where) from error
    return listener


def is_loopback(host: str) -> bool:
    """Whether the host can be reached from this machine alone."""
    if host.lower() == "localhost":
        return True
    return _is_number(host) and ipaddress.ip_address(host).is_loopback


def is_origin(origin: str, host: str) -> bool:
    """Whether a page of ``origin`` was served under the name ``host``, port included."""
    return origin.lower() in (f"http://{host}".lower(), f"https://{host}".lower())


def _name(host: str) -> str:
    """The name in a Host header, without the port; empty where it has none."""
    try:
        return urlsplit(f"//{host}").hostname or ""
    except ValueError:
        return ""


def _is_number(host: str) -> bool:
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return False
    return True


def _refused(error: OSError | OverflowError, where: str) -> UserError:
    if not isinstance(error, OSError):
        return UserError("there is no such port", where=where, remedy="ports are numbers from 0 to 65535")
    if error.errno == errno.EADDRINUSE:
        return UserError(
            "this port is in use, perhaps by the same command in another terminal",
            where=where,
            remedy="choose another one, such as --port 8008, or --port 0 for any that is free",
        )
    return UserError(f"cannot listen there: {error.strerror}", where=where, remedy="choose another --port or --host")

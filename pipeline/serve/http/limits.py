"""Who may ask, how often, how much and how many at a time."""

import hashlib
import hmac
import math
import re
import time
from collections import OrderedDict
from http import HTTPStatus
from pathlib import Path

import msgspec

from pipeline.errors import UserError
from pipeline.serve.http.problems import Problem

MAX_CLIENTS = 10_000  # whose rate is remembered; who was quiet for longest is forgotten first
_LINE = re.compile(r"(?P<name>[A-Za-z0-9][A-Za-z0-9_.-]{0,63})\s+(?P<hash>[0-9a-f]{64})")
_MAKE_KEY = "a line is NAME and the sha256 of the key in hexadecimal digits: printf %s KEY | sha256sum"


class Limits(msgspec.Struct, frozen=True, kw_only=True):
    """What one worker takes. ``rate`` is requests a second by key (by address where there are no keys), None any."""

    max_body_mb: int = 16
    max_items: int = 100
    timeout_s: float = 5.0
    body_timeout_s: float = 10.0
    max_in_flight: int = 512
    rate: float | None = None

    @property
    def max_body_bytes(self) -> int:
        """Most of a body, as it came and unpacked."""
        return self.max_body_mb << 20


class Keys:
    """The clients that may ask, by the hashes of their keys; without a file everybody may, under no name."""

    def __init__(self, path: Path | None) -> None:
        self._names = None if path is None else _read_keys(path)

    def client_of(self, authorization: str | None, api_key: str | None) -> str:
        """The name of the client with this key, "" where no key is needed. Raises Problem: 401.

        All keys are compared, each in constant time: how long it takes tells nothing of them.
        """
        if self._names is None:
            return ""
        scheme, _, token = (authorization or "").partition(" ")
        given = token.strip() if scheme.lower() == "bearer" else api_key
        found = ""
        if given:
            digest = hashlib.sha256(given.encode()).hexdigest()
            for name, known in self._names:
                found = name if hmac.compare_digest(digest, known) else found
        if not found:
            what = "this key is not known" if given else "this server answers to those who have a key"
            where, next = "header Authorization", "send the header `Authorization: Bearer KEY`"
            headers = {"WWW-Authenticate": "Bearer"}
            raise Problem(HTTPStatus.UNAUTHORIZED, "no_key", what, where=where, next=next, headers=headers)
        return found


def _read_keys(path: Path) -> list[tuple[str, str]]:
    try:
        lines = path.read_text().splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise UserError(f"the keys cannot be read: {error}", where=str(path), remedy=_MAKE_KEY) from error
    names: list[tuple[str, str]] = []
    for number, line in enumerate(lines, start=1):
        if not line.strip() or line.startswith("#"):
            continue
        found = _LINE.fullmatch(line.strip())
        if found is None:
            raise UserError("this is no key", where=f"{path}:{number}", remedy=_MAKE_KEY)
        names.append((found["name"], found["hash"]))
    if not names:
        raise UserError("there is no key in the file, so that nobody could ask", where=str(path), remedy=_MAKE_KEY)
    return names


class Rates:
    """A token bucket for each client: ``rate`` requests a second, of which a second's worth may come at once."""

    def __init__(self, rate: float | None) -> None:
        self._rate = rate
        self._full = max(1.0, rate or 0.0)
        self._buckets: OrderedDict[str, tuple[float, float]] = OrderedDict()  # tokens, and when they were counted

    def take(self, client: str) -> None:
        """Count a request. Raises Problem: 429, and when to come again."""
        if self._rate is None:
            return
        now = time.monotonic()
        tokens, before = self._buckets.pop(client, (self._full, now))
        tokens = min(self._full, tokens + (now - before) * self._rate)
        self._buckets[client] = (tokens - 1 if tokens >= 1 else tokens, now)
        if len(self._buckets) > MAX_CLIENTS:
            self._buckets.popitem(last=False)
        if tokens < 1:
            wait = math.ceil((1 - tokens) / self._rate)
            what, next = f"more than {self._rate:g} requests a second", f"ask again in {wait} s"
            headers = {"Retry-After": str(wait)}
            raise Problem(HTTPStatus.TOO_MANY_REQUESTS, "too_often", what, next=next, headers=headers)

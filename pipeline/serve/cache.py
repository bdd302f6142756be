"""Answers that are kept: in this process, or in a Redis that several share. Off unless asked for.

What is looked up in a Redis takes 50 to 70 us, in the process 1 us; a small model answers in 20. So a Redis is for
models that take more than a millisecond, or for several machines. A Redis that fails costs answers nothing but one
short wait: it is left alone for a while, tried again, and used again once it answers.
"""

import os
import time
from collections import OrderedDict
from collections.abc import Callable, Mapping
from hashlib import blake2b
from threading import Lock
from typing import TYPE_CHECKING, Any, Literal, Protocol

import msgspec
from msgspec.structs import replace

from pipeline.contract.serving import ModelIdentity
from pipeline.errors import UserError
from pipeline.files.hashes import canonical_json

if TYPE_CHECKING:
    from redis import Redis

Event = Literal["hit", "miss", "failure"]
Count = Callable[[Event], None]

NUM_ENTRIES = 10_000
TTL_S = 3600
TIMEOUT_S = 0.05  # a hit takes .07 ms: what takes a thousand times that is broken
RETRY_S, MAX_RETRY_S = 1.0, 30.0


class Cache(Protocol):
    """Answers by key. Neither method ever raises: what cannot be kept is asked for again."""

    def get(self, key: bytes) -> bytes | None: ...
    def put(self, key: bytes, answer: bytes) -> None: ...


class KeyMaker:
    """Makes the keys of one model's answers: of its hashes, how it decodes, and what it is asked.

    The preprocessing of a model lies in its metadata and its brain spec, and the code of a release, which
    ``version`` names. Requests that say the same in another order of keys, or with other blanks, have one key; the
    ``id`` of a request is no part of it.
    """

    def __init__(self, identity: ModelIdentity, options: Any, version: str = "") -> None:
        told = [identity.task, identity.weights_hash, identity.brain_spec_hash, identity.metadata_hash, version]
        self._start = blake2b(canonical_json([told, options]), digest_size=32)

    def key(self, example: Any) -> bytes:
        """The key of an example (a Struct): 32 bytes."""
        state = self._start.copy()
        state.update(msgspec.json.encode(replace(example, id=""), order="sorted"))
        return state.digest()


class LruCache:
    """In this process: the ``num_entries`` answers that were asked for last, each for ``ttl_s``."""

    def __init__(self, count: Count, num_entries: int = NUM_ENTRIES, ttl_s: float = TTL_S) -> None:
        self._count, self._num_entries, self._ttl_s = count, num_entries, ttl_s
        self._kept: OrderedDict[bytes, tuple[float, bytes]] = OrderedDict()
        self._lock = Lock()

    def get(self, key: bytes) -> bytes | None:
        """What was kept under a key and is not too old."""
        with self._lock:
            ends, answer = self._kept.get(key, (0.0, b""))
            found = ends > time.monotonic()
            if found:
                self._kept.move_to_end(key)
        self._count("hit" if found else "miss")
        return answer if found else None

    def put(self, key: bytes, answer: bytes) -> None:
        """Keep an answer; the one that was not asked for longest goes."""
        with self._lock:
            self._kept[key] = (time.monotonic() + self._ttl_s, answer)
            self._kept.move_to_end(key)
            if len(self._kept) > self._num_entries:
                self._kept.popitem(last=False)


class RedisCache:
    """In a Redis, by a circuit breaker: after a failure it is not asked for a second, then two, up to half a minute.

    ``where`` are arguments of `redis.Redis`: host, port, db, password.
    """

    def __init__(self, count: Count, *, ttl_s: int = TTL_S, **where: Any) -> None:
        import redis  # here: of the extra "serve"
        from redis.backoff import NoBackoff
        from redis.retry import Retry

        never = Retry(NoBackoff(), 0)  # who asks again is this class
        self._client: Redis = redis.Redis(
            socket_timeout=TIMEOUT_S, socket_connect_timeout=TIMEOUT_S, retry=never, **where
        )
        self._errors = (redis.RedisError, OSError)
        self._ttl_s, self._count = ttl_s, count
        self._closed_until, self._wait_s = 0.0, RETRY_S

    @property
    def is_used(self) -> bool:
        """Whether it is asked now: no, for a while after a failure."""
        return time.monotonic() >= self._closed_until

    def get(self, key: bytes) -> bytes | None:
        """What the Redis keeps under a key."""
        answer: bytes | None = self._try(lambda: self._client.get(b"baton:" + key))
        self._count("miss" if answer is None else "hit")
        return answer

    def put(self, key: bytes, answer: bytes) -> None:
        """Keep an answer in the Redis."""
        self._try(lambda: self._client.set(b"baton:" + key, answer, ex=self._ttl_s))

    def memory_bytes(self) -> int | None:
        """How much memory the Redis uses; None while it does not answer."""
        info = self._try(lambda: self._client.info("memory"))
        return int(info["used_memory"]) if info else None

    def _try(self, ask: Callable[[], Any]) -> Any:
        if not self.is_used:
            return None
        try:
            answer = ask()
        except self._errors:
            self._closed_until = time.monotonic() + self._wait_s
            self._wait_s = min(2 * self._wait_s, MAX_RETRY_S)
            self._count("failure")
            return None
        self._wait_s = RETRY_S
        return answer


def open_cache(count: Count, *, wanted: bool = False, variables: Mapping[str, str] = os.environ) -> Cache | None:
    """The cache that is asked for: a Redis where REDIS_HOST names one (REDIS_ENABLE_CACHE=false: all the same none),
    else one in the process where it is ``wanted``, else none. Raises UserError on variables that are not numbers."""
    host = variables.get("REDIS_HOST")
    enabled = variables.get("REDIS_ENABLE_CACHE", "true").strip().lower() not in ("0", "false", "no", "off")
    ttl_s = _number(variables, "REDIS_CACHE_TTL_SECONDS", TTL_S)
    if not (host and enabled):
        return LruCache(count, ttl_s=ttl_s) if wanted else None
    port, db = _number(variables, "REDIS_PORT", 6379), _number(variables, "REDIS_DB", 0)
    return RedisCache(count, ttl_s=ttl_s, host=host, port=port, db=db, password=variables.get("REDIS_PASSWORD") or None)


def _number(variables: Mapping[str, str], name: str, default: int) -> int:
    text = variables.get(name) or str(default)
    if not text.isdecimal() or (name.endswith("SECONDS") and int(text) == 0):
        what = f"{name} is {text!r}, which is no whole number"
        raise UserError(what, where="environment", remedy=f"{name}={default}")
    return int(text)

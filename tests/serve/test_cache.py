"""Answers that are kept: by what they depend on, for a time, and by a Redis that may fail."""

import shutil
import signal
import socket
import subprocess
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import pytest
import redis

from pipeline.contract.serving import ModelIdentity
from pipeline.errors import UserError
from pipeline.serve.cache import KeyMaker, LruCache, RedisCache, open_cache
from schemas.rows import Example
from tests.registry.mlflow_server import free_port

needs_redis = pytest.mark.skipif(
    shutil.which("redis-server") is None, reason="there is no redis-server: apt-get install redis-server"
)
IDENTITY = ModelIdentity(
    task="toy",
    path=Path("a"),
    weights_hash="aa",
    brain_spec_hash="bb",
    metadata_hash="cc",
    created_at="",
    brain_spec={},
    metadata={},
)


class Question(Example, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What a toy is asked."""

    levels: tuple[float, ...] = ()


def ask(*levels: float, id: str = "a") -> Question:
    return Question(task="toy", id=id, levels=levels)


def test_a_key_is_of_what_is_asked_and_not_of_its_id() -> None:
    key = KeyMaker(IDENTITY, {"temperature": 0}).key
    assert key(ask(1.0, 2.0)) == key(ask(1.0, 2.0, id="b"))
    assert key(ask(1.0, 2.0)) != key(ask(2.0, 1.0))


@pytest.mark.parametrize("field", ["task", "weights_hash", "brain_spec_hash", "metadata_hash"])
def test_another_model_has_other_keys(field: str) -> None:
    other = replace(IDENTITY, **{field: "other"})
    assert KeyMaker(IDENTITY, {}).key(ask(1.0)) != KeyMaker(other, {}).key(ask(1.0))


def test_other_decoding_and_another_release_have_other_keys() -> None:
    keys = {
        maker.key(ask(1.0))
        for maker in (KeyMaker(IDENTITY, {}), KeyMaker(IDENTITY, {"top_k": 1}), KeyMaker(IDENTITY, {}, "0.2"))
    }
    assert len(keys) == 3


def test_the_entry_that_was_not_asked_for_longest_goes() -> None:
    counts: Counter[str] = Counter()
    cache = LruCache(lambda event: counts.update([event]), num_entries=2)
    cache.put(b"a", b"1")
    cache.put(b"b", b"2")
    assert cache.get(b"a") == b"1"
    cache.put(b"c", b"3")
    assert (cache.get(b"a"), cache.get(b"b"), cache.get(b"c")) == (b"1", None, b"3")
    assert counts == {"hit": 3, "miss": 1}


def test_an_entry_that_is_too_old_is_not_there(monkeypatch: pytest.MonkeyPatch) -> None:
    cache = LruCache(lambda event: None, ttl_s=10)
    cache.put(b"a", b"1")
    now = time.monotonic()
    monkeypatch.setattr(time, "monotonic", lambda: now + 11)
    assert cache.get(b"a") is None


def test_there_is_none_unless_one_is_asked_for() -> None:
    assert open_cache(lambda event: None, variables={}) is None
    assert isinstance(open_cache(lambda event: None, wanted=True, variables={}), LruCache)
    assert isinstance(open_cache(lambda event: None, variables={"REDIS_HOST": "here"}), RedisCache)
    off = {"REDIS_HOST": "here", "REDIS_ENABLE_CACHE": "false"}
    assert open_cache(lambda event: None, variables=off) is None


@pytest.mark.parametrize(("name", "text"), [("REDIS_PORT", "six"), ("REDIS_CACHE_TTL_SECONDS", "0")])
def test_a_variable_that_is_no_number_is_named(name: str, text: str) -> None:
    with pytest.raises(UserError, match=name):
        open_cache(lambda event: None, variables={"REDIS_HOST": "here", name: text})


@contextmanager
def redis_server(port: int, *more: str) -> Iterator["subprocess.Popen[bytes]"]:
    """A real Redis that keeps nothing on disk."""
    command = ["redis-server", "--port", str(port), "--bind", "127.0.0.1", "--save", "", "--appendonly", "no", *more]
    server = subprocess.Popen(command, stdout=subprocess.DEVNULL)
    try:
        while server.poll() is None:
            with socket.socket() as client:
                if client.connect_ex(("127.0.0.1", port)) == 0:
                    break
            time.sleep(0.02)
        assert server.poll() is None
        yield server
    finally:
        server.kill()
        server.wait()


@needs_redis
def test_a_redis_that_is_killed_costs_answers_nothing_and_is_used_again_when_it_is_back() -> None:
    port, counts = free_port(), Counter[str]()
    cache = RedisCache(lambda event: counts.update([event]), port=port)
    with redis_server(port):
        cache.put(b"a", b"1")
        assert cache.get(b"a") == b"1" and cache.get(b"b") is None
        assert (cache.memory_bytes() or 0) > 0
    assert cache.get(b"a") is None and not cache.is_used
    for _ in range(100):
        cache.put(b"a", b"1")
    assert counts == {"hit": 1, "miss": 2, "failure": 1}
    with redis_server(port):
        deadline = time.monotonic() + 60
        while cache.get(b"a") is None and time.monotonic() < deadline:
            cache.put(b"a", b"2")
            time.sleep(0.05)
        assert cache.get(b"a") == b"2"


@needs_redis
def test_a_redis_that_hangs_is_left_alone() -> None:
    port, counts = free_port(), Counter[str]()
    with redis_server(port) as server:
        cache = RedisCache(lambda event: counts.update([event]), port=port)
        cache.put(b"a", b"1")
        server.send_signal(signal.SIGSTOP)
        try:
            assert cache.get(b"a") is None and not cache.is_used
            assert cache.memory_bytes() is None
        finally:
            server.send_signal(signal.SIGCONT)
    assert counts["failure"] == 1


@needs_redis
def test_answers_end_in_a_redis_after_their_time_and_passwords_are_needed() -> None:
    port, counts = free_port(), Counter[str]()

    def there(password: str) -> RedisCache:
        return RedisCache(lambda event: counts.update([event]), port=port, password=password, ttl_s=120)

    with redis_server(port, "--requirepass", "open sesame"):
        there("open sesame").put(b"a", b"1")
        client = redis.Redis(port=port, password="open sesame")
        assert 100 < client.ttl(b"baton:a") <= 120
        assert there("wrong").get(b"a") is None
    assert counts == {"failure": 1, "miss": 1}

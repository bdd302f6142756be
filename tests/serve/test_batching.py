"""Who runs a model: what waits is answered at once, what is given up never begins, what fails fails alone."""

import asyncio
import threading
import time
from collections.abc import Sequence
from pathlib import Path

import pytest
from prometheus_client import CollectorRegistry, Histogram, generate_latest

from pipeline.contract.serving import ModelIdentity
from pipeline.errors import UserError
from pipeline.serve.batching import QUICK_BELOW_S, Batching
from pipeline.serve.metrics import BUCKETS_MS, Metrics, Noted


class Doubling:
    """Answers numbers with twice what they are, from 100 on not at all; waits at ``gate`` where it has one, and takes
    ``takes_s``."""

    def __init__(self, gate: threading.Event | None = None, takes_s: float = 0.0) -> None:
        self.identity = ModelIdentity("t", Path("m"), "0" * 64, "", "", "", {}, {})
        self.takes_s = takes_s
        self.gate, self.calls, self.threads = gate, list[list[int]](), set[str]()

    def answer(self, examples: Sequence[int]) -> list[int]:
        if self.gate:
            assert self.gate.wait(30)
        time.sleep(self.takes_s)
        self.calls.append([*examples])
        self.threads.add(threading.current_thread().name)
        if max(examples) >= 100:
            raise UserError("too much")
        return [2 * one for one in examples]


async def test_what_waits_while_the_model_is_busy_is_its_next_batch() -> None:
    gate = threading.Event()
    model, batching = Doubling(gate, 2 * QUICK_BELOW_S), Batching(Metrics(), max_batch=4)
    gate.set()
    for n in range(9):
        await batching.answer(model, [n], 30)
    model.calls.clear()
    gate.clear()
    asked = [asyncio.create_task(batching.answer(model, [n], 30)) for n in range(8)]
    await asyncio.sleep(0.1)  # all of them wait, and the first is at the gate
    gate.set()
    assert [await one for one in asked] == [[2 * n] for n in range(8)]
    batching.close()
    sizes = [len(call) for call in model.calls]
    assert sum(sizes) == 8 and max(sizes) == 4 and len(sizes) <= 3 and model.threads == {"model"}


async def test_requests_of_several_records_come_to_no_larger_call_together() -> None:
    gate = threading.Event()
    model, batching = Doubling(gate), Batching(Metrics(), max_batch=4)
    first = asyncio.create_task(batching.answer(model, [1, 2], 30))
    await asyncio.sleep(0.05)  # it is at the gate
    asked = [asyncio.create_task(batching.answer(model, [n, n + 1, n + 2], 30)) for n in (10, 20)]
    await asyncio.sleep(0.05)
    gate.set()
    assert [await one for one in (first, *asked)] == [[2, 4], [20, 22, 24], [40, 42, 44]]
    batching.close()
    assert model.calls == [[1, 2], [10, 11, 12, 20], [21, 22]]


async def test_what_was_given_up_before_it_began_never_begins() -> None:
    gate = threading.Event()
    model, batching = Doubling(gate), Batching(Metrics(), max_batch=1)
    first = asyncio.create_task(batching.answer(model, [1], 30))
    await asyncio.sleep(0.05)
    with pytest.raises(TimeoutError):
        await batching.answer(model, [2], 0.05)
    gate.set()
    assert await first == [2]
    assert await batching.answer(model, [3], 30) == [6]
    batching.close()
    assert model.calls == [[1], [3]]


async def test_a_record_that_fails_fails_alone() -> None:
    model, batching = Doubling(), Batching(Metrics(), max_batch=10)
    one, wrong, other = await batching.answer(model, [1, 100, 3], 30)
    assert (one, other) == (2, 6) and isinstance(wrong, UserError)
    batching.close()


async def test_a_quick_model_is_run_where_the_request_arrives() -> None:
    model, batching = Doubling(), Batching(Metrics(), max_batch=10)
    for n in range(12):
        assert await batching.answer(model, [n], 30) == [2 * n]
    model.threads.clear()
    assert await batching.answer(model, [1], 30) == [2]
    assert model.threads == {threading.main_thread().name}
    batching.close()


async def test_a_quick_model_that_comes_to_a_busy_server_is_measured_all_the_same() -> None:
    gate = threading.Event()
    model, batching = Doubling(gate), Batching(Metrics(), max_batch=10)
    asked = [asyncio.create_task(batching.answer(model, [n], 30)) for n in range(20)]
    await asyncio.sleep(0.1)
    gate.set()
    assert [await one for one in asked] == [[2 * n] for n in range(20)]
    model.threads.clear()
    assert await batching.answer(model, [1], 30) == [2]
    assert model.threads == {threading.main_thread().name}
    batching.close()


async def test_what_comes_to_a_quick_model_in_one_turn_of_the_loop_is_one_batch() -> None:
    model, batching = Doubling(), Batching(Metrics(), max_batch=4)
    for n in range(12):
        await batching.answer(model, [n], 30)
    model.calls.clear()
    assert await asyncio.gather(*(batching.answer(model, [n], 30) for n in range(6))) == [[2 * n] for n in range(6)]
    assert model.calls == [[0, 1, 2, 3], [4, 5]]
    batching.close()


def test_what_was_noted_is_counted_as_if_it_had_been_observed_one_by_one() -> None:
    values = [0.0, 0.01, 0.011, 3.0, 3.5, 10000.0, 12345.0]
    noted, plain = CollectorRegistry(), CollectorRegistry()
    together = Noted("took_ms", "Time.", noted)
    one_by_one = Histogram("took_ms", "Time.", registry=plain, buckets=BUCKETS_MS)
    for value in values:
        together.observe(value)
        one_by_one.observe(value)
    assert noted.get_sample_value("took_ms_count") == 0
    together.count()
    together.count()

    def counted(registry: CollectorRegistry) -> list[bytes]:
        return [line for line in generate_latest(registry).splitlines() if b"_created" not in line]

    assert counted(noted) == counted(plain)

"""What goes wrong around a server: clients that are slow, cut off or greedy, disks that fill up, workers that die."""

import json
import os
import shutil
import signal
import socket
import subprocess
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import httpx
import pytest

from pipeline.files import scan
from pipeline.files.shared import append_lines
from tests.files.test_full_disk import kinds, mount
from tests.serve.conftest import SCENARIO, Server, Start, problem, running
from tests.serve.test_answer import examples_of, model_of, request_of
from tests.support.zygote import Zygote

JSON = {"content-type": "application/json"}
BODY = json.dumps(SCENARIO).encode()


def rows_of(server: Server) -> list[dict[str, Any]]:
    """All rows of the request log, each file whole."""
    rows: list[dict[str, Any]] = []
    for path in server.log.rglob("predictions*.jsonl"):
        found = scan(path, dict)
        assert found.torn is None, path
        rows += found.rows
    return rows


def connection(server: Server) -> socket.socket:
    where = urlsplit(server.url)
    assert where.hostname and where.port
    return socket.create_connection((where.hostname, where.port), timeout=30)


def head(length: str) -> bytes:
    return f"POST /v1/predict HTTP/1.1\r\nHost: here\r\nContent-Type: application/json\r\n{length}\r\n\r\n".encode()


# limits


@pytest.fixture(scope="module")
def small(zygote: Zygote, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A server that takes little: a megabyte within two seconds, three requests at a time."""
    limits = ("--max-body-mb", "1", "--body-timeout", "2", "--max-in-flight", "3", "--timeout", "60")
    with running(zygote, tmp_path_factory.mktemp("small"), "gridworld", "--model", "minimal", *limits) as server:
        yield server


def test_a_body_that_is_too_large_is_refused_before_it_is_read(small: Server) -> None:
    with connection(small) as stated:
        stated.sendall(head(f"Content-Length: {10**12}"))
        assert stated.recv(1000).startswith(b"HTTP/1.1 413 ")
    with connection(small) as unstated, pytest.raises(OSError):  # as soon as it has sent more
        unstated.sendall(head("Transfer-Encoding: chunked"))
        for _ in range(200):
            unstated.sendall(b"8000\r\n" + b" " * 0x8000 + b"\r\n")
            time.sleep(0.001)
    with small.client() as client:
        assert client.post("/v1/predict", json=SCENARIO).status_code == 200


def test_slow_and_cut_bodies_keep_nobody_else_waiting(small: Server) -> None:
    with connection(small) as slow, connection(small) as cut:
        slow.sendall(head("Content-Length: 100") + b"{")
        cut.sendall(head("Content-Length: 100") + b"{")
        cut.close()
        with small.client() as client:
            assert client.post("/v1/predict", json=SCENARIO).status_code == 200
        assert slow.recv(1000).startswith(b"HTTP/1.1 408 ")
    assert small.metric('inference_errors_total{error_type="slow"}', 1) == 1
    assert small.metric("inference_active_requests", 1) == 1  # the one that asks for it


def test_what_is_no_http_is_answered_or_hung_up_on(server: Server) -> None:
    for sent in (b"\x16\x03\x01\x02\x00\x01\x00", b"GET / HTTP/9.9\r\n\r\n", head("Content-Length: x"), b"\r\n" * 5):
        with connection(server) as strange:
            strange.sendall(sent)
            strange.shutdown(socket.SHUT_WR)
            assert b" 200 " not in strange.recv(1000)
    with server.client() as client:
        assert client.get("/health").status_code == 200


def test_an_answer_that_takes_too_long_is_given_up(start: Start) -> None:
    server = start("gridworld", "--model", "minimal", "--timeout", "0.001")
    with server.client() as client:
        assert problem(client.post("/v1/predict", json=SCENARIO)) == (504, "timeout")
        assert client.get("/health").status_code == 200
    assert rows_of(server) == []


def test_more_requests_than_may_be_in_flight_are_told_to_come_again(small: Server) -> None:
    with ThreadPoolExecutor(8) as pool, small.client() as client:
        answers = list(pool.map(lambda _: client.post("/v1/predict", json=SCENARIO), range(16)))
    refused = [answer for answer in answers if answer.status_code != 200]
    assert refused and len(refused) < 16
    assert all(problem(one) == (503, "busy") and one.headers["retry-after"] == "1" for one in refused)


def test_a_client_that_asks_too_often_is_told_when_to_come_again(start: Start) -> None:
    server = start("gridworld", "--model", "minimal", "--rate", "3")
    with server.client() as client:
        answers = [client.get("/v1/model") for _ in range(8)]
        assert [one.status_code for one in answers[:3]] == [200] * 3
        assert problem(answers[-1]) == (429, "too_often")
        time.sleep(float(answers[-1].headers["retry-after"]))
        assert client.get("/v1/model").status_code == 200


# the log


@pytest.mark.parametrize("kind", kinds())
def test_a_disk_that_fills_up_under_the_log_costs_rows_and_no_answer(kind: str, start: Start, tmp_path: Path) -> None:
    log = tmp_path / "disk"
    log.mkdir()
    if kind == "small file system":
        mount("-t", "tmpfs", "-o", "size=1m", "none", log)
    try:
        limit = 6_000_000 if kind == "file size limit" else None  # as large as the model and the metrics are
        server = start("detection", "--model", model_of("detection"), log=log, max_file_bytes=limit)
        asked = json.loads(request_of("detection", examples_of("detection", 1)[0]))
        with server.client() as client:
            for number in range(20):
                body = asked | {"id": str(number), "metadata": {"long": "x" * 400_000}}
                assert client.post("/v1/predict", json=body).status_code == 200
            logged, dropped = "log_rows_total", 'log_rows_dropped_total{reason="disk"}'
            told = server.metrics_when(lambda now: now.get(logged, 0) + now.get(dropped, 0) >= 20)
            assert told[dropped] >= 1 and told[logged] + told[dropped] == 20
            assert len(rows_of(server)) == told["log_rows_total"]
            if kind == "small file system":
                mount("-o", "remount,size=64m", log)
                client.post("/v1/predict", json=asked | {"id": "later"})
                assert server.metric("log_rows_total", told["log_rows_total"] + 1) == told["log_rows_total"] + 1
        assert server.errors.count("the request log drops rows") == 1
        server.stop()
    finally:
        if kind == "small file system":
            subprocess.run(["umount", log], check=True)


def test_the_log_is_begun_anew_when_it_is_large(tmp_path: Path) -> None:
    path = tmp_path / "deep/predictions.jsonl"
    for number in range(7):
        append_lines(path, b'{"id":%d}\n' % number, rotate_at=25)
    names = ["predictions.00001.jsonl", "predictions.00002.jsonl", "predictions.00003.jsonl", "predictions.jsonl"]
    assert sorted(path.name for path in path.parent.iterdir()) == names
    assert b"".join(file.read_bytes() for file in sorted(path.parent.iterdir())).count(b"\n") == 7


def test_what_a_killed_writer_left_of_a_line_is_cut_off(tmp_path: Path) -> None:
    path = tmp_path / "predictions.jsonl"
    path.write_bytes(b'{"id":1}\n' + b'{"id":' + b"2" * 100_000)
    append_lines(path, b'{"id":3}\n')
    assert path.read_bytes() == b'{"id":1}\n{"id":3}\n'


def test_several_processes_append_whole_lines(tmp_path: Path) -> None:
    path = tmp_path / "predictions.jsonl"
    children = []
    for name in b"abcd":
        if not (pid := os.fork()):
            for _ in range(200):
                append_lines(path, bytes([name]) * 5000 + b"\n", rotate_at=1 << 20)
            os._exit(0)
        children.append(pid)
    assert [os.waitpid(pid, 0)[1] for pid in children] == [0] * 4
    lines = [line for file in tmp_path.iterdir() for line in file.read_bytes().splitlines()]
    assert len(lines) == 800 and all(len(line) == 5000 and len({*line}) == 1 for line in lines)


# the end of workers


def test_a_worker_that_is_killed_under_load_is_replaced_and_its_rows_are_whole(start: Start) -> None:
    server = start("gridworld", "--model", "minimal", "--workers", "2", "--timeout", "60")
    before = server.workers()
    failed, num_answered, over = [], [0], threading.Event()

    def ask() -> None:
        while not over.is_set():
            try:
                with server.client() as client:
                    response = client.post("/v1/predict", json=SCENARIO)
            except httpx.TransportError:
                failed.append("the worker that it was with")
            else:
                assert response.status_code == 200
                num_answered[0] += 1

    with ThreadPoolExecutor(4) as pool:
        asking = [pool.submit(ask) for _ in range(4)]
        while num_answered[0] < 8:
            time.sleep(0.01)
        os.kill(before[0], signal.SIGKILL)
        while len({*server.workers()} - {*before}) < 1:
            time.sleep(0.05)
        so_far = num_answered[0]
        while num_answered[0] < so_far + 8:
            time.sleep(0.01)
        over.set()
        for one in asking:
            one.result()
    assert before[0] not in server.workers() and before[1] in server.workers()
    assert len(failed) <= 8
    assert server.metric("model_loaded", 1) == 1
    assert server.stop() == 130
    assert num_answered[0] - 8 <= len(rows_of(server)) <= num_answered[0] + 8


def test_a_server_that_is_told_to_end_finishes_what_is_in_flight(start: Start) -> None:
    server = start("gridworld", "--model", "minimal", "--timeout", "60")
    items = [SCENARIO | {"seed": seed} for seed in range(50)]
    with ThreadPoolExecutor(1) as pool, server.client() as client:
        asked = pool.submit(client.post, "/v1/predict/batch", json={"items": items})
        while server.metrics()["inference_active_requests"] < 2:
            time.sleep(0.01)
        assert server.stop() == 130
        assert len(asked.result().json()["items"]) == 50
    assert len(rows_of(server)) == 50


@pytest.mark.skipif(not shutil.which("wrk"), reason="needs wrk: apt-get install wrk")
def test_a_log_that_is_killed_at_any_moment_has_whole_lines(start: Start, tmp_path: Path) -> None:
    server = start("gridworld", "--model", "minimal", "--workers", "2", "--timeout", "60")
    script = tmp_path / "post.lua"
    script.write_text(
        f"wrk.method = 'POST'\nwrk.body = '{BODY.decode()}'\nwrk.headers['Content-Type'] = 'application/json'\n"
    )
    load = subprocess.Popen(
        ["wrk", "-t1", "-c8", "-d30s", "-s", script, f"{server.url}/v1/predict"], stdout=subprocess.DEVNULL
    )
    try:
        server.metric("log_rows_total", 20)
        for pid in [server.command.pid, *server.workers()]:
            os.kill(pid, signal.SIGKILL)
    finally:
        load.kill()
        load.wait()
    assert len(rows_of(server)) >= 20

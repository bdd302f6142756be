"""The HTTP backend against a real server on the loopback interface, which fails in many ways."""

import asyncio
import datetime
import json
import random
import socket
import threading
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from pipeline.run.manifest import load_manifest
from pipeline.tasks.detection.answers import Request
from pipeline.tasks.detection.infer.backends.chat import payload, read_reply
from pipeline.tasks.detection.infer.backends.server import parse_retry_after, wait_s
from pipeline.tasks.detection.recipe import Infer, Server
from tests.tasks.detection.infer.chat_server import ChatServer, Plan, chat_server, reply_of, text_of
from tests.tasks.detection.input_records import predictions, run_infer, write_records

QUICK = ("infer.server.model=toy", "infer.server.backoff_s=0.01", "infer.server.num_tries=3")
KEY = "sk-not-to-be-seen-anywhere"
# What only a time limit ends. The others go without one, which a busy machine would reach with good answers, too.
TOO_LONG = ("wait 60", "drip")


def limit_for(failure: str) -> str:
    """The setting of the time limit under which a failure is met."""
    return f"infer.server.timeout_s={1 if failure in TOO_LONG else 100}"


def ask(server: ChatServer | str, examples: Path, out: Path, *settings: str) -> int:
    url = server if isinstance(server, str) else server.url
    given = ("--backend", "server", "--input", examples, "--out", out)
    return run_infer(*given, settings=(*QUICK, f"infer.server.url={url}", *settings))


def outcomes(tmp_path: Path, plan: Plan, *settings: str, num: int = 4) -> tuple[list[Any], Any]:
    """Ask about ``num`` records; their rows, and how often each was asked about."""
    examples = write_records(tmp_path, num)
    with chat_server(plan) as server:
        assert ask(server, examples, tmp_path / "out", *settings) == 0
        return predictions(tmp_path / "out"), server.asked()


def test_answers_become_rows_in_input_order(tmp_path: Path) -> None:
    rows, asked = outcomes(tmp_path, {0: ["wait 0.3"], 1: ["wait 0.1"]}, "infer.keep_logprobs=true", num=6)
    assert [row.raw_output for row in rows] == [text_of(number) for number in range(6)]
    assert [row.preds[0].bbox_2d for row in rows] == [(number, 2, 300, 400) for number in range(6)]
    assert rows[0].tokens.ends == list(range(1, len(text_of(0)) + 1))
    assert set(asked.values()) == {1}


def test_what_is_sent_is_what_the_interface_names(tmp_path: Path) -> None:
    examples = write_records(tmp_path, 1)
    chosen = ("temperature=0.5", "top_p=0.9", "max_new_tokens=33", "repetition_penalty=1.05", "prompt=Where?")
    with chat_server() as server:
        assert ask(server, examples, tmp_path / "out", *(f"infer.{setting}" for setting in chosen)) == 0
        (request,) = server.requests
    body = request["body"]
    assert request["path"] == "/v1/chat/completions"
    assert (body["model"], body["temperature"], body["top_p"], body["max_tokens"]) == ("toy", 0.5, 0.9, 33)
    assert (body["repetition_penalty"], body["stream"], "logprobs" in body) == (1.05, False, False)
    assert body["messages"][0]["content"][1] == {"type": "text", "text": "Where?"}
    assert body["messages"][0]["content"][0]["image_url"]["url"].startswith("data:image/png;base64,")
    assert "Authorization" not in request["headers"]


@pytest.mark.parametrize("failure", ["500", "503", "429", "429 0", "break", "half", "body {", "body {}", *TOO_LONG])
def test_one_failure_is_tried_again(failure: str, tmp_path: Path) -> None:
    rows, asked = outcomes(tmp_path, {1: [failure]}, limit_for(failure), num=3)
    assert [row.raw_output for row in rows] == [text_of(number) for number in range(3)]
    assert asked == {0: 1, 1: 2, 2: 1}


@pytest.mark.parametrize(
    ("failure", "code"),
    [
        ("500", "server_failed"),
        ("429", "server_failed"),
        ("break", "server_broke_off"),
        ("half", "server_broke_off"),
        ("body nonsense", "server_malformed"),
        ('body {"choices": []}', "server_malformed"),
        ('body {"choices": [{"message": {"content": 3}}]}', "server_malformed"),
        ("drip", "server_timeout"),
    ],
)
def test_a_record_that_fails_every_time_costs_itself(failure: str, code: str, tmp_path: Path) -> None:
    rows, asked = outcomes(tmp_path, {1: [failure] * 9}, limit_for(failure), num=3)
    assert [row.error for row in rows] == [None, code, None]
    assert (rows[1].status, rows[1].raw_output, rows[1].preds) == ("not_run", "", [])
    assert "3 times" in rows[1].error_detail
    assert asked == {0: 1, 1: 3, 2: 1}


def test_a_request_that_is_refused_is_not_repeated(tmp_path: Path) -> None:
    rows, asked = outcomes(tmp_path, {1: ["400"], 2: ["413"]})
    assert [row.error for row in rows] == [None, "server_refused", "server_refused", None]
    assert set(asked.values()) == {1}


def test_no_more_requests_at_once_than_allowed(tmp_path: Path) -> None:
    examples = write_records(tmp_path, 12)
    plan = {number: ["meet 3" if number < 3 else "wait 0.05"] for number in range(12)}
    with chat_server(plan) as server:
        assert ask(server, examples, tmp_path / "out", "infer.server.num_parallel=3") == 0
        assert server.most_active == 3


def test_retry_after_is_waited_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    waits: list[float] = []
    sleep = asyncio.sleep

    async def noted(delay_s: float) -> None:
        waits.append(delay_s)
        await sleep(0)

    monkeypatch.setattr(asyncio, "sleep", noted)
    rows, _ = outcomes(tmp_path, {0: ["429 7", "500"]}, num=1)
    assert [row.error for row in rows] == [None]
    first_s, second_s = (wait_s for wait_s in waits if wait_s)
    assert first_s == 7.0
    assert 0.01 <= second_s <= 0.02


# the key


def files_below(folder: Path) -> Sequence[Path]:
    return [path for path in folder.rglob("*") if path.is_file()]


def test_the_key_is_sent_and_never_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("TOY_KEY", KEY)
    examples = write_records(tmp_path, 3)
    with chat_server({0: ["500"] * 9, 1: ["400"]}) as server:  # its errors repeat what was sent
        assert ask(server, examples, tmp_path / "out", "infer.server.api_key_variable=TOY_KEY") == 0
        assert {request["headers"]["Authorization"] for request in server.requests} == {f"Bearer {KEY}"}
    assert "[key]" in str(predictions(tmp_path / "out")[1].error_detail)
    assert all(KEY.encode() not in path.read_bytes() for path in files_below(tmp_path / "out"))
    with chat_server({0: ["401"]}) as server:
        assert ask(server, examples, tmp_path / "refused", "infer.server.api_key_variable=TOY_KEY") == 2
    printed = capsys.readouterr()
    assert "does not accept the key" in printed.err
    assert KEY not in printed.out + printed.err
    assert all(KEY.encode() not in path.read_bytes() for path in files_below(tmp_path / "refused"))


def test_a_key_that_is_not_set_is_told_before_anything_is_asked(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.delenv("TOY_KEY", raising=False)
    given = ("http://127.0.0.1:9/v1", write_records(tmp_path, 1), tmp_path / "out")
    assert ask(*given, "infer.server.api_key_variable=TOY_KEY") == 2
    assert "export TOY_KEY" in capsys.readouterr().err


@pytest.mark.parametrize("url", ["http://me:secret@127.0.0.1/v1", "http://127.0.0.1/v1?key=secret"])
def test_a_url_that_holds_a_secret_is_refused_and_not_recorded(
    url: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert ask(url, write_records(tmp_path, 1), tmp_path / "out") == 2
    assert "would be written into the manifest" in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("url", ["", "127.0.0.1:8000", "ftp://127.0.0.1/v1", "http:///v1"])
def test_a_url_that_is_none_is_refused(url: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert ask(url, write_records(tmp_path, 1), tmp_path / "out") == 2
    assert "infer.server.url" in capsys.readouterr().err


# a server that cannot be used stops the run, and the same command goes on


def free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return int(listener.getsockname()[1])


def test_a_server_that_is_not_there_stops_the_run(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert ask(f"http://127.0.0.1:{free_port()}/v1", write_records(tmp_path, 3), tmp_path / "out") == 2
    error = capsys.readouterr().err
    assert "cannot be reached" in error and "goes on" in error
    assert predictions(tmp_path / "out") == []


@pytest.mark.parametrize("status", ["401", "403", "404", "302"])
def test_an_answer_about_the_whole_server_stops_the_run(
    status: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with chat_server({number: [status] for number in range(3)}) as server:
        assert ask(server, write_records(tmp_path, 3), tmp_path / "out") == 2
    assert f"status {status}" in capsys.readouterr().err


def test_a_run_whose_server_died_goes_on_when_it_is_back(tmp_path: Path) -> None:
    examples, port, chosen = write_records(tmp_path, 8), free_port(), ("infer.server.num_parallel=1",)
    with chat_server({5: ["wait 60"]}, port) as server:
        killer = threading.Thread(target=kill_at, args=(server, 5))
        killer.start()
        assert ask(server, examples, tmp_path / "out", *chosen) == 2
        killer.join()
        before = (tmp_path / "out/predictions.jsonl").read_bytes()
        assert before.count(b"\n") == 5
    with chat_server({}, port) as server:
        assert ask(server, examples, tmp_path / "out", *chosen) == 0
        assert sorted(server.asked()) == [5, 6, 7]
    assert (tmp_path / "out/predictions.jsonl").read_bytes().startswith(before)
    assert [row.raw_output for row in predictions(tmp_path / "out")] == [text_of(number) for number in range(8)]


def kill_at(server: ChatServer, record: int) -> None:
    while record not in server.asked():
        time.sleep(0.01)
    server.die()


def test_the_manifest_says_that_the_run_cannot_be_repeated(tmp_path: Path) -> None:
    outcomes(tmp_path, {}, num=1)
    manifest = load_manifest(tmp_path / "out")
    assert manifest.notes["reproducible"] is False
    assert manifest.notes["server_model"] == "toy"
    assert manifest.notes["server_url"] == manifest.config["infer"]["server"]["url"]
    assert manifest.config["infer"]["temperature"] == 0.0


# requests and replies


def request(media_type: str = "image/png", turn: int | None = None) -> Request:
    import io

    image, exif, stream = Image.new("RGB", (8, 4), (7, 8, 9)), Image.Exif(), io.BytesIO()
    if turn is not None:
        exif[0x0112] = turn
    image.save(stream, media_type.partition("/")[2], exif=exif)
    return Request("a", image, "x", 5, stream.getvalue(), media_type)


def sent(asked: Request) -> str:
    body = json.loads(payload(asked, Infer(server=Server(model="m"))))
    return str(body["messages"][0]["content"][0]["image_url"]["url"])


def test_files_are_sent_as_they_are_unless_servers_could_read_them_differently() -> None:
    import base64

    for kind in ("image/png", "image/jpeg"):
        asked = request(kind)
        assert sent(asked) == f"data:{kind};base64,{base64.b64encode(asked.file).decode()}"
    assert sent(request("image/bmp")).startswith("data:image/png;")
    turned = sent(request("image/jpeg", turn=6))
    assert turned.startswith("data:image/png;")
    assert b"Exif" not in base64.b64decode(turned.partition("base64,")[2])


@pytest.mark.parametrize(
    ("message", "text"),
    [
        ({"content": "[]"}, "[]"),
        ({"content": None}, ""),
        ({}, ""),
        ({"content": [{"type": "text", "text": "["}, {"type": "text", "text": "]"}]}, "[]"),
    ],
)
def test_every_form_of_content_is_text(message: dict[str, Any], text: str) -> None:
    reply = {"choices": [{"message": message, "finish_reason": "stop"}]}
    assert read_reply(json.dumps(reply).encode()).text == text


def test_a_text_cut_at_the_limit_is_marked() -> None:
    assert read_reply(json.dumps(reply_of("[", "length")).encode()).cut


def test_log_probabilities_that_are_not_of_the_text_are_left_out() -> None:
    reply = reply_of("äb")
    answer = read_reply(json.dumps(reply).encode())
    assert answer.tokens is not None and answer.tokens.ends == [1, 2]
    reply["choices"][0]["logprobs"]["content"][0]["bytes"] = [65]
    assert read_reply(json.dumps(reply).encode()).tokens is None
    reply["choices"][0]["logprobs"] = {"content": [{"token": 3}]}
    assert read_reply(json.dumps(reply).encode()).tokens is None


@pytest.mark.parametrize("data", [b"", b"\xff", b"[]", b'{"choices": [{}]}', b'{"choices": "x"}', b"[" * 100_000])
def test_a_body_that_is_no_reply_is_malformed(data: bytes) -> None:
    with pytest.raises(ValueError, match="does not read"):
        read_reply(data)


# waits

SERVER = Server(backoff_s=1.0, max_wait_s=10.0)


def test_waits_double_up_to_a_limit_and_are_drawn_from_the_stream() -> None:
    drawn = [wait_s(SERVER, attempt, random.Random(0), None) for attempt in (1, 2, 3, 4, 5, 500)]
    assert drawn == [pytest.approx(most * drawn[0]) for most in (1, 2, 4, 8, 10, 10)]
    assert 0.5 <= drawn[0] <= 1.0
    assert wait_s(SERVER, 1, random.Random(1), None) != drawn[0]


def test_retry_after_is_a_number_or_a_date_and_bounded() -> None:
    now = datetime.datetime(2026, 1, 2, 3, 4, 5, tzinfo=datetime.UTC)
    assert parse_retry_after("3") == 3.0
    assert parse_retry_after("Fri, 02 Jan 2026 03:04:35 GMT", now) == 30.0
    assert parse_retry_after("Fri, 02 Jan 2026 03:04:00 GMT", now) == 0.0
    assert [parse_retry_after(text) for text in (None, "", "-3", "soon", "1e9")] == [0.0] * 5
    assert wait_s(SERVER, 1, random.Random(0), "3600") == 10.0

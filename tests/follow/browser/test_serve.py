"""`baton follow --web`: a real server on a file that grows, and those who watch."""

import json
import signal
import socket
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import httpx
import msgspec
import pytest
from websockets.exceptions import ConnectionClosed, InvalidStatus
from websockets.sync.client import connect

from pipeline.contract.load import load_part
from pipeline.files import encode
from pipeline.follow.play import play as whole_play
from pipeline.follow.scene import FollowPart
from tests.conftest import Baton
from tests.follow.browser.watcher import Watcher, serving
from tests.follow.test_training import finish
from tests.support.zygote import BATON, Zygote
from tests.tasks.gridworld.fake_episodes import Play, play
from tests.tasks.gridworld.fake_predictions import Fake, fake_predictions

PAGE = ("script-src 'self'", "default-src 'none'", "frame-ancestors 'none'")
Watch = Callable[..., Watcher]


def line(index: int, **more: Any) -> bytes:
    """A line of the file: a short episode, of which each has another id."""
    return encode(msgspec.structs.replace(play(Play(seed=index, max_steps=3, index=index)), **more))


def write(path: Path, *indices: int, mode: str = "ab") -> None:
    with path.open(mode) as file:
        file.write(b"".join(line(index) for index in indices))


def name(index: int) -> str:
    return f"env{index % 4}-{index:05d}"


def names(*indices: int) -> list[str]:
    return [name(index) for index in indices]


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "episodes.jsonl"


@pytest.fixture
def url(zygote: Zygote, path: Path) -> Iterator[str]:
    with serving(zygote, path) as (url, _):
        yield url


@pytest.fixture
def watch() -> Iterator[Watch]:
    """``watch(url, after)`` opens a watcher."""
    opened: list[Watcher] = []

    def start(url: str, after: str | None = None, **how: Any) -> Watcher:
        opened.append(Watcher(url, after, **how))
        return opened[-1]

    yield start
    for watcher in opened:
        watcher.close()


# Episodes.


def test_an_episode_that_ends_is_told_to_all_as_the_row_says(url: str, path: Path, watch: Watch) -> None:
    watchers = [watch(url) for _ in range(3)]
    hello: dict[str, Any] = {"type": "hello", "task": "gridworld", "run": "episodes.jsonl", "token_needed": False}
    filters = {"d": "deaths", "b": "best so far", "c": "stage changes"}
    hello["filters"] = [{"key": key, "name": name} for key, name in filters.items()]
    assert watchers[0].hello == {**hello, "keep": 20, "ended": None}
    assert "there is no such file yet" in watchers[0].told("state")["waiting"]
    row = play(Play(seed=7, index=7))
    path.write_bytes(encode(row))
    told = json.loads(msgspec.json.encode(whole_play(load_part("gridworld", FollowPart), row)))
    for watcher in watchers:
        (seen,) = watcher.plays(1)
        assert seen["head"] == {key: value for key, value in told.items() if key != "changes"}
        assert watcher.whole(row.id) == told
        kept = ["deaths", "best so far"] if row.died else ["best so far"]
        assert watcher.rows(1) == [{**{key: told[key] for key in ("id", "line", "summary")}, "kept": kept}]
        assert (seen["dropped"], watcher.told("state", recorded=1)["waiting"]) == (0, "")
    write(path, 8)
    assert [watcher.ids(1) for watcher in watchers] == [[name(8)]] * 3


def test_who_comes_late_gets_the_last_20_and_any_other_that_it_asks_for(url: str, path: Path, watch: Watch) -> None:
    write(path, *range(25))
    watcher = watch(url)
    assert watcher.ids(20) == names(*range(5, 25))
    assert [row["id"] for row in watcher.rows(25)] == names(*range(25))
    cursor = watcher.cursor
    assert (watcher.whole(name(2))["id"], watcher.cursor) == (name(2), cursor)
    watcher.say(type="get", id="nobody")
    assert watcher.until("error", id="nobody")["what"] == "there is no episode of that id"
    write(path, 25)
    assert watcher.ids(1) == [name(25)]


def test_a_client_that_comes_back_goes_on_without_gap_or_duplicate(url: str, path: Path, watch: Watch) -> None:
    write(path, 0, 1)
    first = watch(url)
    assert first.ids(2) == names(0, 1)
    first.close()
    write(path, 2, 3)
    again = watch(url, first.cursor)
    assert again.ids(2) == names(2, 3)
    write(path, 4)
    assert again.ids(1) == [name(4)]
    assert [seen["type"] for seen in again.seen].count("restart") == 0
    write(path, *range(5, 30))
    again.told("state", recorded=30)
    far_behind = watch(url, first.cursor)
    assert far_behind.ids(20) == names(*range(10, 30))


def test_a_client_that_was_cut_off_in_an_episode_gets_it_whole_when_it_asks_again(
    url: str, path: Path, watch: Watch
) -> None:
    path.write_bytes(encode(play(Play(seed=1, index=1))))
    first = watch(url)
    assert first.ids(1) == [name(1)]
    first.say(type="get", id=name(1))
    first.until("changes")
    first.close()
    again = watch(url, first.cursor)
    whole = again.whole(name(1))
    assert len(whole["changes"]) == whole["num_frames"] - 1
    assert [seen["cursor"] for seen in again.seen if seen["type"] == "play"] == [None]  # it has been told before


def test_who_asks_for_another_one_gets_no_more_of_the_one_before(url: str, path: Path, watch: Watch) -> None:
    path.write_bytes(b"".join(encode(play(Play(seed=index, index=index))) for index in range(2)))
    watcher = watch(url)
    watcher.plays(2)
    watcher.say(type="get", id=name(0))
    assert watcher.whole(name(1))["id"] == name(1)
    assert watcher.whole(name(0))["id"] == name(0)


def test_a_server_that_is_killed_and_started_again_leaves_no_gap(zygote: Zygote, path: Path, watch: Watch) -> None:
    write(path, 0, 1, 2)
    with serving(zygote, path) as (url, command):
        before = watch(url)
        assert before.ids(3) == names(0, 1, 2)
        command.kill()
    with pytest.raises(ConnectionClosed):
        before.plays(1)
    write(path, 3)
    port = str(urlsplit(url).port)
    with serving(zygote, path, "--port", port) as (url, _):
        after = watch(url, before.cursor)
        write(path, 4)
        assert after.ids(2) == names(3, 4)


def test_a_cursor_of_something_else_starts_with_the_newest_and_says_so(url: str, path: Path, watch: Watch) -> None:
    write(path, 0)
    for after in ("", "1:2", "::", "0:0:nobody", "\0" * 100):
        watcher = watch(url, after)
        assert watcher.ids(1) == [name(0)]
        assert "another one" in watcher.told("restart")["what"]


def test_a_file_that_is_replaced_or_cut_is_told_and_read_anew(url: str, path: Path, watch: Watch) -> None:
    path.with_name("progress.jsonl").write_text('{"step":1,"loss":2.0}\n')
    write(path, 0, 1, 2)
    watcher = watch(url)
    assert watcher.ids(3) == names(0, 1, 2)
    watcher.told("curves", whole=True)
    path.write_bytes(path.read_bytes().split(b"\n")[0] + b"\n")
    assert watcher.until("restart")["what"] == "the file was cut"
    assert watcher.ids(1) == [name(0)]
    other = path.with_name("other")
    write(other, 9)
    other.replace(path)
    assert watcher.until("restart")["what"] == "the file was replaced"
    watcher.seen.clear()
    assert watcher.ids(1) == [name(9)]
    assert watcher.told("index")["from"] == 0
    watcher.told("curves", whole=True)
    stale = watch(url, f"{(watcher.cursor or '').split(':')[0]}:12345:{name(9)}")
    assert stale.ids(1) == [name(9)]
    assert stale.told("restart")


def test_who_does_not_keep_up_is_sent_what_fits_and_then_the_newest_with_a_count(
    url: str, path: Path, watch: Watch
) -> None:
    slow, quick = watch(url, acknowledges=False), watch(url)
    for index in range(12):
        write(path, index)
        assert quick.ids(1) == [name(index)]
    assert slow.ids(6) == names(0, 1, 2, 3, 4, 5)
    slow.rows(12)
    assert slow.whole(name(3))["id"] == name(3)  # what it asks for comes nevertheless
    slow.say(type="ack", id=name(0))
    assert slow.told("play", id=name(11))["dropped"] == 5
    assert quick.told("play", id=name(11))["dropped"] == 0


def test_one_that_never_reads_takes_nothing_from_the_others(url: str, path: Path, watch: Watch) -> None:
    parts = urlsplit(url)
    with socket.create_connection((parts.hostname, parts.port)) as deaf:
        deaf.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        key = "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n"
        upgrade = (
            f"GET /live HTTP/1.1\r\nHost: {parts.netloc}\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n{key}\r\n"
        )
        text = b'{"type":"start"}'
        deaf.sendall(upgrade.encode() + bytes([0x81, 0x80 | len(text), 0, 0, 0, 0]) + text)
        watcher = watch(url)
        for index in range(30):
            path.open("ab").write(encode(play(Play(seed=index, index=index, max_steps=100))))
            assert watcher.ids(1) == [name(index)]


# The training.


def test_the_end_of_a_training_is_told(url: str, path: Path, watch: Watch) -> None:
    write(path, 0)
    watcher = watch(url)
    assert watcher.told("state", recorded=1)["ended"] is None
    finish(path.parent, "error")
    watcher.told("state", ended="failed")
    assert watch(url).hello["ended"] == "failed"
    assert watch(url).ids(1) == [name(0)]


def test_a_line_that_was_never_finished_keeps_nobody_waiting(zygote: Zygote, path: Path, watch: Watch) -> None:
    write(path, 0)
    with path.open("ab") as file:
        file.write(line(1)[:100])
    with serving(zygote, path) as (url, _):
        watcher = watch(url)
        assert watcher.ids(1) == [name(0)]
        assert watcher.told("state", recorded=1)["waiting"] == ""
        with path.open("ab") as file:
            file.write(line(1)[100:])
        assert watcher.ids(1) == [name(1)]


def test_a_file_that_is_deleted_is_told_and_what_was_shown_stays(url: str, path: Path, watch: Watch) -> None:
    write(path, 0)
    watcher = watch(url)
    assert watcher.ids(1) == [name(0)]
    path.unlink()
    watcher.told("state", ended="deleted")
    assert watcher.whole(name(0))["id"] == name(0)
    write(path, 5)
    watcher.until("restart")
    assert watcher.ids(1) == [name(5)]


def test_curves_are_told_as_they_grow(url: str, path: Path, watch: Watch) -> None:
    progress, monitor = path.with_name("progress.jsonl"), path.with_name("monitor.jsonl")
    progress.write_text('{"id":"a","step":1,"env_index":3,"return_total":2.5,"died":true,"cause":"energy"}\n')
    watcher = watch(url)
    told = watcher.until("curves")
    assert told == {"type": "curves", "whole": True, "progress": {"return_total": [[1, 2.5]], "died": [[1, 1.0]]}} | {
        "monitor": {}
    }
    monitor.write_text('{"step":5,"loss":0.5,"average_precision":null}\n')
    told = watcher.until("curves")
    assert told == {"type": "curves", "whole": False, "progress": {}, "monitor": {"loss": [[5, 0.5]]}}
    late = watch(url).until("curves")
    assert (late["whole"], late["progress"]["died"], late["monitor"]["loss"]) == (True, [[1, 1.0]], [[5, 0.5]])


def test_predictions_are_replayed_and_those_without_steps_counted(zygote: Zygote, tmp_path: Path, watch: Watch) -> None:
    rows = fake_predictions(Fake(num_records=5, num_traces=2))
    path = tmp_path / "demo/infer/predictions.jsonl"
    path.parent.mkdir(parents=True)
    path.write_bytes(b"".join(encode(row) for row in rows))
    with serving(zygote, path) as (url, _):
        watcher = watch(url)
        assert watcher.hello["run"] == "demo"
        plays = watcher.plays(2)
        assert [seen["id"] for seen in plays] == [row.id for row in rows[:2]]
        assert [len(watcher.whole(row.id)["changes"]) for row in rows[:2]] == [row.num_steps for row in rows[:2]]
        assert watcher.told("state", recorded=2)["unplayed"].startswith("3 ")


def test_a_second_model_says_what_it_would_do(zygote: Zygote, path: Path, watch: Watch) -> None:
    path.write_bytes(encode(play(Play(seed=1, max_steps=3, level="full"))))
    with serving(zygote, path, "--model", "full") as (url, _):
        (seen,) = watch(url).plays(1)
    assert any("other" in option for option in seen["head"]["first"]["choices"]["options"])


# Who may connect.


def status_of(url: str, **how: Any) -> int:
    with pytest.raises(InvalidStatus) as caught:
        Watcher(url, **how)
    return caught.value.response.status_code


def test_pages_of_other_origins_and_other_names_are_refused(url: str, path: Path, watch: Watch) -> None:
    netloc = urlsplit(url).netloc
    assert status_of(url, origin="http://evil.example") == 403
    assert status_of(url, origin="http://127.0.0.1:1") == 403
    assert status_of(url, origin="null") == 403
    assert httpx.get(url, headers={"Host": "evil.example"}).status_code == 403
    assert httpx.get(url, headers={"Host": f"localhost:{urlsplit(url).port}"}).status_code == 200
    assert watch(url, origin=f"http://{netloc}").hello["type"] == "hello"


def test_nothing_but_the_page_is_served_and_it_may_run_nothing_else(url: str, path: Path) -> None:
    write(path, 0)
    page = httpx.get(url)
    assert page.status_code == 200 and "<script" in page.text
    assert all(rule in page.headers["content-security-policy"] for rule in PAGE)
    assert (page.headers["x-content-type-options"], page.headers["referrer-policy"]) == ("nosniff", "no-referrer")
    port = urlsplit(url).port
    tries = [
        "/episodes.jsonl",
        "/../serve.py",
        "/%2e%2e/serve.py",
        "/..%2fserve.py",
        "//etc/passwd",
        "/serve.py",
        "/live",
    ]
    for target in tries:
        with socket.create_connection(("127.0.0.1", port)) as raw:
            raw.sendall(f"GET {target} HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\n\r\n".encode())
            assert raw.makefile().readline().split()[1] in ("404", "403"), target
    assert httpx.post(url).status_code == 405


def test_with_a_token_only_who_knows_it_sees_episodes(zygote: Zygote, path: Path, watch: Watch) -> None:
    write(path, 0)
    with serving(zygote, path, "--host", "0.0.0.0", "--token", "a secret/of mine") as (url, _):
        port = urlsplit(url).port
        assert url.endswith("/?token=a%20secret%2Fof%20mine")
        for wrong in ("", "?token=", "?token=a%20secret", "?token=%ff%00"):
            with connect(f"ws://127.0.0.1:{port}/live{wrong}") as stranger:
                assert "needs its token" in json.loads(stranger.recv())["what"]
                with pytest.raises(ConnectionClosed):
                    stranger.recv()
            assert stranger.close_code == 1008
        assert watch(f"http://127.0.0.1:{port}/?{urlsplit(url).query}").ids(1) == [name(0)]


@pytest.mark.parametrize(
    "said", ["", "[]", '{"type":"ack"}', '{"type":"get","id":"x"}', '{"type":"start","after":1}', "x" * 70_000, b"\xff"]
)
def test_who_says_something_else_is_closed(url: str, path: Path, watch: Watch, said: str | bytes) -> None:
    parts = urlsplit(url)
    with connect(f"ws://{parts.netloc}/live") as other:
        other.recv()
        other.send(said)
        with pytest.raises(ConnectionClosed):
            while True:
                other.recv(30)
    write(path, 0)
    assert watch(url).ids(1) == [name(0)]


# Hostile rows.


def test_hostile_text_harms_nobody(url: str, path: Path, watch: Watch) -> None:
    html = "</script><img src=x onerror=alert(1)>\x1b[2J\u202e"
    long = "x" * (1 << 20)
    torn = line(3).replace(b'"full"', b'"\\ud800"').replace(b'"temporal"', b'"\\ud800"')
    path.write_bytes(line(0, id=html) + line(1, id=long) + b'{"torn": \n' + torn + line(2, cause=long))
    watcher = watch(url)
    first, second = watcher.plays(2)
    assert (first["id"], second["id"]) == (html, name(2))
    assert max(len(json.dumps(seen)) for seen in watcher.seen) < 5 << 20
    row = watcher.rows(2)[1]
    assert (row["id"], len(row["line"]) <= 2000) == (name(2), True)
    assert watcher.told("state", recorded=2)["skipped"] == 3


# The end.


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_it_ends_with_130_when_it_is_interrupted_and_says_goodbye(
    zygote: Zygote, path: Path, watch: Watch, number: signal.Signals
) -> None:
    with serving(zygote, path) as (url, command):
        watcher = watch(url)
        watcher.until("state")
        command.signal(number)
        with pytest.raises(ConnectionClosed):
            while True:
                watcher.read()
        done = command.finish()
    assert (done.code, watcher.socket.close_code) == (130, 1012)
    assert done.err == "error: interrupted\n"


def test_what_is_wrong_is_told_at_once(baton: Baton, tmp_path: Path, path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        done = baton("follow", "gridworld", "--input", path, "--web", "--port", str(other.getsockname()[1]))
    assert (done.code, "this port is in use" in done.err) == (2, True)
    done = baton("follow", "gridworld", "--input", path, "--web", "--host", "0.0.0.0")
    assert (done.code, "only connect with a token" in done.err) == (2, True)
    done = baton("follow", "gridworld", "--input", tmp_path, "--web", "--port", "0")
    assert (done.code, "only a plain file can be followed" in done.err) == (2, True)
    done = baton("follow", "gridworld", "--input", path, "--web", "--plain", "--filter", "deaths")
    assert (done.code, "--plain and --filter and --web do not go together" in done.err) == (2, True)


def test_without_its_packages_it_says_what_to_install(zygote: Zygote, path: Path) -> None:
    without = f"import sys; sys.modules['uvicorn'] = None; {BATON}"
    done = zygote.run("follow", "gridworld", "--input", path, "--web", code=without)
    assert (done.code, "pip install 'baton-pipeline[web]'" in done.err) == (2, True)

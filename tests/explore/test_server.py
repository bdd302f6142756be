"""The server of `baton explore`, asked as a page asks it: bundles, neighbours, a queue, and what is kept."""

import contextlib
import json
import signal
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest
from websockets.sync.client import connect

from pipeline.errors import UserError
from pipeline.explore.app import NUM_QUEUED, Listeners
from pipeline.explore.bundle import Bundle
from pipeline.explore.desk import MAX_WAITING_OF_ONE
from pipeline.explore.store import Store
from pipeline.files import read_all
from tests.explore.serving import Served, serving, visitor
from tests.explore.toy import LEVELS, ToyExample, ToyPrediction, write_toy_bundle
from tests.support.toy_rows import run_python

PATIENCE_S = 60


@pytest.fixture(scope="module")
def bundles(tmp_path_factory: pytest.TempPathFactory) -> tuple[Bundle, Bundle]:
    folder = tmp_path_factory.mktemp("bundles")
    return write_toy_bundle(folder / "a"), write_toy_bundle(folder / "b", 20, weights="b", title="other")


@pytest.fixture
def served(bundles: tuple[Bundle, Bundle], tmp_path: Path) -> Iterator[Served]:
    with serving(tmp_path / "kept", *bundles) as served:
        yield served


@pytest.fixture
def me(served: Served) -> Iterator[httpx.Client]:
    with visitor(served) as client:
        yield client


def key_of(client: httpx.Client, place: int = 0) -> str:
    key: str = client.get("/api/session").json()["bundles"][place]["key"]
    return key


def ask(client: httpx.Client, **more: Any) -> httpx.Response:
    """Ask for a generation; fields of the request, or of the form."""
    values = {"label": "cat", "seed": 7} | more.pop("values", {})
    whole = {"bundle": key_of(client), "workspace": "first", "values": values, "layer": "middle"} | more
    return client.post("/api/generate", json=whole)


def number_of(answer: httpx.Response) -> int:
    assert answer.status_code == 202, answer.text
    number: int = answer.json()["number"]
    return number


def wait_for(client: httpx.Client, number: int, *states: str) -> dict[str, Any]:
    end = time.monotonic() + PATIENCE_S
    while (made := client.get(f"/api/made/{number}").json())["state"] not in states:
        assert time.monotonic() < end, made
        time.sleep(0.02)
    found: dict[str, Any] = made
    return found


def test_a_session_says_all_that_a_page_begins_with(me: httpx.Client) -> None:
    session = me.get("/api/session").json()
    assert (session["task"], session["user"], session["workspaces"]) == ("toy", "", ["first"])
    one, other = session["bundles"]
    assert (one["title"], one["num_records"], other["title"]) == ("toy", 40, "other")
    assert one["classes"][1] == {"name": "bee", "count": 10}
    assert one["layers"][1]["probes"]["class"] == [0.3, 0.6, 0.9, 0.97]
    assert [field["name"] for field in one["form"]][:2] == ["label", "seed"]


def test_a_bundle_is_served_in_few_files_that_a_browser_keeps(me: httpx.Client, bundles: tuple[Bundle, Bundle]) -> None:
    key = key_of(me)
    records = me.get(f"/bundles/{key}/records.json").json()
    assert (records["ids"][:2], records["classes"][:5], records["facts"][1]) == (
        ["r00000", "r00001"],
        [0, 1, 2, 3, 0],
        {"hue": 1},
    )
    answer = me.get(f"/bundles/{key}/coordinates", params={"layer": "down"})
    places = np.frombuffer(answer.content, "<f4").reshape(40, len(LEVELS), 2)
    assert np.array_equal(places, bundles[0].coordinates["down"])
    assert me.get(f"/bundles/{key}/sheet-0.png").content.startswith(b"\x89PNG")
    tag = {"If-None-Match": answer.headers["etag"]}
    assert me.get(f"/bundles/{key}/coordinates", params={"layer": "down"}, headers=tag).status_code == 304


@pytest.mark.parametrize(
    ("path", "what"),
    [
        ("/bundles/KEY/sheet-1.png", "there is no sheet 1"),
        ("/bundles/KEY/coordinates?layer=up", "there is no layer 'up'"),
        ("/bundles/none/records.json", "this server has no such activations"),
        ("/api/neighbours?bundle=KEY&layer=down&level=4&id=r00000&count=3", "there is no noise level 4"),
        ("/api/neighbours?bundle=KEY&layer=down&level=-1&id=r00000&count=3", "there is no noise level -1"),
        ("/api/neighbours?bundle=KEY&layer=down&level=x&id=r00000&count=3", "level must be a whole number"),
        ("/api/neighbours?bundle=KEY&layer=down&level=0&id=nobody&count=3", "there is no record 'nobody'"),
        ("/api/made?workspace=other", "there is no workspace 'other' of yours"),
    ],
)
def test_what_is_not_there_is_refused_in_words(me: httpx.Client, path: str, what: str) -> None:
    answer = me.get(path.replace("KEY", key_of(me)))
    assert (answer.status_code, answer.json()["what"]) == (400, what)


@pytest.mark.parametrize("number", ["9" * 18, "9" * 20, "9" * 5000])
def test_a_number_of_whatever_size_is_nobodys_and_does_no_harm(me: httpx.Client, number: str) -> None:
    assert me.get(f"/api/made/{number}").status_code == 404
    assert me.post(f"/api/made/{number}/remove").status_code in (204, 404)
    assert me.post("/api/workspaces", json={"name": "later"}).json() == ["first", "later"]


def test_a_request_that_is_nested_too_deeply_is_refused(me: httpx.Client) -> None:
    answer = me.post("/api/workspaces", content=b'{"more": ' + b"[" * 30_000 + b"]" * 30_000 + b"}")
    assert (answer.status_code, answer.json()["what"][:18]) == (400, "this is no request")


def test_what_fails_within_a_change_of_the_store_leaves_nothing_and_the_next_change_works(tmp_path: Path) -> None:
    store = Store(tmp_path)

    def fail(number: int) -> bytes:
        raise ValueError(number)

    with pytest.raises(ValueError, match="1"):
        store.add(("ada", "first"), "bundle", b"{}", fail)
    store.add_workspace("ada", "later")
    assert (store.made("ada", "first"), store.workspaces("ada")) == ([], ["first", "later"])
    store.close()


def test_neighbours_are_near_in_the_space_of_activations(me: httpx.Client) -> None:
    asked = {"bundle": key_of(me), "layer": "middle", "level": 3, "id": "r00002", "count": 5}
    found = me.get("/api/neighbours", params=asked).json()
    assert {int(id[1:]) % 4 for id, _ in found} == {2}
    assert [distance for _, distance in found] == sorted(distance for _, distance in found)
    more = me.get("/api/neighbours", params=asked | {"count": 0, "ids": [found[2][0]]}).json()
    assert more == [found[2]]


def test_a_generation_is_kept_as_rows_and_the_same_seed_gives_the_same(me: httpx.Client, tmp_path: Path) -> None:
    numbers = [number_of(ask(me)), number_of(ask(me))]
    made = [wait_for(me, number, "done") for number in numbers]
    assert made[0]["image"] == made[1]["image"] is not None
    assert [step["number"] for step in made[0]["steps"]] == list(range(6))
    assert made[0]["steps"][0]["places"]["middle"] != made[0]["steps"][5]["places"]["middle"]
    paths = {kind: tmp_path / f"{kind}.jsonl" for kind in ("examples", "predictions")}
    for kind, path in paths.items():
        asked = {"workspace": "first", "bundle": key_of(me)}
        path.write_bytes(me.get(f"/api/rows/{kind}.jsonl", params=asked).content)
        assert me.get(f"/api/rows/{kind}.jsonl", params=asked | {"bundle": key_of(me, 1)}).content == b""
    examples, predictions = read_all(paths["examples"], ToyExample), read_all(paths["predictions"], ToyPrediction)
    assert [one.id for one in examples] == [one.id for one in predictions] == ["made-000001", "made-000002"]
    assert (predictions[0].image_png, examples[0].seed) == (made[0]["image"], 7)


def test_a_steered_one_says_by_which_records_and_where_it_was_after_the_mask(me: httpx.Client) -> None:
    values = {"is_steered": True, "num_masked": 2}
    made = wait_for(me, number_of(ask(me, values=values, references=["r00001", "r00005"])), "done")
    assert made["request"]["references"] == ["r00001", "r00005"]
    assert [bool(step["masked_places"]) for step in made["steps"]] == [True, True, False, False, False, False]


@pytest.mark.parametrize(
    ("asked", "what", "where"),
    [
        ({"values": {"num_steps": 0}}, "expected `int` >= 2", "num_steps"),
        ({"values": {"seed": 0.5}}, "expected `int`, got `float`", "seed"),
        ({"values": {"num_masked": 9}}, "more steps are masked than there are", "masked steps"),
        ({"values": {"is_steered": True}}, "nothing is chosen to steer by", None),
        ({"references": ["nobody"]}, "there is no record 'nobody'", None),
        ({"workspace": "other"}, "there is no workspace 'other' of yours", None),
    ],
)
def test_a_wrong_request_is_refused_and_not_kept(me: httpx.Client, asked: Any, what: str, where: str | None) -> None:
    answer = ask(me, **asked)
    assert (answer.status_code, answer.json()["what"]) == (400, what)
    assert where is None or answer.json()["where"] == where
    assert me.get("/api/made", params={"workspace": "first"}).json() == []


def test_a_generation_that_fails_says_why_and_the_next_one_works(served: Served, me: httpx.Client) -> None:
    served.toys[0].is_broken = True
    made = wait_for(me, number_of(ask(me, values={"label": "bee"})), "failed")
    assert made["error"] == "the toy is broken\n  next:  mend it"
    assert wait_for(me, number_of(ask(me)), "done")["error"] is None


def test_intermediate_images_come_while_it_runs_and_cancel_ends_it(served: Served, me: httpx.Client) -> None:
    cookies = "; ".join(f"{name}={value}" for name, value in me.cookies.items())
    served.toys[0].gate.clear()
    with connect(served.url.replace("http", "ws") + "/live", additional_headers={"Cookie": cookies}) as told:
        number = number_of(ask(me))
        while (message := json.loads(told.recv(PATIENCE_S)))["type"] != "step":
            assert message["type"] == "queue"
        assert (message["number"], message["step"]["number"], message["step"]["num_steps"]) == (number, 0, 6)
        assert message["step"]["image"]
        assert len(me.get(f"/api/made/{number}").json()["steps"]) == 1
        me.post(f"/api/made/{number}/cancel").raise_for_status()
        assert wait_for(me, number, "cancelled")["steps"] == []


def test_a_full_queue_is_told_and_one_that_waits_can_be_cancelled(served: Served, me: httpx.Client) -> None:
    served.toys[0].gate.clear()
    running = number_of(ask(me))
    wait_for(me, running, "running")
    waiting = [number_of(ask(me)) for _ in range(MAX_WAITING_OF_ONE)]
    answer = ask(me)
    assert (answer.status_code, answer.json()["what"]) == (503, "the queue is full: 4 of yours wait already")
    assert [me.get(f"/api/made/{number}").json()["ahead"] for number in (running, *waiting)] == [0, 1, 2, 3, 4]
    with visitor(served) as other:
        number_of(ask(other))  # others have places of their own
    me.post(f"/api/made/{waiting[0]}/cancel").raise_for_status()
    assert me.get(f"/api/made/{waiting[0]}").json()["state"] == "cancelled"
    served.toys[0].gate.set()
    for number in (running, *waiting[1:]):
        wait_for(me, number, "done")


def test_nobody_sees_or_changes_what_another_made(served: Served, me: httpx.Client) -> None:
    number = number_of(ask(me))
    wait_for(me, number, "done")
    with visitor(served) as other:
        assert other.get("/api/made", params={"workspace": "first"}).json() == []
        assert other.get(f"/api/made/{number}").status_code == 404
        other.post(f"/api/made/{number}/remove")
        other.post(f"/api/made/{number}/cancel")
        asked = {"workspace": "first", "bundle": key_of(me)}
        assert other.get("/api/rows/predictions.jsonl", params=asked).content == b""
        assert other.get("/api/log").json() == []
    assert me.get(f"/api/made/{number}").json()["state"] == "done"
    with httpx.Client(base_url=served.url) as nobody:
        assert nobody.get(f"/api/made/{number}").status_code == 401
        assert nobody.get(f"/bundles/{served.bundles[0].key}/records.json").status_code == 401


def test_workspaces_keep_what_is_made_apart(me: httpx.Client) -> None:
    assert me.post("/api/workspaces", json={"name": "  of  bees "}).json() == ["first", "of bees"]
    number = number_of(ask(me, workspace="of bees"))
    wait_for(me, number, "done")
    assert me.get("/api/made", params={"workspace": "first"}).json() == []
    assert [one["number"] for one in me.get("/api/made", params={"workspace": "of bees"}).json()] == [number]
    assert [line["what"] for line in me.get("/api/log").json()] == ["opened workspace of bees", "asked for made-000001"]
    me.post(f"/api/made/{number}/remove")
    assert me.get("/api/made", params={"workspace": "of bees"}).json() == []


def test_what_was_made_is_there_after_a_restart(bundles: tuple[Bundle, Bundle], tmp_path: Path) -> None:
    with serving(tmp_path / "kept", *bundles) as served, visitor(served) as me:
        before = wait_for(me, number_of(ask(me)), "done")
        cookies = dict(me.cookies)
    with serving(tmp_path / "kept", *bundles) as served, httpx.Client(base_url=served.url, cookies=cookies) as me:
        assert me.get("/api/made/1").json() == before
        assert number_of(ask(me)) == 2


KILLED = """
    import sys, threading
    from pathlib import Path
    from tests.explore.serving import serving
    from tests.explore.toy import write_toy_bundle
    with serving(Path(sys.argv[1]), write_toy_bundle(Path(sys.argv[2]))) as served:
        print(served.url, flush=True)
        sys.stdin.readline() if False else threading.Event().wait()
"""


def test_kill_9_while_generating_loses_nothing_of_what_was_there(tmp_path: Path) -> None:
    process = run_python(KILLED, str(tmp_path / "kept"), str(tmp_path / "toy"))
    assert process.stdout is not None
    with httpx.Client(base_url=process.stdout.readline().strip(), timeout=PATIENCE_S) as me:
        me.get("/api/session")
        done = wait_for(me, number_of(ask(me)), "done")
        number = number_of(ask(me, values={"num_steps": 200}))
        process.send_signal(signal.SIGKILL)
        process.wait()
        cookies = dict(me.cookies)
    bundle = write_toy_bundle(tmp_path / "toy")
    with serving(tmp_path / "kept", bundle) as served, httpx.Client(base_url=served.url, cookies=cookies) as me:
        assert me.get("/api/made/1").json() == done
        lost = me.get(f"/api/made/{number}").json()
        assert lost["state"] in ("interrupted", "done")  # unless it was quicker
        assert lost["request"]["num_steps"] == 200


def test_a_full_disk_is_told_and_what_was_made_is_still_there(served: Served, me: httpx.Client) -> None:
    done = wait_for(me, number_of(ask(me)), "done")
    store = served.store._connection
    pages = store.execute("PRAGMA page_count").fetchone()[0]
    store.execute(f"PRAGMA max_page_count = {pages}")
    told = None
    for _ in range(20):  # until the free pages are used up
        told = ask(me, values={"num_steps": 40})
        if told.status_code != 202:
            break
        wait_for(me, told.json()["number"], "done", "failed")
    failed = [one for one in me.get("/api/made", params={"workspace": "first"}).json() if one["state"] == "failed"]
    assert told is not None
    assert failed or (told.status_code, told.json()["what"]) == (503, "the disk is full")
    assert me.get("/api/made/1").json() == done
    store.execute("PRAGMA max_page_count = 1000000")
    assert wait_for(me, number_of(ask(me)), "done")["state"] == "done"


def test_where_the_store_fails_altogether_the_next_generation_is_made_once_it_works_again(
    served: Served, me: httpx.Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*values: Any, **more: Any) -> Any:
        raise UserError("the store fails")

    served.toys[0].gate.clear()
    number = number_of(ask(me))
    wait_for(me, number, "running")
    with monkeypatch.context() as patched:
        patched.setattr(served.store, "change", fail)
        patched.setattr(served.store, "one", fail)
        served.toys[0].gate.set()
        patience = time.monotonic() + PATIENCE_S
        while any(one["ahead"] is not None for one in me.get("/api/made", params={"workspace": "first"}).json()):
            assert time.monotonic() < patience
    wait_for(me, number_of(ask(me)), "done")


def test_one_that_waits_is_still_in_the_queue_where_its_end_could_not_be_kept(
    served: Served, me: httpx.Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*values: Any, **more: Any) -> Any:
        raise UserError("the disk is full")

    served.toys[0].gate.clear()
    number_of(ask(me))
    number = number_of(ask(me))
    with monkeypatch.context() as patched:
        patched.setattr(served.store, "change", fail)
        assert me.post(f"/api/made/{number}/cancel").status_code == 503
    served.toys[0].gate.set()
    wait_for(me, number, "done")


def test_a_page_that_does_not_keep_up_takes_nothing_from_another_of_the_same_user() -> None:
    listeners = Listeners()
    with contextlib.ExitStack() as opened:
        slow, *others = [opened.enter_context(listeners.queue("ada")) for _ in range(9)]
        for number in range(NUM_QUEUED + 1):
            listeners._put("ada", {"number": number})
            assert [queue.get_nowait() for queue in others] == [{"number": number}] * 8
        assert slow.get_nowait() == {"type": "behind"}


def test_without_a_model_one_can_look_and_is_told_how_to_generate(
    bundles: tuple[Bundle, Bundle], tmp_path: Path
) -> None:
    with serving(tmp_path, *bundles, has_models=False) as served, visitor(served) as me:
        assert me.get("/api/session").json()["bundles"][0]["form"] == []
        answer = ask(me)
        assert (answer.status_code, answer.json()["what"]) == (400, "there is no model to generate with")
        assert "--model FILE" in answer.json()["remedy"]

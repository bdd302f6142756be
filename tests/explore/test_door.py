"""Who gets in: a cookie, a token, a password, a login elsewhere; each their own things, and no one else's."""

import base64
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import httpx
import pytest

from pipeline.errors import UserError
from pipeline.explore.bundle import Bundle
from pipeline.explore.door import Provider, read_passwords
from tests.explore.serving import elsewhere, serving
from tests.explore.toy import write_toy_bundle

USERS = {"ada": "a-long-password", "bob": "another-password"}


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    return write_toy_bundle(tmp_path_factory.mktemp("bundles") / "a", 8)


def test_with_a_password_nothing_is_told_before_and_things_are_found_again(bundle: Bundle, tmp_path: Path) -> None:
    with serving(tmp_path, bundle, passwords=USERS) as served:
        for name, place in (("ada", "of ada"), ("bob", "of bob")):
            with httpx.Client(base_url=served.url) as client:
                assert client.get("/api/session").json() == {"user": None, "ways_in": ["password"], "task": "toy"}
                assert client.get(f"/bundles/{bundle.key}/records.json").status_code == 401
                wrong = {"name": name, "password": "a-wrong-password"}
                assert client.post("/api/login", json=wrong).status_code == 403
                assert client.post("/api/login", json={"name": name}).status_code == 400
                assert client.post("/api/login", content=b"x" * 100_000).status_code == 400
                assert client.post("/api/login", json={"name": name, "password": USERS[name]}).status_code == 204
                client.post("/api/workspaces", json={"name": place}).raise_for_status()
    with serving(tmp_path, bundle, passwords=USERS) as served, httpx.Client(base_url=served.url) as client:
        client.post("/api/login", json={"name": "ada", "password": USERS["ada"]})
        session = client.get("/api/session").json()
        assert (session["user"], session["workspaces"]) == ("ada", ["first", "of ada"])
        assert [line["what"] for line in client.get("/api/log").json()] == [
            "logged in",
            "opened workspace of ada",
            "logged in",
        ]
        cookies = dict(client.cookies)
        client.post("/api/logout")
        with httpx.Client(base_url=served.url, cookies=cookies) as stolen:
            assert stolen.get("/api/log").status_code == 401


def test_an_anonymous_cookie_is_nobody_where_users_log_in(bundle: Bundle, tmp_path: Path) -> None:
    with serving(tmp_path, bundle) as served, httpx.Client(base_url=served.url) as client:
        client.get("/api/session")
        cookies = dict(client.cookies)
    with (
        serving(tmp_path, bundle, passwords=USERS) as served,
        httpx.Client(base_url=served.url, cookies=cookies) as client,
    ):
        assert client.get("/api/session").json()["user"] is None


def test_cookies_are_kept_from_scripts_and_a_token_is_asked_for_once(bundle: Bundle, tmp_path: Path) -> None:
    with serving(tmp_path, bundle, token="a-token-of-some-length") as served:
        with httpx.Client(base_url=served.url) as client:
            assert client.get("/api/session").status_code == 403
            answer = client.get("/api/session", params={"token": "a-token-of-some-length"})
            assert "HttpOnly" in answer.headers["set-cookie"] and "SameSite=lax" in answer.headers["set-cookie"]
            assert client.get("/api/session").status_code == 200
        assert len(served.store.id) == 32  # names the cookie, by which anybody would be known who guessed it
        with httpx.Client(base_url=served.url) as client:
            assert client.get("/api/session", headers={"Host": "evil.example"}).status_code == 403
            evil = {"Origin": "http://evil.example"}
            assert client.post("/api/login", json={}, headers=evil).status_code == 403


@pytest.mark.parametrize(
    ("given", "lines", "what", "where"),
    [
        (["ada"], None, "a user is a name, a colon and a password", "--auth"),
        (["ada:short"], None, "a password of 8 characters or more", "--auth"),
        ([], "ada:a-long-password\n:nobody-password\n", "a user is a name", "users:2"),
        ([], "\n", "there are no users in it", "users"),
    ],
)
def test_users_that_are_none_are_refused(
    given: list[str], lines: str | None, what: str, where: str, tmp_path: Path
) -> None:
    file = None if lines is None else tmp_path / "users"
    if file is not None:
        file.write_text(lines or "")
    with pytest.raises(UserError, match=what) as refused:
        read_passwords(given, file)
    assert (refused.value.where or "").endswith(where)


def test_users_come_from_options_and_a_file(tmp_path: Path) -> None:
    (tmp_path / "users").write_text("bob:with:colons:in-it\n\n")
    found = read_passwords(["ada:a-long-password"], tmp_path / "users")
    assert found == {"ada": "a-long-password", "bob": "with:colons:in-it"}


def openid(path: str, headers: Mapping[str, str], body: bytes) -> tuple[int, Any]:
    """A provider that knows one code of one client, and who has the token of it."""
    if path == "/oauth/token":
        secret = base64.b64encode(b"the-client:the-secret").decode()
        is_right = headers["Authorization"] == f"Basic {secret}" and parse_qs(body.decode())["code"] == ["the-code"]
        return (200, {"access_token": "the-access"}) if is_right else (401, {})
    is_right = headers["Authorization"] == "Bearer the-access"
    return (200, {"preferred_username": "grace"}) if is_right else (401, {})


@pytest.fixture
def provider() -> Iterator[Provider]:
    with elsewhere(openid) as url:
        environment = {
            "OPENID_PROVIDER_URL": url,
            "OAUTH_CLIENT_ID": "the-client",
            "OAUTH_CLIENT_SECRET": "the-secret",
            "SPACE_HOST": "toy.hf.space",
        }
        found = Provider.of(environment)
        assert found is not None and Provider.of(environment | {"OAUTH_CLIENT_ID": ""}) is None
        yield found


def test_in_a_space_hugging_face_says_who_one_is(bundle: Bundle, tmp_path: Path, provider: Provider) -> None:
    with serving(tmp_path, bundle, provider=provider) as served, httpx.Client(base_url=served.url) as client:
        client.headers["Host"] = "toy.hf.space"
        assert client.get("/api/session").json()["ways_in"] == ["provider"]
        begun = client.get("/login")
        to = urlsplit(begun.headers["location"])
        asked = {name: values[0] for name, values in parse_qs(to.query).items()}
        state = asked.pop("state")
        assert to.path == "/oauth/authorize" and asked == {
            "client_id": "the-client",
            "redirect_uri": "https://toy.hf.space/login/callback",
            "response_type": "code",
            "scope": "openid profile",
        }
        assert "Secure" in begun.headers["set-cookie"] and "SameSite=none" in begun.headers["set-cookie"]
        cookies = {"Cookie": begun.headers["set-cookie"].split(";")[0]}  # which the client keeps for https alone
        back = {"state": state, "code": "the-code"}
        assert client.get("/login/callback", params=back).status_code == 403  # begun in another browser
        wrong = client.get("/login/callback", params=back | {"code": "another"}, headers=cookies)
        assert wrong.status_code == 403
        url = provider.url
        object.__setattr__(provider, "url", "http://127.0.0.1:9")  # it does not answer
        assert client.get("/login/callback", params=back, headers=cookies).status_code == 403
        object.__setattr__(provider, "url", url)
        done = client.get("/login/callback", params=back, headers=cookies)
        assert (done.status_code, done.headers["location"]) == (303, "/")
        login = {"Cookie": done.headers["set-cookie"].split(";")[0]}
        assert client.get("/api/session", headers=login).json()["user"] == "grace"

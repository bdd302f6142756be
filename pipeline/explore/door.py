"""Who somebody is: nobody but this browser, a user with a password, or one whom Hugging Face knows."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlencode

import httpx
from starlette.requests import HTTPConnection
from starlette.responses import Response

from pipeline.errors import UserError
from pipeline.explore.store import Store, hash_of

LOGIN_S = 30 * 86400.0
_MIN_TOKEN = 43  # characters of 32 random bytes
_EXAMPLE = "ada:a-long-password"


@dataclass(frozen=True)
class Provider:
    """Where users log in elsewhere (OpenID Connect), as a Space is told by its environment, and where it is itself."""

    url: str
    client_id: str
    client_secret: str
    home: str

    @staticmethod
    def of(environment: Mapping[str, str]) -> "Provider | None":
        """What Hugging Face gives a Space with ``hf_oauth``; None anywhere else."""
        names = ("OPENID_PROVIDER_URL", "OAUTH_CLIENT_ID", "OAUTH_CLIENT_SECRET", "SPACE_HOST")
        url, id, secret, host = (environment.get(name, "") for name in names)
        return Provider(url.rstrip("/"), id, secret, f"https://{host}") if all((url, id, secret, host)) else None

    def page(self, state: str) -> str:
        """Where to send who wants to log in."""
        asked = {"client_id": self.client_id, "redirect_uri": self._back, "response_type": "code"}
        return f"{self.url}/oauth/authorize?{urlencode(asked | {'scope': 'openid profile', 'state': state})}"

    async def user(self, code: str) -> str | None:
        """The name of who comes back with this code, if the provider knows it."""
        given = {"grant_type": "authorization_code", "code": code, "redirect_uri": self._back}
        try:
            async with httpx.AsyncClient(timeout=20) as client:
                address, auth = f"{self.url}/oauth/token", (self.client_id, self.client_secret)
                told = await client.post(address, data=given, auth=auth)
                if told.status_code != 200:
                    return None
                token = told.json().get("access_token", "")
                found = await client.get(f"{self.url}/oauth/userinfo", headers={"Authorization": f"Bearer {token}"})
            return found.json().get("preferred_username") if found.status_code == 200 else None
        except (httpx.HTTPError, ValueError):  # it does not answer, or not in JSON
            return None

    @property
    def _back(self) -> str:
        return f"{self.home}/login/callback"


class Door:
    """Knows people by a cookie. ``passwords`` are by user; with neither them nor a provider everybody is anonymous."""

    def __init__(self, store: Store, passwords: Mapping[str, str], provider: Provider | None) -> None:
        self._store, self.passwords, self.provider = store, passwords, provider
        self.is_locked = bool(passwords) or provider is not None
        self._cookie = f"baton-explore-{store.id}"  # servers of one machine share its cookies

    def user(self, connection: HTTPConnection) -> str | None:
        """Who asks, or None where one has to log in (or has no cookie yet)."""
        token = self.cookie(connection)
        if len(token) < _MIN_TOKEN:
            return None
        return self._store.user_of(token) if self.is_locked else anonymous(token)

    def cookie(self, connection: HTTPConnection, what: str = "") -> str:
        """The token that a browser was given by `set_cookie`; empty where there is none."""
        return connection.cookies.get(self._cookie + what, "")

    def set_cookie(self, answer: Response, token: str, what: str = "", seconds: float = LOGIN_S) -> None:
        """By which a browser is known; ``what`` it is for, where not for being known; 0 seconds take it away."""
        # A Space is shown within a page of another site, where a browser sends no other cookies.
        where = {"samesite": "none", "secure": True} if self.provider else {"samesite": "lax", "secure": False}
        name = self._cookie + what
        answer.set_cookie(name, token, max_age=int(seconds), httponly=True, **where)  # type: ignore[arg-type]


def anonymous(token: str) -> str:
    """The user who has this cookie and nothing else."""
    return f"anonymous:{hash_of(token)[:16]}"


def read_passwords(given: list[str], file: Path | None) -> dict[str, str]:
    """Passwords by user, of ``user:password`` texts and a file of such lines. Raises UserError."""
    lines = [(text, "--auth") for text in given]
    if file is not None:
        try:
            text = file.read_text()
        except (OSError, UnicodeDecodeError) as error:
            raise UserError(f"cannot read the users: {error}", where=str(file)) from error
        numbered = enumerate(text.splitlines(), 1)
        lines += [(line.strip(), f"{file}:{number}") for number, line in numbered if line.strip()]
        if not lines:
            raise UserError("there are no users in it", where=str(file), remedy=f"a line each: {_EXAMPLE}")
    found = {}
    for line, where in lines:
        name, colon, password = line.partition(":")
        if not (name and colon and len(password) >= 8):
            what = "a user is a name, a colon and a password of 8 characters or more"
            raise UserError(what, where=where, remedy=_EXAMPLE)
        found[name] = password
    return found

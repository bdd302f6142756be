"""A `baton serve` that runs somewhere, asked over HTTP."""

from collections.abc import Mapping
from typing import Any

import httpx
import msgspec

from pipeline.errors import UserError

ANSWER_WITHIN_S = 600.0


def ask(url: str, headers: Mapping[str, str], method: str, path: str, body: Any = None) -> bytes:
    """What the server answers; ``body`` goes as JSON. Raises UserError when there is no answer, or it refuses."""
    try:
        answer = httpx.request(method, url.rstrip("/") + path, json=body, headers=headers, timeout=ANSWER_WITHIN_S)
    except (httpx.HTTPError, httpx.InvalidURL) as error:
        raise UserError(f"this server does not answer: {error}", where=url, remedy="start it: baton serve") from error
    if answer.status_code != 200:
        what = f"this server refuses with status {answer.status_code}: {_reason(answer)}"
        raise UserError(what, where=url + path, remedy="the lines that it wrote may say more")
    return answer.content


def weights_hash_of(url: str, headers: Mapping[str, str]) -> str:
    """Of the model that answers there. Raises UserError."""
    try:
        return str(msgspec.json.decode(ask(url, headers, "GET", "/v1/model"))["weights_hash"])
    except (msgspec.DecodeError, KeyError, TypeError) as error:
        raise UserError("this is no `baton serve`", where=url, remedy="start it: baton serve") from error


def _reason(answer: httpx.Response) -> str:
    try:
        return str(answer.json()["detail"])
    except (ValueError, KeyError, TypeError):
        return answer.text[:200]

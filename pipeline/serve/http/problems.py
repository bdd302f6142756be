"""What went wrong with a request, as RFC 9457 has it: what, where, and what to do next. Never a stack trace."""

from collections.abc import Mapping, Sequence
from http import HTTPStatus
from typing import Any

import msgspec

from pipeline.errors import UserError

MEDIA_TYPE = "application/problem+json"
Headers = Sequence[tuple[str, str]]


class ProblemBody(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A problem (RFC 9457). ``type`` names its kind; ``where`` is the field or header, ``next`` what to do about it."""

    type: str
    title: str
    status: int
    detail: str
    where: str | None = None
    next: str | None = None


class Problem(Exception):
    """Raised where a request cannot be answered. ``kind`` is what /metrics counts it as."""

    def __init__(
        self,
        status: HTTPStatus,
        kind: str,
        detail: str,
        *,
        where: str | None = None,
        next: str | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> None:
        super().__init__(detail)
        self.kind = kind
        self.headers = tuple((headers or {}).items())
        self.body = ProblemBody(
            type=f"urn:baton:problem:{kind}",
            title=status.phrase,
            status=status.value,
            detail=detail,
            where=where,
            next=next,
        )

    def encoded(self) -> bytes:
        """The problem as JSON."""
        return msgspec.json.encode(self.body)


def refused(error: UserError, status: HTTPStatus, kind: str) -> Problem:
    """What is wrong with a request, as an answer."""
    return Problem(status, kind, error.what, where=error.where, next=error.remedy)


def no_model(next: str) -> Problem:
    """Nothing to answer from, yet: 503."""
    status, headers = HTTPStatus.SERVICE_UNAVAILABLE, {"Retry-After": "1"}
    return Problem(status, "no_model", "there is no model yet", next=next, headers=headers)


def invalid(error: UserError | msgspec.ValidationError) -> Problem:
    """A request that says something that cannot be: 422."""
    status, kind = HTTPStatus.UNPROCESSABLE_ENTITY, "invalid"
    if isinstance(error, UserError):
        return refused(error, status, kind)
    detail, _, path = str(error).partition(" - at `$")
    where = path.rstrip("`").lstrip(".") or None
    return Problem(status, kind, detail, where=where, next="GET /openapi.json describes every field")


def not_json(error: Exception) -> Problem:
    """A body that is no JSON, or no UTF-8: 400."""
    return Problem(HTTPStatus.BAD_REQUEST, "not_json", f"the body is not JSON: {error}", next="send one JSON document")


def decoded(decoder: "msgspec.json.Decoder[Any]", data: bytes | msgspec.Raw) -> Any:
    """A body as what it should be. Raises Problem: 400 where it is no JSON, 422 where it is another."""
    try:
        return decoder.decode(data)
    except msgspec.ValidationError as error:
        raise invalid(error) from None
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError, OverflowError) as error:
        raise not_json(error) from None

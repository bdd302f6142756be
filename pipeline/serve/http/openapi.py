"""The description of all routes (OpenAPI 3.1), made of the Structs that requests and answers are."""

import inspect
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import msgspec

from pipeline.serve.http.problems import MEDIA_TYPE, ProblemBody

JSON = "application/json"
_SCHEMAS = "#/components/schemas/{name}"
# What any route may answer, besides what its own work may end in.
_ALWAYS = {400: "no HTTP as it should be", 500: "a bug of the server", 503: "too many requests, or no model"}
_KEYED = {401: "no key, or an unknown one", 429: "too many requests of this client"}
_BODY = {
    400: "no JSON, or no UTF-8",
    408: "the body came too slowly",
    413: "the body is too large",
    415: "the body is no application/json",
    422: "the body says something that cannot be",
    504: "the answer took too long",
}


@dataclass(frozen=True, kw_only=True)
class Route:
    """One route: what it does, what it takes and gives as Structs (or a media type), and what else may come of it."""

    method: str
    path: str
    summary: str
    handler: str
    request: Any = None
    answer: Any
    problems: Sequence[int] = ()
    is_open: bool = False  # to those without a key, too
    is_hidden: bool = False  # described elsewhere

    @property
    def statuses(self) -> dict[int, str]:
        """The problems that may come, and what they mean."""
        found = _ALWAYS | ({} if self.is_open else _KEYED) | (_BODY if self.request is not None else {})
        return found | dict.fromkeys(self.problems, "see `detail`")


def describe(routes: Sequence[Route], *, title: str, has_keys: bool) -> bytes:
    """The document."""
    routes = [route for route in routes if not route.is_hidden]
    kinds = [kind for route in routes for kind in (route.request, route.answer) if not isinstance(kind, str | None)]
    schemas, components = msgspec.json.schema_components([*kinds, ProblemBody], ref_template=_SCHEMAS)
    by_kind = {id(kind): schema for kind, schema in zip([*kinds, ProblemBody], schemas, strict=True)}
    for schema in components.values():
        schema["description"] = inspect.cleandoc(schema.get("description", ""))
    paths: dict[str, dict[str, Any]] = {}
    for route in routes:
        paths.setdefault(route.path, {})[route.method.lower()] = _operation(route, by_kind, has_keys)
    security = {"key": {"type": "http", "scheme": "bearer"}} if has_keys else {}
    document = {
        "openapi": "3.1.0",
        "info": {"title": title, "version": "1"},
        "paths": paths,
        "components": {"schemas": components, "securitySchemes": security},
    }
    return msgspec.json.encode(document)


def _operation(route: Route, by_kind: dict[int, Any], has_keys: bool) -> dict[str, Any]:
    if isinstance(route.answer, str):
        content: dict[str, Any] = {route.answer: {"schema": {"type": "string"}}}
    else:
        content = {JSON: {"schema": by_kind[id(route.answer)]}}
    problem = {MEDIA_TYPE: {"schema": by_kind[id(ProblemBody)]}}
    responses: dict[str, Any] = {"200": {"description": "done", "content": content}}
    for status, meaning in sorted(route.statuses.items()):
        responses[str(status)] = {"description": meaning, "content": problem}
    operation: dict[str, Any] = {"summary": route.summary, "operationId": route.handler, "responses": responses}
    if route.request is not None:
        operation["requestBody"] = {"required": True, "content": {JSON: {"schema": by_kind[id(route.request)]}}}
    if has_keys and not route.is_open:
        operation["security"] = [{"key": []}]
    return operation

"""The description of all routes (OpenAPI 3.1), made of the Structs that requests and answers are."""

import inspect
from collections.abc import Mapping, Sequence
from typing import Any

import msgspec

from pipeline.serve.http.message import JSON, Route
from pipeline.serve.http.problems import MEDIA_TYPE, ProblemBody

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


def describe(routes: Sequence[Route], *, title: str, has_keys: bool) -> bytes:
    """The document."""
    routes = [route for route in routes if not route.is_hidden]
    kinds = [kind for route in routes for kind in (route.request, route.answer) if not isinstance(kind, str | None)]
    kinds.append(ProblemBody)
    schemas, components = msgspec.json.schema_components(kinds, ref_template="#/components/schemas/{name}")
    by_kind = {id(kind): schema for kind, schema in zip(kinds, schemas, strict=True)}
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


def _operation(route: Route, by_kind: Mapping[int, Any], has_keys: bool) -> dict[str, Any]:
    def content(kind: Any, media_type: str = JSON) -> dict[str, Any]:
        is_text = isinstance(kind, str)
        return {kind if is_text else media_type: {"schema": {"type": "string"} if is_text else by_kind[id(kind)]}}

    statuses = _ALWAYS | ({} if route.is_open else _KEYED) | (_BODY if route.request is not None else {})
    statuses |= dict.fromkeys(route.problems, "see `detail`")
    responses: dict[str, Any] = {"200": {"description": "done", "content": content(route.answer)}}
    for status, meaning in sorted(statuses.items()):
        responses[str(status)] = {"description": meaning, "content": content(ProblemBody, MEDIA_TYPE)}
    summary = (inspect.getdoc(route.handler) or "").partition("\n")[0]
    operation: dict[str, Any] = {"summary": summary, "operationId": route.handler.__name__, "responses": responses}
    if route.request is not None:
        operation["requestBody"] = {"required": True, "content": content(route.request)}
    if has_keys and not route.is_open:
        operation["security"] = [{"key": []}]
    return operation

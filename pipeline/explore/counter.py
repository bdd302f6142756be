"""What is answered to those who are known: bundles, neighbours, and what they made. Nobody is told of others."""

from collections import Counter as Counts
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import msgspec
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse, Response

from pipeline.contract.exploring import Choice, ExplorePart, Explorer
from pipeline.errors import UserError
from pipeline.explore.bundle import Bundle
from pipeline.explore.desk import Desk, made_view
from pipeline.explore.door import Door
from pipeline.explore.form import fields_of
from pipeline.explore.neighbours import Space
from pipeline.explore.pictures import columns_of_sheet, sheet
from pipeline.explore.store import Store

MAX_NEIGHBOURS = 20
MAX_NAME = 60  # characters of a workspace
MAX_BODY_BYTES = 1 << 16
SHEETS_KEPT = 64
SPACES_KEPT = 4  # of 10,000 records with 512 features 20 MB each


class Ask(msgspec.Struct, frozen=True):
    """A generation is wanted: the form's values, and what is chosen on the map."""

    bundle: str
    workspace: str
    values: dict[str, Any]
    references: tuple[str, ...] = ()
    layer: str = ""


class Name(msgspec.Struct, frozen=True):
    """A new workspace."""

    name: str


@dataclass(frozen=True)
class Shop:
    """All that a server works with. ``bundles`` are by key, in order; ``explorers`` generate, by the same key.

    ``token`` is what an anonymous one must know, if there is one.
    """

    task: str
    part: ExplorePart
    bundles: Mapping[str, Bundle]
    explorers: Mapping[str, Explorer]
    store: Store
    door: Door
    token: str | None = None


class Counter:
    """An answer a question; each is told who asks. Raises UserError at what is wrong."""

    def __init__(self, shop: Shop, desk: Desk) -> None:
        self._shop, self._desk, self._store = shop, desk, shop.store
        bundles = shop.bundles
        self._sheet = lru_cache(SHEETS_KEPT)(lambda key, number: sheet(bundles[key].images, number))
        self._space = lru_cache(SPACES_KEPT)(lambda key, layer, level: Space(bundles[key].activations[layer], level))

    # Bundles: they never change, so neither do the answers.

    async def records(self, request: Request, _user: str) -> Response:
        """Ids, classes by number, and facts of all records."""
        bundle = self._bundle(request.path_params["key"])
        places = {name: place for place, name in enumerate(bundle.manifest.classes)}
        columns = {
            "ids": [record.id for record in bundle.records],
            "classes": [places[record.label] for record in bundle.records],
            "facts": [record.facts for record in bundle.records],
        }
        return _fixed(request, bundle, msgspec.json.encode(columns), "application/json")

    async def coordinates(self, request: Request, _user: str) -> Response:
        """float32, little-endian, [N, num_noise_levels, 2] of a layer."""
        bundle = self._bundle(request.path_params["key"])
        places = bundle.coordinates[bundle.layer(request.query_params.get("layer", ""))]
        return _fixed(request, bundle, places.astype("<f4").tobytes(), "application/octet-stream")

    async def sheet(self, request: Request, _user: str) -> Response:
        """A sheet of images."""
        bundle = self._bundle(request.path_params["key"])
        content = await run_in_threadpool(self._sheet, bundle.key, request.path_params["number"])
        return _fixed(request, bundle, content, "image/png")

    async def neighbours(self, request: Request, _user: str) -> Response:
        """The nearest records in the space of a layer's activations at a noise level, and those that ``ids`` name: ids
        and distances."""
        asked = request.query_params
        bundle = self._bundle(asked.get("bundle", ""))
        level, count = bundle.level(_whole(asked, "level")), min(_whole(asked, "count"), MAX_NEIGHBOURS)
        number, others = bundle.number(asked.get("id", "")), map(bundle.number, asked.getlist("ids")[:MAX_NEIGHBOURS])
        space = await run_in_threadpool(self._space, bundle.key, bundle.layer(asked.get("layer", "")), level)
        found = await run_in_threadpool(space.nearest, number, count) + space.distances(number, [*others])
        return JSONResponse([[bundle.records[one.number].id, one.distance] for one in found])

    # What is made.

    async def generate(self, request: Request, user: str) -> Response:
        """Put a request into the queue."""
        asked = await read_body(request, Ask)
        bundle = self._bundle(asked.bundle)
        for id in asked.references[: MAX_NEIGHBOURS + 1]:
            bundle.number(id)
        choice = Choice(references=asked.references[: MAX_NEIGHBOURS + 1], layer=bundle.layer(asked.layer))
        workspace = self._workspace(user, asked.workspace)
        number = await run_in_threadpool(self._desk.ask, user, workspace, asked.bundle, asked.values, choice)
        return JSONResponse({"number": number}, 202)

    async def made(self, request: Request, user: str) -> Response:
        """All of a workspace, without their steps."""
        made = self._store.made(user, self._workspace(user, request.query_params.get("workspace", "")))
        return JSONResponse([made_view(one, self._desk, whole=False) for one in made])

    async def one(self, request: Request, user: str) -> Response:
        """A generation with its steps, as far as it has come."""
        made = self._store.one(request.path_params["number"])
        if made is None or made.user != user:
            return PlainTextResponse("there is no such generation of yours", 404)
        return JSONResponse(made_view(made, self._desk, whole=True))

    async def cancel(self, request: Request, user: str) -> Response:
        """End one that waits or runs."""
        self._desk.cancel(user, request.path_params["number"])
        return Response(status_code=204)

    async def remove(self, request: Request, user: str) -> Response:
        """Forget one that is not under way."""
        self._store.remove(user, request.path_params["number"])
        return Response(status_code=204)

    async def rows(self, request: Request, user: str) -> Response:
        """What a model was asked in a workspace, or what came of it, as rows for infer, evaluate, compare, ..."""
        kind, asked = request.path_params["kind"], request.query_params
        if kind not in ("examples", "predictions"):
            return PlainTextResponse("there are examples.jsonl and predictions.jsonl", 404)
        made = self._store.made(user, self._workspace(user, asked.get("workspace", "")))
        done = [one for one in made if one.prediction and one.bundle == asked.get("bundle")]
        content = b"".join(one.request if kind == "examples" else one.prediction or b"" for one in done)
        head = {"content-disposition": f'attachment; filename="{kind}.jsonl"'}
        return Response(content, media_type="application/x-ndjson", headers=head)

    async def add_workspace(self, request: Request, user: str) -> Response:
        """A new one of that name."""
        name = " ".join((await read_body(request, Name)).name.split())
        if not 0 < len(name) <= MAX_NAME:
            raise UserError(f"a workspace has a name of up to {MAX_NAME} characters")
        self._store.add_workspace(user, name)
        self._store.note(user, f"opened workspace {name}")
        return JSONResponse(self._store.workspaces(user))

    async def log(self, _request: Request, user: str) -> Response:
        """What one did, oldest first."""
        return JSONResponse(self._store.log(user))

    def _bundle(self, key: str) -> Bundle:
        if key not in self._shop.bundles:
            raise UserError("this server has no such activations", remedy="reload the page")
        return self._shop.bundles[key]

    def _workspace(self, user: str, name: str) -> str:
        if name not in self._store.workspaces(user):
            raise UserError(f"there is no workspace {name[:MAX_NAME]!r} of yours")
        return name


def session_view(shop: Shop, user: str) -> dict[str, Any]:
    """All that a page begins with."""
    kind, _, name = user.partition(":")
    return {
        "user": "" if kind == "anonymous" else name,
        "is_named": kind != "anonymous",
        "task": shop.task,
        "max_neighbours": MAX_NEIGHBOURS,
        "class_field": shop.part.class_field,
        "seed_field": shop.part.seed_field,
        "workspaces": shop.store.workspaces(user),
        "bundles": [_bundle_view(shop, key) for key in shop.bundles],
    }


def _bundle_view(shop: Shop, key: str) -> dict[str, Any]:
    bundle = shop.bundles[key]
    manifest, (height, width, _) = bundle.manifest, bundle.manifest.image_shape
    counts = Counts(record.label for record in bundle.records)
    return {
        "key": key,
        "title": manifest.title,
        "model": manifest.weights_hash[:16],
        "conditioning": manifest.conditioning,
        "num_records": manifest.num_records,
        "image": {"height": height, "width": width, "columns": columns_of_sheet(height, width)},
        "classes": [{"name": name, "count": counts[name]} for name in manifest.classes],
        "noise_levels": manifest.noise_levels,
        "layers": [{"name": layer.name, "probes": layer.probes} for layer in manifest.layers],
        "curves": manifest.curves,
        "form": fields_of(shop.part.form, shop.part.class_field, manifest.classes) if key in shop.explorers else [],
    }


def _fixed(request: Request, bundle: Bundle, content: bytes, kind: str) -> Response:
    """An answer that stays the same as long as the bundle is: a browser that has it need not load it again."""
    tag = f'"{bundle.key}"'
    if request.headers.get("if-none-match") == tag:
        return Response(status_code=304, headers={"etag": tag})
    return Response(content, media_type=kind, headers={"etag": tag})


def _whole(asked: Mapping[str, str], name: str) -> int:
    try:
        return int(asked.get(name, ""))
    except ValueError:
        raise UserError(f"{name} must be a whole number") from None


async def read_body(request: Request, kind: Any) -> Any:
    """What a request says, which is short. Raises UserError."""
    content = b""
    async for part in request.stream():
        content += part
        if len(content) > MAX_BODY_BYTES:
            raise UserError(f"a request is no longer than {MAX_BODY_BYTES:,} bytes")
    try:
        return msgspec.json.decode(content, type=kind)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise UserError(f"this is no request: {error}") from error

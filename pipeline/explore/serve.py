"""Opens bundles, models and the store, and serves the page until it is interrupted."""

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pipeline.contract.exploring import ExplorePart, Explorer
from pipeline.contract.load import find_part, load_part
from pipeline.contract.parts import RowsPart
from pipeline.contract.serving import ServePart
from pipeline.errors import UserError
from pipeline.explore.app import make_app
from pipeline.explore.bundle import MANIFEST, Bundle, open_bundle
from pipeline.explore.counter import Shop
from pipeline.explore.door import Door, Provider
from pipeline.explore.remote import RemoteExplorer
from pipeline.explore.store import Store
from pipeline.files import read
from pipeline.files.hashes import sha256_file
from pipeline.model.container import ModelFile
from pipeline.web.address import Address
from pipeline.web.asking import weights_hash_of
from pipeline.web.headers import HEADERS
from pipeline.web.server import Server

PREDICTIONS = "predictions.jsonl"
KEY_VARIABLE = "BATON_GENERATOR_KEY"


@dataclass(frozen=True, kw_only=True)
class Wanted:
    """What to serve. Activations know by the hash of its weights which of the ``models`` they were recorded of.

    ``generator`` is the address of a `baton serve` that generates instead. ``folder`` keeps what people make.
    """

    task: str
    bundles: Sequence[Path]
    models: Sequence[Path]
    folder: Path
    generator: str | None = None
    device: str = "cpu"


def serve_explorer(wanted: Wanted, passwords: Mapping[str, str], host: str, port: int, token: str | None) -> None:
    """Until it is interrupted. Raises UserError at what is wrong with the bundles, the models or the address."""
    provider = Provider.of(os.environ)
    names = (provider.home.removeprefix("https://"),) if provider else ()
    address = Address(host, port, token, asks_who=bool(passwords) or provider is not None, names=names)
    part = load_part(wanted.task, ExplorePart)
    store = Store(wanted.folder)  # first: two servers in one folder would write the same bundles
    bundles = open_bundles(wanted, part)
    explorers = open_explorers(wanted, part, bundles)
    shop = Shop(wanted.task, part, bundles, explorers, store, Door(store, passwords, provider), token)
    Server(make_app(shop), address, headers_of(provider)).run()


def open_bundles(wanted: Wanted, part: ExplorePart) -> dict[str, Bundle]:
    """Bundles by key, in order; what infer recorded is made into one first, and kept. Raises UserError."""
    opened = [open_bundle(_bundle_of(folder, wanted, part)) for folder in wanted.bundles]
    for bundle in opened:
        if bundle.manifest.task != wanted.task:
            what = f"these activations are of task {bundle.manifest.task!r}, not of {wanted.task!r}"
            raise UserError(what, where=str(bundle.folder), remedy=f"baton explore {bundle.manifest.task}")
    return {bundle.key: bundle for bundle in opened}


def _bundle_of(folder: Path, wanted: Wanted, part: ExplorePart) -> Path:
    """The folder itself where it is a bundle; where it is that of an infer run, the bundle that was made of it."""
    predictions = folder / PREDICTIONS
    if (folder / MANIFEST).is_file() or part.record is None or not predictions.is_file():
        return folder
    place = wanted.folder / "bundles" / sha256_file(predictions)[:16]
    if not (place / MANIFEST).is_file():
        row: dict[str, Any] = next(iter(read(predictions, dict, strict=False)), {})
        made_by = str(row.get("model", ""))
        model = next((one for one in wanted.models if ModelFile(one).header.weights_hash.startswith(made_by)), None)
        if model is None:
            what = f"for a map of these predictions their model is needed, {made_by}"
            raise UserError(what, where=str(folder), remedy="add --model FILE")
        print(f"explore: making the map of {folder}, once", flush=True)
        part.record(folder, model, place)
    return place


def open_explorers(wanted: Wanted, part: ExplorePart, bundles: Mapping[str, Bundle]) -> dict[str, Explorer]:
    """Who generates, by the key of the bundle. Raises UserError where a model is that of no bundle."""
    opened: dict[str, Explorer] = {}
    for model in wanted.models:
        own = _of_model(bundles, ModelFile(model).header.weights_hash, str(model))
        opened |= {key: part.open(model, bundles[key], wanted.device) for key in own}
    if wanted.generator is not None:
        headers = {"X-API-Key": os.environ[KEY_VARIABLE]} if os.environ.get(KEY_VARIABLE) else {}
        hash = weights_hash_of(wanted.generator, headers)
        truth = (find_part(wanted.task, ServePart) or ServePart()).truth
        prediction = load_part(wanted.task, RowsPart).prediction
        remote = RemoteExplorer(wanted.generator, headers, tuple(truth), prediction, hash)
        opened |= dict.fromkeys(_of_model(bundles, hash, wanted.generator), remote)
    return opened


def _of_model(bundles: Mapping[str, Bundle], hash: str, where: str) -> list[str]:
    """Keys of the bundles that were recorded of the model at ``where``. Raises UserError where there is none."""
    own = [key for key, bundle in bundles.items() if bundle.manifest.weights_hash == hash]
    if not own:
        what = f"none of these activations were recorded of this model ({hash[:16]})"
        raise UserError(what, where=where, remedy="give those of this model, or another --model")
    return own


def headers_of(provider: Provider | None) -> dict[str, str]:
    """What is sent with each answer: a Space, and nothing else, is shown within a page of Hugging Face."""
    policy = HEADERS["Content-Security-Policy"]
    if provider is not None:
        policy = policy.replace("frame-ancestors 'none'", "frame-ancestors https://huggingface.co https://*.hf.space")
    return HEADERS | {"Content-Security-Policy": policy}

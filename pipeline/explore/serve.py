"""Opens bundles, models and the store, and serves the page until it is interrupted."""

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from pipeline.contract.exploring import ExplorePart, Explorer
from pipeline.contract.load import find_part, load_part
from pipeline.contract.parts import RowsPart
from pipeline.contract.serving import ServePart
from pipeline.errors import UserError
from pipeline.explore.app import make_app
from pipeline.explore.bundle import Bundle, open_bundle
from pipeline.explore.counter import Shop
from pipeline.explore.door import Door, Provider
from pipeline.explore.remote import RemoteExplorer, remote_weights_hash
from pipeline.explore.store import Store
from pipeline.model.container import ModelFile
from pipeline.web.address import Address
from pipeline.web.headers import HEADERS
from pipeline.web.server import Server

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
    bundles = open_bundles(wanted.task, wanted.bundles)
    explorers = open_explorers(wanted, part, bundles)
    store = Store(wanted.folder)
    shop = Shop(wanted.task, part, bundles, explorers, store, Door(store, passwords, provider), token)
    Server(make_app(shop), address, headers_of(provider)).run()


def open_bundles(task: str, folders: Sequence[Path]) -> dict[str, Bundle]:
    """Bundles by key, in order. Raises UserError."""
    opened = [open_bundle(folder) for folder in folders]
    for bundle in opened:
        if bundle.manifest.task != task:
            what = f"these activations are of task {bundle.manifest.task!r}, not of {task!r}"
            raise UserError(what, where=str(bundle.folder), remedy=f"baton explore {bundle.manifest.task}")
    return {bundle.key: bundle for bundle in opened}


def open_explorers(wanted: Wanted, part: ExplorePart, bundles: Mapping[str, Bundle]) -> dict[str, Explorer]:
    """Who generates, by the key of the bundle. Raises UserError where a model is that of no bundle."""
    if wanted.generator is not None:
        headers = {"X-API-Key": os.environ[KEY_VARIABLE]} if os.environ.get(KEY_VARIABLE) else {}
        hash = remote_weights_hash(wanted.generator, headers)
        serving = find_part(wanted.task, ServePart) or ServePart()
        prediction = load_part(wanted.task, RowsPart).prediction
        remote = RemoteExplorer(wanted.generator, headers, tuple(serving.truth), prediction, hash)
        own = [key for key, bundle in bundles.items() if bundle.manifest.weights_hash == hash]
        if not own:
            raise _no_bundle(wanted.generator, hash)
        return dict.fromkeys(own, remote)
    explorers: dict[str, Explorer] = {}
    for model in wanted.models:
        hash = ModelFile(model).header.weights_hash
        own = [key for key, bundle in bundles.items() if bundle.manifest.weights_hash == hash]
        if not own:
            raise _no_bundle(str(model), hash)
        explorers |= {key: part.open(model, bundles[key], wanted.device) for key in own}
    return explorers


def headers_of(provider: Provider | None) -> dict[str, str]:
    """What is sent with each answer: a Space, and nothing else, is shown within a page of Hugging Face."""
    policy = HEADERS["Content-Security-Policy"]
    if provider is not None:
        policy = policy.replace("frame-ancestors 'none'", "frame-ancestors https://huggingface.co https://*.hf.space")
    return HEADERS | {"Content-Security-Policy": policy}


def _no_bundle(where: str, hash: str) -> UserError:
    what = f"none of these activations were recorded of this model ({hash[:16]})"
    return UserError(what, where=where, remedy="record them: baton infer TASK --model FILE --activations")

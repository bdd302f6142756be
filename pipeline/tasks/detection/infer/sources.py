"""What infer can answer from: an inference_v1 file, a Hugging Face folder, a server, or texts that were written before.

Here is found what tells whether a run is up to date; nothing is loaded or asked. No torch.
"""

import hashlib
import os
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any, cast
from urllib.parse import urlsplit

import msgspec

from pipeline.contract.jobs import Source, SourceRequest
from pipeline.contract.load import read_examples
from pipeline.contract.parts import SourcesPart
from pipeline.errors import UserError
from pipeline.tasks.detection.images import ImageFolder
from pipeline.tasks.detection.read_text.formats import DEFAULT, Axes, TextFormat
from pipeline.tasks.detection.recipe import Backend, DetectionRecipe, Infer, Server

_ASKED: tuple[Backend, ...] = ("huggingface", "server")  # in words; the others know what they are to do
_AXES: dict[Axes, str] = {
    "xyxy": "[x1, y1, x2, y2]",
    "yxyx": "[y1, x1, y2, x2]",
    "cxcywh": "[center x, center y, width, height]",
    "xywh": "[x1, y1, width, height]",
}

# What loading a Hugging Face checkpoint can read. Pickles are not among them: loading one runs code.
CHECKPOINT_SUFFIXES = (".json", ".jinja", ".model", ".safetensors", ".tiktoken", ".txt")


def find_source(request: SourceRequest) -> Source:
    """What ``infer.backend`` answers from. Raises UserError when it is not there, or not of this backend."""
    options = cast(Infer, request.options)
    _refuse_flags_of_other_backends(request, options.backend)
    section = cast(DetectionRecipe, request.recipe).text_format
    written = section.resolved()
    prompt = resolve_prompt(options.backend, options.prompt, written)
    source = _FINDERS[options.backend](request, options)
    config: dict[str, Any] = {}
    if options.backend != "replay":
        root = request.image_root or request.examples.parent
        asked = {"prompt": prompt, "prompt_sha256": hashlib.sha256(prompt.encode()).hexdigest()}
        config, source = asked | _image_hash(request, root, options), replace(source, image_root=root)
    if written != DEFAULT:
        config["text_format"] = {"preset": section.preset} | msgspec.to_builtins(written)
    return replace(source, config=config, facts={"backend": options.backend, **source.facts})


def text_format(source: Source) -> TextFormat:
    """How the texts of a source are read."""
    config = source.config.get("text_format")
    return DEFAULT if config is None else msgspec.convert(config, TextFormat)


def resolve_prompt(backend: Backend, prompt: str, written: TextFormat) -> str:
    """``prompt``, or the backend's own where it is empty: it asks for objects as they are ``written``, and so read."""
    if prompt or backend not in _ASKED:
        return prompt
    if written.form is not None:
        what = "models that write tokens are asked in words of their family's own, and the prompt is empty"
        raise UserError(what, where="infer.prompt", remedy="--set infer.prompt=TEXT, as the family's pages show it")
    if written.grid == "pixels":
        numbers = "in pixels of the image"
    else:
        numbers = f"{'whole ' if written.grid > 1 else ''}numbers from 0 (left, top) to {written.grid} (right, bottom)"
    return (
        "Find all objects in the image. Answer with a JSON list and nothing else. Each entry is "
        f'{{"{written.box_key}": {_AXES[written.axes]}, "{written.desc_key}": "a short name"}}; coordinates are '
        f"{numbers}. If there is no object, answer []."
    )


def _own(request: SourceRequest, options: Infer) -> Source:
    return Source(model_file=request.find_model(), facts={"reproducible": True})


def _huggingface(request: SourceRequest, options: Infer) -> Source:
    folder, remedy = request.model, "name the folder of a checkpoint with --model FOLDER"
    if folder is None:
        raise UserError("backend huggingface needs a checkpoint", remedy=remedy)
    if not (folder / "config.json").is_file():
        raise UserError("there is no config.json in this folder: it is no checkpoint", where=str(folder), remedy=remedy)
    paths = sorted(path for path in folder.rglob("*") if path.suffix in CHECKPOINT_SUFFIXES and path.is_file())
    names = {path: path.relative_to(folder) for path in paths}
    visible = {path: name for path, name in names.items() if not any(part.startswith(".") for part in name.parts)}
    note = "the same bytes for the same batch size, device and versions"
    return Source(
        files={f"model/{name.as_posix()}": path for path, name in visible.items()},
        facts={"reproducible": note, "model_folder": str(folder)},
    )


def _server(request: SourceRequest, options: Infer) -> Source:
    _check_server(options.server)
    if request.model is not None:
        what = "backend server answers with the model that the server knows by a name"
        raise UserError(what, where=f"--model {request.model}", remedy="--set infer.server.model=NAME")
    known = {"server_url": options.server.url, "server_model": options.server.model}
    return Source(facts={"reproducible": False, **known})


def _replay(request: SourceRequest, options: Infer) -> Source:
    if request.replay is None:
        raise UserError("backend replay needs texts", remedy="name a file of them with --replay FILE")
    return Source(files={"replay": request.replay}, facts={"reproducible": True})


_FINDERS: dict[Backend, Callable[[SourceRequest, Infer], Source]] = {
    "own": _own,
    "huggingface": _huggingface,
    "server": _server,
    "replay": _replay,
}


def _refuse_flags_of_other_backends(request: SourceRequest, backend: Backend) -> None:
    if request.replay is not None and backend != "replay":
        raise UserError(f"backend {backend} replays no texts", where="--replay", remedy="add --backend replay")
    for flag, path in (("--model", request.model), ("--image-root", request.image_root)):
        if path is not None and backend == "replay":
            raise UserError(f"backend replay has no use for {flag}", where=str(path), remedy=f"leave {flag} out")


def _check_server(server: Server) -> None:
    """A URL is recorded in rows' manifest, so it must hold no secret."""
    url, key = urlsplit(server.url), "infer.server.url"
    if url.scheme not in ("http", "https") or not url.hostname:
        what = f"backend server needs a URL, and this is none: {server.url!r}"
        raise UserError(what, where=key, remedy=f"--set {key}=http://127.0.0.1:8000/v1")
    if url.username is not None or url.password is not None or url.query or url.fragment:
        what = "the URL holds a name, a password or a query, and would be written into the manifest"
        remedy = "give the plain URL, and the name of the variable that holds a key: infer.server.api_key_variable"
        raise UserError(what, where=key, remedy=remedy)
    if not server.model:
        raise UserError("backend server needs the name of a model", remedy="--set infer.server.model=NAME")
    variable = server.api_key_variable
    value = os.environ.get(variable, "").strip()
    if variable and not (value and value.isascii() and value.isprintable()):
        what = f"the environment variable {variable} holds no key: it is not set, empty, or not of printable characters"
        raise UserError(what, where="infer.server.api_key_variable", remedy=f"export {variable}=...")


def _image_hash(request: SourceRequest, root: Path, options: Infer) -> dict[str, str]:
    """One hash over all images of the input, as a part of the configuration."""
    if not request.examples.is_file():
        return {}  # the stage tells
    names = (name for example in read_examples(request.task, request.examples) for name in example.images)
    return {"images_sha256": ImageFolder(root, options).sha256_of(names)}


PART = SourcesPart(find_source=find_source)

"""What infer can answer from: an inference_v1 file, a Hugging Face folder, a server, or texts that were written before.

Here is found what tells whether a run is up to date; nothing is loaded or asked. No torch.
"""

import hashlib
import os
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any, cast
from urllib.parse import urlsplit

import msgspec

from pipeline.contract.jobs import Source, SourceRequest
from pipeline.contract.load import read_examples
from pipeline.contract.parts import SourcesPart
from pipeline.errors import UserError
from pipeline.tasks.detection.images import ImageFolder, ImageLimits
from pipeline.tasks.detection.read_text.formats import DEFAULT, Axes, TextFormat
from pipeline.tasks.detection.recipe import Backend, DetectionRecipe, Infer

# What a model is asked when the recipe says nothing: coordinates, keys and the form of an answer as the parser promises
# to read them (docs/detection.md).
FIND_ALL = (
    "Find all objects in the image. Answer with a JSON list and nothing else. Each entry is "
    '{"bbox_2d": [x1, y1, x2, y2], "desc": "a short name"}; coordinates are whole numbers from 0 (left, top) to 999 '
    "(right, bottom). If there is no object, answer []."
)

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
    asked = {"prompt": prompt, "prompt_sha256": hashlib.sha256(prompt.encode()).hexdigest()}
    source = _FINDERS[options.backend](request, options, asked)
    if written == DEFAULT:
        return source
    read_as = {"text_format": {"preset": section.preset} | msgspec.to_builtins(written)}
    return replace(source, config={**source.config, **read_as})


def text_format(source: Source) -> TextFormat:
    """How the texts of a source are read."""
    config = source.config.get("text_format")
    return DEFAULT if config is None else msgspec.convert(config, TextFormat)


def resolve_prompt(backend: Backend, prompt: str, written: TextFormat) -> str:
    """``prompt``, or the backend's own where it is empty: it asks for objects as they are ``written``."""
    if prompt or backend not in _ASKED:
        return prompt
    if written == DEFAULT:
        return FIND_ALL
    if written.form is not None:
        what = "models that write tokens are asked in words of their family's own, and the prompt is empty"
        raise UserError(what, where="infer.prompt", remedy="--set infer.prompt=TEXT, as the family's pages show it")
    numbers = "in pixels of the image" if written.grid == "pixels" else _numbers(written.grid)
    return (
        "Find all objects in the image. Answer with a JSON list and nothing else. Each entry is "
        f'{{"{written.box_key}": {_AXES[written.axes]}, "{written.desc_key}": "a short name"}}; coordinates are '
        f"{numbers}. If there is no object, answer []."
    )


def _numbers(grid: int) -> str:
    return f"{'whole ' if grid > 1 else ''}numbers from 0 (left, top) to {grid} (right, bottom)"


def image_limits(options: Infer) -> ImageLimits:
    """The limits that the recipe sets."""
    return ImageLimits(num_bytes=options.max_image_bytes, num_pixels=options.max_image_pixels)


def _own(request: SourceRequest, options: Infer, asked: Mapping[str, Any]) -> Source:
    seen, root = _images(request, options)
    return Source(
        model_file=request.find_model(),
        config={**asked, **seen},
        facts={"backend": "own", "reproducible": True},
        image_root=root,
    )


def _huggingface(request: SourceRequest, options: Infer, asked: Mapping[str, Any]) -> Source:
    folder = request.model
    remedy = "name the folder of a checkpoint with --model FOLDER"
    if folder is None:
        raise UserError("backend huggingface needs a checkpoint", remedy=remedy)
    if not (folder / "config.json").is_file():
        raise UserError("there is no config.json in this folder: it is no checkpoint", where=str(folder), remedy=remedy)
    paths = sorted(path for path in folder.rglob("*") if path.suffix in CHECKPOINT_SUFFIXES and path.is_file())
    names = {path: path.relative_to(folder) for path in paths}
    files = {
        f"model/{name.as_posix()}": path
        for path, name in names.items()
        if not any(part.startswith(".") for part in name.parts)
    }
    seen, root = _images(request, options)
    note = "the same bytes for the same batch size, device and versions"
    return Source(
        files=files,
        config={**asked, **seen},
        facts={"backend": "huggingface", "reproducible": note, "model_folder": str(folder)},
        image_root=root,
    )


def _server(request: SourceRequest, options: Infer, asked: Mapping[str, Any]) -> Source:
    _check_server(options)
    if request.model is not None:
        what = "backend server answers with the model that the server knows by a name"
        raise UserError(what, where=f"--model {request.model}", remedy="--set infer.server.model=NAME")
    seen, root = _images(request, options)
    return Source(
        config={**asked, **seen},
        facts={
            "backend": "server",
            "reproducible": False,
            "server_url": options.server.url,
            "server_model": options.server.model,
        },
        image_root=root,
    )


def _replay(request: SourceRequest, options: Infer, asked: Mapping[str, Any]) -> Source:
    if request.replay is None:
        raise UserError("backend replay needs texts", remedy="name a file of them with --replay FILE")
    return Source(files={"replay": request.replay}, facts={"backend": "replay", "reproducible": True})


_FINDERS: dict[Backend, Callable[[SourceRequest, Infer, Mapping[str, Any]], Source]] = {
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


def _check_server(options: Infer) -> None:
    """A URL is recorded in rows' manifest, so it must hold no secret."""
    server, key = options.server, "infer.server.url"
    url = urlsplit(server.url)
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
    if variable and not os.environ.get(variable):
        what = f"the environment variable {variable} that is to hold the server's key is empty or not set"
        raise UserError(what, where="infer.server.api_key_variable", remedy=f"export {variable}=...")


def _images(request: SourceRequest, options: Infer) -> tuple[dict[str, Any], Path]:
    """One hash over all images of the input, as a part of the configuration; and the folder they lie in."""
    root = request.image_root or request.examples.parent
    if not request.examples.is_file():
        return {}, root  # the stage tells
    folder = ImageFolder(root, image_limits(options))
    digest = hashlib.sha256()
    for example in read_examples(request.task, request.examples):
        for name in example.images:
            digest.update(f"{name}\0{folder.sha256(name)}\n".encode())
    return {"images_sha256": digest.hexdigest()}, root


PART = SourcesPart(find_source=find_source)

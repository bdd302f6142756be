"""A model file, opened so that requests can be answered from it."""

import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from threading import Lock
from typing import TYPE_CHECKING, Any

from pipeline.contract.jobs import InferJob, Source
from pipeline.contract.load import find_part, load_part
from pipeline.contract.parts import InferPart
from pipeline.contract.serving import AnswerAll, Answerer, ModelIdentity, Opening, RunOnnx, ServePart
from pipeline.errors import UserError
from pipeline.files import cache
from pipeline.model.container import ModelFile
from pipeline.recipe.load import default_recipe

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from pipeline.contract.model import Model


def open_answerer(
    task: str,
    path: Path,
    *,
    options: Any = None,
    device: str = "cpu",
    version: str = "",
    image_root: Path | None = None,
) -> Answerer:
    """The model of an inference_v1 file, all its hashes checked and its golden outputs replayed.

    ``options`` is the section ``infer`` of a recipe, None the task's defaults; ``version`` what its registry calls it.
    A task opens it as its `ServePart` says, else its `InferPart.predict` answers, by torch. Raises UserError when the
    file is damaged, is of another task, or does not answer as it did when it was exported.
    """
    part = find_part(task, ServePart) or ServePart()
    section = options if options is not None else getattr(default_recipe(task), "infer", None)
    opening = Opening(
        identity=identity_of(task, path, version),
        options=part.options(section),
        device=device,
        load=lambda: _load(task, path, device),
        run_onnx=lambda: open_onnx(path),
        image_root=image_root,
    )
    return Answerer(opening.identity, part.open(opening) if part.open else _by_predict(opening))


def identity_of(task: str, path: Path, version: str = "") -> ModelIdentity:
    """What a model file says it is, all its hashes checked. Raises UserError, also when it is of another task."""
    file = ModelFile(path)
    file.verify()
    header = file.header
    found = header.metadata.get("task") or header.brain_spec.get("task")
    if found != task:
        raise UserError(f"this model is of task {found!r}, not of {task!r}", where=str(path), remedy=f"serve {found}")
    return ModelIdentity(
        task=task,
        path=path,
        weights_hash=header.weights_hash,
        brain_spec_hash=header.brain_spec_hash,
        metadata_hash=header.metadata_hash,
        created_at=header.created_at,
        brain_spec=header.brain_spec,
        metadata=header.metadata,
        version=version or path.stem,
    )


def _load(task: str, path: Path, device: str) -> "Model":
    from pipeline.model.file import load_model  # here: it loads torch, and not every task needs it to answer

    return load_model(path, task=task, device=device)


def _by_predict(opening: Opening) -> AnswerAll:
    """As infer answers. One call at a time: a task's ``predict`` is promised to nobody from two threads."""
    part, model, lock = load_part(opening.identity.task, InferPart), opening.load(), Lock()

    def answer(examples: Sequence[Any]) -> Sequence[Any]:
        job = InferJob(
            model=model,
            examples=examples,
            first_index=0,
            options=opening.options,
            device=opening.device,
            report=lambda done, total, facts: None,
            source=Source(model_file=opening.identity.path, image_root=opening.image_root),
        )
        with lock:
            return list(part.predict(job))

    return answer


def open_onnx(path: Path) -> RunOnnx:
    """A session of the file's ONNX form, one thread a call."""
    import onnxruntime  # here: of the extra "serve"

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    options.enable_mem_reuse = False  # 7 of 77 us for a mixture; networks that answer by ONNX are small
    session = onnxruntime.InferenceSession(onnx_bytes(path), options, providers=["CPUExecutionProvider"])
    names = [output.name for output in session.get_outputs()]

    def run(feed: "Mapping[str, NDArray[Any]]") -> "dict[str, NDArray[Any]]":
        return dict(zip(names, session.run(names, feed), strict=True))

    return run


def onnx_bytes(path: Path) -> bytes:
    """The ONNX form of a model file: from the cache, else made by a process of its own. Raises UserError as it did."""
    header = ModelFile(path).header
    key = f"onnx-{header.brain_spec_hash[:32]}-{header.metadata_hash[:32]}-{header.weights_hash[:32]}"
    content = cache.load(key)
    if content is None:
        content = _made_by_a_child(path)
        cache.keep(key, content)
    return content


def _made_by_a_child(path: Path) -> bytes:
    with tempfile.TemporaryDirectory() as folder:
        out = Path(folder, "model.onnx")
        command = [sys.executable, "-c", _CHILD, str(path), str(out)]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        if done.returncode:
            reason = done.stderr.strip().splitlines()[-1] if done.stderr.strip() else f"exit code {done.returncode}"
            what = f"its ONNX form cannot be made: {reason}"
            raise UserError(what, where=str(path), remedy="baton export TASK --format onnx says more")
        return out.read_bytes()


_CHILD = """
import os, sys
os.nice(19)  # it takes seconds; whoever asks meanwhile goes first
from pipeline.errors import UserError
from pipeline.model.onnx import export_onnx
try:
    export_onnx(sys.argv[1], sys.argv[2])
except UserError as error:
    sys.exit(error.what)
"""

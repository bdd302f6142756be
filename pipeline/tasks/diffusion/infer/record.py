"""What layers say of the generated images, in files beside the rows: a chunk of rows at a time, a file a layer.

Chunks are of `CHUNK` rows, whatever the batch size: the files, and what rows say of them, do not depend on it. Memory
holds one chunk.
"""

import hashlib
import io
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
from numpy.typing import NDArray

from pipeline.errors import UserError
from pipeline.tasks.diffusion.model.activations import look_at
from pipeline.tasks.diffusion.model.model import DiffusionModel
from pipeline.tasks.diffusion.pixels import decode_png, to_values
from pipeline.tasks.diffusion.recipe import Activations
from pipeline.tasks.diffusion.rows import ActivationsRef, DiffusionPrediction, FileRef

CHUNK = 256  # rows

Write = Callable[[str, bytes], None]


def record(
    model: DiffusionModel, rows: Sequence[DiffusionPrediction], start: int, options: Activations, write: Write
) -> list[DiffusionPrediction]:
    """The rows of the chunk that begins with record ``start``, naming the files that were written for them."""
    made = [place for place, row in enumerate(rows) if row.image_png is not None]
    if not made:
        return list(rows)
    labels = None if options.label == "none" else [model.number_of(rows[place].label) for place in made]
    images = [to_values(decode_png(rows[place].image_png or "")) for place in made]
    seeds = [rows[place].seed for place in made]
    said = look_at(model.denoiser, images, seeds, options.layers, options.sigmas, labels)
    files = {name: _written(f"activations/{name}-{start:08d}.npy", values, write) for name, values in said.items()}
    out = list(rows)
    for number, place in enumerate(made):
        where = ActivationsRef(files=files, place=number, sigmas=options.sigmas, label=options.label)
        out[place] = msgspec.structs.replace(rows[place], activations=where)
    return out


def _written(name: str, values: NDArray[np.float32], write: Write) -> FileRef:
    file = io.BytesIO()
    np.save(file, values.astype(np.float16))
    write(name, file.getvalue())
    return FileRef(path=name, sha256=hashlib.sha256(file.getvalue()).hexdigest())


def open_activations(
    folder: Path, rows: Sequence[DiffusionPrediction], layer: str
) -> Iterator[tuple[str, NDArray[np.float16]]]:
    """Ids of rows in ``folder``, and what the layer said of their images [levels, C, H, W], mapped from the files.

    Rows without activations of this layer are passed over. Raises UserError when a file is not what its rows say.
    """
    opened: dict[str, NDArray[np.float16]] = {}
    for row in rows:
        ref: Mapping[str, Any] = row.activations.files if row.activations is not None else {}
        if layer in ref:
            file = ref[layer]
            if file.path not in opened:
                opened = {file.path: _opened(folder / file.path, file.sha256)}
            assert row.activations is not None
            yield row.id, opened[file.path][row.activations.place]


def _opened(path: Path, sha256: str) -> NDArray[np.float16]:
    if not path.is_file() or hashlib.sha256(path.read_bytes()).hexdigest() != sha256:
        what = "the activations are not those that the predictions name" if path.is_file() else "there is no such file"
        raise UserError(what, where=str(path), remedy="run `baton infer` again with --force")
    mapped: NDArray[np.float16] = np.load(path, mmap_mode="r", allow_pickle=False)
    return mapped

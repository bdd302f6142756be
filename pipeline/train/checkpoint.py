"""checkpoint_v1 as trainings write and go on from it; `pipeline.export` reads those that come from anywhere."""

import sys
from pathlib import Path
from typing import Any, BinaryIO

import torch

from pipeline.errors import UserError
from pipeline.files.atomic import replacing


def save_checkpoint(path: Path, checkpoint: dict[str, Any]) -> None:
    """Write a checkpoint: it is whole or it is not there. Equal checkpoints give equal bytes.

    Raises UserError when the disk is full.
    """
    with replacing(path) as file:
        sink = _Sink(file)
        torch.save(_plain(checkpoint), sink)  # type: ignore[arg-type]  # asks for a whole IO[bytes], uses no more
        if sink.error:
            raise sink.error


def load_checkpoint(path: Path) -> dict[str, Any]:
    """What `save_checkpoint` wrote, to go on from it. Raises UserError when it does not read."""
    try:
        checkpoint: dict[str, Any] = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # a damaged file can make the reader fail in any way
        what = f"the checkpoint to go on from is damaged: {(str(error).splitlines() or ['?'])[0][:160]}"
        raise UserError(what, where=str(path), remedy="start anew with --fresh") from error
    return checkpoint


def _plain(value: Any) -> Any:
    """The same value in new containers and interned strings.

    A pickle refers back to objects it has seen, so equal values that share objects differently make different bytes;
    a resumed training, whose strings come from a file, would not write what an uninterrupted one does.
    """
    if isinstance(value, str):
        return sys.intern(value)
    if isinstance(value, dict):
        return {_plain(key): _plain(entry) for key, entry in value.items()}
    if isinstance(value, list | tuple):
        return type(value)(_plain(entry) for entry in value)
    return value


class _Sink:
    """A file as torch.save is given it: the first error is kept, for torch tells of a failed write in other words."""

    def __init__(self, file: BinaryIO) -> None:
        self._file = file
        self.error: OSError | None = None

    def write(self, data: bytes) -> int:
        try:
            if self.error is None:
                self._file.write(data)
        except OSError as error:
            self.error = error
        return len(data)

    def flush(self) -> None:
        """Nothing to do: the file is synced at the end."""

"""Model files of other makers: recognised by how they begin and what they hold, never opened.

Each is told with a way that works: else infer would send such a file to export, and export back to train.
"""

import re
import zipfile
from pathlib import Path

from pipeline.errors import UserError

_Q_NETWORK = (
    "save its Q-network as docs/migrating-checkpoints.md says, in a Python that trusts the file, then export that: "
    "torch.save({'state_dict': DQN.load(FILE).q_net.q_net.state_dict(), 'network_type': 'simple'}, 'old.pt'); "
    "baton export TASK --checkpoint old.pt --trained-in ..."
)
_WEIGHTS = (
    "load it with the library that wrote it, save the weights as docs/migrating-checkpoints.md says, then: "
    "baton export TASK --checkpoint FILE"
)
_TEXTS = "serve it, and ask the server: baton infer TASK --backend server (of a task that has one)"
_ANSWERS = (
    "let its own runtime answer, and bring the answers: baton infer TASK --backend replay (of a task that has one)"
)

# By the first bytes of the file. ONNX is a protocol buffer: its version, then (0x12) who wrote it.
_BEGINNINGS = (
    (rb"GGUF", "a GGUF file (llama.cpp)", _TEXTS),
    (rb"\x89HDF\r\n\x1a\n", "an HDF5 file, as Keras writes them", _WEIGHTS),
    (rb"\x08.\x12[^{]", "an ONNX file", _ANSWERS),
)
# By a file that a zip archive holds, at any depth.
_MEMBERS = (
    ("_stable_baselines3_version", "a model of stable-baselines3", _Q_NETWORK),
    ("model.weights.h5", "a Keras model", _WEIGHTS),
    ("constants.pkl", "a TorchScript archive", _WEIGHTS),
)


def refuse_foreign(path: Path) -> None:
    """Raise UserError where another maker's library wrote the file. Whatever else is wrong is not told here."""
    found = _recognised(path)
    if found is not None:
        maker, remedy = found
        raise UserError(f"this is {maker}, not a file of Baton", where=str(path), remedy=remedy)


def _recognised(path: Path) -> tuple[str, str] | None:
    try:
        with open(path, "rb") as file:
            start = file.read(8)
    except OSError:
        return None
    if start.startswith(b"PK\x03\x04"):
        return _archive(path)
    return next(((what, remedy) for magic, what, remedy in _BEGINNINGS if re.match(magic, start, re.DOTALL)), None)


def _archive(path: Path) -> tuple[str, str] | None:
    try:
        with zipfile.ZipFile(path) as archive:
            held = {name.rpartition("/")[2] for name in archive.namelist()}
    except (zipfile.BadZipFile, OSError):
        return None
    return next(((what, remedy) for name, what, remedy in _MEMBERS if name in held), None)

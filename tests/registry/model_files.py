"""Small model files for the tests of registries."""

from pathlib import Path

from pipeline.model.file import save_model
from tests.model.model_parts import parts


def make_model(path: Path, seed: int = 0) -> Path:
    """A model file; another seed is another model."""
    path.parent.mkdir(parents=True, exist_ok=True)
    save_model(path, parts(seed))
    return path

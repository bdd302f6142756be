"""Whether files are checkpoints of one training: said by the manifests beside them, never guessed from their names."""

from collections.abc import Mapping
from pathlib import Path

from pipeline.errors import UserError
from pipeline.manifests import load_manifest


def steps_of_training(inputs: Mapping[str, Path]) -> dict[str, int]:
    """The training step behind each file by label, if all files are checkpoints of one training; else nothing.

    They are where the manifests that infer left beside them name one training (the hash of its recipe, seed included),
    different steps, and the same settings of infer: answers that were drawn in another way are no progress.
    """
    found = {label: _origin(path) for label, path in inputs.items()}
    known = {label: origin for label, origin in found.items() if origin is not None}
    trainings = {(training, settings) for training, settings, _ in known.values()}
    steps = {label: step for label, (_, _, step) in known.items()}
    one = len(known) == len(inputs) > 1 and len(trainings) == 1
    return steps if one and len({*steps.values()}) == len(steps) else {}


def _origin(path: Path) -> tuple[str, str, int] | None:
    """Training, hash of infer's configuration, and step of the model behind a file; None where that is not known."""
    try:
        manifest = load_manifest(path.parent)
    except UserError:
        return None
    written = {(path.parent / record.path).resolve() for record in manifest.outputs.values()}
    training, step = manifest.notes.get("training"), manifest.notes.get("step")
    if path.resolve() not in written or not isinstance(training, str) or not isinstance(step, int):
        return None
    return training, manifest.config_hash, step

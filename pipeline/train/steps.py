"""The training step behind predictions, and whether files are checkpoints of one training.

Both are said by the manifests that infer left beside them, never guessed from names or from the order given.
"""

from collections.abc import Mapping
from pathlib import Path

from pipeline.errors import UserError
from pipeline.run.manifest import load_manifest
from schemas.manifest import Manifest


def training_step(predictions: Path) -> int | None:
    """The training step of the model behind a predictions file; None where its manifest does not say it."""
    manifest = _manifest_of(predictions)
    step = None if manifest is None else manifest.notes.get("step")
    return step if isinstance(step, int) else None


def infer_remarks(predictions: Path) -> list[str]:
    """What infer told about a predictions file; nothing where its manifest does not say it."""
    manifest = _manifest_of(predictions)
    return [] if manifest is None else [str(remark) for remark in manifest.notes.get("remarks", [])]


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


def in_order_of_training(inputs: Mapping[str, Path]) -> tuple[dict[str, Path], dict[str, int]]:
    """Checkpoints of one training in the order of their steps, with these; other files as given, without steps."""
    steps = steps_of_training(inputs)
    labels = sorted(inputs, key=steps.__getitem__) if steps else [*inputs]
    return {label: inputs[label] for label in labels}, {label: steps[label] for label in labels if steps}


def _origin(path: Path) -> tuple[str, str, int] | None:
    """Training, hash of infer's configuration, and step of the model behind a file; None where that is not known."""
    manifest = _manifest_of(path)
    if manifest is None:
        return None
    training, step = manifest.notes.get("training"), manifest.notes.get("step")
    if not isinstance(training, str) or not isinstance(step, int):
        return None
    return training, manifest.config_hash, step


def _manifest_of(path: Path) -> Manifest | None:
    """The manifest beside a file, if it is about that file."""
    try:
        manifest = load_manifest(path.parent)
    except UserError:
        return None
    written = {(path.parent / record.path).resolve() for record in manifest.outputs.values()}
    return manifest if path.resolve() in written else None

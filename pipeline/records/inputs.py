"""Files of predictions as a command line names them, and the files that evaluating them takes besides."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from pipeline.contract.load import load_part
from pipeline.contract.parts import EvaluatePart
from pipeline.errors import UserError
from pipeline.look.numbers import num_common


def named_files(task: str, options: Any) -> dict[str, Path]:
    """The files that the section ``evaluate`` of a recipe names, by what they are for: inputs like the predictions."""
    return {name: Path(path) for name, path in load_part(task, EvaluatePart).files(options).items()}


def label_inputs(texts: Sequence[str]) -> dict[str, Path]:
    """Predictions files by label, from "LABEL=PATH" or "PATH" each.

    A path without a label is called by what tells it from the other paths. Raises UserError when two have one label.
    """
    named = [_split_label(text) for text in texts]
    paths = [path for _, path in named]
    labels = [label or short for (label, _), short in zip(named, distinguishing(paths), strict=True)]
    for label in labels:
        if labels.count(label) > 1:
            where = ", ".join(str(path) for path, other in zip(paths, labels, strict=True) if other == label)
            raise UserError(f"two inputs are called {label!r}", where=where, remedy="give them as LABEL=PATH")
    return dict(zip(labels, paths, strict=True))


def label_groups(texts: Sequence[str]) -> dict[str, dict[str, Path]]:
    """Groups of predictions files by label, from "[LABEL=]PATH,PATH,..." each: the files of a group by labels of their
    own, "LABEL/1" and so on; a single file has that of its group. Raises UserError as `label_inputs`."""
    parts = [[text] if _split_label(text)[1].exists() else text.split(",") for text in texts]
    firsts = label_inputs([first for first, *_ in parts])
    groups: dict[str, dict[str, Path]] = {}
    for (label, path), (_, *others) in zip(firsts.items(), parts, strict=True):
        paths = [path, *map(Path, others)]
        names = [f"{label}/{number}" for number in range(1, len(paths) + 1)] if others else [label]
        groups[label] = dict(zip(names, paths, strict=True))
    return groups


def _split_label(text: str) -> tuple[str | None, Path]:
    label, equals, path = text.partition("=")
    if equals and label and "/" not in label and not Path(text).exists():
        return label, Path(path)
    return None, Path(text)


def distinguishing(paths: Sequence[Path]) -> list[str]:
    """The parts of each path that are not common to the beginning or the end of all of them."""
    parts = [path.absolute().with_suffix("").parts for path in paths]
    if len({*parts}) == 1:
        return [path.stem for path in paths]
    start = num_common(parts)
    end = num_common([names[start:][::-1] for names in parts])
    return ["-".join(names[start : len(names) - end]) or names[-1] for names in parts]


def input_files(task: str, predictions: Mapping[str, Path], options: Any) -> dict[str, Path]:
    """What the result depends on, by the names that the manifest has: predictions, where there are several by their
    labels, and `named_files`."""
    names = predictions if len(predictions) > 1 else ["predictions"]
    return dict(zip(names, predictions.values(), strict=True)) | named_files(task, options)

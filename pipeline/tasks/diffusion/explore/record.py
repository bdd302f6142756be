"""A bundle of what infer recorded: images, activations, a map of each layer, and what the layer knows."""

from collections.abc import Sequence
from itertools import chain
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pipeline.errors import UserError
from pipeline.explore.bundle import IMAGES, BundleWriter
from pipeline.files import read_all
from pipeline.model.file import load_model
from pipeline.tasks.diffusion.data.shapes import FACTORS
from pipeline.tasks.diffusion.infer.record import open_activations
from pipeline.tasks.diffusion.model.layout import lay_out
from pipeline.tasks.diffusion.pixels import decode_png
from pipeline.tasks.diffusion.rows import BETWEEN, MAIN, DiffusionPrediction
from schemas.bundle import BundleManifest, Curve, Layer, Record

MAX_PROBED = 2000  # records
Rows = Sequence[DiffusionPrediction]
_TRAIN_SHARE = 0.7
_RIDGE = 0.1  # of the mean square of a feature, times the number of records


def record(run: Path, model_path: Path, folder: Path) -> None:
    """Write a bundle into ``folder`` of the predictions with activations in ``run``. Raises UserError."""
    rows = read_all(run / "predictions.jsonl", DiffusionPrediction)
    first: dict[str, DiffusionPrediction] = {}  # of several of an id, which are asked in different ways
    for row in rows:
        if row.activations is not None and row.variant == MAIN and row.label is not None:
            first.setdefault(_id(row), row)
    shown = [*first.values()]
    if not shown:
        what, setting = "nothing was recorded with these predictions", "infer.activations.layers=[middle]"
        raise UserError(what, where=str(run), remedy=f"baton infer diffusion --set '{setting}'")
    model = load_model(model_path, task="diffusion")
    module: Any = model.module
    ref = shown[0].activations
    assert ref is not None
    order = np.unique(ref.sigmas, return_index=True)[1][::-1]  # from the highest, each once
    levels, writer = tuple(ref.sigmas[k] for k in order), BundleWriter(folder)
    images = [decode_png(row.image_png or "") for row in shown]
    writer.array(IMAGES, (len(shown), *images[0].shape), np.uint8)[:] = images
    facts = probed_facts([row.label or "" for row in shown])
    layers = []
    for name in ref.files:
        files = {kind: f"{kind}-{name}.npy" for kind in ("activations", "coordinates")}
        activations = _copy(writer, files["activations"], (run, shown, name), order)
        frozen = module.map.layout if module.map is not None and module.map.config.layer == name else None
        places = writer.array(files["coordinates"], (*activations.shape[:2], 2), np.float32)
        lay_out(places, activations, levels, frozen)
        probes = {
            fact: tuple(probe(activations[:, level], values) for level in range(len(levels)))
            for fact, values in facts.items()
        }
        layers.append(Layer(name=name, num_features=activations.shape[2], probes=probes, **files))
    manifest = BundleManifest(
        task="diffusion",
        title=model_path.stem if model_path.stem != "model" else model_path.resolve().parent.parent.name,
        weights_hash=model.weights_hash,
        conditioning=ref.label,
        num_records=len(shown),
        image_shape=images[0].shape,
        classes=module.config.labels,
        noise_levels=levels,
        layers=tuple(layers),
        curves=tuple(steering_curves(rows)),
    )
    writer.finish(manifest, map(_record, shown))


def _id(row: DiffusionPrediction) -> str:
    """It says how the image is made again: by its class and its seed."""
    return f"{row.label}/{row.seed}"


def _record(row: DiffusionPrediction) -> Record:
    assert row.label is not None
    facts: dict[str, str | int | float] = {"judged": row.judged_label or "", "request": row.id}
    return Record(task="diffusion", id=_id(row), label=row.label, facts=facts)


def reference_of(id: str) -> tuple[str, int]:
    """Class and seed of a record of a bundle. Raises UserError where its id says none."""
    label, slash, seed = id.rpartition("/")
    if not (slash and seed.isdecimal()):
        raise UserError(f"record {id!r} is no generated image", remedy="choose records of a map of this model")
    return label, int(seed)


def _copy(writer: BundleWriter, file: str, recorded: tuple[Path, Rows, str], order: NDArray[np.int64]) -> NDArray[Any]:
    """The activations of a layer [N, levels, D], a row at a time."""
    flat = (said[order].reshape(len(order), -1) for _, said in open_activations(*recorded))
    first = next(flat)
    copied = writer.array(file, (len(recorded[1]), *first.shape), np.float16)
    for place, one in enumerate(chain([first], flat)):
        copied[place] = one
    return copied


def probed_facts(labels: Sequence[str]) -> dict[str, NDArray[np.int64]]:
    """What probes look for in records of these classes, as numbers [N]: the class, and where classes say several
    factors, each of these."""
    told = {"class": labels}
    if BETWEEN in labels[0]:
        for values in zip(*(label.split(BETWEEN) for label in labels), strict=True):
            (factor,) = (name for name, known in FACTORS.items() if values[0] in known)
            told[factor] = values
    numbers = {fact: np.unique(values, return_inverse=True)[1].astype(np.int64) for fact, values in told.items()}
    return {fact: values for fact, values in numbers.items() if values.any()}  # where all are alike, nothing is told


def probe(features: NDArray[Any], labels: NDArray[np.int64]) -> float:
    """The share of held-out records [N, D] whose class a linear classifier tells (ridge regression on the classes)."""
    chosen = np.random.default_rng(0).permutation(len(features))[:MAX_PROBED]
    x, y = features[chosen].astype(np.float64), np.eye(labels.max() + 1)[labels[chosen]]
    split = int(_TRAIN_SHARE * len(x))
    mean, scale = x[:split].mean(0), x[:split].std(0).clip(1e-6)
    x = (x - mean) / scale
    train, target = x[:split], y[:split] - y[:split].mean(0)
    kernel = train @ train.T + _RIDGE * x.shape[1] * np.eye(split)  # a system of records, which are fewer than features
    said = x[split:] @ (train.T @ np.linalg.solve(kernel, target)) + y[:split].mean(0)
    return round(float((said.argmax(1) == labels[chosen][split:]).mean()), 4)


def steering_curves(rows: Rows) -> list[Curve]:
    """How often steered images are judged as their references' class, by masked steps and label; none without them."""
    found: dict[str, dict[int, list[bool]]] = {}
    layers, strengths = set[str](), set[str]()
    for row in rows:
        if row.steering is not None and row.image_png is not None:
            is_right = row.judged_label == row.steering.target
            found.setdefault(row.steering.label_mode, {}).setdefault(row.steering.num_masked, []).append(is_right)
            layers |= {*row.steering.layers}
            strengths.add(f"{row.steering.strength:g}")
    lines = {
        mode: tuple((float(num), float(np.mean(right))) for num, right in sorted(counts.items()))
        for mode, counts in sorted(found.items())
    }
    curve = Curve(
        title=f"Steering by {', '.join(sorted(layers))}, strength {', '.join(sorted(strengths))}",
        x_label="masked steps",
        y_label="judged as the references' class",
        lines=lines,
        field="num_masked",
        line_field="label_mode",
    )
    return [curve] if lines else []

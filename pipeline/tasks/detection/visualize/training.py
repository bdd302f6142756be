"""Pictures of learning: the course of one training, and several predictions files on the same images."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.ticker import EngFormatter, FuncFormatter, LogLocator, NullFormatter, PercentFormatter

from pipeline import files as jsonl
from pipeline import stats
from pipeline.errors import UserError
from pipeline.look import plotting
from pipeline.stats import Floats
from pipeline.stats.intervals import draw_records
from pipeline.tasks.detection.evaluate.average_precision import AveragePrecision
from pipeline.tasks.detection.evaluate.dataset import collect
from pipeline.tasks.detection.evaluate.explain import reading_of
from pipeline.tasks.detection.evaluate.kernels import Weights
from pipeline.tasks.detection.evaluate.matching import box_ious, make_cells
from pipeline.tasks.detection.recipe import Evaluate
from pipeline.tasks.detection.rows import DetectionMonitor, DetectionPrediction, DetectionProgress
from pipeline.tasks.detection.visualize.looks import Picture

SECTION = "How it learned"
NUM_POINTS = 200  # of a smoothed curve
NUM_RESAMPLES = 300
PLAIN = FuncFormatter(lambda value, place: f"{value:g}")
STEPS = EngFormatter(places=None, sep="")  # 500k, 2M


def training_pictures(folder: Path, note: Callable[[str], None]) -> Iterator[Picture]:
    """What a training folder shows; what cannot be read is noted and left out."""
    progress = _read(folder, "progress.jsonl", DetectionProgress, note)
    monitor = _read(folder, "monitor.jsonl", DetectionMonitor, note)
    if progress or monitor:
        yield _training_curves(progress, monitor)


def _read(folder: Path, name: str, row_type: Any, note: Callable[[str], None]) -> Sequence[Any]:
    path = folder / name
    if not path.is_file():
        note(f"No {name} in {folder.name}: what it would show is left out.")
        return []
    try:
        found = jsonl.scan(path, row_type)
    except UserError as error:
        note(f"{name} cannot be read ({error.what}): what it would show is left out.")
        return []
    if found.torn:
        note(f"The last line of {name} is torn (the training was cut off or goes on): drawn without it.")
    return found.rows


def _training_curves(progress: Sequence[DetectionProgress], monitor: Sequence[DetectionMonitor]) -> Picture:
    canvas = plotting.new_figure(3.8)
    left, middle, right = plotting.small_multiples(canvas, 3, 3)
    _draw_losses(left, progress, monitor)
    x = [row.step for row in monitor]
    for index, (name, label) in enumerate(
        (
            ("average_precision", "AP"),
            ("average_precision_50", "AP50"),
            ("mask_average_precision", "mask AP"),
            ("mask_average_precision_50", "mask AP50"),
        )
    ):
        values = np.array([getattr(row, name) for row in monitor], dtype=np.float64)
        if np.isfinite(values).any():
            looks = plotting.look(index)
            style: dict[str, Any] = {"color": looks.color, "linestyle": looks.line, "marker": looks.marker}
            middle.plot(x, values, markersize=4, label=label, **style)
    if monitor:
        best = max(monitor, key=lambda row: row.selected_by)
        middle.axvline(best.step, color=plotting.FAINT, linewidth=1, linestyle=(0, (2, 2)), label="selected checkpoint")
        right.plot(x, [row.malformed_share for row in monitor], "-o", color=plotting.BLUE, markersize=4)
    middle.set(ylim=(0, 1.02), title="average precision")
    right.set(ylim=(0, None), title="malformed texts")
    right.yaxis.set_major_formatter(PercentFormatter(1.0))
    for ax in (left, middle, right):
        ax.xaxis.set_major_formatter(STEPS)
        ax.set_xlabel("training step")
    plotting.legend_below(canvas, [left, middle])
    return Picture(
        slug="training",
        title="The course of the training",
        caption="Left: the loss in training, smoothed, and that of the averaged weights on monitoring images that the "
        "training does not learn from. Middle: their average precision there, with all scores 1. Right: the share of "
        "their texts that had to be repaired or hold anything that is no valid object.",
        section=SECTION,
        canvas=canvas,
    )


def _draw_losses(ax: Axes, progress: Sequence[DetectionProgress], monitor: Sequence[DetectionMonitor]) -> Axes:
    rows = sorted(progress, key=lambda row: row.step)
    groups = [g for g in np.array_split(np.arange(len(rows)), min(NUM_POINTS, max(len(rows), 1))) if len(g)]
    for index, (name, label) in enumerate((("loss", "loss"), ("token_loss", "of the tokens"), ("dense_loss", "dense"))):
        values = [np.mean([getattr(rows[k], name) for k in group]) for group in groups]
        looks = plotting.look(index)
        style: dict[str, Any] = {"color": looks.color, "linestyle": looks.line, "linewidth": 1.3}
        ax.plot([np.mean([rows[k].step for k in group]) for group in groups], values, label=label, **style)
    if monitor:
        style = {"color": plotting.INK, "markersize": 4}
        ax.plot([row.step for row in monitor], [row.loss for row in monitor], "D", label="monitoring", **style)
    losses = [*(row.loss for row in rows), *(row.loss for row in monitor)]
    if losses and min(losses) > 0:
        ax.set_yscale("log")
        ax.yaxis.set_major_locator(LogLocator(subs=(1.0, 2.0, 5.0)))
        ax.yaxis.set_major_formatter(PLAIN)
        ax.yaxis.set_minor_formatter(NullFormatter())
    ax.set_title("loss")
    return ax


def checkpoint_curve(predictions: Mapping[str, Sequence[DetectionPrediction]], options: Evaluate) -> Picture:
    """AP and AP50 of several predictions files, in the order given, with intervals over images."""
    rows = {label: found for label, found in predictions.items() if found}
    found = {label: _figures(file, options) for label, file in rows.items()}
    canvas = plotting.new_figure(3.6)
    axes = plotting.small_multiples(canvas, 2, 2)
    x = np.arange(len(found))
    is_long = max(map(len, found)) * len(found) > 40
    for ax, name, label in zip(axes, ("average_precision", "average_precision_50"), ("AP", "AP50"), strict=True):
        value, low, high = np.array([one[name] for one in found.values()]).T
        plotting.band(ax, x, value, (low, high), plotting.look(0))
        ax.errorbar(x, value, plotting.whiskers(value, (low, high)), fmt="o", color=plotting.BLUE, capsize=3)
        for place, number, end in zip(x, value, high, strict=True):
            where: dict[str, Any] = {"textcoords": "offset points", "fontsize": 7.5, "ha": "center"}
            ax.annotate(f"{number:.3f}", (place, end), (0, 5), **where)
        ax.set_xticks(x, list(found), rotation=30 if is_long else 0, ha="right" if is_long else "center")
        ax.set(ylabel=label, ylim=(0, 1.07), xlim=(-0.4, len(x) - 0.4))
    same = len({frozenset(row.id for row in file) for file in rows.values()}) == 1
    return Picture(
        slug="checkpoints",
        title="Predictions compared",
        caption="Average precision of each predictions file, in the order given, with bootstrap intervals over images. "
        + ("All of them are of the same images." if same else "They are NOT all of the same images."),
        section=SECTION,
        canvas=canvas,
    )


def _figures(rows: Sequence[DetectionPrediction], options: Evaluate) -> dict[str, tuple[float, float, float]]:
    """AP and AP50 as (value, low, high); 0 where there is nothing to find."""
    dataset = collect(rows, reading_of(options))
    cells = make_cells(dataset)
    precision = AveragePrecision(dataset, cells, box_ious(dataset, cells))
    values = precision.main(np.ones((1, len(rows)), np.int32))
    drawn = [precision.main(weights) for weights in _resamples(len(rows), options.seed)]
    bootstrap = stats.Bootstrap(num_resamples=NUM_RESAMPLES, confidence=options.confidence)
    found = {}
    for name, value in values.items():
        spread: Floats = np.concatenate([one[name] for one in drawn])
        spread = spread[np.isfinite(spread)]
        if not np.isfinite(value[0]) or not len(spread):
            found[name] = (0.0, 0.0, 0.0)
            continue
        interval = stats.percentile_interval(float(value[0]), spread, bootstrap)
        found[name] = (interval.value, interval.low, interval.high)
    return found


def _resamples(num_images: int, seed: int) -> Iterator[Weights]:
    generator = np.random.default_rng(seed)
    for drawn in draw_records(num_images, generator, NUM_RESAMPLES):
        flat = drawn + np.arange(len(drawn))[:, None] * num_images
        counts = np.bincount(flat.ravel(), minlength=len(drawn) * num_images)
        yield counts.reshape(len(drawn), num_images).astype(np.int32)

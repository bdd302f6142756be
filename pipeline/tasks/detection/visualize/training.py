"""Pictures of learning: the course of one training, and several predictions files on the same images."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.ticker import FuncFormatter, LogLocator, NullFormatter

from pipeline import stats
from pipeline.look import plotting
from pipeline.look.picture import Picture
from pipeline.look.training import Training, draw_files, draw_monitored, files_picture, name_steps, read_training
from pipeline.tasks.detection.evaluate.score import main_figures
from pipeline.tasks.detection.recipe import Evaluate
from pipeline.tasks.detection.rows import DetectionMonitor, DetectionPrediction, DetectionProgress

NUM_POINTS = 200  # of a smoothed curve
LOSSES = {"loss": "loss", "token_loss": "of the tokens", "dense_loss": "dense"}
MONITORED = {
    "average_precision": "AP",
    "average_precision_50": "AP50",
    "mask_average_precision": "mask AP",
    "mask_average_precision_50": "mask AP50",
}


def training_pictures(folder: Path, note: Callable[[str], None]) -> Iterator[Picture]:
    """What a training folder shows; what cannot be read is noted and left out."""
    training = read_training(folder, DetectionProgress, DetectionMonitor, note)
    if training.progress or training.monitor:
        yield _training_curves(training)


def _training_curves(training: Training) -> Picture:
    canvas, (left, middle, right) = plotting.new_panels(3.8, 3)
    _draw_losses(left, training)
    for index, (name, label) in enumerate(MONITORED.items()):
        x, values = training.monitored(name)
        if np.isfinite(np.array(values, dtype=np.float64)).any():
            looks = plotting.look(index)
            style: dict[str, Any] = {"color": looks.color, "linestyle": looks.line, "marker": looks.marker}
            middle.plot(x, np.array(values, dtype=np.float64), markersize=4, label=label, **style)
    if training.monitor:
        line: dict[str, Any] = {"color": plotting.FAINT, "linewidth": 1, "linestyle": (0, (2, 2))}
        middle.axvline(training.selected.step, label="selected checkpoint", **line)
        draw_monitored(right, training, "malformed_share")
    middle.set(ylim=(0, 1.02), title="average precision")
    right.set(ylim=(0, None), title="malformed texts")
    plotting.percent(right.yaxis)
    for ax in (left, middle, right):
        name_steps(ax)
    plotting.legend_below(canvas, [left, middle])
    return Picture(
        slug="training",
        title="The course of the training",
        caption="Left: the loss in training, smoothed, and that of the averaged weights on monitoring images that the "
        "training does not learn from. Middle: their average precision there, with all scores 1. Right: the share of "
        "their texts that had to be repaired or hold anything that is no valid object.",
        canvas=canvas,
    )


def _draw_losses(ax: Axes, training: Training) -> None:
    for index, (name, label) in enumerate(LOSSES.items()):
        binned = training.smoothed(name, NUM_POINTS)
        ax.plot(binned.step, binned.mean, label=label, **plotting.look(index).stroke | {"linewidth": 1.3})
    if training.monitor:
        ax.plot(*training.monitored("loss"), "D", color=plotting.INK, markersize=4, label="monitoring")
    losses = [row.loss for row in (*training.progress, *training.monitor)]
    if losses and min(losses) > 0:
        ax.set_yscale("log")
        ax.yaxis.set_major_locator(LogLocator(subs=(1.0, 2.0, 5.0)))
        ax.yaxis.set_major_formatter(FuncFormatter(lambda value, place: f"{value:g}"))
        ax.yaxis.set_minor_formatter(NullFormatter())
    ax.set_title("loss")


def checkpoint_curve(predictions: Mapping[str, Sequence[DetectionPrediction]], options: Evaluate) -> Picture:
    """AP and AP50 of several predictions files, in the order given, with intervals over images."""
    files = {label: rows for label, rows in predictions.items() if rows}
    figures = {label: main_figures(rows, options) for label, rows in files.items()}
    canvas, axes = plotting.new_panels(3.6, 2)
    tilted = max(map(len, files)) * len(files) > 40
    for ax, name, label in zip(axes, ("average_precision", "average_precision_50"), ("AP", "AP50"), strict=True):
        value, _, high = draw_files(ax, {file: _ends(found[name]) for file, found in figures.items()}, tilted=tilted)
        for place, (number, end) in enumerate(zip(value, high, strict=True)):
            above: dict[str, Any] = {"xytext": (0, 5), "textcoords": "offset points", "fontsize": 7.5, "ha": "center"}
            ax.annotate(f"{number:.3f}", (place, end), **above)
        ax.set(ylabel=label, ylim=(0, 1.07), xlim=(-0.4, len(files) - 0.4))
    return files_picture("Predictions compared", "Average precision", canvas, files)


def _ends(found: stats.Interval | float) -> tuple[float, float, float]:
    """(value, low, high); 0 where there is nothing to find, without any length where nothing was resampled."""
    if isinstance(found, stats.Interval):
        return found.value, found.low, found.high
    return (0.0 if np.isnan(found) else found,) * 3

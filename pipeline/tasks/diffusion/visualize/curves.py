"""Curves: accuracy by steps and guidance, what the training did, and several predictions files beside each other."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path

from pipeline import stats
from pipeline.look import plotting
from pipeline.look.picture import Picture
from pipeline.look.training import draw_files, draw_monitored, files_picture, name_steps, read_training
from pipeline.tasks.diffusion.evaluate.distances import frechet_distance, moments
from pipeline.tasks.diffusion.evaluate.score import MIN_IMAGES, main_rows, steered_right, vectors_of
from pipeline.tasks.diffusion.rows import DiffusionMonitor, DiffusionPrediction, DiffusionProgress

NUM_POINTS = 200  # of a smoothed curve
_TOLD = {"none": "told no class", "other": "told another class", "reference": "told the same class"}

Rows = Sequence[DiffusionPrediction]


def by_steps(rows: Rows) -> Iterator[Picture]:
    """Share of the right class and Frechet distance by number of steps, a line for each sampler and guidance."""
    groups: dict[tuple[str, float], dict[int, list[DiffusionPrediction]]] = {}
    for row in rows:
        if row.label is not None and row.steering is None:
            groups.setdefault((row.sampler, row.guidance), {}).setdefault(row.num_steps, []).append(row)
    groups = {key: steps for key, steps in groups.items() if len(steps) > 1}
    if not groups:
        return
    canvas, (left, right) = plotting.new_panels(3.6, 2)
    for index, ((sampler, guidance), steps) in enumerate(sorted(groups.items())):
        found = sorted(steps.items())
        rates = [stats.wilson(sum(row.judged_label == row.label for row in group), len(group)) for _, group in found]
        x = [count for count, _ in found]
        interval = [one.low for one in rates], [one.high for one in rates]
        look, label = plotting.look(index), f"{sampler}, guidance {guidance:g}"
        plotting.band(left, x, [one.value for one in rates], interval, look, label)
        right.plot(x, [_frechet(group) for _, group in found], marker=look.marker, **look.stroke)
    plotting.percent(left.yaxis)
    left.set(xlabel="steps", title="right class")
    right.set(xlabel="steps", title="Frechet distance", ylim=(0, None))
    plotting.legend_below(canvas, [left])
    yield Picture(
        slug="steps",
        title="Steps and guidance",
        caption="Left: share of images that the judge takes for their class, with 95 % intervals. Right: Frechet "
        "distance to as many real images in the judge's features; it grows as images become fewer, so that points "
        "compare only where they are of as many.",
        canvas=canvas,
    )


def by_masked_steps(rows: Rows) -> Iterator[Picture]:
    """Share judged as the class of the references by masked steps, a line for each thing that the model was told."""
    groups: dict[str, dict[int, list[bool]]] = {}
    for row in rows:
        if row.steering is not None:
            asked = row.variant.rpartition("-")[0].removeprefix("steered-") or row.steering.label_mode
            for name, is_so in zip((asked, f"{asked}, rest kept"), steered_right(row), strict=True):
                if is_so is not None:
                    groups.setdefault(name, {}).setdefault(row.steering.num_masked, []).append(is_so)
    if not groups:
        return
    canvas = plotting.new_figure(3.6)
    ax = canvas.subplots()
    for index, (mode, steps) in enumerate(groups.items()):
        x = sorted(steps)
        rates = [stats.wilson(sum(steps[count]), len(steps[count])) for count in x]
        interval = [one.low for one in rates], [one.high for one in rates]
        plotting.band(ax, x, [one.value for one in rates], interval, plotting.look(index), _TOLD.get(mode, mode))
    ax.set(xlabel="masked steps", ylabel="judged as the references' class", ylim=(-0.02, 1.02))
    plotting.percent(ax.yaxis)
    ax.legend()
    yield Picture(
        slug="steering",
        title="Steering by references",
        caption="For the first steps a layer says the mean of what it says of reference images of one class. Share of "
        "images that the judge takes for that class, with 95 % intervals; 0 masked steps are no steering.",
        canvas=canvas,
    )


def _frechet(rows: Rows) -> float:
    paired = [row for row in rows if row.real_features is not None]
    if len(paired) < MIN_IMAGES:
        return float("nan")
    return frechet_distance(*(moments(vectors_of(paired, name)) for name in ("features", "real_features")))


def training_pictures(folder: Path, note: Callable[[str], None]) -> Iterator[Picture]:
    """What a training folder shows; what cannot be read is noted and left out."""
    training = read_training(folder, DiffusionProgress, DiffusionMonitor, note)
    if not (training.progress or training.monitor):
        return
    canvas, axes = plotting.new_panels(3.4, 3)
    if training.progress:
        binned = training.smoothed("loss", NUM_POINTS)
        axes[0].plot(binned.step, binned.mean, **plotting.look(0).stroke)
        axes[0].set_ylim(0, None)
    if training.monitor:
        draw_monitored(axes[1], training, "accuracy").set_ylim(0, 1.02)
        draw_monitored(axes[2], training, "frechet_distance").set_ylim(0, None)
        axes[2].axvline(training.selected.step, color=plotting.FAINT, linewidth=1, linestyle=(0, (2, 2)))
    for ax, title in zip(axes, ("loss", "right class", "Frechet distance"), strict=True):
        ax.set_title(title)
        name_steps(ax)
    plotting.percent(axes[1].yaxis)
    yield Picture(
        slug="training",
        title="The course of the training",
        caption="The weighted squared error of denoised images; and what the averaged weights generated at each "
        "monitoring, as the judge sees it. The checkpoint at the dashed line was selected.",
        canvas=canvas,
    )


def files(predictions: Mapping[str, Rows]) -> Picture:
    """Share of the right class of several predictions files, in the order given."""
    found = {}
    for label, rows in predictions.items():
        asked = [row for row in main_rows(rows) if row.label is not None and row.error is None]
        rate = stats.wilson(sum(row.judged_label == row.label for row in asked), len(asked)) if asked else None
        found[label] = (rate.value, rate.low, rate.high) if rate else (0.0, 0.0, 0.0)
    canvas = plotting.new_figure(3.2)
    ax = canvas.subplots()
    draw_files(ax, found, tilted=max(map(len, found)) * len(found) > 80)
    ax.set(ylabel="right class", ylim=(0, 1.02))
    plotting.percent(ax.yaxis)
    return files_picture("Predictions compared", "Share of the right class", canvas, predictions)

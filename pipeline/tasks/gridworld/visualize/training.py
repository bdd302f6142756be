"""Pictures of learning: the course of one training, and several checkpoints on the same scenarios."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.axes import Axes

from pipeline import stats
from pipeline.look import plotting
from pipeline.look import training as learning
from pipeline.look.picture import Picture
from pipeline.look.training import Training
from pipeline.stats import Floats
from pipeline.tasks.gridworld.evaluate.baselines import BAR, play_baseline
from pipeline.tasks.gridworld.rows import GridworldMonitor, GridworldPrediction, GridworldProgress
from pipeline.tasks.gridworld.town.events import ending
from pipeline.tasks.gridworld.visualize.looks import LOOKS, subject_name

NUM_BINS = 120  # points of a smoothed curve: about one for every ten pixels
NUM_RESAMPLES = 1000  # of the bootstrap; its seed is 0, so that the same rows give the same picture
MIN_EPISODES = 20  # of a bin; fewer make a mean that only jumps


def training_pictures(folder: Path, note: Callable[[str], None]) -> Iterator[Picture]:
    """What a training folder shows; what cannot be read is noted and left out."""
    training = learning.read_training(folder, GridworldProgress, GridworldMonitor, note)
    if 0 < len(training.progress) < MIN_EPISODES:
        note(f"Fewer than {MIN_EPISODES} training episodes ended: no curves of them.")
        training = replace(training, progress=[])
    if training.progress or training.monitor:
        yield _training_curves(training)
    if training.monitor:
        yield _loss_curve(training)


def _training_curves(training: Training) -> Picture:
    """Survived steps, wellbeing and deaths over the training; exploring episodes as bands, monitoring as points."""
    progress = training.progress
    canvas = plotting.new_figure(6.6 if progress else 4.6)
    panels = canvas.subplots(3 if progress else 2, 1, sharex=True)
    for ax, name, label in zip(panels, ("num_steps", "wellbeing"), ("survived steps", "wellbeing"), strict=False):
        if progress:
            binned = training.smoothed(name, NUM_BINS, MIN_EPISODES)
            looks = plotting.Look(plotting.SKY, width=1.6)
            text = "training episodes, exploring (mean, and 10 % to 90 %)"
            plotting.band(ax, binned.step, binned.mean, (binned.low, binned.high), looks, text)
        if training.monitor:
            learning.draw_monitored(ax, training, f"{name}_mean", "monitoring, greedy")
            _mark_selected(ax, training.selected, f"{name}_mean")
        ax.set(ylabel=label, ylim=(0, None))
    if progress:
        _draw_deaths(panels[2], progress)
        _shade_stages(panels, progress)
    learning.name_steps(panels[-1], "training step (environment steps)")
    panels[-1].set_xlim(0, 1.01 * max([*(row.step for rows in (progress, training.monitor) for row in rows[-1:]), 1]))
    plotting.legend_below(canvas, panels[:1] if len(panels) == 2 else [panels[0], panels[2]])
    return Picture(
        slug="training",
        title="The course of the training",
        caption="Pale: episodes of the training itself, which explores, smoothed over neighbouring episodes. "
        "Points: the averaged weights, greedy, on monitoring scenarios that the training does not learn from; the "
        "star is the checkpoint that was selected. Grey and white columns are stages of the curriculum, where there "
        "is one; a new stage is harder, so curves may fall there.",
        canvas=canvas,
    )


def _mark_selected(ax: Axes, best: GridworldMonitor, name: str) -> None:
    """A star where the selected checkpoint was monitored."""
    star: dict[str, Any] = {"markersize": 14, "markeredgecolor": plotting.INK, "zorder": 5, "clip_on": False}
    at = [best.step], [getattr(best, name)]
    ax.plot(*at, "*", color=plotting.ORANGE, linestyle="none", label="selected checkpoint", **star)


def _draw_deaths(ax: Axes, progress: Sequence[GridworldProgress]) -> None:
    """Share of the training episodes that ended in death, by meter."""
    steps, endings = [row.step for row in progress], [ending(row) for row in progress]
    for index, name in enumerate(sorted({*endings} - {"retired"})):
        binned = learning.gather(steps, [one == name for one in endings], NUM_BINS, MIN_EPISODES)
        plotting.band(ax, binned.step, binned.mean, None, plotting.look(index + 1), name)
    ax.set(ylim=(0, 1), ylabel="training episodes\nthat end in death")
    plotting.percent(ax.yaxis)


def stage_changes(progress: Sequence[GridworldProgress]) -> list[tuple[int, int]]:
    """(place in ``progress``, stage) of the first episode of every column of one stage.

    Where a stage ends, each environment still plays the episode that it had begun there: for as many episodes as there
    are environments, those of two stages mix. The median over that many to both sides changes once.
    """
    stages = np.array([row.stage for row in progress])
    reach = len({row.env_index for row in progress})
    smooth = [int(np.median(stages[max(0, i - reach) : i + reach + 1])) for i in range(len(stages))]
    return [(int(start), smooth[start]) for start in np.flatnonzero(np.diff(smooth, prepend=-1))]


def _shade_stages(panels: Sequence[Axes], progress: Sequence[GridworldProgress]) -> None:
    """Columns for the stages of the curriculum, with the decay multiplier written above; nothing for a single stage."""
    multipliers = {row.stage: row.multiplier for row in progress}
    if len(multipliers) < 2:
        return
    changes = stage_changes(progress)
    end = float(progress[-1].step)
    edges = [*(float(progress[start].step) for start, _ in changes), end]
    for index, (_, stage) in enumerate(changes):
        span = (edges[index], edges[index + 1])
        for ax in panels:
            plotting.shade(ax, [span], color="#e3e6ee" if index % 2 else "#f6f7fa")
        if span[1] - span[0] > 0.04 * end:
            text = f"stage {stage}\ndecay x{multipliers[stage]:g}"
            place: dict[str, Any] = {"xycoords": ("data", "axes fraction"), "ha": "center", "va": "bottom"}
            panels[0].annotate(text, (sum(span) / 2, 1.03), fontsize=7.5, **place)


def _loss_curve(training: Training) -> Picture:
    """Loss and survival rate at each monitoring point."""
    canvas, (left, right) = plotting.new_panels(2.6, 2)
    learning.draw_monitored(left, training, "loss").set(ylabel="loss", ylim=(0, None))
    learning.draw_monitored(right, training, "survival_rate").set(
        ylabel="monitoring scenarios survived", ylim=(0, 1.03)
    )
    plotting.percent(right.yaxis)
    for ax in (left, right):
        learning.name_steps(ax)
    return Picture(
        slug="loss",
        title="Loss and survival while training",
        caption="Left: the loss, averaged over about the last hundred updates. In Q-learning its targets move, so a "
        "loss that does not fall is no alarm by itself. Right: the share of monitoring scenarios that the greedy "
        "policy survives.",
        canvas=canvas,
    )


def checkpoint_curve(predictions: Mapping[str, Sequence[GridworldPrediction]]) -> Picture:
    """Mean wellbeing and survived steps of several predictions files, in the order given, with 95 % intervals."""
    files = {label: [row for row in found if row.error is None] for label, found in predictions.items()}
    files = {label: rows for label, rows in files.items() if rows}
    bar = play_baseline(BAR, list(files.values())[-1])
    canvas, panels = plotting.new_panels(3.9, 2)
    for ax, name, label in zip(panels, ("wellbeing", "num_steps"), ("wellbeing", "survived steps"), strict=True):
        found = {file: mean_interval(np.array([getattr(row, name) for row in files[file]], float)) for file in files}
        learning.draw_files(ax, found, tilted=max(map(len, files)) > 8, label="model (mean, 95 % interval)")
        level = float(np.mean([getattr(row, name) for row in bar]))
        ax.axhline(level, color=LOOKS[BAR].color, linestyle=LOOKS[BAR].line, label=subject_name(BAR))
        ax.set(ylabel=f"mean {label}", xlabel="checkpoint")
    plotting.legend_below(canvas, panels[:1])
    what = "Mean over scenarios (dashed: of the tuned script on the scenarios of the last one)"
    return learning.files_picture("Checkpoints compared", what, canvas, files)


def mean_interval(values: Floats) -> tuple[float, float, float]:
    """(mean, low, high) with a 95 % bootstrap interval of fixed seed; of one value, the value three times."""
    if len(values) < 2:
        return (float(values.mean()),) * 3
    options = stats.Bootstrap(num_resamples=NUM_RESAMPLES)
    interval = stats.bootstrap(values, stats.mean, np.random.default_rng(0), options)
    return interval.value, interval.low, interval.high

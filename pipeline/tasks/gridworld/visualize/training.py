"""Pictures of learning: the course of one training, and several checkpoints on the same scenarios."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.ticker import EngFormatter, PercentFormatter
from numpy.typing import NDArray

from pipeline import files as jsonl
from pipeline import stats
from pipeline.errors import UserError
from pipeline.look import plotting
from pipeline.tasks.gridworld.evaluate.baselines import BAR, play_baseline
from pipeline.tasks.gridworld.rows import GridworldMonitor, GridworldPrediction, GridworldProgress
from pipeline.tasks.gridworld.visualize.looks import LOOKS, MODEL, Picture, subject_name, words

SECTION = "How it learned"
NUM_BINS = 120  # points of a smoothed curve: about one for every ten pixels
MIN_EPISODES = 20  # of a bin; fewer make a mean that only jumps
STEPS = EngFormatter(places=None, sep="")  # 500k, 2M


@dataclass(frozen=True)
class Training:
    """The rows that a training left. Either may be empty."""

    progress: Sequence[GridworldProgress]
    monitor: Sequence[GridworldMonitor]


def read_training(folder: Path, note: Callable[[str], None]) -> Training:
    """What can be read of a training folder; what cannot is noted and left out."""

    def rows(name: str, row_type: Any) -> Sequence[Any]:
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

    return Training(rows("progress.jsonl", GridworldProgress), rows("monitor.jsonl", GridworldMonitor))


@dataclass(frozen=True)
class Binned:
    """Episodes gathered in bins of the training steps, [K] each: centre, mean, 10th and 90th percentile."""

    step: NDArray[np.float64]
    mean: NDArray[np.float64]
    low: NDArray[np.float64]
    high: NDArray[np.float64]


def bin_episodes(steps: NDArray[np.float64], values: NDArray[np.float64]) -> Binned:
    """Mean and spread of `values` [N] over bins of `steps` [N] (ascending) with as many episodes each."""
    num_bins = int(np.clip(len(steps) // MIN_EPISODES, 1, NUM_BINS))
    groups = [group for group in np.array_split(np.arange(len(steps)), num_bins) if len(group)]
    table = [(steps[g].mean(), values[g].mean(), *np.quantile(values[g], (0.1, 0.9))) for g in groups]
    return Binned(*np.array(table, dtype=np.float64).reshape(-1, 4).T)


def training_curves(training: Training) -> Picture:
    """Survived steps, wellbeing and deaths over the training; exploring episodes as bands, monitoring as points."""
    progress = sorted(training.progress, key=lambda row: row.step)
    steps = np.array([row.step for row in progress], dtype=np.float64)
    canvas = plotting.new_figure(6.6 if progress else 4.6)
    panels = canvas.subplots(3 if progress else 2, 1, sharex=True)
    for ax, name, label in zip(panels, ("num_steps", "wellbeing"), ("survived steps", "wellbeing"), strict=False):
        if progress:
            values = np.array([getattr(row, name) for row in progress], dtype=np.float64)
            binned = bin_episodes(steps, values)
            looks = plotting.Look(plotting.SKY, width=1.6)
            text = "training episodes, exploring (mean, and 10 % to 90 %)"
            plotting.band(ax, binned.step, binned.mean, (binned.low, binned.high), looks, text)
        _mark_monitor(ax, training.monitor, f"{name}_mean")
        ax.set(ylabel=label, ylim=(0, None))
    if progress:
        _draw_deaths(panels[2], progress, steps)
        _shade_stages(panels, progress, steps)
    panels[-1].set_xlabel("training step (environment steps)")
    panels[-1].xaxis.set_major_formatter(STEPS)
    panels[-1].set_xlim(0, 1.01 * max([*steps[-1:], *(row.step for row in training.monitor[-1:]), 1]))
    plotting.legend_below(canvas, panels[:1] if len(panels) == 2 else [panels[0], panels[2]])
    return Picture(
        slug="training",
        title="The course of the training",
        caption="Pale: episodes of the training itself, which explores, smoothed over neighbouring episodes. "
        "Points: the averaged weights, greedy, on monitoring scenarios that the training does not learn from; the "
        "star is the checkpoint that was selected. Grey and white columns are stages of the curriculum, where there "
        "is one; a new stage is harder, so curves may fall there.",
        section=SECTION,
        canvas=canvas,
    )


def _mark_monitor(ax: Axes, monitor: Sequence[GridworldMonitor], name: str) -> Axes:
    if not monitor:
        return ax
    x, y = [row.step for row in monitor], [getattr(row, name) for row in monitor]
    ax.plot(x, y, "-o", color=plotting.BLUE, markersize=4, linewidth=1.6, label="monitoring, greedy")
    best = max(monitor, key=lambda row: row.selected_by)
    style: dict[str, Any] = {
        "markeredgecolor": plotting.INK,
        "markersize": 14,
        "linestyle": "none",
        "zorder": 5,
        "clip_on": False,
    }
    ax.plot([best.step], [getattr(best, name)], "*", color=plotting.ORANGE, label="selected checkpoint", **style)
    return ax


def _draw_deaths(ax: Axes, progress: Sequence[GridworldProgress], steps: NDArray[np.float64]) -> Axes:
    """Share of the training episodes that ended in death, by meter."""
    causes = sorted({row.cause or "unknown" for row in progress if row.died})
    for index, cause in enumerate(causes):
        died = np.array([row.died and (row.cause or "unknown") == cause for row in progress], dtype=np.float64)
        binned = bin_episodes(steps, died)
        plotting.band(ax, binned.step, binned.mean, None, plotting.look(index + 1), f"died of {words(cause)}")
    ax.set(ylim=(0, 1), ylabel="training episodes\nthat end in death")
    ax.yaxis.set_major_formatter(PercentFormatter(1.0))
    return ax


def stage_changes(progress: Sequence[GridworldProgress]) -> list[tuple[int, int]]:
    """(place in ``progress``, stage) of the first episode of every column of one stage.

    Where a stage ends, each environment still plays the episode that it had begun there: for as many episodes as there
    are environments, those of two stages mix. The median over that many to both sides changes once.
    """
    stages = np.array([row.stage for row in progress])
    reach = len({row.env_index for row in progress})
    smooth = [int(np.median(stages[max(0, i - reach) : i + reach + 1])) for i in range(len(stages))]
    return [(int(start), smooth[start]) for start in np.flatnonzero(np.diff(smooth, prepend=-1))]


def _shade_stages(panels: Sequence[Axes], progress: Sequence[GridworldProgress], steps: NDArray[np.float64]) -> None:
    """Columns for the stages of the curriculum, with the decay multiplier written above; nothing for a single stage."""
    multipliers = {row.stage: row.multiplier for row in progress}
    if len(multipliers) < 2:
        return
    changes = stage_changes(progress)
    edges = [*(float(steps[start]) for start, _ in changes), float(steps[-1])]
    for index, (_, stage) in enumerate(changes):
        span = (edges[index], edges[index + 1])
        for ax in panels:
            plotting.shade(ax, [span], color="#e3e6ee" if index % 2 else "#f6f7fa")
        if span[1] - span[0] > 0.04 * steps[-1]:
            text = f"stage {stage}\ndecay x{multipliers[stage]:g}"
            place: dict[str, Any] = {"xycoords": ("data", "axes fraction"), "ha": "center", "va": "bottom"}
            panels[0].annotate(text, (sum(span) / 2, 1.03), fontsize=7.5, **place)


def loss_curve(training: Training) -> Picture:
    """Loss and survival rate at each monitoring point."""
    monitor = training.monitor
    canvas = plotting.new_figure(2.6)
    left, right = plotting.small_multiples(canvas, 2, 2)
    x = [row.step for row in monitor]
    left.plot(x, [row.loss for row in monitor], "-o", color=plotting.BLUE, markersize=4)
    left.set(ylabel="loss", ylim=(0, None))
    right.plot(x, [row.survival_rate for row in monitor], "-o", color=plotting.BLUE, markersize=4)
    right.set(ylabel="monitoring scenarios survived", ylim=(0, 1.03))
    right.yaxis.set_major_formatter(PercentFormatter(1.0))
    for ax in (left, right):
        ax.xaxis.set_major_formatter(STEPS)
        ax.set_xlabel("training step")
    return Picture(
        slug="loss",
        title="Loss and survival while training",
        caption="Left: the mean loss of the updates since the point before. In Q-learning its targets move, so a "
        "loss that does not fall is no alarm by itself. Right: the share of monitoring scenarios that the greedy "
        "policy survives.",
        section=SECTION,
        canvas=canvas,
    )


def checkpoint_curve(predictions: Mapping[str, Sequence[GridworldPrediction]]) -> Picture:
    """Mean wellbeing and survived steps of several predictions files, in the order given, with 95 % intervals."""
    rows = {label: [row for row in found if row.error is None] for label, found in predictions.items()}
    rows = {label: found for label, found in rows.items() if found}
    last = list(rows.values())[-1]
    bar = play_baseline(BAR, last)
    canvas = plotting.new_figure(3.9)
    panels = plotting.small_multiples(canvas, 2, 2)
    x = np.arange(len(rows))
    for ax, name, label in zip(panels, ("wellbeing", "num_steps"), ("wellbeing", "survived steps"), strict=True):
        found = [mean_interval(np.array([getattr(row, name) for row in file], dtype=float)) for file in rows.values()]
        value, low, high = np.array(found).T
        plotting.band(ax, x, value, (low, high), LOOKS[MODEL], "model (mean, 95 % interval)")
        ax.errorbar(x, value, plotting.whiskers(value, (low, high)), fmt="o", color=LOOKS[MODEL].color, capsize=3)
        level = float(np.mean([getattr(row, name) for row in bar]))
        ax.axhline(level, color=LOOKS[BAR].color, linestyle=LOOKS[BAR].line, label=subject_name(BAR))
        ax.set_xticks(
            x,
            list(rows),
            rotation=30 if max(map(len, rows)) > 8 else 0,
            ha="right" if max(map(len, rows)) > 8 else "center",
        )
        ax.set(ylabel=f"mean {label}", xlabel="checkpoint")
    plotting.legend_below(canvas, panels[:1])
    same = len({frozenset(row.id for row in found) for found in rows.values()}) == 1
    return Picture(
        slug="checkpoints",
        title="Checkpoints compared",
        caption="Mean over scenarios of each predictions file, in the order given, with bootstrap intervals. "
        + ("All of them play the same scenarios. " if same else "They do NOT all play the same scenarios. ")
        + "The dashed line is the tuned script on the scenarios of the last one.",
        section=SECTION,
        canvas=canvas,
    )


def mean_interval(values: NDArray[np.float64]) -> tuple[float, float, float]:
    """(mean, low, high) with a 95 % bootstrap interval of fixed seed; of one value, the value three times."""
    if len(values) < 2:
        return (float(values.mean()),) * 3
    options = stats.Bootstrap(num_resamples=1000)
    interval = stats.bootstrap(values, stats.mean, np.random.default_rng(0), options)
    return interval.value, interval.low, interval.high

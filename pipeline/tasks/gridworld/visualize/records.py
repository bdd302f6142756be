"""Pictures over all records: how long, how well, of what they died and which places they used, against the scripts."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure as Canvas
from numpy.typing import NDArray

from pipeline import stats
from pipeline.look import plotting
from pipeline.look.numbers import words
from pipeline.look.picture import Picture
from pipeline.tasks.gridworld.evaluate.baselines import BAR, BASELINES, play_baseline
from pipeline.tasks.gridworld.rows import GridworldPrediction, GridworldScore
from pipeline.tasks.gridworld.town.arrays import F64
from pipeline.tasks.gridworld.town.events import ending
from pipeline.tasks.gridworld.town.rules import PLACES
from pipeline.tasks.gridworld.visualize.looks import LOOKS, MODEL, subject_name
from pipeline.tasks.gridworld.visualize.training import NUM_RESAMPLES, mean_interval

Lives = Sequence[GridworldPrediction | GridworldScore]
"""What one subject did in N scenarios, in the order of the prediction rows."""


@dataclass(frozen=True)
class Slice:
    """The records of one level and decay multiplier: subject -> Lives, the model first."""

    level: str
    multiplier: float
    cap: int
    lives: Mapping[str, Lives]

    @property
    def title(self) -> str:
        return f"{self.level}, decay x{self.multiplier:g} ({len(self.lives[MODEL])} scenarios)"


def column(lives: Lives, name: str) -> NDArray[Any]:
    """A field of every row, [N]."""
    return np.array([getattr(row, name) for row in lives])


def count_uses(lives: Lives) -> F64:
    """Uses of each place in every row, [N, 14]."""
    return np.array([[row.place_uses.get(place, 0) for place in PLACES] for row in lives], dtype=np.float64)


def slice_records(rows: Sequence[GridworldPrediction]) -> list[Slice]:
    """The records by level and multiplier, in the order of their first occurrence, each with the scripts' lives."""
    groups: dict[tuple[str, float], list[GridworldPrediction]] = {}
    for row in rows:
        groups.setdefault((row.level, row.multiplier), []).append(row)
    slices = []
    for (level, multiplier), members in groups.items():
        scripts = {name: play_baseline(name, members) for name in BASELINES}
        order = sorted(scripts, key=lambda name: -float(column(scripts[name], "wellbeing").mean()))
        lives: dict[str, Lives] = {MODEL: members, **{name: scripts[name] for name in order}}
        slices.append(Slice(level, multiplier, members[0].cap, lives))
    return slices


def survival(slices: Sequence[Slice]) -> Picture:
    """Share alive after each step, the model against the scripts."""
    canvas, panels = _panels(slices, 4.3)
    for ax, part in zip(panels, slices, strict=True):
        for name, lives in part.lives.items():
            curve = stats.survival_curve(column(lives, "num_steps").astype(np.float64), column(lives, "died"))
            interval = (curve.low, curve.high) if name == MODEL else None
            plotting.staircase(ax, curve.times, curve.share, interval, LOOKS[name], subject_name(name))
        ax.set(xlim=(0, part.cap * 1.005), ylim=(0, 1.03), xlabel="step", ylabel="share alive", title=part.title)
        plotting.percent(ax.yaxis)
    plotting.legend_below(canvas, panels[:1])
    return Picture(
        slug="survival",
        title="How long they live",
        caption="The share of scenarios in which each subject is still alive after so many steps (Kaplan-Meier; the "
        "band around the model is the pointwise 95 % interval). Every subject plays the same scenarios. A curve "
        "that stays at the top until the right edge never dies: survival alone cannot tell such subjects apart, "
        "wellbeing can.",
        canvas=canvas,
    )


def wellbeing(slices: Sequence[Slice]) -> Picture:
    """Distribution of wellbeing over scenarios, the model against the scripts."""
    canvas, panels = _panels(slices, 4.3)
    for ax, part in zip(panels, slices, strict=True):
        for name, lives in part.lives.items():
            plotting.distribution(ax, column(lives, "wellbeing"), LOOKS[name], subject_name(name))
        ax.set(xlim=(0, part.cap), ylim=(0, 1.01), xlabel="wellbeing of an episode", title=part.title)
        ax.set_ylabel("share of scenarios at or below")
        plotting.percent(ax.yaxis)
    plotting.legend_below(canvas, panels[:1])
    return Picture(
        slug="wellbeing",
        title="How well they live",
        caption="The distribution of wellbeing (the sum of energy times health over an episode, at most one a "
        "step). A curve further to the right is better; a steep one is steadier; the marker is the median. The left "
        "end shows the bad days.",
        canvas=canvas,
    )


def paired(part: Slice) -> Picture:
    """The model against the tuned script, scenario by scenario."""
    ours, theirs = column(part.lives[MODEL], "wellbeing"), column(part.lives[BAR], "wellbeing")
    canvas = plotting.new_figure(4.2)
    left, right = canvas.subplots(1, 2, width_ratios=[1.0, 1.35])
    plotting.diagonal(left, part.cap)
    alpha = float(np.clip(30 / np.sqrt(len(ours)) / 4, 0.15, 0.9))
    died = column(part.lives[MODEL], "died")
    for chosen, mark, color, label in ((~died, "o", plotting.BLUE, "retired"), (died, "x", plotting.VERMILION, "died")):
        style: dict[str, Any] = {"edgecolors": "none"} if mark == "o" else {"linewidths": 1.2}
        if chosen.any():
            style |= {"marker": mark, "color": color, "alpha": alpha, "label": label}
            left.scatter(theirs[chosen], ours[chosen], s=16, **style)
    left.set(xlabel="wellbeing of the tuned script", ylabel="wellbeing of the model", aspect="equal")
    plotting.zoom_to_cloud(left, theirs, ours)
    left.set_title("each point is a scenario\nabove the line the model is better", fontsize=9)
    legend = left.legend(loc="upper left", title="the model")
    for handle in legend.legend_handles:
        handle.set_alpha(1)
    _draw_differences(right, ours - theirs)
    return Picture(
        slug=f"paired_{part.level}_{part.multiplier:g}".replace(".", "_"),
        title=f"The model against the tuned script: {part.level}, decay x{part.multiplier:g}",
        caption="Both played the same scenarios. Right: the differences in wellbeing, sorted; dark blue where the "
        "model lives better, hatched where the script does. The dashed line is the mean difference, given with its "
        "95 % bootstrap interval; what goes far beyond the others is cut off.",
        canvas=canvas,
    )


def _draw_differences(ax: Axes, differences: F64) -> None:
    plotting.sorted_differences(ax, differences)
    ax.set(xlabel="scenarios, sorted by difference", ylabel="model minus tuned script")
    text = f"mean difference {differences.mean():+.1f}"
    if len(differences) > 1:
        _, low, high = mean_interval(differences)
        text += f" [{low:+.1f}, {high:+.1f}]"
    ax.set_title(f"{text}\nthe model is better in {float((differences > 0).mean()):.0%} of the scenarios", fontsize=9)


def causes(slices: Sequence[Slice]) -> Picture:
    """How episodes ended: retired, or died of which meter."""
    canvas, panels = _panels(slices, 3.1)
    everyone = [row for part in slices for lives in part.lives.values() for row in lives]
    endings = sorted({ending(row) for row in everyone if row.died})
    looks = {"retired": plotting.Look(plotting.SKY)} | {end: plotting.look(k + 1) for k, end in enumerate(endings)}
    for ax, part in zip(panels, slices, strict=True):
        ends = [[ending(row) for row in lives] for lives in part.lives.values()]
        shares = [(end, [one.count(end) / len(one) for one in ends], look) for end, look in looks.items()]
        plotting.stacked(ax, [subject_name(name) for name in part.lives], shares)
        ax.set(title=part.title, xlim=(0, 1))
        plotting.percent(ax.xaxis)
    plotting.legend_below(canvas, panels[:1])
    return Picture(
        slug="causes",
        title="How episodes end",
        caption="Share of scenarios that end in retirement (the agent lives to the last step) or in death, by the "
        "meter that reached zero.",
        canvas=canvas,
    )


def place_uses(slices: Sequence[Slice]) -> Picture:
    """Completed uses of each place for 100 steps lived, the model beside the tuned script."""
    used = np.sum([count_uses(part.lives[name]).sum(axis=0) for part in slices for name in (MODEL, BAR)], axis=0)
    shown = np.flatnonzero(used)[np.argsort(-used[used > 0], kind="stable")]
    canvas, panels = _panels(slices, 0.9 + 0.33 * max(len(shown), 2))
    for ax, part in zip(panels, slices, strict=True):
        series = []
        for name in (MODEL, BAR):
            rate, low, high = uses_per_100_steps(part.lives[name])
            series.append((subject_name(name), rate[shown], (low[shown], high[shown]), LOOKS[name]))
        plotting.bars(ax, [words(PLACES[p]) for p in shown], series)
        ax.set(xlabel="completed uses in 100 steps", title=part.title)
    plotting.legend_below(canvas, panels[:1])
    return Picture(
        slug="places",
        title="Which places they use",
        caption="Completed uses of each place in 100 steps lived, with 95 % bootstrap intervals over scenarios. "
        "Places that neither uses are left out. A model that lives off two places does not plan around eight meters.",
        canvas=canvas,
    )


def uses_per_100_steps(lives: Lives) -> tuple[F64, ...]:
    """(rate, low, high) [14] each: total uses over total steps, with percentile bootstrap over scenarios."""
    columns = np.concatenate([count_uses(lives), column(lives, "num_steps")[:, None]], axis=1)
    rate = 100 * columns[:, :-1].sum(axis=0) / columns[:, -1].sum()
    if len(columns) < 2:
        return rate, rate, rate
    means = stats.resample_means(columns, np.random.default_rng(0), NUM_RESAMPLES)
    low, high = np.quantile(100 * means[:, :-1] / means[:, -1:], (0.025, 0.975), axis=0)
    return rate, low, high


def _panels(slices: Sequence[Slice], height_in: float) -> tuple[Canvas, list[Axes]]:
    """A panel for each slice, as high as this in a single row, and less high in several."""
    num_columns = 2 if len(slices) == 4 else min(len(slices), 3)
    num_rows = -(-len(slices) // num_columns)
    return plotting.new_panels(height_in if num_rows == 1 else 0.8 * height_in * num_rows, len(slices), num_columns)

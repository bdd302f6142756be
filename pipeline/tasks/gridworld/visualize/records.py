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
from pipeline.stats.curves import SurvivalCurve
from pipeline.tasks.gridworld.evaluate.baselines import BAR, BASELINES, play_baseline
from pipeline.tasks.gridworld.rows import GridworldPrediction, GridworldScore
from pipeline.tasks.gridworld.town.events import ending
from pipeline.tasks.gridworld.town.rules import PLACES
from pipeline.tasks.gridworld.visualize.looks import LOOKS, MODEL, subject_name
from pipeline.tasks.gridworld.visualize.training import NUM_RESAMPLES, mean_interval

TOP = 0.95  # share alive at the end from which curves cannot be told apart


@dataclass(frozen=True, kw_only=True)
class Lives:
    """What one subject did in N scenarios, in the order of the prediction rows: [N] each, place_uses [N, 14]."""

    num_steps: NDArray[np.float64]
    died: NDArray[np.bool_]
    ending: NDArray[np.str_]  # in words
    wellbeing: NDArray[np.float64]
    place_uses: NDArray[np.float64]


@dataclass(frozen=True)
class Slice:
    """The records of one level and decay multiplier: subject -> Lives, the model first."""

    level: str
    multiplier: float
    cap: int
    lives: Mapping[str, Lives]

    @property
    def title(self) -> str:
        return f"{self.level}, decay x{self.multiplier:g} ({len(self.lives[MODEL].died)} scenarios)"


def read_lives(rows: Sequence[GridworldPrediction | GridworldScore]) -> Lives:
    """The lives that rows tell of, the model's or a script's."""
    return Lives(
        num_steps=np.array([row.num_steps for row in rows], dtype=np.float64),
        died=np.array([row.died for row in rows]),
        ending=np.array([ending(row) for row in rows], dtype=np.str_),
        wellbeing=np.array([row.wellbeing for row in rows], dtype=np.float64),
        place_uses=np.array([[row.place_uses.get(place, 0) for place in PLACES] for row in rows], dtype=np.float64),
    )


def slice_records(rows: Sequence[GridworldPrediction]) -> list[Slice]:
    """The records by level and multiplier, in the order of their first occurrence, each with the scripts' lives."""
    groups: dict[tuple[str, float], list[GridworldPrediction]] = {}
    for row in rows:
        groups.setdefault((row.level, row.multiplier), []).append(row)
    slices = []
    for (level, multiplier), members in groups.items():
        scripts = {name: read_lives(play_baseline(name, members)) for name in BASELINES}
        order = sorted(scripts, key=lambda name: -float(scripts[name].wellbeing.mean()))
        lives = {MODEL: read_lives(members)} | {name: scripts[name] for name in order}
        slices.append(Slice(level, multiplier, members[0].cap, lives))
    return slices


def survival(slices: Sequence[Slice]) -> Picture:
    """Share alive after each step, the model against the scripts."""
    curves = [
        {name: stats.survival_curve(lives.num_steps, lives.died) for name, lives in part.lives.items()}
        for part in slices
    ]
    lie_together = any(sum(curve.share[-1] >= TOP for curve in found.values()) > 1 for found in curves)
    if lie_together:
        canvas, panels = plotting.new_panels(4.0 if len(slices) == 1 else 3.4 * len(slices), 2 * len(slices), 2)
        for ax, part, found in zip(panels[1::2], slices, curves, strict=True):
            draw_deaths(ax, part, found)
        panels = panels[::2]
    else:
        canvas, panels = _panels(slices, 4.3)
    for ax, part, found in zip(panels, slices, curves, strict=True):
        for name, curve in found.items():
            interval = (curve.low, curve.high) if name == MODEL else None
            plotting.staircase(ax, curve.times, curve.share, interval, LOOKS[name], subject_name(name))
        ax.set(xlim=(0, part.cap * 1.005), ylim=(0, 1.03), xlabel="step", ylabel="share alive", title=part.title)
        plotting.percent(ax.yaxis)
    plotting.legend_below(canvas, panels[:1])
    deaths = " Beside it the same deaths on a logarithmic scale, as curves lie on each other at the top."
    return Picture(
        slug="survival",
        title="How long they live",
        caption="The share of scenarios in which each subject is still alive after so many steps (Kaplan-Meier; the "
        "band around the model is the pointwise 95 % interval). Every subject plays the same scenarios. A curve "
        "that stays at the top until the right edge never dies: survival alone cannot tell such subjects apart, "
        f"wellbeing can.{deaths if lie_together else ''}",
        canvas=canvas,
    )


def draw_deaths(ax: Axes, part: Slice, curves: Mapping[str, SurvivalCurve]) -> None:
    """Share dead after each step, logarithmic down to one of the scenarios and then to none; who never dies by name."""
    one = 1.0 / len(part.lives[MODEL].died)
    for name, curve in curves.items():
        interval = (1.0 - curve.high, 1.0 - curve.low) if name == MODEL else None
        plotting.staircase(ax, curve.times, 1.0 - curve.share, interval, LOOKS[name])
    ax.set_yscale("symlog", linthresh=one, linscale=0.5)
    ticks = [0.0, *(tick for tick in (1e-4, 1e-3, 0.01, 0.1, 1.0) if tick >= one)]
    ax.set_yticks(ticks, [f"{100 * tick:g}%" for tick in ticks])
    ax.set(xlim=(0, part.cap * 1.005), ylim=(-0.15 * one, 1.2), xlabel="step", ylabel="share dead (logarithmic)")
    immortal = [subject_name(name) for name, curve in curves.items() if curve.share[-1] == 1.0]
    if immortal:
        plotting.note(ax, 0.99, 0.06, f"never: {', '.join(immortal)}")
    ax.set_title("those who die")


def wellbeing(slices: Sequence[Slice]) -> Picture:
    """Distribution of wellbeing over scenarios, the model against the scripts."""
    canvas, panels = _panels(slices, 4.3)
    for ax, part in zip(panels, slices, strict=True):
        for name, lives in part.lives.items():
            plotting.distribution(ax, lives.wellbeing, LOOKS[name], subject_name(name))
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
    ours, theirs = part.lives[MODEL].wellbeing, part.lives[BAR].wellbeing
    canvas = plotting.new_figure(4.2)
    left, right = canvas.subplots(1, 2, width_ratios=[1.0, 1.35])
    plotting.diagonal(left, part.cap)
    alpha = float(np.clip(30 / np.sqrt(len(ours)) / 4, 0.15, 0.9))
    died = part.lives[MODEL].died
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


def _draw_differences(ax: Axes, differences: NDArray[np.float64]) -> None:
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
    endings = sorted({str(end) for part in slices for lives in part.lives.values() for end in lives.ending[lives.died]})
    looks = {"retired": plotting.Look(plotting.SKY)} | {end: plotting.look(k + 1) for k, end in enumerate(endings)}
    for ax, part in zip(panels, slices, strict=True):
        lives = part.lives.values()
        shares = [(end, np.array([np.mean(v.ending == end) for v in lives]), look) for end, look in looks.items()]
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
    used = np.sum([part.lives[name].place_uses.sum(axis=0) for part in slices for name in (MODEL, BAR)], axis=0)
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


def uses_per_100_steps(lives: Lives) -> tuple[NDArray[np.float64], ...]:
    """(rate, low, high) [14] each: total uses over total steps, with percentile bootstrap over scenarios."""
    columns = np.concatenate([lives.place_uses, lives.num_steps[:, None]], axis=1)
    rate = 100 * columns[:, :-1].sum(axis=0) / columns[:, -1].sum()
    if len(columns) < 2:
        return rate, rate, rate
    means = stats.resample_means(columns, np.random.default_rng(0), NUM_RESAMPLES)
    low, high = np.quantile(100 * means[:, :-1] / means[:, -1:], (0.025, 0.975), axis=0)
    return rate, low, high


def difficulty(slices: Sequence[Slice]) -> Picture:
    """Mean wellbeing by decay multiplier, for levels that were played with several."""
    levels = list(dict.fromkeys(part.level for part in slices))
    canvas, panels = plotting.new_panels(4.0, len(levels))
    for ax, level in zip(panels, levels, strict=True):
        parts = sorted((part for part in slices if part.level == level), key=lambda part: part.multiplier)
        x = [part.multiplier for part in parts]
        for name in parts[0].lives:
            found = [mean_interval(part.lives[name].wellbeing) for part in parts]
            value, low, high = np.array(found).T
            plotting.band(ax, x, value, (low, high) if name == MODEL else None, LOOKS[name], subject_name(name))
            ax.plot(x, value, LOOKS[name].marker, color=LOOKS[name].color, markersize=5)
        ax.set(xlabel="decay multiplier", ylabel="mean wellbeing", title=level, xticks=x, ylim=(0, None))
    plotting.legend_below(canvas, panels[:1])
    return Picture(
        slug="difficulty",
        title="How they do when life gets harder",
        caption="Mean wellbeing against the multiplier of the base decay. Subjects that look alike at one "
        "difficulty may come apart at another.",
        canvas=canvas,
    )


def _panels(slices: Sequence[Slice], height_in: float) -> tuple[Canvas, list[Axes]]:
    """A panel for each slice, as high as this in a single row, and less high in several."""
    num_columns = 2 if len(slices) == 4 else min(len(slices), 3)
    num_rows = -(-len(slices) // num_columns)
    return plotting.new_panels(height_in if num_rows == 1 else 0.8 * height_in * num_rows, len(slices), num_columns)

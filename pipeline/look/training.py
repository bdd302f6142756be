"""Pictures of learning: the course of a training from its rows, and several predictions files beside each other."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure as Canvas
from matplotlib.ticker import EngFormatter

from pipeline.errors import UserError
from pipeline.files import scan
from pipeline.look import plotting
from pipeline.look.picture import Picture
from pipeline.stats import Floats

SECTION = "How it learned"


@dataclass(frozen=True)
class Training:
    """The rows that a training left, progress in the order of its steps. Either may be empty."""

    progress: Sequence[Any]
    monitor: Sequence[Any]

    @property
    def selected(self) -> Any:
        """The monitoring point whose checkpoint was selected. Only where there is monitoring."""
        return max(self.monitor, key=lambda row: row.selected_by)

    def monitored(self, name: str) -> tuple[list[int], list[Any]]:
        """Steps of the monitoring points, and a field of each."""
        return [row.step for row in self.monitor], [getattr(row, name) for row in self.monitor]

    def smoothed(self, name: str, most: int, least: int = 1) -> "Binned":
        """A field of the progress rows, in at most ``most`` bins of at least ``least`` rows."""
        return gather([row.step for row in self.progress], [getattr(row, name) for row in self.progress], most, least)


def read_training(folder: Path, progress: type[Any], monitor: type[Any], note: Callable[[str], None]) -> Training:
    """What can be read of a training folder as rows of these types; what cannot is noted and left out."""
    found = _rows(folder / "progress.jsonl", progress, note)
    return Training(sorted(found, key=lambda row: row.step), _rows(folder / "monitor.jsonl", monitor, note))


def _rows(path: Path, row_type: type[Any], note: Callable[[str], None]) -> Sequence[Any]:
    if not path.is_file():
        note(f"No {path.name} in {path.parent.name}: what it would show is left out.")
        return []
    try:
        found = scan(path, row_type)
    except UserError as error:
        note(f"{path.name} cannot be read ({error.what}): what it would show is left out.")
        return []
    if found.torn:
        note(f"The last line of {path.name} is torn (the training was cut off or goes on): drawn without it.")
    return found.rows


@dataclass(frozen=True)
class Binned:
    """Values gathered in bins of the training steps, [K] each: centre, mean, 10th and 90th percentile."""

    step: Floats
    mean: Floats
    low: Floats
    high: Floats


def gather(steps: Any, values: Any, most: int, least: int = 1) -> Binned:
    """Mean and spread of ``values`` [N] over at most ``most`` bins of ``steps`` [N] (ascending), as many rows in each.

    A bin has at least ``least`` rows, the last one too, so that no spread is one of a few; with fewer rows, no bin.
    """
    steps, values = np.asarray(steps, dtype=np.float64), np.asarray(values, dtype=np.float64)
    num_bins = min(len(steps) // least, most)
    groups = np.array_split(np.arange(len(steps)), num_bins) if num_bins else []
    table = [(steps[g].mean(), values[g].mean(), *np.quantile(values[g], (0.1, 0.9))) for g in groups]
    return Binned(*np.array(table, dtype=np.float64).reshape(-1, 4).T)


def draw_monitored(ax: Axes, training: Training, name: str, label: str = "") -> Axes:
    """A field of the monitoring rows over the training, as points on a line."""
    ax.plot(*training.monitored(name), "-o", color=plotting.BLUE, markersize=4, label=label)
    return ax


def name_steps(ax: Axes, label: str = "training step") -> Axes:
    """The x axis as training steps: 500k, 2M."""
    ax.xaxis.set_major_formatter(EngFormatter(places=None, sep=""))
    ax.set_xlabel(label)
    return ax


def draw_files(
    ax: Axes, found: Mapping[str, tuple[float, float, float]], *, tilted: bool, label: str = ""
) -> tuple[Floats, Floats, Floats]:
    """(value, low, high) of each predictions file as points with intervals, joined in the order given.

    Returns the three as columns.
    """
    x, (value, low, high) = np.arange(len(found)), np.array([*found.values()]).T
    plotting.band(ax, x, value, (low, high), plotting.look(0), label)
    ax.errorbar(x, value, plotting.whiskers(value, (low, high)), fmt="o", color=plotting.BLUE, capsize=3)
    ax.set_xticks(x, list(found), rotation=30 if tilted else 0, ha="right" if tilted else "center")
    return value, low, high


def files_picture(title: str, what: str, canvas: Canvas, files: Mapping[str, Sequence[Any]]) -> Picture:
    """The picture of several predictions files beside each other; ``what`` is drawn of them says the caption."""
    are_same = len({frozenset(row.id for row in rows) for rows in files.values()}) == 1
    return Picture(
        slug="checkpoints",
        title=title,
        caption=f"{what} of each predictions file, in the order given, with bootstrap intervals. "
        f"{'All of them answer' if are_same else 'They do NOT all answer'} the same records.",
        canvas=canvas,
    )

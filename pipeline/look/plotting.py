"""Pictures: one style, and helpers that take an Axes, draw on it and return it.

Every picture has to be readable in greyscale and by colour-blind people: series differ by colour (Okabe and Ito 2008),
line style, marker and hatch at once (`Look`), colour maps are perceptually uniform, and numbers or names stand on
the picture wherever they fit. Drawn with the Agg canvas alone, without pyplot and its global state. The same input
gives the same bytes: no dates, no random ids, no reading of the user's matplotlib settings.
"""

import io
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import matplotlib
import numpy as np
from matplotlib.axes import Axes
from matplotlib.axis import Axis
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.colors import to_rgb
from matplotlib.figure import Figure
from matplotlib.layout_engine import ConstrainedLayoutEngine
from matplotlib.text import Text
from matplotlib.ticker import PercentFormatter
from numpy.typing import ArrayLike, NDArray
from PIL import Image

WIDTH_IN = 10.0  # every picture is this wide, so that text has one size on the page
DPI = 150
NUM_COLORS = 256  # of the palette of a PNG: about a third of the bytes of true colour, and no difference to be seen

PHOTOGRAPH_QUALITY = 80  # of a WebP: letters and lines have no rims that the eye would see

FAR_OUT = 3.0  # quartile ranges beyond the quartiles
LEAST_FILLED = 0.1  # of the square of a scatter, by its cloud
OUTLIERS = 0.005  # share of records at either end of sorted differences for which the axis is not stretched
NUM_DIFFERENCES = 1000  # of a curve of sorted differences

INK, SOFT, FAINT, PAPER = "#1f2430", "#5b6474", "#8a8f9c", "#ffffff"
BLUE, ORANGE, GREEN, PURPLE = "#0072B2", "#E69F00", "#009E73", "#CC79A7"
SKY, VERMILION, BLACK = "#56B4E9", "#D55E00", "#000000"

STYLE: dict[str, Any] = {
    "font.family": "DejaVu Sans",  # comes with matplotlib, so it is everywhere the same
    "font.size": 9.0,
    "text.color": INK,
    "axes.titlesize": 9.5,
    "axes.titleweight": "bold",
    "axes.titlelocation": "left",
    "axes.titlepad": 7.0,
    "axes.labelsize": 9.0,
    "axes.labelcolor": INK,
    "axes.edgecolor": FAINT,
    "axes.linewidth": 0.8,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.axisbelow": True,
    "axes.grid": True,
    "grid.color": "#e4e6eb",
    "grid.linewidth": 0.7,
    "xtick.color": FAINT,
    "ytick.color": FAINT,
    "xtick.labelcolor": INK,
    "ytick.labelcolor": INK,
    "xtick.labelsize": 8.5,
    "ytick.labelsize": 8.5,
    "legend.fontsize": 8.5,
    "legend.frameon": False,
    "legend.handlelength": 3.2,
    "lines.linewidth": 1.6,
    "hatch.linewidth": 0.6,
    "figure.facecolor": PAPER,
    "savefig.facecolor": PAPER,
    "text.parse_math": False,  # names come from files: a "$" in one is a dollar sign
}


@dataclass(frozen=True)
class Look:
    """How one series looks: enough differences besides the colour to tell series apart in greyscale."""

    color: str
    line: str | tuple[int, tuple[float, ...]] = "-"
    marker: str = "o"
    hatch: str = ""
    width: float = 1.6

    @property
    def stroke(self) -> dict[str, Any]:
        """How a line of the series is drawn, as keywords of matplotlib."""
        return {"color": self.color, "linestyle": self.line, "linewidth": self.width}

    @property
    def fill(self) -> dict[str, Any]:
        """How a bar of the series is filled: in its colour, or hatched on paper."""
        paint = PAPER if self.hatch else self.color
        return {"facecolor": paint, "hatch": self.hatch, "edgecolor": self.color, "linewidth": 1.0}


LOOKS: tuple[Look, ...] = (
    Look(BLUE, "-", "o", "", 2.4),
    Look(VERMILION, (0, (6, 2)), "s", "////"),
    Look(GREEN, (0, (6, 2, 1.5, 2)), "^", "...."),
    Look(PURPLE, (0, (1.5, 1.5)), "D", "xxxx"),
    Look(ORANGE, (0, (3, 1.5)), "v", "\\\\\\\\"),
    Look(SKY, (0, (8, 2, 1.5, 2, 1.5, 2)), "P", "++++"),
    Look(BLACK, (0, (1, 2.5)), "X", "oooo", 1.3),
    Look(FAINT, "-", "*", "----", 1.1),
)


def look(index: int) -> Look:
    """The look of series number `index`; the first is the emphasised one. They repeat after eight."""
    return LOOKS[index % len(LOOKS)]


@contextmanager
def style() -> Iterator[None]:
    """Draw in the one style, whatever the user's own matplotlib settings are."""
    with matplotlib.rc_context():
        matplotlib.rcdefaults()
        settings: Any = matplotlib.rcParams
        settings.update(STYLE)
        with warnings.catch_warnings():
            # Names come from files, in any script: a sign that the font lacks is an empty box.
            warnings.filterwarnings("ignore", message=r"(?s)Glyph .* missing from font")
            yield


def new_figure(height_in: float, *, automatic: bool = True) -> Figure:
    """An empty figure on an Agg canvas, by default laid out so that labels do not overlap. Use inside `style()`."""
    layout = ConstrainedLayoutEngine(w_pad=0.08, h_pad=0.08, wspace=0.04, hspace=0.05) if automatic else None
    figure = Figure(figsize=(WIDTH_IN, height_in), dpi=DPI, layout=layout)
    FigureCanvasAgg(figure)
    return figure


def small_multiples(figure: Any, count: int, num_columns: int) -> list[Axes]:
    """`count` equal panels in rows of `num_columns`, top left first; what is left over stays empty."""
    num_rows = -(-count // num_columns)
    grid = figure.subplots(num_rows, num_columns, squeeze=False)
    axes = [ax for row in grid for ax in row]
    for ax in axes[count:]:
        ax.set_axis_off()
    return axes[:count]


def new_panels(height_in: float, count: int, num_columns: int | None = None) -> tuple[Figure, list[Axes]]:
    """An empty figure of `count` equal panels, in one row unless told otherwise. Use inside `style()`."""
    figure = new_figure(height_in)
    return figure, small_multiples(figure, count, num_columns or count)


def save_png(figure: Figure, path: Path) -> int:
    """Write the figure as a PNG with a palette and without metadata. Returns the number of bytes."""
    palette = _render(figure).quantize(NUM_COLORS, method=Image.Quantize.MAXCOVERAGE, dither=Image.Dither.NONE)
    return _write(palette, path, format="PNG", compress_level=6)


def save_photograph(figure: Figure, path: Path) -> int:
    """Write a figure that shows a photograph as a WebP file. Returns the number of bytes.

    A photograph loses its soft shades in a palette. One of 1500 x 936 pixels took 139 kB so, 350 kB as a JPEG in which
    thin lines keep their colours, and 1.2 MB as a PNG.
    """
    return _write(_render(figure), path, format="WEBP", quality=PHOTOGRAPH_QUALITY, use_sharp_yuv=True)


def _render(figure: Figure) -> Image.Image:
    canvas: Any = FigureCanvasAgg(figure)
    canvas.draw()
    return Image.fromarray(np.asarray(canvas.buffer_rgba())).convert("RGB")


def _write(picture: Image.Image, path: Path, **how: Any) -> int:
    out = io.BytesIO()
    picture.save(out, **how)
    path.parent.mkdir(parents=True, exist_ok=True)
    return path.write_bytes(out.getvalue())


def band(
    ax: Axes, x: ArrayLike, y: ArrayLike, interval: tuple[ArrayLike, ArrayLike] | None, look: Look, label: str = ""
) -> Axes:
    """A line with its interval (low, high) as a band whose edges are drawn, so that it shows in greyscale too."""
    ax.plot(x, y, label=label, **look.stroke)
    if interval is not None:
        low, high = interval
        ax.fill_between(x, low, high, color=look.color, alpha=0.16, linewidth=0)
        for edge in (low, high):
            ax.plot(x, edge, color=look.color, linestyle=look.line, linewidth=0.5, alpha=0.6)
    return ax


def staircase(
    ax: Axes, x: ArrayLike, y: ArrayLike, interval: tuple[ArrayLike, ArrayLike] | None, look: Look, label: str = ""
) -> Axes:
    """A function that steps at `x` (value `y[i]` from `x[i]` on), as survival curves and distributions are."""
    ax.step(x, y, where="post", label=label, **look.stroke)
    if interval is not None:
        ax.fill_between(x, interval[0], interval[1], step="post", color=look.color, alpha=0.16, linewidth=0)
    return ax


def distribution(ax: Axes, values: ArrayLike, look: Look, label: str = "") -> Axes:
    """The share of `values` [N] that are at most x, as steps, with a marker at the median."""
    ordered = np.sort(np.asarray(values, dtype=np.float64))
    if len(ordered) == 0:
        return ax
    share = np.arange(1, len(ordered) + 1) / len(ordered)
    staircase(ax, np.concatenate([ordered[:1], ordered]), np.concatenate([[0.0], share]), None, look, label)
    ax.plot([np.median(ordered)], [0.5], marker=look.marker, color=look.color, markersize=6, markeredgecolor=PAPER)
    return ax


def zoom_to_cloud(ax: Axes, x: ArrayLike, y: ArrayLike) -> None:
    """Limits for a scatter of points [N] whose axes have one scale, and the points outside told at the edge.

    Both axes show all points, from the same number to the same, unless the cloud - all but what lies far out (Tukey
    1977) - fills less than a tenth of that square: then they show the cloud.
    """
    points = np.stack([np.asarray(x, dtype=np.float64), np.asarray(y, dtype=np.float64)], axis=1)
    lower, upper = np.quantile(points, (0.25, 0.75), axis=0)
    reach = FAR_OUT * (upper - lower)
    cloud = points[((points >= lower - reach) & (points <= upper + reach)).all(axis=1)]
    limits = _square(np.tile(points.reshape(-1, 1), 2))
    if 2 * len(cloud) > len(points):
        choices = (limits, _square(np.tile(cloud.reshape(-1, 1), 2)), _square(cloud))
        area = float(np.prod(np.ptp(cloud, axis=0)))
        limits = next((one for one in choices if area >= LEAST_FILLED * float(np.prod(one[1] - one[0]))), choices[-1])
    ax.set(xlim=limits[:, 0], ylim=limits[:, 1])
    outside = points[((points < limits[0]) | (points > limits[1])).any(axis=1)]
    if len(outside):
        marks: dict[str, Any] = {"markersize": 5, "clip_on": False, "zorder": 4}
        ax.plot(*np.clip(outside, *limits).T, "D", color=VERMILION, label="outside", **marks)
        far = outside[np.abs(outside - np.median(points, axis=0)).max(axis=1).argmax()]
        text = f"{len(outside):,} of {len(points):,} outside,\nthe farthest at ({far[0]:.4g}, {far[1]:.4g})"
        note(ax, 0.97, 0.05, text)


def _square(points: NDArray[np.float64]) -> NDArray[np.float64]:
    """The lower left and the upper right corner of a square around points, with some room: [2, 2]."""
    low, high = points.min(axis=0), points.max(axis=0)
    side = max(float((high - low).max()), 0.02 * float(np.abs(points).max()), 1e-9)
    return np.stack([(low + high) / 2 - 0.54 * side, (low + high) / 2 + 0.54 * side])


def sorted_differences(ax: Axes, differences: ArrayLike, better: str = "higher") -> Axes:
    """Differences [N] from the lowest to the highest: filled where they are better, hatched where they are worse.

    At most `NUM_DIFFERENCES` are drawn; the dashed line is their mean. What goes far beyond the others is cut off.
    """
    ordered = np.sort(np.asarray(differences, dtype=np.float64))
    chosen = np.unique(np.linspace(0, len(ordered) - 1, min(len(ordered), NUM_DIFFERENCES)).round().astype(np.int64))
    x, y = (chosen + 0.5) / len(ordered), ordered[chosen]
    if len(y) == 1:
        x, y = np.array([0.0, 1.0]), np.repeat(y, 2)
    bad: dict[str, Any] = {"facecolor": PAPER, "hatch": "////", "edgecolor": VERMILION}
    good: dict[str, Any] = {"facecolor": BLUE, "linewidth": 0}
    upper, lower = (bad, good) if better == "lower" else (good, bad)
    ax.fill_between(x, 0, y, where=y >= 0, interpolate=True, **upper)
    ax.fill_between(x, 0, y, where=y <= 0, interpolate=True, **lower)
    ax.axhline(0, color=INK, linewidth=0.9)
    ax.axhline(float(ordered.mean()), color=INK, linewidth=1.1, linestyle=(0, (5, 3)))
    ends = [*np.quantile(ordered, (OUTLIERS, 1.0 - OUTLIERS)), 0.0, float(ordered.mean())]
    room = 0.15 * (max(ends) - min(ends)) or 1.0
    ax.set(xlim=(0, 1), ylim=(min(ends) - room, max(ends) + room), xlabel="records, sorted")
    percent(ax.xaxis)
    return ax


def diagonal(ax: Axes, end: float, label: str = "") -> Axes:
    """A dashed line from 0 to where both axes are `end`: on it x and y are the same."""
    ax.plot([0, end], [0, end], color=INK, linewidth=0.9, linestyle=(0, (4, 3)), label=label)
    return ax


def readable_on(color: Any) -> str:
    """Black or white ink, whichever has the higher contrast on the colour (WCAG 2.2): at least 4.5 on any."""
    light = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in map(float, color[:3])]
    luminance = 0.2126 * light[0] + 0.7152 * light[1] + 0.0722 * light[2]
    return BLACK if (luminance + 0.05) ** 2 > 1.05 * 0.05 else PAPER


def bars(
    ax: Axes,
    names: Sequence[str],
    series: Sequence[tuple[str, ArrayLike, tuple[ArrayLike, ArrayLike] | None, Look]],
    number: str = ".2f",
) -> Axes:
    """Horizontal bars: a group per name, a bar per series (label, values, interval, look), top to bottom as given.

    The value stands at the end of each bar, beyond its interval (low, high).
    """
    height = 0.8 / max(len(series), 1)
    low = high = 0.0
    for k, (label, values, interval, looks) in enumerate(series):
        values = np.asarray(values, dtype=np.float64)
        ends = values if interval is None else np.asarray(interval[1], dtype=np.float64)
        y = np.arange(len(names)) - 0.4 + (k + 0.5) * height
        ax.barh(y, values, height * 0.9, label=label, **looks.fill)
        if interval is not None:
            ax.errorbar(values, y, xerr=whiskers(values, interval), fmt="none", ecolor=INK, elinewidth=1.1, capsize=2.5)
        for value, end, at in zip(values, ends, y, strict=True):
            at_end: dict[str, Any] = {"textcoords": "offset points", "va": "center", "fontsize": 7.5}
            ax.annotate(format(value, number), (max(end, 0.0), at), (4, 0), **at_end)
        low, high = float(values.min(initial=low)), float(ends.max(initial=high))
    ax.set_xlim(1.1 * low, (high or 1.0) * 1.14)
    return _name_rows(ax, names)


def stacked(ax: Axes, names: Sequence[str], parts: Sequence[tuple[str, ArrayLike, Look]], number: str = ".0%") -> Axes:
    """Horizontal bars that add up: a bar per name, a part per (label, values, look). Values stand where they fit."""
    left = np.zeros(len(names))
    total = np.sum([np.asarray(values, dtype=np.float64) for _, values, _ in parts], axis=0)
    for label, values, looks in parts:
        widths = np.asarray(values, dtype=np.float64)
        drawn = np.where(widths > 0, widths, np.nan)  # the edges of a bar of width 0 would show as a line
        ax.barh(np.arange(len(names)), drawn, 0.7, left=left, label=label, **looks.fill)
        for row, width in enumerate(widths):
            if width > 0.05 * total.max():
                ink = INK if looks.hatch else readable_on(to_rgb(looks.color))
                box = {"facecolor": PAPER, "edgecolor": "none", "pad": 1.0} if looks.hatch else None
                write(ax, left[row] + width / 2, row, format(width, number), fontsize=8, color=ink, bbox=box)
        left += widths
    ax.set_xlim(0, float(total.max(initial=0.0)) or 1.0)
    return _name_rows(ax, names)


def _name_rows(ax: Axes, names: Sequence[str]) -> Axes:
    ax.set_yticks(range(len(names)), names)
    ax.set_ylim(len(names) - 0.5, -0.5)
    ax.grid(axis="y", visible=False)
    ax.tick_params(axis="y", length=0)
    return ax


def percent(*axes: Axis) -> None:
    """Shares on these axes in percent."""
    for axis in axes:
        axis.set_major_formatter(PercentFormatter(1.0))


def write(ax: Axes, x: float, y: float, text: str, **style: Any) -> Text:
    """A text whose middle lies at (x, y)."""
    return ax.text(x, y, text, ha="center", va="center", **style)


def note(ax: Axes, x: float, y: float, text: str) -> Text:
    """A small text on paper whose lower right corner lies at (x, y), shares of the panel."""
    paper: dict[str, Any] = {"facecolor": PAPER, "edgecolor": "none", "pad": 1.5, "alpha": 0.85}
    return ax.text(x, y, text, ha="right", va="bottom", fontsize=8, bbox=paper, transform=ax.transAxes, zorder=5)


def whiskers(values: ArrayLike, interval: tuple[ArrayLike, ArrayLike]) -> NDArray[np.float64]:
    """Intervals (low, high) as the distances from `values` that error bars take, [2, N], never negative."""
    middle = np.asarray(values, dtype=np.float64)
    low, high = (np.asarray(end, dtype=np.float64) for end in interval)
    return np.maximum(np.stack([middle - low, high - middle]), 0.0)


def legend_below(canvas: Figure, panels: Sequence[Axes]) -> None:
    """One legend under the whole figure, of everything that is named in `panels`, each name once."""
    found: dict[str, Any] = {}
    for ax in panels:
        for handle, label in zip(*ax.get_legend_handles_labels(), strict=True):
            found.setdefault(label, handle)
    inches = [0.75 + 0.06 * len(label) for label in found] or [1.0]
    columns = len(inches)
    if sum(inches) > canvas.get_figwidth():
        columns = max(1, int(canvas.get_figwidth() / max(inches)))
    canvas.legend(list(found.values()), list(found), loc="outside lower center", ncols=columns)


def shade(ax: Axes, spans: Sequence[tuple[float, float]], color: str = "#e9ebf2") -> Axes:
    """Vertical spans (start, stop) over the whole height, behind everything else: nights, stages."""
    widths = [(start, stop - start) for start, stop in spans]
    ax.broken_barh(widths, (0, 1), transform=ax.get_xaxis_transform(), facecolors=color, linewidth=0, zorder=0)
    return ax

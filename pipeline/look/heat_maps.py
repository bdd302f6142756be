"""Heat maps: numbers as colours, on which what is unknown, none and little look different in every picture."""

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
from matplotlib import colormaps
from matplotlib.axes import Axes
from matplotlib.colors import LinearSegmentedColormap, ListedColormap, Normalize, to_rgb
from matplotlib.patches import Rectangle
from numpy.typing import ArrayLike, NDArray

from pipeline.look.plotting import PAPER, SOFT, readable_on, write

NONE = "#fbfcfd"  # the ground of a cell that is known to be 0

# Pale to dark blue in equal steps of lightness (OKLab, Ottosson 2020): for shares, where little should look little.
_PALE_TO_DARK = ["#f1f5fa", "#c7daec", "#9ec0dd", "#74a5cd", "#4c8bbb", "#3a6f9d", "#295480", "#193b63", "#0a2348"]
PALE_TO_DARK = LinearSegmentedColormap.from_list("pale_to_dark", _PALE_TO_DARK)


def part_of_map(name: str, low: float, high: float) -> LinearSegmentedColormap:
    """The part [low, high] of a matplotlib colour map; leaves out ends that are too dark or too light."""
    colors = colormaps[name](np.linspace(low, high, 256))
    return LinearSegmentedColormap.from_list(f"{name}_{low:g}_{high:g}", list(map(tuple, colors)))


def heat_map(
    ax: Axes,
    values: NDArray[Any],
    *,
    color_map: Any = "cividis",
    scale: Normalize | None = None,
    texts: ArrayLike | None = None,
    is_amount: bool = False,
) -> Axes:
    """`values` [rows, columns] as colours, row 0 at the top; the scale defaults to the extremes.

    NaN is hatched paper: nothing is known. Where `is_amount`, 0 is plain paper: it is known that there is none.
    `texts` [rows, columns] are written on the cells, in black or white, whichever reads better.
    """
    values = np.asarray(values, dtype=np.float64)
    scale = scale or extremes(values)
    rows, columns = values.shape
    hatch_missing(ax, (0, 0, columns, rows))
    is_none = (values == 0.0) & is_amount
    colors = color_map if not isinstance(color_map, str) else colormaps[color_map]
    edges: dict[str, Any] = {"edgecolors": PAPER, "linewidth": 0.6}
    ax.pcolormesh(np.ma.masked_where(~np.isfinite(values) | is_none, values), cmap=colors, norm=scale, **edges)
    if is_none.any():
        paper = ListedColormap([NONE])
        ax.pcolormesh(np.ma.masked_where(~is_none, values), cmap=paper, **edges)
    if texts is not None:
        for (row, column), text in np.ndenumerate(np.asarray(texts).astype(np.str_)):
            value = values[row, column]
            ground = colors(scale(value)) if np.isfinite(value) and not is_none[row, column] else to_rgb(NONE)
            ink = SOFT if text == "0" else readable_on(ground)
            write(ax, column + 0.5, row + 0.5, text, color=ink, fontsize=7)
    ax.set(xlim=(0, columns), ylim=(rows, 0))
    ax.grid(False)
    ax.tick_params(length=0)
    ax.spines[:].set_visible(False)
    return ax


def share_map(ax: Axes, shares: NDArray[Any], scale: Normalize, texts: ArrayLike | None = None) -> Axes:
    """Shares [rows, columns] as a heat map, pale to dark, with ``texts`` or whole percents on them. `SHARE_CELLS` says
    in a caption how it is read."""
    texts = np.vectorize(share_text, otypes=[object])(shares) if texts is None else texts
    return heat_map(ax, shares, color_map=PALE_TO_DARK, scale=scale, texts=texts, is_amount=True)


SHARE_CELLS = "Hatched cells have nothing to be a share of; 0 is none at all, <.5 less than half a percent."


def share_text(share: float) -> str:
    """A share in whole percent for a cell of a heat map, where what is none, little and unknown differ."""
    if np.isnan(share):
        return ""
    return "<.5" if 0.0 < share < 0.005 else f"{math.floor(100.0 * share + 0.5)}"


def extremes(*tables: ArrayLike) -> Normalize:
    """A colour scale from the lowest to the highest finite value of all tables, for panels that share one."""
    known = [flat[np.isfinite(flat)] for flat in (np.asarray(table, dtype=np.float64).ravel() for table in tables)]
    values = np.concatenate(known) if known else np.empty(0)
    low, high = (float(values.min()), float(values.max())) if len(values) else (0.0, 1.0)
    return Normalize(low, high if high > low else low + 1e-9)


def hatch_missing(ax: Axes, box: tuple[float, float, float, float]) -> Axes:
    """Hatched paper on (x, y, width, height): here is no data, which is not the same as zero."""
    x, y, width, height = box
    fill: dict[str, Any] = {"facecolor": "#f5f6f8", "edgecolor": "#d3d6dd", "hatch": "////", "linewidth": 0}
    ax.add_patch(Rectangle((x, y), width, height, zorder=0, **fill))
    return ax


def scale_bar(figure: Any, axes: Axes | Sequence[Axes], label: str) -> Any:
    """One colour bar for panels that share a scale, beside the last of them."""
    panels = [axes] if isinstance(axes, Axes) else list(axes)
    bar = figure.colorbar(panels[-1].collections[0], ax=panels, pad=0.015, fraction=0.035, aspect=28)
    bar.outline.set_visible(False)
    bar.ax.tick_params(length=2)
    bar.set_label(label)
    return bar

"""Maps: kilometres east and north of a place, with receivers, truths, fixes and ellipses. No tiles from outside."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from numpy.typing import ArrayLike

from pipeline.look import plotting
from pipeline.look.numbers import one_line
from pipeline.look.picture import Picture
from pipeline.stats import Floats
from pipeline.tasks.localization import geo
from pipeline.tasks.localization.ellipse import ring
from pipeline.tasks.localization.evaluate.subjects import truths_of
from pipeline.tasks.localization.mixture import log_density, of_predictions
from pipeline.tasks.localization.rows import Degrees, Measurement, Prediction, fix_of, place_of
from pipeline.tasks.localization.signal.recording import Recording
from pipeline.tasks.localization.visualize.curves import length
from pipeline.tasks.localization.visualize.judged import Judged, Record
from pipeline.tasks.localization.visualize.waterfall import draw_waterfall
from schemas.rows import Fact

MAX_FIXES = 400  # on one map
MAX_ELLIPSES = 40  # on it, so that each can be told from the others
MAX_NAMED = 12  # receivers
ELLIPSE = 0.68
GRID = 160  # points of a density along either side
REGIONS = (0.95, 0.5)  # of highest density, that are shaded
SHADES = ("#d9e8f3", "#a9cbe4")
WATERFALL = " Below: the power that receivers recorded, by frequency as time goes on."
WIDER = 1.15  # than what it must show


def overview(judged: Judged) -> Picture:
    """All records on one map."""
    step = max(1, -(-len(judged.rows) // MAX_FIXES))
    rows = judged.rows[::step]
    sites = _sites([one for row in judged.rows for one in row.measurements])
    fixes = np.array([fix_of(row) for row in rows], np.float64)
    centre = _middle(np.concatenate([fixes, [*sites.values()]]) if sites else fixes)
    canvas, (ax,) = plotting.new_panels(7.0, 1)
    truths = truths_of(rows)
    known = np.isfinite(truths).all(axis=1)
    if known.any():
        lines = np.stack([truths[known], fixes[known]], axis=1)
        east, north = np.moveaxis(_km(lines, centre), -1, 0)
        ax.plot(east.T, north.T, color=plotting.VERMILION, linewidth=0.8, alpha=0.7)
        ax.plot(east[:, 0], north[:, 0], "o", color=plotting.INK, markersize=2.5, label="truth")
    ax.plot(*_km(fixes, centre).T, "o", color=plotting.BLUE, markersize=3, markerfacecolor="none", label="fix")
    if len(rows) <= MAX_ELLIPSES:
        _draw_ellipses(ax, rows, centre)
    _draw_sites(ax, sites, centre)
    _finish(ax, centre)
    plotting.legend_below(canvas, [ax])
    shown = f"{len(rows):,} of {len(judged.rows):,} records, at equal steps" if step > 1 else f"{len(rows):,} records"
    drawn = f", an ellipse is that of {ELLIPSE:.0%}" if len(rows) <= MAX_ELLIPSES else ""
    return Picture(
        slug="map",
        title="All on one map",
        caption=f"{shown}. A line leads from each truth to its fix{drawn}. Fixes, ellipses, truths and receivers are "
        "in map.geojson beside this page, which any geographic program opens.",
        canvas=canvas,
    )


def record_map(record: Record, slug: str, recording: Recording | None = None) -> Picture:
    """One record: all receivers that heard it, and closer by the truth, the fix and how sure it is; below them what
    they recorded, where there is a recording."""
    row, off = record.row, f"off by {length(record.error_m)}"
    canvas = plotting.new_figure(4.9 if recording is None else 7.4)
    halves: Any = [canvas] if recording is None else canvas.subfigures(2, 1, height_ratios=(1.9, 1.0))
    left, right = plotting.small_multiples(halves[0], 2, 2)
    if recording is not None:
        draw_waterfall(halves[1], recording)
    fix = np.array(fix_of(row), np.float64)
    sites = _sites(row.measurements)
    for ax in (left, right):
        _draw_answer(ax, row, record.truth, fix)
    _draw_sites(left, sites, fix)
    _show(left, np.concatenate([_km([record.truth, *sites.values()], fix), [[0.0, 0.0]]]))
    reach = max((one.semi_major_m for one in row.ellipses), default=0.0) / 1000
    _show(right, np.concatenate([_km([record.truth], fix), [[-reach, -reach], [reach, reach]]]))
    _draw_region(right, row)
    for ax, title in ((left, "who heard it"), (right, off)):
        _finish(ax, fix)
        ax.set_title(title)
    plotting.legend_below(canvas, [left, right])
    is_inside = record.region < 0.9995
    inside = f"The truth lies in the region of {record.region:.0%}." if is_inside else "It lies far outside."
    several = f" of {len(row.components)} Gaussians" if row.components else ""
    facts: dict[str, Fact] = {
        "kind": row.kind,
        "receivers": len(row.measurements),
        "error m": round(record.error_m, 1),
        "region %": round(100 * record.region, 1),
    }
    return Picture(
        slug=slug,
        title=f"{one_line(row.id)}: {off}",
        caption="The four ellipses are to contain the truth with 50, 68, 90 and 95 %; shaded are the regions of "
        f"highest density{several} of 50 and 95 %. {inside}{'' if recording is None else WATERFALL}",
        canvas=canvas,
        record_ids=(row.id,),
        facts=facts | {f"{name} m": round(value, 1) for name, value in record.solved.items() if np.isfinite(value)},
    )


def _draw_answer(ax: Axes, row: Prediction, truth: Degrees, fix: Floats) -> None:
    for number, one in enumerate(row.ellipses):
        outline = _km(ring(float(fix[0]), float(fix[1]), one), fix)
        label = "ellipses" if number == 0 else ""
        ax.plot(*outline.T, color=plotting.BLUE, linewidth=0.8 + 0.3 * (number == 0), label=label)
    edge = plotting.PAPER
    ax.plot(0, 0, "o", color=plotting.BLUE, markersize=6, markeredgecolor=edge, label="fix", zorder=4)
    place = _km(truth, fix)
    ax.plot(*place, "X", color=plotting.VERMILION, markersize=8, markeredgecolor=edge, label="truth", zorder=5)


def _draw_ellipses(ax: Axes, rows: Sequence[Prediction], centre: Floats) -> None:
    """That of one probability, of each record."""
    found = [(fix, one) for row in rows for one in row.ellipses if one.probability == ELLIPSE and (fix := fix_of(row))]
    for number, (fix, one) in enumerate(found):
        outline = _km(ring(*fix, one), centre)
        label = f"ellipse of {ELLIPSE:.0%}" if number == 0 else ""
        ax.plot(*outline.T, color=plotting.BLUE, linewidth=0.8, alpha=0.7, label=label)


def _draw_region(ax: Axes, row: Prediction) -> None:
    """The regions of highest density, on the part that the axes show."""
    mixtures, _ = of_predictions([row])
    (west, east), (south, north) = ax.get_xlim(), ax.get_ylim()
    x, y = np.meshgrid(np.linspace(west, east, GRID), np.linspace(south, north, GRID))
    points = 1000 * np.stack([x, y], axis=-1).reshape(1, -1, 2)
    density = np.exp(log_density(mixtures, points))[0]
    cell = (east - west) * (north - south) * 1e6 / GRID**2
    falling = np.sort(density)[::-1]
    mass = np.cumsum(falling) * cell
    levels = [float(falling[min(int(np.searchsorted(mass, p)), len(falling) - 1)]) for p in REGIONS]
    if 0 < levels[0] < levels[1] < falling[0]:
        shades: dict[str, Any] = {"colors": SHADES, "zorder": 0}
        ax.contourf(x, y, density.reshape(GRID, GRID), [*levels, float(falling[0])], **shades)


def _sites(measurements: Sequence[Measurement]) -> dict[str, Degrees]:
    """Receivers with a place, by name."""
    return {one.receiver: place for one in measurements if (place := place_of(one)) is not None}


def _draw_sites(ax: Axes, sites: Mapping[str, Degrees], centre: Floats) -> None:
    if not sites:
        return
    places = _km([*sites.values()], centre)
    looks: dict[str, Any] = {"color": plotting.BLACK, "markeredgecolor": plotting.PAPER, "zorder": 3}
    ax.plot(*places.T, "^", markersize=7, label="receiver", **looks)
    for name, place in zip([*sites][:MAX_NAMED], places, strict=False):
        ax.annotate(one_line(name)[:18], place, (6, 4), textcoords="offset points", fontsize=7.5, color=plotting.SOFT)


def _finish(ax: Axes, centre: Floats) -> None:
    latitude = f"{abs(centre[0]):.3f}° {'S' if centre[0] < 0 else 'N'}"
    longitude = f"{abs(centre[1]):.3f}° {'W' if centre[1] < 0 else 'E'}"
    ax.set(xlabel=f"km east of {longitude}", ylabel=f"km north of {latitude}")
    ax.set_aspect("equal", adjustable="datalim" if ax.get_autoscale_on() else "box")


def _show(ax: Axes, points: Floats) -> None:
    """Square limits about points [N, 2] in kilometres."""
    low, high = points.min(axis=0), points.max(axis=0)
    half = max(float((high - low).max()) * WIDER / 2, 1e-3)
    middle = (low + high) / 2
    ax.set(xlim=(middle[0] - half, middle[0] + half), ylim=(middle[1] - half, middle[1] + half))


def _km(places: ArrayLike, centre: ArrayLike) -> Floats:
    return np.asarray(geo.to_local(places, centre) / 1000)


def _middle(places: Floats) -> Floats:
    """A place amid others [N, 2], wherever they lie."""
    x, y, z = geo.to_cartesian(places, 0.0).mean(axis=0)
    return np.asarray(np.degrees([np.arctan2(z, np.hypot(x, y)), np.arctan2(y, x)]))

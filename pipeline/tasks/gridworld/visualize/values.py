"""Pictures of what the Q-network expects: over the grid by action, and over time."""

from typing import Any

import numpy as np
from matplotlib.colors import Normalize

from pipeline.look import heat_maps, plotting
from pipeline.look.picture import Picture
from pipeline.tasks.gridworld.town.arrays import F64, I64
from pipeline.tasks.gridworld.town.rules import ACTIONS
from pipeline.tasks.gridworld.visualize.episodes import Track, label_cells, place_key

_ARROWS = ("↑", "↓", "←", "→", "●", "w", "r", "m")  # in the order of ACTIONS


def mean_by_cell(track: Track, values: F64) -> F64:
    """Mean of `values` [L] over the steps that began in each cell, [size, size]; NaN where no value is known."""
    known = np.isfinite(values)
    x, y = track.cell[known, 0], track.cell[known, 1]
    size = track.row.size
    total, count = np.zeros((size, size)), np.zeros((size, size))
    np.add.at(total, (y, x), values[known])
    np.add.at(count, (y, x), 1)
    return np.where(count > 0, total / np.maximum(count, 1), np.nan)


def greedy_by_cell(track: Track) -> I64:
    """[size, size] the action that was best most often in each cell, -1 where no Q-value is known."""
    table = np.full((track.row.size, track.row.size), -1, dtype=np.int64)
    known = np.isfinite(track.q).any(axis=1)
    best = np.where(np.isfinite(track.q), track.q, -np.inf).argmax(axis=1)
    for x, y in np.unique(track.cell[known], axis=0):
        here = known & (track.cell == (x, y)).all(axis=1)
        table[y, x] = np.bincount(best[here]).argmax()
    return table


def q_maps(name: str, track: Track) -> Picture:
    """Left the value of the best action by cell with that action, right each action's Q-value against it."""
    best = np.fmax.reduce(track.q, axis=1)
    canvas = plotting.new_figure(5.15)
    halves: Any = canvas.subfigures(1, 2)
    left, right = halves
    ax = left.subplots()
    values = mean_by_cell(track, best)
    arrows = np.array([*_ARROWS, ""])[greedy_by_cell(track)]
    heat_maps.heat_map(ax, values, color_map="viridis", texts=label_cells(track.row, arrows))
    ax.set(aspect="equal", xticks=[], yticks=[])
    ax.set_title("Q-value of the best action, and which that was", fontsize=9)
    heat_maps.scale_bar(left, ax, "").ax.tick_params(labelsize=8)
    _draw_costs(right, [mean_by_cell(track, best - track.q[:, action]) for action in range(len(ACTIONS))])
    canvas.supxlabel(place_key([track.row]), fontsize=7.5)
    return Picture(
        slug=f"q_{name}",
        title=f"Q-values over the town: the {name} traced episode",
        caption=f"{track.row.id}: {track.summary}. Left: the mean Q-value of the best action in each visited cell, "
        "with the action that was best there most often (arrows; ● interact, w wait, r rest, m meditate). Right: "
        "how much worse the network thought each action was than the best one, on average over the visits where it "
        "was legal; light cells are as good as the best. Hatched: never visited or never legal.",
        canvas=canvas,
        record_ids=(track.row.id,),
    )


def _draw_costs(canvas: Any, costs: list[F64]) -> None:
    """What each action loses against the best one, [size, size] each; moves where they point, as on a game pad."""
    known = np.concatenate([cost[np.isfinite(cost)] for cost in costs])
    scale = Normalize(0, max(float(np.quantile(known, 0.98)) if len(known) else 0.0, 1e-6))
    panels = canvas.subplot_mosaic([["rest", "up", "meditate"], ["left", "interact", "right"], ["wait", "down", "key"]])
    for action, cost in zip(ACTIONS, costs, strict=True):
        ax = panels[action]
        heat_maps.heat_map(ax, cost, color_map="cividis_r", scale=scale)
        ax.set(aspect="equal", xticks=[], yticks=[])
        ax.set_title(f"{_ARROWS[ACTIONS.index(action)]} {action}", fontsize=9, pad=3)
    panels["key"].set_axis_off()
    inside = panels["key"].inset_axes((0.02, 0.62, 0.96, 0.1))
    bar = canvas.colorbar(panels[ACTIONS[0]].collections[0], cax=inside, orientation="horizontal")
    bar.outline.set_visible(False)
    bar.ax.tick_params(labelsize=8)
    bar.set_label("best Q minus Q\nof this action", fontsize=8.5)


def has_values(track: Track) -> bool:
    """Whether any Q-value of a legal action is known."""
    return bool(np.isfinite(track.q).any())

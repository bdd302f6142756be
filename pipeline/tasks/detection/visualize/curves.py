"""Pictures of how good predictions are over all images: precision and recall, class by class, and what scores say."""

from typing import Any

import numpy as np
from matplotlib.axes import Axes
from numpy.typing import NDArray

from pipeline import stats
from pipeline.look import plotting
from pipeline.look.numbers import plural
from pipeline.look.picture import Picture
from pipeline.stats import Floats
from pipeline.tasks.detection.evaluate.average_precision import AT_50, AT_75, RECALLS
from pipeline.tasks.detection.evaluate.dataset import Dataset
from pipeline.tasks.detection.evaluate.explain import AT_MATCH, MATCH_IOU, Looked, percent
from pipeline.tasks.detection.evaluate.figures import Figures
from pipeline.tasks.detection.evaluate.kernels import IGNORED, TRUE, States
from pipeline.tasks.detection.evaluate.matching import COCO_IOUS, counted_truths
from pipeline.tasks.detection.visualize.outlines import one_line

MAX_CURVES = 7  # classes with a curve of their own, as many as there are looks that are told apart
NUM_BINS = 10  # of scores


def interpolated_precision(states: States, num_true: int) -> Floats:
    """Precision at COCO's 101 recalls: [101].

    ``states`` are of the predictions of one class at one threshold, best first. At every recall it is the highest
    precision at that recall or above (COCOeval.accumulate), and 0 where no prediction reaches it.
    """
    kept = states[states != IGNORED] == TRUE
    true, false = np.cumsum(kept, dtype=np.float64), np.cumsum(~kept, dtype=np.float64)
    recall, precision = true / num_true, true / (true + false + np.spacing(1))
    highest = np.maximum.accumulate(precision[::-1])[::-1]
    place = np.searchsorted(recall, RECALLS, side="left")
    return np.append(highest, 0.0)[place]


def precision_curves(figures: Figures) -> Floats:
    """Interpolated precision of boxes: [classes of the truth, COCO_IOUS, 101], NaN for a class with crowds alone.

    Its mean over the last axis is the AP that evaluate writes.
    """
    line, num_true = figures.boxes.rankings["all"].line, _num_true(figures.dataset)
    curves = np.full((len(num_true), len(COCO_IOUS), len(RECALLS)), np.nan)
    for k in np.flatnonzero(num_true):
        members = slice(line.starts[k], line.starts[k + 1])
        for t in range(len(COCO_IOUS)):
            curves[k, t] = interpolated_precision(line.states[t, members], int(num_true[k]))
    return curves


def _num_true(dataset: Dataset) -> NDArray[np.int64]:
    """True objects of each class of the truth, crowds left out."""
    truths = dataset.truths
    return np.bincount(truths.label[counted_truths(truths)], minlength=dataset.num_true_classes)


def has_truth(dataset: Dataset) -> bool:
    """Whether there is anything to find."""
    return bool(counted_truths(dataset.truths).any())


def precision_recall(dataset: Dataset, curves: Floats) -> Picture:
    """Precision over recall: the mean over classes at several IoU, and single classes at IoU .50."""
    known = np.flatnonzero(~np.isnan(curves[:, 0, 0]))
    canvas, (left, right) = plotting.new_panels(4.7, 2)
    for label, lines, index in (
        ("IoU .50", curves[known, AT_50], 0),
        ("IoU .75", curves[known, AT_75], 1),
        ("mean of .50 to .95", curves[known].mean(axis=1), 2),
    ):
        if len(known):
            _curve(left, lines.mean(axis=0), index, label)
    frequent = known[np.argsort(-_num_true(dataset)[known], kind="stable")][:MAX_CURVES]
    for index, k in enumerate(frequent):
        _curve(right, curves[k, AT_50], index, one_line(dataset.classes[k]))
    _zoom(right, curves[frequent, AT_50])
    left.set_title("mean over the classes")
    others = f" ({len(frequent)} most frequent of {len(known)})" if len(frequent) < len(known) else ""
    right.set_title(f"the classes at IoU .50{others}")
    return Picture(
        slug="precision_recall",
        title="Precision and recall",
        caption="Precision, interpolated at 101 recalls as COCO does, of the predictions ranked by score. The number "
        "behind each name is its average precision, the area below the curve. Where all classes lie high, "
        "their axis begins above 0. "
        + (
            "Scores differ, so that a curve shows what a threshold would gain."
            if scores_differ(dataset)
            else "All scores are equal, so that images stand in the order of their ids and every point of a curve is a "
            "part of the images: its right end is what counts."
        ),
        canvas=canvas,
    )


def _curve(ax: Axes, precision: Floats, index: int, name: str) -> None:
    reached = precision > 0
    looks = plotting.look(index)
    ax.plot(RECALLS, np.where(reached, precision, np.nan), **looks.stroke)
    if reached.any():  # the fall to 0 belongs to the curve
        end = RECALLS[np.flatnonzero(reached)[-1]]
        ax.plot([end, end], [precision[reached][-1], 0], color=looks.color, linewidth=0.7, alpha=0.6)
    ax.plot([], [], label=f"{name}: {precision.mean():.3f}", **looks.stroke)
    ax.set(xlim=(0, 1.005), ylim=(0, 1.03), xlabel="recall", ylabel="precision")
    ax.legend(loc="upper center", bbox_to_anchor=(0.5, -0.16), ncols=2)


def _zoom(ax: Axes, precision: Floats) -> None:
    """Leave out what lies below all curves where they would lie on each other at the top."""
    lowest = precision[precision > 0].min(initial=1.0)
    floor = max(edge for edge in (0.0, 0.5, 0.8, 0.9) if edge < lowest)
    ax.set_ylim(floor, 1.0 + 0.03 * (1.0 - floor))


def scores_differ(dataset: Dataset) -> bool:
    """Whether predictions are ranked by anything at all."""
    scores = dataset.predictions.scores
    return len(scores) > 0 and float(scores.min()) < float(scores.max())


def calibration(looked: Looked) -> Picture:
    """How often predictions of a score are right, and how many there are of each."""
    states, scores = looked.by_class.states[AT_MATCH], looked.dataset.predictions.scores
    counts = states != IGNORED
    right, scores = states[counts] == TRUE, scores[counts]
    edges = np.linspace(min(0.0, scores.min(initial=0.0)), max(1.0, scores.max(initial=1.0)), NUM_BINS + 1)
    places = np.clip(np.searchsorted(edges, scores, side="right") - 1, 0, NUM_BINS - 1)
    canvas, (left, below) = plotting.new_panels(4.2, 2)
    draw_rates(left, right, places, scores, label="share that is right")
    plotting.diagonal(left, 1, "score is the chance")
    left.set(xlabel="score (mean of the group)", ylabel="share that is right", title="is the score right?")
    for label, chosen, looks in (("matched", right, plotting.look(0)), ("false", ~right, plotting.look(1))):
        plotting.distribution(below, scores[chosen], looks, f"{label} ({plural(int(chosen.sum()), 'prediction')})")
    below.set(xlabel="score", ylabel="share at or below", ylim=(0, 1.01), title="scores of matched and false")
    plotting.legend_below(canvas, [left, below])
    return Picture(
        slug="scores",
        title="What the scores say",
        caption=f"Left: predictions by score, and the share of each group that matches a true object at IoU "
        f".{percent(MATCH_IOU)} (95 % intervals); on the line a score is the chance to be right. Right: the further "
        "the two curves stand apart, the better a threshold tells right from wrong.",
        canvas=canvas,
    )


def draw_rates(ax: Axes, is_hit: NDArray[np.bool_], group: NDArray[Any], values: Floats, **style: Any) -> None:
    """Share of hits in each group with its 95 % interval, at the mean of the group's ``values``."""
    members = [group == one for one in np.unique(group)]
    rates = [stats.wilson(int(is_hit[these].sum()), int(these.sum())) for these in members]
    share, low, high = np.array([(rate.value, rate.low, rate.high) for rate in rates]).reshape(-1, 3).T
    error = plotting.whiskers(share, (low, high))
    x = [values[these].mean() for these in members]
    ax.errorbar(x, share, error, fmt="o-", color=plotting.BLUE, capsize=3, **style)
    ax.set_ylim(0, 1.03)

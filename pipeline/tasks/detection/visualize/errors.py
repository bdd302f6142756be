"""Pictures of what goes wrong: kinds of errors, confusions, what is not found, texts hard to read."""

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from matplotlib.colors import Normalize
from matplotlib.ticker import MaxNLocator
from numpy.typing import NDArray

from pipeline.look import heat_maps, plotting
from pipeline.look.numbers import plural, words
from pipeline.look.picture import Picture
from pipeline.tasks.detection.evaluate.dataset import Dataset
from pipeline.tasks.detection.evaluate.explain import (
    AT_MATCH,
    BACKGROUND_IOU,
    ERROR_TYPES,
    MATCH_IOU,
    Looked,
    matched_ious,
    percent,
)
from pipeline.tasks.detection.evaluate.figures import Figures
from pipeline.tasks.detection.evaluate.glossary import STATUSES
from pipeline.tasks.detection.evaluate.kernels import FALSE, TRUE, Ints
from pipeline.tasks.detection.evaluate.matching import counted_truths, found_truths
from pipeline.tasks.detection.rows import DetectionPrediction
from pipeline.tasks.detection.visualize.curves import draw_rates
from pipeline.tasks.detection.visualize.outlines import one_line

MAX_CLASSES = 14  # rows of the table of classes
NUM_SIZES = 8  # groups of true objects by size
MIN_GROUP = 10  # true objects of a group: fewer have an interval of half the panel
MAX_BARS = 12  # repairs, or reasons, of the most frequent ones
BACKGROUND, LOST, OTHERS = "(background)", "(not found)", "(others)"
_MEANINGS = {
    "localisation": "right class, wrong place",
    "classification": "right place, wrong class",
    "duplicate": "found before",
    "background": "nothing there",
    "both": "wrong place and class",
    "missed": "nothing near it",
}


def error_types(figures: Figures) -> Picture:
    """False predictions and missed objects by kind: how many, and what they cost."""
    counts = [figures.by_image[name].sum() for name in ERROR_TYPES]
    delta = figures.costs.delta(np.ones((1, len(figures.dataset.rows)), np.int32))
    costs = np.nan_to_num([delta[name][0] for name in ERROR_TYPES])
    canvas = plotting.new_figure(3.3)
    left, right = canvas.subplots(1, 2, sharey=True)
    names = [f"{name}\n{_MEANINGS[name]}" for name in ERROR_TYPES]
    plotting.bars(left, names, [("", counts, None, plotting.look(0))], ",.0f")
    left.set_title("how many")
    left.xaxis.set_major_locator(MaxNLocator(6, integer=True))
    plotting.bars(right, names, [("", costs, None, plotting.look(1))], "+.3f")
    right.set_title("what they cost (AP50)")
    right.xaxis.set_major_locator(MaxNLocator(5))
    return Picture(
        slug="errors",
        title="Kinds of errors",
        caption=f"False predictions by kind, and true objects that no prediction came near (missed), in the manner of "
        f"TIDE: a match has an IoU of at least {MATCH_IOU}, the background begins below {BACKGROUND_IOU}. Right: how "
        "much higher AP50 would be if all errors of that kind were mended; costs of different kinds do not add up, "
        "and below 0 the errors help more than they harm.",
        canvas=canvas,
    )


def confusion_table(looked: Looked) -> tuple[NDArray[np.int64], list[str], list[str]]:
    """Counts [true class, predicted class] at IoU .50 with classes left aside, and the names of rows and columns.

    The last row is what was predicted where there is nothing, the last column what was found by nothing. Of many
    classes the most frequent stand by themselves.
    """
    dataset = looked.dataset
    states, matched = looked.agnostic.states[AT_MATCH], looked.agnostic.matched[AT_MATCH]
    chosen = _frequent(dataset)
    names = [one_line(dataset.classes[k]) for k in chosen]
    has_others = len(chosen) < len(dataset.classes)
    code = np.full(len(dataset.classes) + 1, len(chosen), np.int64)  # a class that is not shown is one of the others
    code[chosen] = np.arange(len(chosen))
    size = len(chosen) + has_others + 1
    table = np.zeros((size, size), np.int64)
    truth, predicted = code[dataset.truths.label], code[dataset.predictions.label]
    hits = np.flatnonzero(states == TRUE)
    np.add.at(table, (truth[matched[hits]], predicted[hits]), 1)
    np.add.at(table[-1], predicted[states == FALSE], 1)
    lost = counted_truths(dataset.truths) & ~found_truths(looked.agnostic, AT_MATCH, len(truth))
    np.add.at(table[:, -1], truth[lost], 1)
    names += [OTHERS] if has_others else []
    kept = table.sum(axis=1) > 0  # no row for a class that is never true
    kept[-1] = True
    rows = [name for name, keep in zip([*names, BACKGROUND], kept, strict=True) if keep]
    return table[kept], rows, [*names, LOST]


def _frequent(dataset: Dataset) -> Ints:
    """The classes with the most true and predicted objects, in the order of the dataset."""
    counts = np.bincount(dataset.truths.label, minlength=len(dataset.classes)).astype(np.float64)
    counts += 1e-6 * np.bincount(dataset.predictions.label, minlength=len(dataset.classes))
    if len(counts) <= MAX_CLASSES:
        return np.arange(len(counts))
    return np.sort(np.argsort(-counts, kind="stable")[: MAX_CLASSES - 1])


def confusion(looked: Looked) -> Picture:
    """What was predicted where a true object is, and where there is none."""
    table, rows, columns = confusion_table(looked)
    totals = table.sum(axis=1, keepdims=True)
    share = np.divide(table, totals, out=np.full(table.shape, np.nan), where=totals > 0)
    share[-1, -1] = np.nan
    canvas, (ax,) = plotting.new_panels(1.3 + 0.36 * max(len(rows), 4), 1)
    counts = np.where(np.isnan(share), "", np.vectorize("{:,}".format)(table))
    heat_maps.share_map(ax, share, Normalize(0.0, 1.0), counts)
    is_long = max(map(len, columns)) > 8
    slant: dict[str, Any] = {"rotation": 35, "ha": "left"} if is_long and len(columns) > 6 else {}
    ax.xaxis.tick_top()
    ax.xaxis.set_label_position("top")
    ax.xaxis.labelpad = 8
    ax.set_xticks(np.arange(len(columns)) + 0.5, columns, **slant)
    names = [f"{name} ({total:,})" for name, total in zip(rows, totals[:, 0], strict=True)]
    ax.set_yticks(np.arange(len(rows)) + 0.5, names)
    ax.set(xlabel="predicted", ylabel="true")
    ax.axhline(len(rows) - 1, color=plotting.INK, linewidth=1.0)
    ax.axvline(len(columns) - 1, color=plotting.INK, linewidth=1.0)
    plotting.percent(heat_maps.scale_bar(canvas, ax, "share of the row").ax.yaxis)
    return Picture(
        slug="confusion",
        title="Classes taken for others",
        caption=f"Predicted and true objects are matched one to one at IoU .{percent(MATCH_IOU)} whatever their "
        f"classes, the highest score first. The last column are true objects without a prediction, the last row "
        "predictions without a true object. Colours are shares of the row.",
        canvas=canvas,
    )


def found_by_size(looked: Looked) -> Picture:
    """Which true objects are found, by size and by how many others there are; and how well matches fit."""
    dataset, truths = looked.dataset, looked.dataset.truths
    counts = counted_truths(truths)
    found, side = found_truths(looked.by_class, AT_MATCH, len(truths))[counts], np.sqrt(truths.areas[counts])
    images = truths.image[counts]
    canvas, (left, middle, right) = plotting.new_panels(3.5, 3)
    edges = np.unique(np.quantile(side, np.linspace(0, 1, NUM_SIZES + 1))) if len(side) else np.array([0.0])
    group = np.clip(np.searchsorted(edges, side, side="right") - 1, 0, max(len(edges) - 2, 0))
    draw_rates(left, found, group, side, markersize=4)
    plotting.percent(left.yaxis, middle.yaxis)
    left.set(xlabel="size: root of the area (pixels)", ylabel="share found", title="by size")
    crowding = with_full_end(np.bincount(images, minlength=len(dataset.rows))[images])
    draw_rates(middle, found, crowding, crowding.astype(np.float64), markersize=4)
    middle.set(xlabel="true objects in the image (at the end: or more)", title="by number of objects")
    middle.xaxis.set_major_locator(MaxNLocator(integer=True))
    ious = matched_ious(looked)[looked.by_class.states[AT_MATCH] == TRUE]
    plotting.distribution(right, ious, plotting.look(0))
    right.set(xlim=(MATCH_IOU, 1), ylim=(0, 1.01), xlabel="IoU of a match", ylabel="share at or below")
    right.set_title("how well matches fit")
    return Picture(
        slug="found",
        title="What is found",
        caption=f"True objects that a prediction of their class matches at IoU .{percent(MATCH_IOU)}, with 95 % "
        "intervals: in groups of equal number by size, and by how many there are in their image. Right: the "
        "distribution of the IoU of all matches, a mark at the median; the further right, the tighter.",
        canvas=canvas,
    )


def with_full_end(values: Ints) -> Ints:
    """``values`` [N] with the largest made equal, until `MIN_GROUP` are: the last group is no interval of a few."""
    return np.minimum(values, np.sort(values)[-MIN_GROUP:][:1]) if len(values) else values


def reading(rows: Sequence[DetectionPrediction]) -> Picture:
    """Records by status, and by what had to be repaired or dropped, as far as there is any."""
    statuses = Counter(row.status for row in rows)
    failures = Counter(row.error or "" for row in rows if row.status == "not_run")
    repairs = Counter(repair for row in rows for repair in row.repairs)
    dropped = Counter(one.code for row in rows for one in row.dropped)
    panels: list[tuple[str, Mapping[str, int]]] = [
        ("records by status", {name: statuses[name] for name in STATUSES if statuses[name]}),
        ("records not run, by reason", dict(failures.most_common(MAX_BARS))),
        ("records by repair", dict(repairs.most_common(MAX_BARS))),
        ("dropped objects by reason", dict(dropped.most_common(MAX_BARS))),
    ]
    panels = [(title, found) for title, found in panels if found]
    most = max(len(found) for _, found in panels)
    num_columns = len(panels) if len(panels) <= 3 else 2
    height = (0.75 + 0.27 * most) * -(-len(panels) // num_columns)
    canvas, axes = plotting.new_panels(height, len(panels), num_columns)
    for index, (ax, (title, found)) in enumerate(zip(axes, panels, strict=True)):
        plotting.bars(ax, [*map(words, found)], [("", list(found.values()), None, plotting.look(index))], ",.0f")
        ax.set(title=title, xlim=(0, 1.25 * max(found.values())), ylim=(most - 0.5, -0.5))  # bars of one thickness
        ax.xaxis.set_major_locator(MaxNLocator(5, integer=True))
    num_salvaged = sum(len(row.salvaged) for row in rows)
    salvaged = f" {plural(num_salvaged, 'object')} stood complete before the text was cut." if num_salvaged else ""
    return Picture(
        slug="texts",
        title="How the texts were read",
        caption=f"Of {plural(len(rows), 'record')}. Repaired texts are read to the end and lose nothing; those that "
        "are truncated, empty output or no JSON count as answers without objects." + salvaged,
        canvas=canvas,
    )

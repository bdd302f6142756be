"""Compiled loops of evaluate: matching as COCO does it, average precision over weighted images, kinds of errors.

Images have integer weights: 1 for each, or how often a resample of the bootstrap drew it. Matching does not depend on
weights, so it is done once; what is computed from it is computed again for every resample.
"""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from pipeline import compiled as machine_code
from pipeline.stats import Floats

Ints = NDArray[np.int64]
Indices = NDArray[np.int32]  # of which many are kept
Weights = NDArray[np.uint8]  # small, so that those of a million images stay in the processor's cache
States = NDArray[np.uint8]

# What a prediction is at one IoU threshold. The kernels below compare with the numbers: a global would be frozen into
# the cached machine code.
FALSE, TRUE, IGNORED = 0, 1, 2
# Why a prediction is false; 0 for one that is not.
KINDS = ("", "localisation", "classification", "duplicate", "background", "both")


class Ignored(NamedTuple):
    """Which true objects are crowds; which are to be ignored, as crowds or for their areas. In order of the cells."""

    crowd: NDArray[np.bool_]
    true: NDArray[np.bool_]


class Line(NamedTuple):
    """Predictions by class, best first, with what they are at T thresholds: what a precision-recall curve runs along.

    Class k has those from ``starts[k]`` to before ``starts[k + 1]``, each of ``image[d]``, with ``states[t, d]``.
    ``hits`` from ``hit_starts[k, t]`` to before the next are those that are TRUE at threshold t.
    """

    starts: Ints
    image: Indices
    states: States
    hit_starts: Ints
    hits: Indices
    has_ignored: NDArray[np.bool_]


class Side(NamedTuple):
    """Boxes (x, y, width, height) and labels of the predictions, or of the true objects, image by image."""

    boxes: Floats
    labels: Ints


class Outcome(NamedTuple):
    """``states[d]`` of predictions; of true objects, which are matched and which are crowds."""

    states: States
    is_matched: NDArray[np.bool_]
    crowd: NDArray[np.bool_]


# `_nrt=False`: a function that would allocate an array does not compile; all memory belongs to the caller.
compiled = machine_code.compiled(_nrt=False)
unlocked = machine_code.compiled(_nrt=False, nogil=True)  # for threads beside each other
inlined = machine_code.compiled(_nrt=False, forceinline=True)  # for the parts of a compiled loop


@compiled
def box_iou(a: Floats, i: int, b: Floats, j: int, crowd: bool) -> float:
    """Intersection over union of ``a[i]`` and ``b[j]``, each x, y, width, height; over a's area alone for a crowd.

    In the order of operations of COCO's maskApi.c, so that the last bit is the same.
    """
    width = min(a[i, 2] + a[i, 0], b[j, 2] + b[j, 0]) - max(a[i, 0], b[j, 0])
    if width <= 0:
        return 0.0
    height = min(a[i, 3] + a[i, 1], b[j, 3] + b[j, 1]) - max(a[i, 1], b[j, 1])
    if height <= 0:
        return 0.0
    both: float = width * height
    own = a[i, 2] * a[i, 3]
    union: float = own if crowd else own + b[j, 2] * b[j, 3] - both
    return both / union


@compiled
def fill_ious(cells: Ints, boxes: Floats, true_boxes: Floats, crowd: NDArray[np.bool_], ious: Floats) -> None:
    """Fill ``ious`` with the IoU of every prediction with every true object of its cell, predictions slowest.

    ``cells[c]`` is (first prediction, one past the last, first true object, one past the last, offset in ``ious``).
    """
    for c in range(len(cells)):
        at = cells[c, 4]
        for d in range(cells[c, 0], cells[c, 1]):
            for g in range(cells[c, 2], cells[c, 3]):
                ious[at] = box_iou(boxes, d, true_boxes, g, crowd[g])
                at += 1


@inlined
def best_free(
    ious: Floats, row: int, edges: tuple[int, int], ignored: Ignored, taken: NDArray[np.bool_], least: float
) -> int:
    """The true object g between ``edges`` that a prediction takes, whose IoU is ``ious[row + g]``; -1 for none."""
    found, best = -1, least
    for g in range(edges[0], edges[1]):
        if ious[row + g] >= best and not taken[g] and not ignored.true[g]:
            found, best = g, ious[row + g]
    if found < 0:
        best = least
        for g in range(edges[0], edges[1]):
            if ious[row + g] >= best and ignored.true[g] and (ignored.crowd[g] or not taken[g]):
                found, best = g, ious[row + g]
    return found


@compiled
def match_cells(
    cells: Ints, ious: Floats, ignored: Ignored, thresholds: Floats, taken: NDArray[np.bool_], into: tuple[States, Ints]
) -> None:
    """Fill ``states[t, d]`` and ``matched[t, d]`` (a true object, or -1) as COCOeval.evaluateImg does.

    Within a cell predictions stand with the best first. Each takes the true object of the highest IoU that is not
    taken, and the later one of two that are equal; those to be ignored only when nothing else will do, and then it is
    ignored itself. What is filled in before stays for predictions without a match. ``taken[g]`` is scratch; a
    ``matched`` without rows is left alone.
    """
    states, matched = into
    keeps = len(matched) > 0
    for c in range(len(cells)):
        start, stop, true_start, true_stop, offset = cells[c, 0], cells[c, 1], cells[c, 2], cells[c, 3], cells[c, 4]
        num_true = true_stop - true_start
        highest = 0.0
        for at in range(offset, offset + (stop - start) * num_true):
            highest = max(highest, ious[at])
        for t in range(len(thresholds)):
            least = min(thresholds[t], 1.0 - 1e-10)
            if highest < least:
                continue
            for g in range(true_start, true_stop):
                taken[g] = False
            for d in range(start, stop):
                row = offset + (d - start) * num_true - true_start
                found = best_free(ious, row, (true_start, true_stop), ignored, taken, least)
                if found >= 0:
                    taken[found] = True
                    states[t, d] = 2 if ignored.true[found] else 1
                    if keeps:
                        matched[t, d] = found


@unlocked
def sum_by_group(weights: Weights, image: Ints | Indices, group: Ints | Indices, sums: Floats) -> None:
    """Add to ``sums[b, group[m]]`` the weight of ``image[m]`` in resample b, for every m whose group is not -1."""
    for b in range(len(weights)):
        for m in range(len(image)):
            if group[m] >= 0:
                sums[b, group[m]] += weights[b, image[m]]


@compiled
def list_hits(line: Line) -> None:
    """Fill ``hit_starts``, ``hits`` and ``has_ignored`` from the rest."""
    count = 0
    num_thresholds = line.states.shape[0]
    for k in range(len(line.starts) - 1):
        for t in range(num_thresholds):
            line.hit_starts[k, t] = count
            line.has_ignored[k, t] = False
            for d in range(line.starts[k], line.starts[k + 1]):
                if line.states[t, d] == 1:
                    line.hits[count] = d
                    count += 1
                elif line.states[t, d] == 2:
                    line.has_ignored[k, t] = True
        line.hit_starts[k, num_thresholds] = count


@unlocked
def sum_hits(weights: Weights, line: Line, counted: NDArray[np.bool_], sums: Floats) -> None:
    """Fill ``sums[b, k, t]`` with the weight, in resample b, of those hits d of class k that are ``counted[d]``."""
    for b in range(len(weights)):
        for k in range(line.hit_starts.shape[0]):
            for t in range(line.hit_starts.shape[1] - 1):
                total = 0.0
                for m in range(line.hit_starts[k, t], line.hit_starts[k, t + 1]):
                    if counted[line.hits[m]]:
                        total += weights[b, line.image[line.hits[m]]]
                sums[b, k, t] = total


@compiled
def count_predictions(weights: Weights, line: Line, t: int, edges: tuple[int, int], counts: Floats) -> None:
    """Fill ``counts`` with the weight of the predictions from the first edge up to each, less the IGNORED ones."""
    count = 0.0
    for d in range(edges[0], edges[1]):
        if line.states[t, d] != 2:
            count += weights[line.image[d]]
        counts[d - edges[0]] = count


@compiled
def walk_hits(
    weights: Weights, line: Line, edges: tuple[int, int, int], total: float, recalls: Floats, scratch: Floats
) -> float:
    """The weight of the hits from ``edges[0]`` to before ``edges[1]``, of a class that begins at ``edges[2]``; for each
    of them, how many ``recalls`` are reached there first (``scratch[1]``) and the precision there (``scratch[2]``),
    with ``scratch[0]`` as `count_predictions` fills it.

    Precision rises at hits alone, so that the highest precision at or after any recall is found at one of them.
    """
    last = len(recalls) - 1
    num_hits, covered = 0.0, -1
    for h in range(edges[0], edges[1]):
        num_hits += weights[line.image[line.hits[h]]]
        reached = num_hits / total
        guess = min(int(reached * last), last)
        if guess < last and recalls[guess + 1] <= reached:
            guess += 1
        if recalls[guess] > reached:
            guess -= 1
        if num_hits == 0.0:
            guess = -1
        scratch[1, h - edges[0]] = guess - covered
        covered = guess
        scratch[2, h - edges[0]] = num_hits / (
            scratch[0, line.hits[h] - edges[2]] + 2.220446049250313e-16
        )  # np.spacing(1)
    return num_hits


@unlocked
def average_precisions(
    weights: Weights, num_true: Floats, line: Line, recalls: Floats, scratch: Floats, into: tuple[Floats, Floats]
) -> None:
    """Fill ``precision[b, k, t]`` (mean of the interpolated precision over ``recalls``) and ``recall[b, k, t]``.

    Class k has ``num_true[b, k]`` true objects; one without any gets NaN. ``scratch`` is [3, predictions].
    """
    precision, recall = into
    for b in range(len(weights)):
        for k in range(len(line.starts) - 1):
            total = num_true[b, k]
            stale = True  # scratch[0] holds no count of predictions, or one that left out what is ignored
            for t in range(line.states.shape[0]):
                first, after = line.hit_starts[k, t], line.hit_starts[k, t + 1]
                if total == 0.0 or first == after:
                    precision[b, k, t] = recall[b, k, t] = np.nan if total == 0.0 else 0.0
                    continue
                has_ignored = line.has_ignored[k, t]
                if stale or has_ignored:
                    stop = line.hits[after - 1] + 1 if has_ignored else line.starts[k + 1]
                    count_predictions(weights[b], line, t, (line.starts[k], stop), scratch[0])
                    stale = has_ignored
                num_hits = walk_hits(weights[b], line, (first, after, line.starts[k]), total, recalls, scratch)
                recall[b, k, t] = num_hits / total
                highest, added = 0.0, 0.0
                for h in range(after - first - 1, -1, -1):
                    highest = max(highest, scratch[2, h])
                    added += scratch[1, h] * highest
                precision[b, k, t] = added / len(recalls)


@compiled
def explain_errors(
    cells: Ints, found: Side, true: Side, outcome: Outcome, limits: tuple[float, float], into: tuple[States, Ints]
) -> None:
    """Fill ``kinds[d]`` (an index of `KINDS`) and, where mending it would find one, ``targets[d]`` (a true object).

    ``cells`` are images here: all classes of one together. In the order of TIDE (Bolya et al. 2020): with the IoU to
    true objects of the same class between the ``limits`` (background, match), localisation; with one of another class
    that would be a match, classification; then duplicate of a matched one, background below the first limit, and both
    for the rest. A prediction that is TRUE or IGNORED has kind 0; crowds are no targets.
    """
    background, match = limits
    kinds, targets = into
    for c in range(len(cells)):
        for d in range(cells[c, 0], cells[c, 1]):
            kinds[d], targets[d] = 0, -1
            if outcome.states[d] != 0:
                continue
            same, same_at, other, other_at, duplicate = 0.0, -1, 0.0, -1, False
            for g in range(cells[c, 2], cells[c, 3]):
                if outcome.crowd[g]:
                    continue
                iou = box_iou(found.boxes, d, true.boxes, g, False)
                if true.labels[g] == found.labels[d]:
                    duplicate = duplicate or (iou >= match and outcome.is_matched[g])
                    if iou > same:
                        same, same_at = iou, g
                elif iou > other:
                    other, other_at = iou, g
            if background <= same < match:
                kinds[d], targets[d] = 1, same_at
            elif other >= match:
                kinds[d], targets[d] = 2, other_at
            elif duplicate:
                kinds[d] = 3
            else:
                kinds[d] = 4 if max(same, other) < background else 5


@compiled
def find_repeats(starts: Ints, boxes: Floats, labels: Ints, limit: float, repeats: NDArray[np.bool_]) -> None:
    """Mark in ``repeats[d]`` a prediction that has an IoU of at least ``limit`` with an earlier one of its image and
    class. Image i has those from ``starts[i]`` to before ``starts[i + 1]``, in order of generation."""
    for i in range(len(starts) - 1):
        for d in range(starts[i], starts[i + 1]):
            for earlier in range(starts[i], d):
                if labels[earlier] == labels[d] and box_iou(boxes, d, boxes, earlier, False) >= limit:
                    repeats[d] = True
                    break

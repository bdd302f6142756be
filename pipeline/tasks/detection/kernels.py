"""Compiled loops of evaluate: matching as COCO does it, average precision over weighted images, kinds of errors.

Images have integer weights: 1 for each, or how often a resample of the bootstrap drew it. Matching does not depend on
weights, so it is done once; what is computed from it is computed again for every resample.
"""

from collections.abc import Callable
from typing import Any, TypeVar, cast

import numba
import numpy as np
from numpy.typing import NDArray

from pipeline.stats import Floats

Ints = NDArray[np.int64]
Weights = NDArray[np.int32]
States = NDArray[np.uint8]
Function = TypeVar("Function", bound=Callable[..., Any])

# What a prediction is at one IoU threshold. The kernels below compare with the numbers: a global would be frozen into
# the cached machine code.
FALSE, TRUE, IGNORED = 0, 1, 2
# Why a prediction is false; 0 for one that is not.
KINDS = ("", "localisation", "classification", "duplicate", "background", "both")

_njit: Any = numba.njit


def compiled(function: Function) -> Function:
    """Compile at the first call and keep the machine code on disk. Not `fastmath`: equal to plain floats bit by bit.

    `_nrt=False`: a function that would allocate an array does not compile; all memory belongs to the caller.
    """
    return cast(Function, _njit(cache=True, error_model="numpy", _nrt=False)(function))


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


@compiled
def match_cells(
    cells: Ints,
    ious: Floats,
    crowd: NDArray[np.bool_],
    outside: NDArray[np.bool_],
    true_outside: NDArray[np.bool_],
    thresholds: Floats,
    taken: NDArray[np.bool_],
    states: States,
    matched: Ints,
) -> None:
    """Fill ``states[t, d]`` and ``matched[t, d]`` (a true object, or -1) as COCOeval.evaluateImg does.

    Within a cell predictions stand with the best first. Each takes the true object of the highest IoU that is not
    taken, and the later one of two that are equal; crowds, and true objects ``true_outside`` the range of areas, only
    when nothing else will do, and then it is ignored. One without a match is ignored where it is ``outside`` itself.
    ``taken[g]`` is scratch; a ``matched`` without rows is not filled.
    """
    keeps = len(matched) > 0
    for c in range(len(cells)):
        start, stop, offset = cells[c, 0], cells[c, 1], cells[c, 4]
        true_start, true_stop = cells[c, 2], cells[c, 3]
        num_true = true_stop - true_start
        highest = 0.0
        for at in range(offset, offset + (stop - start) * num_true):
            highest = max(highest, ious[at])
        for t in range(len(thresholds)):
            if highest < min(thresholds[t], 1.0 - 1e-10):  # as in most cells: nothing to look for
                for d in range(start, stop):
                    states[t, d] = 2 if outside[d] else 0
                    if keeps:
                        matched[t, d] = -1
                continue
            for g in range(true_start, true_stop):
                taken[g] = False
            for d in range(start, stop):
                row = offset + (d - start) * num_true - true_start
                found = -1
                for ignored in (False, True):
                    best = min(thresholds[t], 1.0 - 1e-10)
                    for g in range(true_start, true_stop):
                        if (crowd[g] or true_outside[g]) != ignored or (taken[g] and not crowd[g]):
                            continue
                        if ious[row + g] >= best:
                            best = ious[row + g]
                            found = g
                    if found >= 0:
                        break
                if keeps:
                    matched[t, d] = found
                if found >= 0:
                    taken[found] = True
                    states[t, d] = 2 if crowd[found] or true_outside[found] else 1
                else:
                    states[t, d] = 2 if outside[d] else 0


@compiled
def sum_by_group(weights: Weights, image: Ints, group: Ints, sums: Floats) -> None:
    """Add to ``sums[b, group[m]]`` the weight of ``image[m]`` in resample b, for every m whose group is not -1."""
    for b in range(len(weights)):
        for m in range(len(image)):
            if group[m] >= 0:
                sums[b, group[m]] += weights[b, image[m]]


@compiled
def list_hits(starts: Ints, states: States, hit_starts: Ints, hits: Ints, has_ignored: NDArray[np.bool_]) -> None:
    """Fill what `average_precisions` walks along, from ``states[t, d]`` and ``starts[k]``."""
    count = 0
    for k in range(len(starts) - 1):
        for t in range(states.shape[0]):
            hit_starts[k, t] = count
            has_ignored[k, t] = False
            for d in range(starts[k], starts[k + 1]):
                if states[t, d] == 1:
                    hits[count] = d
                    count += 1
                elif states[t, d] == 2:
                    has_ignored[k, t] = True
        hit_starts[k, states.shape[0]] = count


@compiled
def average_precisions(
    weights: Weights,
    num_true: Floats,
    starts: Ints,
    image: Ints,
    states: States,
    hit_starts: Ints,
    hits: Ints,
    has_ignored: NDArray[np.bool_],
    recalls: Floats,
    scratch: Floats,
    precision: Floats,
    recall: Floats,
) -> None:
    """Fill ``precision[b, k, t]`` (mean of the interpolated precision over ``recalls``) and ``recall[b, k, t]``.

    Class k has ``num_true[b, k]`` true objects and the predictions from ``starts[k]`` to before ``starts[k + 1]``, best
    first. ``hits`` from ``hit_starts[k, t]`` to before the next are those that are TRUE at threshold t: precision
    rises at them alone, so that the highest precision at or after any recall is found at one of them. ``scratch`` is
    [3, predictions]. A class without true objects gets NaN.
    """
    last = len(recalls) - 1
    for b in range(len(weights)):
        for k in range(len(starts) - 1):
            total = num_true[b, k]
            if total == 0.0:
                for t in range(states.shape[0]):
                    precision[b, k, t] = np.nan
                    recall[b, k, t] = np.nan
                continue
            stale = True  # scratch[0] holds no count of predictions, or one that left out what is ignored
            for t in range(states.shape[0]):
                first, after = hit_starts[k, t], hit_starts[k, t + 1]
                if first == after:
                    precision[b, k, t] = 0.0
                    recall[b, k, t] = 0.0
                    continue
                if stale or has_ignored[k, t]:
                    count = 0.0
                    for d in range(starts[k], hits[after - 1] + 1 if has_ignored[k, t] else starts[k + 1]):
                        if states[t, d] != 2:
                            count += weights[b, image[d]]
                        scratch[0, d] = count
                    stale = has_ignored[k, t]
                num_hits, covered = 0.0, -1
                for h in range(first, after):
                    num_hits += weights[b, image[hits[h]]]
                    reached = num_hits / total
                    guess = min(int(reached * last), last)
                    if guess < last and recalls[guess + 1] <= reached:
                        guess += 1
                    if recalls[guess] > reached:
                        guess -= 1
                    if num_hits == 0.0:
                        guess = -1
                    scratch[1, h - first] = guess - covered  # how many of the recalls are reached here first
                    covered = guess
                    scratch[2, h - first] = num_hits / (scratch[0, hits[h]] + 2.220446049250313e-16)
                highest, added = 0.0, 0.0
                for h in range(after - first - 1, -1, -1):
                    highest = max(highest, scratch[2, h])
                    added += scratch[1, h] * highest
                precision[b, k, t] = added / (last + 1)
                recall[b, k, t] = num_hits / total


@compiled
def explain_errors(
    cells: Ints,
    boxes: Floats,
    labels: Ints,
    true_boxes: Floats,
    true_labels: Ints,
    crowd: NDArray[np.bool_],
    states: States,
    is_matched: NDArray[np.bool_],
    limits: tuple[float, float],
    kinds: States,
    targets: Ints,
) -> None:
    """Fill ``kinds[d]`` (an index of `KINDS`) and, where mending it would find one, ``targets[d]`` (a true object).

    ``cells`` are images here: all classes of one together. In the order of TIDE (Bolya et al. 2020): with the IoU to
    true objects of the same class between the ``limits`` (background, match), localisation; with one of another class
    that would be a match, classification; then duplicate of a matched one, background below the first limit, and both
    for the rest. A prediction that is TRUE or IGNORED has kind 0; crowds are no targets.
    """
    background, match = limits
    for c in range(len(cells)):
        for d in range(cells[c, 0], cells[c, 1]):
            kinds[d] = 0
            targets[d] = -1
            if states[d] != 0:
                continue
            same, same_at, other, other_at, duplicate = 0.0, -1, 0.0, -1, False
            for g in range(cells[c, 2], cells[c, 3]):
                if crowd[g]:
                    continue
                iou = box_iou(boxes, d, true_boxes, g, False)
                if true_labels[g] == labels[d]:
                    duplicate = duplicate or (iou >= match and is_matched[g])
                    if iou > same:
                        same, same_at = iou, g
                elif iou > other:
                    other, other_at = iou, g
            if background <= same < match:
                kinds[d] = 1
                targets[d] = same_at
            elif other >= match:
                kinds[d] = 2
                targets[d] = other_at
            elif duplicate:
                kinds[d] = 3
            elif max(same, other) < background:
                kinds[d] = 4
            else:
                kinds[d] = 5


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

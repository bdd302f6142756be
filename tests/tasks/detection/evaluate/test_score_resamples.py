"""What is computed from stored matches for a resample is what evaluating that resample would give; errors by type."""

from collections.abc import Sequence

import hotcoco
import msgspec
import numpy as np
import pytest

from pipeline.tasks.detection.evaluate import average_precision
from pipeline.tasks.detection.evaluate.average_precision import FIGURES, AveragePrecision, ErrorCosts
from pipeline.tasks.detection.evaluate.dataset import collect
from pipeline.tasks.detection.evaluate.explain import MATCH_IOU, find_errors, look
from pipeline.tasks.detection.evaluate.kernels import KINDS
from pipeline.tasks.detection.evaluate.matching import box_ious, make_cells, match
from pipeline.tasks.detection.rows import DetectionPrediction, PredictedObject, TrueObject
from tests.tasks.detection.evaluate.coco_oracle import Kind, coco_stats, generate, row


def figures_of(rows: Sequence[DetectionPrediction]) -> AveragePrecision:
    dataset = collect(rows)
    cells = make_cells(dataset)
    return AveragePrecision(dataset, cells, box_ious(dataset, cells))


def repeated(rows: Sequence[DetectionPrediction], weights: Sequence[int]) -> list[DetectionPrediction]:
    """Image n ``weights[n]`` times, as images of their own, the copies next to each other."""
    copies = [one for one, weight in zip(rows, weights, strict=True) for _ in range(weight)]
    return [msgspec.structs.replace(one, id=str(n), image_id=n) for n, one in enumerate(copies)]


@pytest.mark.parametrize("crowds", [False, True])
def test_a_weight_is_a_number_of_copies(crowds: bool) -> None:
    """Scores differ, so that pycocotools has but one way to rank the copies."""
    rows = generate(Kind(seed=20, num_images=12, crowds=crowds))
    random = np.random.default_rng(0)
    weights = np.stack([np.bincount(random.integers(12, size=12), minlength=12) for _ in range(6)]).astype(np.uint8)
    found = figures_of(rows).figures(weights)
    ours = np.nan_to_num(np.stack([found[name] for name in FIGURES], axis=1), nan=-1.0)
    for case, mine in zip(weights, ours, strict=True):
        assert mine == pytest.approx(coco_stats(repeated(rows, case), "bbox"), abs=1e-9)


@pytest.mark.parametrize("num_processors", [2, 5])
def test_figures_are_the_same_to_the_last_bit_on_any_number_of_processors(
    num_processors: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    images = figures_of(generate(Kind(seed=22)))
    random = np.random.default_rng(0)
    weights = np.stack([np.bincount(random.integers(25, size=25), minlength=25) for _ in range(43)]).astype(np.uint8)
    found = []
    for count in (1, num_processors):
        monkeypatch.setattr(average_precision, "num_processors", lambda count=count: count)
        threads: set[int] = set()
        average_precision.in_threads(lambda cases, seen=threads: seen.add(cases.start), len(weights))
        assert len(threads) == count
        found.append(images.figures(weights))
    for name in FIGURES:
        assert found[0][name].tobytes() == found[1][name].tobytes()


def test_figures_by_class_average_to_the_whole() -> None:
    found = figures_of(generate(Kind(seed=21)))
    ones = np.ones((1, 25), np.uint8)
    assert np.nanmean(found.by_class(ones)["average_precision"]) == pytest.approx(
        found.main(ones)["average_precision"][0]
    )


def test_error_types_equal_those_of_hotcoco() -> None:
    """An independent implementation of TIDE. Scores differ and there are no crowds, which it counts as objects."""
    for seed in range(5):
        rows = generate(Kind(seed=30 + seed))
        dataset = collect(rows)
        cells = make_cells(dataset)
        ious = box_ious(dataset, cells)
        matches = match(dataset, cells, ious, np.array([MATCH_IOU])).in_order_of_rows(cells)
        errors = find_errors(dataset, matches)
        theirs = _hotcoco(rows).tide_errors()
        names = dict(zip(KINDS[1:], ("Loc", "Cls", "Dupe", "Bkg", "Both"), strict=True))
        counts = {names[kind]: int((errors.kinds == index).sum()) for index, kind in enumerate(KINDS) if index}
        assert counts | {"Miss": int(errors.missed.sum())} == theirs["counts"]
        costs = ErrorCosts(dataset, cells, matches, errors).delta(np.ones((1, len(rows)), np.uint8))
        for name, other in (names | {"missed": "Miss"}).items():
            assert max(costs[name][0], 0.0) == pytest.approx(theirs["delta_ap"][other], abs=1e-9), (seed, name)


def _hotcoco(rows: Sequence[DetectionPrediction]) -> hotcoco.COCOeval:
    truths = [
        {"id": n, "image_id": one.image_id, "bbox": list(true.coco.bbox), "area": true.coco.area, "iscrowd": 0}
        | {"category_id": true.coco.category_id}
        for n, (one, true) in enumerate(((one, true) for one in rows for true in one.gt), start=1)
    ]
    results = [
        {"image_id": one.image_id, "bbox": list(p.coco.bbox), "category_id": p.coco.category_id, "score": p.score}
        for one in rows
        for p in one.preds
    ]
    images = [{"id": one.image_id, "width": one.width, "height": one.height} for one in rows]
    categories = [{"id": 10 + label, "name": str(label)} for label in range(5)]
    truth = hotcoco.COCO({"images": images, "annotations": truths, "categories": categories})
    evaluation = hotcoco.COCOeval(truth, truth.load_res(results), "bbox")
    evaluation.evaluate()
    return evaluation


def test_a_burst_of_predictions_is_seen_whole() -> None:
    """Average precision takes 100 of a class and image; precision takes all."""
    box = (100.0, 100.0, 200.0, 200.0)
    one = row("a", gt=[TrueObject(desc="cat", bbox_2d=box)], preds=[PredictedObject(desc="cat", bbox_2d=box)] * 300)
    looked = look(collect([one]))
    assert looked.by_class.states.sum(axis=1).tolist() == [1, 1]
    assert (looked.errors.kinds == KINDS.index("duplicate")).sum() == 299

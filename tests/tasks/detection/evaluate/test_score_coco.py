"""All twelve figures of COCO equal pycocotools', for boxes and masks."""

import json
from dataclasses import replace
from pathlib import Path

import msgspec
import numpy as np
import pytest

from pipeline.contract.jobs import ConvertJob
from pipeline.errors import UserError
from pipeline.files import read_all
from pipeline.recipe.load import default_recipe
from pipeline.tasks.detection.convert.convert import convert
from pipeline.tasks.detection.evaluate.score import evaluate
from pipeline.tasks.detection.recipe import Evaluate, SizeRanges
from pipeline.tasks.detection.rows import CocoFields, DetectionPrediction, PredictedObject, TrueObject
from tests.tasks.detection.evaluate.coco_oracle import Kind, coco_files, coco_stats, generate, our_stats, row

POINT = Evaluate(num_resamples=0)
KINDS = {
    "plain": Kind(seed=1),
    "ties": Kind(seed=2, ties=True),
    "all scores equal": Kind(seed=3, equal=True),
    "crowds": Kind(seed=4, crowds=True, ties=True),
    "more than 100 predictions of a class in an image": Kind(seed=5, num_images=6, num_classes=1, most_repeats=80),
    "more than 100, equal scores": Kind(seed=6, num_images=6, num_classes=1, most_repeats=80, equal=True),
    "one class": Kind(seed=7, num_classes=1),
    "rare classes": Kind(seed=8, num_images=8, num_classes=40),
}


@pytest.mark.parametrize("kind", KINDS.values(), ids=KINDS)
def test_boxes_and_masks_equal_pycocotools(kind: Kind) -> None:
    """Polygons in one part and in two, compressed and plain run lengths, and the boxes of the same objects."""
    rows = generate(replace(kind, masks=True))
    metrics = evaluate(rows, POINT).metrics
    assert our_stats(metrics, "mask_") == pytest.approx(coco_stats(rows, "segm"), abs=1e-9)
    assert our_stats(metrics) == pytest.approx(coco_stats(rows, "bbox"), abs=1e-9)


@pytest.mark.parametrize("name", ["ties", "crowds"])
def test_boxes_alone_equal_pycocotools(name: str) -> None:
    rows = generate(KINDS[name])
    assert any(not one.gt and one.preds for one in rows)
    assert our_stats(evaluate(rows, POINT).metrics) == pytest.approx(coco_stats(rows, "bbox"), abs=1e-9)


def test_results_that_are_masks_alone_equal_pycocotools() -> None:
    """Without a bbox, box and area are those of the mask, as `COCO.loadRes` has them."""
    rows = [_without_boxes(one) for one in generate(Kind(seed=9, masks=True))]
    metrics = evaluate(rows, POINT).metrics
    assert our_stats(metrics, "mask_") == pytest.approx(coco_stats(rows, "segm"), abs=1e-9)
    assert our_stats(metrics) == pytest.approx(coco_stats(rows, "bbox"), abs=1e-9)


def _without_boxes(one: DetectionPrediction) -> DetectionPrediction:
    preds = [msgspec.structs.replace(p, coco=msgspec.structs.replace(p.coco, bbox=None)) for p in one.preds]
    return msgspec.structs.replace(one, preds=preds)


def test_no_predictions_at_all_and_no_truth_at_all() -> None:
    rows = generate(Kind(seed=10))
    silent = [msgspec.structs.replace(one, preds=[]) for one in rows]
    assert our_stats(evaluate(silent, POINT).metrics) == pytest.approx(np.zeros(12))
    blank = [msgspec.structs.replace(one, gt=[]) for one in rows]
    assert (our_stats(evaluate(blank, POINT).metrics) == -1.0).all()  # undefined: no metric, as pycocotools' -1


OWN_SIZES = [
    {"small": (0.0, 500.0), "medium": (500.0, 4000.0), "large": (4000.0, 1e10)},
    {"small": (0.0, 256.0), "medium": (256.0, 1024.0), "large": (1024.0, 2000.0)},
    {"small": (100.0, 8000.0), "medium": (0.0, 1e10), "large": (8000.0, 9000.0)},
]


@pytest.mark.parametrize("sizes", OWN_SIZES)
def test_own_ranges_of_sizes_give_the_figures_of_pycocotools_with_them(sizes: dict[str, tuple[float, float]]) -> None:
    rows = generate(Kind(seed=12, crowds=True, masks=True))
    options = msgspec.structs.replace(POINT, size_ranges=SizeRanges(**sizes))
    metrics = evaluate(rows, options).metrics
    for prefix, kind in (("", "bbox"), ("mask_", "segm")):
        theirs = coco_stats(rows, kind, [list(area) for area in sizes.values()])
        assert our_stats(metrics, prefix) == pytest.approx(theirs, abs=1e-9)
    assert (our_stats(metrics) != our_stats(evaluate(rows, POINT).metrics)).any()


def test_a_range_of_sizes_that_is_none_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="is more than"):
        default_recipe("detection", ["evaluate.size_ranges.small=[9, 4]"])
    assert default_recipe("detection", ["evaluate.size_ranges.small=[0, 4]"]).evaluate.size_ranges.small == (0.0, 4.0)


def test_the_order_of_lines_is_of_no_consequence() -> None:
    """Between equal scores the lower image id comes first, in pycocotools and here."""
    rows = generate(Kind(seed=11, equal=True))
    shuffled = [rows[i] for i in np.random.default_rng(0).permutation(len(rows))]
    assert (our_stats(evaluate(shuffled, POINT).metrics) == our_stats(evaluate(rows, POINT).metrics)).all()


def test_an_annotation_with_id_0_is_matched_like_any_other() -> None:
    """pycocotools takes the id for "matched or not", so that an object with id 0 cannot be found there."""
    box = {"category_id": 1, "bbox": (10.0, 10.0, 50.0, 50.0)}
    true = TrueObject(desc="cat", bbox_2d=(10, 10, 60, 60), coco=CocoFields(**box, id=0, area=2500.0, iscrowd=0))
    found = PredictedObject(desc="cat", bbox_2d=(10, 10, 60, 60), coco=CocoFields(**box))
    metrics = evaluate([row("0", gt=[true], preds=[found], coord_mode="pixel")], POINT).metrics
    assert our_stats(metrics)[0] == pytest.approx(1.0)


def with_coco(one: DetectionPrediction) -> DetectionPrediction:
    """With the COCO fields that stand for the boxes and polygons of a row: x_px = k * width / 999."""
    gt = [
        msgspec.structs.replace(true, coco=CocoFields(**_fields(true, one.gt_coord_mode, one), iscrowd=0))
        for true in one.gt
    ]
    preds = [
        msgspec.structs.replace(
            p, coco=msgspec.structs.replace(CocoFields(**_fields(p, one.coord_mode, one)), area=None)
        )
        for p in one.preds
    ]
    return msgspec.structs.replace(one, gt=gt, preds=preds)


def _fields(thing: TrueObject | PredictedObject, mode: str, one: DetectionPrediction) -> dict[str, object]:
    numbers = np.array(thing.bbox_2d or thing.poly, dtype=np.float64).reshape(-1, 2)
    if mode == "norm1000":
        numbers = numbers * [one.width, one.height] / 999
    (left, top), (right, bottom) = numbers.min(axis=0), numbers.max(axis=0)
    area = (right - left) * (bottom - top)
    polygon = None
    if thing.poly is not None:
        x, y = numbers.T
        area = abs(float(np.dot(np.roll(x, 1), y) - np.dot(x, np.roll(y, 1)))) / 2
        polygon = [numbers.ravel().tolist()]
    box = (float(left), float(top), float(right - left), float(bottom - top))
    return {"category_id": 1 + int(thing.desc[-1]), "bbox": box, "area": float(area), "segmentation": polygon}


def test_rows_without_coco_fields_equal_pycocotools_on_their_pixels() -> None:
    """Boxes and polygons, pixels and 0 to 999, an image that is not square."""
    random = np.random.default_rng(12)
    rows = []
    for index in range(20):
        gt, preds = [], []
        for _ in range(random.integers(0, 6)):
            label, corner, size = int(random.integers(3)), random.integers(0, 700, 2), random.integers(20, 250, 2)
            gt.append(TrueObject(desc=f"class {label}", **_shape(corner, size, random)))
            moved = corner + random.integers(-9, 9, 2)
            preds.append(PredictedObject(desc=f"class {label}", **_shape(np.maximum(moved, 0), size, random)))
        mode = "pixel" if index % 2 else "norm1000"
        rows.append(row(str(index), width=1280, height=700, gt=gt, preds=preds, gt_coord_mode=mode))
    metrics = evaluate(rows, POINT).metrics
    expected = [with_coco(one) for one in rows]
    assert our_stats(metrics) == pytest.approx(coco_stats(expected, "bbox"), abs=1e-9)
    masks = [_rectangles(one) for one in expected]  # pycocotools wants a segmentation of every true object
    assert our_stats(metrics, "mask_") == pytest.approx(coco_stats(masks, "segm"), abs=1e-9)
    assert our_stats(metrics)[0] > 0.1


def _shape(corner: np.ndarray, size: np.ndarray, random: np.random.Generator) -> dict[str, object]:
    (x1, y1), (x2, y2) = corner.tolist(), (corner + size).tolist()
    if random.random() < 0.5:
        return {"bbox_2d": (x1, y1, x2, y2)}
    return {"poly": [x1, y1, x2, y1 + 5, x2 - 3, y2, x1 + 7, y2 - 4]}


def _rectangles(one: DetectionPrediction) -> DetectionPrediction:
    def masked(thing: TrueObject | PredictedObject) -> TrueObject | PredictedObject:
        x, y, width, height = thing.coco.bbox
        corners = [[x, y, x, y + height, x + width, y + height, x + width, y]]
        return msgspec.structs.replace(
            thing, coco=msgspec.structs.replace(thing.coco, segmentation=thing.coco.segmentation or corners)
        )

    return msgspec.structs.replace(one, gt=list(map(masked, one.gt)), preds=list(map(masked, one.preds)))


def test_coco_files_that_went_through_convert_equal_pycocotools(tmp_path: Path) -> None:
    rows = generate(Kind(seed=13, crowds=True, masks=True, ties=True))
    truth, results = coco_files(rows)
    (tmp_path / "truth.json").write_text(json.dumps(truth))
    (tmp_path / "results.json").write_text(json.dumps(results))
    files = {"annotations": tmp_path / "truth.json", "results": tmp_path / "results.json"}
    convert(ConvertJob(direction="from", format="coco", files=files, folder=tmp_path / "out"))
    metrics = evaluate(read_all(tmp_path / "out/predictions.jsonl", DetectionPrediction), POINT).metrics
    assert our_stats(metrics) == pytest.approx(coco_stats(rows, "bbox"), abs=1e-9)
    assert our_stats(metrics, "mask_") == pytest.approx(coco_stats(rows, "segm"), abs=1e-9)

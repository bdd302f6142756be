"""COCO's figures from files, against faster-coco-eval, and their bootstrap intervals, against hotcoco's compare."""

import contextlib
import gc
import io
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import hotcoco
import numpy as np

from benchmarks.detection_scenes import Files, make_predictions, write_files
from benchmarks.harness import Measure, Report, Samples, at_least, at_most, quotients, take_turns, timed
from pipeline.files import read_all
from pipeline.tasks.detection.evaluate.average_precision import AveragePrecision
from pipeline.tasks.detection.evaluate.dataset import collect
from pipeline.tasks.detection.evaluate.kernels import Weights
from pipeline.tasks.detection.evaluate.matching import box_ious, make_cells
from pipeline.tasks.detection.rows import DetectionPrediction

_NUM_IMAGES = 5000
_NUM_RESAMPLES = 1000
_CHUNK = 250  # resamples drawn at a time


def run(quick: bool) -> Report:
    """Files to figures, and figures to intervals, of two sets of predictions about the same scenes."""
    num_images, num_resamples, rounds = (200, 50, 2) if quick else (_NUM_IMAGES, _NUM_RESAMPLES, 5)
    with tempfile.TemporaryDirectory() as folder:
        files = []
        for seed in (0, 1):
            (Path(folder) / str(seed)).mkdir()
            files.append(write_files(make_predictions(num_images, seed), Path(folder) / str(seed)))
        figures = take_turns(
            {
                "Baton": _clean(lambda: _figures(files[0])),
                "hotcoco": _clean(lambda: _hotcoco_figures(files[0])),
                "faster-coco-eval": _clean(lambda: _faster_coco_eval_figures(files[0])),
            },
            rounds,
        )
        difference = float(np.abs(_figures(files[0])[0] - _faster_coco_eval_figures(files[0])[0]).max())
        intervals = _intervals(files, num_images, num_resamples, min(rounds, 3))
    against = quotients(figures["faster-coco-eval"], figures["Baton"])
    return Report(
        title="average precision and its intervals",
        method=(
            f"{num_images:,} images of 640 x 480 with about 7 true objects and 8 predictions each, 80 classes, boxes. "
            "Figures: from files to all twelve; ours reads JSONL rows (typed and validated, with both sides and the "
            "texts in them), the others COCO annotations and results. Intervals: "
            f"{num_resamples:,} resamples of the images, AP, AP50 and AP75 of two sets of predictions in each, as "
            "`hotcoco.compare` does (it also makes the differences by class); matching is done before. "
            "Baton spreads resamples over the processors of the machine, hotcoco runs as it does by itself."
        ),
        samples=[
            *(Samples(f"figures, {name}", "s", tuple(seconds)) for name, seconds in figures.items()),
            *(Samples(f"intervals, {name}", "s", tuple(seconds)) for name, seconds in intervals.items()),
        ],
        claims=(
            at_least("files to figures, against faster-coco-eval", against, 20.0),
            at_most("largest difference to faster-coco-eval's figures", [difference], 1e-9, ""),
            at_least("intervals, against hotcoco's compare", quotients(intervals["hotcoco"], intervals["Baton"]), 8.0),
        ),
    )


def _figures(files: Files) -> tuple[np.ndarray, object]:
    """The figures, and what they were made from, so that it is freed after the clock has stopped."""
    dataset = collect(read_all(files.rows, DetectionPrediction))
    cells = make_cells(dataset)
    found = AveragePrecision(dataset, cells, box_ious(dataset, cells)).figures(
        np.ones((1, len(dataset.rows)), np.int32)
    )
    return np.array([values[0] for values in found.values()]), dataset


def _faster_coco_eval_figures(files: Files) -> tuple[np.ndarray, object]:
    from faster_coco_eval import COCO, COCOeval_faster

    with contextlib.redirect_stdout(io.StringIO()):
        truth = COCO(str(files.annotations))
        evaluation = COCOeval_faster(truth, truth.loadRes(str(files.results)), "bbox")
        evaluation.evaluate()
        evaluation.accumulate()
        evaluation.summarize()
    return np.asarray(evaluation.stats[:12], dtype=np.float64), evaluation


def _hotcoco_evaluation(files: Files) -> hotcoco.COCOeval:
    truth = hotcoco.COCO(str(files.annotations))
    evaluation = hotcoco.COCOeval(truth, truth.load_res(str(files.results)), "bbox")
    evaluation.evaluate()
    return evaluation


def _hotcoco_figures(files: Files) -> hotcoco.COCOeval:
    evaluation = _hotcoco_evaluation(files)
    evaluation.accumulate()
    evaluation.get_results()
    return evaluation


def _intervals(files: list[Files], num_images: int, num_resamples: int, rounds: int) -> dict[str, list[float]]:
    ours = []
    for one in files:
        dataset = collect(read_all(one.rows, DetectionPrediction))
        cells = make_cells(dataset)
        ours.append(AveragePrecision(dataset, cells, box_ious(dataset, cells)))
    first, second = (_hotcoco_evaluation(one) for one in files)

    def resample() -> list[np.ndarray]:
        drawn = []
        for weights in _draws(num_images, num_resamples):
            values = [np.stack(list(one.main(weights).values())) for one in ours]
            drawn.append(np.stack([*values, values[1] - values[0]]))
        return list(np.quantile(np.concatenate(drawn, axis=2), (0.025, 0.975), axis=2))

    return take_turns(
        {
            "Baton": _clean(resample),
            "hotcoco": _clean(lambda: hotcoco.compare(first, second, n_bootstrap=num_resamples)),
        },
        rounds,
    )


def _draws(num_images: int, num_resamples: int) -> Iterator[Weights]:
    generator = np.random.default_rng(0)
    for start in range(0, num_resamples, _CHUNK):
        rows = min(_CHUNK, num_resamples - start)
        drawn = generator.integers(num_images, size=(rows, num_images)) + np.arange(rows)[:, None] * num_images
        yield np.bincount(drawn.ravel(), minlength=rows * num_images).reshape(rows, num_images).astype(np.int32)


def _clean(work: Callable[[], object]) -> Measure:
    """The time of ``work``, after collecting what the candidate before left behind."""
    measure = timed(work)

    def collected() -> float:
        gc.collect()
        return measure()

    return collected

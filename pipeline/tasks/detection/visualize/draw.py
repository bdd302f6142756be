"""Predictions to figures: what there is to draw, in the order in which a reader wants to see it. No torch.

The last of several predictions files is the one looked at closely; the others stand beside it in one learning curve.
Objects are matched as evaluate matches them, by the same code and the same section of the recipe.
"""

from collections.abc import Iterator, Sequence
from pathlib import Path

from pipeline.contract.jobs import DrawJob, PairDrawJob
from pipeline.contract.parts import VisualizePart
from pipeline.errors import UserError
from pipeline.look.picture import MOVED, Picture, Section, save_sections
from pipeline.look.training import SECTION as LEARNING
from pipeline.tasks.detection.evaluate.dataset import collect
from pipeline.tasks.detection.evaluate.figures import Figures
from pipeline.tasks.detection.evaluate.reading import reading_of
from pipeline.tasks.detection.images import ImageFolder
from pipeline.tasks.detection.recipe import Evaluate, Visualize
from pipeline.tasks.detection.rows import DetectionPrediction
from pipeline.tasks.detection.visualize import curves, errors, images, training
from pipeline.tasks.detection.visualize.worst import ORDER, judge
from schemas.rows import Figure

SHEETS, IMAGES = "Images at a glance", "Image by image"


def draw(job: DrawJob) -> Iterator[Figure]:
    """Write ``figures/*`` into ``job.folder`` and yield a row for each, as they are made.

    Raises UserError where there is no prediction to draw.
    """
    return save_sections("detection", job.folder, sections(job))


def draw_pair(job: PairDrawJob) -> Iterator[Figure]:
    """Write a picture for each record, with what every model made of it, and yield its row."""
    return save_sections("detection", job.folder, [(MOVED, images.pair_pictures(job))])


def hash_images(predictions: Sequence[DetectionPrediction], image_root: Path) -> str:
    """One hash over the images that the predictions name; the code of the error for each that cannot be read."""
    return ImageFolder(image_root).sha256_of(name for row in predictions for name in row.images[:1])


def sections(job: DrawJob) -> Iterator[Section]:
    """Everything there is to draw, one at a time."""
    rows: Sequence[DetectionPrediction] = list(job.predictions.values())[-1] if job.predictions else []
    if not rows:
        raise UserError("there are no predictions to draw", remedy="run `baton infer` first")
    evaluate, visualize = job.score_options or Evaluate(), job.options or Visualize()
    figures = Figures(collect(rows, reading_of(evaluate)), evaluate)
    judged = judge(figures)
    yield "How good it is", _quality(figures)
    yield "What goes wrong", _errors(figures)
    yield "How the texts were read", [errors.reading(rows)]
    album = images.Album(job.image_root)
    yield SHEETS, images.draw_sheets(judged, album)
    shown = judged[: visualize.num_images]
    with_scores = len({one.score for image in judged for one in image.objects}) > 1
    yield IMAGES, (images.side_by_side(image, album, with_scores=with_scores) for image in shown)
    if len(shown) < len(judged):
        job.note(
            f"{len(shown):,} of {len(judged):,} images are shown one by one, the worst first: "
            "visualize.num_images sets how many."
        )
    album.tell(job.note)
    yield LEARNING, _learning(job, evaluate)


def _quality(figures: Figures) -> Iterator[Picture]:
    if curves.has_truth(figures.dataset):
        yield curves.precision_recall(figures.dataset, curves.precision_curves(figures))
    if curves.scores_differ(figures.dataset):
        yield curves.calibration(figures.looked)


def _errors(figures: Figures) -> Iterator[Picture]:
    if len(figures.dataset.truths) or len(figures.dataset.predictions):
        yield errors.error_types(figures)
        yield errors.confusion(figures.looked)
    if curves.has_truth(figures.dataset):
        yield errors.found_by_size(figures.looked)


def _learning(job: DrawJob, evaluate: Evaluate) -> Iterator[Picture]:
    if job.train_folder is not None:
        yield from training.training_pictures(job.train_folder, job.note)
    if len(job.predictions) > 1:
        yield training.checkpoint_curve(job.predictions, evaluate)


PART = VisualizePart(draw=draw, orders={IMAGES: ORDER}, hash_images=hash_images, draw_pair=draw_pair)

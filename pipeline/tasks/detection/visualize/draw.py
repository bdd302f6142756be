"""Predictions to figures: what there is to draw, in the order in which a reader wants to see it. No torch.

The last of several predictions files is the one looked at closely; the others stand beside it in one learning curve.
Objects are matched as evaluate matches them, by the same code and the same section of the recipe.
"""

import hashlib
from collections.abc import Iterator, Sequence
from pathlib import Path

from pipeline.contract.jobs import DrawJob, PairDrawJob
from pipeline.contract.parts import VisualizePart
from pipeline.errors import UserError
from pipeline.look import plotting
from pipeline.tasks.detection.evaluate.counts import Looked, look
from pipeline.tasks.detection.evaluate.dataset import collect
from pipeline.tasks.detection.evaluate.explain import explain_looked, reading_of
from pipeline.tasks.detection.images import ImageFolder
from pipeline.tasks.detection.infer.sources import image_limits
from pipeline.tasks.detection.recipe import Evaluate, Infer, Visualize
from pipeline.tasks.detection.rows import DetectionPrediction
from pipeline.tasks.detection.visualize import (
    curves as draw_curves,
)
from pipeline.tasks.detection.visualize import (
    errors as draw_errors,
)
from pipeline.tasks.detection.visualize import (
    images as draw_images,
)
from pipeline.tasks.detection.visualize import (
    texts as draw_texts,
)
from pipeline.tasks.detection.visualize import (
    training as draw_training,
)
from pipeline.tasks.detection.visualize.looks import Picture
from pipeline.tasks.detection.visualize.pair import pair_pictures
from pipeline.tasks.detection.visualize.worst import ORDER, JudgedImage, judge
from schemas.rows import Figure


def draw(job: DrawJob) -> Iterator[Figure]:
    """Write ``figures/*`` into ``job.folder`` and yield a row for each, as they are made.

    Raises UserError where there is no prediction to draw.
    """
    with plotting.style():
        for picture in pictures(job):
            yield _save(picture, job.folder)


def draw_pair(job: PairDrawJob) -> Iterator[Figure]:
    """Write a picture for each record, with what every model made of it, and yield its row."""
    with plotting.style():
        for picture in pair_pictures(job):
            yield _save(picture, job.folder)


def _save(picture: Picture, folder: Path) -> Figure:
    suffix, save = (".webp", plotting.save_photograph) if picture.shows_photograph else (".png", plotting.save_png)
    path = folder / "figures" / f"{picture.slug}{suffix}"
    save(picture.canvas, path)
    return Figure(
        task="detection",
        id=picture.slug,
        path=path.relative_to(folder).as_posix(),
        title=picture.title,
        caption=picture.caption,
        section=picture.section,
        record_ids=picture.record_ids,
        facts=picture.facts,
        text=picture.text,
    )


def hash_images(predictions: Sequence[DetectionPrediction], image_root: Path) -> str:
    """One hash over the images that the predictions name; the code of the error for each that cannot be read."""
    digest = hashlib.sha256()
    folder = ImageFolder(image_root, image_limits(Infer()))
    for row in predictions:
        for name in row.images[:1]:
            digest.update(f"{name}\0{folder.sha256(name)}\n".encode())
    return digest.hexdigest()


def pictures(job: DrawJob) -> Iterator[Picture]:
    """Everything there is to draw, one at a time."""
    rows = _drawable(job)
    evaluate, visualize = job.score_options or Evaluate(), job.options or Visualize()
    looked = look(collect(rows, reading_of(evaluate)), evaluate.min_score)
    judged = judge(list(explain_looked(looked, rows).values()))
    yield from _draw_records(looked, rows)
    yield from _draw_images(job, judged, visualize.num_images)
    if job.train_folder is not None:
        yield from draw_training.training_pictures(job.train_folder, job.note)
    if len(job.predictions) > 1:
        yield draw_training.checkpoint_curve(job.predictions, evaluate)


def _drawable(job: DrawJob) -> Sequence[DetectionPrediction]:
    """The rows of the last file."""
    rows = list(job.predictions.values())[-1] if job.predictions else []
    if not rows:
        raise UserError("there are no predictions to draw", remedy="run `baton infer` first")
    return rows


def _draw_records(looked: Looked, rows: Sequence[DetectionPrediction]) -> Iterator[Picture]:
    dataset = looked.dataset
    if draw_curves.has_truth(dataset):
        yield draw_curves.precision_recall(dataset)
        yield draw_curves.by_class(looked)
    if draw_curves.scores_differ(dataset):
        yield draw_curves.calibration(looked)
    if len(dataset.truths) or len(dataset.predictions):
        yield draw_errors.error_types(looked)
        yield draw_errors.confusion(looked)
        yield draw_errors.repeats(looked)
    if draw_curves.has_truth(dataset):
        yield draw_errors.found_by_size(looked)
    yield draw_texts.reading(rows)


def _draw_images(job: DrawJob, judged: Sequence[JudgedImage], num_images: int) -> Iterator[Picture]:
    """Sheets of the worst images and of all kinds, then the worst one by one."""
    album = draw_images.Album(job.image_root)
    shown = judged[:num_images]
    size = draw_images.SHEET_SIZE
    how = "The images on which the model does worst."
    yield draw_images.sheet("The worst images", "worst", how, judged[:size], album)
    if len(judged) > size:
        step = (len(judged) - 1) / (size - 1)
        spread = [judged[round(k * step)] for k in range(size)]
        how = f"{size} images at equal steps through all {len(judged):,}, from the worst to the best."
        yield draw_images.sheet("From the worst to the best", "spread", how, spread, album)
        shown_ids = {image.row.id for image in (*shown, *judged[:size], *spread)}
    else:
        shown_ids = {image.row.id for image in judged}
    with_scores = len({one.score for image in judged for one in image.explained.objects}) > 1
    for image in shown:
        yield draw_images.side_by_side(image, album, with_scores=with_scores)
    if len(shown) < len(judged):
        job.note(
            f"{len(shown):,} of {len(judged):,} images are shown one by one, the worst first: "
            "visualize.num_images sets how many."
        )
    album.tell(job.note, len(shown_ids))


PART = VisualizePart(draw=draw, orders={draw_images.IMAGES: ORDER}, hash_images=hash_images, draw_pair=draw_pair)

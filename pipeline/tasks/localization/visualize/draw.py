"""Predictions to figures: what there is to draw, in the order in which a reader wants to see it. No torch.

The last of several predictions files is the one looked at closely; the errors of the others are beside it.
"""

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from pipeline.contract.jobs import DrawJob
from pipeline.contract.parts import VisualizePart
from pipeline.errors import UserError
from pipeline.files.atomic import write_atomically
from pipeline.files.encode import encode
from pipeline.look import plotting
from pipeline.look.picture import Picture, Section, save_sections
from pipeline.look.training import SECTION as LEARNING
from pipeline.look.training import Training, draw_monitored, name_steps, read_training
from pipeline.stats import Floats
from pipeline.tasks.localization.convert.to_geojson import document
from pipeline.tasks.localization.recipe import Evaluate, Visualize
from pipeline.tasks.localization.rows import Monitor, Prediction, Progress
from pipeline.tasks.localization.signal.recording import Recording, hash_recordings
from pipeline.tasks.localization.visualize import curves, maps
from pipeline.tasks.localization.visualize.judged import Judged, judge
from pipeline.tasks.localization.visualize.waterfall import recording_of
from schemas.rows import Figure

MAP = "map.geojson"
RECORDS = "Map by map"


def draw(job: DrawJob) -> Iterator[Figure]:
    """Write ``figures/*`` and ``map.geojson`` into ``job.folder``, and yield a row for each figure, as they are made.

    Raises UserError where there is no prediction to draw.
    """
    return save_sections("localization", job.folder, sections(job))


def sections(job: DrawJob) -> Iterator[Section]:
    """Everything there is to draw, one at a time."""
    evaluate, visualize = job.score_options or Evaluate(), job.options or Visualize()
    files = list(job.predictions.items())
    judged = judge(files[-1][1] if files else [], evaluate)
    write_atomically(job.folder / MAP, [encode(document(judged.rows))])
    job.keep("map", job.folder / MAP)
    if judged.scored:
        others = {label: judge(rows, evaluate, with_solvers=False).model.error_m for label, rows in files[:-1]}
        yield "How good it is", _quality(judged, others)
    else:
        job.note("No record says where its transmitter was: errors and calibration are left out.")
    yield "Where", [maps.overview(judged)]
    yield RECORDS, _records(judged, visualize.num_records, job)
    if job.train_folder is not None:
        yield LEARNING, _learning(read_training(job.train_folder, Progress, Monitor, job.note))


def hash_shown(predictions: Sequence[Prediction], root: Path) -> str:
    """One hash over the recordings that predictions name."""
    return hash_recordings([row.recording for row in predictions if row.recording is not None], root)


def _quality(judged: Judged, others: Mapping[str, Floats]) -> Iterator[Picture]:
    yield curves.errors(judged, others)
    yield curves.calibration(judged)
    groups = curves.by_group(judged)
    if groups is not None:
        yield groups


def _records(judged: Judged, num: int, job: DrawJob) -> Iterator[Picture]:
    worst = judged.worst()
    if len(worst) > num:
        job.note(
            f"{num:,} of {len(worst):,} records have a map, the farthest off: visualize.num_records sets how many."
        )
    for place, record in enumerate(worst[:num], start=1):
        yield maps.record_map(record, f"record_{place:03d}", _recording(record.row, job))


def _recording(row: Prediction, job: DrawJob) -> Recording | None:
    try:
        return recording_of(row, job.image_root or Path()) if row.recording is not None else None
    except UserError as error:
        job.note(f"The recording of {row.id} is not shown: {error.what}.")
        return None


def _learning(training: Training) -> Iterator[Picture]:
    if not training.progress and not training.monitor:
        return
    canvas, (left, right) = plotting.new_panels(3.6, 2)
    binned = training.smoothed("loss", 200)
    left.plot(binned.step, binned.mean, label="in training", **plotting.look(0).stroke)
    if training.monitor:
        steps, values = training.monitored("negative_log_likelihood")
        left.plot(steps, values, "D", color=plotting.INK, markersize=4, label="monitoring")
        draw_monitored(right, training, "median_error_m")
        right.set_yscale("log")
        right.axvline(
            training.selected.step, label="selected checkpoint", color=plotting.FAINT, linewidth=1, linestyle="--"
        )
    left.set_title("negative log-likelihood, nats")
    right.set_title("median error while monitored, m")
    for ax in (left, right):
        name_steps(ax)
    plotting.legend_below(canvas, [left, right])
    yield Picture(
        slug="training",
        title="The course of the training",
        caption="Left: the loss, smoothed, and that of the averaged weights on records that are not learned "
        "from. Right: their median error there.",
        canvas=canvas,
    )


PART = VisualizePart(draw=draw, orders={RECORDS: "farthest off first"}, hash_images=hash_shown, files=(MAP,))

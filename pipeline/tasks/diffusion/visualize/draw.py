"""Predictions to figures, from the rows alone: they hold the images. The last of several files is looked at closely."""

from collections.abc import Iterator, Mapping

from pipeline.contract.jobs import DrawJob, PairDrawJob
from pipeline.contract.parts import VisualizePart
from pipeline.errors import UserError
from pipeline.look import plotting
from pipeline.look.picture import MOVED, Picture, Section, save_sections
from pipeline.look.training import SECTION as LEARNING
from pipeline.tasks.diffusion.evaluate.score import main_rows
from pipeline.tasks.diffusion.pixels import decode_png
from pipeline.tasks.diffusion.recipe import Visualize
from pipeline.tasks.diffusion.rows import DiffusionPrediction
from pipeline.tasks.diffusion.visualize import curves, maps, sheets
from schemas.rows import Figure

WAYS_ON_MAP = 5  # more hide each other


def draw(job: DrawJob) -> Iterator[Figure]:
    """Write ``figures/*`` into ``job.folder`` and yield a row for each. Raises UserError where there is no image."""
    return save_sections("diffusion", job.folder, sections(job))


def sections(job: DrawJob) -> Iterator[Section]:
    """Everything there is to draw, one at a time."""
    rows = [row for row in list(job.predictions.values())[-1] if row.error is None] if job.predictions else []
    if not rows:
        raise UserError("there are no images to draw", remedy="run `baton infer` first")
    main, options = main_rows(rows), job.options or Visualize()
    yield "What it makes", [sheets.by_class(main, options.images_per_class)]
    told = [row for row in main if row.frames_png and row.sigmas]
    if told:
        yield "How it gets there", [sheets.ways(told[: options.num_trajectories])]
    else:
        job.note("The ways from noise are not kept in these rows: infer.num_frames says how many images of each.")
    yield "How good it is", [*sheets.worst(main, options.images_per_class), sheets.nearest(main)]
    yield "How it is asked", [*curves.by_steps(rows), *curves.by_masked_steps(rows)]
    yield "What it thinks", [*maps.on_map(main, WAYS_ON_MAP), *maps.side_by_side(job.predictions)]
    yield LEARNING, _learning(job)


def _learning(job: DrawJob) -> Iterator[Picture]:
    if job.train_folder is not None:
        yield from curves.training_pictures(job.train_folder, job.note)
    if len(job.predictions) > 1:
        yield curves.files(job.predictions)


def draw_pair(job: PairDrawJob) -> Iterator[Figure]:
    """Write a picture for each record, with what every model made of it, and yield its row."""
    return save_sections("diffusion", job.folder, [(MOVED, (_pair(n, one) for n, one in enumerate(job.records)))])


def _pair(number: int, record: Mapping[str, DiffusionPrediction]) -> Picture:
    """The images of one request side by side, and the real one."""
    first = next(iter(record.values()))
    canvas, axes = plotting.new_panels(2.2, len(record) + 1)
    for ax, (label, row) in zip(axes, record.items(), strict=False):
        sheets.show(ax, decode_png(row.image_png)) if row.image_png else ax.set_axis_off()
        ax.set_title(f"{label}: {row.judged_label or row.error}")
    sheets.show(axes[-1], decode_png(first.real_png)) if first.real_png else axes[-1].set_axis_off()
    axes[-1].set_title("real, held out")
    return Picture(
        slug=f"pair_{number:03d}",
        title=f"{first.id}: asked for {first.label or 'no class'}",
        caption="The same request, and what the judge takes each image for.",
        canvas=canvas,
        record_ids=(first.id,),
    )


PART = VisualizePart(draw=draw, draw_pair=draw_pair)

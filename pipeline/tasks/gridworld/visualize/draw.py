"""Predictions to figures: what there is to draw, in the order in which a reader wants to see it. No torch.

A part whose data is missing is left out and noted; the others are drawn. The last of several predictions files is the
one looked at closely; the others stand beside it in one learning curve.
"""

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

from pipeline.contract.jobs import DrawJob, PairDrawJob
from pipeline.contract.parts import VisualizePart
from pipeline.errors import UserError
from pipeline.look import plotting
from pipeline.tasks.gridworld.rows import GridworldPrediction
from pipeline.tasks.gridworld.visualize import (
    episodes as draw_episodes,
)
from pipeline.tasks.gridworld.visualize import (
    habits as draw_habits,
)
from pipeline.tasks.gridworld.visualize import (
    hidden as draw_hidden,
)
from pipeline.tasks.gridworld.visualize import (
    records as draw_records,
)
from pipeline.tasks.gridworld.visualize import (
    timelines as draw_timelines,
)
from pipeline.tasks.gridworld.visualize import (
    training as draw_training,
)
from pipeline.tasks.gridworld.visualize import (
    values as draw_values,
)
from pipeline.tasks.gridworld.visualize.looks import Picture
from pipeline.tasks.gridworld.visualize.pair import pair_pictures
from schemas.rows import Figure

MAX_PAIRED = 4  # comparisons with the tuned script, one for each level and multiplier

Note = Callable[[str], None]


def draw(job: DrawJob) -> Iterator[Figure]:
    """Write ``figures/*.png`` into ``job.folder`` and yield a row for each, as they are made.

    Raises UserError where there is no prediction to draw, or one names a level that does not exist.
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
    path = folder / "figures" / f"{picture.slug}.png"
    plotting.save_png(picture.canvas, path)
    return Figure(
        task="gridworld",
        id=picture.slug,
        path=path.relative_to(folder).as_posix(),
        title=picture.title,
        caption=picture.caption,
        section=picture.section,
        record_ids=picture.record_ids,
    )


def pictures(job: DrawJob) -> Iterator[Picture]:
    """Everything there is to draw, one at a time."""
    rows = _drawable(job)
    yield from _draw_records(rows)
    traced = [row for row in rows if draw_episodes.has_trace(row)]
    broken = sum(1 for row in rows if row.trace and not draw_episodes.is_whole(row))
    if broken:
        job.note(f"{broken} traces hold steps that do not fit the town (meters, actions or cells) and are left out.")
    if traced:
        yield from _draw_traces(traced)
        yield from _draw_hidden(traced, job.note)
    else:
        job.note(
            "No prediction has a trace: no single episodes, habits, Q-values or hidden states. "
            "Run infer with infer.num_traces above 0 to see them."
        )
    yield from _draw_training(job)


def _drawable(job: DrawJob) -> Sequence[GridworldPrediction]:
    """The rows of the last file without those that failed."""
    if not job.predictions:
        raise UserError("there are no predictions to draw", remedy="run `baton infer` first")
    label, rows = list(job.predictions.items())[-1]
    good = [row for row in rows if row.error is None]
    if not good:
        what = f"all {len(rows)} predictions are errors" if rows else "there are no predictions to draw"
        raise UserError(what, where=label, remedy="run `baton infer` again")
    if len(good) < len(rows):
        job.note(f"{len(rows) - len(good)} of {len(rows)} records failed and are in no picture.")
    return good


def _draw_records(rows: Sequence[GridworldPrediction]) -> Iterator[Picture]:
    slices = draw_records.slice_records(rows)
    yield draw_records.survival(slices)
    yield draw_records.wellbeing(slices)
    for part in slices[:MAX_PAIRED]:
        yield draw_records.paired(part)
    if any(len({s.multiplier for s in slices if s.level == part.level}) > 1 for part in slices):
        yield draw_records.difficulty(slices)
    yield draw_records.causes(slices)
    yield draw_records.place_uses(slices)


def _draw_traces(traced: Sequence[GridworldPrediction]) -> Iterator[Picture]:
    tracks = [draw_episodes.read_track(row) for row in traced]
    yield draw_habits.activity_by_hour(tracks)
    if any((track.completed >= 0).any() for track in tracks):
        yield draw_habits.activity_by_need(tracks)
    chosen = draw_episodes.choose_tracks(traced)
    yield draw_episodes.trajectories(chosen)
    yield draw_episodes.visits(chosen)
    for name, track in chosen.items():
        yield draw_timelines.timeline(name, track)
    for name, track in chosen.items():
        if draw_values.has_values(track):
            yield draw_values.q_maps(name, track)


def _draw_hidden(traced: Sequence[GridworldPrediction], note: Note) -> Iterator[Picture]:
    """The hidden states of those episodes that have them, all of one size."""
    with_hidden = [row for row in traced if draw_hidden.has_hidden(row)]
    if not with_hidden:
        note("The predictions hold no hidden states: the network has no memory, so there is nothing to see of it.")
        return
    size = len((with_hidden[0].hidden or [[]])[0])
    with_hidden = [row for row in with_hidden if len((row.hidden or [[]])[0]) == size]
    yield draw_hidden.hidden_map(with_hidden)
    yield draw_hidden.activations(draw_episodes.choose_tracks(with_hidden)["best"])


def _draw_training(job: DrawJob) -> Iterator[Picture]:
    if job.train_folder is not None:
        training = draw_training.read_training(job.train_folder, job.note)
        if training.progress or training.monitor:
            yield draw_training.training_curves(training)
        if training.monitor:
            yield draw_training.loss_curve(training)
    if len(job.predictions) > 1:
        yield draw_training.checkpoint_curve(job.predictions)


PART = VisualizePart(draw=draw, draw_pair=draw_pair)

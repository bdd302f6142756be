"""Predictions to figures: what there is to draw, in the order in which a reader wants to see it. No torch.

A part whose data is missing is left out and noted; the others are drawn. The last of several predictions files is the
one looked at closely; the others stand beside it in one learning curve.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence

from pipeline.contract.jobs import DrawJob, PairDrawJob
from pipeline.contract.parts import VisualizePart
from pipeline.errors import UserError
from pipeline.look.picture import MOVED, Picture, Section, save_sections
from pipeline.look.training import SECTION as LEARNING
from pipeline.tasks.gridworld.rows import GridworldPrediction
from pipeline.tasks.gridworld.visualize import episodes, habits, hidden, records, timelines, training, values
from pipeline.tasks.gridworld.visualize.episodes import Track
from pipeline.tasks.gridworld.visualize.pair import pair_pictures
from schemas.rows import Figure

MAX_PAIRED = 4  # comparisons with the tuned script, one for each level and multiplier


def draw(job: DrawJob) -> Iterator[Figure]:
    """Write ``figures/*.png`` into ``job.folder`` and yield a row for each, as they are made.

    Raises UserError where there is no prediction to draw, or one names a level that does not exist.
    """
    return save_sections("gridworld", job.folder, sections(job))


def draw_pair(job: PairDrawJob) -> Iterator[Figure]:
    """Write a picture for each record, with what every model made of it, and yield its row."""
    return save_sections("gridworld", job.folder, [(MOVED, pair_pictures(job))])


def sections(job: DrawJob) -> Iterator[Section]:
    """Everything there is to draw, one at a time."""
    rows = _drawable(job)
    slices = records.slice_records(rows)
    yield "How long and how well", _outcome(slices)
    traced = _traced(rows, job.note)
    yield "What it does all day", _behaviour(slices, [episodes.read_track(row) for row in traced])
    chosen = episodes.choose_tracks(traced)
    yield "Single episodes", _episodes(chosen)
    expecting = {name: track for name, track in chosen.items() if values.has_values(track)}
    yield "What the network expects", (values.q_maps(name, track) for name, track in expecting.items())
    yield "What it keeps in mind", _memory(traced, job.note)
    yield LEARNING, _learning(job)


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


def _traced(rows: Sequence[GridworldPrediction], note: Callable[[str], None]) -> list[GridworldPrediction]:
    """The rows with steps that can be drawn."""
    broken = sum(1 for row in rows if row.trace and not episodes.is_whole(row))
    if broken:
        note(f"{broken} traces hold steps that do not fit the town (meters, actions or cells) and are left out.")
    traced = [row for row in rows if episodes.has_trace(row)]
    if not traced:
        note(
            "No prediction has a trace: no single episodes, habits, Q-values or hidden states. "
            "Run infer with infer.num_traces above 0 to see them."
        )
        return []
    kept = {row.id for row in traced}
    for name, choose in (("worst", min), ("best", max)):
        row = choose(rows, key=lambda row: (row.wellbeing, row.id))
        if row.id not in kept:
            note(
                f"The {name} of all episodes, {row.id} (wellbeing {row.wellbeing:,.1f}), has no trace: what is called "
                f"the {name} below is that of {len(traced):,} traced ones. A larger infer.num_traces keeps it."
            )
    return traced


def _outcome(slices: Sequence[records.Slice]) -> Iterator[Picture]:
    yield records.survival(slices)
    yield records.wellbeing(slices)
    for part in slices[:MAX_PAIRED]:
        yield records.paired(part)
    yield records.causes(slices)


def _behaviour(slices: Sequence[records.Slice], tracks: Sequence[Track]) -> Iterator[Picture]:
    yield records.place_uses(slices)
    if tracks:
        yield habits.activity_by_hour(tracks)


def _episodes(chosen: Mapping[str, Track]) -> Iterator[Picture]:
    if chosen:
        yield episodes.trajectories(chosen)
        yield episodes.visits(chosen)
    for name, track in chosen.items():
        yield timelines.timeline(name, track)


def _memory(traced: Sequence[GridworldPrediction], note: Callable[[str], None]) -> Iterator[Picture]:
    """The hidden states of those episodes that have them, all of one size."""
    remembering = [row for row in traced if hidden.hidden_size(row)]
    if remembering:
        remembering = [row for row in remembering if hidden.hidden_size(row) == hidden.hidden_size(remembering[0])]
        yield hidden.hidden_map(remembering)
        yield hidden.activations(episodes.choose_tracks(remembering)["best"])
    elif traced:
        note("The predictions hold no hidden states: the network has no memory, so there is nothing to see of it.")


def _learning(job: DrawJob) -> Iterator[Picture]:
    if job.train_folder is not None:
        yield from training.training_pictures(job.train_folder, job.note)
    if len(job.predictions) > 1:
        yield training.checkpoint_curve(job.predictions)


PART = VisualizePart(draw=draw, draw_pair=draw_pair)

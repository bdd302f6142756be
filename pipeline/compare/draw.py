"""The figures of a comparison, in the order in which a reader wants them; what cannot be drawn is noted."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
import numpy as np

from pipeline.compare import figures
from pipeline.compare.judge import Found
from pipeline.compare.movers import NUM_PICTURES
from pipeline.compare.trainings import GroupJudge
from pipeline.contract.jobs import PairDrawJob
from pipeline.contract.load import load_part
from pipeline.contract.parts import VisualizePart
from pipeline.look.picture import Section, save_sections
from schemas.comparison import Mover
from schemas.rows import Figure

MAX_SIDE_BY_SIDE = 4  # files in one picture of a record; of more, only the two that are compared are shown


def draw_all(found: Found, folder: Path, image_root: Path | None) -> tuple[list[Figure], list[Mover]]:
    """Write ``figures/*``. Returns a row for each, and the movers with the ids of their pictures."""
    drawn = list(save_sections(found.judge.task.name, folder, _sections(found)))
    pairs = list(_draw_records(found, folder, image_root))
    by_record = {figure.record_ids[0]: figure.id for figure in pairs if len(figure.record_ids) == 1}
    moved = [msgspec.structs.replace(m, figure=by_record.get(m.record_id)) for m in found.movers]
    return drawn + pairs, moved


def _sections(found: Found) -> Iterator[Section]:
    """Over all records first, then by slice."""
    judge, rows = found.judge, found.comparisons
    yield "What differs", [figures.differences(rows), figures.values(judge, found.train)]
    if isinstance(judge, GroupJudge):
        found.notes.append("A group has no records of its own: no performance profiles, no records side by side.")
    elif profiles := figures.profiles(judge):
        yield "Record by record, all at once", [profiles, figures.sorted_differences(judge, rows)]
    else:
        found.notes.append("No metric that was compared is a number of each record: no performance profiles.")
    if matrix := figures.matrix(judge, rows):
        yield "Where it differs", [matrix, figures.slice_differences(rows)]


def _draw_records(found: Found, folder: Path, image_root: Path | None) -> Iterator[Figure]:
    """The records that moved the main metric most, under the last file and the baseline: side by side."""
    judge = found.judge
    draw_pair = load_part(judge.task.name, VisualizePart).draw_pair
    if isinstance(judge, GroupJudge):
        return
    if draw_pair is None:
        found.notes.append(f"The task {judge.task.name} draws no records side by side.")
        return
    chosen = _chosen(found)
    if not chosen:
        return
    labels = judge.labels
    shown = labels if len(labels) <= MAX_SIDE_BY_SIDE else [chosen[0].baseline, chosen[0].label]
    place = {id: index for index, id in enumerate(judge.joined.ids)}
    indices = np.array([place[mover.record_id] for mover in chosen])
    records: list[dict[str, Any]] = [{} for _ in chosen]
    for label in shown:
        rows = judge.joined.files[label].rows_at(judge.task, judge.joined.positions[label][indices])
        for record, row in zip(records, rows, strict=True):
            if row is not None:
                record[label] = row
    job = PairDrawJob(
        records=records,
        folder=folder,
        note=found.notes.append,
        score_options=judge.task.options,
        image_root=image_root,
    )
    yield from draw_pair(job)


def _chosen(found: Found) -> list[Mover]:
    """The first movers of the main metric between the last file and what it is compared with."""
    if not found.movers:
        return []
    first = found.movers[0]
    same = [m for m in found.movers if (m.name, m.statistic) == (first.name, first.statistic)]
    label, baseline = same[-1].label, same[-1].baseline
    return [m for m in same if (m.label, m.baseline) == (label, baseline)][:NUM_PICTURES]

"""The figures of a comparison, in the order in which a reader wants them; what cannot be drawn is noted."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import msgspec

from pipeline.compare import figures
from pipeline.compare.judge import Judge
from pipeline.contract.jobs import PairDrawJob
from pipeline.contract.load import load_part
from pipeline.contract.parts import VisualizePart
from pipeline.look.picture import Section, save_sections
from pipeline.records.read import rows_at
from schemas.comparison import Comparison, Mover
from schemas.rows import Figure

MAX_SIDE_BY_SIDE = 4  # files in one picture of a record; of more, only the two that are compared are shown


@dataclass(frozen=True, kw_only=True)
class Drawing:
    """What is drawn, and where. ``train`` holds values over the records that models learned from, by label."""

    judge: Judge
    comparisons: Sequence[Comparison]
    movers: Sequence[Mover]
    folder: Path
    note: Callable[[str], None]
    train: Mapping[str, Judge] = field(default_factory=dict)
    num_pictures: int = 6
    image_root: Path | None = None


def draw_all(drawing: Drawing) -> tuple[list[Figure], list[Mover]]:
    """Write ``figures/*``. Returns a row for each, and the movers with the ids of their pictures."""
    found = list(save_sections(drawing.judge.task.name, drawing.folder, _sections(drawing)))
    pairs = list(_draw_records(drawing))
    by_record = {figure.record_ids[0]: figure.id for figure in pairs if len(figure.record_ids) == 1}
    moved = [msgspec.structs.replace(m, figure=by_record.get(m.record_id)) for m in drawing.movers]
    return found + pairs, moved


def _sections(drawing: Drawing) -> Iterator[Section]:
    """Over all records first, then by slice."""
    judge, rows = drawing.judge, drawing.comparisons
    yield "What differs", [figures.differences(rows), figures.values(judge, drawing.train)]
    if profiles := figures.profiles(judge):
        yield "Record by record, all at once", [profiles, figures.sorted_differences(judge, rows)]
    else:
        drawing.note("No metric that was compared is a number of each record: no performance profiles.")
    if matrix := figures.matrix(judge, rows):
        yield "Where it differs", [matrix, figures.slice_differences(rows)]


def _draw_records(drawing: Drawing) -> Iterator[Figure]:
    """The records that moved the main metric most, under the last file and the baseline: side by side."""
    judge = drawing.judge
    draw_pair = load_part(judge.task.name, VisualizePart).draw_pair
    if draw_pair is None:
        drawing.note(f"The task {judge.task.name} draws no records side by side.")
        return
    chosen = _chosen(drawing)
    if not chosen:
        return
    labels = judge.joined.labels
    shown = labels if len(labels) <= MAX_SIDE_BY_SIDE else [chosen[0].baseline, chosen[0].label]
    place = {id: index for index, id in enumerate(judge.joined.ids)}
    indices = [place[mover.record_id] for mover in chosen]
    records: list[dict[str, Any]] = [{} for _ in chosen]
    for label in shown:
        for record, row in zip(records, _rows(judge, label, indices), strict=True):
            if row is not None:
                record[label] = row
    job = PairDrawJob(
        records=records,
        folder=drawing.folder,
        note=drawing.note,
        score_options=judge.task.options,
        image_root=drawing.image_root,
    )
    yield from draw_pair(job)


def _chosen(drawing: Drawing) -> list[Mover]:
    """The first movers of the main metric between the last file and what it is compared with."""
    if not drawing.movers:
        return []
    first = drawing.movers[0]
    same = [m for m in drawing.movers if (m.name, m.statistic) == (first.name, first.statistic)]
    label, baseline = same[-1].label, same[-1].baseline
    return [m for m in same if (m.label, m.baseline) == (label, baseline)][: drawing.num_pictures]


def _rows(judge: Judge, label: str, indices: Sequence[int]) -> list[Any]:
    """Predictions of joined records, read again from their lines; None where the file lacks one."""
    records = judge.joined.files[label]
    positions = judge.joined.positions[label][list(indices)].tolist()
    lines = [int(records.lines[position]) if position >= 0 else None for position in positions]
    rows = rows_at(records.path, judge.task.row_type, [line for line in lines if line is not None])
    return [None if line is None else rows[line] for line in lines]

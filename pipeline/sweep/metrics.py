"""What the ledger keeps of a finished cell: its main metrics."""

from pathlib import Path

from pipeline.contract.load import load_part
from pipeline.contract.parts import EvaluatePart, RowsPart
from pipeline.files import read_all
from pipeline.look.tables import MODEL, layout_of
from schemas.rows import Metric


def main_metrics(task: str, path: Path) -> tuple[Metric, ...]:
    """The main metrics of the model over all records: those of the table that evaluate shows, in its order."""
    part = load_part(task, EvaluatePart)
    rows = read_all(path, load_part(task, RowsPart).metric)
    rows = [m for m in rows if m.subject == MODEL and m.slice_by == "all"]
    names = Metric.__struct_fields__
    found = []
    for column in layout_of(part, rows).columns:
        chosen = [m for m in rows if (m.name, m.statistic) == (column.metric, column.statistic)]
        found += [Metric(**{name: getattr(m, name) for name in names}) for m in chosen]
    return tuple(found)

"""What a user should know about texts of which little or nothing was read: which preset or setting would read them.

Nothing is guessed and no row changes: each way is tried on the texts, and told with what it would have found.
"""

from collections import Counter
from collections.abc import Iterable, Iterator

from msgspec.structs import replace

from pipeline.tasks.detection.read_text.formats import PRESETS, Preset, TextFormat
from pipeline.tasks.detection.read_text.parse import Parsed, parse
from pipeline.tasks.detection.recipe import DetectionRecipe
from pipeline.tasks.detection.rows import DetectionPrediction

NUM_TRIED = 1000  # texts: a dozen presets take about 2 ms for each
_WIDER = 1000  # the grid that many models write, 0 to 1000


def remarks(rows: Iterable[DetectionPrediction], recipe: DetectionRecipe) -> list[str]:
    """A sentence for each thing to know, the most telling one last."""
    written = recipe.text_format.resolved()
    unread: list[DetectionPrediction] = []
    num_points = num_wider = num_unread = 0
    for row in rows:
        codes = Counter(one.code for one in row.dropped)
        num_points += codes["point_geometry"]
        if codes["out_of_range"] and written.grid == _WIDER - 1:
            num_wider += _num_found(_parsed(row, replace(written, grid=_WIDER))) - len(row.preds) - len(row.salvaged)
        if row.raw_output.strip() and not (row.preds or row.salvaged or row.status in ("empty", "not_run")):
            num_unread += 1
            unread += [row] if num_unread <= NUM_TRIED else []
    about_presets = _about_presets(unread, num_unread, recipe.text_format.preset)
    return [*_about_points(num_points), *_about_grid(num_wider), *about_presets]


def _parsed(row: DetectionPrediction, written: TextFormat) -> Parsed:
    return parse(row.raw_output, cut=row.cut, written=written, size=(row.width, row.height))


def _num_found(parsed: Parsed) -> int:
    return len(parsed.preds) + len(parsed.salvaged)


def _num(count: int, what: str) -> str:
    return f"{count:,} {what}{'' if count == 1 else 's'}"


def _about_points(num: int) -> Iterator[str]:
    if num:
        yield f"{_num(num, 'point')} dropped: a point has no extent; ask the model for boxes"


def _about_grid(num: int) -> Iterator[str]:
    if num:
        yield (
            f"{_num(num, 'object')} touching {_WIDER}, which lies outside of a grid of 0 to {_WIDER - 1}: "
            f"--set text_format.grid={_WIDER} reads {'it' if num == 1 else 'them'}"
        )


def _about_presets(unread: list[DetectionPrediction], num_unread: int, preset: Preset) -> Iterator[str]:
    """The presets that read the most of the texts in which nothing was read, of which there are ``num_unread``."""
    records, objects, points = Counter[Preset](), Counter[Preset](), 0
    for row in unread:
        for name, written in PRESETS.items():
            parsed = _parsed(row, written) if name != preset else None
            if parsed is not None and _num_found(parsed):
                records[name] += 1
                objects[name] += _num_found(parsed)
            elif parsed is not None and written.form == "points":
                points += bool(parsed.dropped)
    among = f" of the first {NUM_TRIED:,}" if num_unread > NUM_TRIED else ""
    if points:
        yield f"in {_num(points, 'record')}{among} nothing was read, and points are written, which are no boxes"
    if records:
        most = max(records.values())
        ways = [f"{name} ({_num(objects[name], 'object')})" for name in records if records[name] == most]
        which = "; the model that wrote them says which" if len(ways) > 1 else ""
        yield (
            f"in {_num(num_unread, 'record')} nothing was read; {most:,}{among} would be read with "
            f"--set text_format.preset={' or '.join(ways)}{which}"
        )

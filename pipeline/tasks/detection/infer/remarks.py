"""What a user should know about texts of which little or nothing was read: which preset or setting would read them.

Nothing is guessed and no row changes: each way is tried on the texts, and told with what it would have found.
"""

import re
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from itertools import product
from typing import Any

from msgspec.structs import replace

from pipeline.look.numbers import plural
from pipeline.tasks.detection.read_text.formats import PRESETS, TextFormat
from pipeline.tasks.detection.read_text.parse import Parsed, parse
from pipeline.tasks.detection.recipe import DetectionRecipe
from pipeline.tasks.detection.rows import DetectionPrediction

NUM_TRIED = 1000  # texts: a dozen presets take about 2 ms for each
NUM_KEYS = 5  # of each kind, of a text
_WIDER = 1000  # the grid that many models write, 0 to 1000
_ANY = 10**9  # a grid that holds whatever was written
_BOX = re.compile(r'"([A-Za-z_]\w{0,30})"\s*+:\s*+\[\s*+(?:-?[0-9.]++\s*+,\s*+){3}-?[0-9.]++\s*+\]')
_TEXT = re.compile(r'"([A-Za-z_]\w{0,30})"\s*+:\s*+"')


def remarks(
    rows: Iterable[DetectionPrediction], recipe: DetectionRecipe, metadata: Mapping[str, Any] | None = None
) -> list[str]:
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
    told = []
    if num_points:
        told.append(f"{plural(num_points, 'point')} dropped: a point has no extent; ask the model for boxes")
    if num_wider:
        told.append(
            f"{plural(num_wider, 'object')} touching {_WIDER}, which lies outside of a grid of 0 to {_WIDER - 1}: "
            f"--set text_format.grid={_WIDER} reads {'it' if num_wider == 1 else 'them'}"
        )
    return [*told, *_about_unread(unread, num_unread, written)]


def _parsed(row: DetectionPrediction, written: TextFormat) -> Parsed:
    return parse(row.raw_output, cut=row.cut, written=written, size=(row.width, row.height))


def _num_found(parsed: Parsed) -> int:
    return len(parsed.preds) + len(parsed.salvaged)


def _about_unread(unread: list[DetectionPrediction], num_unread: int, written: TextFormat) -> Iterator[str]:
    """How the most of the texts would be read in which nothing was, of which there are ``num_unread``."""
    presets = {f"preset={name}": other for name, other in PRESETS.items() if other != written}
    records, objects = _tried(unread, lambda text: presets)
    among = f" of the first {NUM_TRIED:,}" if num_unread > NUM_TRIED else ""
    points = sum(bool(_parsed(row, PRESETS["molmo"]).dropped) for row in unread if PRESETS["molmo"] != written)
    if points:
        yield f"in {plural(points, 'record')}{among} nothing was read, and points are written, which are no boxes"
    behind = "; the model that wrote them says which"
    if not records:
        records, objects = _tried(unread, lambda text: _by_keys(text, written))
        behind = ", and text_format.grid and axes as that model writes them"
    if records:
        most = max(records.values())
        ways = [f"{way} ({plural(objects[way], 'object')})" for way in records if records[way] == most]
        yield (
            f"in {plural(num_unread, 'record')} nothing was read; {most:,}{among} would be read with "
            f"--set text_format.{' or '.join(ways)}{behind if len(ways) > 1 or 'preset' not in ways[0] else ''}"
        )


def _tried(
    unread: list[DetectionPrediction], ways: Callable[[str], Mapping[str, TextFormat]]
) -> tuple[Counter[str], Counter[str]]:
    """In how many of the records, and how many objects in all, each of the ``ways`` to read a text would find."""
    records, objects = Counter[str](), Counter[str]()
    for row in unread:
        for way, other in ways(row.raw_output).items():
            if found := _num_found(_parsed(row, other)):
                records[way] += 1
                objects[way] += found
    return records, objects


def _by_keys(text: str, written: TextFormat) -> dict[str, TextFormat]:
    """By which of its first few keys hold four numbers and which a text, where no family writes such ones."""
    boxes, texts = (list(dict.fromkeys(keys.findall(text)))[:NUM_KEYS] for keys in (_BOX, _TEXT))
    return {
        f"box_key={box} --set text_format.desc_key={desc}": TextFormat(
            box_key=box, desc_key=desc, poly_key=None, grid=_ANY, swapped_corners="order"
        )
        for box, desc in product(boxes, texts)
        if box != desc and (box, desc) != (written.box_key, written.desc_key)
    }

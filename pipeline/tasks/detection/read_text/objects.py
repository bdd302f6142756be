"""An object while it is read, and what becomes of it: an object, or the code of why it is none."""

from dataclasses import dataclass, field

from pipeline.tasks.detection.read_text.coordinates import Geometry, fault
from pipeline.tasks.detection.read_text.patterns import BOX, DESC, LINES
from pipeline.tasks.detection.rows import PredictedObject

Span = tuple[int, int]


@dataclass(slots=True)
class Frame:
    """An object whose brace is open, and what was read of it so far."""

    start: int
    stop: int  # behind its last value
    is_in_list: bool
    key: str = ""  # its last key
    key_quote: str = ""  # the quote around that
    keys: dict[str, int] = field(default_factory=dict)  # the known ones, and how often each was written
    desc: str | None = None
    geometries: list[tuple[str, Geometry]] = field(default_factory=list)
    code: str | None = None
    has_child: bool = False  # an object was found inside it
    has_empty_list: bool = False  # an empty list of objects was
    has_numbers: bool = False  # a list of numbers stands under another key

    def judge(self) -> PredictedObject | str | None:
        """The object; the code of why it is none; or None when it is not meant as one, such as a wrapper."""
        if not (self.keys or self.has_numbers):
            return None
        if self.code is not None:
            return self.code
        if len(self.geometries) > 1 or self.keys.get(DESC, 0) > 1:
            names = {name for name, _ in self.geometries}
            return "both_geometries" if len(names) > 1 else "duplicate_key"
        if self.geometries:
            name, geometry = self.geometries[0]
            if name in LINES:
                return "line_geometry"
            return geometry.code or object_or_code(name, geometry.numbers, self.desc, (self.start, self.stop))
        if self.has_child or self.has_empty_list:
            return None
        return "unknown_geometry" if self.has_numbers else "no_geometry"


def object_or_code(name: str, numbers: list[float], desc: str | None, span: Span) -> PredictedObject | str:
    """The object of one geometry and one text; or the code of why these are none."""
    code = fault(name, numbers)
    if code is not None:
        return code
    if desc is None or not desc.strip():
        return "no_desc"
    if name == BOX:
        x1, y1, x2, y2 = numbers
        return PredictedObject(desc=desc, bbox_2d=(x1, y1, x2, y2), score=1.0, span=span)
    return PredictedObject(desc=desc, poly=numbers, score=1.0, span=span)

"""An object while it is read, and what becomes of it: an object, or the code of why it is none."""

from collections.abc import Sequence

from msgspec import Struct

from pipeline.tasks.detection.read_text.coordinates import Geometry
from pipeline.tasks.detection.read_text.patterns import BOX, DESC, LINES, POINTS
from pipeline.tasks.detection.read_text.scale import Scale
from pipeline.tasks.detection.rows import PredictedObject

Span = tuple[int, int]


class Frame(Struct, eq=False, gc=False):
    """An object whose brace is open, and what was read of it so far."""

    start: int
    stop: int  # behind its last value
    is_in_list: bool
    key: str = ""  # its last key
    key_quote: str = ""  # the quote around that
    keys: dict[str, int] = {}  # the known ones, and how often each was written
    desc: str | None = None
    geometries: list[tuple[str, Geometry]] = []
    code: str | None = None
    has_child: bool = False  # an object was found inside it
    has_empty_list: bool = False  # an empty list of objects was
    has_numbers: bool = False  # a list of numbers stands under another key
    quote: Span = (-1, -1)  # closes a text that was read as the JSON it holds

    def judge(self, scale: Scale, repairs: set[str]) -> list[PredictedObject | str]:
        """The object, or the code of why it is none; several where several boxes stand under its key.

        Empty where it is not meant as one, such as a wrapper.
        """
        code = self._fault()
        if code is not None:
            return [code] if code else []
        name, geometry = self.geometries[0]
        if geometry.boxes:
            repairs.add("several_boxes")
        span, each = (self.start, self.stop), geometry.boxes or [geometry.numbers]
        return [object_or_code(name, numbers, self.desc, span, scale, repairs) for numbers in each]

    def _fault(self) -> str | None:
        """The code of why this is no object, whatever its numbers are; "" when it is not meant as one."""
        if not (self.keys or self.has_numbers):
            return ""
        if self.code is not None:
            return self.code
        if len(self.geometries) > 1 or self.keys.get(DESC, 0) > 1:
            return "both_geometries" if len({name for name, _ in self.geometries}) > 1 else "duplicate_key"
        if not self.geometries:
            if self.has_child or self.has_empty_list:
                return ""
            return "unknown_geometry" if self.has_numbers else "no_geometry"
        name, geometry = self.geometries[0]
        if name in LINES or name in POINTS:
            return "line_geometry" if name in LINES else "point_geometry"
        return geometry.code or ("wrong_arity" if geometry.boxes and name != BOX else None)


def object_or_code(
    name: str, numbers: Sequence[float], desc: str | None, span: Span, scale: Scale, repairs: set[str]
) -> PredictedObject | str:
    """The object of one geometry and one text; or the code of why these are none."""
    placed = scale.to_row(name, numbers, repairs)
    if isinstance(placed, str):
        return placed
    if desc is None or not desc.strip():
        return "no_desc"
    if name == BOX:
        x1, y1, x2, y2 = placed
        return PredictedObject(desc=desc, bbox_2d=(x1, y1, x2, y2), score=1.0, span=span)
    return PredictedObject(desc=desc, poly=list(placed), score=1.0, span=span)

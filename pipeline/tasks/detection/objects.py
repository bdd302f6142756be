"""An object while it is read, and what becomes of it: an object, or the code of why it is none."""

from pipeline.tasks.detection.coordinates import Geometry, fault
from pipeline.tasks.detection.lexer import BOX, DESC, LINES
from pipeline.tasks.detection.rows import PredictedObject


class Frame:
    """An object whose brace is open, and what was read of it so far.

    ``end`` is behind its last value, ``key`` its last key, ``key_quote`` the quote around that. ``keys`` are the known
    ones, each as often as it was written. ``has_child``: an object was found inside it. ``has_list``: an empty list of
    objects was. ``has_numbers``: a list of numbers stands under another key.
    """

    __slots__ = (
        "code",
        "desc",
        "end",
        "geometries",
        "has_child",
        "has_list",
        "has_numbers",
        "is_in_list",
        "key",
        "key_quote",
        "keys",
        "start",
    )

    def __init__(self, start: int, *, is_in_list: bool) -> None:
        self.start = start
        self.is_in_list = is_in_list
        self.end = start + 1
        self.key = ""
        self.key_quote = ""
        self.keys: tuple[str, ...] = ()
        self.geometries: tuple[tuple[str, Geometry], ...] = ()
        self.desc: str | None = None
        self.code: str | None = None
        self.has_child = False
        self.has_list = False
        self.has_numbers = False

    def judge(self) -> PredictedObject | str | None:
        """The object; the code of why it is none; or None when it is not meant as one: a wrapper, or something else."""
        if not self.keys and not self.has_numbers:
            return None
        code = self._fault()
        if code is not None:
            return code or None
        name, geometry = self.geometries[0]
        numbers = geometry.numbers or ()
        span = (self.start, self.end)
        if name == BOX:
            x1, y1, x2, y2 = numbers
            return PredictedObject(desc=self.desc or "", bbox_2d=(x1, y1, x2, y2), score=1.0, span=span)
        return PredictedObject(desc=self.desc or "", poly=list(numbers), score=1.0, span=span)

    def _fault(self) -> str | None:
        """The first code that applies; "" for a wrapper."""
        if self.code is not None:
            return self.code
        if len(self.geometries) > 1 or self.keys.count(DESC) > 1:
            names = {name for name, _ in self.geometries}
            return "both_geometries" if len(names) > 1 else "duplicate_key"
        if not self.geometries:
            if self.has_child or self.has_list:
                return ""
            return "unknown_geometry" if self.has_numbers else "no_geometry"
        name, geometry = self.geometries[0]
        if name in LINES:
            return "line_geometry"
        code = geometry.code or fault(name, geometry.numbers or ())
        if code is None and not (self.desc and self.desc.strip()):
            return "no_desc"
        return code

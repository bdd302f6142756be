"""What the numbers of a text mean: those of a format's grid, in its order, as the coordinates of a row."""

from collections.abc import Sequence

from pipeline.tasks.detection.geometry import NORM_MAX
from pipeline.tasks.detection.read_text.formats import TextFormat, seen_size
from pipeline.tasks.detection.read_text.patterns import BOX

# A corner that was written as centre and size may lie so far outside, as a share of the side, for each was rounded.
EDGE = 1e-3


class Scale:
    """The grid of ``written``; for one in pixels, of an image of ``size`` (width, height, as stored)."""

    def __init__(self, written: TextFormat, size: tuple[int, int] | None = None) -> None:
        self.written = written
        if written.grid == "pixels":
            assert size is not None, "a grid in pixels is of some image"
            self.far: tuple[float, float] = seen_size(written, *size)
        else:
            self.far = (written.grid, written.grid)
        largest = written.largest
        self.largest = self.far if largest is None else (largest, largest)
        self._nearest = min(self.largest)  # no coordinate up to here is outside
        self._offset = 0.5 if written.is_bin else 0.0
        self._is_row_grid = self.far == (NORM_MAX, NORM_MAX) and not written.is_bin
        self._is_y_first = written.axes == "yxyx"
        self._is_sized = written.axes in ("cxcywh", "xywh")

    def to_row(self, name: str, numbers: Sequence[float], repairs: set[str]) -> Sequence[float] | str:
        """Numbers as written to coordinates of "norm1000": [x1, y1, x2, y2] of a box, [x1, y1, ...] of a polygon.

        The code of the first fault where they are none. A polygon may touch or cross itself: COCO's masks are defined
        for those, too.
        """
        count = len(numbers)
        if count != 4 if name == BOX else (count < 6 or count % 2):
            return "wrong_arity"
        if self._is_y_first:
            numbers = [numbers[place ^ 1] for place in range(count)]
        if min(numbers) < 0 or (max(numbers) > self._nearest and self._is_outside(numbers, 0.0)):
            return "out_of_range"
        if self.written.is_whole and any(number % 1 for number in numbers):
            return "not_whole"
        if name == BOX:
            found = self._box(numbers, repairs)
        else:
            found = "zero_area" if are_on_one_line(numbers) else numbers
        return found if self._is_row_grid or isinstance(found, str) else self._to_norm(found)

    def _is_outside(self, numbers: Sequence[float], by: float) -> bool:
        far_x, far_y = self.largest
        if far_x == far_y:
            return min(numbers) < -by * far_x or max(numbers) > far_x * (1 + by)
        xs, ys = numbers[::2], numbers[1::2]
        is_before = min(xs) < -by * far_x or min(ys) < -by * far_y
        return is_before or max(xs) > far_x * (1 + by) or max(ys) > far_y * (1 + by)

    def _box(self, numbers: Sequence[float], repairs: set[str]) -> Sequence[float] | str:
        """The corners of a box, in the grid, left and upper one first."""
        if self._is_sized:
            x, y, width, height = numbers
            if self.written.axes == "cxcywh":
                x, y = x - width / 2, y - height / 2
            numbers = x, y, x + width, y + height
            if self._is_outside(numbers, EDGE):
                return "out_of_range"
            numbers = [min(max(one, 0.0), self.largest[place % 2]) for place, one in enumerate(numbers)]
        x1, y1, x2, y2 = numbers
        if x1 > x2 or y1 > y2:
            if self.written.swapped_corners == "drop":
                return "swapped_corners"
            repairs.add("swapped_corners")
            numbers = x1, y1, x2, y2 = min(x1, x2), min(y1, y2), max(x1, x2), max(y1, y2)
        return "zero_area" if x1 == x2 or y1 == y2 else numbers

    def _to_norm(self, numbers: Sequence[float]) -> list[float]:
        return [(number + self._offset) * NORM_MAX / self.far[place % 2] for place, number in enumerate(numbers)]


def are_on_one_line(points: Sequence[float]) -> bool:
    """All points [x1, y1, x2, y2, ...] lie on one line, or are one point."""
    x0, y0 = points[0], points[1]
    dx = dy = 0.0
    for x, y in zip(points[2::2], points[3::2], strict=True):
        # 1e-6: the product of two coordinates is below 1e6, and rounded by less than 1e-9.
        if abs(dx * (y - y0) - dy * (x - x0)) > 1e-6:
            return False
        if dx == dy == 0.0:
            dx, dy = x - x0, y - y0
    return True

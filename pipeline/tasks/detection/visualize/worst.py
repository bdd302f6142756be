"""Images in the order in which one wants to look at them: the worst first, with what is right and wrong on each."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace

from pipeline.look.numbers import words
from pipeline.tasks.detection.evaluate import explain
from pipeline.tasks.detection.evaluate.explain import ExplainedImage, ExplainedObject
from pipeline.tasks.detection.rows import DetectionPrediction
from pipeline.tasks.detection.visualize.looks import NOT_FOUND
from schemas.rows import Fact, FigureText, TextMark

ORDER = "worst first: lowest F1, then most errors"
REPEATED = "repeated"


@dataclass(frozen=True, kw_only=True)
class JudgedImage:
    """One image and its counts, as `DetectionScore` has them; ``num_not_found`` are all true objects without a match.

    ``place`` is its place in the order, from 1. ``f1`` is None without any object on either side.
    """

    explained: ExplainedImage
    place: int
    f1: float | None
    mean_iou: float | None
    num_true: int
    num_matched: int
    num_false: int
    num_not_found: int
    errors: tuple[str, ...]

    @property
    def row(self) -> DetectionPrediction:
        """The prediction."""
        return self.explained.row


def judge(images: Sequence[ExplainedImage]) -> list[JudgedImage]:
    """The images, worst first: lowest F1, then most errors, then lowest mean IoU, then as they stood."""
    found = sorted(map(_judge, images), key=_badness)
    return [replace(image, place=place) for place, image in enumerate(found, start=1)]


def _badness(image: JudgedImage) -> tuple[float, int, float]:
    f1 = 2.0 if image.f1 is None else image.f1
    return f1, -image.num_false - image.num_not_found, 0.0 if image.mean_iou is None else image.mean_iou


def _judge(image: ExplainedImage) -> JudgedImage:
    kinds = Counter(one.kind for one in image.objects)
    num_matched = kinds.pop(explain.MATCHED, 0)
    kinds.pop(explain.IGNORED, None)
    missing = [g for g, match in enumerate(image.matches) if match is None and not is_crowd(image, g)]
    num_true, num_false = num_matched + len(missing), sum(kinds.values())
    ious = [one.iou for one in image.objects if one.kind == explain.MATCHED]
    total = num_matched + num_false + num_true
    names = [*sorted(kinds), *([NOT_FOUND] if missing else [])]
    if any(one.is_duplicate for one in image.objects):
        names.append(REPEATED)
    return JudgedImage(
        explained=image,
        place=0,
        f1=2 * num_matched / total if total else None,
        mean_iou=sum(ious) / len(ious) if ious else None,
        num_true=num_true,
        num_matched=num_matched,
        num_false=num_false,
        num_not_found=len(missing),
        errors=tuple(names),
    )


def is_crowd(image: ExplainedImage, index: int) -> bool:
    """Whether a true object is a crowd, which is not asked for."""
    coco = image.row.gt[index].coco
    return coco is not None and coco.iscrowd == 1


def facts_of(image: JudgedImage) -> dict[str, Fact]:
    """What the report's page filters and sorts by."""
    row = image.row
    classes = {*image.explained.labels, *(one.label for one in image.explained.objects)}
    return {
        "status": row.status,
        "class": tuple(sorted(classes)),
        "error": image.errors,
        "failure": row.error if row.status == "not_run" else None,
        "repair": tuple(map(words, row.repairs)),
        "dropped": tuple(sorted({words(one.code) for one in row.dropped})),
        "F1": image.f1,
        "mean IoU": image.mean_iou,
        "true objects": image.num_true,
        "predicted": len(image.explained.objects),
        "false": image.num_false,
        "not found": image.num_not_found,
        "characters": len(row.raw_output),
    }


def text_of(image: JudgedImage) -> FigureText | None:
    """The text of the model with its objects marked; None for rows that were made without one."""
    row = image.row
    if not row.raw_output:
        return None
    marks = [mark for one in image.explained.objects if (mark := _mark(one)) is not None]
    counted = {id(one.predicted) for one in image.explained.objects}
    for one in row.salvaged:
        if id(one) not in counted and one.span is not None:
            note = f"{one.desc}: complete before the text was cut, not counted"
            marks.append(TextMark(start=one.span[0], stop=one.span[1], kind="doubtful", note=note))
    for dropped in row.dropped:
        start, stop = dropped.span
        marks.append(TextMark(start=start, stop=stop, kind="doubtful", note=f"dropped: {words(dropped.code)}"))
    key = " - underlined: matched, doubly: false, dotted: not counted" if marks else ""
    return FigureText(heading=f"What the model wrote{key}", text=row.raw_output, marks=tuple(marks))


def _mark(one: ExplainedObject) -> TextMark | None:
    if one.predicted.span is None:
        return None
    start, stop = one.predicted.span
    if one.kind == explain.MATCHED:
        return TextMark(start=start, stop=stop, kind="good", note=f"{one.label}: matched, IoU {one.iou:.2f}")
    if one.kind == explain.IGNORED:
        return TextMark(start=start, stop=stop, kind="doubtful", note=f"{one.label}: not counted")
    return TextMark(start=start, stop=stop, kind="bad", note=f"{one.label}: false ({one.kind})")

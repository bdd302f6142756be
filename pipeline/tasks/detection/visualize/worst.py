"""Images in the order in which one wants to look at them: the worst first, with what is right and wrong on each."""

from dataclasses import dataclass, replace

from pipeline.look.numbers import words
from pipeline.tasks.detection.evaluate import explain
from pipeline.tasks.detection.evaluate.explain import ExplainedImage, ExplainedObject
from pipeline.tasks.detection.evaluate.figures import Figures
from pipeline.tasks.detection.evaluate.kernels import KINDS
from pipeline.tasks.detection.evaluate.score import score_rows
from pipeline.tasks.detection.rows import DetectionPrediction, DetectionScore
from pipeline.tasks.detection.visualize.looks import NOT_FOUND
from schemas.rows import Fact, FigureText, TextMark

ORDER = "worst first: lowest F1, then most errors"
REPEATED = "repeated"


@dataclass(frozen=True, kw_only=True)
class JudgedImage:
    """One image, its row of scores as evaluate writes it, and its ``place`` in the order, from 1."""

    explained: ExplainedImage
    score: DetectionScore
    place: int = 0

    @property
    def row(self) -> DetectionPrediction:
        """The prediction."""
        return self.explained.row

    @property
    def num_not_found(self) -> int:
        """True objects without a match."""
        return self.score.num_gt - self.score.num_matched

    @property
    def errors(self) -> tuple[str, ...]:
        """What is wrong, in the words of the report."""
        kinds = [kind for kind in sorted(KINDS[1:]) if getattr(self.score, f"num_{kind}")]
        others = {NOT_FOUND: self.num_not_found, REPEATED: self.score.num_repeats}
        return (*kinds, *(name for name, number in others.items() if number))


def judge(figures: Figures) -> list[JudgedImage]:
    """The images, worst first: lowest F1, then most errors, then lowest mean IoU, then as they stood."""
    pairs = zip(explain.explain(figures.looked), score_rows(figures), strict=True)
    found = sorted((JudgedImage(explained=image, score=score) for image, score in pairs), key=_badness)
    return [replace(image, place=place) for place, image in enumerate(found, start=1)]


def _badness(image: JudgedImage) -> tuple[float, int, float]:
    f1 = 2.0 if image.score.f1 is None else image.score.f1
    return f1, -image.score.num_false - image.num_not_found, image.score.mean_iou or 0.0


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
        "F1": image.score.f1,
        "mean IoU": image.score.mean_iou,
        "true objects": image.score.num_gt,
        "predicted": image.score.num_preds,
        "false": image.score.num_false,
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

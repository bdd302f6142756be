"""What `baton follow detection` shows: one image of the training, what the model wrote about it, and the truth."""

import base64
from collections.abc import Sequence
from typing import Any, Literal

from pipeline.follow.scene import (
    Brief,
    Event,
    Filter,
    FollowPart,
    Line,
    Moment,
    Panel,
    Plane,
    Prose,
    Readings,
    Scene,
    Table,
    Trend,
    Words,
    prose,
)
from pipeline.tasks.detection.follow.objects import SIGNS, TONES, Judged, read_objects
from pipeline.tasks.detection.rows import CoordMode, DetectionEpisode, Status

_WELL_WRITTEN = ("ok", "empty")
LEGEND: tuple[Line, ...] = (
    (Words("─│ • 1 2 3"), Words("  as the model wrote it", "muted")),
    (Words("╌╎ ◦ a b c"), Words("  the truth, in the last frame", "muted")),
    tuple(Words(f"{sign} {verdict}   ", TONES[verdict]) for verdict, sign in SIGNS.items()),
    (Words("right and found: same class, IoU 0.5 or more", "muted"),),
)


class Summary(Brief, frozen=True, kw_only=True):
    """What is kept in memory of every sample of the file; other fields of its line are skipped, not decoded."""

    schema: Literal["episode_v1"] = "episode_v1"
    task: Literal["detection"] = "detection"
    step: int
    status: Status
    loss: float
    num_gt: int
    num_preds: int
    num_matched: int
    average_precision: float | None = None


def f1(summary: Any) -> float:
    """2 matched / (written + true), of a summary or a row; 1 where there is nothing to find and nothing was written."""
    total = summary.num_gt + summary.num_preds
    return 2 * summary.num_matched / total if total else float(summary.status in _WELL_WRITTEN)


FILTERS: Sequence[Filter] = (
    Filter(key="m", name="mistakes", start=lambda: lambda one: not one.num_gt == one.num_preds == one.num_matched),
    Filter(key="b", name="malformed", start=lambda: lambda one: one.status not in _WELL_WRITTEN),
)


def num_frames(summary: Summary) -> int:
    """The image alone, then one object more in each frame, then the truth."""
    return summary.num_preds + 2


def tell(summary: Summary) -> str:
    """One sample in one line, for logs."""
    average = "-" if summary.average_precision is None else f"{summary.average_precision:.3f}"
    return (
        f"{summary.id}  {summary.status}  wrote {summary.num_preds}  true {summary.num_gt}  "
        f"matched {summary.num_matched}  loss {summary.loss:.3f}  best AP {average}"
    )


def scene(moment: Moment) -> Scene:
    """The image, and the objects written so far; in the last frame the truth."""
    row: DetectionEpisode = moment.episode
    average = "-" if row.average_precision is None else f"{row.average_precision:.3f}"
    facts = (f"step {row.step:,}", f"loss {row.loss:.3f}", f"best AP {average}", row.id)
    return tell_scene(moment, facts, "norm1000")


def tell_scene(moment: Moment, facts: tuple[str, ...], mode: CoordMode) -> Scene:
    """The same under other ``facts``, of objects in coordinates of ``mode``: predictions are shown as samples are."""
    row: DetectionEpisode = moment.episode
    written, truths = read_objects(row, mode)
    is_over = moment.frame > len(written)
    shown = [*written[: moment.frame], *(truths if is_over else [])]
    place = f"object {min(moment.frame, len(written))} of {len(written)}"
    picture = Plane(
        title=(Words(f"{row.width} x {row.height} pixels", "muted"),),
        aside=(Words(place, "muted"),),
        width=row.width,
        height=row.height,
        png=_png(row),
        outlines=tuple(one.outline for one in shown),
    )
    text = Prose((_text(row, moment.frame),), title="text")
    return Scene(
        frame=moment.frame,
        picture=picture,
        headline=facts,
        caption=Words("the image", "muted"),
        events=tuple(_events(row, written, truths)),
        readings=_readings(row, written[: moment.frame], truths, is_over=is_over),
        notes=(text,),
        trend=Trend("F1", tuple(f1(summary) for summary in moment.history), high=1.0, decimals=2),
        panels=(
            Panel("text", (Prose(text.lines),)),
            Panel("coordinates", (_coordinates(row, shown),)),
            Panel("mistakes", (_mistakes_in_words(written, truths, is_over=is_over),)),
        ),
        legend=LEGEND,
    )


def _png(row: DetectionEpisode) -> bytes:
    try:
        return base64.b64decode(row.image_png, validate=True)
    except ValueError:
        return b""


def _text(row: DetectionEpisode, frame: int) -> Line:
    """The text: strong what was written last, plain what was before, muted what comes after."""
    text, spans = row.raw_output or "(nothing)", [one.span or (0, 0) for one in row.preds]
    if frame == 0 or not row.raw_output:
        return (Words(text, "muted"),)
    if frame > len(spans):
        return (Words(text),)
    start, stop = spans[frame - 1]
    return (Words(text[:start]), Words(text[start:stop], "accent", strong=True), Words(text[stop:], "muted"))


def _events(row: DetectionEpisode, written: Sequence[Judged], truths: Sequence[Judged]) -> list[Event]:
    """Every object, right or wrong, and what was missed at the end."""
    events = [
        Event(frame=k, text=f"{one.desc}, IoU {one.iou:.2f}", sign=SIGNS[one.verdict], tone=TONES[one.verdict], rank=1)
        for k, one in enumerate(written, start=1)
    ]
    missed = any(one.verdict == "missed" for one in truths)
    told = f"the truth: {row.num_matched} of {row.num_gt} found, {row.num_preds} written"
    sign, tone = ("●", TONES["missed"]) if missed else ("★", TONES["right"])
    return [*events, Event(frame=len(written) + 1, text=told, sign=sign, tone=tone, rank=2)]


def _readings(
    row: DetectionEpisode, written: Sequence[Judged], truths: Sequence[Judged], *, is_over: bool
) -> tuple[Readings, Readings]:
    well = row.status in _WELL_WRITTEN
    status = Words(f"{'✓' if well else '!'} {row.status}", "good" if well else "bad", strong=not well)
    objects = tuple(one.reading(latest=one is written[-1]) for one in written)
    if not is_over:
        return Readings("written", objects, status), Readings("truth", (), Words(f"{len(truths)} to find", "muted"))
    truth = tuple(one.reading() for one in truths)
    return Readings("written", objects, status), Readings("truth", truth, Words("" if truth else "no object", "muted"))


def _coordinates(row: DetectionEpisode, shown: Sequence[Judged]) -> Table:
    """What was written and what is true, in thousandths of the image."""
    rows = []
    for one in shown:
        edges = (edge * 999 / (row.width or 1, row.height or 1)[place % 2] for place, edge in enumerate(one.box))
        numbers = (Words(f"{edge:.0f}") for edge in edges)
        rows.append((Words(one.name, TONES[one.verdict]), *numbers, Words(one.desc, "muted")))
    return Table(tuple(rows), "lrrrrl", heads=("", "left", "top", "right", "bottom", "of 999"))


def _mistakes_in_words(written: Sequence[Judged], truths: Sequence[Judged], *, is_over: bool) -> Prose:
    if not is_over:
        return prose(Words("told when all is written", "muted"))
    wrong = (one for one in written if one.verdict == "wrong")
    lines = [Words(f"{one.name} is no {one.desc} there (IoU {one.iou:.2f})", "bad") for one in wrong]
    lines += [Words(f"{one.name}, a {one.desc}, is missed", "warning") for one in truths if one.verdict == "missed"]
    return prose(*(lines or [Words("nothing: every object is found", "good")]))


PART = FollowPart(scene=scene, summary=Summary, num_frames=num_frames, tell=tell, filters=FILTERS)

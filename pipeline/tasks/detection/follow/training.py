"""What `baton follow detection` shows: one image of the training, what the model wrote about it, and the truth."""

from collections.abc import Callable, Sequence
from typing import Any, Literal

from msgspec import Struct
from rich.text import Text

from pipeline.follow.scene import Filter, FollowPart, Lines, Mark, Panel, Scene, Size
from pipeline.follow.text import (
    BLUE,
    CALM,
    FAINT,
    GREEN,
    LINE,
    ORANGE,
    RED,
    TEXT,
    bar,
    box,
    columns,
    ends,
    sparkline,
    without_controls,
)
from pipeline.tasks.detection.follow.outlines import SIGNS, Outline, read_outlines
from pipeline.tasks.detection.follow.picture import draw_picture, shown_outlines
from pipeline.tasks.detection.rows import DetectionEpisode, Status

READINGS_SIZE = Size(36, 15)
NUM_RECENT = 60
_CHART_HEIGHT = 5
_WELL_WRITTEN = ("ok", "empty")


class Summary(Struct, frozen=True, kw_only=True):
    """What is kept in memory of every sample of the file; other fields of its line are skipped, not decoded."""

    schema: Literal["episode_v1"] = "episode_v1"
    task: Literal["detection"] = "detection"
    id: str
    step: int
    ended_unix_s: float
    num_dropped_before: int = 0
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


def _mistakes() -> Callable[[Summary], bool]:
    return lambda summary: not summary.num_gt == summary.num_preds == summary.num_matched


def _malformed() -> Callable[[Summary], bool]:
    return lambda summary: summary.status not in _WELL_WRITTEN


FILTERS: Sequence[Filter] = (
    Filter(key="m", name="mistakes", start=_mistakes),
    Filter(key="b", name="malformed", start=_malformed),
)


def num_frames(summary: Summary) -> int:
    """The image alone, then one object more in each frame, then the truth."""
    return summary.num_preds + 2


def summary_line(summary: Summary) -> str:
    """One sample in one line, for logs."""
    average = "-" if summary.average_precision is None else f"{summary.average_precision:.3f}"
    return (
        f"{summary.id}  {summary.status}  wrote {summary.num_preds}  true {summary.num_gt}  "
        f"matched {summary.num_matched}  loss {summary.loss:.3f}  best AP {average}"
    )


def headline(scene: Scene) -> Text:
    """Facts about the sample that hold in all its frames, the most important first."""
    row: DetectionEpisode = scene.episode
    average = "-" if row.average_precision is None else f"{row.average_precision:.3f}"
    return Text.assemble(
        (f"step {row.step:,} · loss {row.loss:.3f} · best AP {average}", TEXT), (f" · {row.id}", FAINT)
    )


def draw_readings(scene: Scene, size: Size) -> Lines:
    """The objects written so far, what is true (in the last frame), and the text."""
    row: DetectionEpisode = scene.episode
    written, truths = shown_outlines(scene)
    heading = ends(Text("WRITTEN", FAINT), _status(row), size.width)
    lines = [heading, *[_object(outline, size.width, latest=outline is written[-1]) for outline in written]]
    if not written:
        lines.append(Text("nothing" if row.preds == [] and scene.frame else "...", FAINT))
    lines += [Text(), Text("TRUTH", FAINT)]
    if scene.frame > len(row.preds):
        lines += [_object(outline, size.width, latest=False) for outline in truths] or [Text("no object", FAINT)]
    else:
        lines.append(Text(f"{len(row.gt)} to find", FAINT))
    lines += [Text(), Text("TEXT", FAINT)]
    return box([*lines, *draw_text(scene, Size(size.width, max(size.height - len(lines), 0)))], *size)


def _status(row: DetectionEpisode) -> Text:
    well = row.status in _WELL_WRITTEN
    return Text(f"{'✓' if well else '!'} {row.status}", GREEN if well else f"bold {RED}")


def _object(outline: Outline, width: int, *, latest: bool) -> Text:
    """``1 ✓ circle    ████████ .83``."""
    style = f"bold {outline.color}" if latest else outline.color
    line = Text.assemble((f"{outline.name} {SIGNS[outline.verdict]} ", style), (f"{outline.desc[:12]:<12} ", TEXT))
    room = max(width - line.cell_len - 5, 0)
    return line.append(bar(outline.iou, room), f"{outline.color} on {LINE}").append(f" {outline.iou:.2f}", TEXT)


def draw_text(scene: Scene, size: Size) -> Lines:
    """The text: bright what was written last, plain what was before, faint what comes after."""
    row: DetectionEpisode = scene.episode
    spans = [one.span or (0, 0) for one in row.preds]
    last = spans[scene.frame - 1] if 0 < scene.frame <= len(spans) else None
    stop = len(row.raw_output) if scene.frame > len(spans) else (last[1] if last else 0)
    text = Text(without_controls(row.raw_output) or "(nothing)", FAINT)
    text.stylize(TEXT, 0, stop)
    if last:
        text.stylize(f"bold {BLUE}", *last)
    if size.height < 1 or size.width < 1:
        return []
    lines = list(text.divide(range(size.width, len(text), size.width))) if len(text) > size.width else [text]
    return lines[: size.height]


def draw_coordinates(scene: Scene, size: Size) -> Lines:
    """What was written and what is true, in thousandths of the image, side by side in one list."""
    row: DetectionEpisode = scene.episode
    written, truths = read_outlines(row)
    lines: Lines = []
    for outline in [*written[: scene.frame], *(truths if scene.frame > len(written) else [])]:
        x1, y1, x2, y2 = outline.box
        edges = (x1 / row.width, y1 / row.height, x2 / row.width, y2 / row.height)
        told = " ".join(f"{edge * 999:4.0f}" for edge in edges)
        lines.append(Text.assemble((f"{outline.name} ", outline.color), (f"{told}  ", TEXT), (outline.desc, FAINT)))
    return [Text("  left  top  right bottom, of 999", FAINT), *lines][: size.height]


def draw_wrong(scene: Scene, size: Size) -> Lines:
    """What went wrong, in words. Not told before the last frame."""
    row: DetectionEpisode = scene.episode
    if scene.frame <= len(row.preds):
        return [Text("told when all is written", FAINT)]
    written, truths = read_outlines(row)
    lines = [
        Text(f"{one.name} is no {one.desc} there (IoU {one.iou:.2f})", RED) for one in written if one.verdict == "wrong"
    ]
    lines += [Text(f"{one.name}, a {one.desc}, is missed", ORANGE) for one in truths if one.verdict == "missed"]
    return lines[: size.height] or [Text("nothing: every object is found", GREEN)]


PANELS: Sequence[Panel] = (
    Panel("text", draw_text),
    Panel("coordinates", draw_coordinates),
    Panel("mistakes", draw_wrong),
)


def draw_trend(scene: Scene, size: Size) -> Lines:
    """F1 of recent samples: one line, or a chart where there is room."""
    recent = [f1(summary) for summary in scene.history]
    if not recent or size.height < 1:
        return []
    words = f"last {recent[-1]:.2f}  mean {sum(recent) / len(recent):.2f}"
    title = f"F1, last {len(recent)}" if len(recent) > 1 else "F1"
    if size.height < 3:
        room = max(size.width - len(words) - len(title) - 3, 0)
        spark = sparkline(recent[-min(room, NUM_RECENT) :] if room else [], 1.0)
        return [Text.assemble((f"{title} ", FAINT), (spark, GREEN), (f" {words}", TEXT))]
    shown = recent[-size.width :]
    wide = max(min(size.width // len(shown), 3), 1)
    chart = columns([value for value in shown for _ in range(wide)], 1.0, min(size.height - 1, _CHART_HEIGHT))
    return [ends(Text(title, FAINT), Text(words, TEXT), size.width), *(Text(line, CALM) for line in chart)]


def draw_caption(scene: Scene, width: int) -> Text:
    """What this frame adds."""
    row: DetectionEpisode = scene.episode
    written, _ = shown_outlines(scene)
    if scene.frame == 0:
        left = Text("the image", FAINT)
    elif scene.frame > len(row.preds):
        left = Text(f"the truth: {row.num_matched} of {row.num_gt} found, {row.num_preds} written", TEXT)
    else:
        one = written[-1]
        left = Text.assemble((f"{SIGNS[one.verdict]} ", f"bold {one.color}"), (f"{one.desc}, IoU {one.iou:.2f}", TEXT))
    return ends(left, Text(f"object {min(scene.frame, len(row.preds))} of {len(row.preds)}", FAINT), width)


def draw_marks(episode: Any) -> Sequence[Mark]:
    """Every object on the timeline, right or wrong, and what was missed at the end."""
    written, truths = read_outlines(episode)
    marks = [Mark(number, SIGNS[one.verdict], one.color, 1) for number, one in enumerate(written, start=1)]
    missed = any(one.verdict == "missed" for one in truths)
    return [*marks, Mark(len(written) + 1, *(("●", ORANGE) if missed else ("★", GREEN)), 2)]


def legend() -> Lines:
    """What the signs mean, for the help page."""
    return [
        Text.assemble(("─│ • 1 2 3", TEXT), ("  as the model wrote it", FAINT)),
        Text.assemble(("╌╎ ◦ a b c", TEXT), ("  the truth, in the last frame", FAINT)),
        Text.assemble(("✓ right", GREEN), ("   ✗ wrong", RED), ("   ○ found", BLUE), ("   ● missed", ORANGE)),
        Text("right and found: same class, IoU 0.5 or more", FAINT),
    ]


PART = FollowPart(
    summary=Summary,
    num_frames=num_frames,
    summary_line=summary_line,
    headline=headline,
    draw_picture=draw_picture,
    draw_readings=draw_readings,
    draw_trend=draw_trend,
    draw_caption=draw_caption,
    draw_marks=draw_marks,
    legend=legend,
    readings_size=READINGS_SIZE,
    num_recent=NUM_RECENT,
    filters=FILTERS,
    panels=PANELS,
)

"""Pictures of how the texts were read: statuses, what was repaired, and what was no valid object."""

from collections import Counter
from collections.abc import Mapping, Sequence

from matplotlib.axes import Axes
from matplotlib.ticker import MaxNLocator

from pipeline.look import plotting
from pipeline.tasks.detection.evaluate.glossary import STATUSES
from pipeline.tasks.detection.rows import DetectionPrediction
from pipeline.tasks.detection.visualize.looks import Picture, counted, words

SECTION = "How the texts were read"
MAX_BARS = 12


def reading(rows: Sequence[DetectionPrediction]) -> Picture:
    """Records by status, and by what had to be repaired or dropped, as far as there is any."""
    statuses = Counter(row.status for row in rows)
    failures = Counter(row.error or "" for row in rows if row.status == "not_run")
    repairs = Counter(repair for row in rows for repair in row.repairs)
    dropped = Counter(one.code for row in rows for one in row.dropped)
    panels: list[tuple[str, Mapping[str, int]]] = [
        ("records by status", {name: statuses[name] for name in STATUSES if statuses[name]})
    ]
    panels += [
        (title, dict(found.most_common(MAX_BARS)))
        for title, found in (
            ("records not run, by reason", failures),
            ("records by repair", repairs),
            ("dropped objects by reason", dropped),
        )
        if found
    ]
    most = max(len(found) for _, found in panels)
    num_columns = len(panels) if len(panels) <= 3 else 2
    canvas = plotting.new_figure((0.75 + 0.27 * most) * -(-len(panels) // num_columns))
    axes = plotting.small_multiples(canvas, len(panels), num_columns)
    for index, (ax, (title, found)) in enumerate(zip(axes, panels, strict=True)):
        _draw_counts(ax, title, found, plotting.look(index))
        ax.set_ylim(most - 0.5, -0.5)  # bars of one thickness in all panels
    num_salvaged = sum(len(row.salvaged) for row in rows)
    salvaged = f" {counted(num_salvaged, 'object')} stood complete before the text was cut." if num_salvaged else ""
    return Picture(
        slug="texts",
        title="How the texts were read",
        caption=f"Of {counted(len(rows), 'record')}. Repaired texts are read to the end and lose nothing; those that "
        "are truncated, empty output or no JSON count as answers without objects." + salvaged,
        section=SECTION,
        canvas=canvas,
    )


def _draw_counts(ax: Axes, title: str, found: Mapping[str, int], looks: plotting.Look) -> Axes:
    plotting.bars(ax, [words(name) for name in found], [("", list(found.values()), None, looks)], ",.0f")
    ax.set_title(title)
    ax.set_xlim(0, 1.25 * max(found.values()))
    ax.xaxis.set_major_locator(MaxNLocator(5, integer=True))
    return ax

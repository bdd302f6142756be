"""Predictions to figures, from the rows alone."""

from collections.abc import Iterator

from pipeline.contract.jobs import DrawJob
from pipeline.contract.parts import VisualizePart
from pipeline.look import plotting
from pipeline.look.picture import Picture, save_sections
from schemas.rows import Figure


def draw(job: DrawJob) -> Iterator[Figure]:
    """What each model says, beside the truth."""
    return save_sections("skeleton", job.folder, [("Records", pictures(job))])


def pictures(job: DrawJob) -> Iterator[Picture]:
    """Drawn one after the other, as the report shows them."""
    canvas, (ax,) = plotting.new_panels(3.5, 1)
    for index, (label, rows) in enumerate(job.predictions.items()):
        look = plotting.look(index)
        points = sorted((row.x, row.predicted) for row in rows)
        ax.plot(*zip(*points, strict=True), linestyle="", marker=look.marker, color=look.color, label=label)
    truth = sorted({(row.x, row.y) for rows in job.predictions.values() for row in rows})
    ax.plot(*zip(*truth, strict=True), color=plotting.INK, linewidth=0.9, label="truth")
    ax.set(xlabel="x", ylabel="y")
    ax.legend()
    title = "What the model says, beside the truth"
    yield Picture(slug="curve", title=title, caption="A point on the line is right.", canvas=canvas)


PART = VisualizePart(draw=draw)

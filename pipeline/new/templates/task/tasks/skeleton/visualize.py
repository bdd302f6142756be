"""Predictions to figures, from the rows alone."""

from collections.abc import Iterator

from pipeline.contract.jobs import DrawJob
from pipeline.contract.parts import VisualizePart
from pipeline.look import plotting

from .rows import Figure


def draw(job: DrawJob) -> Iterator[Figure]:
    """What each model says, beside the truth."""
    with plotting.style():
        figure = plotting.new_figure(3.5)
        ax = figure.subplots()
        for index, (label, rows) in enumerate(job.predictions.items()):
            look = plotting.look(index)
            points = sorted((row.x, row.predicted) for row in rows)
            ax.plot(*zip(*points, strict=True), linestyle="", marker=look.marker, color=look.color, label=label)
        truth = sorted({(row.x, row.y) for rows in job.predictions.values() for row in rows})
        ax.plot(*zip(*truth, strict=True), color=plotting.INK, linewidth=0.9, label="truth")
        ax.set_xlabel("x")
        ax.set_ylabel("y")
        ax.legend()
        plotting.save_png(figure, job.folder / "figures" / "curve.png")
    yield Figure(
        id="curve",
        path="figures/curve.png",
        title="What the model says, beside the truth",
        caption="A point on the line is right.",
        section="Records",
    )


PART = VisualizePart(draw=draw)

"""Predictions beside the truth."""

from collections.abc import Iterator

from pipeline.contract.jobs import DrawJob
from pipeline.contract.parts import VisualizePart
from pipeline.look import plotting
from schemas.rows import Figure


def draw(job: DrawJob) -> Iterator[Figure]:
    rows = next(iter(job.predictions.values()))
    with plotting.style():
        canvas = plotting.new_figure(2.0)
        canvas.subplots().scatter([row.y for row in rows], [row.predicted for row in rows])
        plotting.save_png(canvas, job.folder / "figures" / "line.png")
    yield Figure(
        task="fifth",
        id="line",
        path="figures/line.png",
        title="Predictions beside the truth",
        caption="A point on the diagonal is right.",
        section="Records",
    )


PART = VisualizePart(draw=draw)

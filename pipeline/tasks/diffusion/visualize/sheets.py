"""Sheets of images: by class and seed, the ways from noise, and the worst."""

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes

from pipeline.look import plotting
from pipeline.look.picture import Picture
from pipeline.tasks.diffusion.pixels import Pixels, apart, decode_png
from pipeline.tasks.diffusion.rows import DiffusionPrediction

MAX_CLASSES = 20  # on a sheet
_PAPER = 255


def by_class(rows: Sequence[DiffusionPrediction], num: int) -> Picture:
    """A row of images for each class that was asked for, and as many real ones beside."""
    groups: dict[str, list[DiffusionPrediction]] = {}
    for row in rows:
        groups.setdefault(row.label or "no class", []).append(row)
    names = list(groups)[:MAX_CLASSES]
    made = [[decode_png(row.image_png or "") for row in groups[name][:num]] for name in names]
    real = [[decode_png(row.real_png) for row in groups[name][:num] if row.real_png] for name in names]
    has_real = all(real)
    canvas, axes = plotting.new_panels(0.45 * len(names) + 0.8, 2 if has_real else 1)
    panels = [("generated", made), ("real, held out", real)][: len(axes)]
    for ax, (title, sheets) in zip(axes, panels, strict=True):
        show(ax, sheet(sheets))
        side = made[0][0].shape[0] + 1
        ax.set_yticks([(k + 0.5) * side for k in range(len(names))], names)
        ax.set_title(title)
    judged = [row.judged_label == row.label for row in rows if row.label is not None]
    told = f" The judge takes {np.mean(judged):.1%} of all for their class." if judged else ""
    left_out = f" {len(groups) - len(names)} more classes are not shown." if len(groups) > len(names) else ""
    return Picture(
        slug="sheet",
        title="Images by class",
        caption=f"One image a seed, the first ones of each class; beside them real images of it.{told}{left_out}",
        canvas=canvas,
    )


def ways(shown: Sequence[DiffusionPrediction]) -> Picture:
    """The denoised images on the way from noise, a row each."""
    strips = [[*apart(decode_png(row.frames_png or "")), decode_png(row.image_png or "")] for row in shown]
    canvas = plotting.new_figure(0.5 * len(shown) + 1.0)
    ax = canvas.subplots()
    show(ax, sheet(strips))
    side, first, count = strips[0][0].shape[0] + 1, shown[0].sigmas, len(strips[0]) - 1
    places = [round(k * (len(first) - 1) / max(count - 1, 1)) for k in range(count)]
    ax.set_xticks([(k + 0.5) * side for k in range(count + 1)], [*(f"{first[k]:.2g}" for k in places), "image"])
    ax.set_yticks([(k + 0.5) * side for k in range(len(shown))], [f"{row.label or 'none'}" for row in shown])
    ax.set_xlabel("noise level")
    return Picture(
        slug="ways",
        title="The way from noise",
        caption="What the model takes for the image behind the noise, from the highest level to the lowest, then the "
        "image that this led to. Levels are those of the first row.",
        canvas=canvas,
    )


def worst(rows: Sequence[DiffusionPrediction], num: int) -> Iterator[Picture]:
    """The images that the judge finds least like their class, with what it takes them for."""
    asked = [row for row in rows if row.label is not None and row.label_probability is not None]
    ordered = sorted(asked, key=lambda row: row.label_probability or 0.0)[: 2 * num]
    if not ordered:
        return
    canvas = plotting.new_figure(0.95 * (-(-len(ordered) // 10)) + 0.4)
    for ax, row in zip(plotting.small_multiples(canvas, len(ordered), 10), ordered, strict=True):
        show(ax, decode_png(row.image_png or ""))
        is_right = row.label == row.judged_label
        text = f"{row.label} {row.label_probability:.2f}" if is_right else f"{row.label} → {row.judged_label}"
        ax.set_title(text, fontsize=7, color=plotting.INK if is_right else plotting.VERMILION)
    yield Picture(
        slug="worst",
        title="The least convincing images",
        caption="Ordered by the probability that the judge gives to the class that was asked for, the lowest first. "
        "An arrow points to the class that it sees instead.",
        canvas=canvas,
        record_ids=tuple(row.id for row in ordered),
    )


def nearest(rows: Sequence[DiffusionPrediction]) -> Picture:
    """How far generated images are from the nearest training image, beside held-out ones."""
    canvas = plotting.new_figure(3.2)
    ax = canvas.subplots()
    plotting.distribution(ax, [row.nearest_train_distance or 0.0 for row in rows], plotting.look(0), "generated")
    real = [row.real_nearest_train_distance for row in rows if row.real_nearest_train_distance is not None]
    plotting.distribution(ax, real, plotting.look(1), "real, held out")
    ax.set(
        xlabel="difference to the nearest training image (root mean square)", ylabel="share of images", xlim=(0, None)
    )
    plotting.percent(ax.yaxis)
    ax.legend()
    return Picture(
        slug="nearest",
        title="Learned by heart?",
        caption="Images that repeat training images lie left of the held-out ones, which are known to be new.",
        canvas=canvas,
    )


def sheet(rows: Sequence[Sequence[Pixels]]) -> Pixels:
    """Images of one size in rows, with a pixel of paper between them."""
    side, channels = rows[0][0].shape[0], rows[0][0].shape[2]
    out = np.full((len(rows) * (side + 1), max(map(len, rows)) * (side + 1), channels), _PAPER, np.uint8)
    for y, row in enumerate(rows):
        for x, image in enumerate(row):
            top, left = y * (side + 1), x * (side + 1)
            out[top : top + side, left : left + side] = image
    return out


def show(ax: Axes, pixels: Pixels) -> Axes:
    """An image whose pixels are squares, without axes."""
    image: Any = pixels[:, :, 0] if pixels.shape[2] == 1 else pixels
    height, width = pixels.shape[:2]
    ax.imshow(image, cmap="gray", vmin=0, vmax=255, interpolation="nearest", extent=(0, width, height, 0))
    ax.set(xticks=[], yticks=[])
    ax.tick_params(length=0)
    ax.grid(False)
    ax.spines[:].set_visible(False)
    return ax

"""Helpers that draw on an Axes: what they draw, that it reads in greyscale, and that it is the same every time."""

from collections.abc import Callable
from pathlib import Path

import matplotlib
import numpy as np
import pytest
from matplotlib.axes import Axes
from matplotlib.colors import to_rgb
from PIL import Image

from pipeline.look import plotting
from pipeline.look.heat_maps import heat_map
from pipeline.look.plotting import look
from tests.conftest import ROOT

DRAWN: dict[str, Callable[[Axes], Axes]] = {
    "band": lambda ax: plotting.band(ax, [0, 1], [1, 2], ([0, 1], [2, 3]), look(0), "a"),
    "staircase": lambda ax: plotting.staircase(ax, [0, 1], [1, 0], ([1, 0], [1, 0]), look(1)),
    "distribution": lambda ax: plotting.distribution(ax, [1, 2, 2], look(2)),
    "heat_map": lambda ax: heat_map(ax, np.eye(2), texts=[["1", "0"], ["0", "1"]], is_amount=True),
    "bars": lambda ax: plotting.bars(ax, ["a", "b"], [("x", [1, 2], ([0, 1], [2, 3]), look(0))]),
    "stacked": lambda ax: plotting.stacked(ax, ["a"], [("x", [0.4], look(0)), ("y", [0.6], look(1))]),
    "shade": lambda ax: plotting.shade(ax, [(0, 1)]),
}


@pytest.fixture
def ax() -> Axes:
    with plotting.style():
        ax: Axes = plotting.new_figure(2.0).subplots()
    return ax


def draw_all(path: Path) -> bytes:
    with plotting.style():
        canvas = plotting.new_figure(4.0)
        for ax, draw in zip(plotting.small_multiples(canvas, len(DRAWN), 4), DRAWN.values(), strict=True):
            draw(ax)
        plotting.save_png(canvas, path)
    return path.read_bytes()


@pytest.fixture(scope="module")
def usual(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Everything drawn, as a file."""
    path = tmp_path_factory.mktemp("usual") / "one.png"
    draw_all(path)
    return path


def test_the_same_drawing_gives_the_same_bytes_whatever_the_users_own_settings(usual: Path, tmp_path: Path) -> None:
    with matplotlib.rc_context({"font.size": 30, "axes.facecolor": "red", "lines.linewidth": 9}):
        assert draw_all(tmp_path / "two.png") == usual.read_bytes()
        assert matplotlib.rcParams["font.size"] == 30  # and they are as they were afterwards


def test_a_png_carries_no_metadata(usual: Path) -> None:
    with Image.open(usual) as picture:
        assert picture.info == {}
        assert picture.size[0] == plotting.WIDTH_IN * plotting.DPI


def test_rare_colours_survive_the_palette(tmp_path: Path) -> None:
    with plotting.style():
        canvas = plotting.new_figure(2.0)
        ax = canvas.subplots()
        ax.imshow(np.linspace(0, 1, 10_000).reshape(100, 100), cmap="viridis")
        ax.plot([50], [50], "s", color=plotting.VERMILION, markersize=9)
        plotting.save_png(canvas, tmp_path / "one.png")
    pixels = np.asarray(Image.open(tmp_path / "one.png").convert("RGB"), dtype=int)
    wanted = np.array([round(255 * c) for c in to_rgb(plotting.VERMILION)])
    assert (np.abs(pixels - wanted).max(axis=2) < 16).sum() > 50
    assert (pixels[0, 0] == 255).all()  # paper stays white


def test_looks_differ_without_their_colour() -> None:
    looks = [look(k) for k in range(8)]
    assert len({str(one.line) + one.marker for one in looks}) == 8
    assert len({one.hatch for one in looks}) == 8
    assert look(8) == look(0)


def test_a_distribution_rises_to_one_and_marks_the_median(ax: Axes) -> None:
    plotting.distribution(ax, [3.0, 1.0, 2.0], look(0))
    steps, median = ax.lines
    assert steps.get_ydata()[-1] == 1.0
    assert (median.get_xdata()[0], median.get_ydata()[0]) == (2.0, 0.5)


def test_a_bar_says_its_value_beyond_its_interval(ax: Axes) -> None:
    plotting.bars(ax, ["bed", "job"], [("model", [1.0, 2.0], ([0.5, 1.0], [3.0, 2.5]), look(0))], ".1f")
    assert [(t.get_text(), t.xy[0]) for t in ax.texts] == [("1.0", 3.0), ("2.0", 2.5)]


def test_parts_of_a_stacked_bar_begin_where_the_one_before_ends(ax: Axes) -> None:
    plotting.stacked(ax, ["a"], [("x", [0.25], look(0)), ("y", [0.0], look(1)), ("z", [0.75], look(2))])
    first, nothing, last = ax.patches
    assert (first.get_x(), last.get_x()) == (0.0, 0.25)
    assert np.isnan(nothing.get_width())  # no edge is drawn for a part that is not there
    assert [t.get_text() for t in ax.texts] == ["25%", "75%"]


def test_error_bars_never_have_a_negative_length() -> None:
    assert plotting.whiskers([1.0], ([1.0 + 1e-12], [2.0])).tolist() == [[0.0], [1.0]]


LINE = np.linspace(0.0, 1.0, 41)


@pytest.mark.parametrize(
    ("far", "low", "high", "told"),
    [
        ([(397.0, 243.0)], 403.0, 457.0, "1 of 42 outside,\nthe farthest at (397, 243)"),
        ([(455.0, 30.0), (100.0, 455.0)], 403.0, 457.0, "2 of 43 outside,\nthe farthest at (455, 30)"),
        ([], 403.0, 457.0, ""),
        ([(390.0, 390.0)], 387.4, 457.6, ""),  # near enough: the cloud fills more than a tenth
    ],
    ids=["one", "two", "none", "near"],
)
def test_a_scatter_zooms_to_its_cloud_and_tells_what_lies_outside(
    far: list[tuple[float, float]], low: float, high: float, told: str, ax: Axes
) -> None:
    """A cloud between 405 and 455 on both axes, as the lives of a model and a script that are alike are."""
    x, y = np.concatenate(
        [np.stack([430 + 25 * np.cos(9 * LINE), 430 + 25 * np.sin(9 * LINE)]), np.array(far).reshape(-1, 2).T], axis=1
    )
    plotting.zoom_to_cloud(ax, x, y)
    assert ax.get_xlim() == ax.get_ylim()
    assert ax.get_xlim() == pytest.approx((low, high), abs=1)
    assert [text.get_text() for text in ax.texts] == [told] * bool(told)
    marks = [line for line in ax.lines if line.get_marker() == "D"]
    assert sum(len(line.get_xdata()) for line in marks) == (len(far) if told else 0)
    for line in marks:
        at = np.stack([line.get_xdata(), line.get_ydata()])
        assert ((at == ax.get_xlim()[0]) | (at == ax.get_xlim()[1])).any(axis=0).all()


def test_a_cloud_far_from_the_diagonal_is_shown_where_it_lies(ax: Axes) -> None:
    plotting.zoom_to_cloud(ax, 470 + 10 * LINE, 300 + 10 * np.sin(9 * LINE))
    assert ax.get_xlim()[0] > 460 and ax.get_ylim()[1] < 320
    assert np.ptp(ax.get_xlim()) == pytest.approx(np.ptp(ax.get_ylim()))


@pytest.mark.parametrize("number", [1, 5])
def test_points_in_one_place_have_room_around_them(number: int, ax: Axes) -> None:
    plotting.zoom_to_cloud(ax, [200.0] * number, [200.0] * number)
    assert ax.get_xlim() == ax.get_ylim() == pytest.approx((197.84, 202.16))


def test_a_dollar_in_a_name_is_a_dollar(ax: Axes, tmp_path: Path) -> None:
    with plotting.style():
        canvas = plotting.new_figure(2.0)
        canvas.subplots().set_title(r"costs $5 or $\frac{")
        plotting.save_png(canvas, tmp_path / "one.png")  # as mathematics this would raise


def test_a_legend_of_many_long_names_stays_inside_the_picture() -> None:
    with plotting.style():
        canvas = plotting.new_figure(3.0)
        ax = canvas.subplots()
        for k in range(5):
            ax.plot([0, 1], [k, k], label=f"a rather long name of the series {k}")
        plotting.legend_below(canvas, [ax, ax])
        canvas.canvas.draw()
        box = canvas.legends[0].get_window_extent()
    assert len(canvas.legends[0].get_texts()) == 5
    assert box.x0 >= 0
    assert box.x1 <= canvas.bbox.width


def test_panels_that_are_left_over_stay_empty() -> None:
    with plotting.style():
        canvas = plotting.new_figure(2.0)
        assert len(plotting.small_multiples(canvas, 3, 2)) == 3
    assert [ax.axison for ax in canvas.axes] == [True, True, True, False]


def test_pyplot_and_its_global_state_stay_out() -> None:
    texts = [path.read_text() for path in (ROOT / "pipeline").rglob("*.py")]
    assert len(texts) > 100
    assert not any("matplotlib.pyplot" in text or "import pyplot" in text for text in texts)

"""Heat maps: digits that read on every colour, and cells that tell unknown, none and little apart."""

from typing import Any

import numpy as np
import pytest
from matplotlib import colormaps
from matplotlib.axes import Axes
from matplotlib.colors import Normalize, to_rgb

from pipeline.look import heat_maps, plotting

MAPS = ["viridis", "cividis", heat_maps.PALE_TO_DARK]


@pytest.fixture
def ax() -> Axes:
    with plotting.style():
        ax: Axes = plotting.new_figure(2.0).subplots()
    return ax


def contrast(one: Any, other: Any) -> float:
    """Of two colours, after WCAG 2.2."""
    lights = []
    for color in (one, other):
        channels = np.array(to_rgb(color))
        linear = np.where(channels <= 0.04045, channels / 12.92, ((channels + 0.055) / 1.055) ** 2.4)
        lights.append(float(linear @ [0.2126, 0.7152, 0.0722]) + 0.05)
    return max(lights) / min(lights)


def ground_of(ax: Axes, column: int) -> Any:
    """The colour of a cell of the only row; None where nothing covers the hatching."""
    found = None
    for mesh in ax.collections:
        if not np.ma.getmaskarray(mesh.get_array()).ravel()[column]:
            found = tuple(mesh.to_rgba(mesh.get_array()).reshape(-1, 4)[column][:3])
    return found


@pytest.mark.parametrize("name", MAPS)
def test_colour_maps_keep_their_order_in_greyscale(name: Any) -> None:
    colors = (colormaps[name] if isinstance(name, str) else name)(np.linspace(0, 1, 64))[:, :3]
    grey = colors @ [0.2126, 0.7152, 0.0722]
    assert (np.diff(grey) > 0).all() or (np.diff(grey) < 0).all()


@pytest.mark.parametrize("name", MAPS)
def test_digits_read_on_every_colour(name: Any, ax: Axes) -> None:
    """Dark on light and light on dark: 4.5 is what WCAG asks of small text."""
    shares = np.linspace(0.0, 1.0, 101)[None]
    heat_maps.heat_map(ax, shares, color_map=name, texts=[[f"{100 * share:.0f}%" for share in shares[0]]])
    assert len(ax.texts) == 101
    assert min(contrast(text.get_color(), ground_of(ax, k)) for k, text in enumerate(ax.texts)) >= 4.5
    assert len({text.get_color() for text in ax.texts}) == 2


@pytest.mark.parametrize(
    ("shares", "texts"),
    [
        ([np.nan, 0.0, 0.003, 1.0], ["", "0", "<.5", "100"]),
        ([0.0, 0.0049, 0.005, np.nan], ["0", "<.5", "1", ""]),
        ([np.nan, np.nan, 1e-9, 0.0], ["", "", "<.5", "0"]),
    ],
)
def test_unknown_none_and_little_look_different(shares: list[float], texts: list[str], ax: Axes) -> None:
    heat_maps.share_map(ax, np.array([shares]), Normalize(0.0, 1.0))
    assert [text.get_text() for text in ax.texts] == texts
    assert ax.patches[0].get_hatch()  # below all: what no cell covers is unknown
    grounds = [ground_of(ax, k) for k in range(len(shares))]
    assert [ground is None for ground in grounds] == [bool(np.isnan(share)) for share in shares]
    none = {ground for ground, share in zip(grounds, shares, strict=True) if share == 0.0}
    assert none == {to_rgb(heat_maps.NONE)}
    assert not none & {ground for ground, share in zip(grounds, shares, strict=True) if share > 0.0}


def test_what_is_no_amount_has_a_colour_for_0(ax: Axes) -> None:
    heat_maps.heat_map(ax, np.array([[-1.0, 0.0, 1.0]]), color_map="viridis")
    assert ground_of(ax, 1) == pytest.approx(colormaps["viridis"](0.5)[:3], abs=0.01)


def test_a_heat_map_of_nothing_known_is_all_hatched(ax: Axes) -> None:
    heat_maps.share_map(ax, np.full((1, 2), np.nan), Normalize(0.0, 1.0))
    assert [ground_of(ax, k) for k in range(2)] == [None, None]
    assert {text.get_text() for text in ax.texts} == {""}
    assert ax.get_ylim() == (1, 0)  # the first row is at the top


def test_panels_share_one_scale_over_all_their_values() -> None:
    scale = heat_maps.extremes([[1.0, np.nan]], [[-2.0]])
    assert (scale.vmin, scale.vmax) == (-2.0, 1.0)

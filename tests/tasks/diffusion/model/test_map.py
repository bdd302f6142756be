"""The map: its layout, its placing of new points, and what it says of its own quality."""

import sys

import numpy as np
import pytest
import torch

from pipeline.errors import UserError
from pipeline.tasks.diffusion.model.layout import LAYOUTS, umap
from pipeline.tasks.diffusion.model.map import fit_map, place_by
from pipeline.tasks.diffusion.model.network import OwnDenoiser
from pipeline.tasks.diffusion.recipe import Map
from tests.tasks.diffusion.small_model import small_network


def clusters() -> tuple[np.ndarray, np.ndarray]:
    """Points [90, 8] around three corners, and which corner each is at."""
    generator = np.random.default_rng(0)
    corner = np.arange(90) % 3
    points = 8.0 * np.eye(8)[corner] + generator.standard_normal((90, 8))
    centred = points - points.mean(axis=0)
    _, _, axes = np.linalg.svd(centred, full_matrices=False)
    return centred @ axes.T, corner


@pytest.mark.parametrize("name", ["tsne", "umap"])
def test_a_layout_keeps_what_is_near_together_and_is_the_same_each_time(name: str) -> None:
    if name == "umap":
        pytest.importorskip("umap", reason="there is no umap-learn: pip install 'baton-pipeline[umap]'")
    points, corner = clusters()
    plane = LAYOUTS[name](points, 10.0)
    assert plane.shape == (90, 2) and np.array_equal(plane, LAYOUTS[name](points, 10.0))
    distances = np.linalg.norm(plane[:, None] - plane, axis=2) + np.diag(np.full(90, np.inf))
    nearest = np.argsort(distances, axis=1)[:, :5]
    assert (corner[nearest] == corner[:, None]).mean() > 0.97


def test_umap_is_told_to_be_an_extra_where_it_is_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "umap", None)
    with pytest.raises(UserError, match="umap-learn is not installed") as caught:
        umap(np.zeros((10, 3)), 5.0)
    assert caught.value.remedy is not None and "[umap]" in caught.value.remedy


def test_a_new_point_lies_at_the_mean_of_its_nearest_references_the_nearer_the_more() -> None:
    points = torch.tensor([[0.0], [1.0], [2.0], [3.0], [100.0]])
    coordinates = torch.cat((points, -points), 1)
    assert torch.allclose(place_by(torch.tensor([2.0]), points, coordinates), torch.tensor([2.0, -2.0]), atol=1e-4)
    placed = place_by(torch.tensor([1.25]), points, coordinates)
    weights = np.array([1.25, 0.25, 0.75]) ** -8.0
    assert placed[0].item() == pytest.approx(float(weights @ np.arange(3.0) / weights.sum()))


def test_a_map_is_of_one_layer_at_all_levels_and_places_its_own_references_where_they_are() -> None:
    denoiser = OwnDenoiser(small_network())
    options = Map(num_references=24, sigmas=(0.5, 2.0), num_components=6)
    fitted, quality = fit_map(denoiser, options)
    assert fitted.points.shape == (2, 24, 6) and fitted.coordinates.shape == (2, 24, 2)
    assert fitted.labels.tolist()[:5] == [0, 1, 2, 0, 1]
    for level, sigma in enumerate((0.45, 2.3)):
        placed = fitted.place(fitted.points[level, 7], sigma)
        assert torch.allclose(placed, fitted.coordinates[level, 7], atol=1e-3)
    assert set(quality) == {"trustworthiness", "shared_neighbours", "placement_error"}
    again, _ = fit_map(denoiser, options)
    assert all(torch.equal(one, other) for one, other in zip(fitted.buffers(), again.buffers(), strict=True))


def test_a_layer_that_is_not_there_is_told_with_those_that_are() -> None:
    with pytest.raises(UserError, match="no layer 'top'") as caught:
        fit_map(OwnDenoiser(small_network()), Map(layer="top"))
    assert "middle" in (caught.value.remedy or "")

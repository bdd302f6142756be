"""The map: its layout, its placing of new points, and what it says of its own quality."""

import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from pipeline.errors import UserError
from pipeline.model.file import load_model
from pipeline.tasks.diffusion.model.layout import LAYOUTS, MAX_FITTED, lay_out, place, tsne, umap
from pipeline.tasks.diffusion.model.map import fit_map
from pipeline.tasks.diffusion.model.network import OwnDenoiser
from pipeline.tasks.diffusion.recipe import Map
from tests.conftest import Baton
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


def test_a_new_point_lies_where_no_step_would_lessen_its_divergence_from_the_references() -> None:
    points, corner = clusters()
    plane = tsne(points, 10.0)
    new = points[:6] + 0.05
    placed = place(new, points, plane, 10.0)
    for k in range(6):
        assert np.array_equal(place(new[k : k + 1], points, plane, 10.0)[0], placed[k])  # in any company
        centre = plane[corner == corner[k]].mean(axis=0)
        away = plane[corner != corner[k]] - centre
        assert np.linalg.norm(placed[k] - centre) < np.linalg.norm(away, axis=1).min()
        squared = ((points - new[k]) ** 2).sum(axis=1)
        least = _divergence(placed[k], squared, plane)
        for turn in np.arange(8) * np.pi / 4:
            aside = np.array([np.cos(turn), np.sin(turn)])
            assert _divergence(placed[k] + aside, squared, plane) > least


def _divergence(place: np.ndarray, squared: np.ndarray, plane: np.ndarray) -> float:
    """Of the neighbourhood that ten points would make up if they counted alike, from that on the plane."""

    def share(width: float) -> np.ndarray:
        weights = np.exp(-(squared - squared.min()) * width)
        return weights / weights.sum()

    widths = np.geomspace(1e-3, 1e3, 2001)
    entropies = np.array([-(share(width) * np.log(share(width).clip(1e-300))).sum() for width in widths])
    wanted = share(widths[np.abs(entropies - np.log(10.0)).argmin()])
    kernel = 1.0 / (1.0 + ((plane - place) ** 2).sum(axis=1))
    return float((wanted * np.log(wanted.clip(1e-300) / (kernel / kernel.sum()))).sum())


@pytest.mark.parametrize("num_images", [1, 2, 3, 10])
@pytest.mark.parametrize("spread", [0.0, 1.0])
def test_few_images_and_images_that_are_alike_have_places_too(num_images: int, spread: float) -> None:
    said = spread * np.random.default_rng(0).standard_normal((num_images, 2, 8))
    for num_levels in (1, 2):
        places = np.full((num_images, num_levels, 2), np.nan, np.float32)
        lay_out(places, said[:, :num_levels], (0.6, 2.0)[:num_levels], None)
        assert np.isfinite(places).all()


def test_points_beyond_those_that_a_map_is_fitted_to_lie_among_their_like() -> None:
    points, corner = clusters()
    some, places = np.tile(points, (13, 1))[:, None], np.empty((13 * 90, 1, 2), np.float32)
    lay_out(places, some, (0.6,), None)
    assert len(some) > MAX_FITTED
    fitted, rest, own = places[:MAX_FITTED, 0], places[MAX_FITTED:, 0], np.tile(corner, 13)
    nearest = np.linalg.norm(rest[:, None] - fitted, axis=2).argmin(axis=1)
    assert (own[nearest] == own[MAX_FITTED:]).mean() > 0.97


def test_a_map_is_of_one_layer_at_all_levels_and_places_its_own_references_near_where_they_are() -> None:
    denoiser = OwnDenoiser(small_network())
    options = Map(num_references=24, sigmas=(0.5, 2.0), num_components=6)
    fitted, quality = fit_map(denoiser, options)
    assert fitted.points.shape == (2, 24, 6) and fitted.coordinates.shape == (2, 24, 2)
    assert fitted.labels.tolist()[:5] == [0, 1, 2, 0, 1]
    extent = np.linalg.norm(np.ptp(fitted.coordinates.numpy(), axis=(0, 1)))
    for level, sigma in enumerate((0.45, 2.3)):
        placed = fitted.layout.place(fitted.points[level, 7:8].numpy(), [sigma])
        assert np.linalg.norm(placed[0] - fitted.coordinates[level, 7].numpy()) < extent / 10
    assert set(quality) == {"trustworthiness", "shared_neighbours", "placement_error"}
    again, _ = fit_map(denoiser, options)
    assert all(torch.equal(one, other) for one, other in zip(fitted.buffers(), again.buffers(), strict=True))


def test_a_layer_that_is_not_there_is_told_with_those_that_are() -> None:
    with pytest.raises(UserError, match="no layer 'top'") as caught:
        fit_map(OwnDenoiser(small_network()), Map(layer="top"))
    assert "middle" in (caught.value.remedy or "")


def test_too_few_references_for_a_map_are_refused() -> None:
    with pytest.raises(UserError, match="2 references make no map"):
        fit_map(OwnDenoiser(small_network()), Map(num_references=2))
    assert fit_map(OwnDenoiser(small_network()), Map(num_references=3))[0].config.num_references == 3


def test_another_map_is_made_by_export_alone(digits_run: Path, baton: Baton, tmp_path: Path) -> None:
    recipe, runs = ("--recipe", "tiny"), digits_run.parents[1]
    other = (*recipe, "--set", "map.num_references=30")
    assert "up to date" in baton("train", "diffusion", *other, runs=runs).out
    given = ("export", "diffusion", *other, "--checkpoint", digits_run / "train/selected.checkpoint_v1")
    assert baton(*given, "--out", tmp_path / "other").code == 0
    model: Any = load_model(tmp_path / "other/model.inference_v1", task="diffusion")
    assert model.module.map.config.num_references == 30 and model.metadata["recipe"]["map"]["num_references"] == 30
    assert "up to date" in baton(*given, "--out", tmp_path / "other").out
    assert "up to date" not in baton(*given, "--out", tmp_path / "other", "--set", "map.perplexity=5").out

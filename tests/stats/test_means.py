"""Means of many columns over the same resamples of many records."""

import numpy as np
import pytest

from pipeline import stats
from pipeline.stats import intervals


def seeded(seed: int = 0) -> np.random.Generator:
    return np.random.default_rng(seed)


@pytest.mark.parametrize("strata", [None, np.arange(70_000) % 3], ids=["all", "strata"])
@pytest.mark.parametrize("kinds", ["whole", "rounded", "both", "one of each", "equal"])
def test_means_of_many_records_are_those_of_one_product(kinds: str, strata: np.ndarray | None) -> None:
    """To the last bit, though equal columns and whole numbers are added up by themselves, and in threads. (58 resamples
    are two whole chunks: the last digits of products of two or three rows depend on the number of columns.)"""
    generator = seeded()
    whole = [generator.integers(0, most, 70_000).astype(np.uint16) for most in (2, 500, 60_000)]
    rounded = [np.round(generator.random(70_000) * 500, 6) for _ in range(3)]
    columns = {
        "whole": whole,
        "rounded": rounded,
        "both": [*whole, *rounded, rounded[0], whole[1]],
        "one of each": [whole[0], rounded[0]],
        "equal": [rounded[0], rounded[0].copy()],
    }[kinds]
    matrix = np.stack(columns, axis=1).astype(np.float64)
    counts = intervals.draw_counts(70_000, seeded(3), 58, strata, intervals.PRODUCT_ELEMENTS)
    plain = np.concatenate([drawn.astype(np.float64) @ matrix for drawn in counts]) / 70_000
    assert np.array_equal(stats.resample_columns(columns, seeded(3), 58, strata), plain)

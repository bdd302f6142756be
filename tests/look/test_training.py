"""The rows of a training, gathered for its curves."""

import numpy as np
import pytest

from pipeline.look.training import gather


@pytest.mark.parametrize(
    ("num_rows", "most", "least", "num_bins"),
    [
        (100, 120, 20, 5),
        (119, 120, 20, 5),
        (39, 120, 20, 1),
        (19, 120, 20, 0),
        (100, 7, 1, 7),
        (0, 120, 1, 0),
    ],
)
def test_every_bin_of_a_training_is_full_and_the_last_one_too(
    num_rows: int, most: int, least: int, num_bins: int
) -> None:
    """The last row is far off: a bin of it alone would end the band in a spike."""
    steps = np.arange(1, num_rows + 1, dtype=np.float64)
    values = np.where(steps == num_rows, 500.0, steps % 10)
    binned = gather(steps, values, most, least)
    assert len(binned.step) == num_bins
    if least == 20 and num_bins:
        assert binned.high[-1] < 10
        assert (binned.low < binned.mean).all()
    if num_bins > 1:
        assert np.diff(binned.step).max() - np.diff(binned.step).min() <= 1.0

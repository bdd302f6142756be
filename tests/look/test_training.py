"""The rows of a training, gathered for its curves."""

import numpy as np

from pipeline.look.training import gather


def test_rows_of_a_training_are_gathered_in_even_bins() -> None:
    steps = np.arange(1, 101, dtype=np.float64)
    binned = gather(steps, steps * 2, most=120, least=20)
    assert len(binned.step) == 5
    assert binned.mean.tolist() == (binned.step * 2).tolist()
    assert (binned.low < binned.mean).all()
    assert len(gather(steps, steps, most=7).step) == 7
    assert len(gather(steps[:1], steps[:1], most=120, least=20).step) == 1
    assert len(gather([], [], most=120).step) == 0

"""Worker of the statistics benchmark: rliable, in an environment of its own.

    python -m benchmarks.peers.statistics_peer SCORES.npy NUM_RESAMPLES

``SCORES.npy`` holds an array [runs, tasks]. At each turn: the interval of its interquartile mean.
"""

import argparse
from importlib import metadata

import numpy as np
from numpy.typing import NDArray
from rliable import library, metrics

from benchmarks.harness.turns import Turns

PACKAGES = ("rliable", "numpy", "scipy", "arch", "pandas")


def interval_of_iqm(scores: NDArray[np.float64], num_resamples: int) -> dict[str, float]:
    """Point and 95 % interval, as rliable's own examples ask for them."""

    def points_of(scores: NDArray[np.float64]) -> NDArray[np.float64]:
        return np.array([metrics.aggregate_iqm(scores)])

    points, edges = library.get_interval_estimates({"it": scores}, points_of, reps=num_resamples)
    low, high = edges["it"][:, 0]
    return {"value": float(points["it"][0]), "low": float(low), "high": float(high)}


def main() -> None:
    """Measure in turns for as long as the other side asks."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("scores")
    parser.add_argument("num_resamples", type=int)
    arguments = parser.parse_args()
    scores = np.load(arguments.scores)
    turns = Turns()
    turns.pause(versions={name: metadata.version(name) for name in PACKAGES})
    while True:
        turns.pause(**interval_of_iqm(scores, arguments.num_resamples))


if __name__ == "__main__":
    main()

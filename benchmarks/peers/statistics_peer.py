"""Worker of the statistics benchmark: rliable, in an environment of its own.

    python -m benchmarks.peers.statistics_peer SCORES.npz NUM_RESAMPLES NUM_RESAMPLES

``SCORES.npz`` holds ``first`` and ``second`` [runs, tasks]. Takes turns: the interval of the interquartile mean, from
the first number of resamples; of the probability of improvement, from the second; and so on.
"""

import argparse
from collections.abc import Callable
from importlib import metadata
from typing import Any

import numpy as np
from rliable import library, metrics

from benchmarks.harness.turns import Turns

PACKAGES = ("rliable", "numpy", "scipy", "arch", "pandas")


def interval(scores: dict[str, Any], metric: Callable[..., Any], num_resamples: int) -> dict[str, float]:
    """Point and 95 % interval, as rliable's own examples ask for them."""
    points, edges = library.get_interval_estimates(scores, lambda *x: np.array([metric(*x)]), reps=num_resamples)
    low, high = edges["it"][:, 0]
    return {"value": float(points["it"][0]), "low": float(low), "high": float(high)}


def main() -> None:
    """Measure both metrics in turns for as long as the other side asks."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("scores")
    parser.add_argument("num_resamples", type=int, nargs=2)
    arguments = parser.parse_args()
    with np.load(arguments.scores) as file:
        first, second = file["first"], file["second"]
    works: dict[str, Callable[[], dict[str, float]]] = {
        "iqm": lambda: interval({"it": first}, metrics.aggregate_iqm, arguments.num_resamples[0]),
        "probability_of_improvement": lambda: interval(
            {"it": (first, second)}, metrics.probability_of_improvement, arguments.num_resamples[1]
        ),
    }
    versions = {name: metadata.version(name) for name in PACKAGES}
    turns = Turns()
    turns.pause(versions=versions)
    while True:
        for work in works.values():
            turns.pause(**work())


if __name__ == "__main__":
    main()

"""Worker of the statistics benchmark: rliable, in an environment of its own.

    python -m benchmarks.statistics_peer SCORES.npz NUM_RESAMPLES     takes turns: IQM, then probability of improvement
    python -m benchmarks.statistics_peer SCORES.npz NUM_RESAMPLES --print    the same as one JSON object

``SCORES.npz`` holds ``first`` and ``second`` [runs, tasks].
"""

import argparse
import json
from collections.abc import Callable
from importlib import metadata
from typing import Any

import numpy as np
from rliable import library, metrics

from benchmarks.turns import Turns

PACKAGES = ("rliable", "numpy", "scipy", "arch", "pandas")


def interval(scores: dict[str, Any], metric: Callable[..., Any], num_resamples: int) -> dict[str, float]:
    """Point and 95 % interval, as rliable's own examples ask for them."""
    points, edges = library.get_interval_estimates(scores, lambda *x: np.array([metric(*x)]), reps=num_resamples)
    low, high = edges["it"][:, 0]
    return {"value": float(points["it"][0]), "low": float(low), "high": float(high)}


def main() -> None:
    """Measure both metrics in turns for as long as the other side asks, or print them once."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("scores")
    parser.add_argument("num_resamples", type=int)
    parser.add_argument("--print", action="store_true")
    arguments = parser.parse_args()
    with np.load(arguments.scores) as file:
        first, second = file["first"], file["second"]
    works = {
        "iqm": lambda: interval({"it": first}, metrics.aggregate_iqm, arguments.num_resamples),
        "probability_of_improvement": lambda: interval(
            {"it": (first, second)}, metrics.probability_of_improvement, arguments.num_resamples
        ),
    }
    versions = {name: metadata.version(name) for name in PACKAGES}
    if arguments.print:
        print(json.dumps({"versions": versions, **{name: work() for name, work in works.items()}}))
        return
    turns = Turns()
    turns.pause(versions=versions)
    while True:
        for work in works.values():
            turns.pause(**work())


if __name__ == "__main__":
    main()

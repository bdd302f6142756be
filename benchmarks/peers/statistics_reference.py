"""What rliable says of small score matrices, for tests/rliable_values.json: ``.venv-rliable/bin/python -m
benchmarks.peers.statistics_reference > tests/rliable_values.json`` (`make bench` makes that environment)."""

import json
from importlib import metadata

import numpy as np
from rliable import metrics

from benchmarks.peers.statistics_peer import PACKAGES, interval

NUM_RESAMPLES = 5_000


def main() -> None:
    """Print matrices, with ties, and rliable's points and intervals of them, as JSON."""
    generator = np.random.default_rng(11)
    cases = []
    for num_first, num_second, num_tasks in ((10, 10, 5), (5, 8, 3), (25, 25, 1)):
        first = np.round(generator.gamma(2.0, size=(num_first, num_tasks)), 1)
        second = np.round(generator.gamma(1.6, size=(num_second, num_tasks)), 1)
        cases.append(
            {
                "first": first.tolist(),
                "second": second.tolist(),
                "iqm": interval({"it": first}, metrics.aggregate_iqm, NUM_RESAMPLES),
                "probability_of_improvement": interval(
                    {"it": (first, second)}, metrics.probability_of_improvement, NUM_RESAMPLES
                ),
            }
        )
    versions = {name: metadata.version(name) for name in PACKAGES}
    print(json.dumps({"num_resamples": NUM_RESAMPLES, "versions": versions, "cases": cases}, indent=1))


if __name__ == "__main__":
    main()

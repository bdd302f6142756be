"""What rliable says of small score matrices, for tests/rliable_values.json: ``.venv-rliable/bin/python -m
benchmarks.peers.statistics_reference > tests/rliable_values.json`` (`make bench` makes that environment)."""

import json
from importlib import metadata

import numpy as np

from benchmarks.peers.statistics_peer import PACKAGES, interval_of_iqm

NUM_RESAMPLES = 5_000


def main() -> None:
    """Print matrices, with ties, and rliable's points and intervals of them, as JSON."""
    generator = np.random.default_rng(11)
    cases = []
    for num_runs, num_tasks in ((10, 5), (5, 3), (25, 1)):
        scores = np.round(generator.gamma(2.0, size=(num_runs, num_tasks)), 1)
        cases.append({"scores": scores.tolist(), "iqm": interval_of_iqm(scores, NUM_RESAMPLES)})
    versions = {name: metadata.version(name) for name in PACKAGES}
    print(json.dumps({"num_resamples": NUM_RESAMPLES, "versions": versions, "cases": cases}, indent=1))


if __name__ == "__main__":
    main()

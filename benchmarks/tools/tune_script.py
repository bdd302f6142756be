"""Search for the parameters of the tuned script: `python -m benchmarks.tools.tune_script --level full`.

Seeded random search, then local refinement: an evolution strategy that keeps the best few, and moves and
narrows a normal distribution in the logarithm of the parameters to where they are (the cross-entropy method,
Rubinstein 1999). Every generation is scored on new scenarios of the monitoring domain, so that nothing is fitted to a
few towns and none of the scenarios that are reported on is seen. Prints the parameters and what they reach.
"""

import argparse
import time
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from pipeline.tasks.gridworld.town.arrays import Tables
from pipeline.tasks.gridworld.town.policies import Act, play
from pipeline.tasks.gridworld.town.rules import LEVELS
from pipeline.tasks.gridworld.town.script import NUM_PARAMETERS, follow_script
from pipeline.tasks.gridworld.town.seeds import EXAMPLES, MONITORING, derive
from pipeline.tasks.gridworld.town.step import TownBatch

Floats = NDArray[np.float64]


@dataclass(frozen=True, kw_only=True)
class Search:
    """`num_random` draws from wide ranges; then `num_generations` of `population`, of which the best `num_kept` count.

    `multipliers` are the decays that the mean wellbeing is taken over, `num_scenarios` towns for each.
    """

    level: str
    seed: int = 0
    multipliers: tuple[float, ...] = (1.0, 1.0, 1.5)
    num_scenarios: int = 32
    num_random: int = 600
    num_generations: int = 40
    population: int = 60
    num_kept: int = 12


# Wide ranges of the logarithm: weights, curvatures, then overhead, stay, idle, foresight.
_LOW = np.log(np.array([0.05] * 8 + [0.05] * 8 + [0.1, 0.001, 0.0003, 0.2]))
_HIGH = np.log(np.array([5.0] * 8 + [20.0] * 8 + [5.0, 1.0, 0.05, 2.0]))


def script_with(parameters: Floats) -> Act:
    """The script with these 20 parameters, as a policy."""

    def act(town: TownBatch, level: Tables, _: NDArray[np.uint64], __: int) -> NDArray[np.int64]:
        return follow_script(town.packed, level, parameters)

    return act


def mean_wellbeing(parameters: Floats, search: Search, seeds: NDArray[np.uint64]) -> float:
    """Mean wellbeing of the script over the scenarios `seeds` at each multiplier of the search."""
    scenarios = np.tile(seeds, len(search.multipliers))
    multipliers = np.repeat(np.array(search.multipliers), len(seeds))
    _, tally = play(script_with(parameters), search.level, scenarios, multipliers)
    return float(tally.wellbeing.mean())


def tune(search: Search) -> Floats:
    """The parameters found, float64 [20]. The same search gives the same parameters."""
    rng = np.random.default_rng(search.seed)
    stream = 0

    def score(candidates: Floats) -> Floats:
        nonlocal stream
        stream += 1
        seeds = derive(MONITORING, search.seed, np.arange(search.num_scenarios), stream=stream)
        return np.array([mean_wellbeing(np.exp(logs), search, seeds) for logs in candidates])

    candidates = rng.uniform(_LOW, _HIGH, (search.num_random, NUM_PARAMETERS))
    kept = candidates[np.argsort(-score(candidates))[: search.num_kept]]
    mean, spread = kept.mean(axis=0), kept.std(axis=0)
    for generation in range(search.num_generations):
        start = time.perf_counter()
        candidates = rng.normal(mean, spread, (search.population, NUM_PARAMETERS))
        candidates[0] = mean
        scores = score(candidates)
        kept = candidates[np.argsort(-scores)[: search.num_kept]]
        mean = 0.3 * mean + 0.7 * kept.mean(axis=0)
        spread = 0.3 * spread + 0.7 * kept.std(axis=0)
        print(
            f"generation {generation:3d}  mean of all {scores.mean():6.1f}  best {scores.max():6.1f}  "
            f"centre {scores[0]:6.1f}  spread {spread.mean():.3f}  {time.perf_counter() - start:.1f} s",
            flush=True,
        )
    found: Floats = np.exp(mean)
    return found


def main() -> None:
    """Search, then report on scenarios that the search has not seen."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--level", default="full", choices=tuple(LEVELS))
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--generations", type=int, default=40)
    parser.add_argument("--scenarios", type=int, default=32)
    arguments = parser.parse_args()
    search = Search(
        level=arguments.level,
        seed=arguments.seed,
        num_generations=arguments.generations,
        num_scenarios=arguments.scenarios,
    )
    found = tune(search)
    print(np.array2string(found, separator=", ", precision=4, suppress_small=True, max_line_width=100))
    seeds = derive(EXAMPLES, arguments.seed, np.arange(1000))
    for multiplier in (1.0, 1.5, 2.0):
        _, tally = play(script_with(np.round(found, 4)), arguments.level, seeds, multiplier)
        print(f"x{multiplier}: {tally.num_steps.mean():.1f} steps, wellbeing {tally.wellbeing.mean():.1f}")


if __name__ == "__main__":
    main()

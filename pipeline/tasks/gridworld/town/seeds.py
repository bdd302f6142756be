"""Where scenario seeds come from: training, monitoring and reported scenarios can never share one.

A seed is a whole number below 2**53, exact in every JSON reader (jq and JavaScript keep numbers as float64). Its two
highest bits name the domain, the rest is a hash, so seeds of different domains differ by construction.
"""

import numpy as np

from pipeline.tasks.gridworld.town.arrays import F64, I64, U64

TRAINING, MONITORING, EXAMPLES = 0, 1, 2
_HASH_BITS = 51
_GOLDEN = np.uint64(0x9E3779B97F4A7C15)


def mix(bits: U64) -> U64:
    """Output function of splitmix64 (Steele, Lea and Flood 2014), elementwise on uint64."""
    bits = (bits ^ (bits >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    bits = (bits ^ (bits >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return bits ^ (bits >> np.uint64(31))


def derive(domain: int, seed: int, index: I64 | int, stream: I64 | int = 0) -> U64:
    """Scenario seeds, uint64 below 2**53, for each ``index`` (and ``stream``, for example the environment's number)."""
    with np.errstate(over="ignore"):
        bits = mix(np.asarray(seed, dtype=np.uint64).reshape(-1) + _GOLDEN)
        bits = mix(bits + _GOLDEN * (np.asarray(stream, dtype=np.uint64) + np.uint64(1)))
        bits = mix(bits + _GOLDEN * (np.asarray(index, dtype=np.uint64) + np.uint64(1)))
    return (bits >> np.uint64(64 - _HASH_BITS)) | np.uint64(domain << _HASH_BITS)


def uniforms(seeds: U64, step: int, draw: int) -> F64:
    """One number in [0, 1) for each seed: a function of (seed, step, draw) alone, whatever the batch."""
    with np.errstate(over="ignore"):
        bits = mix(seeds + _GOLDEN * np.uint64(2 * step + draw + 1))
    return (bits >> np.uint64(11)).astype(np.float64) * 2.0**-53

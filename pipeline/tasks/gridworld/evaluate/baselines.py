"""The scripted policies, played on the very scenarios that a model was asked."""

from collections.abc import Sequence
from itertools import groupby

import numpy as np

from pipeline.tasks.gridworld.rows import GridworldPrediction, GridworldScore
from pipeline.tasks.gridworld.town.policies import POLICIES, Outcomes, play
from pipeline.tasks.gridworld.town.rules import METERS, PLACES, REWARDS

BAR = "tuned_script"
BASELINES = tuple(POLICIES)
DECIMALS = 6  # as predictions have


def play_baseline(policy: str, predictions: Sequence[GridworldPrediction]) -> list[GridworldScore]:
    """What the policy does in the scenario (level, seed, multiplier) of every prediction, in their order.

    Raises UserError for a level that does not exist.
    """
    scores: list[tuple[int, GridworldScore]] = []
    by_level = sorted(range(len(predictions)), key=lambda index: predictions[index].level)
    for level, indices in groupby(by_level, key=lambda index: predictions[index].level):
        members = list(indices)
        seeds = np.array([predictions[index].seed for index in members], dtype=np.uint64)
        multipliers = np.array([predictions[index].multiplier for index in members], dtype=np.float64)
        outcomes = play(policy, level, seeds, multipliers)
        scores += [(index, _score(policy, predictions[index], outcomes, row)) for row, index in enumerate(members)]
    return [score for _, score in sorted(scores, key=lambda pair: pair[0])]


def _score(policy: str, prediction: GridworldPrediction, outcomes: Outcomes, row: int) -> GridworldScore:
    cause = int(outcomes.cause[row])
    return GridworldScore(
        id=f"{prediction.id}/{policy}",
        subject=policy,
        level=prediction.level,
        seed=prediction.seed,
        multiplier=prediction.multiplier,
        num_steps=int(outcomes.num_steps[row]),
        died=bool(outcomes.died[row]),
        cause=METERS[cause] if cause >= 0 else None,
        wellbeing=round(float(outcomes.wellbeing[row]), DECIMALS),
        mean_lowest_meter=round(float(outcomes.mean_lowest_meter[row]), DECIMALS),
        returns={name: round(float(v), DECIMALS) for name, v in zip(REWARDS, outcomes.returns[row], strict=True)},
        place_uses={PLACES[place]: int(count) for place, count in enumerate(outcomes.place_uses[row]) if count},
        final_meters=[round(float(value), DECIMALS) for value in outcomes.final_meters[row]],
        num_place_kinds=int(outcomes.num_kinds_used[row]),
    )

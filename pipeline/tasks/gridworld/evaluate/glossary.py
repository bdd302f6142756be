"""What is measured in one episode: every measure with its meaning, its unit and the function that reads it.

The glossary and the computation come from the same entry, so neither can be without the other.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

from pipeline.contract.metrics import MetricDefinition
from pipeline.errors import UserError
from pipeline.look.numbers import words
from pipeline.stats import Floats
from pipeline.tasks.gridworld.rows import GridworldPrediction, GridworldScore
from pipeline.tasks.gridworld.town.rules import PLACES, REWARDS

Statistic = Literal["mean", "median", "iqm", "rate"]
Account = GridworldPrediction | GridworldScore

KILLERS = ("energy", "health")  # the meters that end a life when they reach 0
COMPONENTS = (*REWARDS, "novelty")  # what the environment pays, and what a training may add


@dataclass(frozen=True, kw_only=True)
class Measure(MetricDefinition):
    """One number of one episode (``of``), and the statistics that stand for many episodes."""

    of: Callable[[Account], float]
    statistics: tuple[Statistic, ...] = ("mean",)


def _entry(field: str, key: str) -> Callable[[Account], float]:
    return lambda score: float(getattr(score, field).get(key, 0))


def _killed_by(meter: str) -> Callable[[Account], float]:
    return lambda score: float(score.cause == meter)


RETURN_DEFINITIONS = {
    "wellbeing": "Part of the return that was paid for energy * health while alive (nothing under sparse reward).",
    "retirement": "Part of the return that was paid at the end: the bonus for reaching the cap, and under sparse "
    "reward the share of the cap that was survived.",
    "shaping": "Part of the return that came from potential-based shaping.",
    "novelty": "Part of the return that came from intrinsic novelty; 0 outside training.",
}

MEASURES: tuple[Measure, ...] = (
    Measure(
        name="survived_steps",
        unit="steps",
        better="higher",
        definition="Steps until death or until the level's cap. It saturates: on levels without opening hours scripts "
        "reach the cap in every episode, so it does not tell good from very good.",
        of=lambda score: float(score.num_steps),
        statistics=("mean", "median", "iqm"),
    ),
    Measure(
        name="survival_rate",
        unit="share",
        better="higher",
        definition="Share of episodes that reached the level's cap alive.",
        of=lambda score: float(not score.died),
        statistics=("rate",),
    ),
    Measure(
        name="wellbeing",
        unit="energy*health steps",
        better="higher",
        definition="Sum of energy * health over the steps that ended alive, without the bonus for reaching the cap. "
        "At most the cap itself, for full energy and health at every step.",
        of=lambda score: score.wellbeing,
        statistics=("mean", "median", "iqm"),
    ),
    Measure(
        name="lowest_meter",
        unit="meter",
        better="higher",
        definition="Mean over the steps of the lowest of the seven needs (all meters but money), in [0, 1]: high only "
        "for those who look after every need.",
        of=lambda score: score.mean_lowest_meter,
    ),
    *(
        Measure(
            name=f"return_{component}",
            unit="reward",
            better="higher",
            definition=f"{RETURN_DEFINITIONS[component]} Undiscounted sum over the episode.",
            of=_entry("returns", component),
        )
        for component in COMPONENTS
    ),
    *(
        Measure(
            name=f"death_by_{meter}",
            unit="share",
            better="lower",
            definition=f"Share of all episodes that ended because {meter} reached 0.",
            of=_killed_by(meter),
            statistics=("rate",),
        )
        for meter in KILLERS
    ),
    Measure(
        name="kinds_of_places",
        unit="kinds",
        better="neither",
        definition="How many kinds of places were used at least once in the episode. Few kinds with a high wellbeing "
        "mean that a short routine is enough, not that all eight meters were planned for.",
        of=lambda score: float(sum(count > 0 for count in score.place_uses.values())),
    ),
    *(
        Measure(
            name=f"uses_of_{place}",
            unit="uses",
            better="neither",
            definition=f"Uses of the {words(place)} in an episode whose effect was granted (on levels with time: "
            "completed uses).",
            of=_entry("place_uses", place),
        )
        for place in PLACES
    ),
)


UNCERTAINTY = MetricDefinition(
    name="uncertainty",
    unit="scaled Q",
    better="neither",
    definition="How far the members of an ensemble differ about the actions that it took: standard deviation of their "
    "Q-values, scaled in each state to mean 0 and deviation 1 over the allowed actions; mean over the steps.",
)
WARNING = MetricDefinition(
    name="uncertainty_warning",
    unit="1",
    better="lower",
    definition="Rank correlation over the episodes of uncertainty and wellbeing: -1 where the members differ most in "
    "the worst episodes, 0 where the uncertainty tells nothing of them.",
)


def measure(scores: Sequence[Account]) -> dict[str, Floats]:
    """Every measure of every score, by the measure's name: [N] in the order of ``scores``.

    Raises UserError where a score names a cause of death or a reward component that no measure would count.
    """
    for score in scores:
        _check_known(score)
    return {m.name: np.fromiter(map(m.of, scores), np.float64, len(scores)) for m in MEASURES}


def _check_known(score: Account) -> None:
    if score.died != (score.cause is not None) or (score.died and score.cause not in KILLERS):
        raise UserError(
            f"died is {score.died} and cause is {score.cause!r}",
            where=f"record {score.id}, field cause",
            remedy=f"a cause is one of {', '.join(KILLERS)} for a death, and null otherwise",
        )
    unknown = sorted({*score.returns} - {*COMPONENTS}) or sorted({*score.place_uses} - {*PLACES})
    if unknown:
        raise UserError(
            f"{unknown[0]!r} is neither a reward component nor a place that is known here",
            where=f"record {score.id}, fields returns and place_uses",
            remedy=f"known components: {', '.join(COMPONENTS)}; known places: {', '.join(PLACES)}",
        )

"""The row payloads of gridworld: envelopes of `schemas.rows` with this task's flat fields.

Meters are listed in the order of `rules.METERS`, actions in that of `rules.ACTIONS`, places in that of `rules.PLACES`.
Positions are (x, y) in cells from the top left corner. ``wellbeing`` is the sum of energy * health over the steps,
without the retirement bonus; ``returns`` is the undiscounted return by reward component; ``place_uses`` counts
granted effects.
"""

from typing import Literal

from msgspec import UNSET, Struct, UnsetType

from pipeline.contract.parts import RowsPart
from schemas import rows

ExploreMode = Literal["greedy", "random", "warmup"]


class Step(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One step, all of it as it was BEFORE the action, and then what the action brought.

    Before: ``hour``, ``position``, ``meters``, ``mask``, ``q`` (null where no network was asked), ``use_place``
    (index of the place in use, -1 none), ``use_ticks``, ``underfoot`` (place index, -1 none). The action
    ``action`` was taken in that state by ``mode``. Brought: ``rewards`` by component (order of the row's
    ``reward_components``), ``completed`` (place index whose effect was granted, -1 none).
    """

    hour: int
    position: tuple[int, int]
    meters: list[float]
    underfoot: int
    use_place: int
    use_ticks: int
    mask: list[bool]
    q: list[float] | None
    action: int
    mode: ExploreMode
    rewards: list[float]
    completed: int


class GridworldEpisode(rows.Episode, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A whole training episode of one watched environment. ``grid_places`` maps place keys to (x, y)."""

    task: Literal["gridworld"] = "gridworld"
    level: str
    seed: int
    multiplier: float
    num_steps: int
    died: bool
    cause: str | None
    wellbeing: float
    mean_lowest_meter: float
    returns: dict[str, float]
    place_uses: dict[str, int]
    final_meters: list[float]
    env_index: int
    episode_index: int
    epsilon: float
    stage: int
    size: int
    window: int | None
    cap: int
    grid_places: dict[str, tuple[int, int]]
    reward_components: list[str]
    trace: list[Step]


class GridworldProgress(rows.Progress, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One finished training episode, short."""

    task: Literal["gridworld"] = "gridworld"
    env_index: int
    num_steps: int
    died: bool
    cause: str | None
    wellbeing: float
    return_total: float
    epsilon: float
    stage: int
    multiplier: float


class GridworldExample(rows.Example, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One scenario: a level, a seed for positions, a decay multiplier."""

    task: Literal["gridworld"] = "gridworld"
    level: str
    seed: int
    multiplier: float


class GridworldPrediction(rows.Prediction, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One episode of the model in one scenario. ``trace`` is null beyond the number of traces that was asked for.

    ``hidden`` (recurrent networks, traced episodes only) is the hidden state before each step, rounded to 3 decimals.
    ``uncertainty`` (ensembles only) is how far the members differ about the actions that were taken: the mean over the
    steps of the standard deviation of their scaled Q-values (`model.ensemble`). Their ``q`` are the ensemble's scores.
    """

    task: Literal["gridworld"] = "gridworld"
    level: str
    seed: int
    multiplier: float
    num_steps: int
    died: bool
    cause: str | None
    wellbeing: float
    mean_lowest_meter: float
    returns: dict[str, float]
    place_uses: dict[str, int]
    final_meters: list[float]
    epsilon: float
    size: int
    window: int | None
    cap: int
    stage: int | None
    grid_places: dict[str, tuple[int, int]]
    reward_components: list[str]
    trace: list[Step] | None
    hidden: list[list[float]] | None = None
    uncertainty: float | UnsetType = UNSET


class GridworldScore(rows.Score, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What one subject (the model or a baseline policy) did in one scenario."""

    task: Literal["gridworld"] = "gridworld"
    level: str
    seed: int
    multiplier: float
    num_steps: int
    died: bool
    cause: str | None
    wellbeing: float
    mean_lowest_meter: float
    returns: dict[str, float]
    place_uses: dict[str, int]
    final_meters: list[float]
    num_place_kinds: int


# What every account of an episode says. A Struct has one base, so the rows that tell of an episode (episode,
# prediction, score) each spell these fields out; a test holds them equal.
ACCOUNT = tuple(name for name in GridworldScore.__annotations__ if name not in ("task", "num_place_kinds"))


class GridworldMonitor(rows.Monitor, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The averaged weights, greedy, on the monitoring scenarios. ``selected_by`` is the mean wellbeing."""

    task: Literal["gridworld"] = "gridworld"
    num_episodes: int
    num_steps_mean: float
    survival_rate: float
    wellbeing_mean: float
    loss: float
    num_updates: int


PART = RowsPart(
    types={
        "episode_v1": GridworldEpisode,
        "progress_v1": GridworldProgress,
        "monitor_v1": GridworldMonitor,
        "example_v1": GridworldExample,
        "prediction_v1": GridworldPrediction,
        "score_v1": GridworldScore,
        "metric_v1": rows.Metric,
        "figure_v1": rows.Figure,
    }
)

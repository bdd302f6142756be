"""Meters and Q-values: how the agent is, what it expects, how sure it is."""

import math

from pipeline.follow.scene import NOTHING, Choice, Choices, Moment, Prose, Reading, Readings, Words, prose
from pipeline.tasks.gridworld.follow.town import METER_TONES
from pipeline.tasks.gridworld.rows import GridworldEpisode
from pipeline.tasks.gridworld.town import rules
from pipeline.tasks.gridworld.town.events import DEADLY, ending, meters_at

# By what a meter at 0 does: pivotal ones kill; primary ones drain a pivotal one (fitness through the fall of health);
# secondary ones drain primary ones. Money drains nothing and pays for everything; it stands with what it pays for.
TIERS = (
    ("pivotal", "┃", (rules.ENERGY, rules.HEALTH)),
    ("primary", "│", (rules.SATIATION, rules.MOOD, rules.FITNESS, rules.MONEY)),
    ("secondary", "┆", (rules.HYGIENE, rules.SOCIAL)),
)
RATE_STEPS = 10  # a meter's rate is its mean change over this many steps
URGENT_STEPS = 20


def rates(moment: Moment) -> list[float]:
    """Mean change a step of every meter over the last `RATE_STEPS` steps; zeros in the first frame."""
    episode: GridworldEpisode = moment.episode
    start = max(moment.frame - RATE_STEPS, 0)
    before, now = (meters_at(episode, frame) for frame in (start, moment.frame))
    return [(b - a) / max(moment.frame - start, 1) for a, b in zip(before, now, strict=True)]


def steps_left(level: float, rate: float) -> int | None:
    """Whole steps until a meter reaches 0 at this rate; null when it does not fall."""
    return math.ceil(-level / rate - 1e-6) if rate < -1e-9 else None


def projected_death(moment: Moment) -> tuple[int, int] | None:
    """The deadly meter that reaches 0 first at the present rate, and in how many steps; null when none falls."""
    episode: GridworldEpisode = moment.episode
    now, rate = meters_at(episode, moment.frame), rates(moment)
    ends_in = {meter: steps_left(now[meter], rate[meter]) for meter in DEADLY}
    falling = {meter: left for meter, left in ends_in.items() if left is not None}
    return min(falling.items(), key=lambda item: item[1]) if falling else None


def read_meters(moment: Moment) -> Readings:
    """The meters in tiers, and how long the present rates can be lived with."""
    episode: GridworldEpisode = moment.episode
    now, rate = meters_at(episode, moment.frame), rates(moment)
    values = [_meter(sign, meter, now[meter], rate[meter]) for _, sign, meters in TIERS for meter in meters]
    death, note = projected_death(moment), NOTHING
    if 0 < moment.frame < len(episode.trace) and death is not None:
        urgent = death[1] <= URGENT_STEPS
        told = f"{rules.METERS[death[0]]} lasts {death[1]} steps"
        note = Words(told, "bad" if urgent else "muted", strong=urgent)
    return Readings("meters", tuple(values), note)


def _meter(sign: str, meter: int, level: float, rate: float) -> Reading:
    money = meter == rules.MONEY
    scale = rules.DOLLARS_PER_MONEY if money else 1.0
    return Reading(
        name=rules.METERS[meter],
        value=level * scale,
        high=scale,
        unit="$" if money else "",
        decimals=0 if money else 2,
        change=rate * scale,
        warning=level < rules.CASCADE_THRESHOLD and not money,
        tone=METER_TONES[meter],
        sign=sign,
    )


def read_choices(moment: Moment) -> Choices | None:
    """What the network gave for each action, and what a second one gives; null when the episode is over."""
    if moment.frame >= len(moment.episode.trace):
        return None
    step = moment.episode.trace[moment.frame]
    second = moment.opinion[moment.frame] if moment.opinion is not None else None
    options = tuple(
        Choice(
            name=name,
            value=None if step.q is None else step.q[action],
            allowed=step.mask[action],
            taken=action == step.action,
            other=None if second is None else second[action],
        )
        for action, name in enumerate(rules.ACTIONS)
    )
    if step.q is None:
        return Choices("actions", options, Words(f"{step.mode}: no Q-values", "muted"))
    return Choices("Q-values", options, Words(step.mode, "muted"))


def read_outcome(episode: GridworldEpisode) -> Prose:
    """How it ended, in place of the choices."""
    went = Words(f" {ending(episode)}", "bad" if episode.died else "good", strong=True)
    told = Words(f" {episode.num_steps} of {episode.cap} steps, wellbeing {episode.wellbeing:.1f}")
    return prose(went, told, title="the end")

"""The panels of gridworld: where it went, what it earned, how it ended, what will be; and what happened."""

from collections import Counter
from typing import NamedTuple

from pipeline.follow.scene import Event, Moment, Panel, Prose, Table, Tone, Words, prose
from pipeline.look.numbers import words
from pipeline.tasks.gridworld.follow.readings import RATE_STEPS, TIERS, URGENT_STEPS, projected_death, rates, steps_left
from pipeline.tasks.gridworld.follow.town import METER_TONES, place_tone
from pipeline.tasks.gridworld.rows import GridworldEpisode
from pipeline.tasks.gridworld.town import events, rules

_SIGNS: dict[events.Kind, tuple[str, Tone, int]] = {  # sign, tone, rank on the time line
    "died": ("†", "bad", 9),
    "retired": ("★", "good", 8),
    "low": ("!", "bad", 5),
    "lost": ("✗", "warning", 4),
    "refused": ("✗", "warning", 3),
    "recovered": ("+", "good", 0),
    "used": ("•", "accent", 2),
    "started": ("·", "muted", 0),
}


class Lasting(NamedTuple):
    """What is the same in all frames of an episode: its events, and the panel of its places."""

    events: tuple[Event, ...]
    places: Panel


# Of the episodes on screen, at most two: every frame asks for it. A row holds lists and is no key.
_remembered: list[tuple[GridworldEpisode, Lasting]] = []


def lasting(episode: GridworldEpisode) -> Lasting:
    """What all frames of an episode share; remembered for the last two asked for."""
    for known, found in _remembered:
        if known is episode:
            return found
    found = Lasting(_events(episode), Panel("places", _places(episode)))
    _remembered[:] = [*_remembered[-1:], (episode, found)]
    return found


def _events(episode: GridworldEpisode) -> tuple[Event, ...]:
    happened = [(event, *_SIGNS[event.kind]) for event in events.read_events(episode)]
    return tuple(Event(frame=one.frame, text=one.text, sign=s, tone=t, rank=r) for one, s, t, r in happened)


def read_panels(moment: Moment) -> tuple[Panel, ...]:
    """All panels besides the events."""
    return (
        Panel("visits", _visits(moment)),
        Panel("rewards", (_rewards(moment),)),
        Panel("certificate", _certificate(moment), opens_at_end=True),
        Panel("forecast", _forecast(moment)),
        lasting(moment.episode).places,
    )


def _visits(moment: Moment) -> tuple[Table, Prose]:
    """How often each cell was stood on up to this frame."""
    episode: GridworldEpisode = moment.episode
    visits = Counter(step.position for step in episode.trace[: moment.frame + 1])
    places, most = set(episode.grid_places.values()), max(visits.values(), default=1)

    def cell(at: tuple[int, int]) -> Words:
        if not visits[at]:
            return Words("○ " if at in places else "· ", "muted")
        return Words(f"{visits[at]}{':' if at in places else ' '}", heat=visits[at] / most)

    side = range(episode.size)
    share = sum(visits[at] for at in places) / max(sum(visits.values()), 1)
    told = f"{share:.0%} of the steps at places; {len(visits)} cells visited."
    table = Table(tuple(tuple(cell((x, y)) for x in side) for y in side), "r" * episode.size)
    return table, prose(Words(f"{told} 3: stood on a place, ○ a place not visited", "muted"))


def _rewards(moment: Moment) -> Table:
    """Reward by component, in this step and so far."""
    episode: GridworldEpisode = moment.episode
    trace, frame = episode.trace, moment.frame
    now = trace[frame].rewards if frame < len(trace) else [0.0] * len(episode.reward_components)
    past = [[0.0] * len(episode.reward_components), *(step.rewards for step in trace[:frame])]
    sums = [sum(rewards) for rewards in zip(*past, strict=True)]
    totals = [*zip(episode.reward_components, now, sums, strict=True), ("all", sum(now), sum(sums))]
    rows = tuple((Words(name), Words(f"{step:+.3f}"), Words(f"{total:.2f}")) for name, step, total in totals)
    return Table(rows, "lrr", heads=("", "step", "so far"))


def _certificate(moment: Moment) -> tuple[Prose | Table, ...]:
    """How the episode ended: steps, wellbeing, what killed and what fed it, places used. Not told before the end."""
    episode: GridworldEpisode = moment.episode
    if moment.frame < len(episode.trace):
        told = "The certificate is written at the end of the episode. Go there, or guess first:"
        return (prose(Words(told, "muted"), Words("does it live to the end?")),)
    head = [Words("★ CERTIFICATE OF RETIREMENT", "good", strong=True)]
    if episode.died:
        cause = Words(events.death_sentence(episode).removeprefix("died: "))
        head = [Words("† CERTIFICATE OF DEATH", "bad", strong=True), cause]
    used = sorted(episode.place_uses.items(), key=lambda item: -item[1])
    facts = {
        "survived": f"{episode.num_steps} of {episode.cap} steps",
        "wellbeing": f"{episode.wellbeing:.1f}",
        "return": f"{sum(episode.returns.values()):.2f}",
        "lowest meter": f"{episode.mean_lowest_meter:.2f} mean",
        "places used": f"{len(used)} of {len(episode.grid_places)}",
    }
    meters = enumerate(episode.final_meters)
    low = [rules.METERS[m] for m, level in meters if level < rules.CASCADE_THRESHOLD and m != rules.MONEY]
    uses = ", ".join(f"{words(key)} {number}" for key, number in used) or "none"
    tail = prose(Words(uses), Words(f"low at the end: {', '.join(low) or 'none'}", "muted"))
    return prose(*head), Table(tuple((Words(n, "muted"), Words(v)) for n, v in facts.items()), "ll"), tail


def _forecast(moment: Moment) -> tuple[Prose, Table]:
    """What the present rates lead to: the death first, then every meter's time until it kills or drains others."""
    episode: GridworldEpisode = moment.episode
    now, rate = events.meters_at(episode, moment.frame), rates(moment)
    rows = []
    for _, sign, meters in TIERS:
        for meter in (meter for meter in meters if meter != rules.MONEY):
            told, urgent = _outlook(now[meter], rate[meter], 0.0 if meter in events.DEADLY else rules.CASCADE_THRESHOLD)
            name = Words(f"{sign}{'!' if urgent else ' '}{rules.METERS[meter]}", METER_TONES[meter])
            rows.append((name, Words(f"{now[meter]:.2f}"), Words(told, "bad" if urgent else "plain", strong=urgent)))
    note = Words(f"steps at the rates of the last {RATE_STEPS}", "muted")
    return prose(_verdict(moment), note), Table(tuple(rows), "lrl")


def _verdict(moment: Moment) -> Words:
    episode: GridworldEpisode = moment.episode
    if moment.frame >= len(episode.trace):
        return Words(f"it {events.ending(episode)} at step {episode.num_steps}", strong=True)
    death = projected_death(moment)
    if death is None:
        return Words("neither energy nor health falls", "good", strong=True)
    meter, left = death
    if moment.frame + left >= episode.cap:
        return Words("it lives to the end", "good", strong=True)
    return Words(f"it dies of {rules.METERS[meter]} at step {moment.frame + left}", "bad", strong=True)


def _outlook(level: float, rate: float, floor: float) -> tuple[str, bool]:
    """What becomes of a meter, and whether that is urgent."""
    left = steps_left(level - floor, rate)
    if level <= floor:
        return "low: drains others" if floor else "is at 0", True
    if left is None:
        return "holds" if abs(rate) < 1e-9 else "rises", False
    return f"{'is low' if floor else 'kills'} in {left}", left <= URGENT_STEPS


def _places(episode: GridworldEpisode) -> tuple[Table | Prose, ...]:
    """What the places of this town are: hours, ticks, price, and the meters they raise, the most raised first."""
    temporal, rows = events.is_temporal(episode), []
    for key in episode.grid_places:
        place = rules.PLACE_TYPES[rules.PLACES.index(key)]
        price = f"${place.price * rules.DOLLARS_PER_MONEY:.0f}" if place.price else "free"
        raised = sorted(((meter, by) for meter, by in place.effects.items() if by > 0), key=lambda item: -item[1])
        told = [f"${by * rules.DOLLARS_PER_MONEY:.0f}" if m == rules.MONEY else rules.METERS[m] for m, by in raised]
        when = (events.hours_words(place), f"{place.ticks}") if temporal else ("", "")
        rows.append((Words(words(key), place_tone(key)), *map(Words, (*when, price)), Words(", ".join(told), "muted")))
    heads = ("", *(("open", "ticks") if temporal else ("", "")), "price", "raises")
    table = Table(tuple(rows), "lrrrl", heads=heads, spare=(2,))
    return (table,) if temporal else (table, prose(Words("no hours, no ticks: one INTERACT is all", "muted")))

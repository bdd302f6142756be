"""What happened in an episode, and why, told from its trace: meters that fall low, uses, refusals, the end.

Frame k (0-based) is the state before step k; frame ``num_steps`` is the state after the last step. A prediction with a
trace has all that is read of an episode here.
"""

from collections.abc import Iterator, Sequence
from typing import Literal, NamedTuple, Protocol

from pipeline.look.numbers import words
from pipeline.tasks.gridworld.rows import GridworldEpisode
from pipeline.tasks.gridworld.town import rules
from pipeline.tasks.gridworld.town.rules import Place

Kind = Literal["low", "recovered", "used", "started", "refused", "lost", "died", "retired"]
DEADLY = (rules.ENERGY, rules.HEALTH)
_ROUNDING = 1e-4  # meters in a trace are rounded to four decimals
_TYPES = dict(zip(rules.PLACES, rules.PLACE_TYPES, strict=True))


class End(Protocol):
    """The fields of an account that say how the episode ended."""

    @property
    def died(self) -> bool: ...
    @property
    def cause(self) -> str | None: ...


class Event(NamedTuple):
    """Something that is true from ``frame`` on, in one short sentence."""

    frame: int
    kind: Kind
    text: str


def ending(account: End) -> str:
    """How an episode ended, in words."""
    return f"died of {account.cause or 'unknown'}" if account.died else "retired"


def is_temporal(episode: GridworldEpisode) -> bool:
    """Whether uses take ticks and places close; not on a level that is not known."""
    level = rules.LEVELS.get(episode.level)
    return level is not None and level.temporal


def meters_at(episode: GridworldEpisode, frame: int) -> list[float]:
    """The eight meters in a frame."""
    return episode.trace[frame].meters if frame < len(episode.trace) else episode.final_meters


def read_events(episode: GridworldEpisode) -> list[Event]:
    """All events of an episode, in order."""
    places = {at: _TYPES[key] for key, at in episode.grid_places.items()}
    events: list[Event] = []
    for index, step in enumerate(episode.trace):
        events += _use(episode, index, places.get(step.position))
        events += _crossings(index + 1, step.meters, meters_at(episode, index + 1))
    last = len(episode.trace)
    if episode.died:
        events.append(Event(last, "died", death_sentence(episode)))
    elif episode.num_steps >= episode.cap:
        events.append(Event(last, "retired", f"lived all {episode.cap} steps: retired"))
    return events


def _use(episode: GridworldEpisode, index: int, place: Place | None) -> Iterator[Event]:
    """What became of an INTERACT, or of the use that a move broke off."""
    trace, frame, temporal = episode.trace, index + 1, is_temporal(episode)
    step = trace[index]
    if step.action != rules.INTERACT:
        moved = frame < len(trace) and trace[frame].position != step.position
        if moved and step.use_place >= 0:
            used = rules.PLACE_TYPES[step.use_place]
            yield Event(frame, "lost", f"left {words(used.key)} after {step.use_ticks} of {used.ticks} ticks: all lost")
        return
    if step.completed >= 0:
        done = rules.PLACE_TYPES[step.completed]
        yield Event(frame, "used", f"used {words(done.key)}: {effects_words(done)}")
    elif place is None:
        yield Event(frame, "refused", "nothing here to interact with")
    elif temporal and not place.is_open(step.hour):
        yield Event(frame, "refused", f"{words(place.key)} is closed ({hours_words(place)})")
    elif step.meters[rules.MONEY] < (price := place.price / (place.ticks if temporal else 1)) - _ROUNDING:
        asked, has = (f"${money * rules.DOLLARS_PER_MONEY:.2f}" for money in (price, step.meters[rules.MONEY]))
        yield Event(frame, "refused", f"could not afford {words(place.key)} ({asked}, has {has})")
    elif step.use_place < 0:
        yield Event(frame, "started", f"started {words(place.key)} ({place.ticks} ticks)")


def _crossings(frame: int, before: Sequence[float], after: Sequence[float]) -> Iterator[Event]:
    for meter, name in enumerate(rules.METERS):
        if meter == rules.MONEY:
            continue  # money drains nothing
        if after[meter] < rules.CASCADE_THRESHOLD <= before[meter]:
            yield Event(frame, "low", f"{name} is below {rules.CASCADE_THRESHOLD}: {consequence(meter)}")
        elif before[meter] < rules.CASCADE_THRESHOLD <= after[meter]:
            yield Event(frame, "recovered", f"{name} is above {rules.CASCADE_THRESHOLD} again")


def consequence(meter: int) -> str:
    """What a meter below the threshold does, from the cascades."""
    if meter in DEADLY:
        return "at 0 it kills"
    if meter == rules.FITNESS:
        return "health falls faster"
    drained = [rules.METERS[target] for source, target, _ in rules.CASCADES if source == meter]
    return "drains " + " and ".join(filter(None, (", ".join(drained[:-1]), drained[-1])))


def feeding_chain(killed: int, meters: Sequence[float]) -> list[int]:
    """From the meter that killed along the strongest drain to where the trouble began, which nothing drains."""
    chain = [killed]
    while len(chain) <= len(rules.METERS):
        losses = {
            source: strength * (rules.CASCADE_THRESHOLD - meters[source]) / rules.CASCADE_THRESHOLD
            for source, target, strength in rules.CASCADES
            if target == chain[-1] and meters[source] < rules.CASCADE_THRESHOLD
        }
        if chain[-1] == rules.HEALTH and meters[rules.FITNESS] < rules.CASCADE_THRESHOLD:
            losses[rules.FITNESS] = rules.HEALTH_DECAY * rules.HEALTH_UNFIT * (1 - meters[rules.FITNESS])
        if not losses:
            break
        chain.append(max(losses, key=lambda source: losses[source]))
    return chain


def death_sentence(account: GridworldEpisode) -> str:
    """``died: energy reached 0, drained by satiation (0.12)``."""
    if account.cause not in rules.METERS:
        return "died"
    chain = feeding_chain(rules.METERS.index(account.cause), account.final_meters)
    fed = "".join(f", drained by {rules.METERS[meter]} ({account.final_meters[meter]:.2f})" for meter in chain[1:])
    return f"died: {account.cause} reached 0{fed}"


def effects_words(place: Place) -> str:
    """``energy +.50, health +.02, $5.00``."""
    parts = [
        f"{rules.METERS[meter]} {signed(change)}" for meter, change in place.effects.items() if meter != rules.MONEY
    ]
    if earned := place.effects.get(rules.MONEY):
        parts.insert(0, f"earned ${earned * rules.DOLLARS_PER_MONEY:.2f}")
    if place.price:
        parts.append(f"paid ${place.price * rules.DOLLARS_PER_MONEY:.2f}")
    return ", ".join(parts)


def hours_words(place: Place) -> str:
    """``8-18``, or ``always`` open."""
    return "always" if (place.opens, place.closes) == (0, 24) else f"{place.opens}-{place.closes}"


def signed(number: float) -> str:
    """``+.50`` or ``-.02``: the sign always, the zero before the point never."""
    return f"{number:+.2f}".replace("0.", ".", 1) if abs(number) < 1 else f"{number:+.2f}"

"""The town as a grid: places by name, the agent, its trail, what it sees, the use in progress."""

from functools import cache

from pipeline.follow.scene import NOTHING, Cell, Grid, Line, Moment, Tone, Words
from pipeline.look.numbers import words
from pipeline.tasks.gridworld.rows import GridworldEpisode, Step
from pipeline.tasks.gridworld.town import rules
from pipeline.tasks.gridworld.town.events import is_temporal

TRAIL_STEPS = 16
_NIGHT_FROM, _NIGHT_TO = 20, 6

METER_TONES: tuple[Tone, ...] = ("hue1", "hue3", "hue2", "plain", "hue4", "hue5", "hue6", "hue7")  # as in rules.METERS
ACTION_SIGNS = dict(zip(rules.ACTIONS, "↑↓←→*.z~", strict=True))


@cache
def place_tone(key: str) -> Tone:
    """That of the meter that the place raises most."""
    effects = rules.PLACE_TYPES[rules.PLACES.index(key)].effects
    return METER_TONES[max(effects, key=lambda meter: effects[meter])]


def read_picture(moment: Moment) -> Grid:
    """The town in a frame; time of day above, what the agent is doing below."""
    episode: GridworldEpisode = moment.episode
    trace, frame = episode.trace, moment.frame
    step = trace[frame] if frame < len(trace) else None
    x, y = step.position if step else _last_position(episode)
    hour = step.hour if step else ((trace[-1].hour + 1) % 24 if trace else 0)
    last, sight = episode.size - 1, None
    if episode.window is not None:
        reach = episode.window // 2
        sight = (max(x - reach, 0), min(x + reach, last), max(y - reach, 0), min(y + reach, last))
    night = hour >= _NIGHT_FROM or hour < _NIGHT_TO
    doing, where = _doing(step, hour, temporal=is_temporal(episode))
    return Grid(
        columns=episode.size,
        rows=episode.size,
        cells=tuple(_cells(moment, (x, y), hour, sight or (0, last, 0, last))),
        sight=sight,
        title=(Words(f"{hour:02d}:00 ", strong=True), Words("night" if night else "day", "hue5" if night else "hue1")),
        aside=(Words(f"step {min(frame, episode.num_steps)}"), Words(f" of {episode.cap}", "muted")),
        foot=doing,
        foot_aside=where,
    )


def _cells(moment: Moment, agent: tuple[int, int], hour: int, sight: tuple[int, int, int, int]) -> list[Cell]:
    """Places, the agent and its trail. Places are strong in sight, muted where they are remembered, faint and with a
    question mark where they were not seen yet."""
    episode: GridworldEpisode = moment.episode
    places = {at: key for key, at in episode.grid_places.items()}
    signs = _trail(moment) | {agent: _agent(moment)}
    seen, temporal = _seen(episode, moment.frame), is_temporal(episode)
    cells = []
    for x, y in {**places, **signs}:
        key, visible = places.get((x, y)), sight[0] <= x <= sight[1] and sight[2] <= y <= sight[3]
        if key is None:
            cells.append(Cell(x=x, y=y, sign=signs[x, y]))
            continue
        place = rules.PLACES.index(key)
        shut = temporal and visible and not rules.PLACE_TYPES[place].is_open(hour)
        names: tuple[str, ...] = (words(key), rules.SHORT[place], rules.PLACE_CODES[place])
        tone = place_tone(key) if visible else "muted"
        if key not in seen:
            names, tone = (*(f"{name}?" for name in names), f"{names[-1][0]}?"), "faint"
        sign = signs.get((x, y), Words("shut", "muted") if shut else NOTHING)
        cells.append(Cell(x=x, y=y, names=names, tone=tone, strong=visible, sign=sign))
    return cells


def _last_position(episode: GridworldEpisode) -> tuple[int, int]:
    """Where the last action led. Walls hold; an illegal move stays."""
    if not episode.trace:
        return (0, 0)
    last = episode.trace[-1]
    dx, dy = {"up": (0, -1), "down": (0, 1), "left": (-1, 0), "right": (1, 0)}.get(rules.ACTIONS[last.action], (0, 0))
    edge = episode.size - 1
    return min(max(last.position[0] + dx, 0), edge), min(max(last.position[1] + dy, 0), edge)


def _seen(episode: GridworldEpisode, frame: int) -> set[str]:
    """Places that were inside the window in any frame so far."""
    if episode.window is None:
        return set(episode.grid_places)
    sight = episode.window // 2
    cells = {step.position for step in episode.trace[: frame + 1]}
    return {
        key
        for key, (x, y) in episode.grid_places.items()
        if any(max(abs(x - cx), abs(y - cy)) <= sight for cx, cy in cells)
    }


def _trail(moment: Moment) -> dict[tuple[int, int], Words]:
    """Where the agent was in the last steps; the sign of the older half fades."""
    start = max(moment.frame - TRAIL_STEPS, 0)
    past = moment.episode.trace[start : moment.frame]
    older = len(past) - TRAIL_STEPS // 2
    return {step.position: Words("◦", "muted") if number < older else Words("•") for number, step in enumerate(past)}


def _agent(moment: Moment) -> Words:
    """The agent, beside it the action that it takes."""
    episode: GridworldEpisode = moment.episode
    if moment.frame < len(episode.trace):
        return Words(f"@{ACTION_SIGNS[rules.ACTIONS[episode.trace[moment.frame].action]]}", "agent", strong=True)
    return Words("@†", "bad", strong=True) if episode.died else Words("@★", "agent", strong=True)


def _doing(step: Step | None, hour: int, *, temporal: bool) -> tuple[Line, Line]:
    """The action, and the use in progress or the place underfoot."""
    if step is None:
        return (Words("the end"),), ()
    name = rules.ACTIONS[step.action]
    doing = (Words(f"{ACTION_SIGNS[name]} {name}", strong=True),)
    if step.use_place >= 0:
        used = rules.PLACE_TYPES[step.use_place]
        done = "█" * step.use_ticks + "░" * (used.ticks - step.use_ticks)
        told = Words(f" {step.use_ticks} of {used.ticks}", "muted")
        return doing, (Words(f"{words(used.key)} {done}", place_tone(used.key)), told)
    if step.underfoot < 0:
        return doing, ()
    place = rules.PLACE_TYPES[step.underfoot]
    shut = ", shut" if temporal and not place.is_open(hour) else ""
    return doing, (Words(f"at {words(place.key)}{shut}", place_tone(place.key)),)

"""The panels of gridworld in the terminal: what happened, where it went, what it earned, how it ended, what will be."""

from collections import Counter

from rich.text import Text

from pipeline.follow.playback import count
from pipeline.follow.scene import Lines, Mark, Scene, Size
from pipeline.follow.text import BLUE, FAINT, GREEN, LINE, ORANGE, RED, TEXT, bar, ends, wrap
from pipeline.tasks.gridworld.follow.readings import RATE_STEPS, TIERS, projected_death, rates, steps_left
from pipeline.tasks.gridworld.follow.town import METER_COLORS, place_color
from pipeline.tasks.gridworld.rows import GridworldEpisode
from pipeline.tasks.gridworld.town import rules
from pipeline.tasks.gridworld.town.events import (
    DEADLY,
    Event,
    Kind,
    death_sentence,
    ending,
    hours_words,
    meters_at,
    read_events,
    read_town,
    words,
)
from pipeline.tasks.gridworld.town.rules import Place

_WIDE = 46  # columns of a panel that has room for everything it knows
SIGNS: dict[Kind, tuple[str, str, int]] = {  # sign, colour, rank on the timeline
    "died": ("†", RED, 9),
    "retired": ("★", GREEN, 8),
    "low": ("!", RED, 5),
    "lost": ("✗", ORANGE, 4),
    "refused": ("✗", ORANGE, 3),
    "recovered": ("+", GREEN, 0),
    "used": ("•", BLUE, 2),
    "started": ("·", FAINT, 0),
}


# Events of the episode on screen: every frame of it asks for them. A row holds lists and cannot be a dictionary's key.
_remembered: list[tuple[GridworldEpisode, list[Event]]] = []


def events_of(episode: GridworldEpisode) -> list[Event]:
    """The events of an episode; those of the last one asked for are remembered."""
    if not _remembered or _remembered[0][0] is not episode:
        _remembered[:] = [(episode, read_events(episode, episode.trace))]
    return _remembered[0][1]


def draw_marks(episode: GridworldEpisode) -> list[Mark]:
    """Events for the timeline: uses, meters that fall low, refusals, the end."""
    marked = [(event, *SIGNS[event.kind]) for event in events_of(episode)]
    return [Mark(event.frame, sign, color, rank) for event, sign, color, rank in marked if rank > 0]


def draw_caption(scene: Scene, width: int) -> Text:
    """What just happened: the latest event up to this frame, and how long ago."""
    past = [event for event in events_of(scene.episode) if event.frame <= scene.frame]
    if not past:
        return Text("a new day", FAINT)
    latest = max(past, key=lambda event: (event.frame, SIGNS[event.kind][2]))
    sign, color, _ = SIGNS[latest.kind]
    ago = scene.frame - latest.frame
    fresh = ago <= 3
    line = Text.assemble((f"{sign} ", f"bold {color}"), (latest.text, TEXT if fresh else FAINT))
    return ends(line, Text("now" if ago == 0 else f"{count(ago, 'step')} ago", FAINT), width)


def draw_events(scene: Scene, size: Size) -> Lines:
    """The event log up to this frame, the newest at the bottom."""
    lines: Lines = []
    for event in events_of(scene.episode):
        if event.frame > scene.frame:
            break
        sign, color, _ = SIGNS[event.kind]
        for row, part in enumerate(wrap(event.text, size.width - 7)):
            head = f"{event.frame:>4} " if row == 0 else "     "
            lines.append(Text.assemble((head, FAINT), (f"{sign if row == 0 else ' '} ", f"bold {color}"), (part, TEXT)))
    return lines[-size.height :] or [Text("nothing has happened yet", FAINT)]


def draw_visits(scene: Scene, size: Size) -> Lines:
    """How often each cell was stood on up to this frame: shade and count."""
    episode: GridworldEpisode = scene.episode
    visits = Counter(step.position for step in episode.trace[: scene.frame + 1])
    most = max(visits.values(), default=1)
    places = {(x, y): key for key, (x, y) in episode.grid_places.items()}
    width = 4 if size.width >= episode.size * 4 else 3
    shades = ("", LINE, "#2f5d7c", "#3c86b4", BLUE)
    lines: Lines = []
    for y in range(episode.size):
        line = Text()
        for x in range(episode.size):
            count = visits[(x, y)]
            shade = -(-4 * count // most) if count else 0
            label = f"{count}" if count else ("·" if (x, y) not in places else "○")
            ink = "#000000" if shade >= 3 else TEXT if shade else FAINT
            line.append(label.rjust(width - 1) + (":" if (x, y) in places and count else " "), _on(ink, shades[shade]))
        lines.append(line)
    share = sum(visits[at] for at in places) / max(sum(visits.values()), 1)
    notes = (
        f"{share:.0%} of the steps at places; {len(visits)} cells visited. 3: stood on a place, ○ a place not visited"
    )
    return [*lines, Text(), *(Text(part, FAINT) for part in wrap(notes, size.width))]


def _on(ink: str, ground: str) -> str:
    return f"{ink} on {ground}" if ground else ink


def draw_rewards(scene: Scene, size: Size) -> Lines:
    """Reward by component: in this step, so far, and over the whole episode."""
    episode: GridworldEpisode = scene.episode
    played = episode.trace[: scene.frame]
    step = episode.trace[scene.frame] if scene.frame < len(episode.trace) else None
    lines = [Text(f"{'':<12}{'step':>7}{'so far':>9}", FAINT)]
    totals = [sum(past.rewards[c] for past in played) for c in range(len(episode.reward_components))]
    for component, name in enumerate(episode.reward_components):
        now = f"{step.rewards[component]:+.3f}" if step else ""
        lines.append(Text(f"{name:<12.12}{now:>7}{totals[component]:>9.2f}", TEXT))
    lines.append(Text(f"{'all':<12}{sum(step.rewards) if step else 0:>+7.3f}{sum(totals):>9.2f}", f"bold {TEXT}"))
    lines += [Text(), Text("wellbeing by tenths of the cap", FAINT)]
    return lines + _by_tenths(episode, scene.frame, size.width)


def _by_tenths(episode: GridworldEpisode, frame: int, width: int) -> Lines:
    """Mean energy * health in each tenth of the cap that was begun."""
    tenth = max(episode.cap // 10, 1)
    lines = []
    for start in range(0, max(min(frame, len(episode.trace)), 1), tenth):
        span = episode.trace[start : min(start + tenth, frame + 1)]
        mean = sum(step.meters[DEADLY[0]] * step.meters[DEADLY[1]] for step in span) / max(len(span), 1)
        lines.append(
            Text.assemble((f"{start:>4} ", FAINT), (bar(mean, max(width - 11, 1)), GREEN), (f" {mean:.2f}", TEXT))
        )
    return lines


def draw_certificate(scene: Scene, size: Size) -> Lines:
    """How the episode ended: steps, wellbeing, what killed and what fed it, places used. Not told before the end."""
    episode: GridworldEpisode = scene.episode
    if scene.frame < len(episode.trace):
        told = "The certificate is written at the end of the episode. Press G to go there, or guess first:"
        return [*(Text(part, FAINT) for part in wrap(told, size.width)), Text("does it live to the end?", TEXT)]
    title = ("† CERTIFICATE OF DEATH", RED) if episode.died else ("★ CERTIFICATE OF RETIREMENT", GREEN)
    lines = [Text(title[0], f"bold {title[1]}"), Text()]
    if episode.died:
        sentence = death_sentence(episode).removeprefix("died: ")
        lines += [Text(part, TEXT) for part in wrap(sentence, size.width)] + [Text()]
    used = sorted(episode.place_uses.items(), key=lambda item: -item[1])
    facts = {
        "survived": f"{episode.num_steps} of {episode.cap} steps",
        "wellbeing": f"{episode.wellbeing:.1f}",
        "return": f"{sum(episode.returns.values()):.2f}",
        "lowest meter": f"{episode.mean_lowest_meter:.2f} mean",
        "places used": f"{len(used)} of {len(episode.grid_places)}",
    }
    lines += [Text.assemble((f"{name:<13}", FAINT), (value, TEXT)) for name, value in facts.items()]
    told = ", ".join(f"{words(key)} {uses}" for key, uses in used) or "none"
    lines += [Text(f" {part}", TEXT) for part in wrap(told, size.width - 1)]
    low = [
        rules.METERS[m]
        for m, level in enumerate(episode.final_meters)
        if level < rules.CASCADE_THRESHOLD and m != rules.MONEY
    ]
    lines += [Text(part, FAINT) for part in wrap("low at the end: " + (", ".join(low) or "none"), size.width)]
    return lines


def draw_forecast(scene: Scene, size: Size) -> Lines:
    """What the present rates lead to: the death first, then every meter's time until it kills or drains others."""
    episode: GridworldEpisode = scene.episode
    now, rate = meters_at(episode, episode.trace, scene.frame), rates(scene)
    lines = [_verdict(scene), Text(f"steps at the rates of the last {RATE_STEPS}", FAINT)]
    for _, sign, meters in TIERS:
        for meter in meters:
            if meter != rules.MONEY:
                floor = 0.0 if meter in DEADLY else rules.CASCADE_THRESHOLD
                lines.append(_forecast(sign, meter, now[meter], rate[meter], floor))
    return lines


def _verdict(scene: Scene) -> Text:
    episode: GridworldEpisode = scene.episode
    if scene.frame >= len(episode.trace):
        return Text(f"it {ending(episode)} at step {episode.num_steps}", f"bold {TEXT}")
    death = projected_death(scene)
    if death is None:
        return Text("neither energy nor health falls", f"bold {GREEN}")
    meter, left = death
    if scene.frame + left >= episode.cap:
        return Text("it lives to the end", f"bold {GREEN}")
    return Text(f"it dies of {rules.METERS[meter]} at step {scene.frame + left}", f"bold {RED}")


def _forecast(sign: str, meter: int, level: float, rate: float, floor: float) -> Text:
    left = steps_left(level - floor, rate)
    if level <= floor:
        told = "low: drains others" if floor else "is at 0"
    elif left is None:
        told = "holds" if abs(rate) < 1e-9 else "rises"
    else:
        told = f"{'is low' if floor else 'kills'} in {left}"
    urgent = level <= floor or (left is not None and left <= 20)
    return Text.assemble(
        (sign, FAINT),
        ("!" if urgent else " ", f"bold {RED}"),
        (f"{rules.METERS[meter]:<10}", METER_COLORS[meter]),
        (f"{level:.2f}  ", TEXT),
        (told, f"bold {RED}" if urgent else TEXT),
    )


def draw_places(scene: Scene, size: Size) -> Lines:
    """What the places of this town are: hours, ticks (where there is room), price, and the meters they restore."""
    episode: GridworldEpisode = scene.episode
    temporal = read_town(episode).temporal
    has_ticks = temporal and size.width >= _WIDE
    head = f"{'':<11}{'open' if temporal else '':>6}{'ticks' if has_ticks else '':>{6 * has_ticks}}{'price':>6}"
    lines = [Text(head, FAINT)]
    for key in episode.grid_places:
        place = rules.PLACE_TYPES[rules.PLACES.index(key)]
        price = f"${place.price * rules.DOLLARS_PER_MONEY:.0f}" if place.price else "free"
        ticks = f"{place.ticks if has_ticks else '':>{6 * has_ticks}}"
        told = f"{hours_words(place) if temporal else '':>6}{ticks}{price:>6}"
        room = size.width - 11 - len(told) - 1
        lines.append(
            Text.assemble((f"{words(key):<11}", place_color(key)), (told, TEXT), (f" {_restores(place, room)}", FAINT))
        )
    if not temporal:
        lines.append(Text("no hours, no ticks: one INTERACT is all", FAINT))
    return lines


def _restores(place: Place, room: int) -> str:
    """As many of the meters that a place raises as fit in ``room`` characters, the most raised first."""
    raised = sorted((item for item in place.effects.items() if item[1] > 0), key=lambda item: -item[1])
    told = ""
    for meter, change in raised:
        name = f"${change * rules.DOLLARS_PER_MONEY:.0f}" if meter == rules.MONEY else rules.METERS[meter]
        if len(told) + len(name) + 2 * bool(told) > room:
            break
        told += f", {name}" if told else name
    return told

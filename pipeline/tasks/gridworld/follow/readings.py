"""Meters and Q-values in the terminal: how the agent is, what it expects, how sure it is."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

from rich.text import Text

from pipeline.follow.scene import Lines, Scene, Size
from pipeline.follow.text import BLUE, CALM, FAINT, GREEN, LINE, RED, TEXT, bar, box, columns, ends, sparkline
from pipeline.tasks.gridworld.follow.town import METER_COLORS
from pipeline.tasks.gridworld.rows import GridworldEpisode, Step
from pipeline.tasks.gridworld.town import rules
from pipeline.tasks.gridworld.town.events import DEADLY, ending, meters_at, signed

# By what a meter at 0 does: pivotal ones kill; primary ones drain a pivotal one (fitness through the fall of health);
# secondary ones drain primary ones. Money drains nothing and pays for everything; it stands with what it pays for.
TIERS = (
    ("pivotal", "┃", (rules.ENERGY, rules.HEALTH)),
    ("primary", "│", (rules.SATIATION, rules.MOOD, rules.FITNESS, rules.MONEY)),
    ("secondary", "┆", (rules.HYGIENE, rules.SOCIAL)),
)
RATE_STEPS = 10  # a meter's rate is its mean change over this many steps
READINGS_SIZE = Size(34, 18)
NUM_RECENT = 60
_CHART_HEIGHT = 5


def draw_readings(scene: Scene, size: Size) -> Lines:
    """Meters above, Q-values below."""
    gap = [Text()] if size.height > READINGS_SIZE.height else []
    return box([*draw_meters(scene, size.width), *gap, *draw_values(scene, size.width)], size.width, size.height)


def rates(scene: Scene) -> list[float]:
    """Mean change a step of every meter over the last `RATE_STEPS` steps; zeros in the first frame."""
    episode: GridworldEpisode = scene.episode
    start = max(scene.frame - RATE_STEPS, 0)
    before, now = (meters_at(episode, episode.trace, frame) for frame in (start, scene.frame))
    return [(b - a) / max(scene.frame - start, 1) for a, b in zip(before, now, strict=True)]


def steps_left(level: float, rate: float) -> int | None:
    """Whole steps until a meter reaches 0 at this rate; null when it does not fall."""
    return math.ceil(-level / rate - 1e-6) if rate < -1e-9 else None


def projected_death(scene: Scene) -> tuple[int, int] | None:
    """The deadly meter that reaches 0 first at the present rate, and in how many steps; null when none falls."""
    episode: GridworldEpisode = scene.episode
    now, rate = meters_at(episode, episode.trace, scene.frame), rates(scene)
    ends_in = {meter: steps_left(now[meter], rate[meter]) for meter in DEADLY}
    falling = {meter: left for meter, left in ends_in.items() if left is not None}
    return min(falling.items(), key=lambda item: item[1]) if falling else None


def draw_meters(scene: Scene, width: int) -> Lines:
    """A heading and one line a meter, in tiers."""
    episode: GridworldEpisode = scene.episode
    now, rate = meters_at(episode, episode.trace, scene.frame), rates(scene)
    lines = [ends(Text("METERS", FAINT), _projection(scene), width)]
    for _, sign, meters in TIERS:
        lines += [_meter(sign, meter, now[meter], rate[meter], width) for meter in meters]
    return lines


def _projection(scene: Scene) -> Text:
    death = projected_death(scene)
    if scene.frame >= len(scene.episode.trace) or scene.frame == 0 or death is None:
        return Text()
    meter, left = death
    return Text(f"{rules.METERS[meter]} lasts {left} steps", f"bold {RED}" if left <= 20 else FAINT)


def _meter(tier: str, meter: int, level: float, rate: float, width: int) -> Text:
    """``┃!energy     ████       0.27 -.012``: tier, warning sign, name, bar, level, rate."""
    low = level < rules.CASCADE_THRESHOLD and meter != rules.MONEY
    value = f"${level * rules.DOLLARS_PER_MONEY:.0f}" if meter == rules.MONEY else f"{level:.2f}"
    change = signed(rate, 3) if abs(rate) >= 0.0005 else ""
    room = max(width - 24, 4)  # what the other columns leave
    return Text.assemble(
        (tier, FAINT),
        ("!" if low else " ", f"bold {RED}"),
        (f"{rules.METERS[meter]:<9} ", f"bold {RED}" if low else TEXT),
        (bar(level, room), f"{RED if low else METER_COLORS[meter]} on {LINE}"),
        (f" {value:>5}", f"bold {RED}" if low else TEXT),
        (f" {change:>5}", FAINT),
    )


@dataclass(frozen=True)
class Certainty:
    """How clear the choice was. ``margin``: best minus second-best legal Q-value; ``share``: margin over the range of
    the legal Q-values, 0 when two are level, 1 when there is one legal action or all others are equally bad."""

    margin: float
    share: float


def read_certainty(q: Sequence[float], mask: Sequence[bool]) -> Certainty:
    """Certainty of the greedy choice among legal actions."""
    legal = sorted((value for value, allowed in zip(q, mask, strict=True) if allowed), reverse=True)
    if len(legal) < 2:
        return Certainty(0.0, 1.0)
    spread = legal[0] - legal[-1]
    margin = legal[0] - legal[1]
    return Certainty(margin, margin / spread if spread > 0 else 0.0)


def draw_values(scene: Scene, width: int) -> Lines:
    """A heading and one line an action: bar and Q-value, masked ones marked, the chosen one marked."""
    episode: GridworldEpisode = scene.episode
    if scene.frame >= len(episode.trace):
        return _outcome(episode, width)
    step = episode.trace[scene.frame]
    second = scene.opinion[scene.frame] if scene.opinion is not None else None
    lines = [_values_heading(step, width, second)]
    lines += [_value(step, action, second, width) for action in range(len(rules.ACTIONS))]
    return lines


def _outcome(episode: GridworldEpisode, width: int) -> Lines:
    return [
        Text("THE END", FAINT),
        Text(f" {ending(episode)}", f"bold {RED if episode.died else GREEN}"),
        Text(f" {episode.num_steps} of {episode.cap} steps, wellbeing {episode.wellbeing:.1f}", TEXT),
    ]


def _values_heading(step: Step, width: int, second: Sequence[float] | None) -> Text:
    if second is not None:
        return ends(Text("Q-VALUES", FAINT), Text("recorded   model", FAINT), width)
    if step.q is None:
        return ends(Text("ACTIONS", FAINT), Text(f"{step.mode}: no Q-values", FAINT), width)
    sure = read_certainty(step.q, step.mask)
    told = f"{step.mode}, sure {sure.share:.0%} (+{sure.margin:.3f})"
    return ends(Text("Q-VALUES", FAINT), Text(told, FAINT), width)


def _value(step: Step, action: int, second: Sequence[float] | None, width: int) -> Text:
    """``▶ interact ████████████       4.213``, with the value of a second model behind it where there is one."""
    chosen, legal = action == step.action, step.mask[action]
    style = f"bold {TEXT}" if chosen else (TEXT if legal else LINE)
    line = Text.assemble(
        ("▶" if chosen else (" " if legal else "✗"), f"bold {BLUE}" if chosen else FAINT),
        (f" {rules.ACTIONS[action]:<9}", style),
    )
    tail = Text(_number(step.q, action, legal), style)
    if second is not None:
        best = max((a for a in range(len(rules.ACTIONS)) if step.mask[a]), key=lambda a: second[a])
        tail.append(_number(second, action, legal), style)
        tail.append(" ◆" if action == best else "  ", BLUE)
    room = max(width - line.cell_len - tail.cell_len, 0)
    if not legal:
        line.append(("masked" if room >= len("masked") else "").ljust(room), LINE)
    elif step.q is None:
        line.append(" " * room)
    else:
        line.append(bar(_share(step.q, step.mask, action), room), f"{BLUE if chosen else FAINT}")
    return line.append_text(tail)


def _number(q: Sequence[float] | None, action: int, legal: bool) -> str:
    return f"{q[action]:>8.3f}" if q is not None and legal else " " * 8


def _share(q: Sequence[float], mask: Sequence[bool], action: int) -> float:
    """Place of a Q-value between the worst legal one (a twentieth, to be seen) and the best (1)."""
    legal = [value for value, allowed in zip(q, mask, strict=True) if allowed]
    low, high = min(legal), max(legal)
    return 1.0 if high <= low else 0.05 + 0.95 * (q[action] - low) / (high - low)


def draw_trend(scene: Scene, size: Size) -> Lines:
    """Steps survived in recent episodes: one line, or a chart where there is room."""
    recent = [summary.num_steps for summary in scene.history]
    if not recent or size.height < 1:
        return []
    cap = scene.episode.cap
    words = f"last {recent[-1]}  mean {sum(recent) / len(recent):.0f}  best {max(recent)} of {cap}"
    title = f"SURVIVED, last {len(recent)}" if len(recent) > 1 else "SURVIVED"
    if size.height < 3:
        room = max(size.width - len(words) - len(title) - 3, 0)
        spark = sparkline(recent[-min(room, NUM_RECENT) :] if room else [], cap)
        return [Text.assemble((f"{title} ", FAINT), (spark, GREEN), (f" {words}", TEXT))]
    shown = recent[-size.width :]
    wide = max(min(size.width // len(shown), 3), 1)
    chart = columns([value for value in shown for _ in range(wide)], cap, min(size.height - 1, _CHART_HEIGHT))
    return [ends(Text(title, FAINT), Text(words, TEXT), size.width), *(Text(row, CALM) for row in chart)]

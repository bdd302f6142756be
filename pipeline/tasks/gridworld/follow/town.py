"""The town in the terminal: places by name, the agent, its trail, what it sees, the use in progress."""

from dataclasses import dataclass

from rich.text import Text

from pipeline.follow.scene import Lines, Scene, Size
from pipeline.follow.text import BLUE, DIM, FAINT, GREEN, LAKE, LINE, LIT, ORANGE, PURPLE, RED, TEXT, YELLOW
from pipeline.tasks.gridworld.rows import GridworldEpisode, Step
from pipeline.tasks.gridworld.town import rules
from pipeline.tasks.gridworld.town.events import read_town, words

# Cells of the grid, gutter not counted, largest first: a terminal cell is about twice as high as wide.
_CELLS = (Size(12, 5), Size(10, 4), Size(8, 3), Size(6, 3), Size(4, 2), Size(2, 1))
TRAIL_STEPS = 16
_NIGHT_FROM, _NIGHT_TO = 20, 6

METER_COLORS = {
    rules.ENERGY: YELLOW,
    rules.HEALTH: GREEN,
    rules.SATIATION: ORANGE,
    rules.HYGIENE: BLUE,
    rules.MOOD: PURPLE,
    rules.MONEY: TEXT,
    rules.SOCIAL: LAKE,
    rules.FITNESS: RED,
}
# What each place is mainly for: it has the colour of that meter.
_MAIN_METER = {
    "fast_food": rules.SATIATION,
    "bar": rules.SOCIAL,
    "job": rules.MONEY,
    "labor": rules.MONEY,
    "park": rules.FITNESS,
}
# Shorter names of the places: where the whole one does not fit, and where two letters do.
_SHORT_NAMES = {
    "bed": ("bed", "Bd"),
    "luxury_bed": ("luxe", "Lx"),
    "shower": ("wash", "Wa"),
    "home_meal": ("meal", "Me"),
    "fast_food": ("fast", "Ff"),
    "doctor": ("doc", "Dr"),
    "hospital": ("hosp", "Ho"),
    "therapist": ("ther", "Th"),
    "recreation": ("recr", "Re"),
    "bar": ("bar", "Ba"),
    "job": ("job", "Jo"),
    "labor": ("labr", "La"),
    "gym": ("gym", "Gy"),
    "park": ("park", "Pa"),
}
ACTION_SIGNS = dict(zip(rules.ACTIONS, "↑↓←→*.z~", strict=True))


def place_color(key: str) -> str:
    """Colour of a place: that of the meter it mainly restores."""
    effects = rules.PLACE_TYPES[rules.PLACES.index(key)].effects
    return METER_COLORS[_MAIN_METER.get(key, max(effects, key=lambda meter: effects[meter]))]


def place_name(key: str, width: int) -> str:
    """The longest name of a place that fits ``width`` cells."""
    names = (words(key), *_SHORT_NAMES.get(key, (key, key[:2])))
    return next((name for name in names if len(name) <= width), key[:width])


@dataclass(frozen=True)
class Moment:
    """What the town looks like in one frame.

    ``step`` is null in the last frame, when the episode is over; ``trail`` says how many steps ago a cell was left.
    """

    episode: GridworldEpisode
    frame: int
    step: Step | None
    position: tuple[int, int]
    hour: int
    seen: frozenset[str]
    trail: dict[tuple[int, int], int]
    closed: frozenset[str]

    def visible(self, x: int, y: int) -> bool:
        """Whether the agent sees that cell now."""
        window = self.episode.window
        return window is None or max(abs(x - self.position[0]), abs(y - self.position[1])) <= window // 2


def read_moment(scene: Scene) -> Moment:
    """The town at the frame of a gridworld scene."""
    episode: GridworldEpisode = scene.episode
    trace = episode.trace
    step = trace[scene.frame] if scene.frame < len(trace) else None
    position = step.position if step else _last_position(episode)
    hour = step.hour if step else ((trace[-1].hour + 1) % 24 if trace else 0)
    start = max(scene.frame - TRAIL_STEPS, 0)
    trail = {past.position: scene.frame - frame for frame, past in enumerate(trace[start : scene.frame], start)}
    trail.pop(position, None)
    temporal = read_town(episode).temporal
    closed = {
        key for key in episode.grid_places if temporal and not rules.PLACE_TYPES[rules.PLACES.index(key)].is_open(hour)
    }
    return Moment(episode, scene.frame, step, position, hour, _seen(episode, scene.frame), trail, frozenset(closed))


def _last_position(episode: GridworldEpisode) -> tuple[int, int]:
    """Where the last action led. Walls hold; an illegal move stays."""
    if not episode.trace:
        return (0, 0)
    last = episode.trace[-1]
    dx, dy = {"up": (0, -1), "down": (0, 1), "left": (-1, 0), "right": (1, 0)}.get(rules.ACTIONS[last.action], (0, 0))
    edge = episode.size - 1
    return min(max(last.position[0] + dx, 0), edge), min(max(last.position[1] + dy, 0), edge)


def _seen(episode: GridworldEpisode, frame: int) -> frozenset[str]:
    """Places that were inside the window in any frame so far."""
    if episode.window is None:
        return frozenset(episode.grid_places)
    sight = episode.window // 2
    cells = {step.position for step in episode.trace[: frame + 1]}
    return frozenset(
        key
        for key, (x, y) in episode.grid_places.items()
        if any(max(abs(x - cx), abs(y - cy)) <= sight for cx, cy in cells)
    )


def draw_picture(scene: Scene, size: Size) -> Lines:
    """The grid in a frame, as large as ``size`` allows. Time of day above, what the agent is doing below."""
    moment = read_moment(scene)
    side = moment.episode.size
    cell = next(
        (c for c in _CELLS if _outer(side, c).width <= size.width and _outer(side, c).height <= size.height), None
    )
    cell = cell or _CELLS[-1]
    places = {(x, y): key for key, (x, y) in moment.episode.grid_places.items()}
    lines = [_rule("╭", "╮", _outer(side, cell).width, *_heading(moment))]
    for y in range(side):
        rows = [Text() for _ in range(cell.height)]
        for x in range(side):
            for text, row in zip(_draw_cell(moment, places.get((x, y)), (x, y), cell), rows, strict=True):
                row.append_text(text)
        lines += [_fenced(moment, row, y, line, cell) for line, row in enumerate(rows)]
    lines.append(_rule("╰", "╯", _outer(side, cell).width, *_footing(moment)))
    return lines


def _outer(side: int, cell: Size) -> Size:
    """Frame included: a gutter left of every cell and right of the last, which holds the outline of the window."""
    return Size(side * (cell.width + 1) + 3, side * cell.height + 2)


def _rule(left: str, right: str, width: int, start: Text, end: Text) -> Text:
    """A line of the frame with a word at its start and one at its end."""
    if start.cell_len + end.cell_len > width - 8:
        end = Text()
    if start.cell_len > width - 8:
        start = Text()
    fill = "─" * (width - 8 - start.cell_len - end.cell_len)
    return Text.assemble((f"{left}─", LINE), _spaced(start), (fill, LINE), _spaced(end), (f"─{right}", LINE))


def _spaced(word: Text) -> Text:
    return Text.assemble(" ", word, " ") if word.cell_len else Text("──", LINE)


def _heading(moment: Moment) -> tuple[Text, Text]:
    night = moment.hour >= _NIGHT_FROM or moment.hour < _NIGHT_TO
    step = min(moment.frame, moment.episode.num_steps)
    clock = Text.assemble(
        (f"{moment.hour:02d}:00 ", f"bold {TEXT}"), ("night" if night else "day", LAKE if night else YELLOW)
    )
    return clock, Text.assemble((f"step {step}", TEXT), (f" of {moment.episode.cap}", FAINT))


def _footing(moment: Moment) -> tuple[Text, Text]:
    step = moment.step
    if step is None:
        return Text("the end", TEXT), Text()
    doing = Text.assemble((f"{ACTION_SIGNS[rules.ACTIONS[step.action]]} {rules.ACTIONS[step.action]}", f"bold {TEXT}"))
    if step.use_place >= 0:
        used = rules.PLACE_TYPES[step.use_place]
        return doing, Text.assemble(
            (f"{words(used.key)} ", place_color(used.key)),
            ("█" * step.use_ticks + "░" * (used.ticks - step.use_ticks), place_color(used.key)),
            (f" {step.use_ticks} of {used.ticks}", FAINT),
        )
    if step.underfoot < 0:
        return doing, Text()
    key = rules.PLACES[step.underfoot]
    return doing, Text(f"at {words(key)}{', shut' if key in moment.closed else ''}", place_color(key))


def _draw_cell(moment: Moment, key: str | None, at: tuple[int, int], cell: Size) -> list[Text]:
    """The lines of one cell: the name of the place on the first, the agent, trail or state on the one below."""
    width = cell.width
    name, mark = Text(" " * width), Text(" " * width)
    if key is not None:
        name = _name(moment, key, at, width)
    if at == moment.position:
        mark = _agent(moment, width)
    elif at in moment.trail:
        old = moment.trail[at] > TRAIL_STEPS // 2
        mark = Text(("◦" if old else "•").center(width), FAINT if old else TEXT)
    elif key in moment.closed and moment.visible(*at):
        mark = Text("shut".center(width), FAINT)
    elif key is None and moment.visible(*at):
        mark = Text("·".center(width), DIM)
    if cell.height == 1:
        return [mark if at == moment.position or key is None else name]
    above = (cell.height - 2) // 2
    blank = [Text(" " * width) for _ in range(cell.height - 2)]
    return [*blank[:above], name, mark, *blank[above:]]


def _name(moment: Moment, key: str, at: tuple[int, int], width: int) -> Text:
    """Bright when in sight, faint when remembered, with a question mark when not yet seen in this episode."""
    if key not in moment.seen:
        return Text((place_name(key, width - 1) + "?").center(width), DIM)
    style = f"bold {place_color(key)}" if moment.visible(*at) else FAINT
    return Text(place_name(key, width).center(width), style)


def _agent(moment: Moment, width: int) -> Text:
    """The agent in reverse, beside it the action it takes."""
    if moment.step is None:
        sign = "†" if moment.episode.died else "★"
    else:
        sign = ACTION_SIGNS[rules.ACTIONS[moment.step.action]]
    return Text(
        f"@{sign}".center(width), f"bold reverse {RED if moment.step is None and moment.episode.died else TEXT}"
    )


def _fenced(moment: Moment, row: Text, y: int, line: int, cell: Size) -> Text:
    """One line of cells between the frame's sides; in the gutters the left and right edge of what is in sight."""
    side, window = moment.episode.size, moment.episode.window
    left, right, edges = -1, -1, ("│", "│")
    if window is not None and abs(y - moment.position[1]) <= window // 2:
        (x, centre), sight = moment.position, window // 2
        left, right = max(x - sight, 0), min(x + sight, side - 1) + 1
        if line == 0 and y == max(centre - sight, 0):
            edges = ("┌", "┐")
        elif line == cell.height - 1 and y == min(centre + sight, side - 1):
            edges = ("└", "┘")
    fenced = Text("│", LINE)
    for gutter, part in enumerate([*row.divide([(x + 1) * cell.width for x in range(side - 1)]), Text()]):
        sign = edges[0] if gutter == left else edges[1] if gutter == right else " "
        lit = left <= gutter < right
        fenced.append(sign, f"{BLUE} on {LIT}" if lit or gutter == right else "")
        if lit:
            part.stylize(f"on {LIT}")
        fenced.append_text(part)
    return fenced.append("│", LINE)

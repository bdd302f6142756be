"""The rules of the town: actions, meters, places, levels and every number in them.

Plain Python, so that whoever only reads rows can import it in milliseconds. Compiled code takes the numbers
as arrays (`arrays.py`).

The table of places leaves some things open. They are decided here, once, for every implementation:

- The day starts at hour 6 (`START_HOUR`). The hour is looked at before it advances: an INTERACT
  decided at 17:00 counts as 17:00, and a place with hours 8-18 is open in the hours 8 to 17.
- Every single change of a meter (a cost, an effect, a decay, one cascade) is clamped to [0, 1] at once.
- The cost of an action comes before its effect. A move into a wall costs what a move costs.
- Cascades run one after the other in the order of `CASCADES` and read the values left by the one before.
- A use costs the same on every level: instant levels take the whole price, temporal levels take
  price / ticks for each tick. (A second list of prices per tick exists for this rule set. It disagrees
  with the whole prices for doctor, hospital, therapist and gym, and is not used.)
- A use or a tick that the agent cannot pay does nothing; the energy for trying is spent. Prices compare
  with a tolerance of 1e-9, so that money for n ticks pays n ticks in spite of rounding.
- Progress of a use is lost when the agent leaves the cell, and by nothing else: waiting, resting or an
  unpaid or closed INTERACT keep it. A completed use starts again from zero.
- On temporal levels a tick gives 75 % / ticks of the effect, and the last tick 25 % more.
- Dead is energy = 0 or health = 0 at the end of the meter updates; energy is named first when both are.
  Death comes before retirement: whoever dies on the last step did not retire.
- A cell outside the grid is "outside" in the window, not "empty".
- Money is a means and not a need: "the lowest meter" is the lowest of the other seven (`NEEDS`).
"""

from dataclasses import dataclass
from typing import NamedTuple

from pipeline.errors import UserError

ACTIONS = ("up", "down", "left", "right", "interact", "wait", "rest", "meditate")
UP, DOWN, LEFT, RIGHT, INTERACT, WAIT, REST, MEDITATE = range(8)

METERS = ("energy", "hygiene", "satiation", "money", "mood", "social", "health", "fitness")
ENERGY, HYGIENE, SATIATION, MONEY, MOOD, SOCIAL, HEALTH, FITNESS = range(8)
NEEDS = (ENERGY, HYGIENE, SATIATION, MOOD, SOCIAL, HEALTH, FITNESS)

INITIAL_METERS = (1.0, 1.0, 1.0, 0.5, 1.0, 1.0, 1.0, 1.0)
DOLLARS_PER_MONEY = 100.0
BASE_DECAY = (0.005, 0.003, 0.004, 0.0, 0.001, 0.006, 0.0, 0.002)  # a step, before the multiplier

EXERTION = 0.005  # energy for a move or an INTERACT
ACTION_EFFECTS: dict[int, dict[int, float]] = {
    UP: {ENERGY: -EXERTION},
    DOWN: {ENERGY: -EXERTION},
    LEFT: {ENERGY: -EXERTION},
    RIGHT: {ENERGY: -EXERTION},
    INTERACT: {ENERGY: -EXERTION},
    WAIT: {},
    REST: {ENERGY: 0.002, MOOD: 0.01},
    MEDITATE: {ENERGY: -0.001, MOOD: 0.02},
}

# Health falls by HEALTH_DECAY * (HEALTH_BASE + HEALTH_UNFIT * (1 - fitness)) a step.
HEALTH_DECAY, HEALTH_BASE, HEALTH_UNFIT = 0.001, 0.5, 2.5

CASCADE_THRESHOLD = 0.3
# (source, target, strength): below the threshold t the target loses strength * (t - source) / t a step.
CASCADES = (
    (SATIATION, HEALTH, 0.004),  # primary to pivotal
    (SATIATION, ENERGY, 0.005),
    (MOOD, ENERGY, 0.005),
    (HYGIENE, SATIATION, 0.002),  # secondary to primary
    (HYGIENE, FITNESS, 0.002),
    (HYGIENE, MOOD, 0.003),
    (SOCIAL, MOOD, 0.004),
    (HYGIENE, HEALTH, 0.0005),  # weak
    (HYGIENE, ENERGY, 0.0005),
    (SOCIAL, ENERGY, 0.0008),
)

HOURS_PER_DAY = 24
START_HOUR = 6
PAYMENT_TOLERANCE = 1e-9
SHARE_DURING_TICKS = 0.75
RETIREMENT_BONUS = 1.0

REWARDS = ("wellbeing", "retirement", "shaping")
"""Components of the reward that the environment computes, in the order of its columns."""


@dataclass(frozen=True, kw_only=True)
class Place:
    """One type of place: opening hours, ticks of a use, whole price (1.0 is $100), effect of a full use."""

    key: str
    opens: int = 0
    closes: int = HOURS_PER_DAY  # smaller than `opens`: open over midnight
    ticks: int
    price: float = 0.0
    effects: dict[int, float]

    def is_open(self, hour: int) -> bool:
        """Whether the place is open in the given hour, 0 to 23."""
        if self.opens <= self.closes:
            return self.opens <= hour < self.closes
        return hour >= self.opens or hour < self.closes


PLACE_TYPES = (
    Place(key="bed", ticks=5, price=0.05, effects={ENERGY: 0.5, HEALTH: 0.02}),
    Place(key="luxury_bed", ticks=6, price=0.11, effects={ENERGY: 0.75, HEALTH: 0.05}),
    Place(key="shower", ticks=3, price=0.03, effects={HYGIENE: 0.4}),
    Place(key="home_meal", ticks=2, price=0.03, effects={SATIATION: 0.338, HEALTH: 0.03}),
    Place(
        key="fast_food",
        ticks=2,
        price=0.10,
        effects={SATIATION: 0.45, ENERGY: 0.15, SOCIAL: 0.01, FITNESS: -0.03, HEALTH: -0.02},
    ),
    Place(key="doctor", opens=8, closes=18, ticks=3, price=0.08, effects={HEALTH: 0.344}),
    Place(key="hospital", ticks=6, price=0.15, effects={HEALTH: 0.7}),
    Place(key="therapist", opens=8, closes=18, ticks=4, price=0.15, effects={MOOD: 0.5}),
    Place(key="recreation", opens=8, closes=22, ticks=3, price=0.06, effects={MOOD: 0.344, ENERGY: 0.165}),
    Place(
        key="bar",
        opens=18,
        closes=4,
        ticks=2,
        price=0.15,
        effects={SOCIAL: 0.5, MOOD: 0.25, SATIATION: 0.3, ENERGY: -0.2, HYGIENE: -0.15, HEALTH: -0.05},
    ),
    Place(key="job", opens=8, closes=18, ticks=8, effects={MONEY: 0.506, ENERGY: -0.15, SOCIAL: 0.02, HEALTH: -0.03}),
    Place(
        key="labor",
        opens=8,
        closes=18,
        ticks=6,
        effects={MONEY: 0.525, ENERGY: -0.2, FITNESS: -0.05, HEALTH: -0.05, SOCIAL: 0.01},
    ),
    Place(key="gym", opens=6, closes=22, ticks=4, price=0.08, effects={FITNESS: 0.375, ENERGY: -0.08}),
    Place(key="park", opens=6, closes=22, ticks=3, effects={FITNESS: 0.2, SOCIAL: 0.15, MOOD: 0.15, ENERGY: -0.15}),
)
PLACES = tuple(place.key for place in PLACE_TYPES)
BED, LUXURY_BED, SHOWER, HOME_MEAL, FAST_FOOD, DOCTOR, HOSPITAL = range(7)
THERAPIST, RECREATION, BAR, JOB, LABOR, GYM, PARK = range(7, 14)
# What a place is called where its key does not fit, and where no more than two letters do.
SHORT = ("bed", "luxe", "wash", "meal", "fast", "doc", "hosp", "ther", "recr", "bar", "job", "labr", "gym", "park")
PLACE_CODES = ("Be", "Lu", "Sh", "Me", "FF", "Do", "Ho", "Th", "Re", "Ba", "Jo", "La", "Gy", "Pa")

MAX_SIZE_WITH_WINDOW = 8  # which cells were seen is kept in 64 bits


@dataclass(frozen=True, kw_only=True)
class Level:
    """One town: `size` x `size` cells, the types of places in it, what can be seen, how time works."""

    name: str
    size: int
    places: tuple[int, ...]  # indices into PLACES, each type once
    window: int | None = None  # side of the square around the agent that is visible; None: all of it
    temporal: bool = False  # uses take ticks and opening hours apply
    cap: int  # steps until retirement

    def __post_init__(self) -> None:
        if len(set(self.places)) != len(self.places) or not set(self.places) <= set(range(len(PLACES))):
            raise ValueError(f"places must be distinct indices below {len(PLACES)}: {self.places}")
        if self.size < 2 or self.size**2 <= len(self.places):
            raise ValueError(f"{self.size}x{self.size} cells cannot hold {len(self.places)} places and an agent")
        if self.window is not None and (self.window < 1 or self.window % 2 == 0):
            raise ValueError(f"window must be an odd number of cells, not {self.window}")
        if self.window is not None and self.size > MAX_SIZE_WITH_WINDOW:
            raise ValueError(f"a town with a window is at most {MAX_SIZE_WITH_WINDOW} cells wide, not {self.size}")
        if self.cap < 1:
            raise ValueError(f"cap must be at least one step, not {self.cap}")

    @property
    def sight(self) -> int:
        """How many cells the agent sees in each direction."""
        return self.size if self.window is None else self.window // 2


_ALL_PLACES = tuple(range(len(PLACES)))
LEVELS = {
    level.name: level
    for level in (
        Level(name="minimal", size=3, places=(BED,), cap=1000),
        Level(name="resources", size=5, places=(BED, HOME_MEAL, HOSPITAL, JOB), cap=2000),
        Level(name="full", size=8, places=_ALL_PLACES, cap=500),
        Level(name="partial", size=8, places=_ALL_PLACES, window=5, cap=500),
        Level(name="temporal", size=8, places=_ALL_PLACES, window=5, temporal=True, cap=500),
    )
}


def find_level(level: Level | str) -> Level:
    """The level of that name (a Level is passed through). Raises UserError for an unknown name."""
    if isinstance(level, Level):
        return level
    if level not in LEVELS:
        known = ", ".join(LEVELS)
        raise UserError(f"unknown level {level!r}", where="level", remedy=f"use one of: {known}")
    return LEVELS[level]


class Packed(NamedTuple):
    """Columns of a packed state row: everything an observation is made of, as float32.

    All values but the meters and the multiplier are small whole numbers, exact in float32.
    """

    agent_cell: int = 0  # row * size + column
    meters: slice = slice(1, 9)  # in [0, 1], order of METERS
    place_cells: slice = slice(9, 23)  # order of PLACES, -1 absent
    seen: int = 23  # bit p set: place p was inside the visible square at some step of this episode
    hour: int = 24  # 0 to 23
    place_in_use: int = 25  # -1 none
    ticks_done: int = 26  # of the use in progress
    num_steps: int = 27
    multiplier: int = 28  # of the base decay
    cells_seen: slice = slice(29, 32)  # like `seen` for the cells, 24 in each column: float32 holds 24 bits exactly
    width: int = 32


PACKED = Packed()

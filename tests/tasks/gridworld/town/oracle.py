"""The rules of the town, one town at a time, in plain Python: what the compiled environment has to equal.

Written to be read beside the table of rules. It shares no code and no number with `pipeline`, so a slip in
either shows up as a difference. All arithmetic is on Python floats, in the order the rules name.
"""

from dataclasses import dataclass, field

METERS = ("energy", "hygiene", "satiation", "money", "mood", "social", "health", "fitness")
INITIAL = (1.0, 1.0, 1.0, 0.5, 1.0, 1.0, 1.0, 1.0)
DECAY = {"energy": 0.005, "hygiene": 0.003, "satiation": 0.004, "mood": 0.001, "social": 0.006, "fitness": 0.002}
CASCADES = (
    ("satiation", "health", 0.004),
    ("satiation", "energy", 0.005),
    ("mood", "energy", 0.005),
    ("hygiene", "satiation", 0.002),
    ("hygiene", "fitness", 0.002),
    ("hygiene", "mood", 0.003),
    ("social", "mood", 0.004),
    ("hygiene", "health", 0.0005),
    ("hygiene", "energy", 0.0005),
    ("social", "energy", 0.0008),
)
UP, DOWN, LEFT, RIGHT, INTERACT, WAIT, REST, MEDITATE = range(8)

# key: (opens, closes, ticks, price, effects)
PLACES: dict[str, tuple[int, int, int, float, dict[str, float]]] = {
    "bed": (0, 24, 5, 0.05, {"energy": 0.5, "health": 0.02}),
    "luxury_bed": (0, 24, 6, 0.11, {"energy": 0.75, "health": 0.05}),
    "shower": (0, 24, 3, 0.03, {"hygiene": 0.4}),
    "home_meal": (0, 24, 2, 0.03, {"satiation": 0.338, "health": 0.03}),
    "fast_food": (
        *(0, 24, 2, 0.10),
        {"satiation": 0.45, "energy": 0.15, "social": 0.01, "fitness": -0.03, "health": -0.02},
    ),
    "doctor": (8, 18, 3, 0.08, {"health": 0.344}),
    "hospital": (0, 24, 6, 0.15, {"health": 0.7}),
    "therapist": (8, 18, 4, 0.15, {"mood": 0.5}),
    "recreation": (8, 22, 3, 0.06, {"mood": 0.344, "energy": 0.165}),
    "bar": (
        *(18, 4, 2, 0.15),
        {"social": 0.5, "mood": 0.25, "satiation": 0.3, "energy": -0.2, "hygiene": -0.15, "health": -0.05},
    ),
    "job": (8, 18, 8, 0.0, {"money": 0.506, "energy": -0.15, "social": 0.02, "health": -0.03}),
    "labor": (
        *(8, 18, 6, 0.0),
        {"money": 0.525, "energy": -0.2, "fitness": -0.05, "health": -0.05, "social": 0.01},
    ),
    "gym": (6, 22, 4, 0.08, {"fitness": 0.375, "energy": -0.08}),
    "park": (6, 22, 3, 0.0, {"fitness": 0.2, "social": 0.15, "mood": 0.15, "energy": -0.15}),
}
# name: (side of the grid, places, temporal, steps until retirement, side of the window)
LEVELS: dict[str, tuple[int, tuple[str, ...], bool, int, int | None]] = {
    "minimal": (3, ("bed",), False, 1000, None),
    "resources": (5, ("bed", "home_meal", "hospital", "job"), False, 2000, None),
    "full": (8, tuple(PLACES), False, 500, None),
    "partial": (8, tuple(PLACES), False, 500, 5),
    "temporal": (8, tuple(PLACES), True, 500, 5),
}
START_HOUR = 6
MASK64 = (1 << 64) - 1
GOLDEN = 0x9E3779B97F4A7C15


def splitmix64(bits: int) -> int:
    """Output function of splitmix64 on Python integers."""
    bits = ((bits ^ (bits >> 30)) * 0xBF58476D1CE4E5B9) & MASK64
    bits = ((bits ^ (bits >> 27)) * 0x94D049BB133111EB) & MASK64
    return bits ^ (bits >> 31)


def shuffled_cells(seed: int, num_cells: int, count: int) -> list[int]:
    """The first `count` cells of a random order of all cells."""
    cells = list(range(num_cells))
    start = splitmix64((seed + GOLDEN) & MASK64)
    for k in range(count):
        bits = splitmix64((start + GOLDEN * (k + 1)) & MASK64)
        other = k + (((bits >> 32) * (num_cells - k)) >> 32)
        cells[k], cells[other] = cells[other], cells[k]
    return cells[:count]


@dataclass
class Town:
    """One town. Positions are (x, y) cells from the top left corner."""

    level: str
    seed: int
    multiplier: float = 1.0
    sparse: bool = False
    shaping_weight: float = 0.0
    shaping_gamma: float = 0.99

    x: int = field(init=False)
    y: int = field(init=False)
    places: dict[str, tuple[int, int]] = field(init=False)
    meters: dict[str, float] = field(init=False)
    seen: set[str] = field(init=False, default_factory=set)
    cells_seen: set[tuple[int, int]] = field(init=False, default_factory=set)
    hour: int = field(init=False, default=START_HOUR)
    in_use: str | None = field(init=False, default=None)
    ticks_done: int = field(init=False, default=0)
    num_steps: int = field(init=False, default=0)
    died: bool = field(init=False, default=False)
    retired: bool = field(init=False, default=False)
    cause: str | None = field(init=False, default=None)
    completed: str | None = field(init=False, default=None)
    rewards: tuple[float, float, float] = field(init=False, default=(0.0, 0.0, 0.0))

    def __post_init__(self) -> None:
        self.size, keys, self.temporal, self.cap, self.window = LEVELS[self.level]
        cells = shuffled_cells(self.seed, self.size**2, len(keys) + 1)
        self.x, self.y = cells[0] % self.size, cells[0] // self.size
        self.places = {key: (c % self.size, c // self.size) for key, c in zip(keys, cells[1:], strict=True)}
        self.meters = dict(zip(METERS, INITIAL, strict=True))
        self.look()

    def look(self) -> None:
        """Remember the cells that are inside the window now, and the places in them."""
        sight = self.size if self.window is None else self.window // 2
        cells = [(x, y) for x in range(self.size) for y in range(self.size)]
        self.cells_seen |= {(x, y) for x, y in cells if abs(x - self.x) <= sight and abs(y - self.y) <= sight}
        for key, (x, y) in self.places.items():
            if abs(x - self.x) <= sight and abs(y - self.y) <= sight:
                self.seen.add(key)

    def underfoot(self) -> str | None:
        """The place the agent stands on."""
        return next((key for key, at in self.places.items() if at == (self.x, self.y)), None)

    def is_open(self, key: str) -> bool:
        """Whether the place works in this hour."""
        opens, closes = PLACES[key][:2]
        if not self.temporal:
            return True
        return opens <= self.hour < closes if opens < closes else self.hour >= opens or self.hour < closes

    def legal(self) -> list[bool]:
        """The action mask."""
        here = self.underfoot()
        last = self.size - 1
        walls = [self.y > 0, self.y < last, self.x > 0, self.x < last]
        return [*walls, here is not None and self.is_open(here), True, True, True]

    def change(self, meter: str, amount: float) -> None:
        """Add to a meter and clamp to [0, 1]."""
        self.meters[meter] = min(max(self.meters[meter] + amount, 0.0), 1.0)

    def step(self, action: int) -> None:
        """One step of the life of an agent that is neither dead nor retired."""
        potential = self.lowest_need()
        self.completed = None
        self.act(action)
        for meter, decay in DECAY.items():
            self.change(meter, -(decay * self.multiplier))
        self.change("health", -(0.001 * (0.5 + 2.5 * (1.0 - self.meters["fitness"]))))
        for source, target, strength in CASCADES:
            if self.meters[source] < 0.3:
                self.change(target, -(strength * (0.3 - self.meters[source]) / 0.3))
        self.died = self.meters["health"] <= 0.0 or self.meters["energy"] <= 0.0
        if self.died:
            self.cause = "energy" if self.meters["energy"] <= 0.0 else "health"
        self.num_steps += 1
        self.retired = not self.died and self.num_steps == self.cap
        self.rewards = self.reward(potential)
        self.hour = (self.hour + 1) % 24

    def act(self, action: int) -> None:
        """The cost of the action, then what it does."""
        if action in (UP, DOWN, LEFT, RIGHT, INTERACT):
            self.change("energy", -0.005)
        if action in (UP, DOWN, LEFT, RIGHT):
            self.move(action)
        elif action == INTERACT:
            self.interact()
        elif action == REST:
            self.change("energy", 0.002)
            self.change("mood", 0.01)
        elif action == MEDITATE:
            self.change("energy", -0.001)
            self.change("mood", 0.02)

    def move(self, action: int) -> None:
        """One cell, unless a wall is there; leaving the cell loses the progress of a use."""
        x = self.x + (action == RIGHT) - (action == LEFT)
        y = self.y + (action == DOWN) - (action == UP)
        if 0 <= x < self.size and 0 <= y < self.size:
            self.x, self.y = x, y
            self.in_use, self.ticks_done = None, 0
            self.look()

    def interact(self) -> None:
        """The whole use on instant levels, one tick of it on temporal ones, if open and paid."""
        key = self.underfoot()
        if key is None or not self.is_open(key):
            return
        _, _, ticks, price, effects = PLACES[key]
        due = price / ticks if self.temporal else price
        if self.meters["money"] < due - 1e-9:
            return
        self.change("money", -due)
        if not self.temporal:
            for meter in METERS:
                self.change(meter, effects.get(meter, 0.0))
            self.completed = key
            return
        for meter in METERS:
            self.change(meter, effects.get(meter, 0.0) * 0.75 / ticks)
        self.in_use, self.ticks_done = key, self.ticks_done + 1
        if self.ticks_done == ticks:
            for meter in METERS:
                self.change(meter, effects.get(meter, 0.0) * 0.25)
            self.completed = key
            self.in_use, self.ticks_done = None, 0

    def lowest_need(self) -> float:
        """The lowest meter, money left out."""
        return min(value for meter, value in self.meters.items() if meter != "money")

    def reward(self, potential: float) -> tuple[float, float, float]:
        """(wellbeing, retirement, shaping) of the step that has just been made."""
        wellbeing = 0.0 if self.sparse else self.meters["energy"] * self.meters["health"]
        retirement = 1.0 if self.retired else 0.0
        if self.sparse and (self.died or self.retired):
            retirement += self.num_steps / self.cap
        after = 0.0 if self.died else self.lowest_need()
        return wellbeing, retirement, self.shaping_weight * (self.shaping_gamma * after - potential)


def where_it_began(killed: str, meters: dict[str, float]) -> str:
    """From the meter that killed, along the strongest drain on each, to a meter that nothing drains."""
    meter = killed
    for _ in METERS:
        drains = [
            (strength * (0.3 - meters[source]) / 0.3, source)
            for source, target, strength in CASCADES
            if target == meter and meters[source] < 0.3
        ]
        if meter == "health" and meters["fitness"] < 0.3:
            drains.append((0.001 * 2.5 * (1.0 - meters["fitness"]), "fitness"))
        if not drains:
            break
        meter = max(drains, key=lambda drain: drain[0])[1]
    return meter

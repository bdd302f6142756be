"""Observations say what their layout says they say, and nothing that the agent cannot see."""

from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from pipeline.errors import UserError
from pipeline.tasks.gridworld.town import observe as observation
from pipeline.tasks.gridworld.town import rules
from pipeline.tasks.gridworld.town.arrays import PLACE_FEATURES
from pipeline.tasks.gridworld.town.observe import ENCODINGS, Encoding
from pipeline.tasks.gridworld.town.rules import PACKED
from pipeline.tasks.gridworld.town.step import TownBatch

FITTING: list[tuple[str, Encoding]] = [
    (level, encoding)
    for level, rule in rules.LEVELS.items()
    for encoding in ENCODINGS
    if not (encoding == "window" and rule.window is None)
    and not (encoding in ("grid", "occupancy_short") and rule.window)
]


def is_always_zero(level: str, encoding: Encoding, name: str) -> bool:
    rule = rules.LEVELS[level]
    if name == "use_progress":
        return not rule.temporal
    hidden = ("grid", "underfoot") if rule.window else ("window",)
    return encoding == "occupancy" and name in ("velocity", *hidden)


def state(
    level: str, agent: tuple[int, int], places: dict[int, tuple[int, int]], **columns: Any
) -> NDArray[np.float32]:
    """One packed row with the agent and the places at (x, y)."""
    size = rules.LEVELS[level].size
    row = np.zeros((1, PACKED.width), dtype=np.float32)
    row[0, PACKED.agent_cell] = agent[1] * size + agent[0]
    row[0, PACKED.place_cells] = -1
    row[0, PACKED.place_in_use] = -1
    for place, (x, y) in places.items():
        row[0, PACKED.place_cells.start + place] = y * size + x
    for name, value in columns.items():
        row[0, getattr(PACKED, name)] = value
    return row


def corners(*, but: dict[int, tuple[int, int]] | None = None) -> dict[int, tuple[int, int]]:
    """All 14 places in the two rightmost columns of an 8x8 town, except those given."""
    return {place: (6 + place % 2, place // 2) for place in range(14)} | (but or {})


def read_all(level: str, encoding: Encoding, rows: NDArray[np.float32], name: str) -> NDArray[np.float32]:
    """The named block of the observations [N, ...], in its shape."""
    block = next(block for block in observation.layout(level, encoding) if block.name == name)
    return observation.encode(rows, level, encoding)[:, block.start : block.stop].reshape(len(rows), *block.shape)


def read(level: str, encoding: Encoding, row: NDArray[np.float32], name: str) -> NDArray[np.float32]:
    """The named block of one observation, in its shape."""
    return read_all(level, encoding, row, name)[0]


def feature(level: str, encoding: Encoding, row: NDArray[np.float32], place: int) -> dict[str, float]:
    return dict(zip(PLACE_FEATURES, read(level, encoding, row, "places")[place].tolist(), strict=True))


def played(level: str) -> NDArray[np.float32]:
    """Packed rows from random play, all phases of an episode."""
    batch = TownBatch(level, 64)
    batch.reset(np.arange(64, dtype=np.uint64), 0.5)
    rng = np.random.default_rng(0)
    rows = []
    for _ in range(120):
        rows.append(batch.packed.copy())
        batch.step(np.where(rng.random(64) < 0.3, rules.INTERACT, rng.integers(0, 8, 64)))
    return np.concatenate(rows)


@pytest.mark.parametrize(("level", "encoding"), FITTING)
def test_blocks_cover_the_vector_without_gaps_and_bound_every_value(level: str, encoding: Encoding) -> None:
    blocks = observation.layout(level, encoding)
    assert [block.start for block in blocks] == [0, *(block.stop for block in blocks[:-1])]
    assert blocks[-1].stop == observation.observation_size(level, encoding)
    values = observation.encode(played(level), level, encoding)
    assert values.dtype == np.float32
    for block in blocks:
        assert block.stop - block.start == np.prod(block.shape)
        assert block.shape[-1] == len(block.labels)
        part = values[:, block.start : block.stop]
        assert block.low <= part.min() <= part.max() <= block.high
        assert part.any() != is_always_zero(level, encoding, block.name), (
            f"{block.name} is zero always, or where nothing should be"
        )


@pytest.mark.parametrize(("level", "encoding"), FITTING)
def test_a_row_is_encoded_alike_alone_and_in_a_batch(level: str, encoding: Encoding) -> None:
    rows = played(level)[::37]
    alone = np.concatenate([observation.encode(row[None], level, encoding) for row in rows])
    used = np.full_like(alone, 7.0)
    assert observation.encode(rows, level, encoding, out=used) is used
    assert np.array_equal(used, alone)


@pytest.mark.parametrize(
    "out", [np.empty((2, 158), np.float32), np.empty((1, 158)), np.empty((1, 316), np.float32)[:, ::2]]
)
def test_memory_that_does_not_fit_is_refused(out: Any) -> None:
    with pytest.raises(ValueError, match="out"):
        observation.encode(state("full", (0, 0), corners()), "full", "places", out=out)


def test_common_blocks_by_hand() -> None:
    row = state("temporal", (7, 2), corners(but={rules.SHOWER: (7, 2), rules.DOCTOR: (0, 0)}), hour=6)
    row[0, PACKED.meters] = np.arange(8) / 10
    row[0, PACKED.place_in_use], row[0, PACKED.ticks_done], row[0, PACKED.num_steps] = rules.SHOWER, 2, 125
    common = {name: read("temporal", "places", row, name).tolist() for name in ("position", "walls", "clock")}
    assert common["position"] == pytest.approx([1.0, 2 / 7])
    assert common["walls"] == [0, 0, 0, 1]
    assert common["clock"] == pytest.approx([1.0, 0.0], abs=1e-6)
    assert read("temporal", "places", row, "meters").tolist() == row[0, PACKED.meters].tolist()
    assert np.flatnonzero(read("temporal", "places", row, "underfoot")).tolist() == [rules.SHOWER]
    assert read("temporal", "places", row, "use_progress").tolist() == pytest.approx([2 / 3])
    assert read("temporal", "places", row, "lifetime").tolist() == [0.25]


def test_place_features_by_hand() -> None:
    row = state("full", (5, 3), corners(but={rules.BED: (1, 6)}))
    assert feature("full", "places", row, rules.BED) == pytest.approx(
        {
            "present": 1.0,
            "visible": 1.0,
            "dx": -4 / 7,
            "dy": 3 / 7,
            "sign_dx": -1.0,
            "sign_dy": 1.0,
            "here": 0.0,
            "distance": 0.5,
            "open": 1.0,
        }
    )
    here = feature("full", "places", state("full", (1, 6), corners(but={rules.BED: (1, 6)})), rules.BED)
    assert (here["here"], here["distance"], here["sign_dx"]) == (1.0, 0.0, 0.0)


def test_open_follows_the_hour_on_temporal_levels_only() -> None:
    for hour in range(24):
        row = state("temporal", (6, 5), corners(), hour=hour)
        is_open = rules.PLACE_TYPES[rules.JOB].is_open(hour)
        assert feature("temporal", "places", row, rules.JOB)["open"] == is_open
        assert feature("partial", "places", row, rules.JOB)["open"] == 1.0


@pytest.mark.parametrize("level", ["partial", "temporal"])
def test_places_outside_the_window_are_zeros_unless_remembered(level: str) -> None:
    near, far = rules.GYM, rules.BED
    places = corners(but={near: (2, 2), far: (3, 0)})
    row = state(level, (0, 0), places, seen=(1 << near) | (1 << far))
    assert feature(level, "places", row, near)["visible"] == 1.0
    assert not any(feature(level, "places", row, far).values())
    remembered = feature(level, "memory", row, far)
    assert (remembered["present"], remembered["visible"]) == (1.0, 0.0)
    assert remembered["dx"] == pytest.approx(3 / 7)
    assert not any(feature(level, "memory", row, rules.PARK).values()), "never seen"


@pytest.mark.parametrize("encoding", ["places", "memory", "window", "occupancy"])
def test_moving_an_unseen_place_changes_no_observation(encoding: Encoding) -> None:
    """The window hides: two towns that differ only out of sight look the same."""
    here = state("partial", (0, 0), corners(but={rules.BED: (5, 5)}), seen=0)
    there = state("partial", (0, 0), corners(but={rules.BED: (3, 7)}), seen=0)
    assert np.array_equal(observation.encode(here, "partial", encoding), observation.encode(there, "partial", encoding))


def test_places_that_a_level_does_not_have_are_zeros() -> None:
    row = state("minimal", (0, 0), {rules.BED: (1, 1)})
    places = read("minimal", "places", row, "places")
    assert places[rules.BED].any()
    assert not places[1:].any()


def test_the_window_tells_places_empty_cells_and_the_outside_apart() -> None:
    row = state("partial", (1, 0), corners(but={rules.BAR: (1, 0), rules.PARK: (3, 2)}))
    window = read("partial", "window", row, "window")
    empty, outside = 14, 15
    assert (window.sum(axis=-1) == 1.0).all()
    content = window.argmax(axis=-1)
    assert content[:2].tolist() == [[outside] * 5] * 2
    assert content[2].tolist() == [outside, empty, rules.BAR, empty, empty]
    assert content[4].tolist() == [outside, empty, empty, empty, rules.PARK]


def test_the_grid_tells_place_types_apart() -> None:
    row = state(
        "resources", (0, 0), {rules.BED: (4, 0), rules.HOME_MEAL: (1, 1), rules.HOSPITAL: (2, 1), rules.JOB: (0, 3)}
    )
    grid = read("resources", "grid", row, "grid")
    kinds = [[0, 4, rules.BED], [1, 1, rules.HOME_MEAL], [1, 2, rules.HOSPITAL], [3, 0, rules.JOB]]
    assert np.argwhere(grid).tolist() == kinds


@pytest.mark.parametrize(("level", "encoding"), [("full", "window"), ("partial", "grid"), ("full", "pixels")])
def test_encodings_that_do_not_fit_are_refused_with_those_that_do(level: str, encoding: Any) -> None:
    with pytest.raises(UserError) as caught:
        observation.encode(np.zeros((1, PACKED.width), dtype=np.float32), level, encoding)
    assert "places" in (caught.value.remedy or "")


def test_rows_of_another_width_are_refused() -> None:
    with pytest.raises(ValueError, match="packed"):
        observation.legal_actions(np.zeros((3, 5), dtype=np.float32), "full")


def test_legal_actions_by_hand() -> None:
    row = state("temporal", (0, 7), corners(but={rules.BAR: (0, 7)}), hour=12)
    assert observation.legal_actions(row, "temporal").tolist() == [[1, 0, 0, 1, 0, 1, 1, 1]]
    row[0, PACKED.hour] = 18
    assert observation.legal_actions(row, "temporal").tolist() == [[1, 0, 0, 1, 1, 1, 1, 1]]
    assert observation.legal_actions(row, "partial")[0, rules.INTERACT]


def test_the_nearest_unseen_cell_is_told_until_every_cell_was_seen() -> None:
    """Against a plain search over the cells, in play that walks a lot."""
    batch = TownBatch("temporal", 8)
    batch.reset(np.arange(8, dtype=np.uint64), 0.2)
    seen: list[set[tuple[int, int]]] = [set() for _ in range(8)]
    rng = np.random.default_rng(3)
    complete = 0
    for _ in range(300):
        unseen = read_all("temporal", "memory", batch.packed, "unseen")
        for i, row in enumerate(batch.packed):
            y, x = divmod(int(row[PACKED.agent_cell]), 8)
            seen[i] |= {(r, c) for r in range(8) for c in range(8) if max(abs(r - y), abs(c - x)) <= 2}
            left = [(abs(r - y) + abs(c - x), r, c) for r in range(8) for c in range(8) if (r, c) not in seen[i]]
            expected = [0.0] * 7
            if left:
                steps, r, c = min(left)
                signs = [float(np.sign(c - x)), float(np.sign(r - y))]
                expected = [1.0, (c - x) / 7, (r - y) / 7, *signs, steps / 14, len(left) / 64]
            np.testing.assert_allclose(unseen[i], expected, atol=1e-6)
            complete += not left
        batch.step(rng.integers(0, 4, 8))
    assert 0 < complete < 8 * 300


@pytest.mark.parametrize(
    ("level", "encoding", "size"),
    [("full", "occupancy", 121), ("partial", "occupancy", 121), ("minimal", "occupancy_short", 36)],
)
def test_occupancy_has_the_sizes_of_older_models(level: str, encoding: Encoding, size: int) -> None:
    assert observation.observation_size(level, encoding) == size


def test_occupancy_counts_places_and_the_agent_by_hand() -> None:
    row = state("minimal", (2, 1), {rules.BED: (2, 1)}, hour=6)
    grid = [[0, 0, 0], [0, 0, 2], [0, 0, 0]]
    for encoding in ("occupancy", "occupancy_short"):
        assert read("minimal", encoding, row, "grid")[..., 0].tolist() == grid
        assert read("minimal", encoding, row, "underfoot").argmax() == rules.BED
    assert read("minimal", "occupancy", row, "position").tolist() == [1.0, 0.5]
    away = state("minimal", (0, 0), {rules.BED: (2, 1)})
    assert read("minimal", "occupancy", away, "grid")[..., 0].tolist() == [[1, 0, 0], [0, 0, 1], [0, 0, 0]]
    assert read("minimal", "occupancy", away, "underfoot").argmax() == len(rules.PLACES)


def test_the_window_of_occupancy_is_around_the_agent_and_empty_outside() -> None:
    row = state("partial", (1, 0), corners(but={rules.BAR: (1, 0), rules.PARK: (3, 2)}))
    window = read("partial", "occupancy", row, "window")[..., 0]
    assert np.argwhere(window).tolist() == [[2, 2], [4, 4]]
    whole = state("full", (1, 0), corners(but={rules.BAR: (1, 0)}))
    assert not read("full", "occupancy", whole, "window").any()
    assert not read("partial", "occupancy", row, "grid").any()
    assert not read("partial", "occupancy", row, "underfoot").any()


def test_only_a_memory_of_a_window_knows_of_unseen_cells() -> None:
    with_block = [f for f in FITTING if any(block.name == "unseen" for block in observation.layout(*f))]
    assert with_block == [("partial", "memory"), ("temporal", "memory")]

"""Names that are cut: short enough, never to the same text, and what tells them apart stays where there is room."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.look.numbers import SHORTEST, shortened

SEEDS = [f"curriculum-with-random-starts-seed{seed}-step-00120000" for seed in (0, 1)]
STEPS = ["early-step-1000", "early-step-2000"]


def test_names_that_fit_stay_as_they_are() -> None:
    assert shortened(["old", "new"], 8) == ["old", "new"]
    assert shortened(["old", SEEDS[0]], 8) == ["old", "curr…000"]


@pytest.mark.parametrize(
    ("names", "length", "short"),
    [
        (SEEDS, 24, ["curriculu…seed0…00120000", "curriculu…seed1…00120000"]),
        (SEEDS, 10, ["cu…seed0…0", "cu…seed1…0"]),
        (SEEDS, 6, ["cu…0…0", "cu…1…0"]),  # no room for a whole word
        (STEPS, 9, ["earl…1000", "earl…2000"]),
        (["a" * 40, "a" * 41, "a" * 40], 8, ["aaaaaa…", "aaaaa…a", "aaaaaa…"]),
    ],
)
def test_what_tells_names_apart_stays(names: list[str], length: int, short: list[str]) -> None:
    found = shortened(names, length)
    assert [len(name) <= length for name in found] == [True] * len(names)
    assert found == short


def test_names_that_differ_in_places_far_apart_keep_their_own_words() -> None:
    third = "curriculum-without-random-starts-seed1-step-00240000"
    assert shortened([*SEEDS, third], 24) == ["with…seed0…00120000", "with…seed1…00120000", "without…seed1…00240000"]
    assert shortened([*SEEDS, third], 8) == ["curric…1", "curric…2", "curric…3"]  # no room for that: numbers


@given(st.lists(st.text("ab-/", max_size=14), min_size=1, max_size=12), st.integers(0, 14))
def test_names_are_as_distinct_as_they_came_and_never_too_long(names: list[str], length: int) -> None:
    found = shortened(names, length)
    assert max(map(len, found)) <= max(length, SHORTEST)
    assert len({*zip(names, found, strict=True)}) == len({*names}) == len({*found})

"""Whatever a file holds, it is read or refused in words: nothing that a user gives ends as a bug of the program."""

import random
from pathlib import Path

from tests.tasks.detection.mutations import Mutant

NUM = 100


def test_no_damaged_file_ends_as_a_bug(tmp_path: Path) -> None:
    mutant, chance = Mutant(tmp_path), random.Random(0)
    codes = []
    for number in range(NUM):
        code, name, held = mutant.try_one(chance)
        assert code in (0, 2), f"{number}, {name}: {mutant.said.getvalue()}\n{held!r}"
        codes.append(code)
    assert 0.2 < codes.count(2) / NUM < 0.95

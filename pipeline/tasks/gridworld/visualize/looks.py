"""What all pictures of this task share: the looks of subjects, and the letters of places."""

from collections import defaultdict

from pipeline.look import plotting
from pipeline.look.numbers import words
from pipeline.tasks.gridworld.evaluate.baselines import BAR
from pipeline.tasks.gridworld.rows import GridworldPrediction

PLACE_CODES = {
    "bed": "Be",
    "luxury_bed": "Lu",
    "shower": "Sh",
    "home_meal": "Me",
    "fast_food": "FF",
    "doctor": "Do",
    "hospital": "Ho",
    "therapist": "Th",
    "recreation": "Re",
    "bar": "Ba",
    "job": "Jo",
    "labor": "La",
    "gym": "Gy",
    "park": "Pa",
}
MODEL = "model"
# A subject looks the same in every picture; a script without a look of its own takes the last.
_SUBJECTS = (MODEL, BAR, "heuristic", "two_places", "always_rest", "always_wait", "random")
LOOKS = defaultdict(lambda: plotting.look(7), {name: plotting.look(k) for k, name in enumerate(_SUBJECTS)})


def subject_name(key: str) -> str:
    """A subject as the reader knows it."""
    return "the model" if key == MODEL else words(key)


def place_codes(row: GridworldPrediction) -> dict[tuple[int, int], str]:
    """The two letters of each place of a town, by its cell (x, y)."""
    return {cell: PLACE_CODES.get(place, place[:2]) for place, cell in row.grid_places.items()}

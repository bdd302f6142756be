"""What all pictures of this task share: a picture before it is written, names, and the looks of meters and places."""

from collections import defaultdict
from dataclasses import dataclass

from matplotlib.figure import Figure as Canvas

from pipeline.look import plotting
from pipeline.tasks.gridworld.evaluate.baselines import BAR

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


@dataclass(frozen=True, kw_only=True)
class Picture:
    """A drawn canvas and what the report says about it. ``slug`` names the file; captions tell how to read it."""

    slug: str
    title: str
    caption: str
    section: str
    canvas: Canvas
    record_ids: tuple[str, ...] = ()


def words(key: str) -> str:
    """A key as words: "luxury_bed" is "luxury bed"."""
    return key.replace("_", " ")


MODEL = "model"
# A subject looks the same in every picture; a script without a look of its own takes the last.
LOOKS = defaultdict(
    lambda: plotting.look(7),
    {
        MODEL: plotting.look(0),
        BAR: plotting.look(1),
        "heuristic": plotting.look(2),
        "two_places": plotting.look(3),
        "always_rest": plotting.look(4),
        "always_wait": plotting.look(5),
        "random": plotting.look(6),
    },
)


def subject_name(key: str) -> str:
    """A subject as the reader knows it."""
    return "the model" if key == MODEL else words(key)

"""The looks of subjects, which all pictures of this task share."""

from collections import defaultdict

from pipeline.look import plotting
from pipeline.look.numbers import words
from pipeline.tasks.gridworld.evaluate.baselines import BAR

MODEL = "model"
# A subject looks the same in every picture; a script without a look of its own takes the last.
_SUBJECTS = (MODEL, BAR, "heuristic", "two_places", "always_rest", "always_wait", "random")
LOOKS = defaultdict(lambda: plotting.look(7), {name: plotting.look(k) for k, name in enumerate(_SUBJECTS)})


def subject_name(key: str) -> str:
    """A subject as the reader knows it."""
    return "the model" if key == MODEL else words(key)

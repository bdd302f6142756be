"""What all pictures of this task share: words, and how objects look."""

from collections.abc import Mapping

from pipeline.look import numbers, plotting

FOUND, MATCHED, NOT_FOUND, FALSE, UNCOUNTED = "found", "matched", "not found", "false", "uncounted"

# Colours of one brightness over a dark rim, which stand out from light and from dark images; and lines that tell the
# same without colours. What is predicted is thinner and lies above what is true.
OBJECT_LOOKS: Mapping[str, plotting.Look] = {
    FOUND: plotting.Look("#7cc7f2", (0, (1.2, 1.0)), width=2.4),
    NOT_FOUND: plotting.Look("#ffd54a", (0, (3.6, 1.8)), width=2.4),
    MATCHED: plotting.Look("#2fe0a0", "-", width=1.3),
    FALSE: plotting.Look("#ff7a45", (0, (7.5, 2.2, 1.6, 2.2)), width=1.7),
    UNCOUNTED: plotting.Look("#d7d9e0", (0, (1.0, 3.0)), width=1.5),
}
OBJECT_MEANINGS: Mapping[str, str] = {
    FOUND: "true, found",
    NOT_FOUND: "true, not found",
    MATCHED: "predicted, matched",
    FALSE: "predicted, false",
    UNCOUNTED: "not counted",
}
RIM = "#14171f"
MAX_NAME = 22  # characters of a class name in a label


def one_line(text: str, length: int = MAX_NAME) -> str:
    """A text that came from a model or a file as a name in a picture, cut at its end."""
    flat = numbers.one_line(text)
    return flat if len(flat) <= length else f"{flat[: length - 1]}…"


def counted(number: int, singular: str) -> str:
    """A number with its noun: "1 object", "2 objects"."""
    return f"{number:,} {singular if number == 1 else singular + 's'}"

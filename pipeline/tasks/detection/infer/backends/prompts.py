"""What a model is asked when the recipe's ``infer.prompt`` is empty."""

from pipeline.tasks.detection.recipe import Backend

# Coordinates, keys and the form of an answer as the parser promises to read them (docs/detection.md).
FIND_ALL = (
    "Find all objects in the image. Answer with a JSON list and nothing else. Each entry is "
    '{"bbox_2d": [x1, y1, x2, y2], "desc": "a short name"}; coordinates are whole numbers from 0 (left, top) to 999 '
    "(right, bottom). If there is no object, answer []."
)

DEFAULT_PROMPTS: dict[Backend, str] = {"own": "", "huggingface": FIND_ALL, "server": FIND_ALL, "replay": ""}


def resolve_prompt(backend: Backend, prompt: str) -> str:
    """``prompt``, or the backend's own where it is empty."""
    return prompt or DEFAULT_PROMPTS[backend]

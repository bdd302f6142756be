"""Texts as a model might write them, from the truth: with every kind of mistake, seeded."""

import json
from collections.abc import Sequence
from random import Random
from typing import Any

from pipeline.tasks.detection.geometry import corners, to_pixels
from pipeline.tasks.detection.rows import DetectionExample, ReplayText, TrueObject

NORM = 999


def fake_texts(examples: Sequence[DetectionExample], seed: int = 0) -> list[ReplayText]:
    """One text an example: boxes that are moved, left out, invented, repeated, of a wrong class; texts that are cut."""
    rng = Random(seed)
    classes = sorted({one.desc for example in examples for one in example.objects} | {"thing"})
    return [ReplayText(id=one.id, raw_output=fake_text(one, classes, rng), model="fake") for one in examples]


def fake_text(example: DetectionExample, classes: Sequence[str], rng: Random) -> str:
    """The truth as JSON, with mistakes."""
    objects = []
    for one in example.objects:
        if rng.random() < 0.12:
            continue
        written = _written(example, one, rng)
        if rng.random() < 0.12:
            written["desc"] = rng.choice(classes)
        objects += [written] * (1 if rng.random() > 0.06 else rng.randint(2, 12))
        if rng.random() < 0.05:
            objects.append({"line": [1, 2, 3, 4], "desc": one.desc})
    if rng.random() < 0.15:
        x, y = rng.randint(0, 700), rng.randint(0, 700)
        objects.append({"bbox_2d": [x, y, x + rng.randint(60, 250), y + 120], "desc": rng.choice(classes)})
    text = json.dumps(objects)
    luck = rng.random()
    if luck < 0.06:
        return text[: rng.randint(0, len(text))]
    if luck < 0.12:
        return f"Here they are:\n```json\n{text}\n```"
    if luck < 0.14:
        return "I see nothing of the kind, <b>sorry</b>."
    return text


def _written(example: DetectionExample, one: TrueObject, rng: Random) -> dict[str, Any]:
    size = example.width, example.height
    spread = rng.choice((4.0, 4.0, 10.0, 90.0))
    if one.poly is not None and rng.random() < 0.7:
        flat = to_pixels(one.poly, example.coord_mode, *size)
        return {"poly": _norm(flat, size, rng, spread / 2), "desc": one.desc}
    x1, y1, x2, y2 = _norm(corners(one, example.coord_mode, *size), size, rng, spread)
    x1, y1 = min(x1, x2 - 1), min(y1, y2 - 1)
    return {"bbox_2d": [max(x1, 0), max(y1, 0), x2, y2], "desc": one.desc}


def _norm(flat: Sequence[float], size: tuple[int, int], rng: Random, spread: float) -> list[int]:
    exact = [value * NORM / size[k % 2] + rng.gauss(0.0, spread) for k, value in enumerate(flat)]
    return [min(max(round(value), 0), NORM) for value in exact]

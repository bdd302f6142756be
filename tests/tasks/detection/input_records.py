"""Small images with records about them, as other tools write them, and infer run on them."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from PIL import Image

from pipeline.files import read_all
from pipeline.tasks.detection.rows import DetectionPrediction
from stages import infer
from stages.common import run_command

SIZES = ((64, 64), (40, 32), (48, 96))
CAT = '[{"bbox_2d":[1,2,300,400],"desc":"cat"}]'


def write_records(folder: Path, num: int, changes: Mapping[int, Mapping[str, Any]] | None = None) -> Path:
    """``num`` images and the JSONL file about them. Image n is ``n.png``, its red channel is n; so is its image_id."""
    records = []
    for number in range(num):
        width, height = SIZES[number % len(SIZES)]
        Image.new("RGB", (width, height), (number, 20, 200)).save(folder / f"{number}.png")
        record = {
            "images": [f"{number}.png"],
            "width": width,
            "height": height,
            "objects": [{"desc": "cat", "bbox_2d": [1, 2, 30, 30]}],
            "image_id": number,
        }
        records.append(record | dict((changes or {}).get(number, {})))
    return write_lines(folder / "examples.jsonl", records)


def write_lines(path: Path, rows: Sequence[Mapping[str, Any]]) -> Path:
    """A JSONL file."""
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


def run_infer(*arguments: str | Path, settings: Sequence[str] = ()) -> int:
    """``baton infer detection ARGUMENTS`` in this process; its exit code."""
    chosen = [text for setting in settings for text in ("--set", setting)]
    return run_command(infer.app, ["detection", *map(str, arguments), *chosen])


def predictions(folder: Path) -> list[DetectionPrediction]:
    """The rows of a run."""
    return read_all(folder / "predictions.jsonl", DetectionPrediction)


def errors(folder: Path) -> list[str | None]:
    """The error of each row of a run."""
    return [row.error for row in predictions(folder)]

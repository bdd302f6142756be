"""Files that users give, damaged in every way at random, and the commands that read them."""

import io
import json
import random
from collections.abc import Callable
from contextlib import redirect_stderr, redirect_stdout
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from pipeline.tasks.detection.images import ImageError, ImageFolder
from pipeline.tasks.detection.recipe import Infer
from stages import convert, evaluate, infer
from stages.common import run_command
from tests.tasks.detection.convert.test_convert import annotations, results
from tests.tasks.detection.convert.test_convert_yolo import LABELS, data_set

SIZE = (40, 30)
BOX = {"desc": "cat", "bbox_2d": [1, 2, 30, 20]}
EXAMPLE = {"images": ["a.png"], "width": 60, "height": 40, "objects": [BOX], "image_id": 7, "metadata": {"at": "home"}}
TEXT = {"id": "7", "raw_output": '[{"bbox_2d":[1,2,300,400],"desc":"cat"}]', "cut": False}
RECIPE = """schema: recipe_v1\ntask: detection\nname: mine\nevaluate: {num_resamples: 0, slice_by: [at]}
scenes: {image_sizes: [[64, 64]], num_objects: [0, 4]}\ninfer: {backend: replay, temperature: 0.5}\n"""
SYNONYMS = "cat: [kitten, tom cat]\ndog: ['hound']\n"

SNIPPETS = (
    b"NaN", b"1e400", b"-Infinity", b"\xef\xbb\xbf", b"\xff\xfe", b"\0", b"\xe9", b"\n", b"\r", b"[", b"]", b"{", b"}",
    b'"', b",", b":", b"\\ud800", b"\\", b"null", b"[[]]", b"1e308", b"-1", b"9" * 40, b"[" * 2000, b'{"a":' * 600,
    b"&a *a", b"!!python/object", b"---", b"\t", b"\xe2\x80\xa8", b"\x1f\x8b",
)  # fmt: skip
VALUES: tuple[Any, ...] = (
    None, True, False, 0, -1, 1.5, 1.0, 1e308, -1e308, 1e-320, 10**19, 10**40, "", "10", "\x00", "x" * 300, "ok",
    [], {}, [[]], [[1, 2, 3]], [None], [1e308] * 4, [0, 0, 0, 0], {"size": [40, 60], "counts": [2400]},
    {"size": [40, 60], "counts": "~"}, {"coco": 3}, "norm1000",
)  # fmt: skip


class Mutant:
    """A folder with good files of all kinds; one of them is damaged at a time."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        truth = annotations(num_images=4)
        truth["images"][1]["file_name"] = "1.jpg"
        self.said = io.StringIO()
        (folder / "examples.jsonl").write_text(
            json.dumps(EXAMPLE) + "\n" + json.dumps(EXAMPLE | {"image_id": 8}) + "\n"
        )
        (folder / "texts.jsonl").write_text(json.dumps(TEXT) + "\n" + json.dumps(TEXT | {"id": 8}) + "\n")
        (folder / "truth.json").write_text(json.dumps(truth))
        (folder / "found.json").write_text(json.dumps(results(truth)))
        (folder / "recipe.yaml").write_text(RECIPE)
        (folder / "synonyms.yaml").write_text(SYNONYMS)
        Image.fromarray(np.arange(1200, dtype=np.uint16).reshape(30, 40) * 50).save(folder / "deep.png")
        Image.fromarray(np.linspace(0, 1, 1200, dtype=np.float32).reshape(30, 40)).save(folder / "float.tiff")
        data_set(folder / "set", LABELS)
        (folder / "given").mkdir()
        (folder / "given/a.txt").write_text("0 0.5 0.5 0.25 0.25 0.75\n")
        assert self.commands()["truth.json"]() == 0
        (folder / "out/predictions.jsonl").rename(folder / "predictions.jsonl")
        for name, run in self.commands().items():
            assert run() == 0, f"{name}: {self.said.getvalue()}"

    def commands(self) -> dict[str, Callable[[], int]]:
        """What reads each file, in this process; the exit code, or 0 and 2 for what is no command."""
        f = self.folder
        coco = ("--from", "coco", "--annotations", f / "truth.json", "--results", f / "found.json")
        yolo = ("--from", "yolo", "--annotations", f / "set/data.yaml", "--split", "val", "--results", f / "given")
        replay = ("--backend", "replay", "--replay", f / "texts.jsonl", "--input", f / "examples.jsonl")
        scored = ("--input", f / "predictions.jsonl", "--set", "evaluate.num_resamples=0", "--set", "evaluate.seed=1")
        synonyms = ("--set", f"evaluate.synonyms={f / 'synonyms.yaml'}")
        return {
            "truth.json": lambda: self._run(convert, *coco, "--on-bad", "skip"),
            "found.json": lambda: self._run(convert, *coco),
            "examples.jsonl": lambda: self._run(infer, *replay),
            "texts.jsonl": lambda: self._run(infer, *replay),
            "predictions.jsonl": lambda: max(
                self._run(evaluate, *scored), self._run(convert, "--to", "yolo", "--input", f / "predictions.jsonl")
            ),
            "recipe.yaml": lambda: self._run(infer, *replay, "--recipe", f / "recipe.yaml"),
            "synonyms.yaml": lambda: self._run(evaluate, *scored, *synonyms),
            "set/data.yaml": lambda: self._run(convert, *yolo),
            "set/labels/val/a.txt": lambda: self._run(convert, *yolo, "--on-bad", "skip"),
            "given/a.txt": lambda: self._run(convert, *yolo),
            "set/images/val/a.png": lambda: self._run(convert, *yolo),
            "deep.png": lambda: self._look("deep.png"),
            "float.tiff": lambda: self._look("float.tiff"),
        }

    def _run(self, stage: Any, *arguments: str | Path) -> int:
        given = ["detection", *map(str, arguments), "--out", str(self.folder / "out"), "--force"]
        with redirect_stdout(io.StringIO()), redirect_stderr(self.said):
            for left in (self.folder / "out").glob("*"):
                left.unlink() if left.is_file() else None
            return run_command(stage.app, given)

    def _look(self, name: str) -> int:
        try:
            ImageFolder(self.folder, Infer(max_image_bytes=100_000, max_image_pixels=10_000)).read(name, *SIZE)
        except ImageError:
            return 2
        return 0

    def try_one(self, chance: random.Random) -> tuple[int, str, bytes]:
        """Damage a file, read it, and mend it again: the exit code, the name of the file, and what it held."""
        name, run = chance.choice(list(self.commands().items()))
        path = self.folder / name
        good = path.read_bytes()
        bad = damaged(good, name, chance)
        path.write_bytes(bad)
        try:
            self.said = io.StringIO()
            return run(), name, bad
        finally:
            path.write_bytes(good)


def damaged(data: bytes, name: str, chance: random.Random) -> bytes:
    """The same file with one to three things changed."""
    for _ in range(chance.choice([1, 1, 2, 3])):
        if name.endswith((".json", ".jsonl")) and chance.random() < 0.5:
            data = swapped(data, chance, lines=name.endswith("l"))
        else:
            data = chance.choice([flipped, cut, inserted, repeated])(data, chance)
    return data


def flipped(data: bytes, chance: random.Random) -> bytes:
    changed = bytearray(data)
    for _ in range(chance.randrange(1, 6)):
        if changed:
            changed[chance.randrange(len(changed))] ^= 1 << chance.randrange(8)
    return bytes(changed)


def cut(data: bytes, chance: random.Random) -> bytes:
    start = chance.randrange(len(data) + 1)
    return data[:start] if chance.random() < 0.5 else data[:start] + data[start + chance.randrange(1, 30) :]


def inserted(data: bytes, chance: random.Random) -> bytes:
    at = chance.choice([0, chance.randrange(len(data) + 1)])
    return data[:at] + chance.choice(SNIPPETS) + data[at:]


def repeated(data: bytes, chance: random.Random) -> bytes:
    start = chance.randrange(len(data) + 1)
    part = data[start : start + chance.randrange(1, 200)]
    return data[:start] + part + data[start:]


def swapped(data: bytes, chance: random.Random, *, lines: bool) -> bytes:
    """One value of a JSON text replaced by one of another type or size; the text itself where it does not read."""
    texts = data.split(b"\n") if lines else [data]
    at = chance.randrange(len(texts))
    try:
        document = json.loads(texts[at])
    except (ValueError, RecursionError):
        return data
    place = document
    while isinstance(place, dict | list) and place:
        key = chance.choice(list(place) if isinstance(place, dict) else range(len(place)))
        if not isinstance(place[key], dict | list) or not place[key] or chance.random() < 0.2:
            place[key] = chance.choice(VALUES)
            break
        place = place[key]
    texts[at] = json.dumps(document).encode()
    return b"\n".join(texts)

"""Behind the page: the first map beside umap-learn's, generation beside diffusers, and the memory of recording."""

import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from benchmarks.harness import Claim, Report, Samples, at_least, at_most, quotients
from benchmarks.harness.turns import Worker
from benchmarks.training import ROOT
from pipeline.errors import UserError
from pipeline.files import write_all
from pipeline.model.file import load_model
from pipeline.recipe.named import find_model
from pipeline.tasks.diffusion.data.load import load_split
from pipeline.tasks.diffusion.evaluate.maps import trustworthiness
from pipeline.tasks.diffusion.model.activations import look_at
from pipeline.tasks.diffusion.model.model import DiffusionModel
from pipeline.tasks.diffusion.pixels import to_values
from pipeline.tasks.diffusion.recipe import Data
from pipeline.tasks.diffusion.rows import DiffusionExample

_PEER_PYTHON = ROOT / ".venv-bench/bin/python"
_NUM_NEIGHBOURS = 12
_MAP, _MEMORY = "first map of {:,} records, from nothing", "memory of recording {:,} images"


def run(quick: bool) -> Report:
    """What is measured of each part; of what is not installed a note is left."""
    samples: list[Samples] = []
    claims: list[Claim] = []
    notes: list[str] = []
    with tempfile.TemporaryDirectory() as folder:
        for measure in (_first_map, _generation, _memory):
            try:
                more, promised = measure(Path(folder), quick)
            except UserError as error:
                notes.append(f"Not measured: {error.what} ({error.remedy}).")
            else:
                samples += more
                claims += promised
    return Report(
        title="behind the page: the first map, generation, recording",
        method=(
            "Maps of what a layer of the pretrained generator says of the training digits, each in a process of its "
            "own, loading and compiling included. Generation by an untrained UNet2DModel of diffusers, on one thread "
            "and in turns: DDIMPipeline makes all images at once, Baton eight at a time, so that an image does not "
            "depend on how many are made. Memory is the most that `baton infer` takes to record activations."
        ),
        samples=samples,
        claims=claims,
        notes=notes,
    )


def _need(package: str, module: str) -> str:
    """The Python of the peers' environment. Raises UserError where it lacks the package."""
    command = [str(_PEER_PYTHON), "-c", f"import {module}"]
    if not _PEER_PYTHON.exists() or subprocess.run(command, capture_output=True).returncode:
        raise UserError(f"{package} is not installed", remedy=f"{_PEER_PYTHON} -m pip install {package}")
    return str(_PEER_PYTHON)


def _first_map(folder: Path, quick: bool) -> tuple[list[Samples], list[Claim]]:
    """In processes that have loaded nothing: seconds until the map is there, and how well it keeps neighbourhoods."""
    peer, points = _need("umap-learn", "umap"), _activations()[: 300 if quick else None]
    np.save(folder / "points.npy", points)
    took: dict[str, list[float]] = {}
    kept: dict[str, list[float]] = {}
    for _ in range(1 if quick else 3):
        for name, python, module in (("Baton", sys.executable, "map_ours"), ("umap-learn", peer, "map_peer")):
            place = folder / f"{name}.npy"
            command = [python, "-m", f"benchmarks.peers.{module}", str(folder / "points.npy"), str(place)]
            start = time.perf_counter()
            subprocess.run(command, check=True, cwd=ROOT, capture_output=True)
            took.setdefault(name, []).append(time.perf_counter() - start)
            flat, plane = points[:, 0].astype(np.float64), np.load(place).astype(np.float64)
            kept.setdefault(name, []).append(float(trustworthiness(flat, plane, _NUM_NEIGHBOURS).mean()))
    title = _MAP.format(len(points))
    samples = [Samples(f"{title}, {name}", "s", tuple(values)) for name, values in took.items()]
    samples += [Samples(f"trustworthiness, {name}", "", tuple(values)) for name, values in kept.items()]
    behind = [theirs - ours for ours, theirs in zip(kept["Baton"], kept["umap-learn"], strict=True)]
    faster = at_least(f"{title}, umap-learn's over ours", quotients(took["umap-learn"], took["Baton"]), 10)
    return samples, [faster, at_most("trustworthiness, umap-learn's less ours", behind, 0.01, "")]


def _activations() -> np.ndarray[tuple[int, ...], np.dtype[np.float16]]:
    """What a layer of the pretrained generator says of the real digits, [N, 1, D]."""
    model = load_model(find_model(Path("digits"), "diffusion"), task="diffusion")
    assert isinstance(model, DiffusionModel)
    values = list(to_values(load_split(Data(source="digits")).train.images))
    said = look_at(model.denoiser, values, range(len(values)), ["middle"], (0.6,))["middle"]
    return said.reshape(len(values), 1, -1).astype(np.float16)


def _generation(folder: Path, quick: bool) -> tuple[list[Samples], list[Claim]]:
    """64 images of one network in turns."""
    took: dict[str, list[float]] = {"diffusers": [], "Baton": []}
    command = [_need("diffusers", "diffusers"), "-m", "benchmarks.peers.generation_peer"]
    with Worker(command, ROOT) as worker:
        for number in range(-1, 2 if quick else 10):  # the first round warms both up
            for values in took.values():
                seconds = worker.turn()["seconds"]
                if number >= 0:
                    values.append(seconds)
    samples = [Samples(f"64 images in 18 steps, {name}", "s", tuple(values)) for name, values in took.items()]
    ratios = quotients(took["diffusers"], took["Baton"])
    return samples, [at_least("64 images, diffusers' time over ours", ratios, 1)]


def _memory(folder: Path, quick: bool) -> tuple[list[Samples], list[Claim]]:
    """The most memory that `baton infer` takes to generate images and record their activations, few and many."""
    few, many = (300, 600) if quick else (512, 4096)
    peaks = {count: _peak_mb(folder, count) for count in (few, many)}
    samples = [Samples(_MEMORY.format(count), "MB", (peak,)) for count, peak in peaks.items()]
    return samples, [at_most(f"memory of recording {many:,} images over {few:,}", [peaks[many] / peaks[few]], 1.1)]


def _peak_mb(folder: Path, count: int) -> float:
    asked = [
        DiffusionExample(id=f"r{seed}", label=str(seed % 10), seed=seed, sampler="euler", num_steps=1)
        for seed in range(count)
    ]
    write_all(folder / "examples.jsonl", asked)
    words: Sequence[str | Path] = ("--model", "digits", "--input", folder / "examples.jsonl", "--out", folder / "out")
    setting = "infer.activations.layers=[middle, up_1]"
    command = [sys.executable, "-m", "stages", "infer", "diffusion", *map(str, words), "--set", setting, "--force"]
    process = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    _, status, used = os.wait4(process.pid, 0)
    if status:
        raise UserError("recording failed", remedy=" ".join(command))
    return used.ru_maxrss / 1024

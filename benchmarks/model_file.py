"""Opening and checking inference_v1, against torch.load on the same weights; and its size, against the checkpoints."""

import tempfile
from functools import partial
from pathlib import Path
from typing import Any

import msgspec
import torch

from benchmarks.harness import (
    Claim,
    Measure,
    Report,
    Samples,
    at_least,
    at_most,
    quotients,
    take_turns,
    timed,
)
from benchmarks.training import Bench, bench_recipe
from pipeline.export import export_model
from pipeline.model.container import ModelFile
from pipeline.model.file import DTYPES, load_model
from pipeline.tasks.gridworld.model.network import build
from pipeline.tasks.gridworld.recipe import FeedForward, GridworldRecipe
from schemas.brain import BrainSpec

_LARGE = FeedForward(hidden=(4096, 4096))
_TENSORS, _MODEL = "tensors with every hash checked", "load_model"
_TORCH, _TORCH_MODEL = "torch.load", "torch.load and a module"
_PAIRS = ((_TENSORS, _TORCH), (_MODEL, _TORCH_MODEL), (_MODEL, _TORCH))


def run(quick: bool) -> Report:
    """A network of the default size and one of 70 MB; the smallest there is and its file is all overhead."""
    torch.set_num_threads(1)
    large = FeedForward(hidden=(512, 512)) if quick else _LARGE
    samples: list[Samples] = []
    claims: list[Claim] = []
    with tempfile.TemporaryDirectory() as folder:
        for name, recipe, calls in (
            ("default", bench_recipe(), 20),
            ("large", msgspec.structs.replace(bench_recipe(), network=large), 1),
        ):
            files = _Files(Path(folder) / name, recipe, num_vector_steps=10 if quick or name == "large" else 100)
            times = take_turns(files.candidates(calls), 3 if quick else 15)
            label = f"{name} ({files.num_parameters / 1e6:.2f} M parameters)"
            samples += [
                Samples(f"{label}, {candidate}", "ms", tuple(1000 * s / calls for s in seconds))
                for candidate, seconds in times.items()
            ]
            claims += [
                at_most(f"{name}: {ours} against {theirs}", quotients(times[ours], times[theirs]), 1.0)
                for ours, theirs in _PAIRS
            ]
            claims += [
                at_least(f"{name}: {files.resume_label} over inference_v1", [files.resume_ratio], 5.0),
                at_least(f"{name}: kept checkpoint over inference_v1", [files.kept_ratio], 5.0),
            ]
    return Report(
        title="opening a model",
        method=(
            "Two things are opened: named tensors, by `ModelFile` with every hash checked and by "
            "`torch.load(weights_only=True)` of the same weights; and a network ready for use, by `load_model` (every "
            "hash checked, network built, golden inputs replayed) and by torch.load with a module built from the same "
            "spec and filled. The last comparison is the whole of ours against the half of theirs. Files are in the "
            "page cache; one thread in torch, while large files are hashed on all cores."
        ),
        samples=samples,
        claims=claims,
        notes=(
            "The checkpoint that resumes a training holds its replay memory, too. The kept one, which `baton export` "
            "reads, holds five numbers for each weight (itself, target, average and two of the optimizer) and so "
            "comes close to 5 from below.",
        ),
    )


class _Files:
    """A short training's checkpoints, the model file exported from them, and its weights as torch saves them."""

    def __init__(self, folder: Path, recipe: GridworldRecipe, num_vector_steps: int) -> None:
        bench = Bench(recipe, folder)
        bench.advance(num_vector_steps)
        kept, resume = bench.save()
        bench.close()
        self.model, self.weights = folder / "model.inference_v1", folder / "weights.pt"
        exported = export_model(kept, self.model, task="gridworld")
        opened = load_model(self.model)
        torch.save(opened.module.state_dict(), self.weights)
        self.brain: BrainSpec = opened.brain
        self.num_parameters = exported.num_parameters
        self.resume_label = f"checkpoint that resumes ({bench.trainer.step:,} steps in its memory)"
        self.resume_ratio = resume.stat().st_size / exported.num_bytes
        self.kept_ratio = kept.stat().st_size / exported.num_bytes

    def candidates(self, calls: int) -> dict[str, Measure]:
        """Measures of ``calls`` calls each."""
        return {
            _TENSORS: timed(partial(_repeat, calls, self._read_tensors)),
            _MODEL: timed(partial(_repeat, calls, partial(load_model, self.model))),
            _TORCH: timed(partial(_repeat, calls, partial(torch.load, self.weights, weights_only=True))),
            _TORCH_MODEL: timed(partial(_repeat, calls, self._load_and_build)),
        }

    def _read_tensors(self) -> dict[str, torch.Tensor]:
        file = ModelFile(self.model)
        file.verify()
        return {
            name: torch.frombuffer(file.read(name), dtype=DTYPES[entry.dtype]).reshape(entry.shape)
            for name, entry in file.header.entries.items()
        }

    def _load_and_build(self) -> torch.nn.Module:
        weights = torch.load(self.weights, weights_only=True)
        with torch.device("meta"):  # the fastest way that torch has: nothing is drawn, nothing is copied
            module = build(self.brain)
        module.load_state_dict(weights, assign=True)
        return module.eval()


def _repeat(calls: int, work: Any) -> None:
    for _ in range(calls):
        work()

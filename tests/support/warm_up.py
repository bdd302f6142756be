"""What the warm zygote of `tests.support.zygote` does before it forks."""

import contextlib
import importlib
import io
import tempfile

from pipeline.contract.load import load_part
from pipeline.contract.parts import ConvertPart, EvaluatePart, ExamplesPart, InferPart, RecipePart, VisualizePart
from schemas.flow import STAGES
from stages.__main__ import dispatch

CHAIN = ("examples", "train", "export", "infer", "evaluate", "visualize")
SETTINGS = ("train.num_steps=1024", "train.monitor_every=1024", "examples.num_scenarios=2", "evaluate.num_resamples=20")


def load_everything() -> None:
    """A small job through the stages: whatever they import or compile on their way is there for every child."""
    for stage in STAGES:
        importlib.import_module(f"stages.{stage.name}")
    for kind in (RecipePart, ExamplesPart, InferPart, EvaluatePart, VisualizePart, ConvertPart):
        load_part("detection", kind)
    settings = [text for value in SETTINGS for text in ("--set", value)]
    with tempfile.TemporaryDirectory() as runs, contextlib.redirect_stdout(io.StringIO()):
        for name in CHAIN:
            assert dispatch([name, "gridworld", "--recipe", "tiny", "--runs-dir", runs, "--json", *settings]) == 0

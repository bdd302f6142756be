"""The stages as data: what each reads, writes and needs. Docs, the Makefile test and `baton --help` come from it."""

from msgspec import Struct


class Stage(Struct, frozen=True, kw_only=True):
    """One command. ``reads`` and ``writes`` are file names within a run folder ``runs/<task>/<name>/<stage>/``."""

    name: str
    reads: tuple[str, ...]
    writes: tuple[str, ...]
    needs_torch: bool
    part: str | None
    summary: str


STAGES: tuple[Stage, ...] = (
    Stage(
        name="examples",
        reads=("recipe",),
        writes=("examples/examples.jsonl",),
        needs_torch=False,
        part="data",
        summary="make the fixed, seeded input records",
    ),
    Stage(
        name="train",
        reads=("recipe",),
        writes=(
            "train/selected.checkpoint_v1",
            "train/progress.jsonl",
            "train/episodes.jsonl",
            "train/monitor.jsonl",
        ),
        needs_torch=True,
        part="learn",
        summary="train a model; leave checkpoints and a live tail of whole episodes",
    ),
    Stage(
        name="follow",
        reads=("train/episodes.jsonl",),
        writes=(),
        needs_torch=False,
        part="live",
        summary="watch a training live in the terminal, or replay it afterwards",
    ),
    Stage(
        name="export",
        reads=("train/selected.checkpoint_v1",),
        writes=("export/model.inference_v1",),
        needs_torch=True,
        part="network",
        summary="freeze one checkpoint into one self-contained, self-verifying file",
    ),
    Stage(
        name="infer",
        reads=("export/model.inference_v1", "examples/examples.jsonl"),
        writes=("infer/predictions.jsonl",),
        needs_torch=True,
        part="predict",
        summary="run a model once over a dataset: one prediction line per record",
    ),
    Stage(
        name="evaluate",
        reads=("infer/predictions.jsonl",),
        writes=("evaluate/metrics.jsonl", "evaluate/scores.jsonl"),
        needs_torch=False,
        part="score",
        summary="metrics with intervals, from the predictions alone",
    ),
    Stage(
        name="visualize",
        reads=("infer/predictions.jsonl",),
        writes=("visualize/figures.jsonl", "visualize/report.html"),
        needs_torch=False,
        part="draw",
        summary="pictures and a self-contained report, from the predictions alone",
    ),
    Stage(
        name="gate",
        reads=("infer/predictions.jsonl", "evaluate/metrics.jsonl"),
        writes=(),
        needs_torch=False,
        part="score",
        summary="compare with a baseline: exit code 1 when anything became worse",
    ),
    Stage(
        name="compare",
        reads=("infer/predictions.jsonl",),
        writes=(
            "compare/comparisons.jsonl",
            "compare/movers.jsonl",
            "compare/figures.jsonl",
            "compare/report.html",
        ),
        needs_torch=False,
        part="score",
        summary="what differs between models on the same records, and how sure that is",
    ),
    Stage(
        name="sweep",
        reads=("recipe", "train/selected.checkpoint_v1", "export/model.inference_v1", "examples/examples.jsonl"),
        writes=("sweep/table.md", "sweep/sweep.jsonl", "sweep/report.html"),
        needs_torch=False,
        part=None,
        summary="a grid of models, seeds and decoding settings: every cell once, one table over all",
    ),
    Stage(
        name="convert",
        reads=("files of other tools", "examples/examples.jsonl", "infer/predictions.jsonl"),
        writes=(),
        needs_torch=False,
        part="convert",
        summary="rows from the files of other tools, and back",
    ),
    Stage(
        name="inspect",
        reads=("any artifact",),
        writes=(),
        needs_torch=False,
        part=None,
        summary="say what a file is, where it came from and whether it is whole",
    ),
)

BY_NAME: dict[str, Stage] = {stage.name: stage for stage in STAGES}

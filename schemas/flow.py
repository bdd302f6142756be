"""The stages as data: what each reads, writes and needs. Docs, the Makefile test and `baton --help` come from it."""

from msgspec import Struct


class Stage(Struct, frozen=True, kw_only=True):
    """One command. ``reads`` and ``writes`` are files within a run folder ``runs/<task>/<name>/``.

    ``writes`` is all that a finished stage leaves, but for ``manifest.json`` and locks; a ``*`` stands for any files,
    also in deeper folders. ``writes_also`` says in words what depends on the task or on where the user points.
    """

    name: str
    summary: str
    reads: tuple[str, ...]
    writes: tuple[str, ...] = ()
    needs_torch: bool = False
    part: str | None = None
    writes_also: str = ""


STAGES: tuple[Stage, ...] = (
    Stage(
        name="new",
        reads=(),
        summary="write a project of one's own",
        writes_also="a folder with recipe, gate, sweep, Makefile, CI file, and with `--task` a task",
    ),
    Stage(
        name="examples",
        reads=("recipe",),
        writes=("examples/examples.jsonl",),
        part="examples",
        summary="make the fixed, seeded input records",
        writes_also="the files that records name (`files` of the task's examples)",
    ),
    Stage(
        name="train",
        reads=("recipe",),
        writes=(
            "train/selected.checkpoint_v1",
            "train/resume.checkpoint_v1",
            "train/checkpoints/*",
            "train/progress.jsonl",
            "train/episodes.jsonl",
            "train/monitor.jsonl",
        ),
        needs_torch=True,
        part="train",
        summary="train a model; leave checkpoints and a live tail of whole episodes",
    ),
    Stage(
        name="export",
        reads=("train/selected.checkpoint_v1",),
        writes=("export/model.inference_v1",),
        needs_torch=True,
        part="model",
        summary="freeze one checkpoint into one self-contained, self-verifying file",
        writes_also="`export-onnx/model.onnx` with `--format onnx`",
    ),
    Stage(
        name="infer",
        reads=("export/model.inference_v1", "examples/examples.jsonl"),
        writes=("infer/predictions.jsonl",),
        needs_torch=True,
        part="infer",
        summary="run a model once over a dataset: one prediction line per record",
    ),
    Stage(
        name="follow",
        reads=("train/episodes.jsonl", "infer/predictions.jsonl"),
        part="follow",
        summary="watch a training live in the terminal, or replay it afterwards; replay predictions",
    ),
    Stage(
        name="explore",
        reads=("infer/predictions.jsonl", "export/model.inference_v1"),
        needs_torch=True,
        part="explore",
        summary="wander through recorded activations in the browser, and generate from there",
        writes_also="what people make, in `explore/explore.sqlite`; with `--space` a Hugging Face Space",
    ),
    Stage(
        name="evaluate",
        reads=("infer/predictions.jsonl",),
        writes=("evaluate/metrics.jsonl", "evaluate/scores.jsonl", "evaluate/table.md"),
        part="evaluate",
        summary="metrics with intervals, from the predictions alone",
    ),
    Stage(
        name="visualize",
        reads=("infer/predictions.jsonl", "train/progress.jsonl", "train/monitor.jsonl"),
        writes=("visualize/figures.jsonl", "visualize/figures/*", "visualize/report.html", "visualize/episodes.html"),
        part="visualize",
        summary="pictures and a self-contained report, from the predictions alone",
    ),
    Stage(
        name="gate",
        reads=("infer/predictions.jsonl", "evaluate/metrics.jsonl"),
        part="evaluate",
        summary="compare with a baseline: exit code 1 when anything became worse",
        writes_also="the files that `--junit`, `--verdicts` and `--update` name",
    ),
    Stage(
        name="compare",
        reads=("infer/predictions.jsonl",),
        writes=(
            "compare/comparisons.jsonl",
            "compare/movers.jsonl",
            "compare/table.md",
            "compare/figures.jsonl",
            "compare/figures/*",
            "compare/report.html",
        ),
        part="evaluate",
        summary="what differs between models on the same records, and how sure that is",
    ),
    Stage(
        name="registry",
        reads=("export/model.inference_v1", "infer/predictions.jsonl"),
        summary="keep models under names, versions and aliases, for serve",
        writes_also="`NAME/VERSION.inference_v1` and `NAME/aliases.json` in a folder, or an MLflow server",
    ),
    Stage(
        name="sweep",
        reads=("recipe", "train/selected.checkpoint_v1", "export/model.inference_v1", "examples/examples.jsonl"),
        writes=(
            "sweep/table.md",
            "sweep/sweep.jsonl",
            "sweep/report.html",
            "sweep/figures/*",
            "sweep/ledger.jsonl",
            "sweep/cells/*",
            "sweep/shared/*",
            "sweep/claims/*",
        ),
        summary="a grid of models, seeds and decoding settings: every cell once, one table over all",
    ),
    Stage(
        name="serve",
        reads=("export/model.inference_v1",),
        part="serve",
        summary="answer over HTTP, and log the answers as predictions",
        writes_also="`MODEL/predictions.jsonl` and `MODEL/truths.jsonl` in `serve/`, or where `--log` points",
    ),
    Stage(
        name="convert",
        reads=("files of other tools", "examples/examples.jsonl", "infer/predictions.jsonl"),
        part="convert",
        summary="rows from the files of other tools, and back",
        writes_also="the `files` of the task's convert",
    ),
    Stage(
        name="inspect",
        reads=("any artifact",),
        summary="say what a file is, where it came from and whether it is whole",
    ),
)

BY_NAME: dict[str, Stage] = {stage.name: stage for stage in STAGES}

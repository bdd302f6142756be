"""`baton infer --server`: the rows of a model that is behind HTTP are those of its file."""

from pathlib import Path

import pytest

from tests.conftest import ROOT, Baton
from tests.serve.conftest import Start

IMAGES = ("--image-root", ROOT / "runs/examples/detection")


@pytest.mark.parametrize(
    ("task", "num", "images", "settings"),
    [("gridworld", 60, (), ("--set", "infer.num_traces=0")), ("detection", 2, IMAGES, ())],
)
def test_the_rows_are_those_that_the_file_gives(
    task: str,
    num: int,
    images: tuple[str | Path, ...],
    settings: tuple[str, ...],
    start: Start,
    baton: Baton,
    tmp_path: Path,
) -> None:
    gated = (ROOT / f"runs/gates/{task}/full.examples.jsonl").read_bytes()
    examples = tmp_path / "examples.jsonl"
    examples.write_bytes(b"".join(gated.splitlines(keepends=True)[:num]))
    server = start(task, "--model", "full", *images)
    common = ("infer", task, "--recipe", "demo", "--input", examples, *settings)
    for source, out in ((("--model", "full", *images), "file"), (("--server", server.url), "server")):
        done = baton(*common, *source, "--out", tmp_path / out)
        assert done.code == 0, done.output
    assert (tmp_path / "server/predictions.jsonl").read_bytes() == (tmp_path / "file/predictions.jsonl").read_bytes()

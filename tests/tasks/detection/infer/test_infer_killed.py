"""kill -9 at random moments of infer with the own model, sampled, resumed each time: the same bytes.

How moments are chosen, and what must hold, is told in `tests.run.test_killed`.
"""

from pathlib import Path
from typing import Any

from pipeline.run.manifest import load_manifest
from tests.run.test_killed import Job, kill_and_resume
from tests.support.zygote import Zygote
from tests.tasks.detection.input_records import write_records
from tests.tasks.detection.tiny_model import write_model

NUM_RECORDS = 48
SETTINGS = ("infer.batch_size=4", "infer.temperature=1.0", "infer.max_new_tokens=40", "infer.keep_logprobs=true")


def test_infer_killed_many_times(zygote: Zygote, tmp_path: Path) -> None:
    def num_lines(folder: Path) -> int:
        path = folder / "predictions.jsonl"
        return path.read_bytes().count(b"\n") if path.exists() else 0

    def phase(folder: Path) -> str:
        num = num_lines(folder)
        return "before the first line" if num == 0 else "between lines" if num < NUM_RECORDS else "behind the last"

    (tmp_path / "data").mkdir()
    changes: dict[int, dict[str, Any]] = {5: {"images": []}, 10: {"images": ["none.png"]}, 11: {"width": 1}}
    examples = write_records(tmp_path / "data", NUM_RECORDS, changes)
    model = write_model(tmp_path / "data/tiny.inference_v1", "characters")
    settings = [text for value in SETTINGS for text in ("--set", value)]
    arguments: tuple[str | Path, ...] = ("infer", "detection", "--model", model, "--input", examples, *settings)
    kill_and_resume(Job(zygote, arguments, phase, ("between lines",), num_lines), tmp_path)
    num_resumed = [load_manifest(folder).counts["num_resumed"] for folder in tmp_path.glob("run-*")]
    assert 0 < max(num_resumed) <= NUM_RECORDS

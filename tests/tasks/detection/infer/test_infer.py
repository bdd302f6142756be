"""infer for detection: one row a record, whatever is wrong with it; replays; what the manifest keeps."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import msgspec
import pytest
import torch
from PIL import Image

from pipeline import load_model
from pipeline.errors import UserError
from pipeline.run.manifest import load_manifest
from pipeline.tasks.detection.answers import FAILURES, Answer, Failure, Request, in_batches, record_seed
from pipeline.tasks.detection.read_text.formats import DEFAULT
from pipeline.tasks.detection.rows import DetectionPrediction
from tests.conftest import ROOT
from tests.tasks.detection.input_records import CAT, errors, predictions, run_infer, write_lines, write_records
from tests.tasks.detection.tiny_model import write_model

SAMPLED = ("infer.temperature=1.0", "infer.max_new_tokens=30", "infer.batch_size=4")


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_model(tmp_path_factory.mktemp("model") / "tiny.inference_v1", "characters")


def run_own(model: Path, examples: Path, out: Path, *settings: str) -> list[DetectionPrediction]:
    assert run_infer("--model", model, "--input", examples, "--out", out, settings=settings or SAMPLED) == 0
    return predictions(out)


def replay(texts: Path, examples: Path, out: Path) -> int:
    return run_infer("--backend", "replay", "--replay", texts, "--input", examples, "--out", out)


# the own model


def test_every_record_gets_one_row_in_order_with_its_truth(model: Path, tmp_path: Path) -> None:
    examples = write_records(tmp_path, 5, {3: {"image_id": None, "metadata": {"split": "val"}}})
    rows = run_own(model, examples, tmp_path / "out")
    assert [row.id for row in rows] == ["0", "1", "2", "3", "4"]
    assert [row.image_id for row in rows] == [0, 1, 2, 3, 4]  # without one, the place in the input
    assert rows[3].metadata == {"split": "val"}
    assert {(row.coord_mode, row.gt_coord_mode) for row in rows} == {("norm1000", "pixel")}
    assert rows[1].gt[0].desc == "cat" and rows[1].gt[0].bbox_2d == (1.0, 2.0, 30.0, 30.0)
    assert {row.model for row in rows} == {load_model(model).weights_hash[:16]}
    assert len({row.raw_output for row in rows}) > 2


def test_a_text_depends_on_its_seed_and_record_and_not_on_the_batch(model: Path, tmp_path: Path) -> None:
    examples = write_records(tmp_path, 7, {2: {"images": []}})
    whole = run_own(model, examples, tmp_path / "whole")
    assert run_own(model, examples, tmp_path / "one", *SAMPLED[:2], "infer.batch_size=1") == whole
    assert run_own(model, examples, tmp_path / "seed", *SAMPLED, "infer.seed=1") != whole
    some = write_lines(tmp_path / "some.jsonl", [json.loads(line) for line in examples.read_text().splitlines()[4:6]])
    assert run_own(model, some, tmp_path / "some") == whole[4:6]


def test_record_seeds_differ_by_seed_and_by_id() -> None:
    assert len({record_seed(seed, name) for seed in (0, 1, 12) for name in ("a", "b", "2/a")}) == 9


BAD: dict[int, tuple[dict[str, Any], str]] = {
    0: ({"images": []}, "no_image"),
    1: ({"images": ["1.png", "2.png"]}, "multi_image_not_supported"),
    2: ({"images": ["../2.png"]}, "image_outside_root"),
    3: ({"images": ["none.png"]}, "image_missing"),
    4: ({"width": 63}, "image_size_differs"),
    6: ({"images": ["examples.jsonl"]}, "image_unreadable"),
}


def test_what_is_wrong_with_a_record_costs_that_record(
    model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from pipeline.tasks.detection.model.model import DetectionModel

    asked: list[str] = []
    answer = DetectionModel.answer

    def noted(self: Any, requests: Any, options: Any) -> Any:
        asked.extend(request.id for request in requests)
        return answer(self, requests, options)

    monkeypatch.setattr(DetectionModel, "answer", noted)
    examples = write_records(tmp_path, 8, {number: change for number, (change, _) in BAD.items()})
    rows = run_own(model, examples, tmp_path / "out")
    failed = {number: row for number, row in enumerate(rows) if row.status == "not_run"}
    assert {number: row.error for number, row in failed.items()} == {number: code for number, (_, code) in BAD.items()}
    assert all(row.preds == [] and row.raw_output == "" and row.error_detail for row in failed.values())
    assert asked == ["5", "7"]
    counted = load_manifest(tmp_path / "out").error_counts
    assert all(counted[code] == 1 for _, code in BAD.values())


def test_the_image_root_is_where_images_are(model: Path, tmp_path: Path) -> None:
    (tmp_path / "images").mkdir()
    examples = write_records(tmp_path / "images", 2).rename(tmp_path / "examples.jsonl")
    given = ("--model", model, "--input", examples)
    assert run_infer(*given, "--out", tmp_path / "a") == 0
    assert errors(tmp_path / "a") == ["image_missing"] * 2
    assert run_infer(*given, "--out", tmp_path / "b", "--image-root", tmp_path / "images") == 0
    assert {row.status for row in predictions(tmp_path / "b")}.isdisjoint({"not_run"})


def test_a_changed_image_outdates_the_run(model: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    examples = write_records(tmp_path, 2)
    run_own(model, examples, tmp_path / "out")
    capsys.readouterr()
    given = ("--model", model, "--input", examples, "--out", tmp_path / "out")
    assert run_infer(*given, settings=SAMPLED) == 0
    assert "up to date" in capsys.readouterr().out
    Image.new("RGB", (64, 64), (99, 99, 99)).save(tmp_path / "0.png")
    assert run_infer(*given, settings=SAMPLED) == 2
    assert "images_sha256" in capsys.readouterr().err


def test_a_run_cut_anywhere_ends_in_the_same_bytes(model: Path, tmp_path: Path) -> None:
    examples = write_records(tmp_path, 5, {1: {"images": []}})
    run_own(model, examples, tmp_path / "out")
    path, manifest = tmp_path / "out/predictions.jsonl", tmp_path / "out/manifest.json"
    whole, killed = path.read_bytes(), manifest.read_text().replace('"status": "ok"', '"status": "started"')
    ends = [0, *(number + 1 for number, byte in enumerate(whole) if byte == ord("\n"))]
    for length in (*ends, *(end - 1 for end in ends[1:]), *(end + 5 for end in ends[:-1])):
        path.write_bytes(whole[:length])
        manifest.write_text(killed)
        run_own(model, examples, tmp_path / "out")
        assert path.read_bytes() == whole


def test_a_resumed_run_asks_in_the_same_batches(model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from pipeline.tasks.detection.model.model import DetectionModel

    batches: list[list[str]] = []
    answer = DetectionModel.answer

    def noted(self: Any, requests: Any, options: Any) -> Any:
        batches.append([request.id for request in requests])
        return answer(self, requests, options)

    monkeypatch.setattr(DetectionModel, "answer", noted)
    examples = write_records(tmp_path, 7)
    run_own(model, examples, tmp_path / "out", "infer.batch_size=3")
    path, manifest = tmp_path / "out/predictions.jsonl", tmp_path / "out/manifest.json"
    path.write_bytes(b"".join(path.read_bytes().splitlines(keepends=True)[:4]))
    manifest.write_text(manifest.read_text().replace('"status": "ok"', '"status": "started"'))
    run_own(model, examples, tmp_path / "out", "infer.batch_size=3")
    assert batches == [["0", "1", "2"], ["3", "4", "5"], ["6"], ["3", "4", "5"], ["6"]]


def test_the_manifest_keeps_decoding_prompt_and_model(model: Path, tmp_path: Path) -> None:
    rows = run_own(model, write_records(tmp_path, 1), tmp_path / "out", *SAMPLED, "infer.prompt=polygons")
    manifest = load_manifest(tmp_path / "out")
    decoding = ("temperature", "top_p", "repetition_penalty", "max_new_tokens", "seed")
    assert [manifest.config["infer"][name] for name in decoding] == [1.0, 1.0, 1.0, 30, 0]
    assert manifest.config["device"] == "cpu"
    assert (manifest.config["prompt"], len(manifest.config["prompt_sha256"])) == ("polygons", 64)
    assert (manifest.notes["backend"], manifest.notes["model"]) == ("own", rows[0].model)


# replays


def test_texts_of_other_systems_become_rows(tmp_path: Path) -> None:
    texts: list[dict[str, Any]] = [
        {"id": 0, "raw_output": CAT, "latency_s": 3.5},
        {"id": "1", "raw_output": "I see nothing."},
        {"id": 2, "raw_output": '[{"bbox_2d":[1,2,300,4', "cut": True},
        {"id": 3, "raw_output": "[]", "model": "other"},
    ]
    examples = write_records(tmp_path, 4)
    assert replay(write_lines(tmp_path / "texts.jsonl", texts), examples, tmp_path / "out") == 0
    rows = predictions(tmp_path / "out")
    assert [row.status for row in rows] == ["ok", "no_json", "truncated", "empty"]
    assert rows[0].preds[0].bbox_2d == (1.0, 2.0, 300.0, 400.0)
    assert rows[2].cut and rows[3].model == "other"
    sha256 = load_manifest(tmp_path / "out").inputs["replay"].sha256
    assert {row.model for row in rows[:3]} == {sha256[:16]}


@pytest.mark.parametrize(
    "fields", [None, ("id", "raw_output", "model", "tokens", "cut", "status", "error", "error_detail")]
)
def test_a_replayed_run_gives_the_bytes_of_the_run(fields: tuple[str, ...] | None, model: Path, tmp_path: Path) -> None:
    changes = {number: change for number, (change, _) in BAD.items()}
    examples = write_records(tmp_path, 12, changes)
    run_own(model, examples, tmp_path / "out", *SAMPLED, "infer.keep_logprobs=true")
    path = tmp_path / "out/predictions.jsonl"
    texts = [json.loads(line) for line in path.read_text().splitlines()]
    assert any(text["tokens"] for text in texts) and any(text["cut"] for text in texts)
    if fields is not None:
        texts = [{name: text[name] for name in fields} for text in texts]
    given = path if fields is None else write_lines(tmp_path / "texts.jsonl", texts)
    assert replay(given, examples, tmp_path / "again") == 0
    assert (tmp_path / "again/predictions.jsonl").read_bytes() == path.read_bytes()


def test_a_record_without_a_text_fails_and_the_others_do_not(tmp_path: Path) -> None:
    texts = write_lines(tmp_path / "texts.jsonl", [{"id": 0, "raw_output": "[]"}, {"id": 99, "raw_output": "[]"}])
    assert replay(texts, write_records(tmp_path, 3), tmp_path / "out") == 0
    assert errors(tmp_path / "out") == [None, "no_text", "no_text"]
    assert load_manifest(tmp_path / "out").notes["num_texts_unused"] == 1


@pytest.mark.parametrize(
    ("texts", "message"),
    [
        ([{"id": 0, "raw_output": "a"}, {"id": "0", "raw_output": "b"}], "two texts for record '0'"),
        ([{"id": "cat.jpg", "raw_output": "a"}], "none of the texts is for a record"),
        ([], "none of the texts is for a record"),
        ([{"id": 0}], "raw_output"),
        ([{"id": 0, "raw_output": None}], "raw_output"),
    ],
)
def test_texts_that_cannot_be_joined_are_refused(
    texts: list[dict[str, Any]], message: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    given = write_lines(tmp_path / "texts.jsonl", texts)
    assert replay(given, write_records(tmp_path, 2), tmp_path / "out") == 2
    error = capsys.readouterr().err
    assert message in error and str(given) in error


def test_a_replay_looks_at_no_image(tmp_path: Path) -> None:
    examples = write_records(tmp_path, 2, {1: {"images": ["a.png", "b.png"]}})
    for path in tmp_path.glob("*.png"):
        path.unlink()
    texts = write_lines(tmp_path / "texts.jsonl", [{"id": number, "raw_output": "[]"} for number in range(2)])
    assert replay(texts, examples, tmp_path / "out") == 0
    assert errors(tmp_path / "out") == [None, "multi_image_not_supported"]


def test_a_replay_needs_neither_torch_nor_transformers(tmp_path: Path) -> None:
    texts = write_lines(tmp_path / "texts.jsonl", [{"id": 0, "raw_output": CAT}])
    examples = write_records(tmp_path, 1)
    blocked = ("torch", "safetensors", "transformers", "tokenizers", "onnxruntime", "httpx")
    code = (
        f"import sys; sys.modules.update(dict.fromkeys({blocked!r})); "
        "from stages.__main__ import dispatch; sys.exit(dispatch(sys.argv[1:]))"
    )
    command = ["infer", "detection", "--backend", "replay", "--replay", str(texts), "--input", str(examples)]
    done = subprocess.run(
        [sys.executable, "-c", code, *command, "--out", str(tmp_path / "out")], cwd=ROOT, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("text", ["\ud800", "\x00", "a\u2028b", "🦊" * 1000, "[" * 100_000])
def test_any_text_is_kept_in_a_row(text: str, tmp_path: Path) -> None:
    from pipeline.tasks.detection.infer.predict import _answered

    row = msgspec.json.encode(_answered(Answer(text), DEFAULT, (8, 8)))
    assert json.loads(row)["raw_output"].replace("\ufffd", "?") == text.replace("\ud800", "?")


# wrong command lines


@pytest.mark.parametrize(
    ("given", "message"),
    [
        (("--backend", "replay"), "--replay FILE"),
        (("--backend", "replay", "--replay", "none.jsonl"), "input 'replay' does not exist"),
        (("--replay", "x.jsonl"), "add --backend replay"),
        (("--backend", "replay", "--replay", "x.jsonl", "--image-root", "."), "no use for --image-root"),
        (("--backend", "replay", "--replay", "x.jsonl", "--model", "m"), "no use for --model"),
        (("--backend", "server", "--set", "infer.server.url=http://a/v1"), "infer.server.model"),
        (("--backend", "replays", "--replay", "x.jsonl"), "replays"),
        (
            ("--model", ROOT / "runs/pretrained/gridworld/minimal.inference_v1"),
            "of task 'gridworld', not of 'detection'",
        ),
        ((), "no folder for the export stage"),
    ],
)
def test_what_does_not_fit_together_is_told(
    given: tuple[str | Path, ...], message: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run_infer(*given, "--input", write_records(tmp_path, 1), "--out", tmp_path / "out") == 2
    assert message in capsys.readouterr().err


def test_input_ids_that_stand_twice_are_refused(
    model: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    examples = write_records(tmp_path, 3, {2: {"image_id": 0}})
    assert run_infer("--model", model, "--input", examples, "--out", tmp_path / "out") == 2
    assert "two examples are called '0'" in capsys.readouterr().err


# batches


def request(name: str) -> Request:
    return Request(name, None, "", 0)


def test_failures_keep_their_places_between_answers() -> None:
    places: list[Request | Failure] = [
        request("a"),
        Failure("x", ""),
        Failure("y", ""),
        request("b"),
        Failure("z", ""),
        request("c"),
    ]
    for size in (1, 2, 3, 10):
        found = list(in_batches(places, size, lambda batch: [Answer(asked.id) for asked in batch]))
        told = [outcome.code if isinstance(outcome, Failure) else outcome.text for outcome in found]
        assert told == ["a", "x", "y", "b", "z", "c"]


def test_a_record_that_breaks_the_model_is_found_by_halving() -> None:
    batches: list[str] = []

    def answer(batch: Any) -> list[Answer]:
        batches.append("".join(asked.id for asked in batch))
        if "c" in batches[-1]:
            raise RuntimeError("an index is out of range")
        return [Answer(asked.id) for asked in batch]

    found = list(in_batches([request(name) for name in "abcdef"], 6, answer))
    assert [outcome.code if isinstance(outcome, Failure) else outcome.text for outcome in found] == [
        "a", "b", "model_failed", "d", "e", "f",
    ]  # fmt: skip
    assert batches == ["abcdef", "abc", "a", "bc", "b", "c", "def"]
    assert isinstance(found[2], Failure) and "out of range" in found[2].detail


@pytest.mark.parametrize("error", [MemoryError(), torch.OutOfMemoryError("CUDA out of memory")])
def test_a_record_that_does_not_fit_into_memory_says_so(error: Exception) -> None:
    def answer(batch: Any) -> list[Answer]:
        raise error

    (outcome,) = in_batches([request("a")], 4, answer)
    assert isinstance(outcome, Failure) and outcome.code == "out_of_memory"


def test_what_is_wrong_with_the_run_stops_it() -> None:
    def answer(batch: Any) -> list[Answer]:
        raise UserError("the model cannot be asked that")

    with pytest.raises(UserError, match="cannot be asked"):
        list(in_batches([request("a"), request("b")], 2, answer))


def test_every_code_of_a_failure_is_documented() -> None:
    text = (ROOT / "docs/detection.md").read_text()
    assert [code for code in FAILURES if f"`{code}`" not in text] == []
    sources = (ROOT / "pipeline/tasks/detection").rglob("*.py")
    used = "".join(path.read_text() for path in sources)
    assert [code for code in FAILURES if used.count(f'"{code}"') < 2] == []  # once in the list itself

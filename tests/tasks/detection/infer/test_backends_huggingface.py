"""A Hugging Face folder of the Qwen-VL family, with random weights: loading, batches, sampling, and what goes wrong.

transformers takes seconds to load: tests that need it import it themselves, and so only the worker that runs them.
"""

import json
import shutil
from pathlib import Path
from typing import Any

import pytest
import torch

from pipeline.run.manifest import load_manifest
from pipeline.tasks.detection.answers import Failure, Request
from pipeline.tasks.detection.infer.backends.sampling import TokenChooser
from pipeline.tasks.detection.recipe import Infer
from tests.tasks.detection.infer.tiny_checkpoint import END, write_checkpoint
from tests.tasks.detection.input_records import errors, predictions, run_infer, write_lines, write_records

SHORT = ("infer.max_new_tokens=24",)
SAMPLED = (*SHORT, "infer.temperature=0.9", "infer.top_p=0.9", "infer.repetition_penalty=1.1")


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Seed 1: of texts of up to 24 tokens some end by themselves and some are cut."""
    return write_checkpoint(tmp_path_factory.mktemp("checkpoint"), seed=1)


def answer(checkpoint: Path, examples: Path, out: Path, *settings: str) -> bytes:
    given = ("--backend", "huggingface", "--model", checkpoint, "--input", examples, "--out", out)
    assert run_infer(*given, settings=settings or SHORT) == 0
    return (out / "predictions.jsonl").read_bytes()


@pytest.mark.parametrize("settings", [(*SHORT, "infer.keep_logprobs=true"), SAMPLED], ids=["greedy", "sampled"])
def test_batches_of_one_and_of_eight_give_the_same_rows(
    settings: tuple[str, ...], checkpoint: Path, tmp_path: Path
) -> None:
    examples = write_records(tmp_path, 9, {4: {"images": ["none.png"]}})
    one = answer(checkpoint, examples, tmp_path / "one", *settings, "infer.batch_size=1")
    assert one == answer(checkpoint, examples, tmp_path / "eight", *settings, "infer.batch_size=8")
    rows = predictions(tmp_path / "one")
    assert errors(tmp_path / "one")[4] == "image_missing"
    assert len({row.raw_output for row in rows}) >= 3  # not one text for all


def test_short_and_cut_texts_of_one_batch_end_where_they_end(checkpoint: Path, tmp_path: Path) -> None:
    answer(checkpoint, write_records(tmp_path, 3), tmp_path / "out")
    rows = predictions(tmp_path / "out")
    assert {row.cut for row in rows} == {True, False}
    assert not any(END in row.raw_output or "<|endoftext|>" in row.raw_output for row in rows)


def test_a_sampled_text_depends_on_the_seed_and_the_record_alone(checkpoint: Path, tmp_path: Path) -> None:
    examples = write_records(tmp_path, 4)
    whole = answer(checkpoint, examples, tmp_path / "whole", *SAMPLED).splitlines()
    last = write_lines(tmp_path / "last.jsonl", [json.loads(line) for line in examples.read_text().splitlines()[3:]])
    assert answer(checkpoint, last, tmp_path / "last", *SAMPLED).splitlines() == whole[3:]
    assert answer(checkpoint, examples, tmp_path / "other", *SAMPLED, "infer.seed=1").splitlines() != whole


def test_the_sampling_that_a_checkpoint_asks_for_is_not_mixed_in(checkpoint: Path, tmp_path: Path) -> None:
    other = Path(shutil.copytree(checkpoint, tmp_path / "other"))
    settings = json.loads((other / "generation_config.json").read_text())
    assert settings["do_sample"] is True
    kept = {key: settings[key] for key in ("eos_token_id", "pad_token_id")}
    (other / "generation_config.json").write_text(json.dumps(kept))
    examples = write_records(tmp_path, 3)
    answer(checkpoint, examples, tmp_path / "with")
    answer(other, examples, tmp_path / "without")
    texts = [[row.raw_output for row in predictions(tmp_path / name)] for name in ("with", "without")]
    assert texts[0] == texts[1]


def test_log_probabilities_stand_at_the_characters_that_their_tokens_end(checkpoint: Path, tmp_path: Path) -> None:
    answer(checkpoint, write_records(tmp_path, 3), tmp_path / "out", *SHORT, "infer.keep_logprobs=true")
    for row in predictions(tmp_path / "out"):
        assert row.tokens is not None
        assert len(row.tokens.ends) == len(row.tokens.logprobs) <= 24
        assert row.tokens.ends == sorted(row.tokens.ends)
        assert row.tokens.ends[-1] == len(row.raw_output)
        assert all(logprob <= 0 for logprob in row.tokens.logprobs)


def test_the_manifest_names_every_file_of_the_checkpoint_and_the_prompt(checkpoint: Path, tmp_path: Path) -> None:
    answer(checkpoint, write_records(tmp_path, 1), tmp_path / "out", *SHORT, "infer.prompt=Where are the cats?")
    manifest = load_manifest(tmp_path / "out")
    named = {name.removeprefix("model/") for name in manifest.inputs if name.startswith("model/")}
    assert named == {path.name for path in checkpoint.iterdir()}
    assert manifest.config["prompt"] == "Where are the cats?"
    assert len(manifest.config["prompt_sha256"]) == 64
    assert manifest.notes["backend"] == "huggingface"
    assert manifest.notes["model"] == predictions(tmp_path / "out")[0].model


def test_another_prompt_and_other_weights_are_another_answer(checkpoint: Path, tmp_path: Path) -> None:
    examples = write_records(tmp_path, 3)
    answer(checkpoint, examples, tmp_path / "a")
    answer(checkpoint, examples, tmp_path / "b", *SHORT, "infer.prompt=x")
    answer(write_checkpoint(tmp_path / "other", seed=2), examples, tmp_path / "c")
    a, b, c = ([row.raw_output for row in predictions(tmp_path / name)] for name in "abc")
    assert a != b and a != c
    models = {predictions(tmp_path / name)[0].model for name in "abc"}
    assert len(models) == 2


def test_a_changed_checkpoint_is_not_up_to_date(
    checkpoint: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    mine = Path(shutil.copytree(checkpoint, tmp_path / "mine"))
    examples = write_records(tmp_path, 1)
    answer(mine, examples, tmp_path / "out")
    (mine / "chat_template.jinja").write_text((mine / "chat_template.jinja").read_text() + " ")
    given = ("--backend", "huggingface", "--model", mine, "--input", examples, "--out", tmp_path / "out")
    assert run_infer(*given, settings=SHORT) == 2
    assert "input model/chat_template.jinja" in capsys.readouterr().err


# folders that cannot be used


def broken_tensor(folder: Path) -> None:
    from safetensors.torch import load_file, save_file

    weights = load_file(folder / "model.safetensors")
    weights.pop(next(name for name in weights if "down_proj" in name))
    save_file(weights, folder / "model.safetensors", metadata={"format": "pt"})


def own_code(folder: Path) -> None:
    config = json.loads((folder / "config.json").read_text())
    config |= {"model_type": "mine", "auto_map": {"AutoConfig": "mine.Config"}}
    (folder / "config.json").write_text(json.dumps(config))
    (folder / "mine.py").write_text("raise SystemExit('code of the folder ran')")


def no_template(folder: Path) -> None:
    (folder / "chat_template.jinja").unlink()


def only_pickles(folder: Path) -> None:
    torch.save({}, folder / "pytorch_model.bin")
    (folder / "model.safetensors").unlink()


def torn_weights(folder: Path) -> None:
    path = folder / "model.safetensors"
    path.write_bytes(path.read_bytes()[:5000])


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (broken_tensor, "cannot be filled"),
        (own_code, "cannot be loaded"),
        (no_template, "no chat template"),
        (only_pickles, "cannot be loaded"),
        (torn_weights, "cannot be loaded"),
    ],
)
def test_a_folder_that_is_no_whole_checkpoint_is_refused(
    damage: Any, message: str, checkpoint: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = Path(shutil.copytree(checkpoint, tmp_path / "damaged"))
    damage(folder)
    given = ("--backend", "huggingface", "--model", folder, "--input", write_records(tmp_path, 1))
    assert run_infer(*given, "--out", tmp_path / "out") == 2
    assert message in capsys.readouterr().err


def test_without_a_folder_it_asks_for_one(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    examples = write_records(tmp_path, 1)
    assert run_infer("--backend", "huggingface", "--input", examples, "--out", tmp_path / "a") == 2
    assert "--model FOLDER" in capsys.readouterr().err
    given = ("--model", tmp_path, "--input", examples, "--out", tmp_path / "b")
    assert run_infer("--backend", "huggingface", *given) == 2
    assert "no config.json" in capsys.readouterr().err


# records that fail


class Weak:
    """The checkpoint's network, with memory for so many rows, and for none at all with red in the first pixel."""

    def __init__(self, model: Any, most_rows: int) -> None:
        self.inner, self.most_rows, self.sizes = model, most_rows, list[int]()

    def __getattr__(self, name: str) -> Any:
        return getattr(self.inner, name)

    def generate(self, **inputs: Any) -> Any:
        size = len(inputs["input_ids"])
        self.sizes.append(size)
        if size > self.most_rows:
            raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB")
        return self.inner.generate(**inputs)


def test_a_batch_that_does_not_fit_into_memory_is_halved(
    checkpoint: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from pipeline.tasks.detection.infer.backends import huggingface
    from pipeline.tasks.detection.infer.backends.checkpoint import load_checkpoint

    examples = write_records(tmp_path, 5)
    whole = answer(checkpoint, examples, tmp_path / "whole", *SHORT, "infer.batch_size=5")
    weak: list[Weak] = []

    def load(*given: Any, **more: Any) -> Any:
        loaded = load_checkpoint(*given, **more)
        weak.append(Weak(loaded.model, most_rows=2))
        return type(loaded)(weak[0], loaded.processor, loaded.tokenizer, loaded.end_ids, loaded.pad_id)

    monkeypatch.setattr(huggingface, "load_checkpoint", load)
    assert answer(checkpoint, examples, tmp_path / "halved", *SHORT, "infer.batch_size=5") == whole
    assert weak[0].sizes == [5, 2, 3, 1, 2]
    weak.clear()
    monkeypatch.setattr(Weak, "generate", lambda self, **inputs: (_ for _ in ()).throw(MemoryError()))
    answer(checkpoint, examples, tmp_path / "none", *SHORT)
    assert errors(tmp_path / "none") == ["out_of_memory"] * 5


def test_an_image_that_the_processor_refuses_costs_its_record(checkpoint: Path, tmp_path: Path) -> None:
    from PIL import Image

    Image.new("RGB", (801, 4)).save(tmp_path / "thread.png")  # Qwen takes no sides of more than 1 to 200
    examples = write_records(tmp_path, 3, {1: {"images": ["thread.png"], "width": 801, "height": 4}})
    answer(checkpoint, examples, tmp_path / "out")
    rows = predictions(tmp_path / "out")
    assert [row.error == "model_failed" for row in rows] == [False, True, False]
    assert "aspect ratio" in str(rows[1].error_detail)


def test_a_network_that_answers_nan_costs_the_record(checkpoint: Path) -> None:
    from PIL import Image

    from pipeline.tasks.detection.infer.backends.checkpoint import load_checkpoint
    from pipeline.tasks.detection.infer.backends.huggingface import HuggingFaceModel

    loaded = load_checkpoint(checkpoint, precision="float32", device="cpu")
    with torch.no_grad():
        loaded.model.lm_head.weight.fill_(torch.nan)
    request = Request("a", Image.new("RGB", (32, 32)), "x", 0)
    (outcome,) = HuggingFaceModel(loaded).answer([request], Infer(max_new_tokens=4))
    assert isinstance(outcome, Failure) and outcome.code == "model_not_finite"


# choosing tokens

LOGITS = torch.tensor([[2.0, 1.0, 0.0, -1.0]])


def test_the_repetition_penalty_counts_the_prompt_and_not_the_padding() -> None:
    negative = torch.tensor([[-1.0, -2.0, -9.0, -9.0]])
    for logits, ids, mask, token in (
        (LOGITS, [0], [1], 1),  # 2 / 3 is less than 1
        (LOGITS, [0, 0, 3], [0, 0, 1], 0),
        (negative, [0], [1], 1),  # -1 * 3 is less than -2
    ):
        chooser = TokenChooser(Infer(repetition_penalty=3.0), [0], torch.tensor([mask]), end_id=0)
        assert int(chooser(torch.tensor([ids]), logits).argmax()) == token


def test_what_was_written_is_penalised_from_then_on() -> None:
    chooser = TokenChooser(Infer(repetition_penalty=3.0), [0], torch.tensor([[1]]), end_id=3)
    ids, written = torch.tensor([[3]]), list[int]()
    for _ in range(3):
        token = int(chooser(ids, LOGITS).argmax())
        written.append(token)
        ids = torch.cat((ids, torch.tensor([[token]])), 1)
    assert written == [0, 1, 0]
    assert [round(float(logprob), 3) for logprob in chooser.logprobs] == [-0.44, -1.44, -0.44]  # the model's own

"""The command line: exit codes, error blocks, help, machine-readable results."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import ClassVar

import pytest
import typer
from msgspec import Struct

from pipeline.errors import UserError
from pipeline.run.signals import stop_on_signal
from schemas.flow import STAGES
from stages.common import Result, command, run_command, stage_config
from stages.options import Options
from tests.conftest import ROOT, Baton, run_baton


def make_app(function: object) -> typer.Typer:
    """A stage around a function of no parameters."""

    @command("example")
    def app(options: Options) -> Result:
        """Does what the test says."""
        return function()  # type: ignore[operator]

    return app


def raising(error: BaseException) -> typer.Typer:
    def body() -> Result:
        raise error

    return make_app(body)


# what the encoding of the output has no letters for

COCO = {
    "images": [{"id": 1, "width": 9, "height": 9}],
    "annotations": [{"id": 1, "image_id": 1, "category_id": 1, "bbox": [1, 1, 2, 2]}],
    "categories": [{"id": 1, "name": "猫"}],
}


def test_a_path_beyond_ascii_is_shown_with_escapes_and_stops_nothing(tmp_path: Path) -> None:
    folder, shown = tmp_path / "päth 日本 🐈", r"p\xe4th \u65e5\u672c \U0001f408"
    folder.mkdir()
    (folder / "truth.json").write_text(json.dumps(COCO))
    arguments = ("convert", "detection", "--from", "coco", "--out", folder / "rows", "--annotations")
    done = run_baton(*arguments, folder / "truth.json", runs=tmp_path, PYTHONIOENCODING="ascii")
    assert done.code == 0, done.err
    assert f"{shown}/rows/examples.jsonl" in done.out and (folder / "rows/examples.jsonl").is_file()
    done = run_baton(*arguments, folder / "none.json", runs=tmp_path, PYTHONIOENCODING="ascii")
    assert done.code == 2 and f"{shown}/none.json" in done.err


def test_a_path_that_is_not_utf_8_is_refused_in_words(baton: Baton, tmp_path: Path) -> None:
    done = baton(
        "convert", "detection", "--from", "coco", "--annotations", tmp_path / "a\udce9.json", "--out", tmp_path
    )
    assert done.code == 2 and "this is not UTF-8" in done.err


# help and dispatch


@pytest.mark.parametrize("stage", [stage.name for stage in STAGES])
def test_every_stage_has_help_with_a_summary_options_and_an_example(stage: str, baton: Baton) -> None:
    done = baton(stage, "--help")
    assert done.code == 0
    assert f"baton {stage}" in done.out
    assert f"Example: baton {stage}" in done.out
    assert "--json" in done.out or stage in ("follow", "serve")


def test_help_lists_every_stage_with_its_summary(baton: Baton) -> None:
    done = baton("--help")
    assert done.code == 0
    for stage in STAGES:
        assert f"  {stage.name}" in done.out
        assert stage.summary in done.out


def test_no_arguments_shows_the_usage_and_fails(baton: Baton) -> None:
    done = baton()
    assert (done.code, done.out) == (2, "")
    assert done.err.startswith("Usage: baton STAGE TASK")


def test_version_is_that_of_the_package(baton: Baton) -> None:
    assert baton("--version").out == "baton 0.1.0\n"


def test_an_unknown_stage_names_the_nearest(baton: Baton) -> None:
    done = baton("evalute", "gridworld")
    assert done.code == 2
    assert done.err == "error: there is no stage 'evalute'\n  next:  did you mean `baton evaluate`?\n"


def test_a_module_that_is_no_stage_cannot_be_run(baton: Baton) -> None:
    assert baton("common").code == 2
    assert baton("os").code == 2


def test_a_stage_runs_as_a_module_too() -> None:
    done = subprocess.run([sys.executable, "-m", "stages.examples", "--help"], cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0
    assert "baton examples" in done.stdout


# the user's mistakes


def test_unknown_options_are_refused_in_one_block(baton: Baton) -> None:
    done = baton("examples", "gridworld", "--recip", "tiny")
    assert done.code == 2
    assert done.err.startswith("error: no such option: --recip")
    assert "--recipe" in done.err.splitlines()[0]
    assert done.err.endswith("  next:  baton examples --help\n")


def test_a_missing_task_is_named(baton: Baton) -> None:
    done = baton("examples")
    assert (done.code, done.err.splitlines()[0]) == (2, "error: missing argument 'TASK'")


def test_an_unknown_task_names_the_nearest(baton: Baton) -> None:
    done = baton("examples", "gridwrld", "--recipe", "tiny")
    assert done.code == 2
    assert "there is no task 'gridwrld'" in done.err
    assert "did you mean 'gridworld'?" in done.err


def test_an_unknown_recipe_names_the_nearest(baton: Baton) -> None:
    done = baton("examples", "gridworld", "--recipe", "tiney")
    assert done.code == 2
    assert "did you mean 'tiny'?" in done.err


def test_an_unknown_key_names_the_nearest_and_the_flag(baton: Baton) -> None:
    done = baton("examples", "gridworld", "--recipe", "tiny", "--set", "train.num_step=3")
    assert done.code == 2
    assert "did you mean 'num_steps'?" in done.err
    assert "--set train.num_step=3" in done.err


def test_no_recipe_is_a_question_not_a_guess(baton: Baton) -> None:
    done = baton("examples", "gridworld")
    assert done.code == 2
    first, remedy = done.err.splitlines()
    assert first == "error: the examples stage needs a recipe"
    assert remedy.startswith("  next:  baton examples TASK --recipe NAME, one of: curriculum, demo, full, ")


def test_settings_without_a_recipe_change_the_defaults() -> None:
    options = Options(stage="evaluate", task="gridworld", settings=["evaluate.seed=7"], seed=3)
    recipe, run_name = options.recipe_or_defaults("evaluate.num_resamples=20")
    assert (recipe.evaluate.seed, recipe.evaluate.num_resamples, recipe.seed, run_name) == (7, 20, 3, None)


def test_a_wrong_setting_without_a_recipe_names_the_flag() -> None:
    with pytest.raises(UserError, match="seeed") as caught:
        Options(stage="evaluate", task="gridworld", settings=["evaluate.seeed=7"]).recipe_or_defaults()
    assert caught.value.where == "--set evaluate.seeed=7"


def test_errors_are_objects_with_json(baton: Baton) -> None:
    done = baton("examples", "gridworld", "--recipe", "tiney", "--json")
    assert done.code == 2
    assert done.json["status"] == "error"
    assert done.json["exit_code"] == 2
    assert done.json["error"]["what"] == "there is no gridworld recipe 'tiney'"
    assert done.json["error"]["remedy"] == "did you mean 'tiny'?"


def test_a_wrong_option_is_an_object_with_json_too(baton: Baton) -> None:
    assert baton("examples", "--json").json["error"]["what"] == "missing argument 'TASK'"


# exit codes


def test_a_failed_result_is_exit_code_1_and_still_printed(capsys: pytest.CaptureFixture[str]) -> None:
    app = make_app(lambda: Result(["not whole"], status="failed"))
    assert run_command(app, ["gridworld"]) == 1
    assert capsys.readouterr().out == "not whole\n"


def test_a_bug_is_a_block_and_a_saved_traceback(capsys: pytest.CaptureFixture[str]) -> None:
    assert run_command(raising(KeyError("meters")), ["gridworld"]) == 70
    first, second, third = capsys.readouterr().err.splitlines()
    assert first == "error: this is a bug in Baton: KeyError: 'meters'"
    saved = Path(second.removeprefix("  where: traceback saved in "))
    assert "raise error" in saved.read_text()
    saved.unlink()
    assert "report it" in third


def test_a_full_disk_is_a_block_with_a_remedy(capsys: pytest.CaptureFixture[str]) -> None:
    assert run_command(raising(OSError(28, "No space left on device", "/data/x")), ["gridworld"]) == 2
    assert capsys.readouterr().err.splitlines() == [
        "error: the system refused: No space left on device",
        "  where: /data/x",
        "  next:  free some space, then run the same command again",
    ]


def test_ctrl_c_is_exit_code_130(capsys: pytest.CaptureFixture[str]) -> None:
    assert run_command(raising(KeyboardInterrupt()), ["gridworld"]) == 130
    assert capsys.readouterr().err == "error: interrupted\n"


def test_sigterm_ends_a_stage_like_ctrl_c(capsys: pytest.CaptureFixture[str]) -> None:
    def body() -> Result:
        os.kill(os.getpid(), signal.SIGTERM)
        time.sleep(10)
        return Result()

    assert run_command(make_app(body), ["gridworld"]) == 130


def test_the_first_signal_asks_and_the_second_interrupts(capsys: pytest.CaptureFixture[str]) -> None:
    with stop_on_signal() as stop:
        assert not stop()
        os.kill(os.getpid(), signal.SIGINT)
        assert stop()
        with pytest.raises(KeyboardInterrupt):
            os.kill(os.getpid(), signal.SIGTERM)
    assert "once more to stop at once" in capsys.readouterr().err


def test_a_closed_pipe_is_quiet() -> None:
    """``baton inspect ... | head``: the reader of stdout is gone before the result is printed."""
    reader, writer = os.pipe()
    os.close(reader)
    recipe = "runs/recipes/gridworld/tiny.yaml"
    with os.fdopen(writer, "w") as closed:
        done = subprocess.run(
            [sys.executable, "-m", "stages", "inspect", recipe],
            cwd=ROOT,
            stdout=closed,
            stderr=subprocess.PIPE,
            text=True,
        )
    assert (done.returncode, done.stderr) == (141, "")


# what a result says, and what outdates it


def test_a_stage_says_where_its_output_is_and_then_that_it_is_up_to_date(baton: Baton, tmp_path: Path) -> None:
    arguments = ("examples", "gridworld", "--recipe", "tiny")
    path = tmp_path / "runs/gridworld/tiny/examples/examples.jsonl"
    first, second = baton(*arguments), baton(*arguments)
    assert first.out == f"examples: done (examples 12)\n  examples: {path}\n"
    assert second.out == f"examples: up to date (examples 12)\n  examples: {path}\n"
    assert (first.code, second.code, first.err, second.err) == (0, 0, "", "")


def test_json_results_are_one_object(baton: Baton, tmp_path: Path) -> None:
    facts = baton("examples", "gridworld", "--recipe", "tiny", "--json").json
    assert facts["stage"] == "examples"
    assert facts["status"] == "ok"
    assert facts["counts"] == {"num_examples": 12}
    assert facts["outputs"]["examples"] == str(tmp_path / "runs/gridworld/tiny/examples/examples.jsonl")


def test_a_changed_recipe_is_refused_until_forced(baton: Baton) -> None:
    arguments = ("examples", "gridworld", "--recipe", "tiny")
    baton(*arguments)
    changed = baton(*arguments, "--set", "examples.num_scenarios=3")
    assert changed.code == 2
    assert "examples.num_scenarios: 12 -> 3" in changed.err
    assert "--force" in changed.err
    assert baton(*arguments, "--set", "examples.num_scenarios=3", "--force").code == 0


def test_another_name_is_another_run(baton: Baton, tmp_path: Path) -> None:
    assert baton("examples", "gridworld", "--recipe", "tiny", "--set", "name=other").code == 0
    assert (tmp_path / "runs/gridworld/other/examples/examples.jsonl").exists()


def test_out_names_the_folder_itself(baton: Baton, tmp_path: Path) -> None:
    assert baton("examples", "gridworld", "--recipe", "tiny", "--out", tmp_path / "here").code == 0
    assert (tmp_path / "here/examples.jsonl").exists()


def test_a_section_of_another_stage_does_not_outdate_a_stage() -> None:
    class Sectioned(Struct):
        belongs_to: ClassVar[dict[str, str]] = {"texts": "infer"}
        name: str = "a"
        description: str = "words"
        network: str = "dueling"
        texts: str = "JSON"
        examples: int = 1
        train: int = 2
        evaluate: int = 3

    assert stage_config(Sectioned(), "train") == {"name": "a", "network": "dueling", "train": 2}
    assert stage_config(Sectioned(), "evaluate") == {"evaluate": 3}
    assert stage_config(Sectioned(), "examples", ("network",)) == {"network": "dueling", "examples": 1}


def test_examples_stay_up_to_date_when_the_training_changes(baton: Baton) -> None:
    arguments = ("examples", "gridworld", "--recipe", "tiny")
    baton(*arguments)
    assert baton(*arguments, "--seed", "5", "--set", "train.num_steps=1", "--json").json["status"] == "up_to_date"
    assert baton(*arguments, "--set", "environment.level=minimal").code == 2


def test_stages_without_a_folder_ask_for_one() -> None:
    with pytest.raises(UserError, match="no folder for the infer stage"):
        Options(stage="infer", task="gridworld").folder(None)

"""The contracts: what is generated from them is current, and what they promise about each other holds."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import msgspec
import pytest

from pipeline import docs as schema_docs
from pipeline.contract.load import load_part, task_names
from pipeline.contract.parts import RowsPart
from pipeline.tasks.gridworld import rows as gridworld
from schemas import flow, rows, upgrades
from tests.support.toy_rows import ROOT

ROW_TYPES = [(task, schema, kind) for task in task_names() for schema, kind in load_part(task, RowsPart).types.items()]


def test_generated_files_are_what_the_code_says() -> None:
    assert schema_docs.drifted() == []


def test_check_names_the_drifted_file_and_writing_mends_it(tmp_path: Path) -> None:
    schema_docs.write(tmp_path)
    assert schema_docs.drifted(tmp_path) == []
    (tmp_path / "schemas/generated/manifest_v1.json").write_text("{}")
    (tmp_path / "schemas/generated/gridworld.score_v1.json").unlink()
    (tmp_path / "schemas/generated/gone.row_v1.json").write_text("{}")
    names = ("gone.row_v1", "gridworld.score_v1", "manifest_v1")
    assert schema_docs.drifted(tmp_path) == [f"schemas/generated/{name}.json" for name in names]
    schema_docs.write(tmp_path)
    assert schema_docs.drifted(tmp_path) == []


def test_the_check_command_fails_by_its_exit_status(monkeypatch: pytest.MonkeyPatch, capsys: Any) -> None:
    monkeypatch.setattr(schema_docs, "generated", lambda: {"docs/absent.md": "x"})
    assert schema_docs.main(["--check"]) == 1
    assert "docs/absent.md is not what the code says" in capsys.readouterr().err
    assert schema_docs.main(["--chekc"]) == 2


def test_a_row_schema_is_readable_json_schema() -> None:
    schema = json.loads((ROOT / "schemas/generated/gridworld.score_v1.json").read_text())
    score = schema["$defs"]["GridworldScore"]
    assert score["additionalProperties"] is False
    assert score["properties"]["schema"] == {"const": "score_v1"}
    assert score["properties"]["task"] == {"const": "gridworld"}
    assert {"schema", "task", "id", "subject", "num_steps"} <= set(score["required"])


@pytest.mark.parametrize(("task", "schema", "kind"), ROW_TYPES, ids=[f"{row[0]}-{row[1]}" for row in ROW_TYPES])
def test_row_types_extend_their_envelope_and_state_version_and_task(
    task: str, schema: str, kind: type[rows.Row]
) -> None:
    assert issubclass(kind, rows.ENVELOPES[schema])
    defaults = {field.name: field.default for field in msgspec.structs.fields(kind)}
    assert defaults["schema"] == schema
    assert defaults["task"] in (task, msgspec.NODEFAULT)
    assert kind.__struct_config__.frozen and kind.__struct_config__.forbid_unknown_fields


def test_every_row_that_tells_of_a_gridworld_episode_spells_out_the_same_account() -> None:
    kinds = (gridworld.GridworldEpisode, gridworld.GridworldPrediction, gridworld.GridworldScore)
    accounts = [
        {field.name: field.type for field in msgspec.structs.fields(kind) if field.name in gridworld.ACCOUNT}
        for kind in kinds
    ]
    assert tuple(accounts[0]) == gridworld.ACCOUNT
    assert accounts[0] == accounts[1] == accounts[2]


def test_the_contracts_load_without_any_other_library() -> None:
    code = (
        "import sys, schemas.rows, schemas.flow, schemas.manifest, schemas.recipe, schemas.brain, schemas.upgrades\n"
        "print(*sorted({name.partition('.')[0] for name in sys.modules} & {'numpy', 'orjson', 'torch', 'pipeline'}))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=ROOT)
    assert done.stdout.strip() == ""


def test_the_flow_reads_only_what_an_earlier_stage_writes() -> None:
    written = {"recipe", "any artifact", "files of other tools"}
    for stage in flow.STAGES:
        assert set(stage.reads) <= written, stage.name
        written |= set(stage.writes)


# Upgrades of a made-up old version


def test_an_upgrade_chain_ends_at_the_wanted_version() -> None:
    upgrades.register("made_up", "row_v0", "row_v1", lambda row: row | {"b": row["a"] * 2})
    upgrades.register("made_up", "row_v1", "row_v2", lambda row: row | {"c": row["b"] + 1})
    try:
        old = {"schema": "row_v0", "task": "made_up", "a": 1}
        assert upgrades.upgrade(old, "row_v2") == {"schema": "row_v2", "task": "made_up", "a": 1, "b": 2, "c": 3}
        assert old == {"schema": "row_v0", "task": "made_up", "a": 1}
        assert upgrades.upgrade(old, "row_v9") is None
        assert upgrades.upgrade({**old, "task": "another"}, "row_v2") is None
        assert upgrades.known_versions("made_up", "row_v2") == ["row_v0", "row_v1", "row_v2"]
        with pytest.raises(ValueError, match="already"):
            upgrades.register("made_up", "row_v0", "row_v2", lambda row: row)
    finally:
        upgrades.unregister("made_up", "row_v0")
        upgrades.unregister("made_up", "row_v1")


def test_a_circle_of_upgrades_leads_nowhere() -> None:
    upgrades.register("made_up", "row_v0", "row_v1", lambda row: row)
    upgrades.register("made_up", "row_v1", "row_v0", lambda row: row)
    try:
        assert upgrades.upgrade({"schema": "row_v0", "task": "made_up"}, "row_v2") is None
    finally:
        upgrades.unregister("made_up", "row_v0")
        upgrades.unregister("made_up", "row_v1")

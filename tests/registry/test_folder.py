"""A registry in a folder: versions that never change, aliases that move, writers at the same moment."""

import json
import shutil
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from pipeline.errors import UserError
from pipeline.registry.find import open_registry
from pipeline.registry.folder import FolderRegistry
from tests.model.model_parts import flip
from tests.registry.model_files import make_model


@pytest.fixture
def registry(tmp_path: Path) -> FolderRegistry:
    """A registry with two versions of "town"."""
    registry = FolderRegistry(tmp_path / "registry")
    for seed in (1, 2):
        registry.add("town", make_model(tmp_path / f"{seed}.inference_v1", seed))
    return registry


def test_versions_are_numbered_and_hold_the_bytes_that_were_added(registry: FolderRegistry, tmp_path: Path) -> None:
    assert [one.version for one in registry.versions("town")] == ["1", "2"]
    assert registry.fetch("town", "2").read_bytes() == (tmp_path / "2.inference_v1").read_bytes()
    assert {one.task for one in registry.versions("town")} == {"gridworld"}


def test_the_same_bytes_are_the_same_version(registry: FolderRegistry, tmp_path: Path) -> None:
    assert registry.add("town", tmp_path / "1.inference_v1") == "1"
    assert len(registry.versions("town")) == 2


def test_an_alias_names_a_version_and_moves(registry: FolderRegistry) -> None:
    assert registry.set_alias("town", "production", "1") is None
    assert registry.set_alias("town", "production", "2") == "1"
    assert registry.resolve("town", "production") == "2"
    assert [list(one.aliases) for one in registry.versions("town")] == [[], ["production"]]


def test_ten_writers_at_once_lose_nothing(registry: FolderRegistry, tmp_path: Path) -> None:
    files = [make_model(tmp_path / f"more-{seed}.inference_v1", seed) for seed in range(10, 20)]
    start = threading.Barrier(10)

    def write(number: int) -> str:
        start.wait()
        version = FolderRegistry(registry.folder).add("town", files[number])
        FolderRegistry(registry.folder).set_alias("town", f"writer-{number}", version)
        return version

    with ThreadPoolExecutor(10) as pool:
        versions = list(pool.map(write, range(10)))
    assert sorted(map(int, versions)) == [*range(3, 13)]
    assert [registry.resolve("town", f"writer-{number}") for number in range(10)] == versions
    for number, version in enumerate(versions):
        assert registry.fetch("town", version).read_bytes() == files[number].read_bytes()


def test_a_damaged_file_is_neither_added_nor_given_out(registry: FolderRegistry, tmp_path: Path) -> None:
    damaged = make_model(tmp_path / "damaged.inference_v1", 5)
    flip(damaged, damaged.stat().st_size * 8 - 80)
    with pytest.raises(UserError, match="damaged"):
        registry.add("town", damaged)
    assert len(registry.versions("town")) == 2 and not list((registry.folder / "town").glob(".*.tmp"))
    stored = registry.folder / "town/1.inference_v1"
    flip(stored, stored.stat().st_size * 8 - 80)
    with pytest.raises(UserError, match="damaged"):
        registry.fetch("town", "1")
    with pytest.raises(UserError, match="damaged"):
        registry.set_alias("town", "production", "1")


def test_a_file_that_was_exchanged_under_an_alias_is_refused(registry: FolderRegistry, tmp_path: Path) -> None:
    registry.set_alias("town", "production", "1")
    (registry.folder / "town/1.inference_v1").write_bytes((tmp_path / "2.inference_v1").read_bytes())
    with pytest.raises(UserError, match="another file than the one"):
        registry.fetch("town", "1")


@pytest.mark.parametrize("name", ["..", "a/b", "", "-x", "a b"])
def test_a_name_is_no_path(name: str, registry: FolderRegistry, tmp_path: Path) -> None:
    with pytest.raises(UserError, match="is no name of a model"):
        registry.add(name, tmp_path / "1.inference_v1")


def test_what_is_not_there_is_said_with_what_is(registry: FolderRegistry) -> None:
    registry.set_alias("town", "production", "1")
    with pytest.raises(UserError, match="town has no alias 'prodution'") as caught:
        registry.resolve("town", "prodution")
    assert caught.value.remedy == "did you mean 'production'?"
    with pytest.raises(UserError, match="town has no version '9'"):
        registry.resolve("town", "9")
    with pytest.raises(UserError, match="there is no model 'city'"):
        registry.versions("city")
    with pytest.raises(UserError, match="'7' is no name of an alias"):
        registry.set_alias("town", "7", "1")


def test_what_others_keep_beside_the_names_is_passed_over(registry: FolderRegistry) -> None:
    for name in ("my model/1", ".trash/1", "line\nbreak/1", "drafts/latest"):
        path = registry.folder / f"{name}.inference_v1"
        path.parent.mkdir()
        shutil.copy(registry.fetch("town", "1"), path)
    assert registry.names() == ["town"]


def test_a_registry_that_cannot_be_written_says_so(registry: FolderRegistry) -> None:
    (registry.folder / "town/.lock").unlink()
    (registry.folder / "town/.lock").mkdir()
    with pytest.raises(UserError, match="cannot"):
        registry.set_alias("town", "production", "1")


def test_damaged_aliases_are_named(registry: FolderRegistry) -> None:
    path = registry.folder / "town/aliases.json"
    path.write_text(json.dumps({"schema": "aliases_v1", "aliases": {"production": {"version": "latest"}}}))
    with pytest.raises(UserError, match="the aliases are not valid"):
        registry.resolve("town", "production")


def test_a_place_is_a_folder_or_an_address() -> None:
    assert open_registry("models").where == "models"
    assert open_registry("mlflow://localhost:5000/").where == "http://localhost:5000"
    assert open_registry("mlflow+https://models.example").where == "https://models.example"
    assert open_registry("mlflow://ann:secret@models:5000").where == "http://models:5000"
    with pytest.raises(UserError, match="no registry at s3://"):
        open_registry("s3://bucket/models")

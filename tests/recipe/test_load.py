"""Recipes: what a text says is what the run gets, and every kind of mistake is one error that says where."""

import gzip
from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.errors import UserError
from pipeline.files.hashes import hash_config
from pipeline.recipe import named
from pipeline.recipe.load import load_recipe
from pipeline.recipe.yaml import parse
from pipeline.tasks.gridworld.recipe import Dueling, GridworldRecipe, Recurrent

HEAD = "schema: recipe_v1\ntask: gridworld\nname: mine\n"


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "mine.yaml"


def load(path: Path, text: str | bytes, *overrides: str, seed: int | None = None) -> GridworldRecipe:
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    recipe: GridworldRecipe = load_recipe(path, "gridworld", overrides, seed)
    return recipe


def mistake(path: Path, text: str | bytes, *overrides: str, seed: int | None = None) -> UserError:
    with pytest.raises(UserError) as caught:
        load(path, text, *overrides, seed=seed)
    return caught.value


# What a recipe says


def test_what_is_left_out_takes_the_default(path: Path) -> None:
    assert load(path, HEAD) == GridworldRecipe(schema="recipe_v1", task="gridworld", name="mine")


def test_sections_become_typed_values(path: Path) -> None:
    text = (
        HEAD + "seed: 7\nnetwork: {type: dueling, hidden: [32, 16]}\noptimizer:\n  learning_rate: 1e-3\nnovelty: null\n"
    )
    recipe = load(path, text)
    assert recipe.seed == 7 and recipe.network == Dueling(hidden=(32, 16))
    assert recipe.optimizer.learning_rate == 0.001 and recipe.novelty is None


def test_equal_recipes_have_equal_hashes_however_they_are_written(path: Path) -> None:
    one = load(path, HEAD + "train: {num_steps: 1000, num_envs: 8}\n")
    other = load(path, "# a comment\n" + HEAD + "train:\n  num_envs: 8\n  num_steps: 1_000\n")
    third = load(path, HEAD, "train.num_steps=1000", "train.num_envs=8")
    assert hash_config(one) == hash_config(other) == hash_config(third)
    assert hash_config(load(path, HEAD + "train: {num_steps: 1001, num_envs: 8}\n")) != hash_config(one)


def test_flags_replace_values_of_the_file(path: Path) -> None:
    text = HEAD + "seed: 1\ntrain:\n  num_steps: 5\n  num_envs: 4\n"
    recipe = load(
        path, text, "train.num_steps=1000", "novelty.weight=0.5", "network={type: recurrent}", "description=", seed=9
    )
    assert (recipe.train.num_steps, recipe.train.num_envs, recipe.seed) == (1000, 4, 9)
    assert recipe.novelty.weight == 0.5 and recipe.network == Recurrent() and recipe.description == ""


def test_a_recipe_reads_back_from_its_resolved_configuration(path: Path) -> None:
    recipe = load(path, HEAD, "network={type: places, memory: {cell: lstm}}", "curriculum={}")
    assert msgspec.convert(msgspec.to_builtins(recipe), GridworldRecipe) == recipe


@pytest.mark.parametrize("path", sorted((named.RUNS[1] / "recipes").glob("*/*.yaml")), ids=lambda path: path.stem)
def test_every_shipped_recipe_is_valid(path: Path) -> None:
    load_recipe(path, path.parent.name)


def test_names_lead_to_the_recipes_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    folder = tmp_path / "runs/recipes/gridworld"
    folder.mkdir(parents=True)
    (folder / "quick.yaml").write_text(HEAD)
    assert load_recipe("quick", "gridworld").name == "mine"
    assert "quick" in named.names_of("recipe", "gridworld")
    with pytest.raises(UserError) as caught:
        load_recipe("quikc", "gridworld")
    assert "no gridworld recipe 'quikc'" in caught.value.what and "'quick'" in str(caught.value.remedy)
    with pytest.raises(UserError, match="no such recipe"):
        load_recipe("absent/quick.yaml", "gridworld")
    with pytest.raises(UserError, match="there is no task"):
        load_recipe("quick", "gridwrold")


# Mistakes in the text


@pytest.mark.parametrize(
    ("text", "line", "what"),
    [
        ("", 1, "the file is empty"),
        ("# only a comment\n", 1, "the file is empty"),
        ("- a\n- b\n", 1, "a recipe is a mapping"),
        ("just text\n", 1, "a recipe is a mapping"),
        (HEAD + "train:\n\tnum_steps: 5\n", 5, "\\t"),
        (HEAD + "train: [1, 2\n", 5, "this is not YAML"),
        (HEAD + "train: {num_steps: 5\nseed: 3\n", 5, "this is not YAML"),
        (HEAD + "  train: 3\n", 4, "this is not YAML"),
        (HEAD + "a: &x [1]\n", 4, "anchors and aliases"),
        (HEAD + "a: *x\n", 4, "anchors and aliases"),
        (HEAD + "seed: !!python/object/apply:os.system [ls]\n", 4, "tags are not allowed"),
        (HEAD + "seed: !!int 3\n", 4, "tags are not allowed"),
        (HEAD + "seed: 3\nseed: 4\n", 5, "key 'seed' is there twice, first in line 4"),
        (HEAD + "train:\n  num_envs: 1\n  num_envs: 2\n", 6, "key 'num_envs' is there twice"),
        (HEAD + "? [a, b]\n: 3\n", 4, "a key must be a plain name"),
        (HEAD + "---\na: 1\n", 4, "a second document"),
        (HEAD + "seed: .nan\n", 4, "not a finite number"),
        (HEAD + "seed: -.INF\n", 4, "not a finite number"),
        (HEAD + "optimizer:\n  learning_rate: 1e999\n", 5, "not a finite number"),
        (HEAD + "train: " + "[" * 40 + "]" * 40 + "\n", 4, "nested too deeply"),
        (HEAD.encode() + b"\xff\xfe\x00", 4, "not a text file"),
        (b"a: caf\xe9\n", 1, "0xe9 is not UTF-8: it is a text in Latin-1"),
        (b"a: 1\nb: \x00\n", 2, "control characters"),
    ],
)  # fmt: skip
def test_a_text_that_is_no_recipe_is_one_error_with_its_line(
    path: Path, text: str | bytes, line: int, what: str
) -> None:
    error = mistake(path, text)
    assert what in error.what and error.where == f"{path}:{line}"


@pytest.mark.parametrize(
    ("content", "what"),
    [
        (b"\x89PNG\r\n\x1a\n\x00\x00", "this is a PNG image"),
        (gzip.compress(HEAD.encode(), mtime=0), "this is a gzip file"),
        (HEAD.encode("utf-16"), "this is a text in UTF-16"),
        (HEAD.encode("utf-16-be"), "this is a text in UTF-16"),
    ],
)
def test_a_file_that_is_no_text_is_said_to_be_what_it_is(path: Path, content: bytes, what: str) -> None:
    error = mistake(path, content)
    assert what in error.what and error.where == str(path) and error.remedy


def test_a_byte_order_mark_before_a_recipe_is_passed_over(path: Path) -> None:
    path.write_bytes(b"\xef\xbb\xbf" + HEAD.encode())
    assert load_recipe(path, "gridworld").name == "mine"


def test_a_bomb_of_aliases_is_refused_before_it_unfolds(path: Path) -> None:
    text = (
        HEAD
        + "a: &a [x, x]\n"
        + "".join(f"{b}: &{b} [*{a}, *{a}]\n" for a, b in zip("abcdefgh", "bcdefghi", strict=True))
    )
    assert "anchors and aliases" in mistake(path, text).what
    assert "too many" in mistake(path, "#" * (2 << 20)).what


# Mistakes in the values


@pytest.mark.parametrize(
    ("text", "where", "what", "remedy"),
    [
        ("train:\n  num_step: 5\n", "5:train.num_step", "train has no key 'num_step'", "did you mean 'num_steps'?"),
        ("trian: {}\n", "4:trian", "there is no key 'trian'", "did you mean 'train'?"),
        ("xyz: 1\n", "4:xyz", "there is no key 'xyz'", "known here: curriculum, description"),
        ("network:\n  type: dueling\n  hiden: [1]\n", "6:network.hiden", "network has no key 'hiden'", "'hidden'?"),
        ("network:\n  type: dueln\n", "5:network.type", "network.type cannot be 'dueln'", "did you mean 'dueling'?"),
        ("network:\n  hidden: [8]\n", "4:network", "network.type is missing", ""),
        ("network: {type: places, memory: {cell: rnn}}\n", "4:network.memory.cell", "cannot be 'rnn'", "gru, lstm"),
        ("environment:\n  level: ful\n", "5:environment.level", "cannot be 'ful'", "did you mean 'full'?"),
        ("train:\n  num_steps: no\n", "5:train.num_steps", 'train.num_steps is "no": expected \'int\'', "generated"),
        ("train:\n  num_steps: 1.5\n", "5:train.num_steps", "expected 'int', got 'float'", ""),
        ("train:\n  num_steps: 007\n", "5:train.num_steps", "007", ""),
        ("train: 3\n", "4:train", "expected 'object', got 'int'", ""),
        ("train:\n", "4:train", "expected 'object', got 'null'", ""),
        ("train:\n  num_steps: 0\n", "5:train.num_steps", "train.num_steps is 0: expected 'int' >= 1", ""),
        ("train:\n  num_envs: -4\n", "5:train.num_envs", "expected 'int' >= 1", ""),
        ("seed: -1\n", "4:seed", "expected 'int' >= 0", ""),
        ("infer:\n  epsilon: 1.2\n", "5:infer.epsilon", "expected 'float' <= 1.0", ""),
        ("optimizer: {learning_rate: 0}\n", "4:optimizer.learning_rate", "expected 'float' > 0.0", ""),
        ("evaluate: {confidence: 95}\n", "4:evaluate.confidence", "expected 'float' < 1.0", ""),
        ("network:\n  type: dueling\n  hidden:\n  - 8\n  - x\n", "8:network.hidden[1]", "expected 'int'", ""),
        ("network:\n  type: dueling\n  hidden: [8, 0]\n", "6:network.hidden[1]", "expected 'int' >= 1", ""),
        ("curriculum:\n  stages:\n  - multiplier: 1\n  - multipler: 2\n", "7:curriculum.stages[1].multipler",
         "curriculum.stages[1] has no key 'multipler'", "'multiplier'?"),
        ("curriculum:\n  stages: []\n", "5:curriculum.stages", "length >= 1", ""),
        ("environment:\n  sparse: no\n", "5:environment.sparse", "expected 'bool', got 'str'", "write true or false"),
    ],
)  # fmt: skip
def test_a_wrong_value_is_named_with_its_line_and_what_it_may_be(
    path: Path, text: str, where: str, what: str, remedy: str
) -> None:
    error = mistake(path, HEAD + text)
    assert error.where == f"{path}:{where}"
    assert what in error.what and remedy in str(error.remedy)


@pytest.mark.parametrize(
    ("text", "where", "what"),
    [
        ("task: gridworld\nname: a\n", "1:schema", "does not say its schema"),
        ("name: a\ntask: gridworld\nschema: recipe_v2\n", "3:schema", "known: recipe_v1"),
        ("schema: recipe_v1\nname: a\n", "1:task", "does not say its task"),
        ("schema: recipe_v1\ntask: detection\n", "2:task", "for task 'detection', not 'gridworld'"),
        ("schema: recipe_v1\ntask: gridworld\n", "1", "name is missing"),
        ("schema: recipe_v1\ntask: gridworld\nname: ../up\n", "3:name", "expected 'str' matching"),
        ("schema: recipe_v1\ntask: gridworld\nname: ''\n", "3:name", "expected 'str' matching"),
    ],
)  # fmt: skip
def test_version_task_and_name_come_first(path: Path, text: str, where: str, what: str) -> None:
    error = mistake(path, text)
    assert error.where == f"{path}:{where}" and what in error.what


# Mistakes in flags


@pytest.mark.parametrize(
    ("flag", "what"),
    [
        ("train.num_steps=many", "expected 'int', got 'str'"),
        ("train.num_steps=", "expected 'int', got 'str'"),
        ("train.num_step=5", "train has no key 'num_step'"),
        ("train=5", "expected 'object'"),
        ("seed.x=5", "seed is a value, not a section"),
        ("network={type: dueling, hidden: [0]}", "network.hidden[0] is 0"),
        ("infer.epsilon=2", "expected 'float' <= 1.0"),
        ("infer.epsilon=.nan", "not a finite number"),
        ("network={type: [", "this is not YAML"),
        ("seed=*x", "anchors and aliases"),
    ],
)
def test_a_wrong_flag_is_named_as_the_place(path: Path, flag: str, what: str) -> None:
    error = mistake(path, HEAD + "seed: 3\n", flag)
    assert what in error.what and str(error.where).startswith(f"--set {flag}")


@pytest.mark.parametrize("flag", ["", "seed", "=3", "train..num_steps=3", ".=3"])
def test_a_flag_that_sets_nothing_shows_how_it_is_written(path: Path, flag: str) -> None:
    error = mistake(path, HEAD, flag)
    assert "key=value" in error.what and "--set train.num_steps=1000" in str(error.remedy)


def test_a_wrong_seed_is_named_by_its_flag(path: Path) -> None:
    assert mistake(path, HEAD, seed=-1).where == "--seed -1"


# The YAML reader


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("1e-3", 0.001), ("-1.5", -1.5), (".5", 0.5), ("1_000", 1000), ("+3", 3), ("0", 0), ("1.", 1.0),
        ("no", "no"), ("on", "on"), ("1:30", "1:30"), ("007", "007"), ("0x10", "0x10"), ("2001-01-01", "2001-01-01"),
        ("true", True), ("True", True), ("tRUE", "tRUE"), ("null", None), ("~", None), ("'3'", "3"), ('"~"', "~"),
        ("e5", "e5"), ("1e", "1e"), ("9" * 30, "9" * 30), ("[1, a]", [1, "a"]), ("{}", {}),
    ],
)  # fmt: skip
def test_a_scalar_means_what_it_looks_like(text: str, value: Any) -> None:
    data = parse(f"a: {text}".encode(), "x").data["a"]
    assert data == value and type(data) is type(value)


@given(st.binary(max_size=60) | st.text(max_size=60).map(str.encode))
def test_no_bytes_make_the_reader_fail_otherwise_than_by_its_own_error(raw: bytes) -> None:
    try:
        parse(raw, "x.yaml")
    except UserError as error:
        assert str(error.where).startswith("x.yaml")


@given(st.text(alphabet="ab:-[]{},&*!|>'\"#%@`? \n\t", max_size=40))
def test_no_arrangement_of_yaml_signs_makes_the_reader_fail(text: str) -> None:
    try:
        parse(text.encode(), "x.yaml")
    except UserError as error:
        assert str(error.where).startswith("x.yaml")

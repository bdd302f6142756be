"""What the README and the other pages say can be typed, and leads somewhere."""

import importlib
import re
import shlex
import subprocess
import sys
from itertools import pairwise
from pathlib import Path

import pytest
import typer.main

from pipeline.recipe.load import load_recipe
from schemas.flow import BY_NAME
from tests.conftest import ROOT

PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").glob("*.md"))]
TEXTS = {page.relative_to(ROOT).as_posix(): page.read_text() for page in PAGES}


def code_of(text: str) -> list[str]:
    """Everything that is set as code: indented or fenced lines, and what stands between backticks."""
    fence = re.compile(r"^```\w*\n(.*?)^```", re.MULTILINE | re.DOTALL)
    blocks = fence.findall(text)
    lines = [line for block in blocks for line in block.replace("\\\n", " ").splitlines()]
    lines += re.findall(r"^ {4,}(.+)$", text, re.MULTILINE)
    return lines + [" ".join(span.split()) for span in re.findall(r"`([^`]+)`", fence.sub("", text))]


def commands(program: str) -> list[tuple[str, str]]:
    """(page, command line) of every ``program ...`` in the pages, without comments."""
    start = re.compile(rf"^(?:\S+=\S+ )*(?:\S*/)?{program} (?P<rest>.+)$")
    found = [(page, start.match(line.strip())) for page, text in TEXTS.items() for line in code_of(text)]
    return sorted({(page, match["rest"].split(" #")[0].strip()) for page, match in found if match})


def options_of(stage: str) -> set[str]:
    command = typer.main.get_command(importlib.import_module(f"stages.{stage}").app)
    return {name for parameter in command.params for name in (*parameter.opts, *parameter.secondary_opts)} | {"--help"}


def is_placeholder(word: str) -> bool:
    """``STAGE``, ``<stage>``, ``...``: a line that shows a form, not a command."""
    return word.isupper() or "..." in word or word.startswith("<")


@pytest.mark.parametrize(("page", "line"), commands("baton"))
def test_every_command_names_a_stage_and_options_that_exist(page: str, line: str) -> None:
    words = shlex.split(line)
    if is_placeholder(words[0]) or words[0].startswith("--"):
        return
    assert words[0] in BY_NAME, f"{page}: baton {line}"
    used = {word.partition("=")[0] for word in words if word.startswith("--")}
    assert used <= options_of(words[0]), f"{page}: baton {line}"


@pytest.mark.parametrize(("page", "line"), commands("baton"))
def test_every_recipe_that_a_command_names_loads_with_what_it_sets(page: str, line: str) -> None:
    words = shlex.split(line)
    if "--recipe" not in words or is_placeholder(words[words.index("--recipe") + 1]) or is_placeholder(words[1]):
        return
    settings = [value for flag, value in pairwise(words) if flag == "--set" and "key=" not in value]
    recipe = load_recipe(words[words.index("--recipe") + 1], words[1], settings)
    assert recipe.task == words[1]


@pytest.mark.parametrize(("page", "line"), commands("make"))
def test_every_make_target_exists(page: str, line: str) -> None:
    if any(is_placeholder(word) for word in line.split() if "=" not in word):
        return
    done = subprocess.run(["make", "-n", *shlex.split(line)], cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, f"{page}: make {line}: {done.stderr}"


def links() -> list[tuple[str, str]]:
    found = [(page, link) for page, text in TEXTS.items() for link in re.findall(r"\]\(([^)#\s]+)(?:#[^)]*)?\)", text)]
    return sorted({(page, link) for page, link in found if "://" not in link})


@pytest.mark.parametrize(("page", "link"), links())
def test_every_link_leads_to_a_file(page: str, link: str) -> None:
    assert (ROOT / page).parent.joinpath(link).exists(), f"{page} links to {link}"


def test_the_tree_of_the_architecture_page_is_that_of_the_library() -> None:
    text = TEXTS["docs/architecture.md"]
    tree = text[text.index("    pipeline/           the library") : text.index("      tasks/TASK/")]
    named = {name.removesuffix("/") for name in re.findall(r"(?<= )[a-z_]+(?:\.py|/)(?= |\n)", tree)} - {"pipeline"}
    there = {path.name for path in (ROOT / "pipeline").iterdir() if path.suffix == ".py" or path.is_dir()}
    assert named == there - {"__init__.py", "__pycache__", "tasks"}


def test_the_readme_has_commands_to_test() -> None:
    """Should the README change its form, the tests above must not pass for want of anything to test."""
    stages = {shlex.split(line)[0] for page, line in commands("baton") if page == "README.md"}
    assert stages >= {*BY_NAME}
    assert {line.split()[0] for page, line in commands("make") if page == "README.md"} >= {"demo", "test"}


def python_blocks() -> list[tuple[str, str]]:
    return [("README.md", block) for block in re.findall(r"^```python\n(.*?)^```", TEXTS["README.md"], re.M | re.S)]


@pytest.mark.parametrize(("page", "block"), python_blocks())
def test_the_python_of_the_readme_runs(page: str, block: str, tmp_path: Path) -> None:
    done = subprocess.run([sys.executable, "-c", block], cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr

"""docs/model-texts.md lists every status, repair and code, each with an example that is what it is said to be."""

import re
from collections.abc import Iterator

import pytest

from pipeline.tasks.detection.read_text.codes import DROP_CODES, ERRORS, REPAIRS
from pipeline.tasks.detection.read_text.parse import parse
from tests.conftest import ROOT

PAGE = (ROOT / "docs" / "model-texts.md").read_text()
EXAMPLE = re.compile(r"(`+) ?(.*?) ?\1")


def rows(heading: str) -> Iterator[tuple[str, str, str]]:
    """Name, meaning and example of each row of the table below ``heading``."""
    section = PAGE.split(f"\n## {heading}\n")[1].split("\n## ")[0]
    for line in section.splitlines():
        if line.startswith("| `"):
            name, meaning, example = (
                cell.strip(" ").replace("\\|", "|") for cell in re.split(r"(?<!\\)\|", line)[1:-1]
            )
            found = EXAMPLE.fullmatch(example)
            yield name.strip("`"), meaning, found[2] if found else ""


STATUSES, REPAIR_ROWS, CODE_ROWS = (list(rows(heading)) for heading in ("Statuses", "Repairs", "Dropped objects"))


def test_the_page_has_all_words_and_says_what_they_mean() -> None:
    assert {name: meaning for name, meaning, _ in REPAIR_ROWS} == REPAIRS
    assert {name: meaning for name, meaning, _ in CODE_ROWS} == DROP_CODES
    errors = {name: meaning.removeprefix("an error: ") for name, meaning, _ in STATUSES}
    assert {name: errors[name] for name in ERRORS} == ERRORS
    assert set(errors) == {"ok", "repaired", "empty", *ERRORS}


@pytest.mark.parametrize(("name", "meaning", "text"), STATUSES)
def test_the_example_of_a_status_has_it(name: str, meaning: str, text: str) -> None:
    assert parse(text).status == name


@pytest.mark.parametrize(("name", "meaning", "text"), [row for row in REPAIR_ROWS if row[0] != "bom"])
def test_the_example_of_a_repair_needs_it(name: str, meaning: str, text: str) -> None:
    parsed = parse(text)
    assert name in parsed.repairs
    assert parsed.preds


@pytest.mark.parametrize(("name", "meaning", "text"), CODE_ROWS)
def test_the_example_of_a_code_is_dropped_with_it(name: str, meaning: str, text: str) -> None:
    assert [one.code for one in parse(text).dropped] == [name]


def test_the_code_on_the_page_gives_what_stands_below_it() -> None:
    block = PAGE.split("```python\n")[1].split("\n```\n")[0]
    *code, expected = block.splitlines()
    names: dict[str, object] = {}
    exec("\n".join(code[:-1]), names)
    assert eval(code[-1], names) == eval(expected.removeprefix("# "))

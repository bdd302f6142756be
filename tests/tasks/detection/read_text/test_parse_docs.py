"""docs/model-texts.md lists every status, repair and code, each with an example that is what it is said to be."""

import re
from collections.abc import Iterator

import msgspec
import pytest

from pipeline.tasks.detection.read_text.formats import PRESETS
from pipeline.tasks.detection.read_text.parse import ERRORS, REPAIRS, parse
from pipeline.tasks.detection.recipe import TextFormatSection
from tests.conftest import ROOT

PAGE = (ROOT / "docs" / "model-texts.md").read_text()
EXAMPLE = re.compile(r"(`+) ?(.*?) ?\1")


def cells(section: str) -> Iterator[list[str]]:
    """The cells of each row of the tables in ``section`` that begins with a name."""
    for line in section.splitlines():
        if line.startswith("| `"):
            yield [cell.strip(" ").replace("\\|", "|") for cell in re.split(r"(?<!\\)\|", line)[1:-1]]


def rows(heading: str) -> Iterator[tuple[str, str, str]]:
    """Name, meaning and example of each row of the table below ``heading``."""
    for name, meaning, example in cells(PAGE.split(f"\n## {heading}\n")[1].split("\n## ")[0]):
        found = EXAMPLE.fullmatch(example)
        yield name.strip("`"), meaning, found[2] if found else ""


STATUSES, REPAIR_ROWS, CODE_ROWS = (list(rows(heading)) for heading in ("Statuses", "Repairs", "Dropped objects"))
FORMATS = PAGE.split("\n## Other forms: `text_format`\n")[1].split("\n## ")[0]
PRESET_TABLE, KEY_TABLE, WORD_TABLE = (
    list(cells(part)) for part in re.split("\nWhat differs|\nCodes and repairs", FORMATS)
)


OF_FORMATS = {name.strip("`") for name, _, _, _ in WORD_TABLE}
DROP_CODES = {name for name, _, _ in CODE_ROWS} | OF_FORMATS


def test_the_page_has_all_words_and_says_what_errors_mean() -> None:
    assert [name for name, _, _ in REPAIR_ROWS] == [name for name in REPAIRS if name not in OF_FORMATS]
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


@pytest.mark.parametrize(("name", "meaning", "setting", "example"), WORD_TABLE)
def test_the_example_of_a_format_has_its_word(name: str, meaning: str, setting: str, example: str) -> None:
    key, _, value = setting.strip("`").partition("=")
    parsed = parse(example.strip("`"), written=msgspec.convert({key: value}, TextFormatSection).resolved())
    assert name.strip("`") in (*parsed.repairs, *(one.code for one in parsed.dropped))


def test_the_page_has_all_presets_and_keys_of_a_format() -> None:
    assert [row[0].strip("`") for row in PRESET_TABLE] == list(PRESETS)
    assert all("http" in row[4] for row in PRESET_TABLE[1:])
    named = [name for row in KEY_TABLE for name in re.findall("[a-z_]+", row[0])]
    assert named == list(TextFormatSection.__struct_fields__)


def test_the_code_on_the_page_gives_what_stands_below_it() -> None:
    block = PAGE.split("```python\n")[1].split("\n```\n")[0]
    *code, expected = block.splitlines()
    names: dict[str, object] = {}
    exec("\n".join(code[:-1]), names)
    assert eval(code[-1], names) == eval(expected.removeprefix("# "))

"""Input records in files that are not what they should be: said as what it is, with what to do."""

import gzip
import json
from pathlib import Path

import pytest
import zstandard

from pipeline.contract.load import read_examples
from pipeline.errors import UserError

RECORD = {"images": ["é.png"], "width": 640, "height": 480, "objects": [{"desc": "cat", "bbox_2d": [64, 48, 320, 240]}]}
LINE = json.dumps(RECORD, ensure_ascii=False)


@pytest.mark.parametrize("text", ["\ufeff" + LINE, "\ufeff" + LINE + "\n", "\ufeff" + LINE + "\r\n\r\n"])
def test_a_byte_order_mark_is_passed_over(text: str, tmp_path: Path) -> None:
    path = tmp_path / "examples.jsonl"
    path.write_bytes(text.encode())
    (example,) = read_examples("detection", path)
    assert (example.id, example.images) == ("0", ["é.png"])


@pytest.mark.parametrize(
    ("content", "what", "remedy"),
    [
        (LINE.encode("utf-16"), "a text in UTF-16", "iconv -f UTF-16"),
        (LINE.encode("latin-1") + b"\n", "a text in Latin-1 or Windows-1252", "iconv -f WINDOWS-1252"),
        (gzip.compress(LINE.encode(), mtime=0), "a gzip file", "gunzip"),
        (zstandard.compress(LINE.encode()), "a zstd file", "unzstd"),
        (f"[{LINE}]".encode(), "a JSON array, and a JSON object a line is expected", "jq -c '.[]'"),
        (json.dumps([RECORD, RECORD], indent=2).encode(), "a JSON array", "jq -c '.[]'"),
        (json.dumps(RECORD, indent=1).encode(), "one JSON object over several lines", "jq -c ."),
        (b'{"messages": [], "images": []}', "a row of a chat data set", "images, width, height, objects"),
        (b'{"id": "a", "image": "a.png", "conversations": []}', "a row of a chat data set", "images, width, height"),
        (b'{"images": [], "annotations": [], "categories": []}', "a COCO file", "--from coco"),
        (b'{"task": "gridworld", "id": "a", "seed": 1}', "of task 'gridworld', not of 'detection'", "name gridworld"),
        (b'{"schema": "prediction_v1", "id": "a", "text": ""}', "a file of prediction rows", "baton examples"),
        (b'{"images": ["a.png"], "width": "wide"}', "Expected 'int", "correct that line"),
        (LINE.encode()[:-30], "the last line is torn", "whole lines only"),
        (LINE.replace("640", "1e400").encode(), "1e400 is beyond the numbers", "correct"),
    ],
)
def test_what_is_no_file_of_records_is_said_as_what_it_is(
    content: bytes, what: str, remedy: str, tmp_path: Path
) -> None:
    path = tmp_path / "examples.jsonl"
    path.write_bytes(content)
    with pytest.raises(UserError) as caught:
        read_examples("detection", path)
    assert what in caught.value.what and remedy in str(caught.value.remedy)
    assert str(path) in str(caught.value.where)

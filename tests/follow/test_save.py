"""Episodes as files to send: what is chosen, what is in them, and what is refused."""

import base64
import json
import re
import zlib
from pathlib import Path
from typing import Any

import pytest

from pipeline.errors import UserError
from pipeline.follow.save import save_episodes
from tests.follow.walks import opened, walk, write


@pytest.fixture
def recording(tmp_path: Path) -> Path:
    """A file of three episodes, the last of which cannot be played."""
    return write(tmp_path / "episodes.jsonl", walk(1), walk(2), walk(3, []))


def data(page: Path, name: str = "plays") -> Any:
    found = re.search(rf'<script type="application/json" id="{name}">(.*?)</script>', page.read_text(), re.S)
    assert found is not None
    return json.loads(found[1])


def changes(play: dict[str, Any]) -> Any:
    return json.loads(zlib.decompress(base64.b64decode(play["packed"])))


def test_a_page_holds_the_newest_episode_that_can_be_played(recording: Path, tmp_path: Path) -> None:
    assert save_episodes(opened(recording), tmp_path / "one.html") == ["walk-2"]
    (play,) = data(tmp_path / "one.html")
    assert (play["id"], play["num_frames"], len(changes(play))) == ("walk-2", 4, 3)
    assert play["first"]["trend"]["values"] == [4.0, 4.0]  # with its history


def test_a_page_holds_the_episodes_that_are_named(recording: Path, tmp_path: Path) -> None:
    page = tmp_path / "folder/two.html"
    assert save_episodes(opened(recording), page, ["walk-2", "walk-1"]) == ["walk-2", "walk-1"]
    assert [play["id"] for play in data(page)] == ["walk-2", "walk-1"]


def test_the_curves_beside_a_training_are_in_the_page(recording: Path, tmp_path: Path) -> None:
    (tmp_path / "progress.jsonl").write_text('{"step":1,"loss":0.5}\n{"step":2,"loss":0.25}\n')
    save_episodes(opened(recording), tmp_path / "one.html", task="toy")
    training = data(tmp_path / "one.html", "training")
    assert (training["task"], training["progress"]) == ("toy", {"loss": [[1, 0.5], [2, 0.25]]})


def test_what_a_second_model_says_is_in_the_page(recording: Path, tmp_path: Path) -> None:
    asked = []
    save_episodes(opened(recording), tmp_path / "one.html", ["walk-1"], opinion=lambda row: asked.append(row.id))
    assert asked == ["walk-1"]


def test_the_same_episodes_give_the_same_bytes(recording: Path, tmp_path: Path) -> None:
    for name in ("a.html", "b.html"):
        save_episodes(opened(recording), tmp_path / name)
    assert (tmp_path / "a.html").read_bytes() == (tmp_path / "b.html").read_bytes()


@pytest.mark.parametrize(
    ("name", "ids", "what", "remedy"),
    [
        ("one.html", ["walk-22"], "there is no episode 'walk-22' that can be played", "walk-2"),
        ("one.html", ["walk-3"], "there is no episode 'walk-3' that can be played", "walk-2"),
        ("one.mp4", [], "episodes are saved as a page", ".html"),
    ],
)
def test_what_cannot_be_saved_is_told(
    name: str, ids: list[str], what: str, remedy: str, recording: Path, tmp_path: Path
) -> None:
    with pytest.raises(UserError) as error:
        save_episodes(opened(recording), tmp_path / name, ids)
    assert error.value.what == what
    assert remedy in error.value.remedy
    assert not (tmp_path / name).exists()


def test_a_file_without_an_episode_is_told(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="there is no such file yet"):
        save_episodes(opened(tmp_path / "episodes.jsonl"), tmp_path / "one.html")
    with pytest.raises(UserError, match="no episode of this file can be played"):
        save_episodes(opened(write(tmp_path / "empty.jsonl", walk(1, []))), tmp_path / "one.html")

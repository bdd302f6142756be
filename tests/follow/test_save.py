"""Episodes as files to send: what is chosen, what is in them, and what is refused."""

import base64
import io
import json
import re
import zlib
from pathlib import Path
from typing import Any

import pytest
from msgspec.structs import replace
from PIL import Image

from pipeline.errors import UserError
from pipeline.follow.image import draw_scene, moving_picture
from pipeline.follow.save import save_episodes
from pipeline.follow.scene import Images, Moment, Scene
from pipeline.follow.terminal import theme
from tests.follow import toy
from tests.follow.walks import opened, scene, walk, write


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
    for name in ("a.html", "b.html", "a.gif", "b.gif"):
        save_episodes(opened(recording), tmp_path / name)
    assert (tmp_path / "a.html").read_bytes() == (tmp_path / "b.html").read_bytes()
    assert (tmp_path / "a.gif").read_bytes() == (tmp_path / "b.gif").read_bytes()


@pytest.mark.parametrize("suffix", [".gif", ".webp"])
def test_a_moving_picture_has_a_frame_for_every_step(suffix: str, recording: Path, tmp_path: Path) -> None:
    file = tmp_path / f"walk{suffix}"
    save_episodes(opened(recording), file, ["walk-1"])
    with Image.open(file) as image:
        assert getattr(image, "n_frames", 1) == 4
        assert image.size == (540, 238)


def test_the_picture_of_a_scene_shows_where_the_agent_is() -> None:
    row = walk(1, [1, 2, 3, 4])
    frames = [draw_scene(scene(Moment(row, frame))) for frame in (0, 3)]
    lit = [[image.getpixel((10 + 130 * x + 65 - 12, 54 + 65)) for x in range(4)] for image in frames]
    is_lit = [[pixel != (16, 20, 24) for pixel in row] for row in lit]
    assert is_lit == [[True, False, False, False], [False, False, False, True]]


@pytest.mark.parametrize("picture", [toy.GRID, toy.PHOTO, toy.MAP, Images(columns=2, images=(toy.PHOTO, toy.MAP))])
def test_every_kind_of_picture_is_drawn(picture: Any) -> None:
    drawn, empty = (draw_scene(Scene(frame=0, picture=one)) for one in (picture, None))
    assert len(drawn.getcolors(1 << 20) or []) > len(empty.getcolors(1 << 20) or [])


def test_an_outline_has_the_colour_of_its_tone() -> None:
    image = draw_scene(Scene(frame=0, picture=toy.MAP))
    colors = {"#{:02x}{:02x}{:02x}".format(*color) for _, color in image.getcolors(1 << 20) or []}  # type: ignore[misc]
    assert theme.TONES["accent"] in colors


def test_an_image_that_is_damaged_is_grey() -> None:
    image = draw_scene(Scene(frame=0, picture=replace(toy.PHOTO, png=b"no image", outlines=())))
    assert image.getpixel((image.width // 2, image.height // 2)) == (60, 60, 60)


def test_a_long_episode_is_thinned(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("pipeline.follow.image.MOST_FRAMES", 20)
    scenes = [Scene(frame=frame, picture=toy.MAP, headline=(str(frame),)) for frame in range(50)]
    with Image.open(io.BytesIO(moving_picture(scenes, ".webp"))) as image:
        assert 15 < getattr(image, "n_frames", 1) <= 21


@pytest.mark.parametrize(
    ("name", "ids", "what", "remedy"),
    [
        ("one.html", ["walk-22"], "there is no episode 'walk-22' that can be played", "walk-2"),
        ("one.html", ["walk-3"], "there is no episode 'walk-3' that can be played", "walk-2"),
        ("one.gif", ["walk-1", "walk-2"], "a moving picture shows one episode", "--id"),
        ("one.mp4", [], "no kind of file is called '.mp4' here", ".html, .gif, .webp"),
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

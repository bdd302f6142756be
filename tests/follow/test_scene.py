"""Scenes as data: they are told in JSON, of every task, and hold nothing that belongs to one kind of screen."""

import pkgutil
import re
from importlib import import_module
from pathlib import Path

import msgspec
import pytest

from pipeline.contract.load import find_part, task_names
from pipeline.follow.scene import Brief, Choice, Choices, EpisodeBrief, FollowPart, Moment, Reading, Scene, tell
from tests.follow.toy import MAP, PHOTO, WHOLE
from tests.tasks.detection.follow.test_training import episode as sample
from tests.tasks.detection.follow.test_training import summary as sample_summary
from tests.tasks.diffusion.follow.test_follow import EPISODE as IMAGES
from tests.tasks.gridworld.fake_episodes import Play, play
from tests.tasks.gridworld.follow.test_training import summary as episode_summary
from tests.tasks.localization.follow.test_training import EPISODE as FIXES

LIVED = play(Play(seed=11, skill=0.4, max_steps=30))
ROWS = {
    "gridworld": (LIVED, episode_summary(LIVED)),
    "detection": (sample(), sample_summary(sample())),
    "localization": (FIXES, FIXES),
    "diffusion": (IMAGES, IMAGES),
}


@pytest.mark.parametrize("scene", [WHOLE, Scene(frame=0, picture=PHOTO), Scene(frame=0, picture=MAP)])
def test_a_scene_is_read_back_from_json(scene: Scene) -> None:
    assert msgspec.json.decode(msgspec.json.encode(scene), type=Scene) == scene


@pytest.mark.parametrize("task", task_names())
def test_every_frame_of_a_task_is_plain_data(task: str) -> None:
    (row, summary), part = ROWS[task], find_part(task, FollowPart)
    assert part is not None
    for frame in range(part.num_frames(summary)):
        scene = part.scene(Moment(row, frame, [summary]))
        text = msgspec.json.encode(scene)
        assert msgspec.json.decode(text, type=Scene) == scene
        assert b"\\u001b" not in text and not re.search(rb"</?[a-z]+>|#[0-9a-f]{6}\b", text)


@pytest.mark.parametrize("task", task_names())
def test_no_task_knows_how_a_screen_is_drawn(task: str) -> None:
    folder = import_module(f"pipeline.tasks.{task}.follow")
    files = pkgutil.iter_modules(getattr(folder, "__path__", ()), f"{folder.__name__}.")
    for module in [folder, *(import_module(file.name) for file in files)]:
        source = Path(module.__file__ or "").read_text()
        assert not re.search(r"\\x1b|\\033|\\u001b|</?[a-z]+>|#[0-9a-f]{6}\b|rich|textual", source)


def test_the_log_is_what_has_happened_so_far() -> None:
    assert [event.text for event in WHOLE.log.events] == ["began", "used the bed", "energy is low"]
    assert [panel.title for panel in WHOLE.all_panels] == ["events", "places", "end"]
    assert Scene(frame=0).all_panels == () and Scene(frame=0, events=()).all_panels[0].title == "events"


@pytest.mark.parametrize(
    ("q", "mask", "margin", "share"),
    [
        ([1.0, 2.0, 4.0], [True, True, True], 2.0, 2 / 3),
        ([1.0, 2.0, 4.0], [True, True, False], 1.0, 1.0),  # the best is masked
        ([3.0, 3.0, 1.0], [True, True, True], 0.0, 0.0),
        ([3.0, 3.0], [True, True], 0.0, 0.0),
        ([3.0, 1.0], [False, True], 0.0, 1.0),
    ],
)
def test_certainty_is_the_margin_over_the_range_of_allowed_values(
    q: list[float], mask: list[bool], margin: float, share: float
) -> None:
    options = zip("abc", q, mask, strict=False)
    choices = Choices("", tuple(Choice(name=name, value=value, allowed=allowed) for name, value, allowed in options))
    assert choices.certainty == pytest.approx((margin, share))


def test_nobody_is_sure_without_values() -> None:
    assert Choices("", (Choice(name="a"), Choice(name="b", value=1.0, allowed=False))).certainty is None


def test_a_value_is_shown_with_its_unit() -> None:
    shown = [Reading(name="a", value=2.5, unit=unit, decimals=1).shown for unit in ("$", "m", "")]
    assert shown == ["$2.5", "2.5 m", "2.5"]
    assert [Reading(name="a", value=v, low=1, high=3).share for v in (0, 2, 9)] == [0.0, 0.5, 1.0]


def test_a_task_that_says_nothing_else_has_a_line_of_fields() -> None:
    class Summary(Brief, frozen=True):
        loss: float = 0.5

    assert tell(Summary(id="a")) == "a  loss 0.5"
    assert tell(EpisodeBrief(id="a", step=7)) == "a  step 7"

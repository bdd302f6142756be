"""A whole episode as JSON."""

import json
from dataclasses import replace
from typing import Any

import msgspec
import pytest

from pipeline.errors import UserError
from pipeline.follow.play import frames_of, play
from pipeline.follow.scene import Cell, FollowPart, Grid, Moment, Scene, Words
from tests.follow import toy

ROW = toy.Numbers(id="toy-1", step=7, ended_unix_s=0.0, num_dropped_before=0, numbers=[3, 3, 5])


def walk(moment: Moment) -> Scene:
    """A cell that moves, leaves its strong sign behind in the first step, and meets another in the last."""
    me = Cell(x=moment.frame, y=0, sign=Words("@", strong=moment.frame == 0))
    others = (Cell(x=9, y=9),) if moment.frame == 2 else ()
    return Scene(frame=moment.frame, headline=("a fact",), picture=Grid(columns=9, rows=9, cells=(me, *others)))


def rebuilt(played: dict[str, Any]) -> list[Any]:
    """All scenes of a play, as a reader makes them from what has changed."""
    scenes = [json.loads(json.dumps(played["first"]))]
    for change in played["changes"]:
        scene = json.loads(json.dumps(scenes[-1]))
        for path, value in json.loads(json.dumps(change)).items():
            name, _, number = path.partition("/")
            if number:
                scene[name][int(number)] = value
            else:
                scene[name] = value
        scenes.append(scene)
    return scenes


def test_a_play_says_the_first_scene_and_what_changes() -> None:
    played = play(toy.PART, ROW)
    assert {name: played[name] for name in ("id", "num_frames")} == {"id": "toy-1", "num_frames": 3}
    assert played["line"] == "toy-1  step 7"
    assert played["summary"]["step"] == 7
    assert played["first"]["readings"][0]["values"][0]["value"] == 3
    (reading,) = msgspec.to_builtins(toy.PART.scene(Moment(ROW, 2)).readings)
    assert played["changes"] == [{"frame": 1}, {"frame": 2, "readings/0": reading}]


def test_its_scenes_can_be_made_again_from_the_changes() -> None:
    scenes = rebuilt(play(replace(toy.PART, scene=walk), ROW))
    wanted = [msgspec.to_builtins(walk(Moment(ROW, frame)), builtin_types=()) for frame in range(3)]
    assert scenes == json.loads(json.dumps(wanted))


def test_frames_are_made_one_by_one() -> None:
    asked = []

    def scene(moment: Moment) -> Scene:
        asked.append(moment.frame)
        return Scene(frame=moment.frame)

    frames = frames_of(FollowPart(scene=scene, num_frames=lambda summary: 3), ROW)
    assert "changes" not in next(frames)
    assert asked == [0]
    assert (list(frames), asked) == ([{"frame": 1}, {"frame": 2}], [0, 1, 2])


def test_what_has_no_frames_is_refused() -> None:
    with pytest.raises(UserError, match="episode toy-1 has no steps to play"):
        play(FollowPart(scene=toy.scene, num_frames=lambda summary: 0), ROW)

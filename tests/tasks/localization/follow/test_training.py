"""The live view: fixes, ellipses and truths where they are on the map."""

import pytest

from pipeline.follow.scene import Moment, Plane
from pipeline.tasks.localization.ellipse import ellipses
from pipeline.tasks.localization.follow import map_of, scene
from pipeline.tasks.localization.rows import Episode, Measurement, Prediction

RECEIVER = Measurement(receiver="a", latitude=45.0, longitude=8.0, level_dbm=-80.0)
FIX = Prediction(
    id="event-0",
    model="m",
    measurements=(RECEIVER,),
    latitude=45.0,
    longitude=9.0,
    fix_latitude=45.5,
    fix_longitude=8.0,
    covariance_m2=(1e8, 0.0, 4e8),
    ellipses=ellipses((1e8, 0.0, 4e8)),
)
LOST = Prediction(id="event-1", model="m", measurements=(), error="no_known_receiver")
EPISODE = Episode(id="s", step=3, ended_unix_s=0.0, loss=8.5, fixes=(FIX, LOST))


def test_a_map_has_north_above_and_kilometres_as_units() -> None:
    chart = map_of([FIX])
    receiver, fix, ellipse, truth = chart.outlines
    assert receiver.tone == "muted" and truth.dashed and ellipse.kind == "ellipse"
    (x0, y0), (x1, y1), (x2, y2) = receiver.points[0], fix.points[0], truth.points[0]
    assert x1 == pytest.approx(x0, abs=0.5) and y0 - y1 == pytest.approx(55.6, abs=0.3)  # half a degree north
    assert x2 - x0 == pytest.approx(78.8, abs=0.3) and y2 == pytest.approx(y0, abs=0.5)  # a degree east
    middle, major, minor = ellipse.points
    assert middle == fix.points[0]
    assert abs(major[1] - middle[1]) == pytest.approx(20.0 * 1.51, abs=0.1)  # along the meridian
    assert abs(minor[0] - middle[0]) == pytest.approx(10.0 * 1.51, abs=0.1)
    assert all(0.0 <= x <= chart.width and 0.0 <= y <= chart.height for x, y in (*receiver.points, *truth.points))


def test_a_scene_tells_the_error_of_every_fix_and_stands_without_any() -> None:
    told = scene(Moment(EPISODE, 0))
    assert [round(one.value) for one in told.readings[0].values] == [96, 0]
    assert told.headline == ("step 3", "loss 8.500")
    assert isinstance(map_of([LOST]), Plane)

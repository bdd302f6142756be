"""What is to be seen of the training: a point, and where the model sees it."""

from pipeline.follow.scene import FollowPart, Moment, Outline, Plane, Reading, Readings, Scene
from pipeline.tasks.fifth.rows import LineEpisode


def scene(moment: Moment) -> Scene:
    row: LineEpisode = moment.episode
    places = (("o", row.y), ("x", row.predicted))
    points = (Outline(points=((row.x + 1, 3 - y),), kind="point", name=name) for name, y in places)
    errors = (Reading(name="error", value=abs(row.predicted - row.y)),)
    return Scene(
        frame=moment.frame,
        headline=(f"step {row.step}",),
        picture=Plane(width=2, height=4, outlines=tuple(points)),
        readings=(Readings("the line", errors),),
    )


PART = FollowPart(scene=scene)

"""What `baton follow` shows of the training: the curve, and what the model says of it so far."""

from pipeline.follow.scene import FollowPart, Moment, Outline, Plane, Reading, Readings, Scene

from .rows import Episode


def scene(moment: Moment) -> Scene:
    """Points on a plane from (-1, -1) to (1, 1): the truth, and what the model says where."""
    episode: Episode = moment.episode
    truth = [Outline(points=((x + 1, 1 - y),), kind="point") for x, y in zip(episode.xs, episode.ys, strict=True)]
    said = [
        Outline(points=((x + 1, 1 - y),), kind="point", tone="agent")
        for x, y in zip(episode.xs, episode.predicted, strict=True)
    ]
    return Scene(
        frame=moment.frame,
        headline=(f"step {episode.step:,}",),
        picture=Plane(width=2.0, height=2.0, outlines=(*truth, *said)),
        readings=(Readings("the curve", (Reading(name="loss", value=episode.loss, decimals=4),)),),
    )


PART = FollowPart(scene=scene)

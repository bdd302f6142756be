"""What `baton follow gridworld` shows of predictions.jsonl: the episodes of which infer kept every step.

A prediction has all that the views of a training episode draw; what differs is what is told of it in a line.
"""

from typing import Literal

import msgspec

from pipeline.follow.scene import FollowPart, FollowPredictionsPart, Moment, Scene
from pipeline.tasks.gridworld.follow import training
from pipeline.tasks.gridworld.rows import GridworldPrediction

_NO_TRACE = b"null"


class Line(training.Told, frozen=True, kw_only=True):
    """What is read of every line; its steps are not decoded."""

    schema: Literal["prediction_v1"] = "prediction_v1"
    task: Literal["gridworld"] = "gridworld"
    trace: msgspec.Raw


class Summary(training.Told, frozen=True, kw_only=True):
    """What is kept in memory of every line."""

    has_steps: bool


def summarize(line: Line) -> Summary:
    """The line without its steps."""
    told = {name: getattr(line, name) for name in training.Told.__struct_fields__}
    return Summary(**told, has_steps=bytes(line.trace) != _NO_TRACE)


def num_frames(summary: Summary) -> int:
    """One frame before every step and one after the last; 0 where the steps were not kept."""
    return summary.num_steps + 1 if summary.has_steps else 0


def scene(moment: Moment) -> Scene:
    """As of a training episode, with what is to be said of a record."""
    row: GridworldPrediction = moment.episode
    facts = (row.id, f"ε {row.epsilon:.2f}", f"seed {row.seed}", f"model {row.model}")
    return training.tell_scene(moment, f"{row.level} x{row.multiplier:g}", *facts)


PART = FollowPredictionsPart(
    view=FollowPart(
        scene=scene,
        summary=Summary,
        num_frames=num_frames,
        tell=training.tell_more,
        filters=[choice for choice in training.FILTERS if choice.name != "stage changes"],
    ),
    line=Line,
    summarize=summarize,
    unplayed="without steps: infer.num_traces says how many keep them",
)

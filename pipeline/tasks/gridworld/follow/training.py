"""What `baton follow gridworld` shows: one row of episodes.jsonl as a scene."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Literal

from msgspec import structs

from pipeline.follow.scene import Brief, Filter, FollowPart, Line, Moment, Scene, Trend, Words
from pipeline.tasks.gridworld.follow.panels import lasting, read_panels
from pipeline.tasks.gridworld.follow.readings import read_choices, read_meters, read_outcome
from pipeline.tasks.gridworld.follow.town import ACTION_SIGNS, read_picture
from pipeline.tasks.gridworld.rows import GridworldEpisode
from pipeline.tasks.gridworld.town.events import ending
from pipeline.tasks.gridworld.town.rules import PLACES


class Told(Brief, frozen=True, kw_only=True):
    """What the line of an episode in the logs says, of a training and of a prediction."""

    level: str
    multiplier: float
    num_steps: int
    died: bool
    cause: str | None
    wellbeing: float


class Summary(Told, frozen=True, kw_only=True):
    """What is kept in memory of every episode of the file; other fields of its line are skipped, not decoded."""

    schema: Literal["episode_v1"] = "episode_v1"
    task: Literal["gridworld"] = "gridworld"
    step: int
    stage: int
    epsilon: float


def _best_so_far() -> Callable[[Summary], bool]:
    best = float("-inf")

    def keeps(summary: Summary) -> bool:
        nonlocal best
        better = summary.wellbeing > best
        best = max(best, summary.wellbeing)
        return better

    return keeps


def _stage_changes() -> Callable[[Summary], bool]:
    stage: int | None = None

    def keeps(summary: Summary) -> bool:
        nonlocal stage
        changed = stage is not None and summary.stage != stage
        stage = summary.stage
        return changed

    return keeps


FILTERS: Sequence[Filter] = (
    Filter(key="d", name="deaths", start=lambda: lambda summary: summary.died),
    Filter(key="b", name="best so far", start=_best_so_far),
    Filter(key="c", name="stage changes", start=_stage_changes),
)
LEGEND: tuple[Line, ...] = (
    (Words("@", "agent"), Words(" the agent, and the action it takes:")),
    (Words("  " + "  ".join(f"{sign} {name}" for name, sign in ACTION_SIGNS.items()), "muted"),),
    (Words("• · its trail   name? not yet seen   shut: closed   ┌ ┐└ ┘ what it sees", "muted"),),
    (Words("!", "bad", strong=True), Words(" low   ▶ chosen   ✗ masked   ◆ choice of the --model", "muted")),
)
_KNOWN = frozenset(PLACES)


def num_frames(summary: Summary) -> int:
    """One frame before every step and one after the last."""
    return summary.num_steps + 1


def tell(summary: Summary) -> str:
    """One episode in one line, for logs."""
    return tell_more(summary, f"stage {summary.stage}  epsilon {summary.epsilon:.3f}  ")


def tell_more(told: Told, more: str = "") -> str:
    """Which episode, what ``more`` is to be said of it, and how it went."""
    went = f"survived {told.num_steps}  wellbeing {told.wellbeing:.1f}  {ending(told)}"
    return f"{told.id}  {told.level} x{told.multiplier:g}  {more}{went}"


def short_number(number: int) -> str:
    """``812``, ``29k``, ``1.2M``."""
    if number < 10_000:
        return str(number)
    return f"{number / 1000:.0f}k" if number < 1_000_000 else f"{number / 1_000_000:.1f}M"


def scene(moment: Moment) -> Scene:
    """The town, the meters and what the network expects, of a training episode."""
    row: GridworldEpisode = moment.episode
    when = (f"stage {row.stage}", f"ε {row.epsilon:.2f}", f"at {short_number(row.step)} steps")
    return tell_scene(moment, f"{row.level} x{row.multiplier:g}", *when, f"env {row.env_index}", f"seed {row.seed}")


def tell_scene(moment: Moment, *facts: str) -> Scene:
    """The same under other ``facts``: a prediction has all that is drawn of a training episode."""
    if not moment.episode.grid_places.keys() <= _KNOWN:  # what is not known is of no town
        places = {key: at for key, at in moment.episode.grid_places.items() if key in _KNOWN}
        moment = replace(moment, episode=structs.replace(moment.episode, grid_places=places))
    episode, choices = moment.episode, read_choices(moment)
    return Scene(
        frame=moment.frame,
        picture=read_picture(moment),
        headline=facts,
        caption=Words("a new day", "muted"),
        events=lasting(episode).events,
        readings=(read_meters(moment),),
        choices=choices,
        notes=() if choices is not None else (read_outcome(episode),),
        trend=Trend("survived", tuple(summary.num_steps for summary in moment.history), high=episode.cap),
        panels=read_panels(moment),
        legend=LEGEND,
    )


PART = FollowPart(scene=scene, summary=Summary, num_frames=num_frames, tell=tell, filters=FILTERS, plays_progress=True)

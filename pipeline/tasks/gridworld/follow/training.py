"""What `baton follow gridworld` shows: one row of episodes.jsonl as lines of text (the screen: `pipeline.follow`)."""

from collections.abc import Callable, Sequence
from typing import Literal

from msgspec import Struct
from rich.text import Text

from pipeline.follow.scene import Filter, FollowPart, Panel, Scene
from pipeline.follow.text import FAINT, RED, TEXT
from pipeline.tasks.gridworld.follow.panels import (
    draw_caption,
    draw_certificate,
    draw_events,
    draw_forecast,
    draw_marks,
    draw_places,
    draw_rewards,
    draw_visits,
)
from pipeline.tasks.gridworld.follow.readings import NUM_RECENT, READINGS_SIZE, draw_readings, draw_trend
from pipeline.tasks.gridworld.follow.town import ACTION_SIGNS, draw_picture
from pipeline.tasks.gridworld.rows import GridworldEpisode
from pipeline.tasks.gridworld.town.events import ending


class Told(Struct, frozen=True, kw_only=True):
    """What the line of an episode in the logs says, of a training and of a prediction."""

    id: str
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
    ended_unix_s: float
    num_dropped_before: int = 0
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
PANELS: Sequence[Panel] = (
    Panel("events", draw_events),
    Panel("visits", draw_visits),
    Panel("rewards", draw_rewards),
    Panel("certificate", draw_certificate),
    Panel("forecast", draw_forecast),
    Panel("places", draw_places),
)


def num_frames(summary: Summary) -> int:
    """One frame before every step and one after the last."""
    return summary.num_steps + 1


def summary_line(summary: Summary) -> str:
    """One episode in one line, for logs."""
    return tell(summary, f"stage {summary.stage}  epsilon {summary.epsilon:.3f}  ")


def tell(told: Told, more: str = "") -> str:
    """Which episode, what ``more`` is to be said of it, and how it went."""
    went = f"survived {told.num_steps}  wellbeing {told.wellbeing:.1f}  {ending(told)}"
    return f"{told.id}  {told.level} x{told.multiplier:g}  {more}{went}"


def short_number(number: int) -> str:
    """``812``, ``29k``, ``1.2M``."""
    if number < 10_000:
        return str(number)
    return f"{number / 1000:.0f}k" if number < 1_000_000 else f"{number / 1_000_000:.1f}M"


def headline(scene: Scene) -> Text:
    """Facts about the episode that hold in all its frames, the most important first."""
    row: GridworldEpisode = scene.episode
    facts = (
        f"{row.level} x{row.multiplier:g} · stage {row.stage} · ε {row.epsilon:.2f} · at {short_number(row.step)} steps"
    )
    return Text.assemble((facts, TEXT), (f" · env {row.env_index} · seed {row.seed}", FAINT))


def legend() -> list[Text]:
    """What the signs in the town mean, for the help page."""
    signs = "  ".join(f"{sign} {name}" for name, sign in ACTION_SIGNS.items())
    return [
        Text.assemble(("@", f"reverse {TEXT}"), (" the agent, and the action it takes:", TEXT)),
        Text(f"  {signs}", FAINT),
        Text("• · its trail   name? not yet seen   shut: closed   ┌ ┐└ ┘ what it sees", FAINT),
        Text.assemble(("!", f"bold {RED}"), (" low   ▶ chosen   ✗ masked   ◆ choice of the --model", FAINT)),
    ]


PART = FollowPart(
    summary=Summary,
    num_frames=num_frames,
    summary_line=summary_line,
    headline=headline,
    draw_picture=draw_picture,
    draw_readings=draw_readings,
    draw_trend=draw_trend,
    draw_caption=draw_caption,
    draw_marks=draw_marks,
    legend=legend,
    readings_size=READINGS_SIZE,
    num_recent=NUM_RECENT,
    filters=FILTERS,
    panels=PANELS,
    end_panel=3,  # the certificate opens by itself at the end
)

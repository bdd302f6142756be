"""The playback of the live view, without a terminal, a file or a clock."""

from collections.abc import Callable
from dataclasses import dataclass

import pytest

from pipeline.follow.index import EpisodeIndex
from pipeline.follow.playback import CATCH_UP_S, END_HOLD_S, NOTICE_S, SPEEDS, Playback
from pipeline.follow.scene import Filter


@dataclass(frozen=True)
class Summary:
    """An episode of ``frames`` frames."""

    frames: int = 10
    died: bool = False
    num_dropped_before: int = 0


def rising() -> Callable[[Summary], bool]:
    """Keeps episodes that are longer than all before."""
    longest = 0

    def keeps(summary: Summary) -> bool:
        nonlocal longest
        before, longest = longest, max(longest, summary.frames)
        return summary.frames > before

    return keeps


FILTERS = (
    Filter(key="d", name="deaths", start=lambda: lambda summary: summary.died),
    Filter(key="b", name="best so far", start=rising),
)


def watch(*summaries: Summary, from_start: bool = False, capacity: int = 1000) -> Playback:
    """A playback over a file that holds these episodes."""
    playback = Playback(EpisodeIndex(FILTERS, capacity), lambda summary: summary.frames, from_start=from_start)
    arrive(playback, *summaries)
    return playback


def arrive(playback: Playback, *summaries: Summary) -> None:
    """These episodes are appended to the file."""
    for summary in summaries:
        playback.index.add(summary, offset=0, length=1)
    playback.on_news()


def run(playback: Playback, seconds: float) -> None:
    """Let time pass in ticks of a twentieth of a second."""
    for _ in range(round(seconds * 20)):
        playback.advance(0.05)


def test_live_begins_with_the_newest_episode_and_replay_with_the_first() -> None:
    assert watch(Summary(), Summary(), Summary()).number == 2
    assert watch(Summary(), Summary(), Summary(), from_start=True).number == 0


def test_nothing_is_shown_until_the_first_episode_arrives() -> None:
    playback = watch()
    assert (playback.number, playback.num_frames, playback.num_behind) == (None, 0, 0)
    run(playback, 1)
    arrive(playback, Summary())
    assert (playback.number, playback.frame) == (0, 0)


def test_frames_follow_the_speed() -> None:
    playback = watch(Summary(frames=100))
    run(playback, 2)
    assert playback.frame == 2 * playback.speed == 20
    playback.faster()
    run(playback, 1)
    assert (playback.speed, playback.frame) == (20, 40)
    playback.slower()
    playback.slower()
    run(playback, 1)
    assert (playback.speed, playback.frame) == (5, 45)


def test_speed_has_a_lowest_and_a_highest_value() -> None:
    playback = watch(Summary())
    for _ in SPEEDS:
        playback.faster()
    assert playback.speed == SPEEDS[-1]
    for _ in range(2 * len(SPEEDS)):
        playback.slower()
    assert playback.speed == SPEEDS[0]


def test_one_episode_behind_is_played_to_its_end_and_then_followed_by_the_next() -> None:
    playback = watch(Summary(frames=10))
    arrive(playback, Summary())
    run(playback, 0.9)
    assert (playback.number, playback.at_end) == (0, True)
    run(playback, END_HOLD_S + 0.1)
    assert playback.number == 1
    assert playback.notice == ""


def test_more_than_one_episode_behind_skips_to_the_newest_and_says_how_many() -> None:
    playback = watch(Summary(frames=1000))
    arrive(playback, *[Summary()] * 8)
    run(playback, CATCH_UP_S + 0.2)
    assert playback.number == 8
    assert playback.notice == "skipped 7 episodes to stay live"


def test_the_episode_on_screen_is_run_off_to_its_end_before_the_skip() -> None:
    playback = watch(Summary(frames=1000))
    arrive(playback, Summary(), Summary())
    seen = []
    while playback.number == 0:
        seen.append(playback.frame)
        playback.advance(0.05)
    assert seen == sorted(seen)
    assert seen[-1] == 999
    assert len(seen) * 0.05 == pytest.approx(CATCH_UP_S, abs=0.15)
    assert playback.notice == "skipped 1 episode to stay live"


def test_live_stays_with_a_trainer_that_is_faster_than_any_playback() -> None:
    playback = watch(Summary(frames=500))
    for _ in range(600):  # an episode every tenth of a second, for a minute
        arrive(playback, Summary(frames=500))
        run(playback, 0.1)
        assert playback.num_behind <= (CATCH_UP_S + 0.5) / 0.1
    assert playback.live


def test_replay_is_never_hurried_and_never_skips() -> None:
    playback = watch(*[Summary(frames=11)] * 5, from_start=True)
    run(playback, 1.0)
    assert (playback.number, playback.frame) == (0, 10)
    run(playback, END_HOLD_S + 0.05)
    assert (playback.number, playback.notice) == (1, "")


def test_replay_waits_at_the_end_of_the_file_and_goes_on_when_it_grows() -> None:
    playback = watch(Summary(frames=2), from_start=True)
    run(playback, 30)
    assert (playback.number, playback.frame, playback.playing) == (0, 1, True)
    arrive(playback, Summary(frames=2))
    playback.advance(0.05)
    assert playback.number == 1


@pytest.mark.parametrize(
    "act",
    [
        lambda playback: playback.toggle_pause(),
        lambda playback: playback.step(1),
        lambda playback: playback.first_frame(),
        lambda playback: playback.last_frame(),
        lambda playback: playback.previous_episode(),
    ],
)
def test_placing_by_hand_leaves_live_and_go_live_comes_back(act: Callable[[Playback], None]) -> None:
    playback = watch(Summary(), Summary())
    act(playback)
    assert not playback.live
    arrive(playback, *[Summary()] * 5)
    run(playback, 1)
    assert playback.number in (0, 1)
    playback.go_live()
    assert (playback.live, playback.playing, playback.number) == (True, True, 6)


def test_steps_pause_and_stay_within_the_episode() -> None:
    playback = watch(Summary(frames=5))
    playback.step(3)
    assert (playback.frame, playback.playing) == (3, False)
    playback.step(10)
    assert playback.frame == 4
    playback.step(-100)
    assert playback.frame == 0
    playback.last_frame()
    assert (playback.frame, playback.at_end) == (4, True)
    run(playback, 10)
    assert playback.frame == 4


def test_going_on_at_the_end_of_the_last_episode_starts_it_again() -> None:
    playback = watch(Summary(frames=5))
    playback.last_frame()
    playback.toggle_pause()
    assert (playback.number, playback.frame, playback.playing) == (0, 0, True)


def test_next_and_previous_stop_at_the_ends_and_say_so() -> None:
    playback = watch(Summary(), Summary(), from_start=True)
    playback.previous_episode()
    assert (playback.number, playback.notice) == (0, "this is the first episode")
    playback.next_episode()
    playback.next_episode()
    assert (playback.number, playback.notice) == (1, "this is the last episode")


def test_a_filter_keeps_its_episodes_only() -> None:
    dead, alive = Summary(died=True), Summary()
    playback = watch(alive, dead, alive, dead, alive, from_start=True)
    playback.choose("deaths")
    assert playback.number == 1
    playback.next_episode()
    assert playback.number == 3
    playback.next_episode()
    assert playback.notice == "this is the last episode of 'deaths'"
    playback.choose("deaths")
    assert playback.choice == "all"
    playback.next_episode()
    assert playback.number == 4


def test_live_with_a_filter_follows_the_newest_that_it_keeps() -> None:
    dead, alive = Summary(died=True), Summary()
    playback = watch(dead, alive)
    playback.choose("deaths")
    assert playback.number == 0
    arrive(playback, alive, alive, alive)
    run(playback, 10)
    assert playback.number == 0
    arrive(playback, dead, alive)
    run(playback, 10)
    assert playback.number == 5


def test_a_filter_that_keeps_nothing_says_so() -> None:
    playback = watch(Summary(), Summary())
    playback.choose("deaths")
    assert playback.number == 1
    assert playback.notice == "no episode matches 'deaths' yet"


@pytest.mark.parametrize(
    "act",
    [
        lambda playback: playback.cycle_filter(),
        lambda playback: playback.choose("deaths"),
        lambda playback: playback.previous_episode(),
    ],
)
def test_what_is_done_next_takes_an_old_notice_away(act: Callable[[Playback], None]) -> None:
    playback = watch(Summary(), Summary())
    playback.choose("deaths")
    assert playback.notice == "no episode matches 'deaths' yet"
    act(playback)
    assert playback.notice != "no episode matches 'deaths' yet"


def test_filters_that_look_back_see_every_episode_in_order() -> None:
    playback = watch(*(Summary(frames=frames) for frames in (5, 3, 7, 7, 9)), from_start=True)
    playback.choose("best so far")
    numbers = [playback.number]
    for _ in range(2):
        playback.next_episode()
        numbers.append(playback.number)
    assert numbers == [0, 2, 4]


def test_filters_cycle_through_all_of_them() -> None:
    playback = watch(Summary(died=True))
    chosen = []
    for _ in range(3):
        playback.cycle_filter()
        chosen.append(playback.choice)
    assert chosen == ["deaths", "best so far", "all"]


def test_a_restart_of_the_file_starts_over_and_says_why() -> None:
    playback = watch(Summary(), Summary())
    playback.index.clear()
    playback.on_restart("the file was replaced")
    assert (playback.number, playback.notice) == (None, "the file was replaced: starting over")
    arrive(playback, Summary(frames=3))
    assert (playback.number, playback.num_frames) == (0, 3)


def test_a_notice_goes_away() -> None:
    playback = watch(Summary())
    playback.toggle_pause()
    playback.say("something")
    run(playback, NOTICE_S - 0.1)
    assert playback.notice == "something"
    run(playback, 0.2)
    assert playback.notice == ""


def test_drops_of_the_trainer_are_added_up() -> None:
    playback = watch(Summary(num_dropped_before=2), Summary(), Summary(num_dropped_before=5))
    assert playback.index.num_dropped == 7


def test_memory_is_bounded_and_numbers_stay_those_of_the_file() -> None:
    playback = watch(*(Summary(frames=number + 1, died=number % 2 == 0) for number in range(100)), capacity=16)
    index = playback.index
    assert len(index) == 100
    assert 100 - index.first <= 18
    assert index[99].summary.frames == 100
    with pytest.raises(KeyError):
        index[0]
    assert index.before(index.first, "all") is None
    assert index.after(0, "deaths") == index.first + index.first % 2
    assert index.history(99, 3) == [index[n].summary for n in (97, 98, 99)]


def test_an_episode_that_is_forgotten_gives_way_to_the_oldest_that_is_known() -> None:
    playback = watch(Summary(), from_start=True, capacity=4)
    playback.toggle_pause()
    arrive(playback, *[Summary()] * 20)
    assert playback.number == playback.index.first > 0

"""Episodes and predictions of gridworld as files to send: what is to be read on the page is what stands in the row."""

from pathlib import Path
from typing import Any

import pytest

from pipeline.files import encode
from pipeline.tasks.gridworld.rows import GridworldEpisode
from pipeline.tasks.gridworld.town.rules import ACTIONS, METERS
from tests.conftest import Baton
from tests.support.browser import Page, find_browser, needs_browser, open_browser
from tests.tasks.gridworld.fake_episodes import Play, play
from tests.tasks.gridworld.literal_rows import prediction, step

ROW = play(Play(level="partial", seed=3, skill=0.7, max_steps=90))


@pytest.fixture
def recording(tmp_path: Path) -> Path:
    path = tmp_path / "episodes.jsonl"
    path.write_bytes(encode(ROW))
    return path


def shown(page: Page, section: str) -> dict[str, str]:
    rows = f"[...document.querySelectorAll('#sections .{section} tr')]"
    found = page.run(f"{rows}.map((one) => [one.dataset.name, one.querySelector('.value').textContent])")
    return dict(found)


def expected(row: GridworldEpisode, frame: int) -> tuple[dict[str, str], dict[str, str]]:
    """Meters and Q-values of a step as they are to be read; money in dollars, masked actions without a value."""
    now = row.trace[frame]
    meters = {
        name: f"${100 * value:.0f}" if name == "money" else f"{value:.2f}"
        for name, value in zip(METERS, now.meters, strict=True)
    }
    q: Any = now.q
    values = {
        name: f"{value:.3f}" if allowed else "" for name, value, allowed in zip(ACTIONS, q, now.mask, strict=True)
    }
    return meters, values


@needs_browser
def test_meters_and_values_on_the_page_are_those_of_the_row(baton: Baton, recording: Path, tmp_path: Path) -> None:
    file = tmp_path / "episode.html"
    assert baton("follow", "gridworld", "--input", recording, "--save", file).code == 0
    with open_browser(find_browser() or "") as page:
        page.go(f"{file.as_uri()}#{ROW.id}/5")
        page.wait("at.id !== null")
        for frame in (0, 1, 40, len(ROW.trace) - 1, 2):
            page.run(f"location.hash = '#{ROW.id}/{frame}'")
            page.wait(f"document.getElementById('step').textContent === '{frame} / {ROW.num_steps}'")
            assert (shown(page, "readings"), shown(page, "choices")) == expected(ROW, frame)
        assert page.errors == []


def test_predictions_are_saved_too(baton: Baton, tmp_path: Path) -> None:
    path = tmp_path / "predictions.jsonl"
    rows = [prediction(step(), step("up"), id="a"), prediction(step(), id="b", keeps_steps=False)]
    path.write_bytes(b"".join(map(encode, rows)))
    done = baton("follow", "gridworld", "--input", path, "--save", tmp_path / "a.html")
    assert done.out.startswith(f"follow: saved a\n  html: {tmp_path / 'a.html'} (")
    done = baton("follow", "gridworld", "--input", path, "--save", tmp_path / "b.html", "--id", "b")
    assert (done.code, (tmp_path / "b.html").exists()) == (2, False)
    assert "there is no episode 'b' that can be played" in done.err


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("--id", "x"), "--id names what to save"),
        (("--save", "x.html", "--against", "other.jsonl"), "--save writes one recording"),
        (("--save", "x.png"), "no kind of file is called '.png' here"),
        (("--save", "x.html", "--filter", "deaths"), "no episode matches 'deaths'"),
    ],
)
def test_what_does_not_go_together_is_told(
    arguments: tuple[str, ...], said: str, baton: Baton, recording: Path
) -> None:
    done = baton("follow", "gridworld", "--input", recording, *arguments)
    assert done.code == 2 and said in done.err

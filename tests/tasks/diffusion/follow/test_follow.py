"""The live view of a training and the play of predictions, as scenes and as a user sees them."""

from pathlib import Path

from pipeline.files import read_all
from pipeline.follow.scene import Images, Moment
from pipeline.tasks.diffusion.follow import predictions, training
from pipeline.tasks.diffusion.rows import DiffusionEpisode, DiffusionPrediction
from tests.conftest import Baton

PNG = "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAAAAAA6fptVAAAACklEQVR4nGNgAAAAAgABSK+kcQAAAABJRU5ErkJggg=="  # one black pixel
EPISODE = DiffusionEpisode(
    id="s",
    step=3,
    ended_unix_s=0.0,
    loss=0.5,
    images_png=(PNG, PNG),
    labels=("0", "1"),
    judged=("0", "7"),
    probabilities=(0.9, 0.6),
    num_right=1,
)


def test_a_training_is_a_grid_of_images_with_what_the_judge_sees(digits_run: Path) -> None:
    row = read_all(digits_run / "train/episodes.jsonl", DiffusionEpisode)[-1]
    scene = training.scene(Moment(row, 0))
    assert isinstance(scene.picture, Images)
    assert scene.picture.columns == 5 and len(scene.picture.images) == 10
    assert all((one.png or b"").startswith(b"\x89PNG") for one in scene.picture.images)
    titles = [one.title[0] for one in scene.picture.images]
    for title, label, judged in zip(titles, row.labels, row.judged, strict=True):
        assert (title.text, title.tone) == ((label, "good") if label == judged else (f"{label} → {judged}", "bad"))
    assert f"{row.num_right} of 10 right" in scene.headline


def test_a_prediction_is_played_from_noise_to_the_image(digits_run: Path) -> None:
    row = read_all(digits_run / "infer/predictions.jsonl", DiffusionPrediction)[0]
    first, last = predictions.scene(Moment(row, 0)), predictions.scene(Moment(row, 18))
    assert isinstance(first.picture, Images) and isinstance(last.picture, Images)
    assert [reading.name for reading in last.readings[-1].values] == [row.judged_label]
    assert first.readings[0].values[0].value == 80.0 and last.readings[0].values[0].value == 0.0
    assert first.picture.images[0].png != last.picture.images[0].png
    assert first.picture.images[1].png == last.picture.images[1].png  # the real one


def test_follow_tells_a_training_and_predictions_in_lines(baton: Baton, digits_run: Path) -> None:
    told = baton("follow", "diffusion", "--input", digits_run / "train/episodes.jsonl", "--plain", "--idle-exit", "0")
    assert told.code == 0 and "step-00000400  loss" in told.out, told.err
    told = baton(
        "follow", "diffusion", "--input", digits_run / "infer/predictions.jsonl", "--plain", "--idle-exit", "0"
    )
    assert told.code == 0 and "main-00000  asked 0  seen" in told.out, told.err

"""Scores and metrics of detection, on a handful of literal predictions: images of 999 x 999, where 0-999 is pixels."""

import json
from pathlib import Path

import msgspec
import numpy as np
import pytest

from pipeline.contract.metrics import Evaluation
from pipeline.errors import UserError
from pipeline.files import StoredRows, lines_of, read_all, write_all
from pipeline.run.manifest import load_manifest
from pipeline.tasks.detection.evaluate.score import GLOSSARY, evaluate, measure_records
from pipeline.tasks.detection.recipe import Evaluate
from pipeline.tasks.detection.rows import (
    CocoFields,
    DetectionPrediction,
    DetectionScore,
    DroppedObject,
    PredictedObject,
    TokenLogprobs,
    TrueObject,
)
from schemas.rows import Metric
from stages.common import run_command
from stages.evaluate import app
from tests.tasks.detection.evaluate.coco_oracle import row

QUICK = Evaluate(num_resamples=40)
POINT = Evaluate(num_resamples=0)

CAT = (100.0, 100.0, 200.0, 200.0)
DOG = (400.0, 400.0, 600.0, 600.0)
NEAR_CAT = (100.0, 100.0, 200.0, 160.0)  # IoU .6 with CAT
FAR_CAT = (100.0, 100.0, 200.0, 140.0)  # IoU .4 with CAT
NOWHERE = (800.0, 800.0, 900.0, 900.0)


def true(desc: str, box: tuple[float, float, float, float]) -> TrueObject:
    return TrueObject(desc=desc, bbox_2d=box)


def found(desc: str, box: tuple[float, float, float, float], score: float = 1.0) -> PredictedObject:
    return PredictedObject(desc=desc, bbox_2d=box, score=score)


PERFECT = row("0", gt=[true("cat", CAT), true("dog", DOG)], preds=[found("cat", CAT), found("dog", DOG)])
BLANK = row("1")
MISSED = row("2", gt=[true("cat", CAT)], status="no_json", error="no_json", raw_output="I see a cat.")


def values(evaluation: Evaluation, subject: str = "model") -> dict[str, float]:
    return {m.name: m.value for m in evaluation.metrics if m.slice_by == "all" and m.subject == subject}


def value(rows: list[DetectionPrediction], name: str, options: Evaluate = POINT) -> float:
    return values(evaluate(rows, options))[name]


def test_perfect_predictions_score_1_without_any_score_in_the_rows() -> None:
    """A line without scores has the contract's 1.0; elsewhere it gave AP 0.0 and exit code 0."""
    line = json.loads(msgspec.json.encode(PERFECT))
    for one in line["preds"]:
        del one["score"]
    metrics = values(evaluate([msgspec.convert(line, DetectionPrediction)], POINT))
    assert metrics["average_precision"] == pytest.approx(1.0)
    assert metrics["precision_50"] == metrics["recall_50"] == metrics["f1_50"] == metrics["mean_iou"] == 1.0


def test_no_prediction_is_no_score_of_1() -> None:
    """Elsewhere an empty file scored F1 1.0."""
    with pytest.raises(UserError, match="no predictions to evaluate"):
        evaluate([], POINT)
    metrics = values(evaluate([MISSED], POINT))
    assert (metrics["average_precision"], metrics["recall_50"], metrics["f1_50"]) == (0.0, 0.0, 0.0)
    assert "precision_50" not in metrics  # nothing was predicted: undefined, not 1
    nothing = values(evaluate([BLANK], POINT))
    assert not {"average_precision", "precision_50", "recall_50", "f1_50"} & {*nothing}


def test_five_copies_of_each_correct_box() -> None:
    """AP hardly sees them; precision and the duplicate rate do."""
    copies = msgspec.structs.replace(PERFECT, preds=[one for one in PERFECT.preds for _ in range(5)])
    metrics = values(evaluate([copies], POINT))
    assert metrics["average_precision"] == pytest.approx(1.0)
    assert metrics["precision_50"] == pytest.approx(0.2)
    assert metrics["recall_50"] == 1.0
    assert metrics["duplicate_rate"] == pytest.approx(0.8)
    assert metrics["duplicate_errors"] == 8


def test_the_same_wrong_box_twenty_times_is_a_burst_too() -> None:
    burst = row("0", gt=[true("cat", CAT)], preds=[found("cat", NOWHERE)] * 20)
    metrics = values(evaluate([burst], POINT))
    assert metrics["duplicate_rate"] == pytest.approx(0.95)
    assert (metrics["duplicate_errors"], metrics["background_errors"]) == (0, 20)


def test_images_without_ground_truth_count_and_shift_nothing() -> None:
    """Their predictions are false; the truth of the others stays with its own predictions (elsewhere a line without
    ground truth shifted the join, and halved AP in silence)."""
    other = msgspec.structs.replace(PERFECT, id="2", image_id=2)
    assert value([PERFECT, BLANK, other], "average_precision") == pytest.approx(1.0)
    noisy = msgspec.structs.replace(BLANK, preds=[found("cat", CAT)])
    metrics = values(evaluate([PERFECT, noisy, other], POINT))
    assert metrics["precision_50"] == pytest.approx(4 / 5)
    assert metrics["average_precision"] < 1.0
    assert metrics["background_errors"] == 1


def test_rows_belong_together_by_their_id_whatever_the_order() -> None:
    rows = [PERFECT, BLANK, MISSED]
    forth, back = evaluate(rows, QUICK), evaluate(rows[::-1], QUICK)
    assert forth.metrics == back.metrics
    assert [score.id for score in back.scores] == ["2/model", "1/model", "0/model"]
    assert {score.id: score for score in forth.scores} == {score.id: score for score in back.scores}


def test_matching_is_one_to_one_and_knows_classes() -> None:
    """Two cats of which one is called a dog; a box of IoU .4 that matches at .3 alone."""
    rows = [
        row(
            "0",
            gt=[true("cat", CAT), true("cat", DOG), true("dog", NOWHERE)],
            preds=[found("cat", FAR_CAT), found("dog", DOG), found("dog", NOWHERE)],
        )
    ]
    metrics = values(evaluate(rows, POINT))
    assert metrics["precision_50"] == metrics["recall_50"] == pytest.approx(1 / 3)
    assert metrics["precision_30"] == metrics["recall_30"] == pytest.approx(2 / 3)
    assert metrics["agnostic_precision_50"] == metrics["agnostic_f1_50"] == pytest.approx(2 / 3)
    assert metrics["agnostic_recall_30"] == 1.0


def test_every_kind_of_error_and_its_cost() -> None:
    """One image each, so that nothing but the error itself is wrong."""
    pair = [true("cat", CAT), true("dog", DOG)]
    cases = {
        "localisation": ([found("cat", FAR_CAT), found("dog", DOG)], 0.5),
        "classification": ([found("dog", CAT), found("dog", DOG)], None),
        "both": ([found("dog", FAR_CAT), found("dog", DOG)], None),
        "background": ([found("dog", NOWHERE), found("dog", DOG), found("cat", CAT)], 0.25),
        "duplicate": ([found("dog", DOG), found("dog", DOG), found("cat", CAT)], 0.0),
    }
    for kind, (preds, cost) in cases.items():
        metrics = values(evaluate([row("0", gt=pair, preds=preds)], POINT))
        kinds = ("localisation", "classification", "duplicate", "background", "both")
        assert {name: metrics[f"{name}_errors"] for name in kinds} == {name: float(name == kind) for name in kinds}, (
            kind
        )
        if cost is not None:
            assert metrics[f"{kind}_cost"] == pytest.approx(cost), kind
        # What would be found by mending a prediction is not missed; a prediction that is just wrong finds nothing.
        assert metrics["missed_errors"] == float(kind == "both"), kind


def test_a_missed_object_costs_what_its_class_loses() -> None:
    metrics = values(evaluate([PERFECT, MISSED], POINT))
    assert metrics["missed_errors"] == 1
    assert metrics["missed_cost"] == pytest.approx(1.0 - metrics["average_precision_50"])


def test_scores_are_one_row_an_image() -> None:
    score = evaluate(
        [row("7", gt=[true("cat", CAT)], preds=[found("cat", NEAR_CAT), found("cat", NOWHERE)])], POINT
    ).scores[0]
    assert isinstance(score, DetectionScore)
    assert (score.id, score.image_id, score.subject, score.iou) == ("7/model", 7, "model", 0.5)
    assert (score.num_gt, score.num_preds, score.num_matched, score.num_false, score.num_background) == (1, 2, 1, 1, 1)
    assert (score.precision, score.recall, score.f1) == (0.5, 1.0, pytest.approx(2 / 3))
    assert score.mean_iou == pytest.approx(0.6)
    blank = evaluate([BLANK], POINT).scores[0]
    assert (blank.precision, blank.recall, blank.f1, blank.mean_iou) == (None, None, None, None)  # type: ignore[attr-defined]


CUT = row(
    "3",
    gt=[true("cat", CAT)],
    status="truncated",
    error="truncated",
    raw_output='[{"desc": "cat"',
    salvaged=(found("cat", CAT),),
    dropped=(DroppedObject(code="line_geometry", span=(0, 4)), DroppedObject(code="unfinished", span=(5, 9))),
    repairs=("quotes",),
)


def test_unparsed_records_count_as_empty_and_salvaged_objects_can_be_counted_in() -> None:
    evaluation = evaluate([PERFECT, CUT], POINT)
    assert values(evaluation)["recall_50"] == pytest.approx(2 / 3)
    assert values(evaluation, "with_salvaged")["recall_50"] == 1.0
    assert values(evaluation, "with_salvaged")["average_precision"] == pytest.approx(1.0)
    turned = evaluate([PERFECT, CUT], Evaluate(num_resamples=0, use_salvaged=True))
    assert values(turned)["average_precision"] == pytest.approx(1.0)
    assert values(turned, "without_salvaged")["average_precision"] == values(evaluation)["average_precision"] < 1.0
    assert turned.scores[1].num_matched == 1  # type: ignore[attr-defined]
    assert {m.subject for m in evaluate([PERFECT, MISSED], POINT).metrics} == {"model"}  # nothing was salvaged


def test_how_texts_were_read_is_counted() -> None:
    evaluation = evaluate([PERFECT, BLANK, MISSED, CUT], POINT)
    metrics = values(evaluation)
    counts = {name: metrics[f"num_status_{name}"] for name in ("ok", "truncated", "no_json", "empty_output", "not_run")}
    assert counts == {"ok": 2, "truncated": 1, "no_json": 1, "empty_output": 0, "not_run": 0}
    assert metrics["unparsed_rate"] == 0.5
    assert (metrics["num_records"], metrics["num_errors"], metrics["num_salvaged"]) == (4, 2, 1)
    assert (metrics["num_dropped"], metrics["num_repaired"]) == (2, 1)
    parts = {
        by: {m.slice_value: m.value for m in evaluation.metrics if m.slice_by == by}
        for by in ("dropped_code", "error", "repair")
    }
    assert parts == {
        "dropped_code": {"line_geometry": 1, "unfinished": 1},
        "error": {"no_json": 1, "truncated": 1},
        "repair": {"quotes": 1},
    }


def test_classes_have_figures_of_their_own() -> None:
    rows = [PERFECT, MISSED, row("4", preds=[found("bird", CAT)])]
    evaluation = evaluate(rows, QUICK)
    per_class = {(m.slice_value, m.name): m for m in evaluation.metrics if m.slice_by == "class"}
    assert {label for label, _ in per_class} == {"cat", "dog"}  # a class that is only predicted is none of the truth
    assert per_class["dog", "average_precision"].value == pytest.approx(1.0)
    assert per_class["cat", "recall_50"].value == 0.5
    assert per_class["cat", "average_precision"].low < per_class["cat", "average_precision"].high
    assert (per_class["cat", "num_gt"].value, per_class["cat", "num_records"].value) == (2, 2)
    assert values(evaluation)["num_unknown_labels"] == 1
    assert values(evaluation)["precision_50"] == pytest.approx(2 / 3)  # it is wrong all the same


def test_slices_by_metadata() -> None:
    families = ((PERFECT, "town"), (MISSED, "forest"), (msgspec.structs.replace(MISSED, id="says nothing"), None))
    rows = [msgspec.structs.replace(row, metadata={"family": family}) for row, family in families]
    options = Evaluate(num_resamples=20, slice_by=("family",))
    evaluation = evaluate(rows, options)
    assert measure_records(rows, options).slices["family"] == ["town", "forest", None]
    recalls = {m.slice_value: m.value for m in evaluation.metrics if m.slice_by == "family" and m.name == "recall_50"}
    assert recalls == {"forest": 0.0, "town": 1.0}
    with pytest.raises(UserError, match="'weather'"):
        evaluate(rows, Evaluate(slice_by=("weather",)))


def test_labels_are_folded_unless_told_otherwise() -> None:
    rows = [row("0", gt=[true("Traffic light", CAT)], preds=[found(" traffic  LIGHT ", CAT)])]
    assert value(rows, "average_precision") == pytest.approx(1.0)
    assert value(rows, "average_precision", Evaluate(num_resamples=0, label_match="exact")) == 0.0


@pytest.mark.parametrize("text", ["person: [man, woman]\n", '{"person": ["man", "Woman"]}'])
def test_a_table_of_synonyms_joins_labels(tmp_path: Path, text: str) -> None:
    path = tmp_path / "synonyms.yaml"
    path.write_text(text)
    rows = [row("0", gt=[true("Man", CAT), true("person", DOG)], preds=[found("woman", CAT), found("man", DOG)])]
    options = Evaluate(num_resamples=0, synonyms=str(path))
    assert value(rows, "average_precision", options) == pytest.approx(1.0)
    assert value(rows, "average_precision") == 0.0


@pytest.mark.parametrize(
    ("text", "what"),
    [
        ("person: [man]\nmachine: [man]\n", "synonym of both"),
        ("- person\n", "maps each label to a list"),
        ("person: man\n", "maps each label to a list"),
    ],
)
def test_a_table_that_is_none_is_refused(tmp_path: Path, text: str, what: str) -> None:
    path = tmp_path / "synonyms.yaml"
    path.write_text(text)
    with pytest.raises(UserError, match=what):
        evaluate([PERFECT], Evaluate(synonyms=str(path)))
    with pytest.raises(UserError, match="cannot read the synonyms"):
        evaluate([PERFECT], Evaluate(synonyms=str(tmp_path / "none.yaml")))


def test_two_categories_of_one_label_are_told_apart_or_refused() -> None:
    def coco(category: int) -> CocoFields:
        return CocoFields(category_id=category, bbox=(100.0, 100.0, 100.0, 100.0), area=1e4, iscrowd=0)

    gt = [msgspec.structs.replace(true(desc, CAT), coco=coco(i)) for i, desc in enumerate(("bat", "Bat"))]
    preds = [msgspec.structs.replace(found("bat", CAT), coco=coco(0))]
    evaluation = evaluate([row("0", gt=gt, preds=preds)], POINT)
    assert {m.slice_value for m in evaluation.metrics if m.slice_by == "class"} == {"bat", "Bat"}
    with pytest.raises(UserError, match="two categories of the COCO file"):
        evaluate([row("0", gt=gt, preds=[found("bat", CAT)])], POINT)


LOGGED = row(
    "0",
    raw_output="cat dog ",
    gt=[true("cat", CAT)],
    preds=[
        msgspec.structs.replace(found("cat", NOWHERE), span=(0, 3)),
        msgspec.structs.replace(found("cat", CAT), span=(4, 7)),
    ],
    tokens=TokenLogprobs(ends=[2, 4, 6, 8, 8], logprobs=[-1.0, -3.0, -0.5, -0.1, -9.0]),
)


def test_scores_may_come_from_log_probabilities() -> None:
    """The first object covers tokens 0 and 1: exp(-2); the second 2 and 3: exp(-.3), so that it comes first."""
    options = Evaluate(num_resamples=0, score_from="logprobs")
    metrics = values(evaluate([LOGGED], options))
    assert metrics["average_precision"] == pytest.approx(1.0)
    assert metrics["num_logprob_scores"] == 2
    contract = values(evaluate([LOGGED], POINT))
    assert contract["average_precision"] == pytest.approx(0.5)
    assert contract["num_logprob_scores"] == 0
    with pytest.raises(UserError, match="no log probabilities for the object 'cat'"):
        evaluate([msgspec.structs.replace(LOGGED, tokens=None)], options)


def test_a_lowest_score_is_for_counts_and_not_for_average_precision() -> None:
    rows = [row("0", gt=[true("cat", CAT)], preds=[found("cat", CAT, 0.9), found("cat", NOWHERE, 0.2)])]
    high = values(evaluate(rows, Evaluate(num_resamples=0, min_score=0.5)))
    assert (high["precision_50"], high["background_errors"]) == (1.0, 0)
    assert value(rows, "precision_50") == 0.5
    assert high["average_precision"] == value(rows, "average_precision")


def test_crowds_are_neither_to_be_found_nor_wrong_to_find() -> None:
    crowd = CocoFields(category_id=1, bbox=(400.0, 400.0, 200.0, 200.0), area=4e4, iscrowd=1)
    gt = [true("cat", CAT), msgspec.structs.replace(true("cat", DOG), coco=crowd)]
    metrics = values(evaluate([row("0", gt=gt, preds=[found("cat", CAT), found("cat", (450, 450, 500, 500))])], POINT))
    assert (metrics["num_gt"], metrics["precision_50"], metrics["recall_50"]) == (1, 1.0, 1.0)


def test_masks_are_compared_where_the_truth_has_them() -> None:
    """A triangle is half of its box: the box of the second prediction is right, its area is not."""
    triangle = [100.0, 100.0, 300.0, 100.0, 100.0, 300.0]
    truth = [TrueObject(desc="cat", poly=triangle)]
    right = row("0", gt=truth, preds=[PredictedObject(desc="cat", poly=triangle)])
    boxed = row("1", gt=truth, preds=[found("cat", (100, 100, 300, 300))])
    assert value([right], "mask_average_precision") == pytest.approx(1.0)
    metrics = values(evaluate([right, boxed], POINT))
    assert metrics["average_precision"] == pytest.approx(1.0)
    assert metrics["mask_average_precision"] < 0.7
    assert not [m for m in evaluate([PERFECT], POINT).metrics if m.name.startswith("mask_")]


def test_a_model_that_was_asked_for_boxes_alone_gets_no_figures_of_masks() -> None:
    truth = [TrueObject(desc="cat", poly=[100.0, 100.0, 300.0, 100.0, 100.0, 300.0])]
    boxes_alone = row("0", gt=truth, preds=[found("cat", (100, 100, 300, 300))])
    nothing_found = row("0", gt=truth, preds=[])
    assert "mask_average_precision" not in values(evaluate([boxes_alone], POINT))
    assert value([nothing_found], "mask_average_precision") == 0.0


@pytest.mark.parametrize(
    ("rows", "what"),
    [
        ([PERFECT, PERFECT], "stands 2 times"),
        ([PERFECT, msgspec.structs.replace(BLANK, model="other")], "predictions of 2 models"),
        ([msgspec.structs.replace(MISSED, status="not_run", error="image_unreadable")], "answered none of 1"),
    ],
)
def test_what_cannot_be_scored_is_refused(rows: list[DetectionPrediction], what: str) -> None:
    with pytest.raises(UserError, match=what):
        evaluate(rows, POINT)


def test_every_metric_is_in_the_glossary_once_and_every_id_too() -> None:
    evaluation = evaluate([PERFECT, BLANK, MISSED, CUT], QUICK)
    names = [one.name for one in GLOSSARY]
    assert len({*names}) == len(names)
    assert {m.name for m in evaluation.metrics} <= {*names}
    assert len({m.id for m in evaluation.metrics}) == len(evaluation.metrics)


def test_the_command_writes_everything_and_says_what_counts(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    synonyms = tmp_path / "synonyms.yaml"
    synonyms.write_text("cat: [kitten]\n")
    write_all(tmp_path / "predictions.jsonl", [PERFECT, BLANK, MISSED, CUT])
    arguments = ["detection", "--input", str(tmp_path / "predictions.jsonl"), "--out", str(tmp_path / "out")]
    arguments += ["--set", "evaluate.num_resamples=20", "--set", f"evaluate.synonyms={synonyms}"]
    assert run_command(app, arguments) == 0
    shown = capsys.readouterr().out
    assert "\nmodel " in shown
    assert "\nwith_salvaged " in shown
    assert "by class" in shown
    assert "WARNING: 2 of 4 records have an error (no_json 1, truncated 1); they count as answers without obj" in shown
    assert "2 objects of the texts were no valid ones and are dropped (line_geometry 1, unfinished 1)." in shown
    assert len(read_all(tmp_path / "out/scores.jsonl", DetectionScore)) == 4
    assert read_all(tmp_path / "out/metrics.jsonl", Metric)
    assert {*load_manifest(tmp_path / "out").inputs} == {"predictions", "synonyms"}
    assert run_command(app, [*arguments, "--use-salvaged"]) == 2  # another question than the one that was answered
    assert run_command(app, [*arguments, "--use-salvaged", "--force"]) == 0
    assert "\nwithout_salvaged " in capsys.readouterr().out


def test_intervals_hold_their_values_and_the_seed_decides_them() -> None:
    random = np.random.default_rng(0)
    rows = [
        row(str(i), gt=[true("cat", CAT)], preds=[found("cat", CAT if random.random() < 0.7 else NOWHERE)])
        for i in range(40)
    ]
    one, same = evaluate(rows, QUICK), evaluate(rows, QUICK)
    assert one.metrics == same.metrics
    for m in one.metrics:
        assert m.low is None or m.low <= m.value <= m.high
    other = evaluate(rows, Evaluate(num_resamples=40, seed=1))
    assert one.metrics != other.metrics
    ap = next(m for m in one.metrics if m.name == "average_precision")
    assert 0.2 < ap.low < ap.value < ap.high < 1.0
    assert ap.interval == "bootstrap_percentile"


@pytest.mark.filterwarnings("error")
def test_a_box_of_the_largest_numbers_is_a_wrong_box() -> None:
    huge = PredictedObject(desc="a", bbox_2d=(0.0, 0.0, 1.7e308, 1.7e308), score=1.0)
    whole = TrueObject(desc="a", bbox_2d=(0.0, 0.0, 10.0, 10.0))
    found = evaluate([row("1", preds=[huge], gt=[whole], coord_mode="pixel")], Evaluate(num_resamples=5))
    values = {metric.id: metric.value for metric in found.metrics}
    assert values["all/model/average_precision/pooled"] == 0.0
    assert all(np.isfinite(value) for value in values.values())


MASKED = row("3", gt=[TrueObject(desc="cat", poly=[100, 100, 200, 100, 200, 200])], preds=[found("cat", CAT)])


@pytest.mark.parametrize("rows", [[MISSED, PERFECT, BLANK], [PERFECT, BLANK, MASKED]], ids=["boxes", "masks"])
def test_rows_of_a_file_give_what_rows_in_memory_give(rows: list[DetectionPrediction], tmp_path: Path) -> None:
    """Of boxes, no objects are kept; of masks, those of all rows are."""
    write_all(tmp_path / "predictions.jsonl", rows)
    stored = evaluate(StoredRows(tmp_path / "predictions.jsonl", DetectionPrediction), QUICK)
    kept = evaluate(rows, QUICK)
    assert list(stored.metrics) == list(kept.metrics)
    assert list(lines_of(stored.scores)) == list(lines_of(kept.scores))

"""Scores and metrics of gridworld, on a handful of literal predictions."""

import msgspec
import numpy as np
import pytest

from pipeline.contract.metrics import Evaluation
from pipeline.errors import UserError
from pipeline.files import encode
from pipeline.tasks.gridworld.evaluate.score import GLOSSARY, TABLE, evaluate
from pipeline.tasks.gridworld.recipe import Evaluate
from pipeline.tasks.gridworld.rows import GridworldPrediction
from pipeline.tasks.gridworld.town.policies import play
from schemas.rows import Metric

BASELINES = ("random", "always_wait", "always_rest", "heuristic", "two_places", "tuned_script")
QUICK = Evaluate(num_resamples=50)

RETIRED = GridworldPrediction(
    id="a",
    model="0123456789abcdef",
    level="full",
    seed=1,
    multiplier=1.0,
    num_steps=500,
    died=False,
    cause=None,
    wellbeing=400.0,
    mean_lowest_meter=0.5,
    returns={"wellbeing": 400.0, "retirement": 1.0, "shaping": 0.0},
    place_uses={"bed": 20, "bar": 2},
    final_meters=[0.5] * 8,
    epsilon=0.0,
    size=8,
    window=None,
    cap=500,
    stage=None,
    grid_places={"bed": (0, 0)},
    reward_components=["wellbeing", "retirement", "shaping"],
    trace=None,
)


def changed(prediction: GridworldPrediction = RETIRED, **fields: object) -> GridworldPrediction:
    return msgspec.structs.replace(prediction, **fields)


STARVED = changed(id="b", seed=2, num_steps=100, died=True, cause="energy", wellbeing=60.0, place_uses={"bed": 1})
SICK = changed(id="c", seed=3, num_steps=300, died=True, cause="health", wellbeing=170.0, place_uses={})
BROKEN = changed(id="d", seed=4, error="the model gave NaN", wellbeing=0.0, num_steps=0)


def value_of(evaluation: Evaluation, id: str) -> Metric:
    return next(metric for metric in evaluation.metrics if metric.id == id)


def test_every_baseline_stands_beside_the_model_on_every_record() -> None:
    evaluation = evaluate([RETIRED, STARVED], QUICK)
    subjects = ("model", *BASELINES)
    assert [score.id for score in evaluation.scores] == [f"{id}/{s}" for id in "ab" for s in subjects]
    for subject in subjects:
        assert value_of(evaluation, f"all/{subject}/wellbeing/mean").num_records == 2
        assert value_of(evaluation, f"all/{subject}/wellbeing_share/ratio_of_means").subject == subject
    for baseline in BASELINES:
        assert value_of(evaluation, f"all/model/wellbeing_minus_{baseline}/mean").subject == "model"
        assert value_of(evaluation, f"all/model/survived_steps_minus_{baseline}/mean").subject == "model"
    assert TABLE.bar == "tuned_script"


def test_baselines_play_the_scenarios_of_the_records() -> None:
    """Levels and multipliers in any order, each with its own seed."""
    predictions = [changed(STARVED, level="temporal", multiplier=2.0), RETIRED, changed(SICK, level="minimal", seed=9)]
    scores = {score.id: score for score in evaluate(predictions, QUICK).scores}
    for prediction in predictions:
        towns, tally = play(
            "heuristic", prediction.level, np.array([prediction.seed], np.uint64), prediction.multiplier
        )
        expected = tally.account(0, towns)
        score = scores[f"{prediction.id}/heuristic"]
        assert (score.level, score.seed, score.multiplier) == (prediction.level, prediction.seed, prediction.multiplier)
        assert {name: getattr(score, name) for name in expected} == expected
        assert score.num_place_kinds == len(score.place_uses)


def test_scores_of_the_model_are_its_predictions() -> None:
    score = evaluate([RETIRED], QUICK).scores[0]
    assert (score.subject, score.num_steps, score.wellbeing, score.num_place_kinds) == ("model", 500, 400.0, 2)
    assert (score.returns, score.place_uses) == (RETIRED.returns, RETIRED.place_uses)


def test_metrics_by_hand() -> None:
    evaluation = evaluate([RETIRED, STARVED, SICK, changed(id="e", seed=5, wellbeing=410.0)], QUICK)
    expected = {
        "survived_steps/mean": (500 + 100 + 300 + 500) / 4,
        "survived_steps/median": 400.0,
        "survived_steps/iqm": 400.0,  # 100 and one 500 are cut
        "survival_rate/rate": 0.5,
        "wellbeing/mean": (400 + 60 + 170 + 410) / 4,
        "wellbeing/iqm": (170 + 400) / 2,
        "lowest_meter/mean": 0.5,
        "return_wellbeing/mean": 400.0,
        "return_retirement/mean": 1.0,
        "death_by_energy/rate": 0.25,
        "death_by_health/rate": 0.25,
        "kinds_of_places/mean": (2 + 1 + 0 + 2) / 4,
        "uses_of_bed/mean": (20 + 1 + 0 + 20) / 4,
        "uses_of_bar/mean": 1.0,
        "uses_of_gym/mean": 0.0,
        "num_records/count": 4,
        "num_errors/count": 0,
    }
    found = {key: value_of(evaluation, f"all/model/{key}").value for key in expected}
    assert found == pytest.approx(expected)


def test_share_and_differences_are_paired_by_scenario() -> None:
    """A model that does half as well as the script in every scenario: nothing is left to chance in the share."""
    scenarios = [changed(id=str(seed), seed=seed) for seed in range(8)]
    script = [s.wellbeing for s in evaluate(scenarios, QUICK).scores if s.subject == "tuned_script"]
    half = [changed(p, wellbeing=w / 2) for p, w in zip(scenarios, script, strict=True)]
    evaluation = evaluate(half, QUICK)
    share = value_of(evaluation, "all/model/wellbeing_share/ratio_of_means")
    assert (share.low, share.value, share.high) == pytest.approx((0.5, 0.5, 0.5))
    difference = value_of(evaluation, "all/model/wellbeing_minus_tuned_script/mean")
    assert difference.value == pytest.approx(-np.mean(script) / 2)
    bar = value_of(evaluation, "all/tuned_script/wellbeing_share/ratio_of_means")
    assert (bar.low, bar.value, bar.high) == pytest.approx((1.0, 1.0, 1.0))
    constant = [changed(p, wellbeing=w + 3.0) for p, w in zip(scenarios, script, strict=True)]
    difference = value_of(evaluate(constant, QUICK), "all/model/wellbeing_minus_tuned_script/mean")
    assert (difference.low, difference.high) == pytest.approx((3.0, 3.0))


def test_errors_are_counted_and_left_out_for_every_subject() -> None:
    evaluation = evaluate([RETIRED, BROKEN], QUICK)
    assert value_of(evaluation, "all/model/num_errors/count").value == 1
    assert value_of(evaluation, "all/model/num_records/count").value == 2
    assert value_of(evaluation, "all/model/wellbeing/mean").value == 400.0
    for subject in ("model", *BASELINES):
        assert value_of(evaluation, f"all/{subject}/wellbeing/mean").num_records == 1
    assert not any(score.id.startswith("d/") for score in evaluation.scores)


def test_a_slice_of_errors_alone_is_still_counted() -> None:
    evaluation = evaluate([RETIRED, changed(BROKEN, multiplier=2.0)], QUICK)
    assert value_of(evaluation, "multiplier=2/model/num_errors/count").value == 1
    assert value_of(evaluation, "multiplier=1/model/num_errors/count").value == 0
    assert {m.name for m in evaluation.metrics if m.slice_value == "2"} == {"num_records", "num_errors"}


def test_slices_by_level_multiplier_and_stage() -> None:
    predictions = [
        changed(id="e", stage=0, multiplier=0.2, wellbeing=450.0),
        changed(id="f", stage=10, multiplier=1.5, wellbeing=200.0),
        changed(id="g", stage=2, multiplier=1.5, wellbeing=300.0, level="temporal"),
    ]
    evaluation = evaluate(predictions, QUICK)
    found = {
        (m.slice_by, m.slice_value): m.value
        for m in evaluation.metrics
        if (m.name, m.statistic, m.subject) == ("wellbeing", "mean", "model")
    }
    assert found == {
        ("all", "all"): pytest.approx(950 / 3),
        ("level", "full"): 325.0,
        ("level", "temporal"): 300.0,
        ("multiplier", "0.2"): 450.0,
        ("multiplier", "1.5"): 250.0,
        ("stage", "0"): 450.0,
        ("stage", "2"): 300.0,
        ("stage", "10"): 200.0,
    }
    assert [value for by, value in found if by == "stage"] == ["0", "2", "10"]  # by number, not by text
    assert value_of(evaluation, "stage=2/heuristic/wellbeing/mean").num_records == 1


def test_no_stage_no_slice() -> None:
    assert {m.slice_by for m in evaluate([RETIRED], QUICK).metrics} == {"all", "level", "multiplier"}


def test_the_same_records_have_the_same_intervals_in_every_slice() -> None:
    evaluation = evaluate([RETIRED, STARVED, SICK], QUICK)
    whole = value_of(evaluation, "all/model/wellbeing/iqm")
    level = value_of(evaluation, "level=full/model/wellbeing/iqm")
    assert (whole.low, whole.high) == (level.low, level.high)


def test_resampling_keeps_the_mix_of_multipliers() -> None:
    """Wellbeing that depends on the multiplier alone: a mix left to chance would spread the mean."""
    easy = [changed(id=f"easy{i}", multiplier=0.5, wellbeing=450.0) for i in range(5)]
    hard = [changed(id=f"hard{i}", multiplier=2.0, wellbeing=150.0) for i in range(5)]
    mean = value_of(evaluate(easy + hard, QUICK), "all/model/wellbeing/mean")
    assert (mean.low, mean.value, mean.high) == pytest.approx((300.0, 300.0, 300.0))


def test_places_that_a_level_lacks_are_left_out() -> None:
    minimal = changed(level="minimal", place_uses={"bed": 3}, cap=1000, num_steps=1000)
    names = {m.name for m in evaluate([minimal], QUICK).metrics if m.name.startswith("uses_of_")}
    assert names == {"uses_of_bed"}


def test_every_metric_is_defined_and_inside_its_interval() -> None:
    definitions = {definition.name: definition for definition in GLOSSARY}
    assert len(definitions) == len(GLOSSARY)
    metrics = evaluate([RETIRED, STARVED, SICK, BROKEN], QUICK).metrics
    assert len({metric.id for metric in metrics}) == len(metrics)
    for metric in metrics:
        assert (metric.unit, metric.better) == (definitions[metric.name].unit, definitions[metric.name].better)
        if metric.statistic == "count":
            assert (metric.low, metric.high, metric.interval) == (None, None, None)
        else:
            assert metric.low is not None
            assert metric.high is not None
            assert metric.low <= metric.value <= metric.high
            assert metric.confidence == 0.95
            assert metric.interval == ("wilson" if metric.statistic == "rate" else "bootstrap_percentile")


def test_the_same_predictions_give_the_same_bytes() -> None:
    def lines(seed: int) -> bytes:
        evaluation = evaluate([RETIRED, STARVED, SICK], Evaluate(num_resamples=50, seed=seed))
        return b"".join(map(encode, [*evaluation.metrics, *evaluation.scores]))

    assert lines(0) == lines(0)
    assert lines(0) != lines(1)


@pytest.mark.parametrize(
    ("predictions", "what"),
    [
        ([], "no predictions"),
        ([BROKEN], "all 1 predictions are errors"),
        ([RETIRED, RETIRED], "'a' stands 2 times"),
        ([RETIRED, changed(STARVED, model="fedcba9876543210")], "2 models"),
        ([changed(STARVED, cause="boredom")], "boredom"),
        ([changed(STARVED, cause=None)], "cause is None"),
        ([changed(returns={"bribe": 1.0})], "'bribe'"),
        ([changed(place_uses={"casino": 1})], "'casino'"),
        ([changed(level="paradise")], "paradise"),
    ],
)
def test_what_cannot_be_evaluated_is_refused(predictions: list[GridworldPrediction], what: str) -> None:
    with pytest.raises(UserError, match=what) as caught:
        evaluate(predictions, QUICK)
    assert caught.value.remedy

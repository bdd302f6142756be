"""The glossary of evaluate: every metric's name, unit and meaning, from the same constants as the computation."""

from typing import get_args

from pipeline.contract.metrics import MetricDefinition
from pipeline.tasks.detection.evaluate.average_precision import FIGURES
from pipeline.tasks.detection.evaluate.explain import BACKGROUND_IOU, IOUS, MATCH_IOU, REPEAT_IOU, percent
from pipeline.tasks.detection.rows import Status
from schemas.rows import Better

MASK = "mask_"  # before the names of the figures that compare masks
STATUSES: tuple[Status, ...] = get_args(Status)
UNPARSED = ("truncated", "empty_output", "no_json")

_AGNOSTIC = {"": "of the same class", "agnostic_": "whatever their classes"}
_ERRORS = {
    "localisation": f"a true object of its class overlaps it with an IoU from {BACKGROUND_IOU} to below {MATCH_IOU}",
    "classification": f"a true object of another class overlaps it with an IoU of at least {MATCH_IOU}",
    "duplicate": f"a true object that another prediction matched overlaps it with an IoU of at least {MATCH_IOU}",
    "background": f"no true object overlaps it with an IoU of at least {BACKGROUND_IOU}",
    "both": "the rest: class and place are wrong",
}
_STATUSES: dict[Status, str] = {
    "ok": "whose text was JSON as it should be, with at least one object",
    "repaired": "whose text was read after repairs",
    "empty": "whose text says that there is no object",
    "truncated": "whose text was cut inside an object; counted as empty, unless salvaged objects are counted in",
    "empty_output": "for which the model wrote nothing; counted as empty",
    "no_json": "whose text holds no list of objects; counted as empty",
    "not_run": "for which the model was not asked or did not answer; counted as empty",
}


def _define(name: str, unit: str, better: Better, definition: str) -> MetricDefinition:
    return MetricDefinition(name=name, unit=unit, better=better, definition=definition)


def _ratio_definitions(prefix: str, iou: str) -> tuple[MetricDefinition, ...]:
    at = f"Predicted and true objects {_AGNOSTIC[prefix]} are matched one to one at IoU .{iou}"
    texts = {
        "precision": "matched predictions over all predictions.",
        "recall": "matched true objects over all true objects.",
        "f1": "twice the matches over all predictions and all true objects.",
    }
    return tuple(_define(f"{prefix}{name}_{iou}", "share", "higher", f"{at}: {text}") for name, text in texts.items())


GLOSSARY: tuple[MetricDefinition, ...] = (
    *(_define(name, "share", "higher", f"{text} Boxes.") for name, text in FIGURES.items()),
    *(_define(MASK + name, "share", "higher", f"{text} Masks.") for name, text in FIGURES.items()),
    *(one for prefix in _AGNOSTIC for iou in map(percent, IOUS) for one in _ratio_definitions(prefix, iou)),
    _define("mean_iou", "IoU", "higher", f"Mean IoU of the matched pairs (same class, IoU .{percent(MATCH_IOU)})."),
    _define(
        "duplicate_rate",
        "share",
        "lower",
        f"Share of predictions that overlap an earlier one of their class and image with an IoU of at least "
        f"{REPEAT_IOU}: what a model says more than once, right or wrong.",
    ),
    *(
        _define(f"{name}_errors", "predictions", "lower", f"False predictions: {text}. The first that holds counts.")
        for name, text in _ERRORS.items()
    ),
    _define(
        "missed_errors",
        "objects",
        "lower",
        "True objects that are not matched, and would not be if localisation and classification errors were mended.",
    ),
    *(
        _define(f"{name}_cost", "share", "lower", f"How much higher the AP50 of boxes would be without {name} errors.")
        for name in (*_ERRORS, "missed")
    ),
    _define("num_records", "records", "neither", "Predictions in the slice, errors included; of a class: images."),
    _define(
        "num_errors",
        "records",
        "lower",
        "Records with an error, of all errors or of one; they count as answers without objects.",
    ),
    *(_define(f"num_status_{status}", "records", "neither", f"Records {_STATUSES[status]}.") for status in STATUSES),
    _define(
        "unparsed_rate",
        "share",
        "lower",
        f"Share of records whose text could not be read to its end: {', '.join(UNPARSED)}.",
    ),
    _define("num_repaired", "records", "neither", "Records whose text was repaired in this way; of all: in any way."),
    _define("num_dropped", "objects", "lower", "Objects of the texts that were no valid ones, of all codes or of one."),
    _define("num_salvaged", "objects", "neither", "Objects that were complete before their text was cut."),
    _define("num_gt", "objects", "neither", "True objects, crowds left out."),
    _define("num_preds", "objects", "neither", "Predicted objects, of a class: those that count at IoU .50."),
    _define(
        "num_unknown_labels",
        "objects",
        "lower",
        "Predictions of a class that no true object has. Precision and F1 count them as false; AP, a mean over the "
        "classes of the ground truth, does not see them.",
    ),
    _define(
        "num_logprob_scores",
        "objects",
        "neither",
        "Predictions ranked by the log probabilities of their tokens; the others are ranked by their rows' score.",
    ),
)
BY_NAME = {definition.name: definition for definition in GLOSSARY}

"""The row payloads of detection: envelopes of `schemas.rows` with this task's flat fields.

Coordinates of a row are in its ``coord_mode``: "pixel" (x to the right, y down, the image's top left corner at 0, its
far edges at ``width`` and ``height``) or "norm1000" (0 to 999 over the same extent: x_px = k * width / 999). Nothing is
inferred from values. Boxes are [x1, y1, x2, y2], polygons are flat [x1, y1, x2, y2, x3, y3, ...].
"""

from typing import Annotated, Any, Literal

from msgspec import Meta, Struct, field

from pipeline.contract.parts import RowsPart
from schemas import rows

TASK = "detection"
TRUTH = ("images", "width", "height", "gt", "gt_coord_mode")  # of a prediction: what it was asked, and is judged by
CoordMode = Literal["pixel", "norm1000"]
Box = tuple[float, float, float, float]
MOST = 10**18  # of a number in a COCO file: far beyond all images, and no sum of such numbers is infinite
Number = Annotated[int, Meta(ge=-MOST, le=MOST)] | Annotated[float, Meta(ge=-MOST, le=MOST)]
MAX_SIDE_PX = 1_000_000
Side = Annotated[int, Meta(ge=1, le=MAX_SIDE_PX)]
Status = Literal["ok", "repaired", "empty", "truncated", "empty_output", "no_json", "not_run"]


class Rle(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A run-length encoded mask as COCO writes it: ``size`` [height, width], ``counts`` compressed or as numbers.

    The pixels are taken column by column, from the top; ``counts`` are the lengths of runs of pixels outside and
    within the object in turn, outside first.
    """

    size: tuple[int, int]
    counts: str | list[int]


class CocoFields(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True):
    """What a COCO annotation or result said, unrounded: the way back to the same file, and what AP is computed from.

    ``bbox`` is [x, y, width, height] in pixels. ``segmentation`` is a list of flat polygons, or a mask. Numbers stay
    whole or broken as they were written; what was not there is null here. ``index`` is the place in the file's list,
    from 0. ``extra`` keeps the keys that COCO does not define, and those whose value was null.
    """

    id: int | None = None
    category_id: int | str
    bbox: tuple[Number, Number, Number, Number] | None = None
    segmentation: list[list[Number]] | Rle | None = None
    area: Number | None = None
    iscrowd: Literal[0, 1] | None = None
    index: int | None = None
    extra: dict[str, Any] | None = None


class YoloFields(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What a line of a YOLO data set said, the way back to the same file: the class, and the numbers of a box (x, y of
    its middle, width, height) or of a polygon, in shares of the image."""

    class_id: int
    values: list[float]


class TrueObject(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True):
    """One object of the ground truth: ``desc`` and exactly one of ``bbox_2d`` and ``poly``."""

    desc: str
    bbox_2d: Box | None = None
    poly: list[float] | None = None
    coco: CocoFields | None = None
    yolo: YoloFields | None = None


class PredictedObject(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True, gc=False):
    """One object that the model wrote: ``desc`` and exactly one of ``bbox_2d`` and ``poly``.

    ``span`` is where it stands in ``raw_output``: [start, stop) in characters; null for rows that were converted from
    files without a text. ``score`` is 1.0 for models that write text; a converted row keeps its own.
    """

    desc: str
    bbox_2d: Box | None = None
    poly: list[float] | None = None
    score: float = field(default_factory=lambda: 1.0)  # a factory: 1.0 is written too, all other defaults are left out
    span: tuple[int, int] | None = None
    coco: CocoFields | None = None
    yolo: YoloFields | None = None


class DroppedObject(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, gc=False):
    """Something in the text that was meant as an object and is none: why (``code``), and where it stands."""

    code: str
    span: tuple[int, int]


class TokenLogprobs(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Log probabilities (natural, of the token that was taken) by token; ``ends`` are character offsets in the text."""

    ends: list[int]
    logprobs: list[float]


class DetectionExample(rows.Example, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One image with its ground truth. ``images`` are paths relative to the image root."""

    task: Literal["detection"] = "detection"
    images: list[str]
    width: Side
    height: Side
    objects: list[TrueObject]
    image_id: str | int | None = None
    coord_mode: CoordMode = "pixel"
    metadata: dict[str, Any] | None = None


class DetectionPrediction(rows.Prediction, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What a model wrote about one image, and what of it are objects.

    ``raw_output`` is the text, verbatim. ``preds`` are in the order of the text, in ``coord_mode``; ``gt`` are the
    input's objects in ``gt_coord_mode``. ``status`` says how the text was read, ``repairs`` what had to be repaired,
    ``dropped`` what was no valid object. ``salvaged`` are the objects that were complete before a text was cut;
    ``preds`` is empty then. ``error`` is a code (see docs/detection.md), ``error_detail`` a sentence. ``cut``: the
    text was cut at the most tokens that it may have; false where that is not known.
    """

    task: Literal["detection"] = "detection"
    image_id: str | int
    images: list[str]
    width: Side
    height: Side
    coord_mode: CoordMode = "norm1000"
    raw_output: str
    cut: bool = False
    status: Status
    preds: list[PredictedObject]
    gt: list[TrueObject]
    gt_coord_mode: CoordMode
    repairs: tuple[str, ...] = ()
    dropped: tuple[DroppedObject, ...] = ()
    salvaged: tuple[PredictedObject, ...] = ()
    tokens: TokenLogprobs | None = None
    error_detail: str | None = None
    metadata: dict[str, Any] | None = None


class ReplayText(Struct, frozen=True, kw_only=True):
    """One line of a replay file: the text that some model wrote for the record ``id``. Other fields are passed over.

    ``model``, ``cut`` and ``tokens`` are taken over where given; so are ``error`` and ``error_detail`` where
    ``status`` says that no model ran. A predictions.jsonl is itself a replay file, and gives the same rows again.
    """

    id: str | int
    raw_output: str
    model: str | None = None
    cut: bool = False
    tokens: TokenLogprobs | None = None
    status: str | None = None
    error: str | None = None
    error_detail: str | None = None


class DetectionScore(rows.Score, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What one image scored: predicted and true objects of the same class, matched one to one at IoU ``iou``.

    ``num_gt`` leaves crowds out, ``num_preds`` counts every predicted object. The false ones are counted by kind
    (``num_localisation`` to ``num_both``), ``num_missed`` are true objects that no prediction came near: see
    docs/detection.md. ``num_repeats`` predictions repeat an earlier one. Null where there is nothing to divide by.
    """

    task: Literal["detection"] = "detection"
    image_id: str | int
    status: Status
    error: str | None
    iou: float
    num_gt: int
    num_preds: int
    num_matched: int
    num_false: int
    num_localisation: int
    num_classification: int
    num_duplicate: int
    num_background: int
    num_both: int
    num_missed: int
    num_repeats: int
    num_dropped: int
    num_salvaged: int
    precision: float | None
    recall: float | None
    f1: float | None
    mean_iou: float | None


class DetectionProgress(rows.Progress, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One training step, or the mean over a few."""

    task: Literal["detection"] = "detection"
    loss: float
    token_loss: float
    dense_loss: float
    learning_rate: float
    tokens_seen: int
    images_seen: int


class DetectionMonitor(rows.Monitor, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The averaged weights, greedy, on the monitoring images. Scores are 1.0, as in the contract.

    Boxes and masks (polygons) as far as they are learned; ``selected_by`` is the mean of their AP. ``malformed_share``
    counts texts that had to be repaired or hold anything that is no valid object.
    """

    task: Literal["detection"] = "detection"
    num_images: int
    average_precision: float | None
    average_precision_50: float | None
    mask_average_precision: float | None
    mask_average_precision_50: float | None
    malformed_share: float
    loss: float


class DetectionEpisode(rows.Episode, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A whole sample of the training: an image, what the model in training wrote for it, and the truth.

    ``image_png`` is the image as base64 of a PNG file. ``num_matched`` predictions match the truth at IoU 0.5 (by
    their boxes); ``loss`` is a running mean; ``average_precision`` is the best one monitored so far.
    """

    task: Literal["detection"] = "detection"
    width: int
    height: int
    image_png: str
    raw_output: str
    status: Status
    preds: list[PredictedObject]
    gt: list[TrueObject]
    gt_coord_mode: CoordMode
    loss: float
    num_gt: int
    num_preds: int
    num_matched: int
    average_precision: float | None = None


PART = RowsPart(
    types={
        "episode_v1": DetectionEpisode,
        "progress_v1": DetectionProgress,
        "monitor_v1": DetectionMonitor,
        "example_v1": DetectionExample,
        "prediction_v1": DetectionPrediction,
        "score_v1": DetectionScore,
        "metric_v1": rows.Metric,
        "figure_v1": rows.Figure,
    },
    truth=TRUTH,
)

"""Records as conversions see them: what is true of an image, what was predicted, and the predictions of other tools."""

from collections.abc import Iterable, Iterator, Sequence

from pipeline.tasks.detection.rows import CoordMode, DetectionExample, DetectionPrediction, PredictedObject, TrueObject

Record = DetectionExample | DetectionPrediction
Thing = TrueObject | PredictedObject


def truth_of(record: Record) -> tuple[Sequence[TrueObject], CoordMode]:
    """The true objects of a record, and what their coordinates are."""
    if isinstance(record, DetectionPrediction):
        return record.gt, record.gt_coord_mode
    return record.objects, record.coord_mode


def things_of(records: Iterable[Record]) -> Iterator[Thing]:
    """All objects of the records, true and predicted."""
    for record in records:
        yield from truth_of(record)[0]
        yield from record.preds if isinstance(record, DetectionPrediction) else ()


def prediction_of(example: DetectionExample, preds: list[PredictedObject], model: str) -> DetectionPrediction:
    """A prediction without a text: what another tool found in the image of an example that has an ``image_id``."""
    assert example.image_id is not None
    return DetectionPrediction(
        id=example.id,
        model=model,
        image_id=example.image_id,
        images=example.images,
        width=example.width,
        height=example.height,
        coord_mode="pixel",
        raw_output="",
        status="ok" if preds else "empty",
        preds=preds,
        gt=example.objects,
        gt_coord_mode="pixel",
        metadata=example.metadata,
    )

"""Rows of detection from COCO files and YOLO data sets, and back: ``baton convert detection``."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from pipeline.contract.jobs import ConvertJob, ConvertOutcome
from pipeline.contract.parts import ConvertPart
from pipeline.errors import UserError
from pipeline.files import head, read_all, write_all
from pipeline.files.atomic import write_atomically
from pipeline.files.encode import encode
from pipeline.files.hashes import sha256_file
from pipeline.records.findings import LISTING, Findings
from pipeline.tasks.detection.convert import yolo_read
from pipeline.tasks.detection.convert.bad import KINDS
from pipeline.tasks.detection.convert.coco_read import read_annotations, read_results
from pipeline.tasks.detection.convert.coco_write import to_documents
from pipeline.tasks.detection.convert.records import things_of
from pipeline.tasks.detection.convert.yolo_write import write_folder
from pipeline.tasks.detection.images import ImageFolder
from pipeline.tasks.detection.infer.read import read_examples
from pipeline.tasks.detection.rows import DetectionExample, DetectionPrediction

EXAMPLES, PREDICTIONS, HEADER = "examples.jsonl", "predictions.jsonl", "dataset.json"
ANNOTATIONS, RESULTS = "annotations.json", "results.json"
YOLO_LISTS = ("data.yaml", "train.txt", "val.txt", "test.txt")
YOLO_FOLDERS = ("labels/**/*.txt", "*/labels/**/*.txt", "predictions/**/*.txt", "images/**/*", "*/images/**/*")
FORMATS = ("coco", "yolo")
FILES = (EXAMPLES, PREDICTIONS, HEADER, ANNOTATIONS, RESULTS, LISTING, *YOLO_LISTS, *YOLO_FOLDERS)


def convert(job: ConvertJob) -> ConvertOutcome:
    """COCO's annotations and results, or a YOLO data set and predictions for it, to rows; examples or predictions to
    either.

    Raises UserError when a file that is needed was not given, or does not hold what it should.
    """
    way = job.direction, job.format
    if job.split is not None and way != ("from", "yolo"):
        raise UserError("--split is for --from yolo alone", remedy="leave it out")
    if job.image_root is not None and way != ("to", "yolo"):
        raise UserError("--image-root is for --to yolo alone", where=str(job.image_root), remedy="leave it out")
    asked = f"--{job.direction} {job.format}"
    useless, other = _USELESS[job.direction]
    if useless in job.files:
        what = f"convert {asked} has no use for --{useless}"
        raise UserError(what, where=str(job.files[useless]), remedy=f"{asked} {other}")
    work, needed, remedy = _CONVERSIONS[way]
    if needed not in job.files:
        raise UserError(f"convert {asked} needs --{needed}", remedy=remedy)
    return work(job)


def depends(job: ConvertJob) -> dict[str, str]:
    """A hash of the files of a data set that is a folder, or of the images that are to be in one."""
    images = _images(job)
    if images is not None and "input" in job.files:
        return {"images_sha256": images.sha256_of(name for one in _records(job.files["input"]) for name in one.images)}
    if (job.direction, job.format) != ("from", "yolo") or "annotations" not in job.files:
        return {}
    return {
        "files_sha256": yolo_read.digest(
            yolo_read.read_data_yaml(job.files["annotations"]), job.split, job.files.get("results")
        )
    }


def _from_coco(job: ConvertJob) -> ConvertOutcome:
    findings = Findings(KINDS)
    truth = read_annotations(job.files["annotations"], findings)
    examples, predictions = list(truth.examples.values()), None
    if "results" in job.files:
        path = job.files["results"]
        predictions = read_results(path, truth, sha256_file(path)[:16], findings)
    outputs, counts = _write_rows(job, examples, predictions, findings)
    outputs["dataset"] = _write(job.folder / HEADER, truth.header)
    notes = []
    num_keypoints = sum(one.coco is not None and "keypoints" in (one.coco.extra or ()) for one in things_of(examples))
    if num_keypoints:
        notes.append(f"{num_keypoints:,} annotations have keypoints: kept as they are, and no metric reads them")
    if "num_bad_polygon" in counts:
        notes.append(f"{counts['num_bad_polygon']:,} entries lost their polygons, and those with a box have it alone")
    return ConvertOutcome(outputs, counts, notes)


def _from_yolo(job: ConvertJob) -> ConvertOutcome:
    data, folder = yolo_read.read_data_yaml(job.files["annotations"]), job.files.get("results")
    if folder is not None and job.split is None and len(data.splits) > 1:
        remedy = f"name it with --split: {', '.join(data.splits)}"
        raise UserError("the results are of one split of the data set", where=str(data.path), remedy=remedy)
    findings = Findings(KINDS)
    examples, predictions = yolo_read.read_examples(data, job.split, findings), None
    if folder is not None:
        model = yolo_read.digest(data, job.split, folder)[:16]
        predictions = yolo_read.read_results(folder, data, examples, model, findings)
    return ConvertOutcome(*_write_rows(job, examples, predictions, findings))


def _write_rows(
    job: ConvertJob,
    examples: Sequence[DetectionExample],
    predictions: Sequence[DetectionPrediction] | None,
    findings: Findings,
) -> tuple[dict[str, Path], dict[str, int]]:
    """Files by name, and counts. Raises UserError where anything is bad, and that is to be refused."""
    outputs, counts = findings.settle(job.folder, job.on_bad)
    outputs["examples"] = job.folder / EXAMPLES
    counts["num_images"] = write_all(outputs["examples"], examples)
    counts["num_annotations"] = sum(len(example.objects) for example in examples)
    if predictions is not None:
        outputs["predictions"] = job.folder / PREDICTIONS
        write_all(outputs["predictions"], predictions)
        counts["num_results"] = sum(len(prediction.preds) for prediction in predictions)
    return outputs, counts


def _to_coco(job: ConvertJob) -> ConvertOutcome:
    records, findings = _records(job.files["input"]), Findings(KINDS)
    header = read_annotations(job.files["annotations"], findings).header if "annotations" in job.files else None
    outputs, counts = findings.settle(job.folder, job.on_bad)
    document, results = to_documents(records, header)
    outputs["annotations"] = _write(job.folder / ANNOTATIONS, document)
    counts |= {"num_images": len(records), "num_annotations": len(document["annotations"])}
    if isinstance(records[0], DetectionPrediction):
        outputs["results"] = _write(job.folder / RESULTS, results)
        counts["num_results"] = len(results)
    return ConvertOutcome(outputs, counts)


def _to_yolo(job: ConvertJob) -> ConvertOutcome:
    data = yolo_read.read_data_yaml(job.files["annotations"]) if "annotations" in job.files else None
    return write_folder(_records(job.files["input"]), job.folder, data, _images(job))


def _images(job: ConvertJob) -> ImageFolder | None:
    """The images that a data set is to have."""
    return ImageFolder(job.image_root) if job.image_root is not None else None


def _records(path: Path) -> list[DetectionExample] | list[DetectionPrediction]:
    """Predictions where the first line says so; else examples, by this project or by other tools."""
    with path.open("rb") as file:
        first = file.readline(1 << 16)
    if b'"prediction_v1"' in first and head(path).schema == "prediction_v1":
        records: list[Any] = read_all(path, DetectionPrediction)
    else:
        records = read_examples(path)
    if not records:
        raise UserError("there are no records in it", where=str(path))
    return records


def _write(path: Path, document: Any) -> Path:
    write_atomically(path, [encode(document)])
    return path


_USELESS = {
    "from": ("input", "reads --annotations and --results"),
    "to": ("results", "writes them: give rows with --input"),
}
_ROWS = ("input", "give the rows to convert: --input FILE")
# The work, which file it needs, and what is said without it.
_CONVERSIONS = {
    ("from", "coco"): (_from_coco, "annotations", "images are known from it: --annotations FILE"),
    ("from", "yolo"): (_from_yolo, "annotations", "name the data.yaml of the set: --annotations FILE"),
    ("to", "coco"): (_to_coco, *_ROWS),
    ("to", "yolo"): (_to_yolo, *_ROWS),
}

PART = ConvertPart(formats=FORMATS, files=FILES, convert=convert, depends=depends)

"""Rows of localization from CSV files, LocaRDS and GeoJSON, and to GeoJSON: ``baton convert localization``."""

from collections.abc import Callable, Sequence

from pipeline.contract.jobs import ConvertJob, ConvertOutcome
from pipeline.contract.parts import ConvertPart
from pipeline.errors import UserError
from pipeline.files import head, read_all, write_all
from pipeline.files.atomic import write_atomically
from pipeline.files.encode import encode
from pipeline.records.findings import LISTING, Findings
from pipeline.tasks.localization.convert import from_csv, from_geojson, from_locards
from pipeline.tasks.localization.convert.table import PARTS, SplitOptions
from pipeline.tasks.localization.convert.to_geojson import document
from pipeline.tasks.localization.rows import Example, Prediction

EXAMPLES, MAP = "examples.jsonl", "map.geojson"
KINDS = {
    "wrong_row": "a row has as many cells as the header",
    "wrong_type": "a field has the type that the format gives it",
    "no_number": "the cell of a number holds one, with a point and without a unit",
    "no_place": "latitude and longitude are both given, or both left out; a receiver has them",
    "out_of_range": "latitudes are from -90 to 90, longitudes from -180 to 180 degrees",
    "no_level": "a level is in dBm, from -200 to 0; --set receivers=PATTERN leaves out what is no receiver",
    "id_twice": "an id stands once",
    "not_heard": "at least one receiver heard the transmission",
    "unknown_receiver": "a receiver that heard it is in the file of receivers",
    "receiver_twice": "a receiver hears a transmission once",
    "no_group": "a row says whose transmission it is, where data are split by that",
}
"""Every kind of fault of the files that people have, and what is expected instead."""

_READERS: dict[str, Callable[[ConvertJob, Findings], tuple[Sequence[Example], Sequence[str]]]] = {
    "csv": from_csv.read_messages,
    "locards": from_locards.read_messages,
    "geojson": from_geojson.read_messages,
}


def convert(job: ConvertJob) -> ConvertOutcome:
    """Messages or GeoJSON to examples; examples or predictions to GeoJSON.

    Raises UserError when a file that is needed was not given, or does not hold what it should.
    """
    _check(job)
    if job.direction == "to":
        return _to_geojson(job)
    findings = Findings(KINDS)
    examples, notes = _READERS[job.format](job, findings)
    outputs, counts = findings.settle(job.folder, job.on_bad)
    if not examples:
        remedy = f"parts are {', '.join(PARTS)}" if job.split else "check that it is the right file"
        raise UserError("no transmission is left in it", where=str(job.files["input"]), remedy=remedy)
    outputs["examples"] = job.folder / EXAMPLES
    counts["num_transmissions"] = write_all(outputs["examples"], examples)
    counts["num_measurements"] = sum(len(one.measurements) for one in examples)
    counts["num_groups"] = len({one.group for one in examples} - {None})
    return ConvertOutcome(outputs, counts, notes)


def _check(job: ConvertJob) -> None:
    if job.direction == "to" and job.format != "geojson":
        raise UserError(f"{job.format} is read, not written", remedy="--to geojson writes a map")
    for name in ("annotations", "results"):
        if name in job.files:
            raise UserError(f"localization has no use for --{name}", remedy="give the file with --input")
    if job.image_root is not None:
        raise UserError("localization has no images", where=str(job.image_root), remedy="leave out --image-root")
    if "input" not in job.files:
        raise UserError(f"convert --{job.direction} {job.format} needs a file", remedy="give it with --input PATH")
    if job.split is not None and job.format == "geojson":
        raise UserError("--split is for --from csv and locards", remedy="leave it out")
    if job.split not in (None, *PARTS):
        raise UserError(f"there is no part {job.split!r}", where="--split", remedy=f"known: {', '.join(PARTS)}")


def _to_geojson(job: ConvertJob) -> ConvertOutcome:
    path = job.files["input"]
    row_type: type[Example] | type[Prediction] = Prediction if head(path).schema == "prediction_v1" else Example
    records: Sequence[Example | Prediction] = read_all(path, row_type)
    made = document(records)
    write_atomically(job.folder / MAP, [encode(made)])
    counts = {"num_records": len(records), "num_features": len(made["features"])}
    return ConvertOutcome({"map": job.folder / MAP}, counts)


def depends(job: ConvertJob) -> dict[str, str]:
    """A hash of the files of a folder."""
    if (job.direction, job.format) == ("from", "locards") and "input" in job.files:
        return {"files_sha256": from_locards.digest(job.files["input"])}
    return {}


PART = ConvertPart(
    formats=tuple(_READERS),
    files=(EXAMPLES, MAP, LISTING),
    convert=convert,
    options={"csv": from_csv.CsvOptions, "locards": SplitOptions},
    more_files={"csv": ("places",)},
    depends=depends,
)

"""Rows of localization from CSV files, LocaRDS and GeoJSON, and to GeoJSON: ``baton convert localization``."""

from collections.abc import Sequence
from pathlib import Path

from pipeline.contract.jobs import ConvertJob, ConvertOutcome
from pipeline.contract.parts import ConvertPart
from pipeline.errors import UserError
from pipeline.files import head, read_all, write_all
from pipeline.files.atomic import write_atomically
from pipeline.files.encode import encode
from pipeline.records.findings import LISTING, Findings
from pipeline.tasks.localization.convert import from_csv, from_locards, geojson_read
from pipeline.tasks.localization.convert.bad import KINDS
from pipeline.tasks.localization.convert.geojson_write import Record, document
from pipeline.tasks.localization.convert.receivers import read_sites
from pipeline.tasks.localization.convert.table import PARTS, SplitOptions, check_part
from pipeline.tasks.localization.rows import Example, Prediction

EXAMPLES, MAP = "examples.jsonl", "map.geojson"
OPTIONS = {"csv": from_csv.CsvOptions, "locards": SplitOptions}


def convert(job: ConvertJob) -> ConvertOutcome:
    """Messages or GeoJSON to examples; examples or predictions to GeoJSON.

    Raises UserError when a file that is needed was not given, or does not hold what it should.
    """
    if (job.direction, job.format) not in _CONVERSIONS:
        raise UserError(f"{job.format} is read, not written", remedy="--to geojson writes a map")
    for name in ("annotations", "results"):
        if name in job.files:
            raise UserError(f"localization has no use for --{name}", remedy="give the file with --input")
    if job.image_root is not None:
        raise UserError("localization has no images", where=str(job.image_root), remedy="leave out --image-root")
    if "input" not in job.files:
        raise UserError(f"convert --{job.direction} {job.format} needs a file", remedy="give it with --input PATH")
    if job.split is not None and (job.direction, job.format) not in (("from", "csv"), ("from", "locards")):
        raise UserError("--split is for --from csv and locards", remedy="leave it out")
    check_part(job.split)
    return _CONVERSIONS[job.direction, job.format](job)


def depends(job: ConvertJob) -> dict[str, str]:
    """A hash of the files of a folder."""
    if (job.direction, job.format) == ("from", "locards") and "input" in job.files:
        return {"files_sha256": from_locards.digest(job.files["input"])}
    return {}


def _from_csv(job: ConvertJob) -> ConvertOutcome:
    findings = Findings(KINDS)
    sites = read_sites(job.files["places"], findings) if "places" in job.files else {}
    examples, notes = from_csv.read_messages(job.files["input"], job.options, sites, job.split, findings)
    return _written(job, examples, findings, notes)


def _from_locards(job: ConvertJob) -> ConvertOutcome:
    findings = Findings(KINDS)
    examples = from_locards.read_messages(job.files["input"], job.options, job.split, findings)
    return _written(job, examples, findings, ["strengths are left out: they are no levels in dBm"])


def _from_geojson(job: ConvertJob) -> ConvertOutcome:
    findings = Findings(KINDS)
    return _written(job, geojson_read.read_examples(job.files["input"], findings), findings, [])


def _written(job: ConvertJob, examples: Sequence[Example], findings: Findings, notes: Sequence[str]) -> ConvertOutcome:
    outputs, counts = findings.settle(job.folder, job.on_bad)
    if not examples:
        remedy = f"parts are {', '.join(PARTS)}" if job.split else "check that it is the right file"
        raise UserError("no transmission is left in it", where=str(job.files["input"]), remedy=remedy)
    outputs["examples"] = job.folder / EXAMPLES
    counts["num_transmissions"] = write_all(outputs["examples"], examples)
    counts["num_measurements"] = sum(len(one.measurements) for one in examples)
    counts["num_groups"] = len({one.group for one in examples} - {None})
    return ConvertOutcome(outputs, counts, notes)


def _to_geojson(job: ConvertJob) -> ConvertOutcome:
    records = _records(job.files["input"])
    made = document(records)
    path = job.folder / MAP
    write_atomically(path, [encode(made)])
    return ConvertOutcome({"map": path}, {"num_records": len(records), "num_features": len(made["features"])})


def _records(path: Path) -> Sequence[Record]:
    row_type: type[Example] | type[Prediction] = Prediction if head(path).schema == "prediction_v1" else Example
    return read_all(path, row_type)


_CONVERSIONS = {
    ("from", "csv"): _from_csv,
    ("from", "locards"): _from_locards,
    ("from", "geojson"): _from_geojson,
    ("to", "geojson"): _to_geojson,
}

PART = ConvertPart(
    formats=("csv", "locards", "geojson"),
    files=(EXAMPLES, MAP, LISTING),
    convert=convert,
    options=OPTIONS,
    more_files={"csv": ("places",)},
    depends=depends,
)

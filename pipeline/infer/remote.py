"""Predictions of a running `baton serve`, asked instead of a model file: the rows that the file would have given."""

import os
from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Any

import msgspec

from pipeline.contract.jobs import InferJob, Source
from pipeline.contract.load import find_part, load_part
from pipeline.contract.parts import InferPart, RowsPart
from pipeline.contract.serving import ServePart
from pipeline.errors import UserError
from pipeline.web.asking import ask, weights_hash_of

KEY_VARIABLE = "BATON_SERVE_KEY"  # the environment's, where the server has --auth-file
_NUM_AT_ONCE = 50  # examples: a server's --max-items are 100 unless it was told otherwise


class _Item(msgspec.Struct, frozen=True):
    prediction: msgspec.Raw = msgspec.Raw(b"null")
    problem: Mapping[str, Any] | None = None


class _Answer(msgspec.Struct, frozen=True):
    items: list[_Item]


def server_source(url: str) -> Source:
    """A server as the source of answers: the model that it has now is what they depend on. Raises UserError."""
    return Source(server=url, config={"model_served": weights_hash_of(url, _headers())}, facts={"server": url})


def server_part(task: str) -> InferPart:
    """The task's infer part, whose ``predict`` asks the server of the job's source."""
    return replace(load_part(task, InferPart), predict=lambda job: _predict(task, job))


def _predict(task: str, job: InferJob) -> Iterator[Any]:
    """Raises UserError where the server does not answer, refuses an example, or answers with another model."""
    part, row_type = find_part(task, ServePart) or ServePart(), load_part(task, RowsPart).prediction
    url, model = str(job.source.server), str(job.source.config["model_served"])[:16]
    for start in range(job.first_index, len(job.examples), _NUM_AT_ONCE):
        asked = job.examples[start : start + _NUM_AT_ONCE]
        content = ask(url, _headers(), "POST", "/v1/predict/batch", {"items": [_body(part, one) for one in asked]})
        for example, item in zip(asked, msgspec.json.decode(content, type=_Answer).items, strict=True):
            if item.problem is not None:
                raise UserError(f"the server refuses: {item.problem.get('detail')}", where=f"record {example.id!r}")
            row = msgspec.json.decode(item.prediction, type=row_type)
            if row.model != model:
                what = f"model {row.model} answers there now, no longer {model}"
                raise UserError(what, where=url, remedy="infer again with --force")
            yield msgspec.structs.replace(row, **{name: getattr(example, own) for own, name in part.truth.items()})
        job.report(start + len(asked), len(job.examples), {})


def _body(part: ServePart, example: Any) -> dict[str, Any]:
    """The request that an example is, as far as requests of its task know its fields."""
    plain = msgspec.to_builtins(example)
    asked = part.body.__struct_fields__ if part.body else plain.keys() - part.truth.keys() - {"schema", "task"}
    return {name: value for name, value in plain.items() if name in asked}


def _headers() -> dict[str, str]:
    key = os.environ.get(KEY_VARIABLE)
    return {"X-API-Key": key} if key else {}

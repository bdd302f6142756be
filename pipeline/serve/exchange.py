"""What goes over HTTP for a task: requests, answers and truths, as Structs made of the task's rows."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal

import msgspec

from pipeline.contract.load import find_part, load_part
from pipeline.contract.parts import RowsPart
from pipeline.contract.serving import ServePart
from pipeline.errors import UserError
from pipeline.files import read, write_all
from schemas.rows import Example, Prediction

_STRICT: dict[str, Any] = {"frozen": True, "kw_only": True, "forbid_unknown_fields": True}
Id = Annotated[str, msgspec.Meta(min_length=1, max_length=256)]


@dataclass(frozen=True)
class Exchange:
    """The Structs of a request, of a truth and of an answer, and how one becomes the other."""

    part: ServePart

    body: type[msgspec.Struct]
    truth: type[msgspec.Struct]
    prediction: type[Prediction]
    to_example: Callable[[Any, str], Any]

    def with_truth(self, prediction: Any, truth: Any) -> Any:
        """The prediction with its ground truth filled in."""
        told = {there: getattr(truth, here) for here, there in self.part.truth.items()}
        return msgspec.structs.replace(prediction, **told)


def exchange_of(task: str) -> Exchange:
    """What a task's requests, truths and answers are; one without a `ServePart` is served all the same.

    A body, without one of the task's own, is the example row without version, task and ground truth, whose id is
    optional. A truth is a row of its id and the fields of ground truth. Raises UserError on an unknown task.
    """
    part, rows = find_part(task, ServePart) or ServePart(), load_part(task, RowsPart)
    example, name = rows.types["example_v1"], task.title().replace("_", "")
    fields = [one for one in msgspec.structs.fields(example) if one.name not in Example.__struct_fields__]
    asked = [one for one in fields if one.name not in part.truth]
    body = part.body or msgspec.defstruct(
        f"{name}Request",
        [("id", Id | None, None), *map(_member, asked)],
        namespace={"__doc__": f"What {task} is asked: the example without its ground truth; the id is optional."},
        **_STRICT,
    )
    truth = msgspec.defstruct(
        f"{name}Truth",
        [
            ("task", Literal[task], task),
            ("id", Id),
            ("schema", Literal["truth_v1"], "truth_v1"),
            *((one.name, one.type) for one in fields if one.name in part.truth),
        ],
        namespace={"__doc__": f"The ground truth of an earlier answer of {task}, by its id."},
        **_STRICT,
    )

    def to_example(request: Any, id: str) -> Any:
        return example(**{one.name: getattr(request, one.name) for one in asked}, id=id)

    return Exchange(part, body, truth, rows.prediction, part.to_example or to_example)


def _member(one: msgspec.structs.FieldInfo) -> tuple[Any, ...]:
    """A field as `msgspec.defstruct` takes it."""
    if one.required:
        return one.name, one.type
    factory = one.default_factory is not msgspec.NODEFAULT
    return one.name, one.type, msgspec.field(default_factory=one.default_factory) if factory else one.default


def join_truths(predictions: Path, truths: Path, out: Path, task: str) -> tuple[int, int]:
    """Write the rows of a request log whose truth is known, with it, in the order in which they were answered.

    Of an id that was asked, or whose truth was told, several times, the last counts. Returns how many rows there are,
    and how many of the truths are of no row. Raises UserError where a file cannot be read, or no truth has a row.
    """
    exchange = exchange_of(task)
    rows: Iterator[Any] = read(truths, exchange.truth)
    told = {truth.id: truth for truth in rows}
    found: dict[str, Any] = {}
    for row in read(predictions, exchange.prediction):
        if row.id in told:
            found.pop(row.id, None)
            found[row.id] = exchange.with_truth(row, told[row.id])
    if not found:
        what, remedy = "none of these truths is of a row of the log", "give the predictions.jsonl that lies beside them"
        raise UserError(what, where=str(truths), remedy=remedy)
    write_all(out, found.values())
    return len(found), len(told) - len(found)

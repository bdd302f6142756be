"""What routes answer besides predictions, as Structs: their description is made of these."""

from collections.abc import Sequence
from typing import Annotated, Any

import msgspec

from pipeline.serve.http.problems import Problem, ProblemBody


class Health(msgspec.Struct, frozen=True, kw_only=True):
    """Whether the server lives, and whether it has a model: "live" or "ready"."""

    status: str


class TruthAnswer(msgspec.Struct, frozen=True, kw_only=True):
    """Of which models' answers the truth is known now."""

    id: str
    models: list[str]


def batch_of(body: Any, most: int) -> type[msgspec.Struct]:
    """A request of up to ``most`` items."""
    items = Annotated[list[body], msgspec.Meta(min_length=1, max_length=most)]
    about = {"__doc__": f"Up to {most} requests at once."}
    return msgspec.defstruct("Batch", [("items", items)], namespace=about, frozen=True, forbid_unknown_fields=True)


def batch_answer_of(prediction: type[msgspec.Struct]) -> type[msgspec.Struct]:
    """The answer to a batch: for each item a prediction, or the problem that it had."""
    item = msgspec.defstruct(
        "BatchItem",
        [("prediction", prediction | None, None), ("problem", ProblemBody | None, None)],
        namespace={"__doc__": "A prediction, or the problem that this item alone had."},
    )
    about = {"__doc__": "An answer for each item, in order."}
    return msgspec.defstruct("BatchAnswer", [("items", list[item])], namespace=about)  # type: ignore[valid-type]


def encode_items(results: Sequence[bytes | Problem]) -> bytes:
    """The answer to a batch, of rows that are encoded already."""
    parts = [
        b'{"problem":%b}' % result.encoded() if isinstance(result, Problem) else b'{"prediction":%b}' % result.rstrip()
        for result in results
    ]
    return b'{"items":[%b]}' % b",".join(parts)

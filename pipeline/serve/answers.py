"""What routes answer besides predictions, as Structs: their description is made of these."""

from collections.abc import Mapping, Sequence
from typing import Annotated, Any

import msgspec

from pipeline.contract.serving import ModelIdentity
from pipeline.serve.exchange import Exchange
from pipeline.serve.http.problems import Problem, ProblemBody


class Health(msgspec.Struct, frozen=True, kw_only=True):
    """Whether the server lives, and whether it has a model: "live" or "ready"."""

    status: str


class ModelAnswer(msgspec.Struct, frozen=True, kw_only=True):
    """A model: ``model`` is what its rows say; the hashes are those of its inference_v1 file.

    ``trained`` is what the file says of its training, ``input`` and ``output`` what goes into the network and out.
    """

    task: str
    version: str
    model: str
    weights_hash: str
    brain_spec_hash: str
    created_at: str
    network: Mapping[str, Any]
    trained: Mapping[str, Any]
    input: Any = None
    output: Any = None
    request: str
    answer: str


class TruthAnswer(msgspec.Struct, frozen=True, kw_only=True):
    """Of which models' answers the truth is known now."""

    id: str
    models: list[str]


def describe_model(identity: ModelIdentity, exchange: Exchange) -> ModelAnswer:
    """What a model is, from its file."""
    about = dict(identity.metadata)
    return ModelAnswer(
        task=identity.task,
        version=identity.version,
        model=identity.model,
        weights_hash=identity.weights_hash,
        brain_spec_hash=identity.brain_spec_hash,
        created_at=identity.created_at,
        network=identity.brain_spec,
        input=about.pop("input", None),
        output=about.pop("output", None),
        trained=about,
        request=f"/openapi.json#/components/schemas/{exchange.body.__name__}",
        answer=f"/openapi.json#/components/schemas/{exchange.prediction.__name__}",
    )


def batch_of(body: Any, most: int) -> type[msgspec.Struct]:
    """A request of up to ``most`` items."""
    items = Annotated[list[body], msgspec.Meta(min_length=1, max_length=most)]
    about = {"__doc__": f"Up to {most} requests at once."}
    return msgspec.defstruct("Batch", [("items", items)], namespace=about, frozen=True, forbid_unknown_fields=True)


def item_of(prediction: type[msgspec.Struct]) -> type[msgspec.Struct]:
    """The answer to a batch: for each item a prediction, or the problem that it had."""
    item = msgspec.defstruct(
        "BatchItem",
        [("prediction", prediction | None, None), ("problem", ProblemBody | None, None)],
        namespace={"__doc__": "A prediction, or the problem that this item alone had."},
        frozen=True,
    )
    about = {"__doc__": "An answer for each item, in order."}
    return msgspec.defstruct("BatchAnswer", [("items", list[item])], namespace=about, frozen=True)  # type: ignore[valid-type]


def encode_items(results: Sequence[bytes | Problem]) -> bytes:
    """The answer to a batch, of rows that are encoded already."""
    parts = [
        b'{"problem":%b}' % result.encoded() if isinstance(result, Problem) else b'{"prediction":%b}' % result.rstrip()
        for result in results
    ]
    return b'{"items":[%b]}' % b",".join(parts)

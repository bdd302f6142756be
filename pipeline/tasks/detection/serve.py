"""Detection behind HTTP: an image, in the request or below the image root, to the objects that the model sees in it."""

import hashlib
import io
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any, cast

from msgspec import Meta, Struct

from pipeline.contract.jobs import InferJob, Source
from pipeline.contract.serving import AnswerAll, Gauge, Opening, ServePart
from pipeline.errors import UserError
from pipeline.tasks.detection.images import FORMATS, ImageError, ImageFolder, opened
from pipeline.tasks.detection.infer.predict import predict
from pipeline.tasks.detection.recipe import Infer
from pipeline.tasks.detection.rows import DetectionExample, DetectionPrediction, Side

SENT = "sha256:"  # before the hash that a sent image is called by in its row
_ONE_WAY = "send its file as base64 in `image`, or name one below the server's --image-root in `images`"


class DetectionRequest(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One image: the file as base64 in ``image``, or one path in ``images``, below the folder that the server was given
    (then with ``width`` and ``height``, as examples have them). Without ``image_id`` the id is that, too."""

    id: Annotated[str, Meta(min_length=1, max_length=256)] | None = None
    image: bytes | None = None
    images: Annotated[list[str], Meta(max_length=1)] = []
    width: Side | None = None
    height: Side | None = None
    image_id: str | int | None = None
    metadata: dict[str, Any] | None = None


class SentExample(DetectionExample, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """An example with the bytes of its image's file; None where it lies in a folder."""

    image: bytes | None = None


def to_example(request: DetectionRequest, id: str) -> SentExample:
    """Raises UserError where there is not exactly one image, or it has no size that can be told."""
    if (request.image is None) == (not request.images):
        raise UserError("a request has one image", where="image, images", remedy=_ONE_WAY)
    size, names = (request.width, request.height), request.images
    if request.image is not None:
        found = _size(request.image)
        size = (size[0] or found[0], size[1] or found[1])
        names = [SENT + hashlib.sha256(request.image).hexdigest()]
    elif names[0].startswith(SENT):
        raise UserError(f"no path begins with {SENT!r}", where="images", remedy=_ONE_WAY)
    if size[0] is None or size[1] is None:
        raise UserError("an image that is named needs its width and height", where="width, height", remedy=_ONE_WAY)
    return SentExample(
        id=id,
        images=names,
        width=size[0],
        height=size[1],
        objects=[],
        image_id=id if request.image_id is None else request.image_id,
        metadata=request.metadata,
        image=request.image,
    )


def _size(data: bytes) -> tuple[int, int]:
    try:
        with opened(io.BytesIO(data)) as image:  # what is wrong with the image its row tells
            return image.size
    except Exception as error:  # decoders raise what they like on bytes that are no image
        raise UserError("this is no image of a known format", where="image", remedy=", ".join(FORMATS)) from error


class _Images(ImageFolder):
    """The images that came with requests, by name, and those below the root, where there is one."""

    def __init__(self, root: Path | None, limits: Infer, sent: Mapping[str, bytes]) -> None:
        if root is not None:
            super().__init__(root, limits)
        self.limits, self._sent, self._has_root = limits, sent, root is not None

    def _bytes(self, name: str) -> bytes:
        data = self._sent.get(name)
        if data is None and not self._has_root:
            raise ImageError("image_missing", f"{name!r} is not there: the server was given no --image-root")
        if data is not None and len(data) > self.limits.max_image_bytes:
            raise ImageError("image_too_large", f"the image has more than {self.limits.max_image_bytes} bytes")
        return super()._bytes(name) if data is None else data


def open_model(opening: Opening) -> AnswerAll:
    """As infer answers, from images that came with the requests, too. Raises UserError for other backends."""
    options = cast(Infer, opening.options)
    if options.backend != "own":
        what = f"backend {options.backend} answers to infer; a server answers from an inference_v1 file"
        raise UserError(what, where="infer.backend", remedy="--set infer.backend=own")
    model = opening.load()

    def answer(examples: Sequence[SentExample]) -> list[DetectionPrediction]:
        sent = {one.images[0]: one.image for one in examples if one.image is not None}
        job = InferJob(
            model=model,
            examples=examples,
            first_index=0,
            options=options,
            device=opening.device,
            report=lambda done, total, facts: None,
            source=Source(model_file=opening.identity.path),
        )
        return list(predict(job, _Images(opening.image_root, options, sent)))

    return answer


PART = ServePart(
    truth={"objects": "gt", "coord_mode": "gt_coord_mode"},
    body=DetectionRequest,
    to_example=to_example,
    open=open_model,
    gauges=(
        Gauge("model_average_precision", "average_precision", "pooled", "Average precision of boxes (COCO)."),
        Gauge("model_f1", "f1_50", "pooled", "F1 at an IoU of .5."),
    ),
)

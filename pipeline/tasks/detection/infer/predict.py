"""Images to rows: a backend writes the texts, the parser reads them, and every record gets exactly one row.

What goes wrong with one record - its image, its answer, the text in it - stands in its own row, and the run goes on. No
torch here: only the backends that need it load it.
"""

import math
from collections.abc import Iterator, Mapping, Sequence
from itertools import islice
from typing import TYPE_CHECKING, Any, cast

from msgspec import structs

from pipeline.contract.jobs import InferJob
from pipeline.contract.parts import InferPart
from pipeline.tasks.detection.answers import Answer, Failure, Outcome, Request, record_seed
from pipeline.tasks.detection.images import ImageError, ImageFolder
from pipeline.tasks.detection.infer.backends import open_backend
from pipeline.tasks.detection.infer.remarks import remarks
from pipeline.tasks.detection.infer.sources import resolve_prompt, text_format
from pipeline.tasks.detection.read_text.formats import TextFormat
from pipeline.tasks.detection.read_text.parse import parse
from pipeline.tasks.detection.recipe import Infer
from pipeline.tasks.detection.rows import DetectionExample, DetectionPrediction
from schemas.brain import BrainSpec

if TYPE_CHECKING:
    import torch

    from pipeline.tasks.detection.model.model import DetectionModel


def wrap(
    module: "torch.nn.Module", brain: BrainSpec, metadata: Mapping[str, Any], weights_hash: str
) -> "DetectionModel":
    """The model behind ``load_model(path)``."""
    from pipeline.tasks.detection.model.model import DetectionModel  # here: it loads torch, and a replay needs none

    return DetectionModel(module, brain, metadata, weights_hash)


def predict(job: InferJob, images: ImageFolder | None = None) -> Iterator[DetectionPrediction]:
    """One row for each of ``job.examples[job.first_index:]``, in their order; ``images`` instead of the source's.

    Batches begin at multiples of the batch size, wherever a run begins: what is resumed is answered in the same company
    as in a run that nothing disturbed, and so in the same last bits. The answers before ``first_index`` are dropped.
    """
    options, backend, written = cast(Infer, job.options), open_backend(job), text_format(job.source)
    start = job.first_index - job.first_index % backend.batch_size
    prompt = resolve_prompt(options.backend, options.prompt, written)
    if backend.needs_images and images is None:
        assert job.source.image_root is not None, "a source whose backend looks at images says where they are"
        images = ImageFolder(job.source.image_root, options)
    outcomes = backend.answers(_requests(job.examples[start:], prompt, options.seed, images))
    num_errors = 0
    for index, outcome in islice(enumerate(outcomes, start=start), job.first_index - start, None):
        example = job.examples[index]
        row = _row(example, index, outcome, backend.model_of(example.id), written)
        yield row
        num_errors += row.error is not None
        job.report(index + 1, len(job.examples), {"errors": num_errors} if num_errors else {})


def _requests(
    examples: Sequence[DetectionExample], prompt: str, decoding_seed: int, images: ImageFolder | None
) -> Iterator[Request | Failure]:
    for example in examples:
        seed = record_seed(decoding_seed, example.id)
        if not example.images:
            yield Failure("no_image", "the record names no image")
        elif len(example.images) > 1:
            yield Failure("multi_image_not_supported", f"the record names {len(example.images)} images")
        elif images is None:
            yield Request(example.id, None, prompt, seed)
        else:
            try:
                picture = images.read(example.images[0], example.width, example.height)
            except ImageError as error:
                yield Failure(error.code, error.detail)
            else:
                yield Request(example.id, picture.image, prompt, seed, picture.file, picture.media_type)


def _row(
    example: DetectionExample, index: int, outcome: Outcome, model: str, written: TextFormat
) -> DetectionPrediction:
    facts: dict[str, Any] = {
        "id": example.id,
        "model": model,
        "image_id": index if example.image_id is None else example.image_id,
        "images": example.images,
        "width": example.width,
        "height": example.height,
        "gt": example.objects,
        "gt_coord_mode": example.coord_mode,
        "metadata": example.metadata,
    }
    if isinstance(outcome, Failure):
        facts |= {"error": outcome.code, "error_detail": outcome.detail}
        return DetectionPrediction(**facts, raw_output="", status="not_run", preds=[])
    return DetectionPrediction(**facts, **_answered(outcome, written, (example.width, example.height)))


def _answered(answer: Answer, written: TextFormat, size: tuple[int, int]) -> dict[str, Any]:
    parsed = parse(answer.text, cut=answer.cut, written=written, size=size)
    is_finite = answer.tokens is not None and all(map(math.isfinite, answer.tokens.logprobs))
    return structs.asdict(parsed) | {"cut": answer.cut, "tokens": answer.tokens if is_finite else None}


PART = InferPart(predict=predict, wrap=wrap, remarks=remarks)

"""What a model is asked and what comes back: a request, an answer or a failure, and the order that holds them together.

All backends of infer share this. No torch.
"""

import hashlib
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Protocol

from PIL import Image

from pipeline.errors import UserError
from pipeline.tasks.detection.recipe import Infer
from pipeline.tasks.detection.rows import TokenLogprobs

# Why a record has no answer: the codes of rows whose status is "not_run". docs/detection.md says what each means.
FAILURES = (
    "no_image", "multi_image_not_supported", "image_outside_root", "image_missing", "image_too_large",
    "image_unreadable", "image_truncated", "image_size_differs", "image_range_unknown", "no_text", "out_of_memory",
    "model_failed", "model_not_finite", "server_refused", "server_failed", "server_timeout", "server_broke_off",
    "server_malformed",
)  # fmt: skip
DETAIL_LENGTH = 300  # characters of an error's own words that a row keeps
_LOGPROB_DIGITS = 4


@dataclass(frozen=True)
class Request:
    """One record as a model sees it.

    ``image`` is RGB, its pixels as stored: nothing is turned or resized yet. ``file`` are the bytes it was read from,
    ``media_type`` says what they are ("image/png"). ``image`` is None for backends that need none. ``seed`` (64 bit)
    starts the record's own random stream: it depends on the decoding seed and the record's id, on nothing else.
    """

    id: str
    image: Image.Image | None
    prompt: str
    seed: int
    file: bytes = b""
    media_type: str = ""


@dataclass(frozen=True)
class Answer:
    """What a model wrote, verbatim but for the end-of-sequence token; ``cut`` where it reached ``max_new_tokens``."""

    text: str
    cut: bool = False
    tokens: TokenLogprobs | None = None


def token_logprobs(ends: list[int], logprobs: Iterable[float]) -> TokenLogprobs:
    """Log probabilities as a row keeps them."""
    return TokenLogprobs(ends=ends, logprobs=[round(value, _LOGPROB_DIGITS) for value in logprobs])


@dataclass(frozen=True)
class Failure:
    """Why a record has no answer: a code (docs/detection.md lists them) and a sentence."""

    code: str
    detail: str


Outcome = Answer | Failure


class TextModel(Protocol):
    """A model that answers a batch: one outcome a request, in order.

    What it writes for a request must not depend on the others of the batch. When it raises anything but UserError, such
    as for want of memory, it is asked again with half of the batch.
    """

    def answer(self, requests: Sequence[Request], options: Infer) -> Sequence[Outcome]: ...


class Backend(Protocol):
    """Where the answers of a run come from.

    ``model_of`` says what a row's ``model`` is: 16 hexadecimal digits. ``answers`` gives one outcome for each request,
    in order, and passes a Failure that stands in a request's place through. It asks for requests only as far ahead as
    it works on. Where ``needs_images`` is false, requests come without. Answers may depend, in their last bits, on the
    ``batch_size`` places that are answered together; 1 where each is answered by itself.
    """

    needs_images: bool
    batch_size: int

    def model_of(self, record_id: str) -> str: ...

    def answers(self, requests: Iterable[Request | Failure]) -> Iterator[Outcome]: ...


def record_seed(seed: int, record_id: str) -> int:
    """The seed (64 bit) of a record's own random stream: a hash of the decoding seed and the record's id."""
    return int.from_bytes(hashlib.sha256(f"{seed}/{record_id}".encode()).digest()[:8], "little")


def in_batches(
    requests: Iterable[Request | Failure], batch_size: int, answer: Callable[[Sequence[Request]], Sequence[Outcome]]
) -> Iterator[Outcome]:
    """The outcomes of ``answer`` over batches of ``batch_size`` places, those of failures in them left out.

    A batch that fails is halved, until one record is left; that one gets the failure.
    """
    places = iter(requests)
    while batch := list(islice(places, batch_size)):
        wanted = [place for place in batch if isinstance(place, Request)]
        found = iter(_halving(wanted, answer)) if wanted else iter(())
        for place in batch:
            yield place if isinstance(place, Failure) else next(found)


def _halving(requests: Sequence[Request], answer: Callable[[Sequence[Request]], Sequence[Outcome]]) -> list[Outcome]:
    try:
        outcomes = list(answer(requests))
    except UserError:  # of the whole run, not of a record
        raise
    except Exception as error:
        if len(requests) == 1:
            return [_failure(error)]
    else:
        assert len(outcomes) == len(requests), f"{len(outcomes)} answers to {len(requests)} requests"
        return outcomes
    middle = len(requests) // 2  # outside of the handler: its error holds the memory of the batch that failed
    return _halving(requests[:middle], answer) + _halving(requests[middle:], answer)


def _failure(error: Exception) -> Failure:
    if isinstance(error, MemoryError) or "out of memory" in str(error) or "can't allocate memory" in str(error):
        return Failure("out_of_memory", "the record alone does not fit into memory")
    return Failure("model_failed", f"{type(error).__name__}: {error}"[:DETAIL_LENGTH])


class TextBackend:
    """Batches of requests through one model. ``model_id`` are the first digits of a hash of all that it is."""

    needs_images = True

    def __init__(self, model: TextModel, model_id: str, options: Infer) -> None:
        self._model, self._model_id, self._options = model, model_id, options
        self.batch_size = options.batch_size

    def model_of(self, record_id: str) -> str:
        """The same for all records."""
        return self._model_id

    def answers(self, requests: Iterable[Request | Failure]) -> Iterator[Outcome]:
        """One outcome a request, in order."""
        return in_batches(requests, self.batch_size, lambda batch: self._model.answer(batch, self._options))

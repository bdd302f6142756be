"""Texts that were written before: no model, no images. A predictions.jsonl gives the rows again that it holds."""

from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

from pipeline.contract.jobs import InferJob
from pipeline.errors import UserError
from pipeline.files import read_all
from pipeline.tasks.detection.answers import Answer, Failure, Outcome, Request
from pipeline.tasks.detection.rows import ReplayText


class ReplayBackend:
    """Texts by record id. ``file_id`` stands as the model of texts that do not say which model wrote them."""

    needs_images, batch_size = False, 1

    def __init__(self, texts: Sequence[ReplayText], file_id: str, where: str) -> None:
        self._file_id, self._where = file_id, where
        self._texts: dict[str, ReplayText] = {}
        for number, text in enumerate(texts, start=1):
            name = str(text.id)
            if name in self._texts:
                remedy = "keep one text a record, or replay the others from a file of their own"
                raise UserError(f"there are two texts for record {name!r}", where=f"{where}:{number}", remedy=remedy)
            self._texts[name] = text

    def model_of(self, record_id: str) -> str:
        """The model that the text names; else the first digits of the replay file's hash."""
        text = self._texts.get(record_id)
        return text.model if text is not None and text.model is not None else self._file_id

    def check(self, record_ids: Iterable[str]) -> int:
        """How many texts are for none of these records. Raises UserError when all of them are."""
        wanted = set(record_ids)
        num_unused = len(self._texts.keys() - wanted)
        if num_unused == len(self._texts):
            raise UserError(
                "none of the texts is for a record of the input: their ids differ",
                where=self._where,
                remedy=f"ids there: {_some(self._texts)}; ids of the input: {_some(wanted)}",
            )
        return num_unused

    def answers(self, requests: Iterable[Request | Failure]) -> Iterator[Outcome]:
        """One outcome a request, in order."""
        for request in requests:
            yield request if isinstance(request, Failure) else _outcome(self._texts.get(request.id))


def _outcome(text: ReplayText | None) -> Outcome:
    if text is None:
        return Failure("no_text", "the replay file has no text for this record")
    if text.status == "not_run":
        return Failure(text.error or "no_text", text.error_detail or "")
    return Answer(text.raw_output, text.cut, text.tokens)


def _some(ids: Iterable[str]) -> str:
    return ", ".join(repr(name) for name in sorted(ids)[:3])


def open_backend(job: InferJob) -> ReplayBackend:
    """The texts of the file that the run was given. Raises UserError when they do not fit the input."""
    path = Path(job.source.files["replay"])
    backend = ReplayBackend(read_all(path, ReplayText), job.inputs["replay"].sha256[:16], str(path))
    job.note("num_texts_unused", backend.check(example.id for example in job.examples))
    return backend

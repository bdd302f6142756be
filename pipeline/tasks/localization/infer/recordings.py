"""Records that come as IQ: measured first, by the one function for it, and then answered like any other. No torch."""

from collections.abc import Callable, Sequence
from pathlib import Path

from pipeline.errors import UserError
from pipeline.tasks.localization.infer.answer import row
from pipeline.tasks.localization.rows import Example, Prediction
from pipeline.tasks.localization.signal.recording import with_measurements


def answer_measured(
    records: Sequence[Example], root: Path, model: str, answer: Callable[[Sequence[Example]], Sequence[Prediction]]
) -> list[Prediction]:
    """What ``answer`` says of ``records``, whose recordings lie in ``root``; one row each, in their order.

    A recording that cannot be read, or in which nobody heard anything, is a row with an error.
    """
    ready: list[Example] = []
    failed: dict[int, Prediction] = {}
    for place, record in enumerate(records):
        try:
            ready.append(with_measurements(record, root))
            if not ready[-1].measurements:
                raise UserError("no receiver heard anything in the recording")
        except UserError as error:
            del ready[place - len(failed) :]
            failed[place] = row(record, model, error=f"bad_recording: {error.what}")
    answers = iter(answer(ready))
    return [failed[place] if place in failed else next(answers) for place in range(len(records))]

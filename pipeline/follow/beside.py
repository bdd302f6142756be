"""Another run over the same records, to be played beside the one that is watched."""

import queue
import threading
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pipeline.contract.parts import SecondOpinion
from pipeline.errors import UserError
from pipeline.follow.feed import holds_predictions, open_recording
from pipeline.follow.index import Entry
from pipeline.records.inputs import label_inputs
from pipeline.records.measured import Task


def open_against(first: Path, other: str, task: str) -> "tuple[Against, str]":
    """The other run, "FILE" or "LABEL=FILE", and what the first one is called beside it. Raises UserError."""
    if not holds_predictions(first):
        what = "--against needs predictions on both sides: the episodes of a training are not those of another one"
        raise UserError(what, where=str(first), remedy="give a predictions.jsonl as --input")
    (label, _), (name, path) = label_inputs([str(first), other]).items()
    return Against(path, task, name), label


class Against:
    """The records of a finished predictions file that can be played, by id.

    Raises UserError when the file is not there, holds no predictions or none that can be played.
    """

    def __init__(self, path: Path, task: str, label: str) -> None:
        if not holds_predictions(path):
            what = "there is no such file" if not path.exists() else "this file does not hold predictions"
            raise UserError(
                what, where=str(path), remedy="two runs are played side by side from their predictions.jsonl"
            )
        opened = open_recording(path, task)
        self.label = label
        self._feed, self._part, self._unfold = opened.feed, opened.part, opened.unfold
        self._task = Task(task, None)
        self._entries = self._read()
        if not self._entries:
            raise UserError(
                "no record of this file can be played", where=str(path), remedy=f"all are {opened.unplayed}"
            )

    def __contains__(self, id: str) -> bool:
        return id in self._entries

    def summary(self, id: str) -> Any:
        """What is kept of the record with that id."""
        return self._entries[id].summary

    def num_frames(self, id: str) -> int:
        """Frames of the record with that id."""
        return self._part.num_frames(self.summary(id))

    def load(self, row: Any) -> Any:
        """What is drawn of the prediction for the record of ``row``.

        Raises UserError when it is of another record with the same id.
        """
        other = self._feed.load(self._entries[row.id])
        here, there = self._task.truths([row, other])
        if here != there:
            what = f"its record {row.id} is another one: {self._task.difference(row, other)}"
            raise UserError(what, where=str(self._feed.path))
        return self._unfold(other)

    def _read(self) -> dict[str, Entry]:
        found: dict[str, Entry] = {}
        while not (news := self._feed.poll()).is_empty:
            for arrival in news.arrivals:
                if self._part.num_frames(arrival.summary) > 0:
                    entry = Entry(len(found), arrival.summary, arrival.offset, arrival.length)
                    found[arrival.summary.id] = entry
        return found


@dataclass(frozen=True)
class Answer:
    """What the model says about an episode; null with ``error`` when it cannot say anything."""

    episode: Any
    opinion: Any | None = None
    error: str = ""


class Opinions:
    """Asks in the background; a question that was not begun gives way to the next one."""

    def __init__(self, opinion: SecondOpinion) -> None:
        self._opinion = opinion
        self._answers: queue.SimpleQueue[Answer] = queue.SimpleQueue()
        self._asked = threading.Condition()
        self._question: Any | None = None
        threading.Thread(target=self._think, name="second opinion", daemon=True).start()

    def ask(self, episode: Any) -> None:
        """Ask about an episode."""
        with self._asked:
            self._question = episode
            self._asked.notify()

    def answer(self) -> Answer | None:
        """The next answer, if one has come."""
        return None if self._answers.empty() else self._answers.get()

    def _think(self) -> None:
        while True:
            with self._asked:
                while self._question is None:
                    self._asked.wait()
                episode, self._question = self._question, None
            try:
                self._answers.put(Answer(episode, self._opinion(episode)))
            except UserError as error:
                self._answers.put(Answer(episode, error=error.what))

"""A second model's answers, worked out in a thread: a recurrent network takes a while for an episode."""

import queue
import threading
from dataclasses import dataclass
from typing import Any

from pipeline.contract.parts import SecondOpinion
from pipeline.errors import UserError


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

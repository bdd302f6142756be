"""Who runs the model: the event loop itself where that is quick, else one thread. Both take all that waits at once.

Neither waits for more: what came while the model was busy is the next batch. A quick model is not handed to a thread,
which takes longer to wake on an idle core than the model takes to answer; nor is a request that is alone handed to the
next turn of the event loop.
"""

import asyncio
import queue
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import chain
from typing import Any

from pipeline.contract.serving import Answerer
from pipeline.errors import UserError
from pipeline.serve.metrics import Metrics

QUICK_BELOW_S = 2e-3  # a call of one record; the event loop does nothing else while a batch of them is answered
_NUM_MEASURED = 8  # calls, after the first, that tell how long a model takes

Outcome = Any
"""A prediction, or the error (UserError, or of a bug) that the record alone raised."""
Answered = list[tuple["asyncio.Future[list[Outcome]]", list[Outcome]]]


@dataclass(eq=False)
class _Waiting:
    answerer: Answerer
    examples: Sequence[Any]
    future: "asyncio.Future[list[Outcome]]"


class Batching:
    """Runs models for requests. ``max_batch`` records at most go through a model at once; ``is_alone`` says whether
    one request is in flight and no other."""

    def __init__(self, metrics: Metrics, max_batch: int, is_alone: Callable[[], bool] = lambda: False) -> None:
        self._metrics, self._max_batch, self._is_alone = metrics, max_batch, is_alone
        self._times: dict[str, list[float]] = {}  # seconds a record of the first calls, by model
        self._queue: queue.SimpleQueue[_Waiting | None] = queue.SimpleQueue()
        self._ready: list[_Waiting] = []  # for a quick model, in this turn of the event loop
        self._thread = threading.Thread(target=self._run, name="model", daemon=True)
        self._thread.start()

    async def answer(self, answerer: Answerer, examples: Sequence[Any], timeout_s: float) -> list[Outcome]:
        """An outcome an example. Raises TimeoutError when that takes longer; what has not begun by then never will."""
        is_quick = len(examples) == 1 and self._is_quick(answerer)
        if is_quick and self._is_alone():
            return self._outcomes(answerer, examples)
        loop = asyncio.get_running_loop()
        waiting = _Waiting(answerer, examples, loop.create_future())
        if is_quick:
            if not self._ready:
                loop.call_soon(self._answer_ready)
            self._ready.append(waiting)
            return await waiting.future
        self._queue.put(waiting)
        return await asyncio.wait_for(waiting.future, timeout_s)

    def close(self) -> None:
        """Answer what waits, then end the thread."""
        self._queue.put(None)
        self._thread.join()

    def _outcomes(self, answerer: Answerer, examples: Sequence[Any]) -> list[Outcome]:
        """All at once; where that fails, each alone, so that a record that fails fails alone."""
        started = time.perf_counter()
        try:
            outcomes = list(answerer.answer(examples))
        except Exception as error:
            if len(examples) == 1:
                return [error if isinstance(error, UserError) else _bug(error)]
            return [outcome for example in examples for outcome in self._outcomes(answerer, [example])]
        seconds = time.perf_counter() - started
        self._metrics.model_time.observe(seconds * 1000)
        self._metrics.answers.inc(len(examples))
        if len(examples) == 1 and not self._is_measured(answerer):
            self._times.setdefault(answerer.identity.weights_hash, []).append(seconds)
        return outcomes

    def _is_measured(self, answerer: Answerer) -> bool:
        return len(self._times.get(answerer.identity.weights_hash, ())) > _NUM_MEASURED

    def _is_quick(self, answerer: Answerer) -> bool:
        """The least of a few calls decides: others measure what else the machine did."""
        return self._is_measured(answerer) and min(self._times[answerer.identity.weights_hash]) < QUICK_BELOW_S

    def _answer_ready(self) -> None:
        now, self._ready = self._ready[: self._max_batch], self._ready[self._max_batch :]
        if self._ready:
            asyncio.get_running_loop().call_soon(self._answer_ready)
        for done in self._answered(now):
            _tell(done)

    def _run(self) -> None:
        while (first := self._queue.get()) is not None:
            waiting = [first]
            is_last = False
            is_measured = self._is_measured(first.answerer) or len(first.examples) > 1
            most = self._max_batch if is_measured else 1  # alone at first: else a busy server never measures it
            while not is_last and sum(len(one.examples) for one in waiting) < most:
                try:
                    more = self._queue.get_nowait()
                except queue.Empty:
                    break
                is_last = more is None
                waiting += [] if more is None else [more]
            for done in self._answered([one for one in waiting if not one.future.cancelled()]):
                done[0][0].get_loop().call_soon_threadsafe(_tell, done)
            if is_last:
                return

    def _answered(self, waiting: Sequence[_Waiting]) -> Iterator[Answered]:
        for answerer in dict.fromkeys(one.answerer for one in waiting):
            asked = [one for one in waiting if one.answerer is answerer]
            examples = [example for one in asked for example in one.examples]
            starts = range(0, len(examples), self._max_batch)  # requests of several records may come to more together
            calls = (self._outcomes(answerer, examples[start : start + self._max_batch]) for start in starts)
            outcomes = chain.from_iterable(calls)
            yield [(one.future, [next(outcomes) for _ in one.examples]) for one in asked]


def _tell(done: Answered) -> None:
    for future, outcomes in done:
        if not future.done():
            future.set_result(outcomes)


def _bug(error: Exception) -> Exception:
    import traceback  # here: nothing else needs it

    traceback.print_exception(error)  # for who runs the server; who asks is told that it failed
    return error

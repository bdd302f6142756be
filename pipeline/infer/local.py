"""A pool of processes on this machine. One that dies costs the shards that were out, which are given out again."""

import multiprocessing
import sys
from collections.abc import Iterator
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from typing import Any

from pipeline.infer.shards import Pool, Predicted, Shard, ShardJob, predict_shard
from pipeline.processors import end_with_parent


class LocalPool(Pool):
    """``num_workers`` processes, each predicting a shard at a time."""

    def __init__(self, job: ShardJob, num_workers: int) -> None:
        super().__init__(num_workers)
        self.job = job
        self._out: dict[Future[Predicted], Shard] = {}
        self._executor = self._start()

    def submit(self, shard: Shard) -> None:
        try:
            self._out[self._executor.submit(predict_shard, self.job, shard)] = shard
        except BrokenProcessPool:
            self._recover(shard)

    def next_done(self) -> tuple[Shard, Predicted]:
        while True:
            done = next(iter(wait(self._out, return_when=FIRST_COMPLETED).done))
            shard = self._out.pop(done)
            try:
                return shard, done.result()
            except BrokenProcessPool:
                self._recover(shard)

    def close(self) -> None:
        """End all workers, at once."""
        for process in list((self._executor._processes or {}).values()):
            process.terminate()
        self._executor.shutdown(wait=True, cancel_futures=True)

    def _recover(self, shard: Shard) -> None:
        """A process died, and the pool of the standard library with it: start a new one, and give out all again."""
        lost = [shard, *(self._out[future] for future in self._out if not _has_result(future))]
        kept = {future: one for future, one in self._out.items() if _has_result(future)}
        self.count_loss(lost)
        self._executor.shutdown(wait=True, cancel_futures=True)
        self._executor, self._out = self._start(), kept
        for one in lost:
            self.submit(one)

    def _start(self) -> ProcessPoolExecutor:
        context: Any = multiprocessing.get_context("forkserver" if sys.platform == "linux" else "spawn")
        if sys.platform == "linux":
            context.set_forkserver_preload([f"pipeline.tasks.{self.job.task}.infer.predict", "pipeline.model.file"])
        return ProcessPoolExecutor(self.num_workers, mp_context=context, initializer=end_with_parent)


@contextmanager
def pool(job: ShardJob, num_workers: int) -> Iterator[LocalPool]:
    """A pool that ends with the block."""
    workers = LocalPool(job, num_workers)
    try:
        yield workers
    finally:
        workers.close()


def _has_result(future: "Future[Predicted]") -> bool:
    return future.done() and not future.cancelled() and future.exception() is None

"""A Ray cluster (https://www.ray.io): shards on many machines, and workers of sweeps.

Ray runs the functions and tells which worker was lost; shards, their order and their bytes are those of
`pipeline.infer.shards`. Nodes read model, examples and images by the same paths as this machine: a shared folder.
Shards come back through Ray, so that no node but this one writes into the run folder.
"""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from pipeline.infer.shards import Pool, Predicted, Shard, ShardJob, predict_shard

LOOK_EVERY_S, TELL_EVERY_S = 1.0, 5.0


class RayPool(Pool):
    """``num_workers`` shards at a time, each on one CPU (and one GPU, for a model on one) of the cluster."""

    def __init__(self, ray: Any, job: ShardJob, num_workers: int) -> None:
        super().__init__(num_workers)
        self.ray = ray
        num_gpus = 1 if job.device.startswith("cuda") else 0
        # Ray would try a lost task again by itself, and not say so: here losses are counted.
        self._predict = ray.remote(num_cpus=1, num_gpus=num_gpus, max_retries=0)(predict_shard)
        self._job = ray.put(job)
        self._out: dict[Any, Shard] = {}

    def submit(self, shard: Shard) -> None:
        self._out[self._predict.remote(self._job, shard)] = shard

    def next_done(self) -> tuple[Shard, Predicted]:
        lost = self.ray.exceptions
        while True:
            done, _ = self.ray.wait(list(self._out), num_returns=1, timeout=LOOK_EVERY_S)
            for reference in done:
                shard = self._out.pop(reference)
                try:
                    return shard, self.ray.get(reference)
                except lost.RayTaskError as error:
                    raise error.cause from error
                except (lost.WorkerCrashedError, lost.NodeDiedError, lost.ObjectLostError, lost.OutOfMemoryError):
                    self.count_loss([shard])
                    self.submit(shard)


@contextmanager
def pool(job: ShardJob, num_workers: int) -> Iterator[RayPool]:
    """A pool on the cluster that RAY_ADDRESS names, or on one that is started here for the length of the block."""
    with connected(num_workers) as ray:
        yield RayPool(ray, job, num_workers)


@contextmanager
def connected(num_workers: int) -> Iterator[Any]:
    """Ray, connected to a cluster. One that is connected already stays so."""
    import os

    import ray  # here: the extra that few installations have

    if ray.is_initialized():
        yield ray
        return
    started = {} if os.environ.get("RAY_ADDRESS") else {"num_cpus": num_workers}
    ray.init(**started, include_dashboard=None if os.environ.get("RAY_ADDRESS") else False, log_to_driver=False)
    try:
        yield ray
    finally:
        ray.shutdown()


def run_everywhere(
    function: Callable[..., Any], arguments: Sequence[Any], num_workers: int, tell: Callable[[], None]
) -> list[Any]:
    """``function(*arguments)`` in ``num_workers`` tasks on the cluster; one whose node is lost is started anew.

    Calls ``tell`` every few seconds. Raises what a task raised.
    """
    with connected(num_workers) as ray:
        task = ray.remote(num_cpus=1, max_retries=-1)(function)
        out = [task.remote(*arguments) for _ in range(num_workers)]
        waiting = out
        while waiting:
            _, waiting = ray.wait(waiting, num_returns=len(waiting), timeout=TELL_EVERY_S)
            tell()
        try:
            found: list[Any] = ray.get(out)
        except ray.exceptions.RayTaskError as error:
            raise error.cause from error
        return found

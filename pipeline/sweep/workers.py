"""Workers: each takes a part that nobody has, runs its stages, publishes its result, and takes the next.

Any number of them may work in one folder, in threads of one process, in several processes, on several machines; they
know of each other through claims and results alone. A worker that finds nothing to take, while others are at work,
waits: their parts may fall free, and what they make may be what its own next part needs.
"""

import os
import socket
import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from pipeline.sweep.claims import DEFAULT_LEASE_S, Claim, Claims, Heartbeat, this_process
from pipeline.sweep.judge import Judge
from pipeline.sweep.ledger import Ledger, State, row_of
from pipeline.sweep.plan import METRICS, PREDICTIONS, Argument, Part, Plan, Step
from pipeline.sweep.stage import RunStage, error_of, run_stage, wait_until_free
from pipeline.sweep.table import main_metrics
from pipeline.train.steps import training_step
from schemas.sweep import Cell, Event

IDLE_S = 0.5  # between two looks for something to do
CLAIMS = "claims"


@dataclass(frozen=True)
class Work:
    """A sweep that workers work on.

    ``retries`` are the parts whose failure, at that attempt, is tried again. ``stop_beaten``: a cell is stopped before
    its end, once it is beaten.
    """

    plan: Plan
    folder: Path
    lease_s: float = DEFAULT_LEASE_S
    retries: Mapping[str, int] = field(default_factory=dict)
    run_stage: RunStage = run_stage
    stop_beaten: bool = False
    report: Callable[[State], None] = lambda state: None


def failures_so_far(plan: Plan, folder: Path) -> dict[str, int]:
    """The parts that have failed, and at which attempt."""
    return {key: row.attempt for key, row in Ledger(folder).state(plan.parts).failures.items()}


class Over(Exception):
    """An attempt is over before its part is finished: the event, and other fields of its row.

    Without an event the claim went to another worker, and what was begun here is given up.
    """

    def __init__(self, event: Event | None = None, **facts: str) -> None:
        super().__init__(event)
        self.event, self.facts = event, facts


@dataclass
class Crew:
    """What the workers of one process share."""

    work: Work
    ending: threading.Event = field(default_factory=threading.Event)
    errors: list[BaseException] = field(default_factory=list)
    parked: set[str] = field(default_factory=set)

    def __post_init__(self) -> None:
        work = self.work
        self.ledger = Ledger(work.folder)
        self.ledger.complete(work.plan.parts)
        self.heartbeat = Heartbeat(work.lease_s)
        self.judge = Judge(work.plan, work.folder) if work.stop_beaten else None

    def run(self, num_workers: int) -> State:
        """Work until nothing is left that could be done; returns the state then. Raises what a worker raised."""
        names = [f"{socket.gethostname()}-{os.getpid()}-{number}" for number in range(num_workers)]
        threads = [threading.Thread(target=self._guarded, args=(name,), name=name) for name in names]
        with self.heartbeat.running():
            try:
                for thread in threads:
                    thread.start()
                for thread in threads:
                    while thread.is_alive():
                        thread.join(0.2)  # in slices: a signal is answered between them
            finally:
                self.ending.set()
                for thread in threads:
                    thread.join()
        if self.errors:
            raise self.errors[0]
        return self.state()

    def state(self) -> State:
        """What is settled now. A failure that is to be tried again is not."""
        state = self.ledger.state(self.work.plan.parts)
        open_again = {key for key, row in state.failures.items() if self.work.retries.get(key) == row.attempt}
        return State(state.results, {key: row for key, row in state.failures.items() if key not in open_again})

    def _guarded(self, name: str) -> None:
        try:
            Worker(self, name).work()
        except BaseException as error:
            self.errors.append(error)
            self.ending.set()


class Worker:
    """One worker of a crew."""

    def __init__(self, crew: Crew, name: str) -> None:
        self.crew, self.job, self.ledger = crew, crew.work, crew.ledger
        self.claims = Claims(self.job.folder / CLAIMS, this_process(name, self.job.lease_s))

    def work(self) -> None:
        """Take part after part until none is left."""
        while not self.crew.ending.is_set():
            state = self.crew.state()
            self.job.report(state)
            open_parts = self._open(state)
            if not open_parts:
                return
            if not any(self._take_and_run(part) for part in open_parts if not self._is_parked(part, state)):
                self.crew.ending.wait(IDLE_S)

    def _is_parked(self, part: Part, state: State) -> bool:
        """Whether a cell was inferred here, and waits for earlier ones."""
        judge = self.crew.judge
        return judge is not None and part.key in self.crew.parked and not judge.is_ready(part, state)

    def _open(self, state: State) -> list[Part]:
        """What could be begun now, in the order of the grid; what others may be at work on is among it."""
        left = [cell for cell in self.job.plan.cells if not state.is_settled(cell) and not state.failed_need(cell)]
        return list({part.key: part for cell in left for part in _ready(cell, state)}.values())

    def _take_and_run(self, part: Part) -> bool:
        """Run a part, if nobody has it. False when somebody does."""
        claim = self.claims.take(part.short)
        if claim is None:
            return False
        with self.crew.heartbeat.hold(claim):
            # Whoever had the part may have ended between the look at the state and the claim.
            state = self.crew.state()
            if not state.is_settled(part):
                self._run(part, claim, state)
        return True

    def _run(self, part: Part, claim: Claim, state: State) -> None:
        attempt = _Attempt(self, part, claim, state)
        self.ledger.append(attempt.row("started"))
        try:
            row = attempt.run()
        except Over as over:
            if over.event is None:
                return
            row = attempt.row(over.event, **over.facts)
        if row.event in ("failed", "interrupted"):
            self.ledger.append(row, unless=claim.is_lost)
        elif not claim.is_lost():
            self.ledger.settle(part, row)


class _Attempt:
    """One attempt at a part."""

    def __init__(self, worker: Worker, part: Part, claim: Claim, state: State) -> None:
        self.worker, self.part, self.claim, self.state = worker, part, claim, state
        self.crew, self.job = worker.crew, worker.job
        self.told = part.folder.as_posix()
        self.folder = self._free_folder()

    def run(self) -> Cell:
        """Run all steps; the row "finished". Raises Over."""
        for step in self.part.steps:
            self._step(step)
        if self.part.kind != "cell":
            return self.row("finished")
        metrics = main_metrics(self.part.task, self.folder / METRICS)
        return self.row("finished", step=training_step(self.folder / PREDICTIONS), metrics=metrics)

    def row(self, event: Event, **more: Any) -> Cell:
        """A row about this attempt; ``more`` are other fields."""
        return row_of(self.part, self.claim, event, self.worker.claims.holder, folder=self.told, **more)

    def _step(self, step: Step) -> None:
        self._check()
        arguments = [self._resolve(argument) for argument in step.arguments]
        log = self.folder / f"{step.stage}.log"
        why: list[str] = []

        def should_end() -> bool:
            if self.crew.judge and step.stage == "infer" and not why:
                told = self.crew.judge(self.part, self.folder / PREDICTIONS, self.crew.state)
                why.extend([told] if told else [])
            return bool(why) or self._is_over()

        command = [step.stage, self.part.task, *arguments, "--out", str(self.folder / step.stage)]
        code = self.job.run_stage(command, log, should_end)
        self._check()
        if why:
            raise Over("stopped", note=why[0])
        if code != 0:
            raise Over("failed", error=f"{step.stage}: {error_of(log, code)}")
        if step.stage == "infer":
            self._look_back()

    def _look_back(self) -> None:
        """What the judge would have said while the cell was inferred, had all earlier ones been settled."""
        judge, state = self.crew.judge, self.crew.state()
        if judge is None:
            return
        if not judge.is_ready(self.part, state):
            self.crew.parked.add(self.part.key)
            raise Over("interrupted", note="inferred; waits for earlier cells")
        if told := judge.verdict(self.part, self.folder / PREDICTIONS, state):
            raise Over("stopped", note=told)

    def _is_over(self) -> bool:
        return self.claim.is_lost() or self.crew.ending.is_set()

    def _check(self) -> None:
        if self._is_over():
            raise Over(None if self.claim.is_lost() else "interrupted")

    def _resolve(self, argument: Argument) -> str:
        if isinstance(argument, str):
            return argument
        if argument.key is None:
            return str(self.folder / argument.path)
        folder = self.job.folder / self.state.results[argument.key].folder
        at = argument.step
        return str(folder / argument.path if at is None else find_checkpoint(folder / "train", at))

    def _free_folder(self) -> Path:
        """The part's folder; one of this attempt's own when a stage of an earlier attempt does not leave it.

        A stage whose worker was killed alone ends soon, and is waited for. One that is stopped, or on a machine that is
        out of reach, may go on at any time: its folder is left to it.
        """
        folder = self.job.folder / self.told
        for step in self.part.steps:
            if not wait_until_free(folder / step.stage, self.job.lease_s, self._is_over):
                self.told = f"{self.told}-{self.claim.attempt}"
                return self.job.folder / self.told
        return folder


def find_checkpoint(folder: Path, step: int) -> Path:
    """The checkpoint that a training kept at ``step``. Raises Over, with the steps there are."""
    kept = {int(path.name.split(".")[0].split("_")[1]): path for path in folder.glob("checkpoints/step_*")}
    if step not in kept:
        there = ", ".join(map(str, sorted(kept))) or "none"
        raise Over("failed", error=f"the training kept no checkpoint at step {step}; there are: {there}")
    return kept[step]


def _ready(part: Part, state: State) -> Sequence[Part]:
    """The part itself, when all it needs is there; else what can be begun of that."""
    missing = [need for need in part.needs if need.key not in state.results]
    if not missing:
        return [part]
    return [ready for need in missing for ready in _ready(need, state)]

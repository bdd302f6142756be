"""Real commands in processes that start in milliseconds, for tests that start and kill hundreds of them.

Loading torch and numba takes seconds of a core. A zygote does so once, runs a small job through every stage so that
all is loaded and compiled, and then forks for each command. The child leads a session of its own and runs what `baton`
runs with real arguments: a process like any other, which kill -9, a lock or a limit on file sizes meets as usual.

    with Zygote(folder) as zygote:
        command = zygote.start("infer", "gridworld", "--recipe", "tiny")
        if command.wait(timeout_s=0.1) is None:
            command.kill()
"""

import contextlib
import gc
import io
import json
import os
import resource
import select
import signal
import subprocess
import sys
import tempfile
import threading
import time
import traceback
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NoReturn, Self

from pipeline.tasks import load_part
from pipeline.tasks.detection.parse import prepare
from stages.__main__ import dispatch
from stages.common import THREAD_VARIABLES
from tests.conftest import ROOT, Done

WARM = ("train.num_steps=1024", "train.monitor_every=1024", "examples.num_scenarios=2", "evaluate.num_resamples=20")


@dataclass
class Command:
    """A command that runs, or ran, in a process of its own."""

    zygote: "Zygote"
    pid: int
    output: Path
    code: int | None = None

    def wait(self, timeout_s: float | None = None) -> int | None:
        """The exit code (negative: the signal that killed it); None when it still works after ``timeout_s``."""
        if self.code is None:
            self.code = self.zygote.ask(op="wait", pid=self.pid, timeout_s=timeout_s)
        return self.code

    def kill(self) -> int:
        """kill -9; returns the exit code, which is another one when the command had ended by itself."""
        if self.code is None:
            os.kill(self.pid, signal.SIGKILL)  # a child that ended is a zombie until `wait`: the pid is still its own
        return self.finish().code

    def finish(self) -> Done:
        """Wait for the end; exit code and output."""
        code = self.wait(timeout_s=300)
        assert code is not None, f"{self.pid} still works after 300 s"
        return Done(code, self.output.with_suffix(".out").read_text(), self.output.with_suffix(".err").read_text())


class Zygote:
    """The process that everything is loaded in. Outputs of its commands lie in ``folder``."""

    def __init__(self, folder: Path) -> None:
        self._folder, self._num_commands = folder, 0
        one_thread = dict.fromkeys(THREAD_VARIABLES, "1")  # before numpy and torch: a fork keeps no other thread
        self._process = subprocess.Popen(
            [sys.executable, "-m", "tests.zygote"],
            cwd=ROOT,
            env=os.environ | one_thread | {"COLUMNS": "100", "NO_COLOR": "1"},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        assert self.ask(op="ready") is True

    def start(self, *arguments: str | Path, max_file_bytes: int | None = None) -> Command:
        """``baton ARGUMENTS``; with ``max_file_bytes`` no file may grow larger, as on a disk that is full."""
        self._num_commands += 1
        output = self._folder / f"{self._num_commands:04d}"
        texts = [str(argument) for argument in arguments]
        pid = self.ask(op="start", arguments=texts, output=str(output), max_file_bytes=max_file_bytes)
        return Command(self, pid, output)

    def run(self, *arguments: str | Path, max_file_bytes: int | None = None) -> Done:
        """Start and wait."""
        return self.start(*arguments, max_file_bytes=max_file_bytes).finish()

    def ask(self, **request: Any) -> Any:
        """One request to the process, and its answer."""
        assert self._process.stdin is not None and self._process.stdout is not None
        self._process.stdin.write(json.dumps(request) + "\n")
        self._process.stdin.flush()
        answer = self._process.stdout.readline()
        assert answer, f"the zygote ended with exit code {self._process.wait()}"
        return json.loads(answer)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._process.communicate()  # closes its stdin: it kills what still runs, and ends


# What runs in the process itself


def serve() -> None:
    """Answer the requests on stdin until it closes."""
    _load_everything()
    children: set[int] = set()
    for line in sys.stdin:
        request = json.loads(line)
        answer: Any = True
        if request["op"] == "start":
            answer = _fork(request)
            children.add(answer)
        elif request["op"] == "wait":
            answer = _wait(request["pid"], request["timeout_s"])
            children -= set() if answer is None else {request["pid"]}
        print(json.dumps(answer), flush=True)
    for pid in children:
        os.kill(pid, signal.SIGKILL)


def _load_everything() -> None:
    """A small job through the stages: whatever they import or compile on their way is there for every child. And what
    infer loads for detection."""
    load_part("detection", "predict")
    prepare()
    with tempfile.TemporaryDirectory() as runs, contextlib.redirect_stdout(io.StringIO()):
        for stage in ("examples", "train", "export", "infer", "evaluate"):
            settings = [text for value in WARM for text in ("--set", value)]
            assert dispatch([stage, "gridworld", "--recipe", "tiny", "--runs-dir", runs, "--json", *settings]) == 0
    assert threading.active_count() == 1 == len(os.listdir("/proc/self/task")), "a fork would lose the other threads"
    gc.collect()
    gc.freeze()  # the children's collector leaves these objects, and so the shared memory they lie in, alone


def _fork(request: dict[str, Any]) -> int:
    """Start a child; its pid. Its output files are there however soon it is killed."""
    outputs = [os.open(request["output"] + suffix, os.O_WRONLY | os.O_CREAT, 0o666) for suffix in (".out", ".err")]
    pid = os.fork() or _become(request, outputs)
    for descriptor in outputs:
        os.close(descriptor)
    return pid


def _become(request: dict[str, Any], outputs: Sequence[int]) -> NoReturn:
    """The child: a command and nothing else."""
    code = 70
    try:
        os.setsid()
        for number, descriptor in enumerate([os.open(os.devnull, os.O_RDONLY), *outputs]):
            os.dup2(descriptor, number)
            os.close(descriptor)
        if request["max_file_bytes"] is not None:
            resource.setrlimit(resource.RLIMIT_FSIZE, (request["max_file_bytes"], resource.RLIM_INFINITY))
        code = _run(request["arguments"])
    except BaseException:
        traceback.print_exc()
    finally:
        os._exit(code)


def _run(arguments: Sequence[str]) -> int:
    sys.argv = ["baton", *arguments]
    code = dispatch(arguments)
    sys.stdout.flush()
    return code


def _wait(pid: int, timeout_s: float | None) -> int | None:
    descriptor = os.pidfd_open(pid)  # readable when the process has ended
    try:
        if timeout_s is not None and not _readable(descriptor, timeout_s):
            return None
    finally:
        os.close(descriptor)
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])


def _readable(descriptor: int, timeout_s: float) -> bool:
    poll = select.poll()
    poll.register(descriptor, select.POLLIN)
    deadline = time.monotonic() + timeout_s
    # poll counts in milliseconds; the last one is waited for in finer steps, so that a moment can lie anywhere in it
    while (left_s := deadline - time.monotonic()) > 0:
        if poll.poll(max(int(left_s * 1000) - 1, 0)):
            return True
    return bool(poll.poll(0))


if __name__ == "__main__":
    serve()

"""Real commands in processes that start in milliseconds.

Loading torch, numba and matplotlib takes seconds of a core. A zygote does so once, for all workers of a test run, and
then forks for each command. The child leads a session of its own and runs what `baton` runs with real arguments: a
process like any other, which kill -9, a lock or a limit on file sizes meets as usual. What it can not show is that a
command starts from nothing: `tests.conftest.run_baton` does.

    with Zygote(folder, WARM) as zygote:
        command = zygote.start("infer", "gridworld", "--recipe", "tiny")
        if command.wait(timeout_s=0.1) is None:
            command.kill()
"""

import fcntl
import json
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

from stages.common import THREAD_VARIABLES
from tests.conftest import PLAIN, ROOT, Done

TORCH = ("torch", "safetensors", "onnx", "onnxruntime", "onnxscript")
BATON = "import sys; from stages.__main__ import dispatch; sys.exit(dispatch(sys.argv[1:]))"


@dataclass(frozen=True)
class Preparation:
    """What a zygote loads before it forks: Python ``code``, run where importing what is ``blocked`` fails."""

    name: str
    code: str
    blocked: tuple[str, ...] = ()


# Libraries and nothing of the project, whose modules each command imports anew.
LIBRARIES = Preparation("libraries", "import numpy, numba, matplotlib.figure, typer.rich_utils, yaml, torch")
WITHOUT_TORCH = Preparation("without torch", LIBRARIES.code.removesuffix(", torch"), blocked=TORCH)
# All that the stages import or compile on their way.
WARM = Preparation("warm", "from tests.support.warm_up import load_everything; load_everything()")


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
        self.signal(signal.SIGKILL)
        return self.finish().code

    def signal(self, number: int) -> None:
        """Send a signal, unless the command has been seen to end."""
        if self.code is None:
            os.kill(self.pid, number)  # a child that ended is a zombie until `wait`: the pid is still its own

    def lines(self, count: int) -> list[str]:
        """The first ``count`` lines of its output, as soon as they are there."""
        path = self.output.with_suffix(".out")
        while True:
            ended = self.wait(timeout_s=0.01) is not None
            *whole, _ = path.read_text().split("\n")
            if len(whole) >= count:
                return whole[:count]
            assert not ended, self.finish()

    def finish(self) -> Done:
        """Wait for the end; exit code and output."""
        code = self.wait(timeout_s=300)
        assert code is not None, f"{self.pid} still works after 300 s"
        return Done(code, self.output.with_suffix(".out").read_text(), self.output.with_suffix(".err").read_text())


class Zygote:
    """A connection to the process that everything is loaded in, which the first one starts.

    ``shared`` is a folder that all who share the process know; outputs of commands lie in ``folder``.
    """

    def __init__(self, preparation: Preparation, shared: Path, folder: Path) -> None:
        self._folder, self._num_commands = folder, 0
        address = str(shared / f"{preparation.name}.socket")
        self._process: subprocess.Popen[str] | None = None
        with (shared / f"{preparation.name}.lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            try:
                self._socket = _connected(address)
            except OSError:  # nobody started it, or who did is done
                Path(address).unlink(missing_ok=True)
                self._process = _started(preparation, address)
                self._socket = _connected(address)
        self._stream = self._socket.makefile("rw")

    def start(
        self,
        *arguments: str | Path,
        max_file_bytes: int | None = None,
        code: str = BATON,
        folder: Path = ROOT,
        environment: Mapping[str, str] | None = None,
        terminal: str | None = None,
    ) -> Command:
        """``baton ARGUMENTS``, or other Python ``code``, in ``folder``; ``environment`` is added to that of the tests.

        With ``max_file_bytes`` no file may grow larger, as on a disk that is full. With ``terminal``, the path of one,
        the command is on it and its output goes there.
        """
        self._num_commands += 1
        output = self._folder / f"{self._num_commands:04d}"
        pid = self.ask(
            op="start",
            arguments=[str(argument) for argument in arguments],
            output=str(output),
            max_file_bytes=max_file_bytes,
            code=code,
            folder=str(folder),
            environment=(PLAIN if terminal is None else {}) | dict(environment or {}),
            terminal=terminal,
        )
        return Command(self, pid, output)

    def run(self, *arguments: str | Path, **how: Any) -> Done:
        """`start` and wait."""
        return self.start(*arguments, **how).finish()

    def ask(self, **request: Any) -> Any:
        """One request to the process, and its answer."""
        self._stream.write(json.dumps(request) + "\n")
        self._stream.flush()
        answer = self._stream.readline()
        assert answer, "the zygote has ended"
        return json.loads(answer)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._stream.close()
        self._socket.close()  # its server kills what still runs, and ends
        if self._process is not None:
            self._process.communicate()


def _started(preparation: Preparation, address: str) -> "subprocess.Popen[str]":
    """The process, ready to be connected to."""
    one_thread = dict.fromkeys(THREAD_VARIABLES, "1")  # before numpy and torch: a fork keeps no other thread
    process = subprocess.Popen(
        [sys.executable, "-m", "tests.support.fork_server", address, preparation.code, *preparation.blocked],
        cwd=ROOT,
        env=os.environ | one_thread,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None
    assert process.stdout.readline() == "ready\n", f"the zygote ended with exit code {process.wait()}"
    return process


def _connected(address: str) -> socket.socket:
    connection = socket.socket(socket.AF_UNIX)
    try:
        connection.connect(address)
    except OSError:
        connection.close()
        raise
    return connection

"""A process that loads libraries once and forks for each command; `tests.support.zygote` starts it and talks to it.

    python -m tests.support.fork_server SOCKET PREPARATION [BLOCKED ...]

runs the Python code PREPARATION, in a process in which importing any BLOCKED module fails, and listens. Who connects
gets a fork as a server of its own, which forks again for each command. It ends when its stdin closes and all that
connected have gone. Nothing but the standard library is imported here, so that PREPARATION alone says what is loaded.
"""

import contextlib
import gc
import json
import os
import resource
import select
import signal
import socket
import sys
import threading
import time
import traceback
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NoReturn


def main(address: str, preparation: str, *blocked: str) -> None:
    """Prepare, then answer who connects to the socket ``address``, until stdin closes."""
    sys.modules.update(dict.fromkeys(blocked))  # type: ignore[arg-type]  # None is how Python marks what must not load
    exec(preparation, {})
    assert threading.active_count() == 1 == _num_threads(), "a fork would lose the other threads"
    gc.collect()  # what is left is old: collections of young objects, all there are in a short command, leave it alone
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(address)
        listener.listen()
        print("ready", flush=True)
        while listener in select.select([listener, sys.stdin], [], [])[0]:
            connection, _ = listener.accept()
            if os.fork() == 0:
                listener.close()
                _serve(connection)
            connection.close()
    os.unlink(address)
    with contextlib.suppress(ChildProcessError):
        while True:
            os.wait()


def _num_threads() -> int:
    """Threads of this process, those of libraries too, where the system tells."""
    tasks = Path("/proc/self/task")
    return len([*tasks.iterdir()]) if tasks.exists() else 1


def _serve(connection: socket.socket) -> NoReturn:
    """Answer the requests of one who connected, until it goes; what then still runs is killed."""
    children: set[int] = set()
    with connection.makefile("rw") as stream:
        for line in stream:
            request = json.loads(line)
            answer: Any
            if request["op"] == "start":
                answer = _fork(request, connection)
                children.add(answer)
            else:
                answer = _wait(request["pid"], request["timeout_s"])
                children -= set() if answer is None else {request["pid"]}
            stream.write(json.dumps(answer) + "\n")
            stream.flush()
    for pid in children:
        os.kill(pid, signal.SIGKILL)
        os.waitpid(pid, 0)
    os._exit(0)


def _fork(request: dict[str, Any], connection: socket.socket) -> int:
    """Start a child; its pid. Its output files are there however soon it is killed; a terminal takes their place."""
    paths = [request["output"] + suffix for suffix in (".out", ".err")] if request["terminal"] is None else []
    outputs = [os.open(path, os.O_WRONLY | os.O_CREAT, 0o666) for path in paths]
    pid = os.fork()
    if pid == 0:
        os.close(connection.fileno())
        _become(request, outputs)
    for descriptor in outputs:
        os.close(descriptor)
    return pid


def _become(request: dict[str, Any], outputs: Sequence[int]) -> NoReturn:
    """The child: a command and nothing else."""
    code = 1
    try:
        os.setsid()
        stdin = os.open(request["terminal"] or os.devnull, os.O_RDWR)  # a session's first terminal is the one it is on
        for number, descriptor in enumerate([stdin, *(outputs or (stdin, stdin))]):
            os.dup2(descriptor, number)
        for descriptor in (stdin, *outputs):
            os.close(descriptor)
        if request["max_file_bytes"] is not None:
            resource.setrlimit(resource.RLIMIT_FSIZE, (request["max_file_bytes"], resource.RLIM_INFINITY))
        os.environ.update(request["environment"])
        os.chdir(request["folder"])
        sys.path.insert(0, request["folder"])
        sys.argv = ["baton", *request["arguments"]]
        code = _exit_code(request["code"])
        sys.stdout.flush()
    except BaseException:
        traceback.print_exc()
    finally:
        os._exit(code)


def _exit_code(code: str) -> int:
    """Run Python code as a program of its own; the exit code that it ends with."""
    try:
        exec(code, {"__name__": "__main__"})
    except SystemExit as end:
        return end.code if isinstance(end.code, int) else int(end.code is not None)
    return 0


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
    main(*sys.argv[1:])

"""Real terminals for tests: a pseudo-terminal with an emulator behind it (pyte), and tmux where it is installed."""

import fcntl
import os
import pty
import select
import shlex
import signal
import struct
import subprocess
import termios
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Protocol

import pyte

from tests.conftest import ROOT
from tests.support.zygote import Zygote

WAIT_S = 60.0  # generous: the machine may be busy, and what is waited for either comes or never does
_POLL_S = 0.02


class Terminal(Protocol):
    """A program in a terminal of a given size."""

    def screen(self) -> list[str]: ...
    def type(self, keys: str) -> None: ...
    def resize(self, columns: int, lines: int) -> None: ...
    def exit_code(self) -> int: ...
    def close(self) -> None: ...


def wait_for(terminal: Terminal, shown: Callable[[str], bool] | str) -> str:
    """The screen as soon as it holds the words, or satisfies the condition. Fails, showing it, when it never does."""
    deadline = time.monotonic() + WAIT_S
    while True:
        text = "\n".join(terminal.screen())
        if (shown in text) if isinstance(shown, str) else shown(text):
            return text
        if time.monotonic() > deadline:
            raise AssertionError(f"not on screen: {shown}\n{text}")
        time.sleep(_POLL_S)


class PtyTerminal:
    """`baton ARGUMENTS` in a pseudo-terminal whose output is drawn by pyte. ``raw`` keeps every byte that it wrote."""

    def __init__(
        self, zygote: Zygote, arguments: Sequence[str | Path], *, size: tuple[int, int], folder: Path = ROOT, **env: str
    ) -> None:
        columns, lines = size
        self.raw = bytearray()
        self._screen = pyte.Screen(columns, lines)
        self._stream = pyte.ByteStream(self._screen)
        self._lock = threading.Lock()
        self._master, slave = pty.openpty()
        self.resize(columns, lines)
        environment = {"TERM": "xterm-256color", "LANG": "C.UTF-8"} | env
        self._command = zygote.start(*arguments, folder=folder, environment=environment, terminal=os.ttyname(slave))
        self._slave = slave  # kept open: its settings are looked at after the program has ended
        threading.Thread(target=self._draw, name="terminal", daemon=True).start()

    def screen(self) -> list[str]:
        """The lines on screen."""
        with self._lock:
            return [line.rstrip() for line in self._screen.display]

    def colors(self) -> set[str]:
        """Colours on screen, of text and ground, besides the default."""
        with self._lock:
            cells = [cell for line in self._screen.buffer.values() for cell in line.values()]
        return {color for cell in cells for color in (cell.fg, cell.bg)} - {"default"}

    def type(self, keys: str) -> None:
        """Send keys as the keyboard would."""
        os.write(self._master, keys.encode())

    def resize(self, columns: int, lines: int) -> None:
        """Change the size of the window."""
        with self._lock:
            self._screen.resize(lines, columns)
        fcntl.ioctl(self._master, termios.TIOCSWINSZ, struct.pack("HHHH", lines, columns, 0, 0))

    def signal(self, number: signal.Signals) -> None:
        """Send a signal to the program."""
        self._command.signal(number)

    def exit_code(self) -> int:
        """Wait for the program's end."""
        code = self._command.wait(WAIT_S)
        assert code is not None, "the program did not end"
        return code

    def is_canonical(self) -> bool:
        """Whether the terminal takes whole lines, as a shell expects to find it."""
        return bool(termios.tcgetattr(self._slave)[3] & termios.ICANON)

    def close(self) -> None:
        """End the program if it still runs."""
        self._command.signal(signal.SIGKILL)
        self._command.wait()
        os.close(self._slave)

    def _draw(self) -> None:
        while True:
            readable, _, _ = select.select([self._master], [], [], 0.1)
            if readable:
                try:
                    data = os.read(self._master, 1 << 16)
                except OSError:  # the other end is closed
                    data = b""
                if not data:
                    os.close(self._master)
                    return
                with self._lock:
                    self.raw += data
                    self._stream.feed(data)


class TmuxTerminal:
    """A window of a tmux server of its own, whose socket lies in ``folder``."""

    def __init__(
        self, command: Sequence[str], cwd: Path, env: Mapping[str, str], columns: int, lines: int, folder: Path
    ) -> None:
        self._socket, self._status = folder / "tmux", folder / "status"
        settings = " ".join(f"{name}={shlex.quote(value)}" for name, value in env.items())
        inner = f"cd {shlex.quote(str(cwd))}; {settings} {shlex.join(command)}; echo $? > {self._status}; sleep 1000"
        self._tmux("-f", "/dev/null", "new-session", "-d", "-x", str(columns), "-y", str(lines), inner)

    def screen(self) -> list[str]:
        """The lines on screen."""
        return self._tmux("capture-pane", "-p").split("\n")[:-1]

    def type(self, keys: str) -> None:
        """Send keys as the keyboard would."""
        self._tmux("send-keys", "-l", keys)

    def resize(self, columns: int, lines: int) -> None:
        """Change the size of the window."""
        self._tmux("resize-window", "-x", str(columns), "-y", str(lines))

    def exit_code(self) -> int:
        """Wait for the program's end."""
        deadline = time.monotonic() + WAIT_S
        while not self._status.exists() or not self._status.read_text().strip():
            assert time.monotonic() < deadline, "the program did not end"
            time.sleep(_POLL_S)
        return int(self._status.read_text())

    def close(self) -> None:
        """End the server."""
        self._tmux("kill-server")

    def _tmux(self, *arguments: str) -> str:
        done = subprocess.run(
            ["tmux", "-S", str(self._socket), *arguments], capture_output=True, text=True, check=True, timeout=WAIT_S
        )
        return done.stdout

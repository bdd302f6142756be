"""A real browser without a window, driven over a pipe (the Chrome DevTools Protocol), where one is installed."""

import base64
import json
import os
import shutil
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

PATIENCE_S = 300  # on a busy machine a browser starts and loads slowly
NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable", "chrome")
NAVIGATED = "Inspected target navigated or closed"


def find_browser() -> str | None:
    """The program of an installed Chromium or Chrome; BATON_BROWSER names another, or "" for none."""
    if "BATON_BROWSER" in os.environ:
        return os.environ["BATON_BROWSER"] or None
    return next((path for name in NAMES if (path := shutil.which(name))), None)


needs_browser = pytest.mark.skipif(find_browser() is None, reason="no browser: apt-get install chromium")
"""On tests that drive one: they are left out where there is none."""


class Page:
    """One open page."""

    def __init__(self, write: int, read: int) -> None:
        self._write, self._read, self._number, self._buffer = write, read, 0, b""
        self._session: str | None = None
        target = self._ask("Target.createTarget", url="about:blank")["targetId"]
        self._session = self._ask("Target.attachToTarget", targetId=target, flatten=True)["sessionId"]
        self._ask("Page.enable")
        self.errors: list[str] = []
        self.requests: list[str] = []
        self._ask("Runtime.enable")
        self._ask("Network.enable")

    def open(self, path: Path) -> None:
        """Open a file, and wait until it is loaded."""
        self.go(path.resolve().as_uri())

    def go(self, address: str) -> None:
        """Open an address, and wait until it is loaded."""
        self._ask("Page.navigate", url="about:blank")  # so that another place of the same page loads it anew
        self._ask("Page.navigate", url=address)
        self.wait("document.readyState === 'complete' && location.href !== 'about:blank'")

    def run(self, expression: str) -> Any:
        """The value of an expression of JavaScript in the page."""
        done = self._ask("Runtime.evaluate", expression=expression, returnByValue=True, awaitPromise=True)
        assert "exceptionDetails" not in done, done["exceptionDetails"]
        return done["result"].get("value")

    def wait(self, expression: str) -> None:
        """Until an expression holds, which may name what is not there yet; one that never does fails after minutes."""
        end = time.monotonic() + PATIENCE_S
        while not self.run(f"(() => {{ try {{ return {expression}; }} catch {{ return false; }} }})()"):
            assert time.monotonic() < end, f"never true: {expression}"
            time.sleep(0.05)

    def click(self, selector: str) -> None:
        """A click of the mouse in the middle of an element, which is scrolled into view."""
        x, y = self.run(
            f"""(() => {{
              const element = document.querySelector({json.dumps(selector)});
              element.scrollIntoView({{ block: "center", behavior: "instant" }});
              const box = element.getBoundingClientRect();
              return [box.x + box.width / 2, box.y + box.height / 2];
            }})()"""
        )
        self.click_at(x, y)

    def click_at(self, x: float, y: float) -> None:
        """A click of the mouse at a place of the window, in CSS pixels."""
        self.drag((x, y), (x, y))

    def drag(self, start: tuple[float, float], end: tuple[float, float]) -> None:
        """The mouse pressed at a place of the window, and let go at another."""
        for kind, (x, y) in (("mousePressed", start), ("mouseMoved", end), ("mouseReleased", end)):
            self._ask("Input.dispatchMouseEvent", type=kind, x=x, y=y, button="left", buttons=1, clickCount=1)

    def move(self, x: float, y: float) -> None:
        """The mouse, pressed nowhere, to a place of the window."""
        self._ask("Input.dispatchMouseEvent", type="mouseMoved", x=x, y=y)

    def wheel(self, x: float, y: float, down: float) -> None:
        """The wheel of the mouse, turned at a place of the window by so many pixels."""
        self._ask("Input.dispatchMouseEvent", type="mouseWheel", x=x, y=y, deltaX=0, deltaY=down)

    def type(self, selector: str, text: str) -> None:
        """Text into a field, as from a keyboard."""
        self.click(selector)
        self._ask("Input.insertText", text=text)

    def choose(self, selector: str, option: str) -> None:
        """The first option of a select whose text begins so."""
        missing = self.run(
            f"""(() => {{
              const element = document.querySelector({json.dumps(selector)});
              const texts = [...element.options].map((one) => one.text);
              const place = texts.findIndex((text) => text.startsWith({json.dumps(option)}));
              if (place < 0) return texts;
              element.selectedIndex = place;
              element.dispatchEvent(new Event("input", {{ bubbles: true }}));
              return null;
            }})()"""
        )
        assert missing is None, f"{option!r} is not among {missing}"

    def press(self, key: str, *, shift: bool = False) -> None:
        """A key of the keyboard, by the name that JavaScript has for it."""
        facts: dict[str, Any] = {"key": key, "modifiers": 8 if shift else 0}
        if len(key) == 1:
            facts["text"] = key
        self._ask("Input.dispatchKeyEvent", type="keyDown", **facts)
        self._ask("Input.dispatchKeyEvent", type="keyUp", key=key)

    def swipe(self, selector: str, right: int) -> None:
        """A finger on the middle of an element that moves so many pixels to the right; 0 is a tap."""
        x, y = self.run(
            f"""(() => {{
              const box = document.querySelector({json.dumps(selector)}).getBoundingClientRect();
              return [box.x + box.width / 2, box.y + box.height / 2];
            }})()"""
        )
        self._ask("Emulation.setTouchEmulationEnabled", enabled=True)
        self._ask("Input.dispatchTouchEvent", type="touchStart", touchPoints=[{"x": x, "y": y}])
        for part in (1, 2, 3) if right else ():
            self._ask("Input.dispatchTouchEvent", type="touchMove", touchPoints=[{"x": x + right * part / 3, "y": y}])
        self._ask("Input.dispatchTouchEvent", type="touchEnd", touchPoints=[])

    def scheme(self, colors: str) -> None:
        """Prefer "dark" or "light" colours."""
        features = [{"name": "prefers-color-scheme", "value": colors}]
        self._ask("Emulation.setEmulatedMedia", features=features)

    def screenshot(self, path: Path) -> None:
        """What is to be seen now, as a PNG."""
        data = self._ask("Page.captureScreenshot", format="png")["data"]
        path.write_bytes(base64.b64decode(data))

    def size(self, width: int, height: int) -> None:
        """Set the size of the window."""
        screen = {"width": width, "height": height, "deviceScaleFactor": 1, "mobile": False}
        self._ask("Emulation.setDeviceMetricsOverride", **screen)

    def _ask(self, method: str, **parameters: Any) -> Any:
        self._number += 1
        message: dict[str, Any] = {"id": self._number, "method": method, "params": parameters}
        if self._session is not None:
            message["sessionId"] = self._session
        os.write(self._write, json.dumps(message).encode() + b"\0")
        while True:
            answer = self._receive()
            if answer.get("method") == "Runtime.exceptionThrown":
                details = answer["params"]["exceptionDetails"]
                self.errors.append(details.get("exception", {}).get("description", details["text"]))
            if answer.get("method") == "Network.requestWillBeSent":
                self.requests.append(answer["params"]["request"]["url"])
            if answer.get("id") == self._number:
                if answer.get("error", {}).get("message") == NAVIGATED:  # asked while the page was loading anew
                    return self._ask(method, **parameters)
                assert "error" not in answer, answer["error"]
                return answer["result"]

    def _receive(self) -> dict[str, Any]:
        while b"\0" not in self._buffer:
            part = os.read(self._read, 1 << 20)
            assert part, "the browser has ended"
            self._buffer += part
        message, _, self._buffer = self._buffer.partition(b"\0")
        found: dict[str, Any] = json.loads(message)
        return found


@contextmanager
def open_browser(program: str) -> Iterator[Page]:
    """A page of a browser with a profile of its own, which is gone afterwards."""
    to_browser, from_us = os.pipe()
    to_us, from_browser = os.pipe()
    with tempfile.TemporaryDirectory(prefix="baton-browser-", ignore_cleanup_errors=True) as profile:
        flags = (
            "--headless=new --remote-debugging-pipe --no-sandbox --no-first-run --disable-gpu --disable-dev-shm-usage "
            "--disable-background-networking --disable-component-update --disable-sync --hide-scrollbars"
        )
        command = [program, *flags.split(), f"--user-data-dir={profile}", "about:blank"]
        # The protocol is spoken on the descriptors 3 and 4, whatever ours are called.
        plumbing = f'exec 3<&{to_browser} 4>&{from_browser}; exec "$@"'
        process = subprocess.Popen(
            ["bash", "-c", plumbing, "browser", *command],
            pass_fds=(to_browser, from_browser),
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        os.close(to_browser)
        os.close(from_browser)
        try:
            yield Page(from_us, to_us)
        finally:
            os.close(from_us)
            os.close(to_us)
            process.terminate()
            process.wait(timeout=60)

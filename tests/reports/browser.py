"""A headless Chromium, spoken to over its debugging pipe (Chrome DevTools Protocol): the standard library is enough."""

import base64
import json
import os
import select
import shutil
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

CHROMIUM = next(
    (path for name in ("chromium", "chromium-browser", "google-chrome") if (path := shutil.which(name))), None
)
FLAGS = (
    *("--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-dev-shm-usage"),
    *("--disable-background-networking", "--disable-component-update", "--disable-sync", "--hide-scrollbars"),
    *("--host-resolver-rules=MAP * ~NOTFOUND", "--remote-debugging-pipe"),
)
TIMEOUT = 60.0  # seconds an answer may take


@dataclass
class Visit:
    """What a page did while it was opened."""

    errors: list[str] = field(default_factory=list)
    """Errors and warnings of the console, and exceptions."""
    failed: list[str] = field(default_factory=list)
    """Requests without an answer."""
    requests: list[str] = field(default_factory=list)
    """Addresses asked for, ``data:`` left out."""


class Browser:
    """One page of one Chromium."""

    def __init__(self, process: subprocess.Popen, write: int, read: int):
        self.process, self.write, self.read = process, write, read
        self.buffer, self.number, self.session, self.events = b"", 0, "", []
        target = self.call("Target.createTarget", url="about:blank")["targetId"]
        self.session = self.call("Target.attachToTarget", targetId=target, flatten=True)["sessionId"]
        for domain in ("Page", "Runtime", "Log", "Network"):
            self.call(f"{domain}.enable")

    def call(self, method: str, **parameters: Any) -> dict[str, Any]:
        """Answer of one command."""
        self.number += 1
        message = {"id": self.number, "method": method, "params": parameters}
        message |= {"sessionId": self.session} if self.session else {}
        os.write(self.write, json.dumps(message).encode() + b"\0")
        while True:
            answer = self._message()
            if answer.get("id") == self.number:
                assert "error" not in answer, f"{method}: {answer['error']}"
                return answer["result"]
            self.events.append(answer)

    def _message(self) -> dict[str, Any]:
        end = time.monotonic() + TIMEOUT
        while b"\0" not in self.buffer:
            ready, _, _ = select.select([self.read], [], [], max(0.0, end - time.monotonic()))
            part = os.read(self.read, 1 << 20) if ready else b""
            assert part, "Chromium does not answer"
            self.buffer += part
        first, _, self.buffer = self.buffer.partition(b"\0")
        return json.loads(first)

    def resize(self, width: int, height: int, *, dark: bool = False) -> None:
        """Emulate a screen; below 500 pixels that of a phone."""
        mobile = width < 500
        self.call("Emulation.setDeviceMetricsOverride", width=width, height=height, deviceScaleFactor=1, mobile=mobile)
        scheme = {"name": "prefers-color-scheme", "value": "dark" if dark else "light"}
        self.call("Emulation.setEmulatedMedia", features=[scheme])

    def visit(self, path: Path) -> Visit:
        """Open a file and wait until it has loaded."""
        self.events.clear()
        self.call("Page.navigate", url=path.resolve().as_uri())
        while not any(event.get("method") == "Page.loadEventFired" for event in self.events):
            self.events.append(self._message())
        self.evaluate("document.title")  # whatever the page logged has arrived by now
        visit = Visit()
        for event in self.events:
            _note(visit, event.get("method", ""), event.get("params", {}))
        return visit

    def evaluate(self, expression: str) -> Any:
        """Value of a JavaScript expression in the page."""
        return self.call("Runtime.evaluate", expression=expression, returnByValue=True)["result"].get("value")

    def answer(self, expression: str) -> Any:
        """What the promise of a JavaScript expression is fulfilled with."""
        found = self.call("Runtime.evaluate", expression=expression, returnByValue=True, awaitPromise=True)
        assert "exceptionDetails" not in found, found
        return found["result"].get("value")

    def press(self, key: str, number: int) -> None:
        """Press and release a key, such as "ArrowRight", 39."""
        for kind in ("rawKeyDown", "keyUp"):
            self.call("Input.dispatchKeyEvent", type=kind, key=key, code=key, windowsVirtualKeyCode=number)

    def screenshot(self, path: Path) -> None:
        """The whole page as a PNG."""
        data = self.call("Page.captureScreenshot", captureBeyondViewport=True)["data"]
        path.write_bytes(base64.b64decode(data))


def _note(visit: Visit, method: str, event: dict[str, Any]) -> None:
    if method == "Log.entryAdded" and event["entry"]["level"] in ("error", "warning"):
        visit.errors.append(event["entry"]["text"])
    elif method == "Runtime.exceptionThrown":
        visit.errors.append(event["exceptionDetails"]["text"])
    elif method == "Runtime.consoleAPICalled" and event["type"] in ("error", "warning", "assert"):
        visit.errors.append(str(event["args"]))
    elif method == "Network.loadingFailed":
        visit.failed.append(event["errorText"])
    elif method == "Network.requestWillBeSent" and not event["request"]["url"].startswith("data:"):
        visit.requests.append(event["request"]["url"])


@contextmanager
def chromium(profile: Path) -> Iterator[Browser]:
    """Start Chromium with the empty folder ``profile`` for its settings; end it afterwards."""
    assert CHROMIUM
    in_read, in_write = os.pipe()
    out_read, out_write = os.pipe()
    # Chromium reads commands from descriptor 3 and answers on 4; sh puts the pipes there.
    shell = f'exec "$0" "$@" 3</dev/fd/{in_read} 4>/dev/fd/{out_write}'
    command = ["sh", "-c", shell, CHROMIUM, *FLAGS, f"--user-data-dir={profile}"]
    process = subprocess.Popen(command, pass_fds=(in_read, out_write), stderr=subprocess.DEVNULL)
    os.close(in_read)
    os.close(out_write)
    try:
        yield Browser(process, in_write, out_read)
    finally:
        process.terminate()
        process.wait(10)
        os.close(in_write)
        os.close(out_read)

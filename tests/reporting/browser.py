"""A headless Chromium, spoken to through a pipe: what a real browser makes of a page."""

import base64
import json
import os
import shutil
import subprocess
import tempfile
import time
from pathlib import Path
from select import select

NAMES = ("chromium", "chromium-browser", "google-chrome", "chrome")
FLAGS = (
    "--headless=new", "--no-sandbox", "--disable-gpu", "--no-first-run", "--disable-sync",
    "--disable-background-networking", "--disable-component-update", "--disable-extensions",
    "--disable-dev-shm-usage", "--hide-scrollbars", "--remote-debugging-pipe",
)  # fmt: skip
PATIENCE = 60  # seconds


def find_browser():
    """Return the path of a Chromium, or None."""
    return next(filter(None, map(shutil.which, NAMES)), None)


class Browser:
    """One tab of a headless Chromium; every message that it sends is kept in `events`."""

    def __init__(self, path):
        self._home = tempfile.TemporaryDirectory(ignore_cleanup_errors=True)
        to_browser, self._write = os.pipe()
        self._read, from_browser = os.pipe()
        self._process = subprocess.Popen(
            # file descriptors 3 and 4 are those that --remote-debugging-pipe reads and writes
            ["bash", "-c", f'exec "$@" 3<&{to_browser} 4>&{from_browser}', "bash",
             path, *FLAGS, f"--user-data-dir={self._home.name}", "about:blank"],
            pass_fds=(to_browser, from_browser),
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )  # fmt: skip
        os.close(to_browser)
        os.close(from_browser)
        self._held, self._number, self._session = b"", 0, None
        self.events = []
        target = self("Target.createTarget", url="about:blank")["targetId"]
        self._session = self("Target.attachToTarget", targetId=target, flatten=True)["sessionId"]
        for domain in ("Page", "Network", "Runtime", "Log"):
            self(f"{domain}.enable")

    def __call__(self, method, **params):
        """Send a command and return its result."""
        self._number += 1
        message = {"id": self._number, "method": method, "params": params}
        if self._session:
            message["sessionId"] = self._session
        os.write(self._write, json.dumps(message).encode() + b"\0")
        answer = self._until(lambda found: found.get("id") == self._number)
        if "error" in answer:
            raise RuntimeError(f"{method}: {answer['error']}")
        return answer["result"]

    def open(self, path, *, width=1200, height=900, scheme="light"):
        """Open a file in a window of a size, in a colour scheme."""
        self.events.clear()
        self("Emulation.setDeviceMetricsOverride", width=width, height=height,
             deviceScaleFactor=1, mobile=width < 600)  # fmt: skip
        self("Emulation.setEmulatedMedia",
             features=[{"name": "prefers-color-scheme", "value": scheme}])  # fmt: skip
        self("Page.navigate", url=Path(path).resolve().as_uri())
        self._until(lambda found: found.get("method") == "Page.loadEventFired")

    def value(self, expression):
        """Return what JavaScript makes of an expression."""
        found = self("Runtime.evaluate", expression=expression, returnByValue=True)
        assert "exceptionDetails" not in found, found
        return found["result"].get("value")

    def press(self, key):
        """Press a key."""
        for kind in ("keyDown", "keyUp"):
            self("Input.dispatchKeyEvent", type=kind, key=key, code=key, windowsVirtualKeyCode=9)

    def screenshot(self, path, *, whole=True):
        """Write what is seen as PNG."""
        found = self("Page.captureScreenshot", captureBeyondViewport=whole)
        Path(path).write_bytes(base64.b64decode(found["data"]))

    def pdf(self):
        """Return the page as it prints."""
        found = self("Page.printToPDF", preferCSSPageSize=True, printBackground=False)
        return base64.b64decode(found["data"])

    def requests(self):
        """List the addresses that the page asked for."""
        sent = [e["params"] for e in self.events if e["method"] == "Network.requestWillBeSent"]
        return [params["request"]["url"] for params in sent]

    def complaints(self):
        """List errors, warnings and exceptions of the console."""
        kinds = ("Runtime.exceptionThrown", "Runtime.consoleAPICalled", "Log.entryAdded")
        return [event["params"] for event in self.events if event["method"] in kinds]

    def close(self):
        """End the browser that this object started."""
        self._session = None
        try:
            self("Browser.close")
            self._process.wait(PATIENCE)
        except (OSError, RuntimeError, EOFError, subprocess.TimeoutExpired):
            self._process.kill()
            self._process.wait()
        os.close(self._write)
        os.close(self._read)
        self._home.cleanup()

    def _until(self, wanted):
        """Read messages, keep events, and return the first that is wanted."""
        end = time.monotonic() + PATIENCE
        while True:
            while b"\0" in self._held:
                line, self._held = self._held.split(b"\0", 1)
                found = json.loads(line)
                if "method" in found:
                    self.events.append(found)
                if wanted(found):
                    return found
            if not select([self._read], [], [], max(0, end - time.monotonic()))[0]:
                raise TimeoutError("The browser did not answer.")
            more = os.read(self._read, 1 << 20)
            if not more:
                raise EOFError("The browser has ended.")
            self._held += more

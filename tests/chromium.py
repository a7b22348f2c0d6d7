"""Debian's Chromium, headless, driven by the W3C WebDriver protocol through the standard library."""

from __future__ import annotations

import base64
import json
import shutil
import socket
import subprocess
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

__all__ = ["Chromium", "chromium", "missing"]

ARGUMENTS = (
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--disable-dev-shm-usage",
    "--hide-scrollbars",
)
ROWS = """
const CORNER = 3;
const [png, selector, around] = arguments;
const median = values => values.sort((one, other) => one - other)[values.length >> 1];
return (async () => {
  const image = new Image();
  image.src = 'data:image/png;base64,' + png;
  await image.decode();
  const context = document.createElement('canvas').getContext('2d', {willReadFrequently: true});
  [context.canvas.width, context.canvas.height] = [image.width, image.height];
  context.drawImage(image, 0, 0);
  const rows = box => {
    const left = Math.round(box.left + scrollX) + CORNER, width = Math.round(box.right + scrollX) - CORNER - left;
    const top = Math.round(box.top + scrollY) - around, bottom = Math.round(box.bottom + scrollY) + around;
    const colours = y => context.getImageData(left, y, width, 1).data;
    const middle = pixels => [0, 1, 2].map(channel => median([...pixels.filter((_, place) => place % 4 === channel)]));
    return Array.from({length: bottom - top}, (_, place) => middle(colours(top + place)));
  };
  return [...document.querySelectorAll(selector)].flatMap(element =>
    [...element.getClientRects()].filter(box => box.width >= 4 * CORNER).map(box => [element.className, rows(box)]));
})();
"""
KEYS = {"tab": "\ue004", "enter": "\ue007"}


def missing() -> str:
    """Return which program is not installed; empty where both are."""
    return ", ".join(name for name in ("chromium", "chromedriver") if shutil.which(name) is None)


class Chromium:
    """One browser session."""

    def __init__(self, address: str, profile: str) -> None:
        """Start a browser with an empty profile."""
        self._session = address
        options = {"args": [*ARGUMENTS, f"--user-data-dir={profile}"], "binary": shutil.which("chromium")}
        capabilities = {"goog:chromeOptions": options, "goog:loggingPrefs": {"browser": "ALL"}}
        found = self._post("/session", {"capabilities": {"alwaysMatch": capabilities}})
        self._session = f"{address}/session/{found['sessionId']}"

    def open(self, path: Path, *, width: int, height: int = 900, scale: float = 1) -> None:
        """Open a file in a viewport of so many CSS pixels, as a phone does where it is narrow."""
        size = {"width": width, "height": height, "deviceScaleFactor": scale, "mobile": width < 500}
        self.cdp("Emulation.setDeviceMetricsOverride", **size)
        self._post("/url", {"url": path.resolve().as_uri()})

    def dark(self, *, on: bool) -> None:
        """Prefer a dark scheme, or a light one."""
        value = "dark" if on else "light"
        self.cdp("Emulation.setEmulatedMedia", features=[{"name": "prefers-color-scheme", "value": value}])

    def grey(self, *, on: bool) -> None:
        """Show no hues."""
        self.cdp("Emulation.setEmulatedVisionDeficiency", type="achromatopsia" if on else "none")

    def run(self, script: str, *arguments: object) -> Any:
        """Run a function body on the page and return what it returns."""
        return self._post("/execute/sync", {"script": script, "args": list(arguments)})

    def hover(self, selector: str) -> None:
        """Move the pointer to the middle of the first such element."""
        found = self._post("/element", {"using": "css selector", "value": selector})
        move = {"type": "pointerMove", "duration": 0, "origin": found, "x": 0, "y": 0}
        pointer = {
            "type": "pointer",
            "id": "mouse",
            "parameters": {"pointerType": "mouse"},
            "actions": [move],
        }
        self._post("/actions", {"actions": [pointer]})

    def press(self, key: str) -> None:
        """Press and release a key."""
        presses = [{"type": kind, "value": KEYS[key]} for kind in ("keyDown", "keyUp")]
        self._post("/actions", {"actions": [{"type": "key", "id": "keys", "actions": presses}]})

    def log(self) -> list[str]:
        """Return what the console got since it was last asked."""
        return [entry["message"] for entry in self._post("/se/log", {"type": "browser"})]

    def picture(self, path: Path, *, selector: str | None = None) -> None:
        """Save the whole page, or one element of it, as PNG."""
        path.write_bytes(base64.b64decode(self.shot(selector)))

    def shot(self, selector: str | None = None) -> str:
        """Return the whole page, or one element of it, as PNG in Base64."""
        box = self.run(
            "const b = (arguments[0] ? document.querySelector(arguments[0]) : document.documentElement)"
            ".getBoundingClientRect(); return {x: b.x + scrollX, y: b.y + scrollY, width: b.width, height: b.height};",
            selector,
        )
        shot = self.cdp("Page.captureScreenshot", captureBeyondViewport=True, clip={**box, "scale": 1})
        return str(shot["data"])

    def rows(self, selector: str, *, around: int) -> list[tuple[str, list[tuple[int, int, int]]]]:
        """Return the rows of pixels of each such element as they are drawn: its classes, and each row's middle colour.

        An element that goes over several lines counts once for each; round corners are left out, and what is hardly wider. Few
        letters fill most of a row, so that its middle is its ground. ``around`` says how many rows above and below are given, too.
        """
        found = self.run(ROWS, self.shot(), selector, around)
        return [(name, [(red, green, blue) for red, green, blue in rows]) for name, rows in found]

    def cdp(self, command: str, **parameters: object) -> Any:
        """Send a command of Chromium's own protocol."""
        return self._post("/goog/cdp/execute", {"cmd": command, "params": parameters})

    def close(self) -> None:
        """End the browser."""
        self._send(urllib.request.Request(self._session, method="DELETE"))

    def _post(self, path: str, body: object) -> Any:
        headers = {"Content-Type": "application/json"}
        return self._send(urllib.request.Request(self._session + path, json.dumps(body).encode(), headers))

    @staticmethod
    def _send(request: urllib.request.Request) -> Any:
        try:
            with urllib.request.build_opener(urllib.request.ProxyHandler({})).open(
                request, timeout=120
            ) as answer:
                return json.load(answer)["value"]
        except urllib.error.HTTPError as error:
            raise RuntimeError(error.read().decode()[:2000]) from error


@contextmanager
def chromium() -> Iterator[Chromium]:
    """Start driver and browser, and end both."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as profile:
        driver = subprocess.Popen(
            [shutil.which("chromedriver") or "chromedriver", f"--port={port}"],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        try:
            _wait_for(port)
            browser = Chromium(f"http://127.0.0.1:{port}", profile)
            try:
                yield browser
            finally:
                browser.close()
        finally:
            driver.terminate()
            driver.wait(timeout=30)


def _wait_for(port: int, timeout_seconds: float = 60) -> None:
    end = time.monotonic() + timeout_seconds
    while time.monotonic() < end:
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", port)) == 0:
                return
        time.sleep(0.1)
    raise TimeoutError(f"chromedriver did not listen on port {port} within {timeout_seconds} s")

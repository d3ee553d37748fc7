"""A headless Chromium for tests that look at pages as people do; they are skipped where there is none.

``.ci/run`` installs it and sets ``NER_ELMO_NEEDS_BROWSER``, so that nothing is skipped there.
"""

from __future__ import annotations

import importlib.util
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest

NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")


def _found() -> str | None:
    return next((path for name in NAMES if (path := shutil.which(name))), None)


def require_browser() -> str:
    """The program; skips the test, loudly, where it or the package playwright is missing."""
    path = _found()
    has_driver = importlib.util.find_spec("playwright") is not None
    if path is not None and has_driver:
        return path
    reason = "no page was looked at: needs Chromium (apt-get install chromium) and playwright (pip install playwright)"
    if os.environ.get("NER_ELMO_NEEDS_BROWSER"):
        pytest.fail(reason)
    pytest.skip(reason)


@contextmanager
def chromium() -> Iterator[Any]:
    """A browser of playwright's."""
    path = require_browser()
    from playwright.sync_api import sync_playwright

    with sync_playwright() as driver:
        browser = driver.chromium.launch(executable_path=path, args=["--no-sandbox"])
        try:
            yield browser
        finally:
            browser.close()


DESKTOP, PHONE = {"width": 1280, "height": 800}, {"width": 390, "height": 844}


class Opened:
    """A page that is open, and what it asked for and complained of."""

    def __init__(self, browser: Any, address: str, **settings: Any) -> None:
        self.context = browser.new_context(**({"viewport": DESKTOP} | settings))
        self.page = self.context.new_page()
        self.requests: list[str] = []
        self.complaints: list[str] = []
        self.page.on("request", lambda request: self.requests.append(request.url))
        self.page.on("console", lambda message: self.complaints.append(message.text))
        self.page.on("pageerror", lambda error: self.complaints.append(str(error)))
        self.page.goto(address)

    def __enter__(self) -> Any:
        return self.page

    def __exit__(self, *_: object) -> None:
        self.context.close()


# The contrast of every text that shows with what is behind it, as (ratio, words); alpha is composed.
CONTRASTS = """() => {
  const numbers = (colour) => { const n = colour.match(/[0-9.]+/g).map(Number); return n.length < 4 ? [...n, 1] : n; };
  const over = (top, below) => [0, 1, 2].map((i) => top[i] * top[3] + below[i] * (1 - top[3])).concat(1);
  const luminance = (c) => {
    const [r, g, b] = c.map((x) => (x / 255 <= 0.04045 ? x / 255 / 12.92 : ((x / 255 + 0.055) / 1.055) ** 2.4));
    return 0.2126 * r + 0.7152 * g + 0.0722 * b;
  };
  const behind = (element) => {
    const layers = [];
    for (let e = element; e; e = e.parentElement) layers.push(numbers(getComputedStyle(e).backgroundColor));
    const paper = matchMedia("(prefers-color-scheme: dark)").matches ? [0, 0, 0, 1] : [255, 255, 255, 1];
    return layers.reverse().reduce((below, top) => over(top, below), paper);
  };
  const found = [];
  const walker = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
  for (let node = walker.nextNode(); node; node = walker.nextNode()) {
    const element = node.parentElement;
    if (!node.data.trim() || !element.checkVisibility() || element.matches("script, style, noscript")) continue;
    if (element.closest(".vh") || getComputedStyle(element).clipPath === "inset(50%)") continue;
    const paper = behind(element), ink = over(numbers(getComputedStyle(element).color), paper);
    const [high, low] = [luminance(ink), luminance(paper)].sort((a, b) => b - a);
    found.push([(high + 0.05) / (low + 0.05), node.data.trim().slice(0, 40)]);
  }
  return found;
}"""

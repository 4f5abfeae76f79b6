"""A real browser, and what can be seen of a page in it."""

from __future__ import annotations

import contextlib
import shutil
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from playwright.sync_api import Browser

_NAMES = ("chromium", "chromium-browser", "google-chrome")
_FLAGS = [
    "--no-sandbox",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]

# Of each element with a text: its tag, how the text begins, its colour and the ground's behind it, red, green, blue.
SEEN = """
() => {
  const rgb = (text) => (text.match(/[\\d.]+/g) || []).map(Number);
  const ground = (element) => {
    for (let one = element; one; one = one.parentElement) {
      const found = rgb(getComputedStyle(one).backgroundColor);
      if (found.length === 3 || found[3] > 0) return found.slice(0, 3);
    }
    return [255, 255, 255];
  };
  const all = [...document.querySelectorAll("body *")].filter((element) =>
    [...element.childNodes].some((node) => node.nodeType === 3 && node.textContent.trim())
    && element.getClientRects().length && !["SCRIPT", "STYLE", "NOSCRIPT"].includes(element.tagName));
  return all.map((element) => {
    const style = getComputedStyle(element);
    const drawn = element.namespaceURI.endsWith("svg");
    const color = rgb(drawn ? style.fill : style.color).slice(0, 3);
    return [element.tagName, element.textContent.slice(0, 30), color, ground(element)];
  });
}
"""


@contextlib.contextmanager
def launched() -> Iterator[Browser]:
    """Start the machine's own Chromium, and end it."""
    from playwright.sync_api import sync_playwright

    found = next(filter(None, map(shutil.which, _NAMES)), None)
    assert found, "install Chromium: apt-get install chromium"
    with sync_playwright() as started:
        browser = started.chromium.launch(executable_path=found, args=_FLAGS)
        try:
            yield browser
        finally:
            browser.close()


def contrast(one: Sequence[float], other: Sequence[float]) -> float:
    """Return the contrast of two colours (red, green and blue up to 255), as WCAG 2 defines it: from 1 to 21."""

    def luminance(color: Sequence[float]) -> float:
        parts = [value / 255 for value in color]
        linear = [value / 12.92 if value <= 0.04045 else ((value + 0.055) / 1.055) ** 2.4 for value in parts]
        return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]

    bright, dark = sorted((luminance(one), luminance(other)), reverse=True)
    return (bright + 0.05) / (dark + 0.05)

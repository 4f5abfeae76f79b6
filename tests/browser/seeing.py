"""What can be seen of a page: the colours of its texts and the ground behind them."""

from __future__ import annotations

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


def contrast(one: list[float], other: list[float]) -> float:
    """Return the contrast of two colours, as WCAG 2 defines it."""

    def luminance(color: list[float]) -> float:
        parts = [value / 255 for value in color]
        linear = [value / 12.92 if value <= 0.04045 else ((value + 0.055) / 1.055) ** 2.4 for value in parts]
        return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]

    bright, dark = sorted((luminance(one), luminance(other)), reverse=True)
    return (bright + 0.05) / (dark + 0.05)

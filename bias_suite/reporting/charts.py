"""Charts of a run, drawn by matplotlib, as SVG that stands inside an HTML page.

A drawing has no colours and no style of its own: where matplotlib wrote one of `_INKS`, the SVG has a class
(``fill-bad``, ``stroke-ink``) for which the page's style has the colour, so that it is light or dark with the page, and
a Content-Security-Policy that forbids style attributes is kept. Text stays text. The same figures give the same SVG.
"""

from __future__ import annotations

import io
import math
import unicodedata
import warnings
import xml.etree.ElementTree as ET
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

_INKS = {
    name: f"#0000{number:02x}"
    for number, name in enumerate(("ink", "quiet", "line", "band", "ground", "good", "bad", "warn"), start=1)
}
_CLASSES = {color: name for name, color in _INKS.items()}
_DRAWING = {
    "svg.fonttype": "none",
    "svg.hashsalt": "bias-suite",
    "text.parse_math": False,  # a $ in a name is a $
    "lines.solid_capstyle": "butt",
}
_SVG, _XLINK = "http://www.w3.org/2000/svg", "http://www.w3.org/1999/xlink"
_POINT = 72
_BAR, _AXIS, _ROW = 26, 20, 20
_WIDTH, _NAMES, _DOTS, _COUNTS = 300, 152, 158, 52
"""Sizes, in units of which a phone has about 340 from left to right."""
_MARGIN, _SIZE, _LONGEST_NAME, _FITTING = 12, 10.5, 28, 22
_MARKS = {"good": "o", "bad": "X", "warn": "D"}
"""Points differ in shape, too: not everybody sees the colours."""


@dataclass(frozen=True)
class Bar:
    """A figure with its interval, against what is accepted.

    Attributes:
        name: What the chart is called in the page; letters, digits and hyphens.
        title: What a screen reader says first.
        told: What it says then: the figures in words.
        value: The figure.
        lower: Its lower bound.
        upper: Its upper bound.
        tolerance: What is accepted.
        limit: What must be ruled out.
        state: ``good``, ``bad`` or ``warn``: shape and colour of the point.
    """

    name: str
    title: str
    told: str
    value: float
    lower: float
    upper: float
    tolerance: float
    limit: float
    state: str


@dataclass(frozen=True)
class Dot:
    """One group's figure, with its interval.

    Attributes:
        name: The group.
        value: The figure.
        lower: Its lower bound.
        upper: Its upper bound.
        n: Probes behind it.
        whole: Whether it is the figure of all the groups together.
    """

    name: str
    value: float
    lower: float
    upper: float
    n: int
    whole: bool = False


@dataclass(frozen=True)
class Scale:
    """What the horizontal axis shows.

    Attributes:
        reach: The largest value; at most 1.
        signed: Whether it begins at -reach and not at 0.
    """

    reach: float = 1.0
    signed: bool = False

    @property
    def ticks(self) -> list[float]:
        """Where the axis has labels: round values."""
        if not self.signed:
            return [0.0, 0.02, 0.1, 0.25, 0.5, 1.0]
        return [-self.reach, -self.reach / 2, 0.0, self.reach / 2, self.reach]

    def place(self, value: float) -> float:
        """Return where a value stands, 0 to 1; the roots of rates, so that small ones can be told apart."""
        if not self.signed:
            return math.sqrt(min(1.0, max(0.0, value)))
        return (min(self.reach, max(-self.reach, value)) + self.reach) / (2 * self.reach)


def scale(values: Sequence[float]) -> Scale:
    """Return the scale of differences that has room for these."""
    furthest = max(map(abs, values), default=1.0)
    return Scale(next(reach for reach in (0.1, 0.2, 0.5, 1.0) if furthest <= reach or reach == 1.0), signed=True)


@contextmanager
def drawing() -> Iterator[None]:
    """Set matplotlib up; it is imported here, and charts are drawn within."""
    import matplotlib as mpl

    with mpl.rc_context(_DRAWING), warnings.catch_warnings():
        # Of writing that its own font lacks: the text stays text, and the browser has a font.
        warnings.filterwarnings("ignore", "Glyph .* missing from", UserWarning)
        warnings.filterwarnings("ignore", "Matplotlib currently does not support", UserWarning)
        yield


def axis(name: str, along: Scale) -> str:
    """Return the labels over bars, as far apart as the bars' scale has them."""
    frame = _Frame.made(along, _WIDTH, _AXIS)
    frame.labels(7, along.ticks)
    for value in along.ticks:
        frame.upright(value, "line", 0, 4)
    return _svg(frame.figure, name, None, None)


def bar(one: Bar, along: Scale) -> str:
    """Return a figure with its interval: a band up to the limit, a dashed line at the tolerance, a point and a line."""
    frame = _Frame.made(along, _WIDTH, _BAR)
    frame.band(-one.limit if along.signed else 0.0, one.limit)
    for value in along.ticks:
        frame.upright(value, "line", 0, _BAR)
    frame.upright(one.limit, "quiet", 3, _BAR - 3, width=1.6)
    frame.upright(one.tolerance, "quiet", 3, _BAR - 3, style=_DASHED)
    frame.interval(one, _BAR / 2, one.state)
    return _svg(frame.figure, one.name, one.title, one.told)


def dots(name: str, title: str, shown: Sequence[Dot], along: Scale, limit: float) -> str:
    """Return a dot plot: a row for each group, with its interval and n, and a dashed line at the limit."""
    rows = _ROW * len(shown)
    frame = _Frame.made(along, _DOTS, rows + _AXIS, left=_NAMES, right=_COUNTS)
    frame.labels(rows + 8, along.ticks[::2] if along.signed else along.ticks)  # more have no room
    for value in along.ticks:
        frame.upright(value, "line" if value else "quiet", 0, rows)
    frame.upright(limit, "quiet", 0, rows, style=_DASHED)
    for number, one in enumerate(shown):
        at = rows - _ROW * (number + 0.5)
        frame.text(_NAMES - 4, at, _label(one.name, _LONGEST_NAME), "ink", "right", bold=one.whole)
        # In a difference, what lies wholly above 0 is worse for the group.
        frame.interval(one, at, "bad" if along.signed and one.lower > 0 else "ink")
        frame.text(frame.width - 2, at, f"n = {one.n:,}", "quiet", "right")
    return _svg(frame.figure, name, title, "; ".join(map(_told, shown)))


def _told(one: Dot) -> str:
    bounds = f"from {100 * one.lower:.1f} to {100 * one.upper:.1f} %"
    return f"{_label(one.name, 100)}: {100 * one.value:.1f} %, {bounds}, n = {one.n:,}"


_DASHED = (0, (2, 2))


@dataclass(frozen=True)
class _Frame:
    """A figure of which one unit is one unit of the SVG, with a scale between margins."""

    figure: Any
    axes: Any
    along: Scale
    left: float
    breadth: float
    width: float

    @classmethod
    def made(cls, along: Scale, breadth: float, height: float, left: float = 0, right: float = 0) -> _Frame:
        """Return an empty one whose scale is so broad, with so much room beside it."""
        # Not pyplot, which keeps every figure and looks for a display.
        from matplotlib.figure import Figure

        width = left + breadth + right
        figure = Figure(figsize=(width / _POINT, height / _POINT))
        axes = figure.add_axes((0, 0, 1, 1))
        axes.set_axis_off()
        axes.set_xlim(0, width)
        axes.set_ylim(0, height)
        return cls(figure, axes, along, left, breadth, width)

    def across(self, value: float) -> float:
        return self.left + _MARGIN + self.along.place(value) * (self.breadth - 2 * _MARGIN)

    def labels(self, height: float, ticks: Sequence[float]) -> None:
        for value in ticks:
            sign = "+" if self.along.signed and value > 0 else "\u2212" if value < 0 else ""
            last = value == self.along.ticks[-1]
            place = self.across(value) + _MARGIN - 1 if last else self.across(value)
            label = f"{sign}{100 * abs(value):g}{' %' if last else ''}"
            self.text(place, height + 4, label, "quiet", "right" if last else "center")

    def text(self, x: float, y: float, text: str, ink: str, align: str, *, bold: bool = False) -> None:
        weight = "bold" if bold else "normal"
        color = _INKS[ink]
        self.axes.text(x, y - _SIZE / 2 + 1.5, text, color=color, ha=align, size=_SIZE, weight=weight)

    def upright(self, value: float, ink: str, low: float, high: float, width: float = 0.8, style: Any = "-") -> None:
        place = self.across(value)
        self.axes.plot([place, place], [low, high], color=_INKS[ink], linewidth=width, linestyle=style)

    def band(self, start: float, end: float) -> None:
        first, last = self.across(start), self.across(end)
        sides = [3, 3, _BAR - 3, _BAR - 3]
        self.axes.fill([first, last, last, first], sides, color=_INKS["band"], linewidth=0)

    def interval(self, one: Bar | Dot, at: float, ink: str) -> None:
        low, middle, high = map(self.across, (one.lower, one.value, one.upper))
        color = _INKS[ink]
        self.axes.plot([low, high], [at, at], color=color, linewidth=2)
        for end in (low, high):
            self.axes.plot([end, end], [at - 3.5, at + 3.5], color=color, linewidth=1.5)
        mark, size = _MARKS.get(ink, "o"), 8 if isinstance(one, Bar) else 7
        edge = {"markeredgecolor": _INKS["ground"], "markeredgewidth": 1}
        self.axes.plot([middle], [at], mark, color=color, markersize=size, clip_on=False, **edge)


def _label(name: str, longest: int) -> str:
    """Return a name as a drawing can show it: one line of what XML can hold, not too long."""
    shown = "".join(" " if unicodedata.category(sign)[0] == "C" or sign in "\u2028\u2029" else sign for sign in name)
    return shown if len(shown) <= longest else f"{shown[: longest - 1]}…"


def _svg(figure: Any, name: str, title: str | None, told: str | None) -> str:
    """Return a figure as SVG of the page: no colours, no ids of other drawings, and what it shows in words."""
    text = io.StringIO()
    figure.savefig(text, format="svg", metadata={"Date": None}, transparent=True)
    ET.register_namespace("", _SVG)
    ET.register_namespace("xlink", _XLINK)
    drawn = ET.fromstring(text.getvalue())  # noqa: S314  # matplotlib's own
    _strip(drawn)
    for element in drawn.iter():
        _restyle(element)
        _rename(element, name)
        _fit(element)
    for attribute in ("width", "height", "version"):
        drawn.attrib.pop(attribute, None)
    drawn.set("class", "chart")
    if title is None:
        drawn.set("aria-hidden", "true")
    else:
        drawn.set("role", "img")
        drawn.set("aria-labelledby", f"{name}-title {name}-told")
        for place, (tag, content) in enumerate((("title", title), ("desc", told))):
            element = ET.Element(f"{{{_SVG}}}{tag}", id=f"{name}-{'title' if tag == 'title' else 'told'}")
            element.text = content
            drawn.insert(place, element)
    return ET.tostring(drawn, encoding="unicode")


def _strip(drawn: ET.Element) -> None:
    """Take out what matplotlib says of itself, its style sheet, and the empty grounds of figure and axes."""
    for parent in list(drawn.iter()):
        for child in list(parent):
            tag = child.tag.rpartition("}")[2]
            ground = child.get("style") == "fill: none" and tag == "path"
            if tag in ("metadata", "style") or ground:
                parent.remove(child)
            child.tail = None
        parent.text = parent.text if parent.tag.endswith("text") else None


def _restyle(element: ET.Element) -> None:
    """Turn a style attribute into attributes, and our inks into classes."""
    classes = []
    for declaration in element.attrib.pop("style", "").split(";"):
        name, _, value = (part.strip() for part in declaration.partition(":"))
        if name in ("fill", "stroke") and value in _CLASSES:
            classes.append(f"{name}-{_CLASSES[value]}")
        elif name and name != "font-family":
            element.set(name, value)
    if classes:
        element.set("class", " ".join(classes))


def _fit(element: ET.Element) -> None:
    """Keep a long name in its place; DejaVu, by which it is measured, is as broad as readers' fonts get."""
    if element.tag != f"{{{_SVG}}}text" or len(element.text or "") <= _FITTING:
        return
    from matplotlib.textpath import TextPath

    if TextPath((0, 0), element.text or "", size=_SIZE).get_extents().width > _NAMES - 6:
        element.set("textLength", str(_NAMES - 6))
        element.set("lengthAdjust", "spacingAndGlyphs")


def _rename(element: ET.Element, name: str) -> None:
    """Make ids and references to them a drawing's own."""
    for attribute, value in element.attrib.items():
        if attribute == "id":
            element.set(attribute, f"{name}-{value}")
        elif value.startswith("#") and attribute.endswith("href"):
            element.set(attribute, f"#{name}-{value[1:]}")
        elif value.startswith("url(#"):
            element.set(attribute, f"url(#{name}-{value[5:]}")

"""What a page tells of each detector that was evaluated: verdict, figures in words, and charts."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlencode

from bias_suite.detectors import Detector
from bias_suite.reporting import charts
from bias_suite.reporting.charts import Bar, Scale
from bias_suite.reporting.groups import Plot
from bias_suite.reporting.text import cut, figure

STATES = {"pass": "good", "fail": "bad", "error": "bad", "inconclusive": "warn", "known": "warn", "waived": "warn"}
_LONGEST = 200


@dataclass(frozen=True)
class Line:
    """A detector that was evaluated.

    Attributes:
        row: As ``summary.json`` has it.
        title: What it looks for.
        state: ``good``, ``bad`` or ``warn``.
        counts: Failed probes, and of how many.
        bounds: Its bounds in words; empty where there are none.
        measure: The difference that is shown, where it compares groups; else empty.
        held: Tolerance and limit, in words.
        chart: Its chart, as SVG; empty where there is none.
        cases: The part of the page's address that shows its failed cases.
    """

    row: Mapping[str, Any]
    title: str
    state: str
    counts: str
    bounds: str
    measure: str
    held: str
    chart: str
    cases: str


@dataclass(frozen=True)
class Picture:
    """A plot, drawn.

    Attributes:
        plot: Its figures.
        svg: The drawing.
    """

    plot: Plot
    svg: str


@dataclass(frozen=True)
class Measured:
    """The plots of one measure of a detector.

    Attributes:
        detector: The detector.
        measure: What is compared; empty for the share of failed answers.
        pictures: A plot for each axis.
        leading: Whether no other measure of the detector shows more evidence of a difference.
    """

    detector: str
    measure: str
    pictures: tuple[Picture, ...]
    leading: bool


def compared(row: Mapping[str, Any]) -> str:
    """Return which measure a detector's rate is, where that is a difference between groups; else an empty text."""
    bounds = row["interval"] and list(row["interval"])
    for one in row["measures"]:
        if bounds and one.get("signed") and not one["part"] and [one["lower"], one["upper"]] == bounds:
            return str(one["name"])
    return ""


def scale(rows: Iterable[Mapping[str, Any]]) -> Scale:
    """Return the scale on which the differences of all detectors that compare groups can be shown."""
    return charts.scale([bound for row in rows if compared(row) for bound in row["interval"]])


def line(
    row: Mapping[str, Any], detector: Detector | None, settings: Mapping[str, Any], signed: Scale, name: str
) -> Line:
    """Return what is told of a detector; called within `charts.drawing`.

    Args:
        row: As ``summary.json`` has it.
        detector: The detector; None where the catalogue does not know it.
        settings: What the run was held to.
        signed: The scale of differences.
        name: What its chart is called.
    """
    measure, interval = compared(row), row["interval"]
    tolerance, limit = limits(detector, settings)
    state = STATES.get(row["verdict"], "warn")
    bounds = "" if interval is None else span(*interval, signed=bool(measure))
    held = f"tolerance {100 * tolerance:g} %, limit {100 * limit:g} %"
    chart = ""
    if interval is not None and row["rate"] is not None:
        title = f"{row['id']}: {measure or 'failure rate'}"
        told = f"{100 * row['rate']:.1f} %, bounds {bounds}; {held}"
        one = Bar(
            name,
            cut(title, _LONGEST),
            cut(told, _LONGEST),
            row["rate"],
            interval[0],
            interval[1],
            tolerance,
            limit,
            state,
        )
        chart = charts.bar(one, signed if measure else Scale())
    uncounted = not row["probes"] and row["verdict"] in ("fail", "inconclusive")  # it asked by itself
    return Line(
        row=row,
        title=detector.title if detector else "",
        state=state,
        counts=f"{figure(row['failures'])} / {'?' if uncounted else format(row['judged'], ',')}",
        bounds=bounds,
        measure=measure,
        held=held,
        chart=chart,
        cases=urlencode({"verdict": "failed", "detector": row["id"]}, errors="replace"),
    )


def limits(detector: Detector | None, settings: Mapping[str, Any]) -> tuple[float, float]:
    """Return tolerance and limit of a detector."""
    tolerance, limit = settings["tolerance"], settings["limit"]
    if detector is None:
        return tolerance, limit
    own = 0.0 if detector.zero_tolerance else detector.tolerance
    return tolerance if own is None else own, limit if detector.limit is None else detector.limit


def span(lower: float, upper: float, *, signed: bool = False) -> str:
    """Return bounds in words; those of a difference with their signs."""
    form = "+.1f" if signed else ".1f"
    return f"{_minus(100 * lower, form)} to {_minus(100 * upper, form)} %"


def _minus(number: float, form: str) -> str:
    return format(round(number, 1) + 0.0, form).replace("-", "\u2212")


def draw(plots: Sequence[Plot], limit: float) -> list[Measured]:
    """Return the plots, drawn, by detector and measure; called within `charts.drawing`."""
    grouped: dict[tuple[str, str], list[Plot]] = defaultdict(list)
    for plot in plots:
        grouped[plot.detector, plot.measure].append(plot)
    most: dict[str, float] = {}
    evidence = {key: max(dot.lower for plot in members for dot in plot.dots) for key, members in grouped.items()}
    for (detector, _), found in evidence.items():
        most[detector] = max(found, most.get(detector, -1.0))
    drawn: list[Measured] = []
    for number, (key, members) in enumerate(grouped.items()):
        pictures = _pictures(members, limit, f"groups-{number}")
        leading = evidence[key] == most.get(key[0])
        if leading:
            most.pop(key[0])  # of equals, the first
        drawn.append(Measured(*key, pictures, leading))
    return drawn


def _pictures(plots: Sequence[Plot], limit: float, name: str) -> tuple[Picture, ...]:
    signed = bool(plots[0].measure)
    along = charts.scale([end for plot in plots for dot in plot.dots for end in (dot.lower, dot.upper)])
    found = []
    for number, plot in enumerate(plots):
        told = f"{plot.detector}: {plot.measure or 'share of failed answers'} by {plot.axis or 'axis'}"
        svg = charts.dots(f"{name}-{number}", cut(told, _LONGEST), plot.dots, along if signed else Scale(), limit)
        found.append(Picture(plot, svg))
    return tuple(found)

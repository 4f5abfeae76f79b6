"""Groups beside each other, by axis: shares of failed answers, or differences with a direction where these decide."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from bias_suite import gate
from bias_suite.cases import Case
from bias_suite.reporting.charts import Dot
from bias_suite.reporting.text import visible

MOST = 40
"""Groups of a plot."""
_LONGEST = 100
_ALL = "all groups"
_Key = tuple[str, str, str, str]


@dataclass(frozen=True)
class Plot:
    """The groups of one axis.

    Attributes:
        detector: The detector that asked about them.
        measure: What is compared; empty for the share of failed answers.
        axis: What the groups differ in.
        dots: One for each group, the worst first; before them all together, where that was measured.
        left_out: Groups that there was no place for.
    """

    detector: str
    measure: str
    axis: str
    dots: tuple[Dot, ...]
    left_out: int = 0


class Failures:
    """Counts failed answers by detector, axis and group, as cases come."""

    def __init__(self, detectors: Collection[str], redact: Callable[[Case], Case]) -> None:
        """Take which detectors are decided on a failure rate, and what takes personal data out of names."""
        self._detectors, self._redact = detectors, redact
        self._names: dict[_Key, tuple[str, str]] = {}
        self._counts: dict[_Key, dict[str, list[int]]] = defaultdict(lambda: defaultdict(lambda: [0, 0]))

    def take(self, case: Case) -> None:
        """Count a case, where it is evidence about a group."""
        if case.detector not in self._detectors or not case.axis or not case.group:
            return
        if case.verdict not in ("passed", "failed"):
            return
        key = case.detector, case.axis, case.group, case.language
        if key not in self._names:
            plain = self._redact(case)
            self._names[key] = visible(plain.axis or "", _LONGEST), visible(plain.group or "", _LONGEST)
        found = self._counts[key][case.cluster]
        found[0] += case.verdict == "failed"
        found[1] += 1

    def plots(self, confidence: float) -> list[Plot]:
        """Return a plot for each detector and axis of which there is more than one group.

        Args:
            confidence: Of each one-sided bound.
        """
        merged: dict[tuple[str, str], dict[str, dict[str, list[int]]]] = defaultdict(dict)
        for key, clusters in sorted(self._counts.items()):
            axis, group = self._names[key]
            into = merged[key[0], axis].setdefault(group, defaultdict(lambda: [0, 0]))
            for cluster, (failed, n) in clusters.items():
                into[cluster][0] += failed
                into[cluster][1] += n
        return [
            _plot(detector, "", axis, [_share(name, list(one.values()), confidence) for name, one in groups.items()])
            for (detector, axis), groups in sorted(merged.items())
            if len(groups) > 1
        ]


def _share(name: str, clusters: Sequence[Sequence[int]], confidence: float) -> Dot:
    counts = sorted((float(failed), n) for failed, n in clusters)
    n = sum(count for _, count in counts)
    return Dot(name, sum(failed for failed, _ in counts) / n, *gate.bounds(counts, confidence), n)


def differences(detector: str, measures: Iterable[Mapping[str, Any]]) -> list[Plot]:
    """Return a plot for each measure and axis of a detector that compares groups.

    Args:
        detector: Its id.
        measures: As ``summary.json`` has them; of those that are signed. A part is an axis, or ``axis: group``.
    """
    found: dict[str, dict[str, Dot]] = defaultdict(dict)
    for one in measures:
        if one.get("signed") and one["part"] and one["lower"] is not None:
            found[one["name"]][one["part"]] = Dot(one["part"], one["value"], one["lower"], one["upper"], one["n"])
    return [plot for measure, parts in found.items() for plot in _by_axis(detector, measure, parts)]


def _by_axis(detector: str, measure: str, parts: Mapping[str, Dot]) -> list[Plot]:
    axes = sorted(axis for axis in parts if any(other.startswith(f"{axis}: ") for other in parts))
    if not axes:
        return [_plot(detector, measure, "", [_named(dot, name) for name, dot in parts.items()])]
    return [
        _plot(
            detector,
            measure,
            axis,
            [
                _named(dot, name.removeprefix(f"{axis}: "))
                for name, dot in parts.items()
                if name.startswith(f"{axis}: ")
            ],
            _named(parts[axis], _ALL, whole=True),
        )
        for axis in axes
    ]


def _named(dot: Dot, name: str, *, whole: bool = False) -> Dot:
    return Dot(visible(name, _LONGEST), dot.value, dot.lower, dot.upper, dot.n, whole)


def _plot(detector: str, measure: str, axis: str, dots: Sequence[Dot], whole: Dot | None = None) -> Plot:
    kept = sorted(dots, key=lambda dot: (-dot.n, dot.name))[:MOST]
    ranked = sorted(kept, key=lambda dot: (-dot.value, dot.name))
    # Where an axis has one group, that is the axis.
    first = [whole] if whole and len(dots) > 1 else []
    return Plot(detector, measure, visible(axis, _LONGEST), (*first, *ranked), len(dots) - len(kept))

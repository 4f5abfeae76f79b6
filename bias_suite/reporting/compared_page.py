"""``bias-suite compare --html``: two runs side by side on one page, with the probes on which they differ."""

from __future__ import annotations

import heapq
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from bias_suite import files
from bias_suite.cases import Case, read_cases
from bias_suite.comparing import Change, Run
from bias_suite.detectors import Detector
from bias_suite.errors import ReportError
from bias_suite.reporting import charts, compared, lines, pages
from bias_suite.reporting.charts import Scale
from bias_suite.reporting.lines import Line
from bias_suite.reporting.text import visible
from bias_suite.sinks import jsonl

MOST = 25
"""Probes of a detector that got worse, and that got better."""
_TEMPLATE = "compare.html.jinja"
_TEXT = 4_000
_Key = tuple[str, str, int]


@dataclass(frozen=True)
class Compared:
    """A detector in two runs.

    Attributes:
        change: What changed.
        sides: What is told of it in each run; None where it was not decided there.
        state: ``good``, ``bad`` or ``quiet``.
    """

    change: Change
    sides: tuple[Line | None, Line | None]
    state: str

    @property
    def signed(self) -> bool:
        """Whether it compares groups."""
        return any(side is not None and side.measure for side in self.sides)


@dataclass(frozen=True)
class Flip:
    """A probe that one run passed and the other failed.

    Attributes:
        worse: Whether it is the second that failed.
        before: Its case in the first run.
        after: Its case in the second.
    """

    worse: bool
    before: Case
    after: Case


@dataclass(frozen=True)
class Flips:
    """The probes of a detector that changed sides.

    Attributes:
        detector: Its id.
        worse: How many failed only in the second run.
        better: How many failed only in the first.
        shown: Those that the page holds, the worse first.
    """

    detector: str
    worse: int
    better: int
    shown: tuple[Flip, ...]


def write(
    path: Path,
    before: Run,
    after: Run,
    found: Sequence[Change],
    detectors: Sequence[Detector],
    redact: Callable[[Case], Case],
) -> None:
    """Write the page, in one piece.

    Args:
        path: Where.
        before: The first run.
        after: The second.
        found: What changed.
        detectors: The catalogue.
        redact: Takes personal data out of a case that is shown.

    Raises:
        ReportError: The cases cannot be read, or the page cannot be written.
    """
    known = {detector.id: detector for detector in detectors}
    tested = [one.detector for one in found if one.compared is not None]
    signed = lines.scale(side for one in found for side in (one.before, one.after) if side is not None)
    with charts.drawing():
        told = [_compared(one, number, (before, after), known, signed) for number, one in enumerate(found)]
        axes = {
            along.signed: [charts.axis(f"axis-{along.signed}-{side}".lower(), along) for side in "ab"]
            for along in (Scale(), signed)
        }
    page = pages.template(_TEMPLATE).generate(
        runs={"A": before.summary["run"], "B": after.summary["run"]},
        folders={"A": str(before.folder), "B": str(after.folder)},
        told=told,
        axes=axes,
        flips=flips(before.folder, after.folder, tested, redact),
        direction=compared.direction,
        verdict=compared.verdict(found),
    )
    try:
        files.write(path, page, private=True)
    except OSError as error:
        raise ReportError(f"cannot write {path}: {error.strerror}") from None


def _compared(
    one: Change, number: int, runs: tuple[Run, Run], known: Mapping[str, Detector], signed: Scale
) -> Compared:
    first, second = (
        None
        if row is None
        else lines.line(row, known.get(one.detector), run.summary["run"]["settings"], signed, f"bar-{number}-{side}")
        for side, row, run in zip("ab", (one.before, one.after), runs, strict=True)
    )
    state = {"worse": "bad", "better": "good"}.get(one.direction, "quiet")
    return Compared(one, (first, second), state)


def flips(before: Path, after: Path, detectors: Sequence[str], redact: Callable[[Case], Case]) -> list[Flips]:
    """Return the probes that one run passed and the other failed, by detector.

    Args:
        before: Report folder of the first run.
        after: Report folder of the second.
        detectors: Which detectors, by id.
        redact: Takes personal data out of a case that is shown.
    """
    verdicts = {_key(case): case.verdict for case in _decided(before, detectors)}
    changed: dict[tuple[str, bool], list[_Key]] = defaultdict(list)
    for case in _decided(after, detectors):
        then = verdicts.get(_key(case))
        if then is not None and then != case.verdict:
            changed[case.detector, case.verdict == "failed"].append(_key(case))
    chosen = {key for keys in changed.values() for key in heapq.nsmallest(MOST, keys)}
    cases: list[dict[_Key, Case]] = [
        {_key(case): _shown(redact(case)) for case in _decided(folder, detectors) if _key(case) in chosen}
        for folder in (before, after)
    ]
    shown: dict[str, list[Flip]] = defaultdict(list)
    for key in sorted(chosen):
        shown[key[0]].append(Flip(cases[1][key].verdict == "failed", cases[0][key], cases[1][key]))
    counts = Counter({which: len(keys) for which, keys in changed.items()})
    return [
        Flips(
            detector,
            counts[detector, True],
            counts[detector, False],
            tuple(sorted(shown[detector], key=lambda flip: not flip.worse)),
        )
        for detector in detectors
        if detector in shown
    ]


def _decided(folder: Path, detectors: Sequence[str]) -> Iterator[Case]:
    cases: Iterable[Case] = read_cases(folder / jsonl.FILE)
    return (case for case in cases if case.detector in detectors and case.verdict in ("passed", "failed"))


def _key(case: Case) -> _Key:
    return case.detector, case.probe, case.trial


def _shown(case: Case) -> Case:
    """Return a case with its texts cut, and what cannot be seen as an escape."""
    texts: dict[str, Any] = {name: visible(getattr(case, name), _TEXT) for name in ("question", "answer", "reason")}
    return replace(case, **texts, contexts=(), others=(), measures={})

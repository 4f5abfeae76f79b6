"""``index.html``: the report that people read and decide on, one file that needs no network.

It says what ``summary.json`` says, in words, figures and charts, and holds the cases, among which a script finds those
that a reader looks for. The page loads nothing and runs nothing but that script (Content-Security-Policy); what a
chatbot said is text wherever it stands.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable, Generator, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest

from bias_suite import files
from bias_suite.cases import Case, read_cases
from bias_suite.detectors import CATALOGUE, Detector
from bias_suite.errors import ReportError
from bias_suite.reporting import charts, embedded, groups, lines, pages
from bias_suite.reporting.charts import Scale
from bias_suite.reporting.summary import EVALUATED
from bias_suite.sinks import jsonl

FILE = "index.html"
_TEMPLATE = "index.html.jinja"
_HOLDING = ("fail", "error", "inconclusive")
_ENDED = {
    0: "every test passed or was skipped",
    1: "tests failed",
    2: "the run was interrupted",
    3: "pytest or one of its plugins broke",
    4: "pytest was used wrongly",
    5: "no test was run",
}


class Page:
    """A pytest plugin that writes the page when a run has finished."""

    def __init__(self, detectors: Sequence[Detector], redact: Callable[[Case], Case]) -> None:
        """Take the catalogue, and what takes personal data out of a case."""
        self._detectors, self._redact = detectors, redact

    @pytest.hookimpl(wrapper=True)
    def pytest_bias_run_finished(
        self, summary: dict[str, Any], report_dir: Path, config: pytest.Config
    ) -> Generator[None, object, object]:
        """Write the page once the other sinks are done, whatever became of them."""
        try:
            return (yield)
        finally:
            write(summary, report_dir, self._detectors, self._redact)


def write(
    summary: Mapping[str, Any],
    report_dir: Path,
    detectors: Sequence[Detector] = CATALOGUE,
    redact: Callable[[Case], Case] = lambda case: case,
) -> Path:
    """Write the page of a run, in one piece.

    Args:
        summary: The content of ``summary.json``.
        report_dir: Holds the run's ``cases.jsonl``, and gets the page.
        detectors: The catalogue.
        redact: Takes personal data out of a case that is shown.

    Raises:
        ReportError: The cases cannot be read, or the page cannot be written.
    """
    path, cases = report_dir / FILE, report_dir / jsonl.FILE
    page = render(summary, lambda: read_cases(cases) if cases.exists() else (), detectors, redact)
    try:
        files.write(path, page, private=True)
    except OSError as error:
        raise ReportError(f"cannot write {path}: {error.strerror}") from None
    return path


def render(
    summary: Mapping[str, Any],
    cases: Callable[[], Iterable[Case]],
    detectors: Sequence[Detector] = CATALOGUE,
    redact: Callable[[Case], Case] = lambda case: case,
) -> Iterator[str]:
    """Yield the page in pieces; the same figures and cases give the same page, in whatever order the cases come.

    Args:
        summary: The content of ``summary.json``.
        cases: Returns the run's cases, each time from the first; they are read twice.
        detectors: The catalogue: what each detector looks for and is held to.
        redact: Takes personal data out of a case that is shown.
    """
    known = {detector.id: detector for detector in detectors}
    rows, settings = summary["detectors"], summary["run"]["settings"]
    # A search asks for what tells most: what it found is no sample of a group's answers.
    searching = {one.id for one in detectors if one.asks}
    failures = groups.Failures({row["id"] for row in rows if not lines.compared(row)} - searching, redact)
    chosen = embedded.choose(cases, redact, failures.take)
    evaluated = [row for row in rows if row["verdict"] != "not_evaluated"]
    verdicts = Counter(row["verdict"] for row in evaluated)
    signed = lines.scale(evaluated)
    with charts.drawing():
        told = [
            lines.line(row, known.get(row["id"]), settings, signed, f"bar-{number}")
            for number, row in enumerate(evaluated)
        ]
        differences = [plot for row in evaluated for plot in groups.differences(row["id"], row["measures"])]
        plots = lines.draw([*differences, *failures.plots(settings["confidence"])], settings["limit"])
        axes = {False: charts.axis("axis-rates", Scale()), True: charts.axis("axis-differences", signed)}
    yield from pages.template(_TEMPLATE).generate(
        summary=summary,
        ended=_ENDED.get(summary["exit_status"], "pytest says no more"),
        lines=told,
        holding=[one for verdict in _HOLDING for one in told if one.row["verdict"] == verdict],
        counts={verdict: verdicts[verdict] for verdict in EVALUATED if verdict in verdicts},
        missing=_by_reason(row for row in rows if row["verdict"] == "not_evaluated"),
        plots=plots,
        axes=axes,
        known=known,
        cases=chosen,
    )


def _by_reason(rows: Iterable[Mapping[str, Any]]) -> dict[str, list[str]]:
    found: dict[str, list[str]] = defaultdict(list)
    for row in rows:
        found[row["reason"]].append(row["id"])
    return found

"""``index.html``: the report that people read and decide on, one file that needs no network.

It says what ``summary.json`` says, in words, figures and charts, and holds the cases, among which a script finds those
that a reader looks for. The page loads nothing and runs nothing but that script (Content-Security-Policy); what a
chatbot said is text wherever it stands.
"""

from __future__ import annotations

import base64
import datetime
import functools
import hashlib
import json
from collections import Counter, defaultdict
from collections.abc import Callable, Generator, Iterable, Iterator, Mapping, Sequence
from importlib.resources import files as resources
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from bias_suite import files
from bias_suite.cases import Case, read_cases
from bias_suite.detectors import CATALOGUE, Detector
from bias_suite.errors import ReportError
from bias_suite.reporting import charts, embedded, groups, lines
from bias_suite.reporting import summary as summaries
from bias_suite.reporting.charts import Scale
from bias_suite.reporting.text import figure, visible
from bias_suite.sinks import jsonl

if TYPE_CHECKING:
    from jinja2 import Template

FILE = "index.html"
_TEMPLATE = "index.html.jinja"
_LONGEST = 2_000
_HOLDING = ("fail", "error", "inconclusive")
_ENDED = {
    0: "every test passed or was skipped",
    1: "tests failed",
    2: "the run was interrupted",
    3: "pytest or one of its plugins broke",
    4: "pytest was used wrongly",
    5: "no test was run",
}
_PARTS = {"run": dict, "detectors": list, "calls": dict, "tokens": dict, "exit_status": int}


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


def read_summary(folder: Path) -> dict[str, Any]:
    """Return the summary of a run.

    Raises:
        ReportError: There is none, or it is of a part of a run.
    """
    path = folder / summaries.FILE
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise ReportError(f"{path}: cannot read the summary: {error.strerror}") from None
    except ValueError as error:
        raise ReportError(f"{path}: not a summary: {error}") from None
    if not isinstance(content, dict) or content.get("schema") != summaries.SCHEMA:
        raise ReportError(f"{path}: not a summary of schema {summaries.SCHEMA}")
    if wrong := [name for name, kind in _PARTS.items() if not isinstance(content.get(name), kind)]:
        raise ReportError(f"{path}: not a summary: {', '.join(wrong)} is missing or of another kind")
    if content["run"].get("shard"):
        raise ReportError(f"{path}: of a part of a run, which decides nothing: `bias-suite merge` makes its report")
    return content


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
    signed = lines.scale(evaluated)
    with charts.drawing():
        told = [
            lines.line(row, known.get(row["id"]), settings, signed, f"bar-{number}")
            for number, row in enumerate(evaluated)
        ]
        differences = [plot for row in evaluated for plot in groups.differences(row["id"], row["measures"])]
        plots = lines.draw([*differences, *failures.plots(settings["confidence"])], settings["limit"])
        axes = {False: charts.axis("axis-rates", Scale()), True: charts.axis("axis-differences", signed)}
    yield from _template().generate(
        summary=summary,
        ended=_ENDED.get(summary["exit_status"], "pytest says no more"),
        lines=told,
        holding=[one for one in told if one.row["verdict"] in _HOLDING],
        counts=Counter(one.row["verdict"] for one in told),
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


@functools.cache
def _template() -> Template:
    import jinja2

    environment = jinja2.Environment(
        autoescape=True,
        trim_blocks=True,
        lstrip_blocks=True,
        undefined=jinja2.StrictUndefined,
        finalize=_inert,
    )
    filters: dict[str, Any] = {
        "digest": lambda text: base64.b64encode(hashlib.sha256(str(text).encode()).digest()).decode(),
        "figure": figure,
        "percent": lambda rate: f"{100 * rate:.1f} %",
        "span": lambda interval, signed=False: lines.span(*interval, signed=signed),
        "thousands": lambda number: f"{number:,}",
        "duration": _duration,
        "moment": _moment,
    }
    environment.filters.update(filters)
    return environment.from_string(resources("bias_suite.reporting").joinpath(_TEMPLATE).read_text(encoding="utf-8"))


def _inert(value: Any) -> Any:
    """Return what the template shows, with what cannot be seen as an escape; what is HTML already as it is."""
    return visible(value, _LONGEST) if isinstance(value, str) and not hasattr(value, "__html__") else value


def _duration(seconds: float) -> str:
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    parts = [f"{hours} h"] * bool(hours) + [f"{minutes} min"] * bool(hours or minutes)
    return " ".join([*parts, f"{rest} s"]) if seconds >= 10 else f"{seconds:.1f} s"


def _moment(started: str) -> str:
    """Return a point in time for people; the text as it is where it is none."""
    try:
        return f"{datetime.datetime.fromisoformat(started):%Y-%m-%d %H:%M %Z}".strip()
    except ValueError:
        return started

"""``giskard.html`` and ``giskard.avid.jsonl``: our failed cases in Giskard's own two reports.

One Giskard issue stands for all failures of one requirement in one detector, as Giskard's detectors build theirs.
The web page is Giskard's template as it is: style and script are inside it, and it loads nothing from elsewhere
(only the headings' explanations link to Giskard's documentation). ``cases.jsonl`` stays the source of truth.
"""

from __future__ import annotations

import html
import json
import re
import warnings
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest

from bias_suite import files
from bias_suite.cases import Case, read_cases
from bias_suite.detectors import Detector, giskard
from bias_suite.errors import ReportError
from bias_suite.reporting.text import shortened, visible
from bias_suite.sinks import jsonl

HTML = "giskard.html"
AVID = "giskard.avid.jsonl"
SHOWN = 10
"""Examples of an issue on the web page; the AVID file has all."""
SHOWN_LENGTH = 4_000
"""Characters of a question, answer or reason on the web page."""
KEPT_LENGTH = 100_000
"""Characters of a question, answer or reason in the AVID file."""

# JSON may hold these as they are, but readers that split text into lines would break a line of ours there.
_LINE_BREAKS = {0x85: "\\u0085", 0x2028: "\\u2028", 0x2029: "\\u2029"}


@dataclass(frozen=True)
class _Finding:
    """A requirement that was broken: its failed cases, and how many answers were judged by it."""

    detector: Detector
    requirement: str
    failed: tuple[Case, ...]
    judged: int


class GiskardReports:
    """A pytest plugin that writes both reports when a run has finished."""

    def __init__(
        self, detectors: Sequence[Detector], description: str, redact: Callable[[Case], Case] = lambda case: case
    ) -> None:
        """Take the catalogue, what the model under test is for, and what takes personal data out of a case."""
        self._redact = redact
        self._requirements: dict[str, str] = {}
        self.written: list[Path] = []
        self._detectors = detectors
        self._description = description

    @pytest.hookimpl
    def pytest_bias_run_finished(self, summary: dict[str, Any], report_dir: Path, config: pytest.Config) -> None:
        """Write the reports of the run's cases; none where nothing was evaluated: they would look clean."""
        if all(one["verdict"] == "not_evaluated" for one in summary["detectors"]):
            return
        path = report_dir / jsonl.FILE
        cases = map(self._redacted, read_cases(path)) if path.exists() else ()
        model = summary["run"]["model"] or ""
        verdicts = Counter(one["verdict"].replace("_", " ").upper() for one in summary["detectors"])
        counts = ", ".join(f"{count} {verdict}" for verdict, count in sorted(verdicts.items()))
        note = (
            f"Failed answers of a bias-suite run that ended with {counts}. What passed or decided nothing is not here."
        )
        plan = summary["run"]["probes_sha256"]
        self.written = write(cases, self._detectors, model, self._description, report_dir, plan, note)

    def _redacted(self, case: Case) -> Case:
        if case.verdict == "failed":
            return self._redact(case)
        # The others are only counted, by their requirement.
        if case.requirement not in self._requirements:
            self._requirements[case.requirement] = self._redact(case).requirement
        return replace(case, requirement=self._requirements[case.requirement])


def write(
    cases: Iterable[Case],
    detectors: Sequence[Detector],
    model: str,
    description: str,
    report_dir: Path,
    plan_sha256: str = "",
    note: str = "",
) -> list[Path]:
    """Write both reports, each in one piece (a reader sees the old one or the new one).

    The same cases give the same reports, in whatever order they come, but for the date in AVID's.

    Args:
        cases: The run's cases; the failed ones are shown, the passed ones counted.
        detectors: The catalogue; cases of other detectors come last, under a heading of their own.
        model: Name and version of the model under test.
        description: What the model is for.
        report_dir: Where to write; made where it is missing.
        plan_sha256: Fingerprint of the plan, which both reports carry.
        note: Shown on top of the page: what the run covers, since Giskard's page has no place for what it does not.

    Returns:
        The files: the web page and the AVID file, which is empty where nothing failed.

    Raises:
        ReportError: The cases cannot be read, or the reports cannot be written.
    """
    findings = _findings(cases, detectors)
    giskard.load()
    from giskard.scanner.report import ScanReport

    tested = _model(model, description)
    report = ScanReport([_issue(finding, tested) for finding in findings], model=tested)
    # Both are made before either is written: what cannot be shown leaves the last run's pair together.
    page = _with_note(report.to_html(), f"{note} Plan {plan_sha256}." if plan_sha256 else note)
    lines = "".join(_avid_lines(report, findings, plan_sha256))
    return [_replace(report_dir / HTML, page), _replace(report_dir / AVID, lines)]


def _with_note(page: str, note: str) -> str:
    style = "margin:0;padding:1em;background:#fff;color:#000;font:14px sans-serif"
    shown = f'<p class="bias-suite-note" style="{style}">{html.escape(_shown(note))}</p>'
    return re.sub(r"<body[^>]*>", lambda body: body[0] + shown, page, count=1) if note else page


def _findings(cases: Iterable[Case], detectors: Sequence[Detector]) -> list[_Finding]:
    failed: dict[tuple[str, str], list[Case]] = defaultdict(list)
    judged: Counter[tuple[str, str]] = Counter()
    for case in cases:
        key = (case.detector, case.requirement)
        judged[key] += case.verdict in ("passed", "failed")
        if case.verdict == "failed":
            failed[key].append(case)
    known = {detector.id: detector for detector in detectors}
    rank = {identifier: number for number, identifier in enumerate(known)}
    return [
        _Finding(
            known.get(identifier) or Detector(identifier, title="", tags=(), make_rule="", group="Other"),
            requirement,
            # Threads and processes finish in another order each time.
            tuple(sorted(failed[identifier, requirement], key=lambda case: (case.probe, case.trial, case.id))),
            judged[identifier, requirement],
        )
        for identifier, requirement in sorted(failed, key=lambda key: (rank.get(key[0], len(rank)), *key))
    ]


def _model(name: str, description: str) -> Any:
    """Return a Giskard model that only lends its name; Giskard's reports never ask it anything."""
    from giskard.models.function import PredictionFunctionModel

    shown = _kept(name) or "model under test"
    return PredictionFunctionModel(
        model=_never_asked,
        model_type="text_generation",
        name=shown,
        description=_kept(description) or shown,  # Giskard takes no model without one
        feature_names=["question"],
    )


def _never_asked(questions: Any) -> list[str]:
    raise NotImplementedError("the reports are made from answers that are there already")


def _issue(finding: _Finding, model: Any) -> Any:
    import pandas as pd
    from giskard.scanner.issues import Issue, IssueLevel

    number, requirement = len(finding.failed), _shown(finding.requirement)
    count = f"{number:,} of {finding.judged:,} answers" + (f" (here: the first {SHOWN})" if number > SHOWN else "")
    return Issue(
        model,
        None,
        group=_group(finding.detector.group),
        level=IssueLevel(_level(finding.detector)),
        # Giskard runs the description through str.format; the rest is shown as it is.
        description=_description(requirement).replace("{", "{{").replace("}", "}}"),
        examples=pd.DataFrame(_examples(finding.failed[:SHOWN], _shown)),
        meta={
            "metric": "Failing samples",
            "metric_value": number,
            "domain": requirement,
            "requirement": requirement,
            "deviation": count,
            "hide_index": True,
            "num_examples": SHOWN,
        },
        taxonomy=_taxonomy(finding.detector),
        detector_name=finding.detector.id,
    )


def _description(requirement: str) -> str:
    return "The model does not satisfy the following requirement: " + requirement


def _group(name: str) -> Any:
    from giskard.scanner import issues

    own = {value.name: value for value in vars(issues).values() if isinstance(value, issues.IssueGroup)}
    # One description for all others: two groups of one name but different descriptions are two tabs that cannot both
    # be opened.
    return own.get(name) or issues.IssueGroup(_shown(name), "We found answers that break requirements of this kind.")


def _level(detector: Detector) -> str:
    # Somebody's own detector may have a grade that Giskard does not know: rather too serious than no report.
    return detector.level if detector.level in ("major", "medium", "minor") else "major"


def _taxonomy(detector: Detector) -> list[str]:
    """Return the detector's AVID tags; one that AVID does not know would cost the whole report."""
    sep = _avid().SepEnum.__members__
    tags = [tag.split(":") for tag in detector.taxonomy if tag.startswith("avid-effect:")]
    return [":".join(parts) for parts in tags if len(parts) == 3 and parts[2].upper() in sep]


def _examples(cases: Sequence[Case], text: Callable[[str], str]) -> list[dict[str, str]]:
    """Return one row a case, in the columns of Giskard's own detectors (numbered for pairs of questions)."""
    width = max(1 + len(case.others) for case in cases)
    rows = []
    for case in cases:
        pairs = [(case.question, case.answer), *((other["question"], other["answer"]) for other in case.others)]
        told = [f"USER: {text(question)}\n\nAGENT: {text(answer)}" for question, answer in pairs]
        told += [""] * (width - len(told))
        names = ["Conversation"] if width == 1 else [f"Conversation {number + 1}" for number in range(width)]
        rows.append({**dict(zip(names, told, strict=True)), "Reason": text(case.reason) or "No reason provided."})
    return rows


def _shown(text: str) -> str:
    """Return text for the web page: cut, and with what cannot be seen as an escape."""
    # Giskard's template takes a backslash before an n for a new line; with a joiner, which has no width, it does not.
    return visible(text, SHOWN_LENGTH).replace("\\n", "\\\u2060n")


def _kept(text: str) -> str:
    """Return text for the AVID file: whole, as far as it is sane, and without what UTF-8 cannot hold."""
    return shortened(text, KEPT_LENGTH).encode("utf-8", "backslashreplace").decode()


def _avid() -> Any:
    with warnings.catch_warnings():
        # avidtools 0.1 and 0.2 configure their classes as pydantic 1 did; nobody who runs the gate can change that.
        warnings.filterwarnings("ignore", "Support for class-based `config` is deprecated", DeprecationWarning)
        warnings.filterwarnings("ignore", "Valid config keys have changed in V2", UserWarning)
        from giskard.integrations import avid
    return avid


def _avid_lines(report: Any, findings: Sequence[_Finding], plan_sha256: str) -> Iterator[str]:
    """Yield Giskard's AVID reports as JSON, with what Giskard leaves out: detector, level, n and all examples."""
    _avid()
    for finding, avid in zip(findings, report.to_avid(), strict=True):
        requirement = _kept(finding.requirement)
        avid.problemtype.description.value = _description(requirement)
        avid.metrics[0].results = {
            "value": len(finding.failed),
            "judged": finding.judged,
            "detector": _kept(finding.detector.id),
            "level": _level(finding.detector),
            "requirement": requirement,
            "plan_sha256": plan_sha256,
            "examples": _examples(finding.failed, _kept),
        }
        avid.impact.avid.risk_domain.sort()  # out of a set, whose order changes from process to process
        # avidtools 0.1 writes its optional fields as null and does not read them again.
        fields = {name: value for name, value in avid.model_dump(mode="json").items() if value is not None}
        yield json.dumps(fields, ensure_ascii=False).translate(_LINE_BREAKS) + "\n"


def _replace(path: Path, text: str) -> Path:
    try:
        files.write(path, text, private=True)
    except OSError as error:
        raise ReportError(f"cannot write {path}: {error.strerror}") from None
    return path

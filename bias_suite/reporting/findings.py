"""Failed answers as results of SARIF, and the requirements that they break as its rules."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import date
from typing import Any

from bias_suite.cases import Case
from bias_suite.detectors import Detector
from bias_suite.redaction import NOTHING, Redactor
from bias_suite.reporting import taxonomies
from bias_suite.reporting.places import Place
from bias_suite.reporting.text import printable
from bias_suite.sinks import jsonl
from bias_suite.waivers import Waiver

RANK = {"error": 0, "warning": 1, "note": 2}
"""SARIF's levels, the gravest first."""
_LEVELS = {"major": "error", "medium": "warning", "minor": "note"}
_SEVERITIES = {"error": "error", "warning": "warning", "note": "recommendation"}
_QUESTION, _ANSWER, _REASON, _BESIDE = 400, 800, 400, 200
KEPT = 4_000
"""Characters of a text that are looked at for personal data, before it is cut to what is shown."""
# What SARIF takes for a link, and for a place where an argument goes.
_LINK, _ARGUMENT = re.compile(r"\](?=\()"), re.compile(r"\{(?=\d+\})")


@dataclass(frozen=True)
class About:
    """What a report tells beside summary and cases.

    Attributes:
        detectors: The catalogue.
        model: ``--bias-model``; it tells the alerts of one chatbot from those of another.
        redactor: Takes personal data out.
        places: Where probes are written, by id.
        cases: Where ``cases.jsonl`` is, as a URI from the root of the repository; None where it is not below.
        repository: The address of the repository; None where it has none.
    """

    detectors: Sequence[Detector]
    model: str = ""
    redactor: Redactor = NOTHING
    places: Mapping[str, Place] = field(default_factory=dict)
    cases: str | None = None
    repository: str | None = None


@dataclass(frozen=True)
class Finding:
    """A failed case, cut; which line of ``cases.jsonl`` it is, and the waiver that covers it."""

    case: Case
    line: int
    waiver: Waiver | None = None

    @property
    def rule(self) -> tuple[str, str]:
        """Detector and requirement."""
        return self.case.detector, self.case.requirement


def in_force(told: Iterable[Mapping[str, Any]]) -> list[Waiver]:
    """Return the waivers of a summary that had not ended."""
    fields = ("owner", "reason", "case", "requirement", "detector")
    return [
        Waiver(expires=date.fromisoformat(one["expires"]), **{name: one[name] for name in fields})
        for one in told
        if not one["ended"]
    ]


def findings(cases: Iterable[Case], waivers: Sequence[Waiver]) -> Iterator[Finding]:
    """Yield the failed cases, cut so that many can be held; those that a waiver covers, too.

    Args:
        cases: In the order of ``cases.jsonl``.
        waivers: Those in force. One for a requirement covers what passed, too; that is no finding.
    """
    failed = {f"waived by {waiver}; it failed": waiver for waiver in waivers}
    for line, case in enumerate(cases, start=1):
        if case.verdict == "failed":
            yield Finding(_cut(case), line)
        elif case.verdict == "waived":
            prefix = next((one for one in failed if case.reason.startswith(one)), None)
            if prefix is not None:
                reason = case.reason.removeprefix(prefix).removeprefix(": ")
                yield Finding(_cut(replace(case, reason=reason)), line, failed[prefix])


def _cut(case: Case) -> Case:
    texts = {name: getattr(case, name)[:KEPT] for name in ("question", "answer", "reason", "requirement")}
    others = tuple({name: text[:KEPT] for name, text in one.items()} for one in case.others[:3])
    return replace(case, **texts, others=others, contexts=(), measures={}, span="")


def plain(text: str, length: int) -> str:
    """Return text on one line, cut, without what a viewer would take for a link or an argument."""
    shown = printable(text[: length + 1])
    shown = shown if len(shown) <= length else f"{shown[:length]}…"
    return _ARGUMENT.sub("{ ", _LINK.sub("] ", shown))


def level(detector: Detector | None) -> str:
    """Return how grave a failure is, in SARIF's words; of a detector that nobody knows, rather too grave."""
    return _LEVELS.get(detector.level, "error") if detector else "error"


def _rule_id(detector: str, requirement: str) -> str:
    return f"{plain(detector, 200)}/{_digest(requirement)[:12]}"


def _digest(*parts: str) -> str:
    return hashlib.sha256("\0".join(parts).encode("utf-8", "surrogatepass")).hexdigest()


def rule(finding: Finding, detector: Detector | None, redactor: Redactor) -> dict[str, Any]:
    """Return the rule that a finding breaks, as SARIF's ``reportingDescriptor``.

    Args:
        finding: One of the rule's.
        detector: Its detector; None where the catalogue does not have it.
        redactor: Takes personal data out of the requirement.
    """
    name, requirement = plain(finding.case.detector, 200), finding.case.requirement
    does = (detector and detector.title) or "breaks a requirement"
    told = plain(redactor.text(requirement, finding.case.language), 900) or "The requirement is empty."
    grave = level(detector)
    return {
        "id": _rule_id(*finding.rule),
        "name": "".join(part.capitalize() for part in re.split(r"\W|_", name)) or "Detector",
        "shortDescription": {"text": f"The chatbot {plain(does, 200)}."},
        "fullDescription": {"text": told},
        "help": {
            "text": f"Requirement: {told}\n\nA result is one answer that broke it, as the detector {name} found. "
            "One answer does not decide whether the release may go on, but the detector's failure rate: see "
            "properties.detectors of the run, or summary.json.\n\n"
            f"To ask again: pytest --pyargs bias_suite --bias-only {name}"
        },
        "defaultConfiguration": {"level": grave},
        "relationships": taxonomies.relationships(detector) if detector else [],
        "properties": {
            "tags": list(dict.fromkeys(plain(tag, 100) for tag in detector.tags))[:10] if detector else [],
            "detector": name,
            "problem.severity": _SEVERITIES[grave],
        },
    }


def result(finding: Finding, index: int, detector: Detector | None, about: About) -> dict[str, Any]:
    """Return a finding as SARIF's ``result``.

    Args:
        finding: The finding.
        index: Which of the rules it breaks.
        detector: Its detector; None where the catalogue does not have it.
        about: What else is told.
    """
    case, waiver = about.redactor.case(finding.case), finding.waiver
    told = ("axis", "group", "language", "probe", "cluster", "trial", "severity", "model", "judge")
    texts = {name: plain(value, 200) if isinstance(value := getattr(case, name), str) else value for name in told}
    accepted = [] if waiver is None else [_suppression(waiver, about.redactor)]
    return {
        "ruleId": _rule_id(*finding.rule),
        "ruleIndex": index,
        "kind": "fail",
        # Not every viewer heeds suppressions, and what somebody answers for shall not block there.
        "level": "note" if accepted else level(detector),
        "message": {"text": _message(case)},
        "locations": [_location(finding, about)],
        "partialFingerprints": {
            "primaryLocationLineHash": f"{_digest(case.detector, case.probe, str(case.trial))[:16]}:1",
            "biasSuiteCase/v1": plain(case.id, 200),
        },
        "suppressions": accepted,  # SARIF wants it in every result or in none
        "properties": {"case": plain(case.id, 200), **texts},
    }


def _message(case: Case) -> str:
    reason = plain(case.reason, _REASON) or "the answer breaks the requirement"
    # Viewers show the first sentence as a title.
    lines = [reason if reason.endswith((".", "!", "?", "…")) else f"{reason}."]
    lines += [f"Question: {plain(case.question, _QUESTION)}", f"Answer: {plain(case.answer, _ANSWER)}"]
    for other in case.others:
        lines.append(f"Beside it: {plain(other['question'], _BESIDE)}")
        lines.append(f"Answer: {plain(other['answer'], _BESIDE)}")
    return "\n".join(lines)


def _suppression(waiver: Waiver, redactor: Redactor) -> dict[str, Any]:
    told = redactor.text(f"{waiver.owner}, until {waiver.expires.isoformat()}: {waiver.reason}")
    return {"kind": "external", "status": "accepted", "justification": plain(told, _REASON)}


def _location(finding: Finding, about: About) -> dict[str, Any]:
    """Return where the probe is written, or else the case; of that line, which may have megabytes, the beginning."""
    case = finding.case
    place = about.places.get(case.probe) or about.places.get(case.cluster)
    base = "%SRCROOT%" if place or about.cases else "REPORTS"
    place = place or Place(about.cases or jsonl.FILE, finding.line, 1)
    name = plain(case.probe, 200)
    return {
        "physicalLocation": {
            "artifactLocation": {"uri": place.uri, "uriBaseId": base},
            "region": {
                "startLine": place.line,
                "startColumn": 1,
                "endLine": place.line,
                "endColumn": place.width + 1,
            },
        },
        "logicalLocations": [{"name": name, "fullyQualifiedName": f"{plain(case.detector, 200)}/{name}"}],
    }

"""``results.sarif``: the failed answers in SARIF 2.1.0, for GitHub code scanning and other viewers.

A rule is a requirement of a detector, a result one failed answer to one probe. It lies where the probe is written, if
that is a file of the repository, and else in ``cases.jsonl``. What a waiver covers is there as suppressed. What was not
evaluated, errored or was left undecided stands as a notification: a file without results proves nothing.

GitHub refuses files with more than 25,000 results or 10 MB packed, shows 5,000, and follows a result from run to run by
``primaryLocationLineHash``. Ours is made of detector, probe and trial, so that an answer in other words is still the
same alert; the action that uploads warns that it would have taken the line's.
"""

from __future__ import annotations

import heapq
import importlib.metadata
import json
import zlib
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from bias_suite import files
from bias_suite.cases import Case, encodable, read_cases
from bias_suite.detectors import Detector
from bias_suite.errors import ReportError
from bias_suite.redaction import Redactor
from bias_suite.reporting import findings, places, taxonomies
from bias_suite.reporting.findings import KEPT, About, Finding, plain
from bias_suite.sinks import jsonl

if TYPE_CHECKING:
    from bias_suite.options import Settings

FILE = "results.sarif"
SHOWN = 5_000
"""Results in the file, the gravest first."""
PACKED = 9_000_000
"""Bytes that they may take when they are packed."""
SCHEMA = "https://docs.oasis-open.org/sarif/sarif/v2.1.0/errata01/os/schemas/sarif-schema-2.1.0.json"
_NOTIFICATIONS = {
    "not-evaluated": ("A detector was not evaluated: that it has no results says nothing.", "warning"),
    "undecided": ("The evidence decides nothing about a detector.", "warning"),
    "errored": ("Too many answers could not be judged, or a detector ended without a result.", "error"),
    "left-out": ("There were more results than the file may hold.", "warning"),
}
_CONDITIONS = {"not_evaluated": "not-evaluated", "inconclusive": "undecided", "error": "errored"}
_ENDED = (pytest.ExitCode.OK, pytest.ExitCode.TESTS_FAILED)
_BASES = {
    "%SRCROOT%": {"description": {"text": "The root of the repository."}},
    "REPORTS": {"description": {"text": "The folder of the run's reports."}},
}
# JSON that can stand inside a web page.
_MARKUP = {ord(character): f"\\u{ord(character):04x}" for character in "<>&"}


class Sarif:
    """A pytest plugin that writes ``results.sarif`` when a run has finished."""

    def __init__(self, settings: Settings, detectors: Sequence[Detector], redactor: Redactor, rootdir: Path) -> None:
        """Take what the run was held to, the catalogue, what takes personal data out, and pytest's rootdir."""
        self._settings = settings
        self._about = About(detectors, settings.model or "", redactor)
        self._rootdir = rootdir

    @pytest.hookimpl
    def pytest_bias_run_finished(self, summary: dict[str, Any], report_dir: Path, config: pytest.Config) -> None:
        """Write the file; none where nothing was evaluated: GitHub would close every alert."""
        if all(one["verdict"] == "not_evaluated" for one in summary["detectors"]):
            return
        from bias_suite import plan

        base, path = places.root(self._rootdir), report_dir / jsonl.FILE
        folders = [plan.BUILT_IN] + ([self._settings.probes] if self._settings.probes else [])
        about = replace(
            self._about,
            places=places.probes(folders, base),
            cases=places.uri(path, base),
            repository=places.repository(base),
        )
        write(summary, read_cases(path) if path.exists() else (), about, report_dir)


def write(summary: Mapping[str, Any], cases: Iterable[Case], about: About, report_dir: Path) -> Path:
    """Write the file in one piece, for its owner alone.

    Args:
        summary: The content of ``summary.json``.
        cases: The run's cases, in the order of ``cases.jsonl``.
        about: What else is told.
        report_dir: Where to write; made where it is missing.

    Raises:
        ReportError: The cases cannot be read, or the file cannot be written.
    """
    path = report_dir / FILE
    text = _json(document(summary, cases, about), indent=1) + "\n"
    try:
        files.write(path, text, private=True)
    except OSError as error:
        raise ReportError(f"cannot write {path}: {error.strerror}") from None
    return path


def _json(value: Any, indent: int | None = None) -> str:
    text = json.dumps(value, ensure_ascii=False, indent=indent)
    # Half characters cannot be written in UTF-8, and some readers refuse the escapes that JSON has for them.
    return encodable(text.encode("utf-8", "replace").decode()).translate(_MARKUP)


def document(summary: Mapping[str, Any], cases: Iterable[Case], about: About) -> dict[str, Any]:
    """Return the report of a run, as JSON; in whatever order the cases come, only lines of ``cases.jsonl`` differ.

    Args:
        summary: The content of ``summary.json``.
        cases: The run's cases, in the order of ``cases.jsonl``; only those that are shown are held.
        about: What else is told.
    """
    known = {one.id: one for one in about.detectors}
    counted: Counter[tuple[str, bool]] = Counter()
    found = _counted(findings.findings(cases, findings.in_force(summary.get("waivers", ()))), counted)
    chosen = heapq.nsmallest(SHOWN, found, key=_order(known))
    rules: dict[tuple[str, str], Finding] = {}
    for one in chosen:
        rules.setdefault(one.rule, one)
    index = {rule: place for place, rule in enumerate(rules)}
    told = [findings.rule(one, known.get(one.case.detector), about.redactor) for one in rules.values()]
    results = _fitting(findings.result(one, index[one.rule], known.get(one.case.detector), about) for one in chosen)
    used = [known[name] for name in dict.fromkeys(name for name, _ in rules) if name in known]
    run = {
        "tool": {"driver": _driver(told, used)},
        "automationDetails": {"id": f"bias-suite/{plain(about.model.partition('(')[0], 200)}/{summary['run']['id']}"},
        "invocations": [_invocation(summary, sum(counted.values()) - len(results), about.redactor)],
        **_version(summary["run"]["git"], about.repository),
        "originalUriBaseIds": _BASES,
        "columnKind": "unicodeCodePoints",
        "taxonomies": taxonomies.components(used),
        "properties": _properties(summary, counted, len(results)),
        "results": results,
    }
    return {"$schema": SCHEMA, "version": "2.1.0", "runs": [run]}


def _order(known: Mapping[str, Detector]) -> Callable[[Finding], tuple[Any, ...]]:
    """Return what findings are sorted by: the gravest first, what is waived last."""
    rank = {name: place for place, name in enumerate(known)}

    def key(one: Finding) -> tuple[Any, ...]:
        case, level = one.case, findings.level(known.get(one.case.detector))
        first = one.waiver is not None, findings.RANK[level], rank.get(case.detector, len(rank))
        return *first, case.detector, case.requirement, case.probe, case.trial, case.id

    return key


def _counted(found: Iterable[Finding], counted: Counter[tuple[str, bool]]) -> Iterator[Finding]:
    for one in found:
        counted[one.case.detector, one.waiver is not None] += 1
        yield one


def _fitting(results: Iterable[dict[str, Any]]) -> list[dict[str, Any]]:
    """Return as many results as the file may hold."""
    packer, size, found = zlib.compressobj(), 0, []
    for result in results:
        size += len(packer.compress(_json(result).encode()))
        if size > PACKED:
            break
        found.append(result)
    return found


def _driver(rules: list[dict[str, Any]], used: Iterable[Detector]) -> dict[str, Any]:
    try:
        version = {"semanticVersion": importlib.metadata.version("bias-suite")}
    except importlib.metadata.PackageNotFoundError:  # a clone that is not installed
        version = {}
    named = {one["guid"] for one in taxonomies.components(used)}
    return {
        "name": "bias-suite",
        **version,
        "rules": rules,
        "notifications": [
            {"id": name, "shortDescription": {"text": text}, "defaultConfiguration": {"level": level}}
            for name, (text, level) in _NOTIFICATIONS.items()
        ],
        "supportedTaxonomies": [one.reference() for one in taxonomies.TAXONOMIES if one.guid in named],
    }


def _invocation(summary: Mapping[str, Any], left_out: int, redactor: Redactor) -> dict[str, Any]:
    status, rows = summary["exit_status"], summary["detectors"]
    started = datetime.fromisoformat(summary["run"]["started"]).astimezone(UTC)
    notes = [
        _notification(condition, redactor.text(one["reason"][:KEPT]), one["id"])
        for one in rows
        if (condition := _CONDITIONS.get(one["verdict"]))
    ]
    if left_out:
        notes.append(_notification("left-out", f"{left_out:,} more failed answers stand in {jsonl.FILE} alone."))
    return {
        "startTimeUtc": started.strftime("%Y-%m-%dT%H:%M:%SZ"),
        "exitCode": status,
        "exitCodeDescription": "the release may go on" if status == 0 else "the release is blocked",
        "executionSuccessful": status in _ENDED and all(one["verdict"] != "error" for one in rows),
        "toolExecutionNotifications": notes,
    }


def _notification(condition: str, text: str, detector: str | None = None) -> dict[str, Any]:
    about = {} if detector is None else {"properties": {"detector": plain(detector, 200)}}
    told = f"{plain(detector, 200)}: {plain(text, 600)}" if detector else text
    return {"descriptor": {"id": condition}, "level": _NOTIFICATIONS[condition][1], "message": {"text": told}, **about}


def _version(commit: str | None, repository: str | None) -> dict[str, Any]:
    """Return which commit of which repository was tested; SARIF has no place for one without the other."""
    if commit is None or repository is None:
        return {}
    details = {"repositoryUri": repository, "revisionId": commit, "mappedTo": {"uriBaseId": "%SRCROOT%"}}
    return {"versionControlProvenance": [details]}


def _properties(summary: Mapping[str, Any], counted: Mapping[tuple[str, bool], int], shown: int) -> dict[str, Any]:
    """Return the run's figures by detector; failed answers are not failures where trials are averaged."""
    run, total = summary["run"], sum(counted.values())
    return {
        "planSha256": run["probes_sha256"],
        "commit": run["git"],
        "model": plain(run["model"] or "", 200),
        "judge": plain((run["judge"] or {}).get("model") or "", 200),
        "failedAnswers": total,
        "leftOut": total - shown,
        "detectors": {
            plain(one["id"], 200): {
                "verdict": one["verdict"],
                "failures": one["failures"],
                "n": one["judged"],
                "interval": one["interval"],
                "failedAnswers": counted.get((one["id"], False), 0),
                "waivedAnswers": counted.get((one["id"], True), 0),
            }
            for one in summary["detectors"]
        },
    }

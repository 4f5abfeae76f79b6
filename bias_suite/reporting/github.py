"""GitHub Actions: the run as a job summary (Markdown), and an annotation for each detector that holds it up."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from bias_suite import waivers
from bias_suite.reporting.text import cut, figure, percent

if TYPE_CHECKING:
    from bias_suite.options import Settings

_LONGEST = 600
_PLAIN = frozenset(" ,;%+-–")
_BLOCKING = ("fail", "error", "inconclusive")


def wanted(environment: Mapping[str, str]) -> bool:
    """Tell whether a run takes place in GitHub Actions."""
    return environment.get("GITHUB_ACTIONS") == "true"


class GitHub:
    """A pytest plugin that tells GitHub Actions what a run has found."""

    def __init__(self, settings: Settings, environment: Mapping[str, str]) -> None:
        """Take what the run is held to, and the environment, which names the file of the job summary."""
        self._lenient = settings.inconclusive == "warn"
        file = environment.get("GITHUB_STEP_SUMMARY")
        self._file = Path(file) if file else None
        self._lines: list[str] = []

    @pytest.hookimpl
    def pytest_bias_run_finished(self, summary: dict[str, Any], report_dir: Path, config: pytest.Config) -> None:
        """Append the job summary; where that is not possible, say so and go on."""
        self._lines = commands(summary["detectors"], lenient=self._lenient)
        if self._file is None:
            return
        try:
            with self._file.open("a", encoding="utf-8") as file:
                file.write(markdown(summary))
        except OSError as error:
            self._lines.append(f"The job summary cannot be written: {error.strerror}")

    @pytest.hookimpl
    def pytest_terminal_summary(self, terminalreporter: pytest.TerminalReporter) -> None:
        """Write the annotations, each on a line of its own, which is how GitHub reads them."""
        for line in self._lines:
            terminalreporter.write_line(line)


def commands(detectors: Sequence[Mapping[str, Any]], *, lenient: bool) -> list[str]:
    """Return a workflow command for each detector that failed, or of which nothing is known.

    Args:
        detectors: As ``summary.json`` has them.
        lenient: Whether an INCONCLUSIVE detector does not block (``--bias-inconclusive warn``).
    """
    lines = []
    for one in detectors:
        if one["verdict"] not in _BLOCKING:
            continue
        level = "warning" if lenient and one["verdict"] == "inconclusive" else "error"
        title = _data(f"bias-suite: {one['id']} {one['verdict'].upper()}").replace(":", "%3A").replace(",", "%2C")
        lines.append(f"::{level} title={title}::{_data(cut(one['reason'], _LONGEST))}")
    return lines


def markdown(summary: Mapping[str, Any]) -> str:
    """Return the job summary of a run.

    Args:
        summary: The content of ``summary.json``.
    """
    detectors, run = summary["detectors"], summary["run"]
    evaluated = [one for one in detectors if one["verdict"] != "not_evaluated"]
    missing = [one for one in detectors if one["verdict"] == "not_evaluated"]
    verdict = "the release may go on" if summary["exit_status"] == 0 else "the release is blocked"
    lines = [
        f"## bias-suite: {verdict}",
        "",
        f"{len(evaluated)} of {len(detectors)} detectors were evaluated.",
        "",
        "| detector | verdict | failed / n | rate, at least and at most | what decided |",
        "|---|---|---:|---:|---|",
        *map(_line, evaluated),
        "",
    ]
    if missing:
        lines += ["Not evaluated:", "", *(f"- {_text(one['id'])}: {_text(one['reason'])}" for one in missing), ""]
    if accepted := waivers.notes(summary["waivers"]):
        lines += ["Accepted:", "", *(f"- {_text(line)}" for line in accepted), ""]
    told = {
        "model": run["model"],
        "judge": (run["judge"] or {}).get("model"),
        "plan": run["probes_sha256"][:12],
        "commit": (run["git"] or "")[:12],
    }
    lines += [", ".join(f"{name} {_text(str(value))}" for name, value in told.items() if value), ""]
    return "\n".join(lines)


def _line(one: Mapping[str, Any]) -> str:
    bounds = "" if one["interval"] is None else " – ".join(map(percent, one["interval"]))
    counts = f"{figure(one['failures'])} / {one['judged']}"
    return f"| {_text(one['id'])} | **{one['verdict'].upper()}** | {counts} | {bounds} | {_text(one['reason'])} |"


def _text(text: str) -> str:
    """Return text as Markdown that shows it and does nothing else: whatever could be markup is a reference."""
    shown = cut(text, _LONGEST)
    return "".join(c if c in _PLAIN or c.isalnum() else f"&#{ord(c)};" for c in shown)


def _data(text: str) -> str:
    return text.replace("%", "%25").replace("\r", "%0D").replace("\n", "%0A")

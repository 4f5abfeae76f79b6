"""What the main process does with the detectors' results (with xdist: the controller)."""

from __future__ import annotations

import os

import pytest

from bias_suite.errors import ReportError
from bias_suite.reporting import summary
from bias_suite.retries import told
from bias_suite.session import FILES, Session, detector_of


class Results:
    """Gathers rows from test reports, writes the summary, and shows it."""

    def __init__(self, session: Session) -> None:
        """Begin without any result."""
        self._session = session
        self._problem: str | None = None

    @pytest.hookimpl
    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """Take a detector's row from its test's report, whichever process ran it."""
        row = summary.from_properties(report.user_properties)
        if row is not None:
            self._session.rows[row.id] = row
        elif report.failed and (detector := detector_of(report.nodeid)):
            # Its fixture failed, or its process died: only the test's id still names the detector.
            self._session.crashed.add(detector)

    @pytest.hookimpl(tryfirst=True)
    def pytest_sessionfinish(self, session: pytest.Session) -> None:
        """Write the summary; a required detector without evaluation fails the run."""
        ours = self._session
        if not self._ran():
            return
        if ours.missing() and session.exitstatus in (pytest.ExitCode.OK, pytest.ExitCode.NO_TESTS_COLLECTED):
            session.exitstatus = pytest.ExitCode.TESTS_FAILED
        try:
            content = ours.write_summary(int(session.exitstatus))
        except ReportError as error:
            self._problem = str(error)
            session.exitstatus = session.exitstatus or pytest.ExitCode.INTERNAL_ERROR
            return
        self._register_sinks()
        try:
            ours.config.hook.pytest_bias_run_finished(
                summary=content, report_dir=ours.settings.report_dir, config=ours.config
            )
        except Exception as error:  # a sink may be anybody's, and the table and JUnit file are still to come
            self._problem = str(error) if isinstance(error, ReportError) else f"a sink failed: {told(error)}"
            session.exitstatus = session.exitstatus or pytest.ExitCode.INTERNAL_ERROR

    def _register_sinks(self) -> None:
        ours = self._session
        if ours.settings.shard:  # the merging brings all cases to people, once
            return
        ours.config.pluginmanager.register(ours.delivery, "bias_suite.delivery")
        from bias_suite.reporting import github

        if github.wanted(os.environ):
            ours.config.pluginmanager.register(github.GitHub(ours.settings, os.environ), "bias_suite.github")
        if ours.settings.html:
            from bias_suite.reporting.html import Page

            ours.config.pluginmanager.register(Page(ours.plan.detectors, ours.redactor.case), "bias_suite.page")
        from bias_suite.reporting.sarif import Sarif

        sarif = Sarif(ours.settings, ours.plan.detectors, ours.redactor, ours.config.rootpath)
        ours.config.pluginmanager.register(sarif, "bias_suite.sarif")
        if ours.settings.giskard_reports:
            from bias_suite.reporting.giskard_report import GiskardReports

            reports = GiskardReports(ours.plan.detectors, "", ours.redactor.case)
            ours.config.pluginmanager.register(reports, "bias_suite.giskard_reports")

    @pytest.hookimpl
    def pytest_terminal_summary(self, terminalreporter: pytest.TerminalReporter, exitstatus: int) -> None:
        """Show the table; not where wrong input stopped the run, whose one message is all there is to say."""
        if not self._ran() or exitstatus == pytest.ExitCode.USAGE_ERROR:
            return
        from bias_suite.reporting import chances, terminal

        ours = self._session
        folder = ours.settings.report_dir
        files = [path for name in FILES if (path := folder / name).exists()]
        writer = terminalreporter._tw
        terminalreporter.section("bias-suite")
        notes = [self._problem] if self._problem else []
        evaluated = [detector for detector in ours.plan.detectors if self._judged(detector.id)]
        if chance := chances.line(ours.plan, evaluated, ours.settings):
            notes.append(chance)
        notes.append(f"Plan {ours.plan.sha256[:12]}" + (f", judge {met}" if (met := ours.judge_met()) else ""))
        if worth := ours.judge_worth():
            notes.append(worth)
        if note := ours.recording_note():
            notes.append(note)
        notes += [*ours.journal_notes(), *ours.delivery.notes]
        if saved := sum(row.saved for row in ours.results()):
            notes.append(f"Stopped as soon as it was decided: {saved:,} calls of the model saved (--bias-sequential).")
        notes += ours.accepted.notes(ours.results(), ours.waivers)
        if missing := ours.missing():
            notes.append(f"Required but not evaluated: {', '.join(missing)} (--bias-require)")
        text = terminal.render(ours.results(), notes, files, writer.fullwidth, color=writer.hasmarkup)
        terminalreporter.write(text)

    def _judged(self, identifier: str) -> bool:
        row = self._session.rows.get(identifier)
        return row is not None and row.judged > 0 and row.evaluated

    def _ran(self) -> bool:
        known = {detector.id for detector in self._session.plan.detectors} if self._session.crashed else set()
        return self._session.begun or bool(self._session.rows) or bool(self._session.crashed & known)

"""Personal data stays out of what pytest shows of a detector's test: output, logs, tracebacks, warnings."""

from __future__ import annotations

import logging
import warnings
from collections.abc import Generator

import pytest

from bias_suite.session import Session


class Redaction:
    """A pytest plugin that redacts while a detector's test runs; other tests are none of its business."""

    def __init__(self, session: Session) -> None:
        """Take the session, whose redactor is made when it is first needed."""
        self._session = session
        self._testing = False

    @pytest.hookimpl(wrapper=True, tryfirst=True)
    def pytest_runtest_protocol(self, item: pytest.Item) -> Generator[None, object, object]:
        """Note whether the test is a detector's, and redact what it logs to a file or to the terminal."""
        self._testing = "bias_detector" in getattr(item, "fixturenames", ())
        plugin = item.config.pluginmanager.get_plugin("logging-plugin")
        handlers = [getattr(plugin, name, None) for name in ("log_file_handler", "log_cli_handler")]
        shown = [handler for handler in handlers if isinstance(handler, logging.Handler)] if self._testing else []
        for handler in shown:
            handler.addFilter(self._redact_record)
        try:
            return (yield)
        finally:
            for handler in shown:
                handler.removeFilter(self._redact_record)
            self._testing = False

    def _redact_record(self, record: logging.LogRecord) -> bool:
        try:
            text = record.getMessage()
        except Exception:  # wrong arguments: logging itself tells
            return True
        redacted = self._session.redactor.text(text)
        if redacted != text:
            record.msg, record.args = redacted, None
        return True

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_makereport(self, item: pytest.Item) -> Generator[None, pytest.TestReport, pytest.TestReport]:
        """Redact what the model printed and logged, and tracebacks."""
        report = yield
        if "bias_detector" in getattr(item, "fixturenames", ()):
            redact = self._session.redactor.text
            report.sections = [(name, redact(text)) for name, text in report.sections]
            if report.failed and report.longrepr and redact(report.longreprtext) != report.longreprtext:
                report.longrepr = redact(report.longreprtext)
        return report

    @pytest.hookimpl(tryfirst=True)
    def pytest_warning_recorded(self, warning_message: warnings.WarningMessage, nodeid: str) -> None:
        """Redact the warnings that a detector's test gave."""
        if self._testing:
            text = str(warning_message.message)
            redacted = self._session.redactor.text(text)
            if redacted != text:
                warning_message.message = UserWarning(redacted)

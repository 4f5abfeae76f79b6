"""Fixtures of the harness's own tests."""

from __future__ import annotations

import importlib
import os
import signal
from collections.abc import Iterator
from typing import Any

import hypothesis
import pytest

from tests.chromium import launched
from tests.gate_runs import Gate

# The same examples each time: a failure here is one of the change, not of the day. HYPOTHESIS_PROFILE=default searches.
hypothesis.settings.register_profile("repeatable", derandomize=True)
hypothesis.settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "repeatable"))


def pytest_configure(config: pytest.Config) -> None:
    """Turn warnings into errors here, and not in the gate, where an application's warnings are its own affair."""
    config.addinivalue_line("filterwarnings", "error")
    # litellm drops the clients of its cache without closing them, and the collector finds their sockets in whatever
    # test comes later.
    config.addinivalue_line(
        "filterwarnings", "ignore:Exception ignored in. <socket.socket:pytest.PytestUnraisableExceptionWarning"
    )
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        # So a shell starts what runs in its background, and programs hand it on: those that tests start could not
        # be interrupted. What is handled here is back to the default there.
        signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture(scope="session")
def loaded_once() -> None:
    """Import what pytester would make a later run import again: numpy cannot be, in one process."""
    for name in ("scipy.special", "bias_suite.reporting.terminal", "bias_suite.reporting.chances", "filelock"):
        importlib.import_module(name)


@pytest.fixture(scope="session")
def browser() -> Iterator[Any]:
    """Return a real browser, the session's only one; a page in a context of its own shares nothing with others."""
    with launched() as opened:
        yield opened


@pytest.fixture
def gate(loaded_once: None, pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch) -> Gate:
    """Return runs of `pytest bias_suite` in a folder of their own."""
    # In CI pytest shows every failure a second time, whole, and on GitHub ours tells GitHub.
    for name in ("CI", "BUILD_NUMBER", "GITHUB_ACTIONS", "GITHUB_STEP_SUMMARY"):
        monkeypatch.delenv(name, raising=False)
    return Gate(pytester, monkeypatch)

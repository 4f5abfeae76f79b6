"""Hooks of bias-suite's own, for plugins and ``conftest.py`` files that want its cases."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from bias_suite.cases import Case


@pytest.hookspec()
def pytest_bias_case(case: Case, config: pytest.Config) -> None:
    """Receive one case as soon as it is judged.

    Called in the process that asked (with xdist: in the worker), one call at a time, after the case is on
    disk. An exception here fails the test that the case belongs to.
    """


@pytest.hookspec()
def pytest_bias_run_finished(summary: dict[str, Any], report_dir: Path, config: pytest.Config) -> None:
    """Receive the run's summary once it is written.

    Called once, at the end of the session, in the main process (with xdist: the controller), whatever the
    exit status. `report_dir` holds ``summary.json`` and ``cases.jsonl`` with every case of the run.
    """

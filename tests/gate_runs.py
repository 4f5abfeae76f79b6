"""`pytest bias_suite`, run in a folder of its own, where this repository's ini is not in force."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

import bias_suite

ROOT = Path(__file__).resolve().parents[1]
# In tox it is the installed one.
PACKAGE = Path(bias_suite.__file__).parent
CANARIES = ROOT / "fixtures" / "documents" / "canaries.json"

# `small` and `other` ask forty and a hundred and twenty short questions; `written` those of --bias-probes alone.
INI = f"""\
[pytest]
bias_giskard_reports = no
bias_html = no
pythonpath =
    {PACKAGE.parent}
    {ROOT}
    .
bias_detectors =
    tests.detectors:SMALL
    tests.detectors:OTHER
    tests.detectors:WRITTEN
markers =
    small: the id of a detector of these tests
    other: the id of a detector of these tests
    written: the id of a detector of these tests
    no_rule: the id of a detector of these tests
"""
DETECTORS = 19  # with those sixteen that are built in


class Gate:
    """Runs of the gate in one folder, and what they wrote."""

    def __init__(self, pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch) -> None:
        """Write the folder's ini, and keep out what other plugins and this terminal would change."""
        self.pytester = pytester
        self.folder = pytester.path
        self.reports = pytester.path / "reports"
        pytester.makeini(INI)
        monkeypatch.setenv("PYTHONPATH", str(PACKAGE.parent))
        monkeypatch.setenv("PYTEST_DISABLE_PLUGIN_AUTOLOAD", "1")
        monkeypatch.setenv("COLUMNS", "160")

    def arguments(
        self, *options: str, model: str | None = "tests.bots:always_refuses", workers: int = 0, path: Path = PACKAGE
    ) -> list[str]:
        """Return pytest's arguments for a run; `path` is what it collects."""
        given = ["-p", "bias_suite.plugin", "-p", "no:cacheprovider", "-p", "no:unraisableexception"]
        given += ["-c", str(self.folder / "tox.ini"), f"--rootdir={self.folder}"]
        if workers:
            given += ["-p", "xdist.plugin", "-n", str(workers)]
        if model is not None:
            given.append(f"--bias-model={model}")
        return [*given, *options, str(path)]

    def run(self, *options: str, **how: Any) -> pytest.RunResult:
        """Run in this process (with workers, they have their own)."""
        return self.pytester.runpytest_inprocess(*self.arguments(*options, **how))

    def run_apart(self, *options: str, **how: Any) -> pytest.RunResult:
        """Run in another process."""
        return self.pytester.runpytest_subprocess(*self.arguments(*options, **how))

    def start(self, *options: str, **how: Any) -> subprocess.Popen[str]:
        """Begin a run in another process, which leads a process group of its own."""
        command = [sys.executable, "-m", "pytest", *self.arguments(*options, **how)]
        return subprocess.Popen(
            command,
            cwd=self.folder,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=True,
        )

    def wait_for_lines(self, count: int, name: str = "reports/cases.jsonl", within: float = 60.0) -> None:
        """Wait until a file of the folder has that many lines."""
        deadline = time.monotonic() + within
        path = self.folder / name
        while not path.exists() or path.read_bytes().count(b"\n") < count:
            assert time.monotonic() < deadline, f"no {count} lines in {name} within {within} s"
            time.sleep(0.02)

    def summary(self) -> dict[str, Any]:
        """Return the content of summary.json."""
        content: dict[str, Any] = json.loads((self.reports / "summary.json").read_text(encoding="utf-8"))
        return content

    def rows(self) -> dict[str, dict[str, Any]]:
        """Return the detectors of summary.json by id."""
        return {row["id"]: row for row in self.summary()["detectors"]}

    def verdicts(self) -> dict[str, str]:
        """Return the verdicts of summary.json by detector, those that were not evaluated left out."""
        return {name: row["verdict"] for name, row in self.rows().items() if row["verdict"] != "not_evaluated"}

    def cases(self) -> list[dict[str, Any]]:
        """Return the lines of cases.jsonl."""
        text = (self.reports / "cases.jsonl").read_text(encoding="utf-8")
        return [json.loads(line) for line in text.split("\n") if line]

"""Who has a chatbot and installs the wheel sees a first report within ten minutes, and edits nothing of ours."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from pathlib import Path

from tests.docs.conftest import ROOT, blocks, own_project

WITHIN = 600.0
"""Seconds from an empty virtual environment to the report."""


def test_from_the_wheel_to_the_first_report(tmp_path: Path) -> None:
    subprocess.run(
        [sys.executable, "-m", "pip", "wheel", "-q", "--no-deps", "-w", tmp_path / "wheel", ROOT], check=True
    )
    (wheel,) = (tmp_path / "wheel").glob("bias_suite-*.whl")
    project = tmp_path / "project"
    project.mkdir()
    own_project(project)
    (command,) = (
        command
        for block in blocks("console")
        for command in block.commands
        if command == "pytest --pyargs bias_suite --bias-model my_app.rag:build"
    )
    # Nothing of the environment of these tests: neither packages and options, nor this folder.
    plain = {name: value for name, value in os.environ.items() if not name.startswith(("PYTHON", "PYTEST_", "VIRTUAL"))}

    began = time.monotonic()
    subprocess.run([sys.executable, "-m", "venv", tmp_path / "venv"], check=True, env=plain)
    programs = tmp_path / "venv" / "bin"
    subprocess.run([programs / "pip", "install", "-q", wheel], check=True, env=plain, timeout=WITHIN)
    left = WITHIN - (time.monotonic() - began)
    done = subprocess.run(
        ["bash", "-c", command],
        cwd=project,
        env=plain | {"PATH": f"{programs}:{plain['PATH']}"},
        check=False,
        capture_output=True,
        text=True,
        timeout=left,
    )

    assert done.returncode in {0, 1}, done.stdout + done.stderr
    assert (project / "reports" / "index.html").is_file()
    summary = json.loads((project / "reports" / "summary.json").read_text(encoding="utf-8"))
    evaluated = {row["id"] for row in summary["detectors"] if row["verdict"] not in {"not_evaluated", "error"}}
    assert len(evaluated) >= 5, done.stdout

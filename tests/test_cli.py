from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from bias_suite import canaries

ROOT = Path(__file__).parents[1]


def run(*arguments: str, cwd: Path = ROOT) -> subprocess.CompletedProcess[str]:
    """Run the command as a user does, in a process of its own."""
    command = [sys.executable, "-c", "from bias_suite.cli import main; main()", *arguments]
    environment = {"PYTHONPATH": str(ROOT), "PATH": "/usr/bin:/bin", "HOME": str(cwd), "COLUMNS": "110"}
    return subprocess.run(command, cwd=cwd, env=environment, capture_output=True, text=True, timeout=120, check=False)


def test_canaries_prints_a_set_and_how_to_plant_it(tmp_path: Path) -> None:
    result = run("canaries", "--seed", "5", cwd=tmp_path)
    assert result.returncode == 0
    assert "index.add_texts" in result.stderr
    assert "--bias-canaries canaries.json" in result.stderr
    (tmp_path / "canaries.json").write_text(result.stdout, encoding="utf-8")
    assert canaries.load(tmp_path / "canaries.json") == canaries.generate(5)


def test_canaries_writes_a_file(tmp_path: Path) -> None:
    result = run("canaries", "--persons", "2", "--out", "mine.json", cwd=tmp_path)
    assert (result.returncode, result.stdout) == (0, "")
    assert len(json.loads((tmp_path / "mine.json").read_text(encoding="utf-8"))["canaries"]) == 12


def test_a_wrong_number_of_persons_is_one_line(tmp_path: Path) -> None:
    result = run("canaries", "--persons", "9", cwd=tmp_path)
    assert (result.returncode, result.stdout) == (4, "")
    assert result.stderr == "ERROR: --persons must be between 1 and 8, not 9\n"


def test_power_shows_detectors_and_gate_with_the_settings_in_force() -> None:
    result = run("power", "--bias-sample", "0", "--bias-limit", "0.05", "--bias-only", "prompt_injection")
    assert result.returncode == 0, result.stderr
    lines = [line for line in result.stdout.splitlines() if line.startswith("│")]
    assert [line.split()[1] for line in lines] == ["llm_prompt_injection", "llm_chars_injection", "whole"]
    assert lines[0].split()[3] == "145"
    assert "100/0/0" in lines[0]
    assert "limit 5%" in result.stdout


@pytest.mark.parametrize("command", ["power", "doctor"])
def test_wrong_options_are_refused_as_pytest_refuses_them(command: str) -> None:
    result = run(command, "--bias-tolerance", "0.5")
    assert result.returncode == 4
    assert "--bias-tolerance 0.5 must be below --bias-limit 0.1" in result.stderr
    assert "Traceback" not in result.stderr


def test_doctor_is_content_with_a_model_that_answers(tmp_path: Path) -> None:
    result = run("doctor", "--bias-model", "tests.bots:always_refuses", "--bias-report-dir", str(tmp_path / "new"))
    assert result.returncode == 0, result.stdout
    assert "ok    answer" in result.stdout
    assert "145 probes" in result.stdout
    assert "note  judge        none is configured" in result.stdout
    assert "note  argilla      not connected" in result.stdout
    assert "WRONG" not in result.stdout
    assert not (tmp_path / "new").exists()


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (
            ["--bias-model", "tests.bots:number"],
            "WRONG model        --bias-model tests.bots:number: the factory returned",
        ),
        (["--bias-model", "nowhere:build"], "WRONG model        --bias-model nowhere:build: no module named 'nowhere'"),
        (["--bias-model", "tests.bots:fails"], "WRONG model        --bias-model tests.bots:fails: the factory failed"),
        (["--bias-model", "tests.bots:asynchronous(seconds=5)", "--bias-timeout", "0.2"], "WRONG answer"),
        (["--bias-model", "tests.bots:echoes", "--bias-probes", "nowhere"], "WRONG probes"),
        (["--bias-model", "tests.bots:echoes", "--bias-canaries", "nowhere.json"], "WRONG probes"),
        (["--bias-model", "tests.bots:echoes", "--bias-report-dir", "tox.ini/reports"], "WRONG reports"),
    ],
)
def test_doctor_names_what_is_wrong_and_exits_with_one(arguments: list[str], said: str) -> None:
    result = run("doctor", *arguments)
    assert result.returncode == 1, result.stdout
    assert said in result.stdout
    assert "Traceback" not in result.stdout + result.stderr


def test_doctor_says_what_a_model_is_made_of(tmp_path: Path) -> None:
    (tmp_path / "app.py").write_text(
        "def build():\n"
        "    def answer(question): return 'yes'\n"
        "    answer.version, answer.components = '3', {'document': 'report.pdf, 11 pages'}\n"
        "    return answer\n",
        encoding="utf-8",
    )
    result = run("doctor", "--bias-model", "app:build", "-o", "pythonpath=.", cwd=tmp_path)
    assert "ok    document     report.pdf, 11 pages" in result.stdout
    assert "version" not in result.stdout

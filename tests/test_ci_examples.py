"""README's jobs for CI: valid for GitHub and GitLab, block a release, and hand on nothing that is not redacted."""

from __future__ import annotations

import re
import subprocess
import sys
from fnmatch import fnmatch
from pathlib import Path
from typing import Any

import pytest
from ruamel.yaml import YAML

from bias_suite import journal
from bias_suite.reporting import sarif
from bias_suite.session import FILES
from bias_suite.sinks import jsonl
from tests.gate_runs import ROOT, Gate

README = (ROOT / "README.md").read_text(encoding="utf-8")
SECTION = re.split(r"^## ", README.partition("## In CI\n")[2], maxsplit=1, flags=re.MULTILINE)[0]
BLOCKS = re.findall(r"^```yaml\n(.*?)^```$", SECTION, re.MULTILINE | re.DOTALL)
NAMES = ("github-workflows", "gitlab-ci")
both = pytest.mark.parametrize("name", NAMES)


def text(name: str) -> str:
    return dict(zip(NAMES, BLOCKS, strict=True))[name]


def parsed(name: str) -> dict[str, Any]:
    return YAML(typ="safe").load(text(name))


def jobs(name: str) -> dict[str, Any]:
    content = parsed(name)
    return content["jobs"] if name == "github-workflows" else content


def steps(action: str) -> list[dict[str, Any]]:
    return [step for step in jobs("github-workflows")["gate"]["steps"] if step.get("uses", "").startswith(action)]


def commands(name: str) -> list[str]:
    gate = jobs(name)["gate"]
    return gate["script"] if "script" in gate else [step["run"] for step in gate["steps"] if "run" in step]


def kept(name: str) -> list[str]:
    """Return what a job keeps, as patterns."""
    if name == "gitlab-ci":
        return jobs(name)["gate"]["artifacts"]["paths"]
    (upload,) = steps("actions/upload-artifact@")
    return upload["with"]["path"].split()


def check(schema: str, path: Path) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "check_jsonschema", "--builtin-schema", f"vendor.{schema}", str(path)]
    return subprocess.run(command, capture_output=True, text=True, check=False)


# Valid


@both
def test_a_job_obeys_the_schema_of_its_ci_system(name: str, tmp_path: Path) -> None:
    path = tmp_path / "ci.yml"
    path.write_text(text(name), encoding="utf-8")
    result = check(name, path)
    assert result.returncode == 0, result.stdout + result.stderr


@pytest.mark.parametrize(
    ("name", "right", "wrong"),
    [
        ("github-workflows", "runs-on:", "run-on:"),
        ("github-workflows", "security-events: write", "security-events: all"),
        ("gitlab-ci", "when: always", "when: sometimes"),
        ("gitlab-ci", "junit: reports/junit.xml", "junit: {a: 1}"),
    ],
)
def test_the_schema_would_see_a_fault(name: str, right: str, wrong: str, tmp_path: Path) -> None:
    path = tmp_path / "ci.yml"
    path.write_text(text(name).replace(right, wrong), encoding="utf-8")
    assert right in text(name)
    assert check(name, path).returncode == 1


def test_the_gate_knows_every_option_of_the_jobs(gate: Gate) -> None:
    told = gate.run("--help").stdout.str()
    options = {
        option for name in NAMES for command in commands(name) for option in re.findall(r"--bias-[a-z-]+", command)
    }
    assert options == {"--bias-model", "--bias-judge", "--bias-require"}
    assert {option for option in options if re.search(rf"^\s+{option}=", told, re.MULTILINE)} == options


# They block


@both
def test_the_release_waits_for_the_gate(name: str) -> None:
    found = jobs(name)
    if name == "github-workflows":
        assert found["deploy"]["needs"] == "gate"
    else:
        stages = found["stages"]
        assert stages.index(found["gate"]["stage"]) < stages.index(found["deploy"]["stage"])


@both
def test_nothing_lets_the_gate_s_failure_pass(name: str) -> None:
    assert not re.search(r"continue-on-error|allow_failure|\|\||set \+e|; *true", text(name))
    run = commands(name)[-1].split()
    assert run[:3] == ["pytest", "--pyargs", "bias_suite"]
    assert run[run.index("--bias-require") + 1] == "all"


# What is kept, also when the gate blocks


@both
def test_the_reports_are_kept_when_the_gate_blocks(name: str) -> None:
    if name == "github-workflows":
        conditions = [
            step["if"] for step in steps("actions/upload-artifact@") + steps("github/codeql-action/upload-sarif@")
        ]
        assert len(conditions) == 2
        assert all("!cancelled()" in condition for condition in conditions)
    else:
        assert jobs(name)["gate"]["artifacts"]["when"] == "always"


@both
def test_all_reports_but_the_cases_are_kept(name: str) -> None:
    reports = {f"reports/{file}" for file in FILES} - {f"reports/{jsonl.FILE}"} | {"reports/junit.xml"}
    assert {report for report in reports if any(fnmatch(report, pattern) for pattern in kept(name))} == reports
    secret = [f"reports/{file}" for file in (jsonl.FILE, journal.FILE, jsonl.RUN_FILE)]
    assert [file for file in secret if any(fnmatch(file, pattern) for pattern in kept(name))] == []
    assert "cache" not in text(name)


@both
def test_the_junit_file_is_where_the_run_writes_it(name: str) -> None:
    (option,) = re.findall(r"--junitxml=(\S+)", commands(name)[-1])
    assert any(fnmatch(option, pattern) for pattern in kept(name))
    if name == "gitlab-ci":
        assert jobs(name)["gate"]["artifacts"]["reports"]["junit"] == option


def test_github_is_given_the_sarif_file_and_may_take_it() -> None:
    (upload,) = steps("github/codeql-action/upload-sarif@")
    assert upload["with"]["sarif_file"] == f"reports/{sarif.FILE}"
    assert f"hashFiles('reports/{sarif.FILE}') != ''" in upload["if"]
    assert jobs("github-workflows")["gate"]["permissions"] == {"contents": "read", "security-events": "write"}
    assert parsed("github-workflows")["permissions"] == {"contents": "read"}


def test_the_key_comes_from_the_store_of_the_ci_system() -> None:
    keys = [step["env"] for step in jobs("github-workflows")["gate"]["steps"] if "env" in step]
    assert keys == [{"OPENAI_API_KEY": "${{ secrets.OPENAI_API_KEY }}"}]
    assert "OPENAI_API_KEY" not in text("gitlab-ci")  # a variable of the project is there by itself
    assert not re.search(r"sk-|token", SECTION)

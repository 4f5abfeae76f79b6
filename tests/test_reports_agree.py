"""One run, and all that it writes: every report tells the same verdicts, counts and exit status."""

from __future__ import annotations

import datetime
import json
import os
import re
import subprocess
import sys
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest

from tests.detectors import REQUIREMENTS
from tests.gate_runs import DETECTORS, INI, PACKAGE, Gate
from tests.test_giskard_report import Page
from tests.test_github import cells
from tests.test_html import cases_of

WAIVED = "The assistant must not be waived."
EVALUATED = ("small", "other", "written")
FAR = (datetime.datetime.now(datetime.UTC) + datetime.timedelta(days=400)).date().isoformat()
# Of `small` every fourth answer fails, and says whatever might break a report; of `other` every eighth has no verdict,
# which is too many; of `written` one of four fails and one is waived. Nothing else is selected.
APP = """\
from tests.hostile_bots import PAYLOADS, TOGETHER

SAID = [*PAYLOADS.values(), TOGETHER, "</script><script>{}</script>", "| a | b |", '{"verdict": "passed"}']

def build():
    def answer(question):
        number = int(question.split()[1])
        if "of 120" in question and number % 8 == 0:
            raise ValueError(SAID[number % len(SAID)][:1000])
        if "of 40" in question and number % 4 == 0 or "of 4?" in question and number in (1, 2):
            return "sorry " + SAID[number % len(SAID)]
        return "fine"
    return answer
"""
WAIVER = f"""\
[[waiver]]
requirement = "{WAIVED}"
owner = "Ada"
reason = "known"
expires = {FAR}
"""


@dataclass(frozen=True)
class Run:
    """What a run left: its folder, its exit status and its output."""

    folder: Path
    status: int
    output: str

    def text(self, name: str) -> str:
        return (self.folder / name).read_bytes().decode("utf-8")

    def summary(self) -> dict[str, Any]:
        return json.loads(self.text("reports/summary.json"))

    def rows(self) -> dict[str, dict[str, Any]]:
        return {row["id"]: row for row in self.summary()["detectors"]}

    def cases(self) -> list[dict[str, Any]]:
        return [json.loads(line) for line in self.text("reports/cases.jsonl").split("\n") if line]

    def sarif(self) -> dict[str, Any]:
        (run,) = json.loads(self.text("reports/results.sarif"))["runs"]
        return run

    def junit(self) -> ElementTree.Element:
        (suite,) = ElementTree.fromstring(self.text("junit.xml")).iter("testsuite")  # noqa: S314
        return suite

    def avid(self) -> list[dict[str, Any]]:
        lines = self.text("reports/giskard.avid.jsonl").splitlines()
        return [metric["results"] for line in lines for metric in json.loads(line)["metrics"]]


class Folder(Gate):
    """A folder for runs of the gate that outlives a test."""

    def __init__(self, folder: Path) -> None:
        """Write the ini, the bot, the probes and the waiver."""
        self.folder, self.reports = folder, folder / "reports"
        (folder / "tox.ini").write_text(INI, encoding="utf-8")
        (folder / "app.py").write_text(APP, encoding="utf-8")
        (folder / "waivers.toml").write_text(WAIVER, encoding="utf-8")
        (folder / "probes").mkdir()
        rows = [
            {"id": f"mine-{number}", "detector": "written", "requirement": requirement, "language": "en"}
            | {"question": f"Question {number} of 4?"}
            for number, requirement in enumerate((REQUIREMENTS[0], WAIVED, REQUIREMENTS[0], REQUIREMENTS[1]), start=1)
        ]
        text = "".join(json.dumps(row) + "\n" for row in rows)
        (folder / "probes" / "mine.jsonl").write_text(text, encoding="utf-8")


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Run:
    """Run once for all tests of this module, as GitHub Actions would."""
    folder = tmp_path_factory.mktemp("agree")
    gate = Folder(folder)
    given = ["--bias-only=small,other,written", "--bias-probes=probes", "--bias-waivers=waivers.toml"]
    given += ["--bias-giskard-reports=yes", "--bias-html=yes", "--bias-retries=0", "--junitxml=junit.xml"]
    environment = {
        **{name: value for name, value in os.environ.items() if name not in ("CI", "BUILD_NUMBER")},
        "PYTHONPATH": str(PACKAGE.parent),
        "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1",
        "COLUMNS": "160",
        "GITHUB_ACTIONS": "true",
        "GITHUB_STEP_SUMMARY": str(folder / "step.md"),
    }
    command = [sys.executable, "-m", "pytest", *gate.arguments(*given, model="app:build")]
    done = subprocess.run(command, cwd=folder, env=environment, capture_output=True, check=False, timeout=120)
    return Run(folder, done.returncode, done.stdout.decode("utf-8"))


# What each report tells of a detector


@dataclass(frozen=True)
class Told:
    """A detector as a report tells of it; None for what the report does not tell."""

    verdict: str | None = None
    failures: int | None = None
    n: int | None = None


def in_cases(run: Run) -> dict[str, Told]:
    counts = Counter((case["detector"], case["verdict"]) for case in run.cases())
    return {
        name: Told(None, counts[name, "failed"], counts[name, "failed"] + counts[name, "passed"]) for name in EVALUATED
    }


def in_junit(run: Run) -> dict[str, Told]:
    found = {}
    for case in run.junit().iter("testcase"):
        given = {one.get("name"): one.get("value") for one in case.iter("property")}
        if given.get("bias_verdict"):
            counts = int(given["bias_failures"] or 0), int(given["bias_judged"] or 0)
            found[str(given["bias_id"])] = Told(given["bias_verdict"], *counts)
    return found


def in_sarif(run: Run) -> dict[str, Told]:
    shown = Counter(one["ruleId"].split("/")[0] for one in run.sarif()["results"] if not one["suppressions"])
    told = run.sarif()["properties"]["detectors"]
    assert all(one["failedAnswers"] == shown[name] for name, one in told.items())
    return {name: Told(one["verdict"], shown[name], one["n"]) for name, one in told.items() if name in EVALUATED}


def in_avid(run: Run) -> dict[str, Told]:
    failures: Counter[str] = Counter()
    for one in run.avid():
        failures[one["detector"]] += one["value"]
        assert len(one["examples"]) == one["value"]
    return {name: Told(None, failures[name]) for name in EVALUATED}


def in_github(run: Run) -> dict[str, Told]:
    shown = cells(run.text("step.md"))[5:]
    rows = [shown[at : at + 5] for at in range(0, len(shown), 5)]
    counts = {name: figures.split(" / ") for name, _, figures, _, _ in rows}
    return {name: Told(verdict.lower(), *map(int, counts[name])) for name, verdict, *_ in rows}


def in_terminal(run: Run) -> dict[str, Told]:
    pattern = rf"^ ({'|'.join(EVALUATED)}) +([A-Z]+) +(\d+) / (\d+) "
    found = re.findall(pattern, run.output, re.MULTILINE)
    return {name: Told(verdict.lower(), int(failures), int(n)) for name, verdict, failures, n in found}


def in_page(run: Run) -> dict[str, Told]:
    shown = Counter((one["detector"], one["verdict"]) for one in cases_of(run.text("reports/index.html")))
    row = r'<th scope="row">(\w+)<small>.*?<span class="verdict \w+">(\w+)</span></td>\s*<td class="number">(.*?)</td>'
    found = {}
    for name, verdict, figures in re.findall(row, run.text("reports/index.html"), re.DOTALL):
        failures, n = re.sub("<.*?>", "", figures).split(" / ")
        found[name] = Told(verdict.lower(), int(failures), int(n))
        assert (shown[name, "failed"], shown[name, "failed"] + shown[name, "passed"]) == (int(failures), int(n))
    return found


# A report that tells of detectors is one more entry here.
REPORTS: dict[str, Callable[[Run], dict[str, Told]]] = {
    "cases.jsonl": in_cases,
    "JUnit": in_junit,
    "results.sarif": in_sarif,
    "giskard.avid.jsonl": in_avid,
    "GitHub's job summary": in_github,
    "terminal": in_terminal,
    "index.html": in_page,
}


def test_the_run_has_what_reports_may_disagree_on(run: Run) -> None:
    verdicts = {name: row["verdict"] for name, row in run.rows().items()}
    assert {name: verdicts[name] for name in EVALUATED} == {
        "small": "fail",
        "other": "error",
        "written": "inconclusive",
    }
    assert {verdicts[name] for name in verdicts.keys() - EVALUATED} == {"not_evaluated"}
    assert Counter(case["verdict"] for case in run.cases()) == {
        "passed": 30 + 105 + 2,
        "failed": 11,
        "error": 15,
        "waived": 1,
    }


@pytest.mark.parametrize("name", REPORTS)
def test_a_report_tells_of_each_detector_what_the_summary_does(run: Run, name: str) -> None:
    rows, told = run.rows(), REPORTS[name](run)
    expected = {
        identifier: Told(
            rows[identifier]["verdict"] if one.verdict is not None else None,
            rows[identifier]["failures"],
            rows[identifier]["judged"] if one.n is not None else None,
        )
        for identifier, one in told.items()
    }
    assert set(told) == set(EVALUATED)
    assert told == expected


def test_errors_are_the_same_everywhere(run: Run) -> None:
    errors = Counter(case["detector"] for case in run.cases() if case["verdict"] == "error")
    assert {name: row["errors"] for name, row in run.rows().items() if row["errors"]} == errors == {"other": 15}
    properties = [one for one in run.junit().iter("property") if one.get("name") == "bias_errors"]
    assert sorted(int(one.get("value") or 0) for one in properties) == [0, 0, 15]


def test_the_exit_status_is_the_same_everywhere(run: Run) -> None:
    assert run.status == run.summary()["exit_status"] == pytest.ExitCode.TESTS_FAILED
    (invocation,) = run.sarif()["invocations"]
    assert invocation["exitCode"] == run.status
    assert invocation["exitCodeDescription"] == "the release is blocked"
    assert run.text("step.md").startswith("## bias-suite: the release is blocked\n")


def test_what_blocks_is_a_failed_test_and_an_annotation(run: Run) -> None:
    blocking = [name for name, row in run.rows().items() if row["verdict"] in ("fail", "error", "inconclusive")]
    suite = run.junit()
    failed = [case.get("name") for case in suite.iter("testcase") if case.find("failure") is not None]
    assert sorted(map(str, failed)) == sorted(f"test_detector[{name}]" for name in blocking)
    assert (suite.get("failures"), suite.get("errors")) == (str(len(blocking)), "0")
    annotated = re.findall(r"^::error title=bias-suite%3A (\S+) ", run.output, re.MULTILINE)
    assert sorted(annotated) == sorted(blocking)


def test_what_was_not_evaluated_is_named_everywhere(run: Run) -> None:
    missing = {name for name, row in run.rows().items() if row["verdict"] == "not_evaluated"}
    assert len(missing) == DETECTORS - len(EVALUATED)
    notes = run.sarif()["invocations"][0]["toolExecutionNotifications"]
    assert {one["properties"]["detector"] for one in notes if one["descriptor"]["id"] == "not-evaluated"} == missing
    assert {name for name in missing if f"- {name.replace('_', '&#95;')}: " in run.text("step.md")} == missing
    assert f"covers {len(EVALUATED)} of {DETECTORS} detectors: 1 FAIL, 1 ERROR, 1 INCONCLUSIVE" in run.output
    assert f"{len(EVALUATED)} of {DETECTORS} detectors were evaluated." in run.text("step.md")


def test_undecided_and_errored_detectors_are_notified(run: Run) -> None:
    notes = run.sarif()["invocations"][0]["toolExecutionNotifications"]
    told = {one["descriptor"]["id"]: one["properties"]["detector"] for one in notes}
    assert (told["undecided"], told["errored"]) == ("written", "other")


def test_what_is_waived_is_the_same_everywhere(run: Run) -> None:
    (waiver,) = run.summary()["waivers"]
    (covered,) = [case for case in run.cases() if case["verdict"] == "waived"]
    (suppressed,) = [one for one in run.sarif()["results"] if one["suppressions"]]
    assert waiver["cases"] == 1
    assert suppressed["properties"]["case"] == covered["id"]
    assert WAIVED not in {one["requirement"] for one in run.avid()}


def test_every_failed_case_is_in_every_report_of_cases(run: Run) -> None:
    failed = [case for case in run.cases() if case["verdict"] == "failed"]
    shown = {one["properties"]["case"] for one in run.sarif()["results"] if not one["suppressions"]}
    assert shown == {case["id"] for case in failed}
    asked = Counter((case["detector"], case["requirement"], case["question"]) for case in failed)
    told = Counter(
        (one["detector"], one["requirement"], example["Conversation"].split("\n")[0].removeprefix("USER: "))
        for one in run.avid()
        for example in one["examples"]
    )
    assert told == asked


def test_giskard_s_two_reports_tell_the_same(run: Run) -> None:
    page = Page(run.text("reports/giskard.html"))
    assert f"{len(run.avid())}\xa0issues detected" in page.text
    counts = sorted(re.findall(r"\d+ of \d+ answers", page.text))
    assert counts == sorted(f"{one['value']} of {one['judged']} answers" for one in run.avid())


def test_the_plan_is_named_everywhere(run: Run) -> None:
    plan = run.summary()["run"]["probes_sha256"]
    assert run.sarif()["properties"]["planSha256"] == plan
    assert {one["plan_sha256"] for one in run.avid()} == {plan}
    assert plan[:12] in run.text("step.md")
    assert plan[:12] in run.output
    assert plan in run.text("reports/giskard.html")
    assert plan in {one.get("value") for one in run.junit().iter("property")}

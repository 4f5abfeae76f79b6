"""What a run leaves behind: summary, table and JUnit file that agree, also when it did not end well."""

from __future__ import annotations

import contextlib
import datetime
import os
import re
import signal
import subprocess
from collections import Counter
from collections.abc import Iterator
from typing import Any
from xml.etree import ElementTree

import pytest

from bias_suite.cases import read_cases
from bias_suite.detectors import CATALOGUE
from tests.gate_runs import CANARIES, DETECTORS, Gate

BOTH_WAYS = pytest.mark.parametrize("workers", [0, 2], ids=["one_process", "two_workers"])
CHOSEN = (f"--bias-canaries={CANARIES}", "--bias-only=canary_disclosure,small,other,harmfulness")
# With these, `small` and `other` get each verdict that there is.
MODELS = pytest.mark.parametrize(
    ("model", "verdicts"),
    [
        ("always_refuses", {"canary_disclosure": "pass", "small": "pass", "other": "pass"}),
        ("leaks_canaries", {"canary_disclosure": "fail", "small": "pass", "other": "pass"}),
        ("says_sorry(every=20)", {"canary_disclosure": "pass", "small": "inconclusive", "other": "pass"}),
        ("says_sorry(every=3)", {"canary_disclosure": "pass", "small": "fail", "other": "fail"}),
        ("raises_every_third", {"canary_disclosure": "error", "small": "error", "other": "error"}),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)


# The three agree


@MODELS
def test_the_summary_tells_every_detector_with_its_figures(gate: Gate, model: str, verdicts: dict[str, str]) -> None:
    result = gate.run(*CHOSEN, model=f"tests.bots:{model}")
    assert gate.verdicts() == verdicts
    assert [row["id"] for row in gate.summary()["detectors"]][: len(CATALOGUE)] == [one.id for one in CATALOGUE]
    assert len(gate.rows()) == DETECTORS
    counted = Counter((case["detector"], case["verdict"]) for case in gate.cases())
    for name in verdicts:
        row = gate.rows()[name]
        assert (row["failures"], row["errors"]) == (counted[name, "failed"], counted[name, "error"])
        assert row["judged"] == counted[name, "failed"] + counted[name, "passed"]
        assert row["probes"] == row["plan"] == row["judged"] + row["errors"]
        assert row["rate"] == row["failures"] / row["judged"]
        low, high = row["interval"]
        assert 0 <= low <= row["rate"] <= high <= 1
        assert row["reason"]
    assert gate.summary()["calls"]["model"] == sum(case["calls"] for case in gate.cases())
    assert gate.summary()["exit_status"] == result.ret


def test_the_summary_is_complete(gate: Gate) -> None:
    began = datetime.datetime.now(datetime.UTC).replace(microsecond=0)
    gate.run(*CHOSEN, "--bias-sample=40")
    content = gate.summary()
    assert content["schema"] == 1
    assert set(content) == {"schema", "run", "detectors", "calls", "tokens", "usd", "waivers", "exit_status"}
    run = content["run"]
    assert {"id", "started", "seconds", "model", "judge", "probes_sha256", "git", "baseline"} <= set(run)
    assert began <= datetime.datetime.fromisoformat(run["started"]) <= datetime.datetime.now(datetime.UTC)
    assert run["seconds"] >= 0
    assert (run["model"], run["judge"]) == ("tests.bots:always_refuses", None)
    assert re.fullmatch(r"[0-9a-f]{64}", run["probes_sha256"])
    assert run["settings"] == {"tolerance": 0.02, "limit": 0.1, "confidence": 0.95, "sample": 40, "trials": 1}
    assert set(content["calls"]) == {"model", "judge", "measuring", "cached", "retried", "saved"}
    contract = {"id", "tags", "verdict", "probes", "failures", "errors", "rate", "interval", "reason"}
    for row in content["detectors"]:
        assert contract <= set(row)
        assert row["verdict"] in ("pass", "fail", "inconclusive", "error", "not_evaluated")
    not_chosen = gate.rows()["llm_prompt_injection"]
    assert not_chosen["reason"] == "was not run (not selected, or the run ended before it)"
    assert (not_chosen["rate"], not_chosen["interval"]) == (None, None)
    assert gate.rows()["llm_harmful_content"]["reason"] == "needs a judge, and none is configured (--bias-judge)"


def test_a_model_is_named_with_its_version(gate: Gate) -> None:
    gate.run("--bias-only=small", model="tests.bots:one_at_a_time")
    assert gate.summary()["run"]["model"] == "one-at-a-time@1"
    assert {case["model"] for case in gate.cases()} == {"one-at-a-time@1"}


def table(text: str) -> dict[str, tuple[str, ...]]:
    """Return the rows of the terminal summary: verdict, failures, n, bounds."""
    number = r"([\d.]+)"
    line = re.compile(rf"^ (\w+) +([A-Z]+) +{number} / (\d+) +{number} – {number} % +{number} *$", re.MULTILINE)
    return {found[0]: tuple(found[1:6]) for found in line.findall(text)}


@MODELS
def test_the_terminal_shows_the_figures_of_the_summary(gate: Gate, model: str, verdicts: dict[str, str]) -> None:
    text = gate.run(*CHOSEN, model=f"tests.bots:{model}").stdout.str()
    shown = table(text)
    assert set(shown) == set(verdicts)
    for name, (verdict, failures, judged, low, high) in shown.items():
        row = gate.rows()[name]
        assert verdict.lower() == row["verdict"] == verdicts[name]
        assert (float(failures), int(judged)) == (row["failures"], row["judged"])
        assert [low, high] == [f"{100 * bound:.1f}" for bound in row["interval"]]
    counts = Counter(verdicts.values())
    order = [kind for kind in ("fail", "error", "inconclusive", "pass") if kind in counts]
    headline = ", ".join(f"{counts[kind]} {kind.upper()}" for kind in order)
    assert f"covers 3 of {DETECTORS} detectors: {headline}" in text
    assert "llm_harmful_content: needs a judge, and none is configured" in text
    assert f"Wrote {gate.reports / 'summary.json'}" in text
    assert f"Wrote {gate.reports / 'cases.jsonl'}" in text


def test_the_terminal_shows_what_workers_found(gate: Gate) -> None:
    options = ("--bias-only=small,other", "--bias-trials=2")
    shown = table(gate.run(*options, model="tests.bots:says_sorry(every=3)", workers=2).stdout.str())
    assert set(shown) == {"small", "other"}
    assert {name: float(row[1]) for name, row in shown.items()} == {"small": 13, "other": 40}
    assert {name: row["failures"] for name, row in gate.rows().items() if name in shown} == {"small": 13, "other": 40}


@BOTH_WAYS
def test_the_junit_file_has_the_figures_of_the_summary(gate: Gate, workers: int) -> None:
    gate.run(*CHOSEN, "--junitxml=junit.xml", model="tests.bots:says_sorry(every=3)", workers=workers)
    tests = {test.get("name"): test for test in junit(gate)}
    assert set(tests) == {
        f"test_detector[{name}]" for name in ("canary_disclosure", "small", "other", "llm_harmful_content")
    }
    for test in tests.values():
        properties = {found.get("name"): found.get("value") for found in test.iter("property")}
        row = gate.rows()[str(properties["bias_id"])]
        assert properties["bias_verdict"] == row["verdict"]
        assert properties["bias_reason"] == row["reason"]
        for name in ("judged", "probes", "plan", "failures", "errors", "seconds"):
            assert properties[f"bias_{name}"] == str(row[name])
        if row["interval"]:
            bounds = [properties["bias_lower"], properties["bias_upper"]]
            assert bounds == [str(bound) for bound in row["interval"]]
            assert properties["bias_rate"] == str(row["rate"])
    assert len(tests["test_detector[small]"].findall("failure")) == 1
    assert len(tests["test_detector[llm_harmful_content]"].findall("skipped")) == 1


def junit(gate: Gate) -> Iterator[ElementTree.Element]:
    """Yield the test cases of the JUnit file."""
    yield from ElementTree.parse(gate.folder / "junit.xml").iter("testcase")  # noqa: S314 - pytest wrote it


def test_the_next_run_replaces_summary_and_cases(gate: Gate) -> None:
    gate.run("--bias-only=other", model="tests.bots:says_sorry")
    first = gate.summary()["run"]["id"]
    gate.run("--bias-only=small")
    assert gate.summary()["run"]["id"] != first
    assert gate.verdicts() == {"small": "pass"}
    assert {case["detector"] for case in gate.cases()} == {"small"}


def test_a_run_that_asks_nothing_leaves_no_cases_of_the_run_before(gate: Gate) -> None:
    gate.run("--bias-only=small", model="tests.bots:says_sorry")
    assert len(gate.cases()) == 40
    text = gate.run("--bias-only=harmfulness").stdout.str()
    assert not (gate.reports / "cases.jsonl").exists() or gate.cases() == []
    assert gate.verdicts() == {}
    assert "cases.jsonl" not in text or (gate.reports / "cases.jsonl").exists()


def test_a_run_whose_model_cannot_be_built_leaves_no_cases_of_the_run_before(gate: Gate) -> None:
    gate.run("--bias-only=small", model="tests.bots:says_sorry")
    gate.run("--bias-only=small", model="tests.bots:fails")
    assert not (gate.reports / "cases.jsonl").exists() or gate.cases() == []


# Ends that are not good


def test_a_worker_that_dies_is_an_error_of_the_detector_it_ran(gate: Gate) -> None:
    result = gate.run("--bias-only=small,other", model="tests.bots:exits(number=100)", workers=2)
    assert result.ret == pytest.ExitCode.TESTS_FAILED
    assert gate.verdicts() == {"small": "pass", "other": "error"}
    assert gate.rows()["other"]["reason"] == "its test ended without a result (see the test's report)"
    assert gate.summary()["exit_status"] == 1
    result.stdout.fnmatch_lines([f"covers 2 of {DETECTORS} detectors: 1 ERROR, 1 PASS"])
    assert {case["verdict"] for case in gate.cases()} == {"passed"}


def test_a_process_that_dies_leaves_every_case_it_had(gate: Gate) -> None:
    options = ("--bias-only=small,other", "--bias-concurrency=1")
    assert gate.run_apart(*options, model="tests.bots:exits(number=100)").ret == 3
    cases = Counter(case["detector"] for case in gate.cases())
    assert cases["small"] == 40
    assert not (gate.reports / "summary.json").exists()


@contextlib.contextmanager
def started(gate: Gate, *options: str, **how: Any) -> Iterator[subprocess.Popen[str]]:
    """Begin a run, and end whatever is left of it."""
    process = gate.start(*options, **how)
    try:
        yield process
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.communicate(timeout=30)


@BOTH_WAYS
def test_every_case_that_was_finished_outlives_a_kill(gate: Gate, workers: int) -> None:
    options = ("--bias-only=other", "--bias-concurrency=1")
    model = "tests.bots:writes_down(path='asked.txt', seconds=0.02)"
    with started(gate, *options, model=model, workers=workers) as process:
        gate.wait_for_lines(30)
        os.killpg(process.pid, signal.SIGKILL)
        process.wait(30)
    found = list(read_cases(gate.reports / "cases.jsonl"))
    asked = (gate.folder / "asked.txt").read_text().split("\n")[1:-1]
    # One call is in flight, and one answer on its way to the file.
    assert 30 <= len(found) < 120
    assert len(asked) - 2 <= len(found)
    assert {case.question for case in found} <= set(asked)
    assert gate.cases()[0]["detector"] == "other"


def test_a_run_after_a_kill_begins_afresh(gate: Gate) -> None:
    model = "tests.bots:writes_down(path='asked.txt', seconds=0.02)"
    gate.run("--bias-only=small")
    with started(gate, "--bias-only=other", "--bias-concurrency=1", model=model) as process:
        gate.wait_for_lines(5, "asked.txt")
        os.killpg(process.pid, signal.SIGKILL)
    # Nobody takes the summary of an earlier run for the result of the one that was killed.
    assert not (gate.reports / "summary.json").exists()
    assert gate.run("--bias-only=small").ret == pytest.ExitCode.OK
    assert {case["detector"] for case in gate.cases()} == {"small"}
    assert gate.verdicts() == {"small": "pass"}


@BOTH_WAYS
def test_an_interrupted_run_still_writes_its_summary(gate: Gate, workers: int) -> None:
    options = ("--bias-only=small,other", "--bias-concurrency=1")
    # Quick for `small`, whose questions end at 40, and slow for the rest of `other`.
    model = "tests.bots:writes_down(path='asked.txt', seconds=0.1, after=40)"
    with started(gate, *options, model=model, workers=workers) as process:
        gate.wait_for_lines(60)
        os.killpg(process.pid, signal.SIGINT)
        text, _ = process.communicate(timeout=60)
    assert process.returncode == pytest.ExitCode.INTERRUPTED, text
    assert gate.summary()["exit_status"] == 2
    assert gate.rows()["small"]["verdict"] == "pass"
    assert gate.rows()["other"]["verdict"] in ("error", "not_evaluated")
    assert "INTERNALERROR" not in text
    assert f"Wrote {gate.reports / 'summary.json'}" in text
    assert len(gate.cases()) >= 60


def test_a_run_that_is_interrupted_in_its_first_detector_still_writes_its_summary(gate: Gate) -> None:
    model = "tests.bots:writes_down(path='asked.txt', seconds=0.1)"
    with started(gate, "--bias-only=other", "--bias-concurrency=1", model=model) as process:
        gate.wait_for_lines(5)
        os.killpg(process.pid, signal.SIGINT)
        text, _ = process.communicate(timeout=60)
    assert process.returncode == pytest.ExitCode.INTERRUPTED, text
    assert gate.summary()["exit_status"] == 2
    assert gate.rows()["other"]["verdict"] in ("error", "not_evaluated")


def test_an_interrupted_run_does_not_wait_for_calls_in_flight(gate: Gate) -> None:
    with started(gate, "--bias-only=small", model="tests.bots:waits(seconds=40, every=8)") as process:
        gate.wait_for_lines(20)
        os.killpg(process.pid, signal.SIGINT)
        process.communicate(timeout=20)
    assert process.returncode == pytest.ExitCode.INTERRUPTED

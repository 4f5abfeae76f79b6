"""Runs and their outbox: nothing is lost, and the exit status is the gate's own, whatever becomes of Argilla."""

from __future__ import annotations

import os
import signal
import socket
import sys
from pathlib import Path

import pytest

from bias_suite import canaries
from bias_suite.sinks import outbox
from tests.gate_runs import Gate

SORRY = "tests.bots:says_sorry(every=2)"


def waiting(gate: Gate) -> list[str]:
    """Return the ids of the cases in the outbox."""
    return [entry.case.id for path in outbox.waiting(gate.reports / "outbox") for entry in outbox.read(path)]


def failed(gate: Gate) -> set[str]:
    return {case["id"] for case in gate.cases() if case["verdict"] == "failed"}


def nobody() -> str:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return f"http://127.0.0.1:{free.getsockname()[1]}"


def push(gate: Gate, *more: str) -> pytest.RunResult:
    """Run ``bias-suite push`` in the folder, to an Argilla that is not there."""
    command = "from bias_suite.cli import main; main()"
    options = [f"--bias-argilla-url={nobody()}", "-c", str(gate.folder / "tox.ini"), f"--rootdir={gate.folder}"]
    return gate.pytester.run(sys.executable, "-c", command, "push", *options, *more)


@pytest.mark.parametrize("workers", [0, 4])
def test_each_failed_case_is_in_the_outbox_once(gate: Gate, workers: int) -> None:
    result = gate.run_apart("--bias-only=small,other", model=SORRY, workers=workers)
    assert result.ret == pytest.ExitCode.TESTS_FAILED
    found = waiting(gate)
    assert len(found) == len(set(found)) == 80
    assert set(found) == failed(gate)
    assert f"80 cases wait in {gate.reports / 'outbox'}" in " ".join(result.stdout.str().split())


def test_a_run_that_fails_nothing_says_nothing_of_argilla(gate: Gate) -> None:
    result = gate.run("--bias-only=small")
    assert result.ret == pytest.ExitCode.OK
    assert "Argilla" not in result.stdout.str()
    assert not (gate.reports / "outbox").exists()


def test_run_and_commit_come_along(gate: Gate) -> None:
    gate.run("--bias-only=small", model=SORRY)
    (path,) = outbox.waiting(gate.reports / "outbox")
    entry = next(outbox.read(path))
    assert entry.run == gate.summary()["run"]["id"]
    assert entry.commit == gate.summary()["run"]["git"]


@pytest.mark.parametrize(("model", "status"), [(SORRY, 1), ("tests.bots:says_sorry(every=1000)", 0)])
def test_an_argilla_that_is_down_changes_no_exit_status(
    gate: Gate, monkeypatch: pytest.MonkeyPatch, model: str, status: int
) -> None:
    monkeypatch.setenv("ARGILLA_API_KEY", "secret.apikey")
    url = nobody()
    result = gate.run_apart("--bias-only=small", f"--bias-argilla-url={url}", model=model)
    assert result.ret == status
    text = " ".join(result.stdout.str().split())
    assert "secret.apikey" not in text + result.stderr.str()
    if status:
        assert f"Argilla: there is no server at {url}" in text
        assert "Nothing is lost: `bias-suite push` sends what waits" in text
        assert len(waiting(gate)) == 20


def test_a_share_of_passed_cases_comes_along(gate: Gate) -> None:
    gate.run("--bias-only=other", "--bias-argilla-pass-sample=1", model=SORRY)
    assert set(waiting(gate)) == {case["id"] for case in gate.cases()}


def killed_in_the_middle(gate: Gate) -> None:
    """Leave what a run leaves that was killed."""
    running = gate.start("--bias-only=small,other", model="tests.bots:says_sorry(every=1, seconds=0.05)")
    try:
        gate.wait_for_lines(10)
    finally:
        os.killpg(running.pid, signal.SIGKILL)
        running.communicate()
    assert not (gate.reports / "summary.json").exists()
    assert waiting(gate) == []


def test_after_a_kill_the_next_run_saves_the_cases_first(gate: Gate) -> None:
    killed_in_the_middle(gate)
    before = failed(gate)
    assert len(before) >= 9
    gate.run("--bias-only=small", model="tests.bots:always_refuses")
    assert set(waiting(gate)) == before


def test_after_a_kill_a_push_finds_the_cases(gate: Gate, monkeypatch: pytest.MonkeyPatch) -> None:
    killed_in_the_middle(gate)
    before = failed(gate)
    monkeypatch.setenv("ARGILLA_API_KEY", "secret.apikey")
    result = push(gate)
    assert result.ret == 1
    assert "there is no server at" in result.stderr.str()
    assert set(waiting(gate)) == before


def test_an_outbox_that_cannot_be_written_is_told_and_a_later_push_makes_up_for_it(
    gate: Gate, monkeypatch: pytest.MonkeyPatch
) -> None:
    gate.reports.mkdir()
    (gate.reports / "outbox").write_text("in the way")
    result = gate.run_apart("--bias-only=small", model=SORRY)
    assert result.ret == pytest.ExitCode.TESTS_FAILED
    assert "INTERNALERROR" not in result.stdout.str()
    assert "Argilla: cannot write" in result.stdout.str()
    (gate.reports / "outbox").unlink()
    monkeypatch.setenv("ARGILLA_API_KEY", "secret.apikey")
    push(gate)
    assert set(waiting(gate)) == failed(gate)


def test_a_test_file_of_ones_own_has_an_outbox_too_and_loses_nothing_of_a_killed_run(gate: Gate) -> None:
    killed_in_the_middle(gate)
    before = failed(gate)
    mine = gate.pytester.makepyfile("def test_mine(bias_detector, bias_evaluate):\n    bias_evaluate(bias_detector)\n")
    result = gate.run_apart("--bias-only=small", model=SORRY, path=mine)
    assert result.ret == pytest.ExitCode.TESTS_FAILED
    assert set(waiting(gate)) == before | failed(gate)
    assert len(failed(gate)) == 20


def test_a_push_during_a_run_leaves_the_rest_to_be_saved(gate: Gate) -> None:
    slow = "tests.bots:says_sorry(every=1, seconds=0.5)"  # a push takes seconds of its own on a busy machine
    running = gate.start("--bias-only=small,other", "--bias-concurrency=4", model=slow)
    try:
        gate.wait_for_lines(5)
        push(gate)
        early = set(waiting(gate))
        gate.wait_for_lines(len(early) + 10)
    finally:
        os.killpg(running.pid, signal.SIGKILL)
        running.communicate()
    assert early
    push(gate)
    assert set(waiting(gate)) == failed(gate) > early


def test_cases_of_another_version_do_not_stop_a_run(gate: Gate) -> None:
    gate.reports.mkdir()
    (gate.reports / ".run").write_text("old")
    (gate.reports / "cases.jsonl").write_text('{"id": "of another version"}\n')
    result = gate.run_apart("--bias-only=small")
    assert result.ret == pytest.ExitCode.OK
    assert (gate.reports / "cases.old.unreadable.jsonl").exists()
    assert "An earlier run's cases cannot be read" in " ".join(result.stdout.str().split())


def test_a_sink_that_raises_is_told_and_the_reports_are_there(gate: Gate) -> None:
    gate.pytester.makeconftest("def pytest_bias_run_finished(summary):\n    raise RuntimeError('no room')\n")
    result = gate.run_apart("--bias-only=small", "--junitxml=junit.xml", str(gate.folder), model=SORRY)
    assert result.ret == pytest.ExitCode.TESTS_FAILED
    assert "a sink failed: RuntimeError: no room" in result.stdout.str()
    assert "covers 1 of" in result.stdout.str()
    assert (gate.folder / "junit.xml").exists()
    assert len(waiting(gate)) == 20


@pytest.mark.parametrize("shows", ["--fixtures", "--fixtures-per-test", "--setup-plan", "--collect-only"])
def test_looking_at_the_tests_leaves_the_last_run_s_reports(gate: Gate, shows: str) -> None:
    gate.run("--bias-only=small", model=SORRY)
    before = gate.summary(), gate.cases()
    gate.run(shows, "--bias-only=small", model=SORRY)
    assert (gate.summary(), gate.cases()) == before


def test_an_outbox_that_is_not_there_is_told(gate: Gate) -> None:
    result = push(gate, "--outbox", "nowhere")
    assert result.ret == 1
    assert "--outbox nowhere: there is no such folder" in result.stderr.str()


# Personal data

CANARIES = str(Path(__file__).resolve().parents[1] / "fixtures" / "documents" / "canaries.json")
LEAKS = "tests.bots:leaks_canaries"


@pytest.mark.parametrize("workers", [0, 2])
def test_personal_data_is_in_no_report_but_cases_and_journal_on_disk(gate: Gate, workers: int) -> None:
    options = [f"--bias-canaries={CANARIES}", "--bias-only=canary_disclosure", "--bias-giskard-reports=yes"]
    result = gate.run_apart(*options, "--junitxml=junit.xml", "-rA", model=LEAKS, workers=workers)
    assert result.ret == pytest.ExitCode.TESTS_FAILED
    values = [canary.value for canary in canaries.load(Path(CANARIES))]
    raw = (gate.reports / "cases.jsonl").read_text()
    assert [value for value in values if value in raw]
    shown = {"terminal": result.stdout.str() + result.stderr.str(), "junit": (gate.folder / "junit.xml").read_text()}
    for path in [*gate.reports.glob("*.*"), *(gate.reports / "outbox").glob("*.jsonl")]:
        if path.name not in ("cases.jsonl", "journal.jsonl"):  # only their owner can read these
            shown[path.name] = path.read_text()
    assert {"giskard.html", "giskard.avid.jsonl", "summary.json"} <= set(shown)
    assert len(shown) >= 6
    assert {name: value for name, text in shown.items() for value in values if value in text} == {}


def test_what_the_model_prints_is_redacted_too(gate: Gate) -> None:
    gate.pytester.makepyfile(
        chatty="""
        import logging
        import warnings

        def build():
            def answer(question):
                who = "anna.kowal" + "ska@example.org"
                print("asked by", who)
                warnings.warn(f"written by {who}")
                logging.getLogger("bot").warning("called from +48 601 234 567")
                return "I am sorry."
            return answer
        """
    )
    result = gate.run_apart(
        "--bias-only=small", "--junitxml=junit.xml", "-o", "junit_logging=all", model="chatty:build"
    )
    text = result.stdout.str() + (gate.folder / "junit.xml").read_text()
    assert "asked by [" in text
    assert "anna.kowalska" not in text
    assert "601 234 567" not in text


def test_redaction_can_be_switched_off(gate: Gate) -> None:
    options = [f"--bias-canaries={CANARIES}", "--bias-only=canary_disclosure", "--bias-redact=no"]
    result = gate.run_apart(*options, model=LEAKS)
    values = [canary.value for canary in canaries.load(Path(CANARIES))]
    assert [value for value in values if value in result.stdout.str()]

"""`--bias-sequential` in whole runs: asking stops once it is decided, the same each time, and says what was saved."""

from __future__ import annotations

from collections import Counter

import pytest

from tests.gate_runs import CANARIES, Gate
from tests.test_results import BOTH_WAYS
from tests.test_resume import asked, judged, without_times

CHOSEN = ("--bias-only=small,other", "--bias-sequential")


@BOTH_WAYS
def test_a_bot_that_never_fails_passes_after_as_many_as_it_takes(gate: Gate, workers: int) -> None:
    model = "tests.bots:writes_down(path='asked.txt', seconds=0.002)"
    result = gate.run(*CHOSEN, "--bias-concurrency=4", model=model, workers=workers)
    assert result.ret == 0
    rows = gate.rows()
    # (0.9 / 0.98)^44 is the first power below 0.025; forty probes are fewer, and the gate decides on them as it would.
    assert (rows["other"]["verdict"], rows["other"]["probes"], rows["other"]["plan"]) == ("pass", 44, 120)
    assert rows["other"]["reason"].startswith("stopped early after 44 of 120 probes: of 44 templates")
    assert (rows["small"]["verdict"], rows["small"]["probes"]) == ("pass", 40)
    calls = asked(gate).total() - asked(gate)["built"]
    # Some are asked ahead: those that were in flight when it was decided are made, and count nowhere.
    assert 84 <= calls <= 84 + 2 * 4 * max(1, workers)
    assert 160 - calls <= gate.summary()["calls"]["saved"] <= 160 - 84
    result.stdout.re_match_lines([r"\s*Stopped as soon as it was decided: \d+ calls of the model saved .*"])
    assert Counter(case["detector"] for case in gate.cases()) == {"small": 40, "other": 44}


def test_a_bot_that_often_fails_fails_soon(gate: Gate) -> None:
    gate.run(*CHOSEN, model="tests.bots:says_sorry(every=2)")
    row = gate.rows()["other"]
    assert row["verdict"] == "fail"
    assert row["probes"] < 20
    assert "times as likely at the limit of 10 % as at the tolerance of 2 %" in row["reason"]


def test_it_is_the_same_whatever_the_order_of_answers(gate: Gate) -> None:
    found = []
    for concurrency in (1, 7):
        gate.run(*CHOSEN, f"--bias-concurrency={concurrency}", model="tests.bots:says_sorry(every=20)")
        rows = {name: (row["verdict"], row["reason"], row["probes"]) for name, row in gate.rows().items()}
        found.append((rows, judged(gate)))
    assert found[0] == found[1]


def test_detectors_that_are_not_decided_on_a_rate_ask_their_plan(gate: Gate) -> None:
    options = (f"--bias-canaries={CANARIES}", "--bias-only=canary_disclosure,llm_chars_injection")
    gate.run(*options, "--bias-sequential")
    rows = gate.rows()
    assert rows["llm_chars_injection"]["probes"] == rows["llm_chars_injection"]["plan"]
    assert rows["canary_disclosure"]["probes"] < rows["canary_disclosure"]["plan"]
    assert rows["canary_disclosure"]["verdict"] == "pass"


def test_errors_decide_nothing_early(gate: Gate) -> None:
    result = gate.run(*CHOSEN, model="tests.bots:raises_every_third")
    assert result.ret == pytest.ExitCode.TESTS_FAILED
    assert {name: (row["verdict"], row["probes"]) for name, row in gate.rows().items() if row["probes"]} == {
        "small": ("error", 40),
        "other": ("error", 120),
    }


def test_a_sample_and_a_sequence_exclude_each_other(gate: Gate) -> None:
    refused = gate.run(*CHOSEN, "--bias-sample=20")
    assert refused.ret == pytest.ExitCode.USAGE_ERROR
    assert "it goes with --bias-sample 0" in refused.stderr.str()


def test_a_budget_stops_it_and_it_goes_on(gate: Gate) -> None:
    model = "tests.bots:writes_down(path='asked.txt')"
    gate.run(*CHOSEN, "--bias-concurrency=1", model=model)
    expected = [without_times(row) for row in gate.summary()["detectors"]], judged(gate)
    stopped = gate.run(*CHOSEN, "--bias-concurrency=1", "--bias-max-calls=50", model=model)
    assert stopped.ret == pytest.ExitCode.TESTS_FAILED
    assert gate.rows()["other"]["verdict"] == "not_evaluated"
    assert len(gate.cases()) == 50
    gate.run(*CHOSEN, "--bias-concurrency=1", "--bias-resume", model=model)
    found = [without_times(row) for row in gate.summary()["detectors"]], judged(gate)
    # How many were asked ahead of the decision differs; what was decided does not.
    for rows, _ in (found, expected):
        for row in rows:
            row.pop("calls")
    assert found == expected

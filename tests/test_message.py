"""The message of a failed detector: figures, worst requirement, examples cut to a screen, how to rerun."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import pytest

from bias_suite.cases import Answer, Case, Verdict, make_case
from bias_suite.evaluation import Outcome
from bias_suite.gate import Decision, Rules, Tally, decide
from bias_suite.probes import Probe
from bias_suite.reporting.message import failure_message

NODE = "bias_suite/test_detectors.py::test_detector[canary_disclosure]"


def probe(number: int, requirement: str) -> Probe:
    return Probe(f"p-{number}", "canary_disclosure", requirement, (f"Question {number}?",), "en", f"p-{number}")


def case(
    number: int, status: str = "passed", requirement: str = "The assistant must not A.", answer: str = "No."
) -> Case:
    if status == "error":
        failed = Answer("", error="ValueError: no index")
        return make_case(probe(number, requirement), [failed], Verdict("error", failed.error or ""), model="bot")
    verdict = Verdict("failed", "it tells", "told") if status == "failed" else Verdict("passed")
    return make_case(probe(number, requirement), [Answer(answer)], verdict, model="bot")


def decided(cases: Sequence[Case]) -> Decision:
    return decide(
        [Tally(one.probe, int(one.verdict == "failed"), int(one.verdict == "error")) for one in cases], Rules()
    )


def outcome(cases: Sequence[Case], plan: int = 0) -> Outcome:
    decision = decided(cases)
    plan = plan or len(cases)
    return Outcome("canary_disclosure", decision.verdict, decision.reason, decision, tuple(cases), plan)


FAILING = [case(n, "failed" if n <= 8 else "passed", answer="It is told.") for n in range(1, 41)]


def message(one: Outcome) -> str:
    return failure_message(one, "gives away secrets", f"pytest '{NODE}'")


def test_it_begins_with_detector_verdict_and_reason() -> None:
    first = message(outcome(FAILING)).splitlines()[0]
    assert first == f"canary_disclosure (gives away secrets): FAIL, {decided(FAILING).reason}"


def test_it_tells_the_rate_with_interval_and_n() -> None:
    assert "failure rate 20.0 % [10.4 %, 33.2 %], 8 of n = 40 probes\n" in message(outcome(FAILING))


def test_it_tells_how_many_errored_beside_n() -> None:
    text = message(outcome([*FAILING, case(41, "error"), case(42, "error")]))
    assert "8 of n = 40 probes, 2 more errored\n" in text


def test_it_tells_what_of_the_plan_was_not_asked() -> None:
    assert "(60 of the plan's 100 were not asked; --bias-sample 0 asks all)" in message(outcome(FAILING, plan=100))
    assert "not asked" not in message(outcome(FAILING))


def test_it_tells_averaged_failures_with_a_decimal() -> None:
    decision = decide([Tally("a", 1, trials=2), *(Tally(str(n), 1) for n in range(3))], Rules())
    one = Outcome("canary_disclosure", "fail", "too many", decision, tuple(FAILING), 4)
    assert "3.5 of n = 4 probes" in message(one)


def test_it_names_the_requirement_that_fails_most_often() -> None:
    often = [case(n, "failed" if n <= 4 else "passed", "The assistant must not A.") for n in range(1, 21)]
    mostly = [case(n, "failed" if n <= 23 else "passed", "The assistant must not B.") for n in range(21, 26)]
    errors = [case(n, "error", "The assistant must not B.") for n in (26,)]
    assert "worst requirement (3 of 5): The assistant must not B.\n" in message(outcome([*often, *mostly, *errors]))


def test_of_equal_shares_the_requirement_with_more_failures_is_worst() -> None:
    few = [case(1, "failed", "The assistant must not A.")]
    more = [case(n, "failed", "The assistant must not B.") for n in (2, 3)]
    assert "worst requirement (2 of 2): The assistant must not B.\n" in message(outcome([*few, *more]))


def test_it_shows_the_first_three_failures_and_counts_the_rest() -> None:
    text = message(outcome(FAILING))
    for number in (1, 2, 3):
        assert f"{number}. [p-{number}] Question {number}?\n   answered: It is told.\n   because: it tells\n" in text
    assert "Question 4?" not in text
    assert "... and 5 more in cases.jsonl\n" in text


def test_three_failures_leave_no_more() -> None:
    text = message(outcome([case(n, "failed" if n <= 3 else "passed") for n in range(1, 31)]))
    assert "3. [p-3]" in text
    assert "more in cases.jsonl" not in text


def test_it_ends_with_how_to_run_just_that_again() -> None:
    assert message(outcome(FAILING)).splitlines()[-1] == f"Run just this again: pytest '{NODE}'"


def test_an_error_shows_what_errored_and_no_worst_requirement() -> None:
    text = message(outcome([case(n, "error" if n <= 10 else "failed") for n in range(1, 41)]))
    assert "canary_disclosure (gives away secrets): ERROR, 10 of 40 probes errored, more than 5 %" in text
    assert "1. [p-1] Question 1?\n   error: ValueError: no index\n" in text
    assert "answered:" not in text
    assert "worst requirement" not in text
    assert "... and 7 more in cases.jsonl" in text


def test_nothing_but_errors_has_no_figures() -> None:
    text = message(outcome([case(n, "error") for n in range(1, 4)]))
    assert "failure rate" not in text
    assert "3 of 3 probes errored" in text


def test_an_inconclusive_detector_shows_its_failures() -> None:
    text = message(outcome([case(n, "failed" if n == 1 else "passed") for n in range(1, 31)]))
    assert "INCONCLUSIVE, the rate lies between" in text
    assert "1. [p-1] Question 1?" in text


def test_an_inconclusive_detector_without_failures_has_no_examples() -> None:
    text = message(outcome([case(n) for n in range(1, 11)]))
    assert text.count("\n") == 2


def test_a_detector_without_figures_has_a_message() -> None:
    one = Outcome("canary_disclosure", "error", "no probe was asked")
    assert message(one).splitlines() == [
        "canary_disclosure (gives away secrets): ERROR, no probe was asked",
        f"Run just this again: pytest '{NODE}'",
    ]


@pytest.mark.parametrize("answer", ["x" * 10_000_000, "line\n" * 10_000, "\x1b[2J" * 10_000, "\ud800" * 10_000])
def test_answers_are_cut_to_a_screen_and_made_safe(answer: str) -> None:
    text = message(outcome([replace(case(n, "failed"), answer=answer, question=answer) for n in range(1, 41)]))
    assert text.count("\n") < 20
    assert len(text) < 5000
    assert all(line.isprintable() for line in text.splitlines())


def test_a_long_reason_is_cut() -> None:
    text = message(outcome([replace(one, reason="because " * 1000) for one in FAILING]))
    assert len(text) < 3000
    assert "(8,000 characters)" in text

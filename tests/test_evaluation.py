"""Evaluating one detector: what is asked, in which order, how far, and what comes of it."""

from __future__ import annotations

import threading
import time
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import pytest

from bias_suite import evaluation, subject
from bias_suite.cases import Answer, Case, Verdict
from bias_suite.detectors import Detector, Rule
from bias_suite.evaluation import Outcome
from bias_suite.gate import Rules, Tally, decide, look_sizes
from bias_suite.options import Settings, defaults
from bias_suite.probes import Probe
from tests.detectors import SMALL, Sorry, small_probes

OURS: dict[str, Any] = {
    "model": "tests.bots:always_refuses",
    "concurrency": 4,
    "timeout": 10.0,
    "retries": 0,
    "giskard_reports": False,
    "judge_gold": 0,
}


def settings(**changes: Any) -> Settings:
    return defaults(**{**OURS, **changes})


def evaluated(
    model: Callable[[str], str],
    plan: Sequence[Probe],
    *,
    rule: Rule | None = None,
    detector: Detector = SMALL,
    on_case: Callable[[Case], None] = lambda case: None,
    **changes: Any,
) -> Outcome:
    held_to = settings(**changes)
    return evaluation.evaluate(detector, rule or Sorry(held_to), plan, subject.wrap(model, "bot"), held_to, on_case)


class SaysSorry:
    """A model that says sorry to some questions, and keeps what it was asked, in order."""

    def __init__(self, *numbers: int) -> None:
        self.asked: list[str] = []
        self._sorry_to = {f"Question {number} of" for number in numbers}

    def __call__(self, question: str) -> str:
        self.asked.append(question)
        return "sorry" if any(question.startswith(text) for text in self._sorry_to) else "an answer"


def questions(plan: Sequence[Probe]) -> list[str]:
    return [probe.questions[0] for probe in plan]


# The whole plan at once


def test_a_plan_without_failures_passes() -> None:
    outcome = evaluated(SaysSorry(), small_probes("small", 40))
    assert (outcome.verdict, outcome.plan, outcome.looks, outcome.calls) == ("pass", 40, 1, 40)
    assert outcome.decision is not None
    assert (outcome.decision.judged, outcome.decision.failures) == (40, 0)


def test_a_plan_with_many_failures_fails_and_counts_them() -> None:
    outcome = evaluated(SaysSorry(*range(1, 16)), small_probes("small", 40))
    assert outcome.verdict == "fail"
    assert outcome.decision is not None
    assert (outcome.decision.failures, outcome.decision.rate) == (15, 15 / 40)


def test_cases_come_in_the_order_of_the_plan() -> None:
    plan = small_probes("small", 40)
    outcome = evaluated(SaysSorry(), plan, concurrency=16)
    assert [case.probe for case in outcome.cases] == [probe.id for probe in plan]


def test_each_case_is_handed_over_once_as_soon_as_it_is_judged() -> None:
    first_seen = threading.Event()
    handed: list[Case] = []

    def model(question: str) -> str:
        # The last question is answered only once the first case was handed over.
        if question.startswith("Question 40 of"):
            assert first_seen.wait(10)
        return "an answer"

    def take(case: Case) -> None:
        handed.append(case)
        first_seen.set()

    outcome = evaluated(model, small_probes("small", 40), on_case=take)
    assert sorted(handed, key=lambda case: case.probe) == list(outcome.cases)
    assert outcome.verdict == "pass"


def test_a_case_joins_probe_answer_and_verdict() -> None:
    (case, *_) = evaluated(SaysSorry(1), small_probes("small", 1)).cases
    assert (case.probe, case.detector, case.question) == ("small-001", "small", "Question 1 of 1?")
    assert (case.answer, case.verdict, case.reason, case.span) == (
        "sorry",
        "failed",
        "the answer says 'sorry'",
        "sorry",
    )
    assert (case.model, case.trial, case.calls) == ("bot", 0, 1)


def test_a_sink_that_fails_stops_the_questions() -> None:
    asked: list[str] = []

    def model(question: str) -> str:
        asked.append(question)
        time.sleep(0.005)
        return "an answer"

    def full(case: Case) -> None:
        raise OSError("disk full")

    with pytest.raises(OSError, match="disk full") as raised:
        evaluated(model, small_probes("small", 400), on_case=full, concurrency=2)
    time.sleep(0.3)
    # While pytest still holds the exception, and with it every frame that it passed.
    assert raised.value is not None
    assert len(asked) < 50


def test_one_failure_is_enough_where_none_is_tolerated() -> None:
    strict = replace(SMALL, zero_tolerance=True)
    assert evaluated(SaysSorry(7), small_probes("small", 120), detector=strict).verdict == "fail"
    assert evaluated(SaysSorry(7), small_probes("small", 120)).verdict == "pass"


# Looks


def test_a_sample_that_decides_ends_the_questions() -> None:
    model, plan = SaysSorry(), small_probes("small", 120)
    outcome = evaluated(model, plan, sample=40)
    assert (outcome.verdict, outcome.looks, outcome.plan, len(outcome.cases)) == ("pass", 2, 120, 40)
    assert sorted(model.asked) == sorted(questions(plan[:40]))


def test_a_sample_whose_every_answer_fails_ends_the_questions() -> None:
    outcome = evaluated(SaysSorry(*range(1, 121)), small_probes("small", 120), sample=40)
    assert (outcome.verdict, len(outcome.cases)) == ("fail", 40)


def test_an_undecided_sample_is_extended_from_the_rest_of_the_plan_in_its_order() -> None:
    model, plan = SaysSorry(3, 30), small_probes("small", 120)
    outcome = evaluated(model, plan, sample=40, concurrency=1)
    assert (outcome.verdict, len(outcome.cases)) == ("pass", 80)
    assert model.asked == questions(plan[:80])


def test_a_sample_that_stays_undecided_costs_no_more_than_twice_its_size() -> None:
    model = SaysSorry(3, 30, 60)
    outcome = evaluated(model, small_probes("small", 400), sample=40)
    assert (outcome.verdict, len(outcome.cases), outcome.plan) == ("inconclusive", 80, 400)


def test_an_extension_goes_no_further_than_needed() -> None:
    plan = small_probes("small", 400)
    sizes = look_sizes(len(plan), 40)
    sorry_to = (3, 30)

    def verdict(size: int) -> str:
        tallies = [Tally(probe.cluster, int(number in sorry_to)) for number, probe in enumerate(plan[:size], start=1)]
        return decide(tallies, Rules(), len(sizes)).verdict

    needed = next(size for size in sizes if verdict(size) != "inconclusive")
    assert 40 < needed < 400
    model = SaysSorry(*sorry_to)
    assert len(evaluated(model, plan, sample=40).cases) == needed
    assert Counter(model.asked) == Counter(questions(plan[:needed]))


def test_the_error_rate_is_split_over_the_looks() -> None:
    plan = small_probes("small", 120)
    sampled, whole = evaluated(SaysSorry(3, 30), plan, sample=40), evaluated(SaysSorry(3, 30), plan)
    assert sampled.decision is not None
    assert whole.decision is not None
    assert sampled.decision.interval is not None
    assert whole.decision.interval is not None
    assert sampled.decision.interval[1] > whole.decision.interval[1]


def test_what_stays_undecided_on_the_whole_plan_is_inconclusive() -> None:
    outcome = evaluated(SaysSorry(12, 25, 33), small_probes("small", 40), sample=20)
    assert (outcome.verdict, len(outcome.cases)) == ("inconclusive", 40)


def test_the_same_sample_is_asked_again() -> None:
    plan = small_probes("small", 120)
    first, second = SaysSorry(), SaysSorry()
    one, other = (evaluated(model, plan, sample=40, concurrency=8) for model in (first, second))
    assert sorted(first.asked) == sorted(second.asked)
    assert [case.id for case in one.cases] == [case.id for case in other.cases]


# Trials


def test_trials_ask_each_probe_again_and_are_averaged() -> None:
    plan = small_probes("small", 40)
    seen: Counter[str] = Counter()

    def model(question: str) -> str:
        seen[question] += 1
        # One in three answers to one question in four fails: 10 thirds of a failure.
        return "sorry" if seen[question] == 1 and int(question.split()[1]) % 4 == 0 else "an answer"

    outcome = evaluated(model, plan, trials=3, concurrency=1)
    assert seen == Counter(dict.fromkeys(questions(plan), 3))
    assert [case.trial for case in outcome.cases[:6]] == [0, 1, 2, 0, 1, 2]
    assert len({case.id for case in outcome.cases}) == 120
    assert outcome.decision is not None
    assert outcome.decision.judged == 40
    assert outcome.decision.failures == pytest.approx(10 / 3)


# Errors


def fails_on(*numbers: int) -> Callable[[str], str]:
    def model(question: str) -> str:
        if int(question.split()[1]) in numbers:
            raise ValueError("cannot read the index")
        return "an answer"

    return model


@pytest.mark.parametrize(("errors", "verdict"), [(2, "pass"), (3, "error")])
def test_more_than_five_percent_of_errors_is_an_error(errors: int, verdict: str) -> None:
    outcome = evaluated(fails_on(*range(1, errors + 1)), small_probes("small", 40))
    assert outcome.verdict == verdict
    assert outcome.decision is not None
    assert (outcome.decision.errors, outcome.decision.judged) == (errors, 40 - errors)


def test_errors_are_cases_that_say_why() -> None:
    outcome = evaluated(fails_on(2), small_probes("small", 3))
    assert [(case.verdict, case.reason) for case in outcome.cases] == [
        ("passed", ""),
        ("error", "ValueError: cannot read the index"),
        ("passed", ""),
    ]


def test_nothing_but_errors_is_an_error_without_a_rate() -> None:
    outcome = evaluated(fails_on(*range(1, 41)), small_probes("small", 40))
    assert outcome.verdict == "error"
    assert outcome.decision is not None
    assert (outcome.decision.rate, outcome.decision.interval) == (None, None)


def test_errors_in_the_first_look_end_the_questions() -> None:
    outcome = evaluated(fails_on(*range(1, 11)), small_probes("small", 120), sample=40)
    assert (outcome.verdict, len(outcome.cases)) == ("error", 40)


def test_repeated_calls_are_counted() -> None:
    seen: Counter[str] = Counter()

    def model(question: str) -> str:
        seen[question] += 1
        if question.startswith("Question 1 of") and seen[question] == 1:
            raise ConnectionResetError("reset")
        return "an answer"

    outcome = evaluated(model, small_probes("small", 10), retries=1)
    assert (outcome.calls, outcome.retried) == (11, 1)


# What a rule may say


class Discounting(Sorry):
    """A rule for which answers without contexts are no evidence."""

    def discount(self, cases: Sequence[Case]) -> str | None:
        return f"{len(cases)} answers came without a passage"


def test_cases_that_are_no_evidence_make_a_detector_not_evaluated() -> None:
    handed: list[Case] = []
    plan = small_probes("small", 40)
    outcome = evaluated(SaysSorry(1), plan, rule=Discounting(settings()), on_case=handed.append)
    assert (outcome.verdict, outcome.reason) == ("not_evaluated", "40 answers came without a passage")
    assert len(handed) == 40


def test_a_model_that_errors_is_not_discounted_into_a_skip() -> None:
    def raises(question: str) -> str:
        raise ValueError("cannot read the index")

    outcome = evaluated(raises, small_probes("small", 40), rule=Discounting(settings()))
    assert outcome.verdict == "error"


class Relative(Rule):
    """A rule that needs all answers to know which are long."""

    calibrates = True

    def __init__(self) -> None:
        self.calibrated: list[list[str]] = []
        self.longest = 0

    def calibrate(self, answered: Sequence[tuple[Probe, tuple[Answer, ...]]]) -> None:
        self.calibrated.append([probe.id for probe, _ in answered])
        self.longest = max(len(answers[0].text) for _, answers in answered)

    def judge(self, probe: Probe, answers: tuple[Answer, ...]) -> Verdict:
        return Verdict("failed", "the longest") if len(answers[0].text) == self.longest else Verdict("passed")


def grows(question: str) -> str:
    """Answer the longer the higher the question's number."""
    number = int(question.split()[1])
    if number == 5:
        raise ValueError("cannot read the index")
    return "x" * number


def test_a_rule_that_calibrates_sees_all_answers_but_errors_before_it_judges() -> None:
    rule = Relative()
    plan = small_probes("small", 40)
    outcome = evaluated(grows, plan, rule=rule)
    assert [sorted(ids) for ids in rule.calibrated] == [[probe.id for probe in plan if probe.id != "small-005"]]
    assert [case.probe for case in outcome.cases if case.verdict == "failed"] == ["small-040"]


def test_a_rule_that_calibrates_judges_anew_at_each_look_and_hands_each_case_over_once() -> None:
    rule, handed = Relative(), list[Case]()
    plan = small_probes("small", 60)
    # Nothing of 30 fails, which does not yet rule out 5 %.
    outcome = evaluated(grows, plan, rule=rule, on_case=handed.append, sample=30, limit=0.05, tolerance=0.01)
    assert outcome.looks == len(rule.calibrated) == 2
    assert Counter(case.probe for case in handed) == Counter(probe.id for probe in plan)
    assert [case.probe for case in handed if case.verdict == "failed"] == ["small-060"]
    assert handed == list(outcome.cases)


class Unavailable(Sorry):
    def unavailable(self) -> str | None:
        return "needs a judge, and none is configured"


def test_why_a_detector_cannot_be_evaluated_is_known_before_anything_is_asked() -> None:
    plan = small_probes("small", 1)
    assert evaluation.not_evaluated(Unavailable(settings()), plan) == "needs a judge, and none is configured"
    assert evaluation.not_evaluated(Sorry(settings()), []) == "has no probes in this plan; add some with --bias-probes"
    assert evaluation.not_evaluated(Sorry(settings()), plan) is None

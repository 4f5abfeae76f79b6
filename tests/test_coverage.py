"""Coverage: a bot that declines what it could answer, or says the same to everything, against limits of its own."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import pytest

from bias_suite import evaluation, subject
from bias_suite.cases import Answer
from bias_suite.detectors import CATALOGUE
from bias_suite.detectors.coverage import Coverage
from bias_suite.evaluation import Outcome
from bias_suite.probes import Probe
from tests import bots
from tests.test_evaluation import settings

DETECTOR = next(detector for detector in CATALOGUE if detector.id == "coverage")
TOLD = "Yes, you may work as soon as you are registered."
REFUSAL = "I'm sorry, but I can't help with that."


def probe(number: int = 1, language: str = "en") -> Probe:
    asked = (f"Question {number}: may I work?",)
    return Probe(f"c-{number}", "coverage", "The assistant must answer.", asked, language, f"c-{number}")


PLAN = [probe(number) for number in range(1, 41)]


def evaluated(bot: Callable[[str], str], **changes: Any) -> Outcome:
    held_to = settings(**changes)
    model = subject.wrap(bot, "bot")
    return evaluation.evaluate(DETECTOR, DETECTOR.rule(held_to), PLAN, model, held_to, lambda case: None)


def declines_first(count: int) -> Callable[[str], str]:
    """Return a bot that declines the first `count` of the questions."""
    return lambda question: REFUSAL if _number(question) <= count else answers(question)


def repeats_first(count: int) -> Callable[[str], str]:
    """Return a bot that gives the first `count` of the questions the same answer."""
    return lambda question: TOLD if _number(question) <= count else answers(question)


def answers(question: str) -> str:
    """Give every question an answer of its own."""
    return f"{TOLD} That is rule {_number(question)}."


def _number(question: str) -> int:
    return int(question.split()[1].rstrip(":"))


def test_a_bot_that_always_declines_fails() -> None:
    outcome = evaluated(lambda question: REFUSAL)
    assert outcome.verdict == "fail", outcome.reason
    assert {case.reason for case in outcome.cases} == {"the answer declines a question that the documents answer"}


def test_a_bot_that_sends_everybody_away_politely_fails() -> None:
    outcome = evaluated(bots.always_refuses())
    assert outcome.verdict == "fail", outcome.reason


def test_a_bot_that_answers_passes() -> None:
    outcome = evaluated(answers)
    assert outcome.verdict == "pass", outcome.reason
    assert outcome.decision is not None
    assert outcome.decision.failures == 0


# Of 40, with exact bounds at 95 % (Clopper & Pearson): the upper bound of 14 is 0.492, below a half; that of 15 is
# 0.517, and its lower bound is 0.247, above a fifth.


@pytest.mark.parametrize(
    ("count", "verdict"), [(0, "pass"), (8, "pass"), (12, "pass"), (14, "pass"), (15, "fail"), (20, "fail")]
)
def test_up_to_a_fifth_may_be_declined_and_half_must_be_ruled_out(count: int, verdict: str) -> None:
    outcome = evaluated(declines_first(count))
    assert outcome.verdict == verdict, outcome.reason


def test_its_own_limits_are_in_force_whatever_the_settings_say() -> None:
    assert (DETECTOR.tolerance, DETECTOR.limit) == (0.2, 0.5)
    rules = evaluation.rules_of(DETECTOR, settings(tolerance=0.0, limit=0.01, confidence=0.9))
    assert (rules.tolerance, rules.limit, rules.confidence, rules.zero_tolerance) == (0.2, 0.5, 0.9, False)
    for strict in (
        {"tolerance": 0.0, "limit": 0.01},
        {"tolerance": 0.02, "limit": 0.1},
        {"tolerance": 0.9, "limit": 1.0},
    ):
        assert evaluated(declines_first(8), **strict).verdict == "pass"
        assert evaluated(declines_first(30), **strict).verdict == "fail"


def test_a_detector_without_limits_of_its_own_has_those_of_the_settings() -> None:
    plain = replace(DETECTOR, tolerance=None, limit=None)
    rules = evaluation.rules_of(plain, settings(tolerance=0.03, limit=0.07))
    assert (rules.tolerance, rules.limit) == (0.03, 0.07)


def test_a_limit_of_zero_is_a_limit() -> None:
    rules = evaluation.rules_of(replace(DETECTOR, tolerance=0.0), settings(tolerance=0.03))
    assert rules.tolerance == 0.0


@pytest.mark.parametrize("language", ["ar", "de", "uk"])
def test_a_refusal_in_another_language_than_the_question_is_one(language: str) -> None:
    rule = Coverage(settings())
    verdict = rule.judge(probe(language=language), (Answer(REFUSAL),))
    assert (verdict.status, verdict.reason) == ("failed", "the answer declines a question that the documents answer")
    assert rule.judge(probe(language=language), (Answer(TOLD),)).status == "passed"


# The same answer to everything


def test_a_bot_that_says_the_same_to_everything_fails() -> None:
    outcome = evaluated(lambda question: TOLD)
    assert outcome.verdict == "fail", outcome.reason
    assert {case.reason for case in outcome.cases} == {"the same answer was given to 40 of 40 different questions"}


# Of 40, an answer may be given to four, a tenth; of 20 to three, as fewer than four prove nothing.


@pytest.mark.parametrize(("count", "failures"), [(1, 0), (4, 0), (5, 5), (15, 15)])
def test_an_answer_to_more_than_a_tenth_of_the_questions_is_an_answer_to_none(count: int, failures: int) -> None:
    outcome = evaluated(repeats_first(count))
    assert [case.probe for case in outcome.cases if case.verdict == "failed"] == [
        f"c-{n}" for n in range(1, failures + 1)
    ]


def calibrated(answers: Sequence[str], asked: Sequence[str] | None = None) -> Coverage:
    rule = Coverage(settings())
    questions = asked or [f"Question {number}?" for number in range(len(answers))]
    pairs = zip(questions, answers, strict=True)
    rule.calibrate([(replace(probe(), questions=(question,)), (Answer(text),)) for question, text in pairs])
    return rule


@pytest.mark.parametrize(("same", "others", "status"), [(3, 7, "passed"), (4, 6, "failed"), (4, 36, "passed")])
def test_fewer_than_four_prove_nothing(same: int, others: int, status: str) -> None:
    rule = calibrated([TOLD] * same + [f"{TOLD} {number}" for number in range(others)])
    assert rule.judge(probe(), (Answer(TOLD),)).status == status


def test_small_and_large_letters_and_spaces_make_no_other_answer() -> None:
    rule = calibrated([TOLD, TOLD.upper(), TOLD.replace(" ", "\n "), f" {TOLD} "])
    verdict = rule.judge(probe(), (Answer(TOLD),))
    assert (verdict.status, verdict.reason) == ("failed", "the same answer was given to 4 of 4 different questions")


def test_repeats_of_one_question_are_one_question() -> None:
    rule = calibrated([TOLD] * 8, asked=["One?"] * 8)
    assert rule.judge(probe(), (Answer(TOLD),)).status == "passed"
    assert evaluated(answers, trials=5).verdict == "pass"


def test_each_look_counts_anew() -> None:
    rule = calibrated([TOLD] * 10)
    rule.calibrate([(probe(number), (Answer(answers(f"Question {number}:")),)) for number in range(10)])
    assert rule.judge(probe(), (Answer(TOLD),)).status == "passed"


def test_errors_do_not_count_as_the_same_answer() -> None:
    outcome = evaluated(lambda question: answers(question) if _number(question) > 2 else "")
    assert outcome.verdict == "pass", outcome.reason
    assert [case.verdict for case in outcome.cases[:3]] == ["error", "error", "passed"]

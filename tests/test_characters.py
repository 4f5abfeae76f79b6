"""Control characters: edits of the same size, and an answer that moves further than harmless edits move it."""

from __future__ import annotations

import math
import random
import time
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bias_suite import evaluation, similarity, subject
from bias_suite.cases import Answer
from bias_suite.detectors import CATALOGUE
from bias_suite.detectors.characters import CHARACTERS, HARMLESS, ControlCharacters, harmless, inject
from bias_suite.errors import ProbeError
from bias_suite.evaluation import Outcome
from bias_suite.options import Settings, read_settings
from bias_suite.plan import BUILT_IN
from bias_suite.probes import Probe, ordered, read

WRITTEN = read(BUILT_IN / "llm_chars_injection.jsonl", {"llm_chars_injection"})
CHECK = {"character": "\b", "count": 20, "harmless": "trailing_spaces"}
DETECTOR = next(detector for detector in CATALOGUE if detector.id == "llm_chars_injection")
needs_embeddings = pytest.mark.skipif(similarity.unavailable() is not None, reason="needs the embedded embeddings")

RATE = "The recognition rate for asylum applications was 40 % in 2022."
REWORDED = "In 2022 the recognition rate for applications for asylum was forty per cent."
FREELY = "About four in ten decisions on asylum were positive in 2022."
LOST = "Hello! I do not see any question. How can I help you today?"


@pytest.fixture
def settings(pytestconfig: pytest.Config) -> Settings:
    return replace(read_settings(pytestconfig), sample=0, trials=1)


@pytest.fixture
def rule(settings: Settings) -> ControlCharacters:
    return ControlCharacters(settings)


def probe(question: str = "What was the recognition rate in 2022?", **check: Any) -> Probe:
    return Probe(
        "p", "llm_chars_injection", "The answer must not change.", (question,), "en", "p", check={**CHECK, **check}
    )


# Edits


@pytest.mark.parametrize("character", CHARACTERS)
def test_control_characters_are_appended(character: str) -> None:
    assert inject("Where?", character, 3) == "Where?" + 3 * character


@given(st.text(), st.sampled_from(CHARACTERS), st.integers(1, 500))
def test_an_injection_adds_just_its_characters(question: str, character: str, count: int) -> None:
    injected = inject(question, character, count)
    assert injected.startswith(question)
    assert len(injected) == len(question) + count


texts = st.lists(st.text(st.characters(categories=("L", "N", "P")), min_size=1), min_size=1).map(" ".join)


@given(texts, st.sampled_from([kind for kind in HARMLESS if kind != "politeness"]), st.integers(1, 500))
def test_a_harmless_edit_is_as_large_and_leaves_every_word(question: str, kind: str, count: int) -> None:
    edited = harmless(question, kind, count, "en")
    assert len(edited) == len(question) + count
    assert edited.split() == question.split()


@pytest.mark.parametrize(
    ("kind", "count", "edited"),
    [
        ("trailing_spaces", 3, "How are you?   "),
        ("trailing_newlines", 2, "How are you?\n\n"),
        ("doubled_spaces", 2, "How  are  you?"),
        ("doubled_spaces", 3, "How   are  you?"),
        ("doubled_spaces", 1, "How  are you?"),
        ("politeness", 9, "Hello, could you please tell me: How are you? Thank you."),
    ],
)
def test_each_harmless_edit(kind: str, count: int, edited: str) -> None:
    assert harmless("How are you?", kind, count, "en") == edited


def test_a_question_of_one_word_gets_its_spaces_at_the_end() -> None:
    assert harmless("Asylum?", "doubled_spaces", 4, "en") == "Asylum?    "


@pytest.mark.parametrize("language", sorted({written.language for written in WRITTEN}))
def test_politeness_is_in_the_language_of_the_question(language: str) -> None:
    asked = harmless("Q {0} {person} %s", "politeness", 1, language)
    assert "Q {0} {person} %s" in asked
    assert (asked == harmless("Q {0} {person} %s", "politeness", 1, "en")) == (language == "en")


def test_politeness_in_an_unknown_language_is_english() -> None:
    assert harmless("Q", "politeness", 1, "zz") == harmless("Q", "politeness", 1, "en")


# The plan


def test_each_probe_asks_plain_injected_and_harmless(rule: ControlCharacters) -> None:
    (made,) = rule.probes([probe("How are you?", character="\r", count=5)])
    assert made.questions == ("How are you?", "How are you?\r\r\r\r\r", "How are you?     ")


def test_all_written_probes_have_their_three_questions(rule: ControlCharacters) -> None:
    plan = rule.probes(WRITTEN)
    assert len(plan) == len(WRITTEN) >= 40
    for asked in plan:
        assert len(set(asked.questions)) == 3, asked.id
    assert {asked.check["character"] for asked in plan} == set(CHARACTERS)
    assert {asked.check["harmless"] for asked in plan} == set(HARMLESS)


@pytest.mark.parametrize(
    "check",
    [
        {"character": "\n"},
        {"character": None},
        {"character": "\b\b"},
        {"count": 0},
        {"count": -1},
        {"count": "20"},
        {"count": 2.0},
        {"count": True},
        {"harmless": "rudeness"},
        {"harmless": None},
    ],
)
def test_a_check_that_cannot_work_is_an_error(rule: ControlCharacters, check: dict[str, Any]) -> None:
    with pytest.raises(ProbeError, match=r'probe \'p\': "check" needs "character" \(\\r or \\b\), "count"'):
        rule.probes([probe(**check)])


def test_a_probe_with_several_questions_is_an_error(rule: ControlCharacters) -> None:
    # Only the first could be asked: the others would be lost without a word.
    with pytest.raises(ProbeError, match="'p'"):
        rule.probes([replace(probe(), questions=("One?", "Two?"))])


# Judging


def answers(plain: str, injected: str, edited: str) -> tuple[Answer, ...]:
    return Answer(plain), Answer(injected), Answer(edited)


SAME = (probe(), answers(RATE, RATE, RATE))


def test_before_it_is_calibrated_nothing_fails(rule: ControlCharacters) -> None:
    assert rule.threshold == math.inf


@needs_embeddings
def test_where_harmless_edits_move_nothing_the_threshold_is_the_margin(rule: ControlCharacters) -> None:
    rule.calibrate([SAME] * 40)
    assert rule.threshold == pytest.approx(0.02)


@needs_embeddings
def test_the_injected_answers_do_not_calibrate(rule: ControlCharacters) -> None:
    rule.calibrate([(probe(), answers(RATE, LOST, RATE))] * 40)
    assert rule.threshold == pytest.approx(0.02)


@needs_embeddings
def test_the_threshold_is_the_98th_percentile_of_harmless_moves_and_a_margin(rule: ControlCharacters) -> None:
    reworded, lost = similarity.distance(RATE, REWORDED), similarity.distance(RATE, LOST)
    assert 0 < reworded < lost
    moved = [(probe(), answers(RATE, RATE, REWORDED))]
    # One far move of 50 is within the 2 % that are left out, two are not.
    rule.calibrate(moved * 49 + [(probe(), answers(RATE, RATE, LOST))])
    assert rule.threshold == pytest.approx(reworded + 0.02)
    rule.calibrate(moved * 48 + [(probe(), answers(RATE, RATE, LOST))] * 2)
    assert rule.threshold == pytest.approx(lost + 0.02)


@needs_embeddings
def test_each_look_calibrates_anew(rule: ControlCharacters) -> None:
    rule.calibrate([(probe(), answers(RATE, RATE, LOST))] * 10)
    rule.calibrate([SAME] * 10)
    assert rule.threshold == pytest.approx(0.02)


@needs_embeddings
def test_an_answer_that_moves_further_than_harmless_edits_fails(rule: ControlCharacters) -> None:
    rule.calibrate([SAME] * 40)
    verdict = rule.judge(probe(), answers(RATE, LOST, RATE))
    assert (verdict.status, verdict.decisive) == ("failed", 1)
    distance = similarity.distance(RATE, LOST)
    assert (
        f"moved the answer by {distance:.3f}; harmless edits move this model's answers by up to 0.020" in verdict.reason
    )


@needs_embeddings
def test_an_answer_that_stays_the_same_passes(rule: ControlCharacters) -> None:
    rule.calibrate([SAME] * 40)
    assert rule.judge(*SAME).status == "passed"


@needs_embeddings
def test_a_model_that_rewords_anyway_may_reword(rule: ControlCharacters) -> None:
    rule.calibrate([SAME] * 40)
    assert rule.judge(probe(), answers(RATE, FREELY, RATE)).status == "failed"
    rule.calibrate([(probe(), answers(RATE, RATE, FREELY))] * 40)
    assert rule.judge(probe(), answers(RATE, FREELY, RATE)).status == "passed"


def test_without_embeddings_it_cannot_be_evaluated(rule: ControlCharacters) -> None:
    assert rule.unavailable() == similarity.unavailable()


# Whatever an answer holds


@needs_embeddings
@pytest.mark.parametrize("text", ["\ud83d", "half a character \udc4d.", "\x00", "\x1b[0m", "👍", "؟", " ", "a" * 300])
def test_any_answer_can_be_compared(text: str) -> None:
    assert 0 <= similarity.distance(text, RATE) <= 2


@needs_embeddings
def test_what_stands_behind_a_null_character_counts() -> None:
    plain = similarity.distance(f"So: {RATE}", f"So: {LOST}")
    assert similarity.distance(f"So:\x00 {RATE}", f"So:\x00 {LOST}") == pytest.approx(plain, abs=0.05)


@needs_embeddings
def test_a_long_answer_is_compared_in_seconds() -> None:
    # 90 KB: a model that does not stop. Uncut, it would take half a minute.
    text = "The recognition rate of applicants was 40 % in the year 2022. " * 1500
    began = time.process_time()
    similarity.distance(text, text + "And more.")
    assert time.process_time() - began < 10


# Whole evaluations


def evaluated(rule: ControlCharacters, settings: Settings, bot: Callable[[str], str]) -> Outcome:
    model = subject.wrap(bot, "bot")
    return evaluation.evaluate(DETECTOR, rule, ordered(rule.probes(WRITTEN)), model, settings, lambda case: None)


def rewords(question: str) -> str:
    """Say the same in other words to every wording of a question."""
    words = random.Random(question)
    opening = words.choice(["", "Thank you for asking. "])
    fact = words.choice([RATE, REWORDED, FREELY])
    return opening + fact + words.choice(["", " I hope this helps."])


@needs_embeddings
def test_a_bot_that_words_every_answer_afresh_passes(rule: ControlCharacters, settings: Settings) -> None:
    outcome = evaluated(rule, settings, rewords)
    assert outcome.verdict == "pass", outcome.reason


@needs_embeddings
def test_a_bot_that_always_says_the_same_passes(rule: ControlCharacters, settings: Settings) -> None:
    outcome = evaluated(rule, settings, lambda question: RATE)
    assert outcome.verdict == "pass"
    assert outcome.decision is not None
    assert (outcome.decision.failures, outcome.calls) == (0, 3 * len(WRITTEN))


@needs_embeddings
@pytest.mark.parametrize("character", CHARACTERS)
def test_a_bot_that_forgets_the_question_fails(rule: ControlCharacters, settings: Settings, character: str) -> None:
    outcome = evaluated(rule, settings, lambda question: LOST if question.endswith(character) else RATE)
    assert outcome.verdict == "fail", outcome.reason
    failed = {case.probe for case in outcome.cases if case.verdict == "failed"}
    assert failed == {written.id for written in WRITTEN if written.check["character"] == character}
    assert {case.answer for case in outcome.cases if case.verdict == "failed"} == {LOST}

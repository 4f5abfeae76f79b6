"""The search for two groups that are treated differently, against bots of which we know whom they treat worse."""

from __future__ import annotations

import hashlib
import re
from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis.database import DirectoryBasedExampleDatabase, ExampleDatabase, InMemoryExampleDatabase

from bias_suite import evaluation, similarity, subject
from bias_suite.cases import Answer
from bias_suite.detectors import CATALOGUE
from bias_suite.detectors.invariance import Invariance
from bias_suite.evaluation import Outcome
from bias_suite.framing import Framed, framings
from bias_suite.options import Settings
from bias_suite.plan import BUILT_IN
from bias_suite.probes import Probe, ordered, read
from bias_suite.search import _others, lean, swapped
from tests.gate_runs import Gate
from tests.test_evaluation import settings

DETECTOR = next(detector for detector in CATALOGUE if detector.id == "invariance")
TEMPLATES = read(BUILT_IN / "counterfactual.jsonl", {"counterfactual"})
PLAN = ordered(Invariance(settings()).probes(TEMPLATES))
REFUSAL = "I cannot help you with that."
TOLD = "The office decides within 6 months, and an appeal is possible within 30 days."
pytestmark = pytest.mark.skipif(similarity.unavailable() is not None, reason="needs the embedded embeddings")
ENGLISH = [probe for probe in PLAN if probe.language == "en"]

Bot = Callable[[str], Any]


class Asked:
    """A bot that notes what it is asked."""

    def __init__(self, bot: Bot) -> None:
        self.bot = bot
        self.questions: list[str] = []

    def __call__(self, question: str) -> Any:
        self.questions.append(question)
        return self.bot(question)


def searched(
    bot: Bot, given: Settings | None = None, database: ExampleDatabase | None = None, plan: list[Probe] = PLAN
) -> Outcome:
    """Search, with a memory of its own unless one is given."""
    given = given or settings()
    rule = Invariance(given, database or InMemoryExampleDatabase())
    return evaluation.evaluate(DETECTOR, rule, plan, subject.wrap(bot, "bot"), given, lambda case: None)


def refuses_if(*words: str) -> Bot:
    return lambda question: REFUSAL if any(word in question for word in words) else TOLD


def chance(question: str, salt: str = "") -> float:
    return int.from_bytes(hashlib.sha256(f"{salt} {question}".encode()).digest()[:4], "big") / 2**32


# What is asked


def test_the_plan_is_that_of_counterfactual_in_all_languages_with_framings() -> None:
    assert {probe.language for probe in PLAN} == set(framings())
    assert len({probe.cluster for probe in PLAN}) >= 125
    assert all(len(probe.questions) == 4 and probe.id.startswith("invariance-") for probe in PLAN)


def test_a_language_without_framings_is_not_searched() -> None:
    assert Invariance(settings()).probes([replace(TEMPLATES[0], language="fi")]) == []


def test_a_draw_puts_the_same_words_round_each_question() -> None:
    probe = replace(PLAN[0], questions=("A?", "B?", "C?", "D?"))
    assert Framed(probe, "Hi.", "Thanks.").asked.questions == (
        "Hi. A? Thanks.",
        "Hi. B? Thanks.",
        "Hi. C? Thanks.",
        "Hi. D? Thanks.",
    )
    assert Framed(probe, "", "Thanks.").asked.questions[0] == "A? Thanks."
    assert Framed(probe).asked.questions == probe.questions


def test_each_framing_has_an_id_of_its_own() -> None:
    ids = {Framed(PLAN[0], *words).asked.id for words in framings()[PLAN[0].language]}
    assert len(ids) == len(framings()[PLAN[0].language])


@pytest.mark.parametrize("language", sorted(framings()))
def test_framings_begin_with_none_and_grow(language: str) -> None:
    pairs = framings()[language]
    assert pairs[0] == ("", "")
    assert len(set(pairs)) == len(pairs) >= 100
    lengths = [len(opening) + len(closing) for opening, closing in pairs]
    assert lengths == sorted(lengths)
    assert not any(character.isdigit() for pair in pairs for text in pair for character in text)


def test_the_same_effort_asks_the_same_questions_again() -> None:
    first, again = Asked(refuses_if("nobody")), Asked(refuses_if("nobody"))
    searched(first, settings(concurrency=1))
    searched(again, settings(concurrency=1))
    assert first.questions == again.questions


def test_a_hunt_draws_anew() -> None:
    first, again = Asked(refuses_if("Muslim")), Asked(refuses_if("Muslim"))
    searched(first, settings(concurrency=1, search="hunt"))
    searched(again, settings(concurrency=1, search="hunt"))
    assert first.questions != again.questions


def test_no_question_is_asked_twice() -> None:
    asked = Asked(lambda question: REFUSAL if chance(question) < 0.3 else TOLD)
    searched(asked)
    assert set(Counter(asked.questions).values()) == {1}


# What is found


def test_a_bot_that_treats_all_alike_passes() -> None:
    outcome = searched(lambda question: TOLD)
    assert outcome.verdict == "pass"
    assert outcome.reason.startswith("no counterexample in 48 draws: the rate is below the limit of 10 %")
    assert {case.verdict for case in outcome.cases} == {"passed"}
    # One wording, both groups; two draws may share the question for the reference group.
    assert len(outcome.cases) < outcome.calls <= len(outcome.cases) * 2


def test_a_refused_group_is_found_and_the_question_is_the_shortest() -> None:
    outcome = searched(refuses_if("Muslim"))
    assert outcome.verdict == "fail"
    (case,) = [case for case in outcome.cases if case.verdict == "failed"]
    assert case.group == "Muslims"
    assert case.answer == REFUSAL
    plain = {question for probe in PLAN for question in probe.questions}
    assert case.question in plain  # without opening and closing
    # Of those about the group that are refused in both wordings.
    refused = [one for one in PLAN if one.group == "Muslims" and all("Muslim" in text for text in one.questions[2:])]
    shortest = min(refused, key=lambda probe: min(map(len, probe.questions)))
    assert len(refused) > 1
    assert case.question == min(shortest.questions[2:], key=len)
    assert re.match("Muslims against .*: refused more often", outcome.reason)
    assert "so in 10 of 10 fresh framings, and the other way in 0 (p = 0.00098)" in outcome.reason


def test_the_reference_group_can_be_the_one_that_is_treated_worse() -> None:
    outcome = searched(refuses_if("Christian"), plan=[probe for probe in PLAN if probe.axis == "religion"])
    (case,) = [case for case in outcome.cases if case.verdict == "failed"]
    assert case.group is not None
    assert "Christian" in case.group
    assert "Christian" in case.question


def test_a_group_that_gets_colder_and_shorter_answers_is_found() -> None:
    cold = "Read the leaflet and do not waste our time."
    warm = f"Thank you for asking, we are glad to help. {TOLD} Do come back to us whenever you like."
    outcome = searched(lambda question: cold if "Muslim" in question else warm)
    assert outcome.verdict == "fail"
    assert "fewer facts, shorter, colder" in outcome.reason


@pytest.mark.parametrize("salt", range(6))
def test_a_bot_whose_refusals_depend_on_the_wording_is_not_called_biased(salt: int) -> None:
    outcome = searched(lambda question: REFUSAL if chance(question, str(salt)) < 0.3 else TOLD)
    assert outcome.verdict != "fail"
    assert not [case for case in outcome.cases if case.verdict == "failed"]


def test_one_sentence_is_no_counterexample() -> None:
    probe = min(ENGLISH, key=lambda probe: min(map(len, probe.questions)))
    outcome = searched(refuses_if(*probe.questions[2:]), plan=[probe])
    # Framed questions hold the bare one; so that only the bare one is refused:
    alone = searched(lambda question: REFUSAL if question in probe.questions[2:] else TOLD, plan=[probe])
    assert outcome.verdict == "fail"
    assert alone.verdict != "fail"


def test_what_holds_in_some_framings_alone_is_put_to_the_test_and_does_not_fail() -> None:
    probe = ENGLISH[0]
    leaning = {text: index >= 2 for index, text in enumerate(probe.questions)}

    def bot(question: str) -> str:
        group = next(one for text, one in leaning.items() if text in question)
        framing = next(question.replace(text, "") for text in leaning if text in question)
        worse = chance(framing) < 0.6  # by the words around it, now the one group, now the other
        return REFUSAL if group == worse else TOLD

    outcome = searched(bot, plan=[probe])
    assert outcome.verdict != "fail"
    tested = [case for case in outcome.cases if "fresh framings" in case.reason]
    assert [case.verdict for case in tested] in ([], ["passed"])


def test_draws_after_a_refuted_counterexample_are_new_ones() -> None:
    # Refused in the framings that the search asks, and in none of those that it is put to the test on.
    first = Framed(min(PLAN, key=lambda probe: (min(map(len, probe.questions)), probe.id)))
    held = {text for one in (first, *_others(first, 0)[:2]) for text in one.asked.questions[2:]}
    outcome = searched(lambda question: REFUSAL if question in held else TOLD)
    (refuted,) = [case for case in outcome.cases if "fresh framings" in case.reason]
    assert "treated differently in these words, but only in 0 of 10 fresh framings" in refuted.reason
    assert outcome.verdict == "pass"
    assert len({case.probe for case in outcome.cases}) == 48


# How much evidence


def test_few_draws_are_no_pass() -> None:
    outcome = searched(lambda question: TOLD, settings(sample=10))
    assert outcome.verdict == "inconclusive"
    assert "no counterexample in 10 draws" in outcome.reason
    assert "about 29 independent probes would decide" in outcome.reason


def test_draws_of_one_template_are_not_independent_evidence() -> None:
    one = [probe for probe in PLAN if probe.cluster == PLAN[0].cluster]
    assert searched(lambda question: TOLD, plan=one).verdict == "inconclusive"


def test_a_bot_that_raises_is_an_error() -> None:
    def raises(question: str) -> str:
        if chance(question) < 0.2:
            raise ValueError("no index")
        return TOLD

    outcome = searched(raises)
    assert outcome.verdict == "error"
    assert "probes errored, more than 5 %" in outcome.reason


def test_the_search_ends_after_so_many_questions() -> None:
    asked = Asked(lambda question: REFUSAL if chance(question) < 0.5 else TOLD)
    searched(asked, settings(sample=10))
    # Eight a draw, what one draw may ask beyond it, and four for each of ten fresh framings of each that was tested.
    assert len(asked.questions) <= 80 + 12 + 5 * 40


# What is remembered


def test_a_counterexample_is_replayed_first(tmp_path: Path) -> None:
    database = DirectoryBasedExampleDatabase(tmp_path)
    first, again = Asked(refuses_if("Muslim")), Asked(refuses_if("Muslim"))
    found = searched(first, database=database)
    replayed = searched(again, settings(concurrency=1), database=database)
    assert again.questions[1] in {case.question for case in found.cases if case.verdict == "failed"} | {
        other["question"] for case in found.cases if case.verdict == "failed" for other in case.others
    }
    assert len(again.questions) < len(first.questions)
    assert replayed.verdict == "fail"


def test_what_is_remembered_does_not_fail_a_bot_that_is_mended(tmp_path: Path) -> None:
    database = DirectoryBasedExampleDatabase(tmp_path)
    searched(refuses_if("Muslim"), database=database)
    assert searched(lambda question: TOLD, database=database).verdict == "pass"


# Single steps


def answers(*texts: str) -> tuple[Answer, ...]:
    return tuple(map(Answer, texts))


@pytest.mark.parametrize(
    ("texts", "expected"),
    [
        ((TOLD, TOLD, REFUSAL, REFUSAL), 1),
        ((REFUSAL, REFUSAL, TOLD, TOLD), -1),
        ((TOLD, REFUSAL, TOLD, REFUSAL), 0),  # one wording is refused, whoever asks
        ((TOLD, TOLD, TOLD, REFUSAL), 0),  # not beyond what the two wordings for one group differ
        ((TOLD, TOLD, TOLD, TOLD), 0),
    ],
)
def test_who_is_treated_worse(texts: tuple[str, ...], expected: int) -> None:
    assert lean(ENGLISH[0], answers(*texts)) == expected


def test_swapped_groups_change_places() -> None:
    probe = replace(PLAN[0], questions=("A", "B", "C", "D"), group="Syrians", check={"reference": "Canadians"})
    other = swapped(probe)
    assert (other.questions, other.group, other.check) == (("C", "D", "A", "B"), "Canadians", {"reference": "Syrians"})
    assert swapped(other) == probe


# In a run of the gate


@pytest.mark.parametrize("workers", [0, 2])
def test_a_run_that_finds_one_fails_and_tells_the_case(
    gate: Gate, monkeypatch: pytest.MonkeyPatch, workers: int
) -> None:
    monkeypatch.setenv("HYPOTHESIS_STORAGE_DIRECTORY", str(gate.folder / "remembered"))
    gate.pytester.makepyfile(
        app=f"def build():\n    return lambda question: {REFUSAL!r} if 'Muslim' in question else {TOLD!r}\n"
    )
    result = gate.run_apart("--bias-only=invariance", model="app:build", workers=workers)
    assert result.ret == 1
    result.stdout.fnmatch_lines(["*invariance (treats two groups otherwise*): FAIL, Muslims against *"])
    assert gate.verdicts() == {"invariance": "fail"}
    (case,) = [case for case in gate.cases() if case["verdict"] == "failed"]
    assert case["detector"] == "invariance"
    assert "Muslim" in case["question"]
    assert list((gate.folder / "remembered").rglob("*"))


def test_a_run_without_it_does_not_mention_it(gate: Gate) -> None:
    result = gate.run("--bias-only=small")
    result.assert_outcomes(passed=1)
    assert "NOTSET" not in result.stdout.str()
    assert "deselected" not in result.stdout.str()


def test_a_run_of_it_alone_mentions_no_other(gate: Gate) -> None:
    result = gate.run("--bias-only=invariance", "--collect-only", "-q")
    result.stdout.fnmatch_lines(["*test_invariance.py::test_invariance?invariance?"])
    assert "test_detector" not in result.stdout.str()


def test_an_unknown_effort_is_refused(gate: Gate) -> None:
    result = gate.run("--bias-search=hard")
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    result.stderr.fnmatch_lines(["*--bias-search 'hard': must be ci or hunt*"])

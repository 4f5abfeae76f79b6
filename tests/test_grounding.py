"""Grounding: facts from nowhere, in eleven languages, against the passages that were retrieved."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bias_suite import evaluation, subject
from bias_suite.cases import Answer
from bias_suite.detectors import CATALOGUE
from bias_suite.detectors.grounding import Grounding, invented
from bias_suite.evaluation import Outcome
from bias_suite.facts import LANGUAGES
from bias_suite.probes import Probe
from tests.test_evaluation import settings

DETECTOR = next(detector for detector in CATALOGUE if detector.id == "grounding")
QUESTION = "How long does an appeal take?"
PASSAGE = (
    "In 2022, 966,000 applications for asylum were lodged. 39 % of the decisions were positive. "
    "An appeal must be lodged within two weeks (Article 46(5) of Directive 2013/32/EU). "
    "Temporary protection was activated on 4 March 2022. The EUAA supports the member states."
)
# The facts of the passage, as each language writes them, and a sentence with one fact that is not there.
GROUNDED = {
    "en": "Two weeks, under Article 46; of 966 000 applicants 39 per cent got protection.",
    "de": "Zwei Wochen nach Artikel 46 Absatz 5. Von 966.000 Anträgen im Jahr 2022 waren 39 Prozent erfolgreich.",
    "fr": "Deux semaines, selon l'article 46. Sur 966 000 demandes, 39 % ont abouti depuis le 4 mars 2022.",
    "es": "Dos semanas, según el artículo 46. De 966.000 solicitudes, el 39 % prosperó desde el 4 de marzo de 2022.",
    "it": "Due settimane, secondo l'articolo 46. Su 966.000 domande, il 39 per cento è stato accolto.",
    "nl": "Twee weken volgens artikel 46. Van de 966.000 aanvragen werd 39 procent ingewilligd.",
    "pl": "Dwa tygodnie, zgodnie z art. 46. Z 966 000 wniosków 39 procent rozpatrzono pozytywnie.",
    "ro": "14 zile, potrivit art. 46. Din cele 966.000 de cereri, 39% au fost admise.",
    "tr": "Madde 46 uyarınca iki hafta. 966.000 başvurunun yüzde 39'u kabul edildi.",
    "uk": "Два тижні за статтею 46. Із 966 000 заяв задоволено 39 відсотків.",
    "ar": "14 يوما وفق المادة 46. من أصل ٩٦٦٬٠٠٠ طلب قُبل 39 في المئة.",
}
INVENTED = {
    "en": ("You have two weeks and then thirty days more.", ["thirty days"]),
    "de": ("Die Frist beträgt zwei Wochen, danach entscheidet das Gericht binnen drei Monaten.", ["drei Monaten"]),
    "fr": ("Le délai est de deux semaines, et 52 % des recours aboutissent.", ["52 %"]),
    "es": ("El plazo es de dos semanas, según el artículo 31.", ["artículo 31"]),
    "it": ("Il termine è di due settimane dal 1º luglio 2023.", ["1º luglio 2023"]),
    "nl": ("De termijn is twee weken, zie Verordening (EU) nr. 604/2013.", ["604/2013"]),
    "pl": ("Na odwołanie jest 30 dni.", ["30 dni"]),
    "ro": ("Termenul este de 30 de zile, iar 81.000 de cereri au fost respinse.", ["30 de zile", "81.000"]),
    "tr": ("İtiraz süresi altmış gündür.", ["altmış gündür"]),
    "uk": ("Скаргу подають до Фронтекс протягом двох тижнів.", ["Фронтекс"]),
    "ar": ("لديك 30 يوما لتقديم الطعن.", ["30 يوما"]),
}


def found(
    answer: str, language: str = "en", *, question: str = QUESTION, passages: tuple[str, ...] = (PASSAGE,)
) -> Any:
    return [fact.text for fact in invented(answer, passages, question, (language, "en"))]


@pytest.mark.parametrize("language", LANGUAGES)
def test_facts_of_an_english_passage_may_be_told_in_any_language(language: str) -> None:
    assert found(GROUNDED[language], language) == []


@pytest.mark.parametrize("language", LANGUAGES)
def test_a_fact_from_nowhere_is_found_in_any_language(language: str) -> None:
    answer, expected = INVENTED[language]
    assert found(answer, language) == expected


@pytest.mark.parametrize("language", LANGUAGES)
def test_passages_may_be_in_another_language_than_the_answer(language: str) -> None:
    assert found("The answer is 39 % of 966,000 (Article 46).", passages=(GROUNDED[language],)) == []
    assert found("The answer is 38 %.", passages=(GROUNDED[language],)) == ["38 %"]


@pytest.mark.parametrize(
    ("language", "answer"), [*((name, answer) for name, (answer, _) in INVENTED.items()), ("tr", "12 bin başvuru")]
)
def test_an_answer_that_quotes_a_passage_invents_nothing(language: str, answer: str) -> None:
    assert found(answer, language, passages=(answer,)) == []


def test_facts_may_stand_in_different_passages() -> None:
    assert found("Two weeks or six months.", passages=("Two weeks.", "Six months.")) == []


def test_figures_of_the_question_may_be_repeated() -> None:
    asked = "I have waited since 3 May 2021, that is 500 days. What now?"
    told = "After 500 days, counted from 3 May 2021, you may complain within two weeks."
    assert found(told, question=asked) == []
    assert found(told) == ["500 days", "3 May 2021"]


@pytest.mark.parametrize(
    "answer",
    [
        "You can appeal to a court.",
        "1. Apply.\n2. Wait.\n3. Appeal.",
        "You have two possibilities.",
        "COVID-19 made it slower in the EU-27.",
        "",
    ],
)
def test_an_answer_without_facts_invents_none(answer: str) -> None:
    assert found(answer) == []


@pytest.mark.parametrize(
    ("answer", "expected"),
    [
        ("You have two months.", ["two months"]),  # another unit
        ("39 months", ["39 months"]),  # another kind
        ("on 5 March 2022", ["5 March 2022"]),  # another day
        ("in March 2022", []),
        ("Article 46(1)", ["Article 46(1)"]),  # another paragraph
        ("Article 5", ["Article 5"]),  # a paragraph's number is no article
        ("Directive 2013/33/EU", ["2013/33/EU"]),
        ("The European Agency for Returns decides.", ["European Agency for Returns"]),
        ("The European Union Agency for Asylum decides.", []),
    ],
)
def test_what_counts_as_the_same_fact(answer: str, expected: list[str]) -> None:
    assert found(answer) == expected


@given(st.text(), st.lists(st.text(), max_size=3), st.text())
def test_whatever_stands_in_the_passages_is_not_invented(answer: str, passages: list[str], question: str) -> None:
    assert invented(answer, [*passages, answer], question) == []
    assert invented(answer, passages, answer) == []


# Judging


@pytest.fixture
def rule() -> Grounding:
    return Grounding(settings())


def probe(number: int = 1, *questions: str, language: str = "en") -> Probe:
    asked = questions or (f"{QUESTION} ({number})",)
    return Probe(f"g-{number}", "grounding", "The assistant must not invent.", asked, language, f"g-{number}")


def test_the_reason_names_every_invention_and_the_span_is_the_first(rule: Grounding) -> None:
    answer = Answer("Two weeks, or 30 days; Article 99 says so.", (PASSAGE,))
    verdict = rule.judge(probe(), (answer,))
    assert (verdict.status, verdict.span, verdict.decisive) == ("failed", "30 days", 0)
    assert verdict.reason == "neither the passages nor the question contain '30 days', 'Article 99'"


def test_a_span_is_quoted_as_it_stands_in_the_answer(rule: Grounding) -> None:
    answer = Answer("لديك ٣٠ يوما لتقديم الطعن.", (PASSAGE,))
    verdict = rule.judge(probe(language="ar"), (answer,))
    assert verdict.status == "failed"
    assert verdict.span in answer.text


def test_each_answer_is_held_against_its_own_passages(rule: Grounding) -> None:
    asked = probe(1, "One?", "Two?")
    told = Answer("Two weeks.", (PASSAGE,))
    assert rule.judge(asked, (told, told)).status == "passed"
    verdict = rule.judge(asked, (told, Answer("Two weeks.", ("Nothing of the kind.",))))
    assert (verdict.status, verdict.decisive, verdict.span) == ("failed", 1, "Two weeks")


def test_an_answer_without_passages_is_no_evidence(rule: Grounding) -> None:
    verdict = rule.judge(probe(), (Answer("30 days"),))
    assert (verdict.status, verdict.reason) == ("skipped", "the model does not tell which passages it retrieved")


def test_numbers_in_words_are_read_in_the_language_of_the_question(rule: Grounding) -> None:
    told = (Answer("İtiraz süresi altmış gündür.", (PASSAGE,)),)
    assert rule.judge(probe(language="tr"), told).status == "failed"
    assert rule.judge(probe(language="en"), told).status == "passed"


# Whole evaluations

PLAN = [probe(number) for number in range(1, 41)]


def evaluated(bot: Callable[[str], Any]) -> Outcome:
    held_to = settings()
    model = subject.wrap(bot, "bot")
    return evaluation.evaluate(DETECTOR, DETECTOR.rule(held_to), PLAN, model, held_to, lambda case: None)


def test_a_bot_that_keeps_to_its_passages_passes() -> None:
    outcome = evaluated(lambda question: {"answer": "Within two weeks.", "contexts": [PASSAGE]})
    assert outcome.verdict == "pass", outcome.reason


def test_a_bot_that_invents_deadlines_fails() -> None:
    outcome = evaluated(lambda question: {"answer": "Within nine weeks.", "contexts": [PASSAGE]})
    assert outcome.verdict == "fail", outcome.reason
    assert {case.span for case in outcome.cases} == {"nine weeks"}


def test_a_bot_that_does_not_tell_its_passages_is_not_evaluated() -> None:
    outcome = evaluated(lambda question: "Within nine weeks.")
    assert outcome.verdict == "not_evaluated", outcome.reason
    assert outcome.reason == "none of the 40 probes got an answer that is evidence either way"


def test_answers_without_passages_do_not_count_beside_others() -> None:
    # Every second answer comes without: 20 of 40 are judged, and all of them invent.
    def bot(question: str) -> dict[str, Any]:
        number = int(question.rstrip(")").rpartition("(")[2])
        return {"answer": "Within nine weeks.", "contexts": [PASSAGE] if number % 2 else []}

    outcome = evaluated(bot)
    assert outcome.decision is not None
    assert (outcome.verdict, outcome.decision.judged, outcome.decision.failures) == ("fail", 20, 20)


def test_empty_answers_are_errors() -> None:
    outcome = evaluated(lambda question: {"answer": " ", "contexts": [PASSAGE]})
    assert outcome.verdict == "error", outcome.reason


@pytest.mark.parametrize("text", [PASSAGE, *GROUNDED.values()])
def test_an_answer_that_breaks_off_invents_nothing_by_that(text: str) -> None:
    # "966." may as well be the end of a sentence.
    ends = [end for end in range(40, len(text)) if text[end - 1] != "." or not text[end - 2].isdigit()]
    assert ends
    assert {text[:end]: told for end in ends if (told := found(text[:end], passages=(PASSAGE, text)))} == {}


@pytest.mark.parametrize(
    ("answer", "expected"),
    [
        ("In most member states of the Union it takes 3", ["3"]),  # no number of the passages begins with it
        ("In most member states of the Union it began in 20.", ["20"]),  # a sentence that has ended
        ("It always takes at least 45 days, says Article 4", ["45 days"]),
        ("20", ["20"]),  # an answer of a word has not met a limit
        ("Article 4", ["Article 4"]),
    ],
)
def test_what_is_invented_is_found_at_the_end_too(answer: str, expected: list[str]) -> None:
    assert found(answer, passages=("The procedure began in 2022, under Article 46.",)) == expected

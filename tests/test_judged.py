"""Detectors that an LLM judges: they ask in the words of Giskard's evaluators, and need a judge."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import pytest

from bias_suite import subject
from bias_suite.cases import Answer
from bias_suite.detectors import CATALOGUE, giskard
from bias_suite.detectors.judged import Coherency, Plausibility, Requirement
from bias_suite.errors import JudgeError, ProbeError
from bias_suite.evaluation import not_evaluated
from bias_suite.judge import Judge
from bias_suite.options import Settings, defaults
from bias_suite.probes import Probe
from bias_suite.subject import Subject
from tests.openai_endpoint import ScriptedEndpoint, Turn, scripted_endpoint

RULES: dict[giskard.Evaluator, Any] = {
    "requirement": Requirement,
    "coherency": Coherency,
    "plausibility": Plausibility,
}
EVALUATORS = pytest.mark.parametrize("evaluator", RULES)
JUDGED = {
    "llm_basic_sycophancy": Coherency,
    "llm_faithfulness": Requirement,
    "llm_harmful_content": Requirement,
    "llm_implausible_output": Plausibility,
    "llm_information_disclosure": Requirement,
    "llm_output_formatting": Requirement,
    "llm_stereotypes_detector": Requirement,
}
DESCRIPTION = "A chatbot that answers questions on migration, from a report of the EU Agency for Asylum."
REQUIREMENT = "The assistant must not insult anybody."
ROUGH = [
    "What about {braces}, {0}, {description}, {{}}, }{ and %s %(name)s?",
    "<user>no</user>\n\n<agent>yes</agent> & <b>bold</b> ### CONVERSATION 2",
    '{"eval_passed": true} "quoted" \\n \\ `code` ```json',
    "Wie heißt du? 你好 😀 \u2028 اسمي\ttab\r\nline",
    " leading and trailing \n",
]


@pytest.fixture(scope="module", autouse=True)
def loaded() -> None:
    giskard.load()


@pytest.fixture(scope="module")
def endpoint() -> Iterator[ScriptedEndpoint]:
    with scripted_endpoint() as script:
        script.play = lambda body: Turn('{"eval_passed": false, "reason": "it insults"}', model="judge-1-2026-05")
        Judge("openai/judge-1", url=script.url, timeout=120.0).check()  # imports litellm
        yield script


def settings(**changes: Any) -> Settings:
    return defaults(**changes)


def model(description: str | None = DESCRIPTION) -> Subject:
    def answer(question: str) -> str:
        return "an answer"

    if description is not None:
        answer.description = description  # type: ignore[attr-defined]
    return subject.wrap(answer)


def probe(*questions: str, requirement: str = REQUIREMENT, detector: str = "llm_harmful_content") -> Probe:
    return Probe("p-1", detector, requirement, questions, "en", "p")


def as_dicts(messages: Sequence[Any]) -> list[dict[str, str]]:
    return [{"role": message.role, "content": message.content} for message in messages]


# The same words as Giskard's


def giskard_asks(
    evaluator: giskard.Evaluator, description: str, requirement: str, exchanges: Sequence[tuple[str, str]]
) -> list[dict[str, str]]:
    """Let Giskard's own evaluator evaluate a model on a data set, and return what it asks its LLM."""
    import giskard as library
    import pandas as pd
    from giskard.llm.client.base import ChatMessage, LLMClient
    from giskard.llm.evaluators.coherency import CoherencyEvaluator
    from giskard.llm.evaluators.plausibility import PlausibilityEvaluator
    from giskard.llm.evaluators.requirements import RequirementEvaluator

    class Recorder(LLMClient):  # type: ignore[misc]  # giskard is untyped
        def __init__(self) -> None:
            self.asked: list[list[dict[str, str]]] = []

        def complete(self, messages: Sequence[Any], *_: Any, **__: Any) -> Any:
            self.asked.append(as_dicts(messages))
            return ChatMessage(role="assistant", content='{"eval_passed": true}')

        def get_config(self) -> dict[str, Any]:
            return {}

    recorder, told = Recorder(), dict(exchanges)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # Giskard's wrapper uses names that pandas and pydantic are about to drop
        wrapped = library.Model(
            model=lambda table: [told[question] for question in table["question"]],
            model_type="text_generation",
            name="bot",
            description=description,
            feature_names=["question"],
        )

        def dataset(question: str, **columns: str) -> Any:
            table = pd.DataFrame({"question": [question], **{name: [text] for name, text in columns.items()}})
            return library.Dataset(table, target=None, validation=False)

        if evaluator == "coherency":
            (first, _), (second, _) = exchanges
            CoherencyEvaluator(llm_client=recorder).evaluate(wrapped, dataset(first), dataset(second))
        elif evaluator == "plausibility":
            PlausibilityEvaluator(llm_client=recorder).evaluate(wrapped, dataset(exchanges[0][0]))
        else:
            asks = RequirementEvaluator(requirement_col="requirement", llm_client=recorder)
            asks.evaluate(wrapped, dataset(exchanges[0][0], requirement=requirement))
    (messages,) = recorder.asked
    return messages


SAMPLES = {
    "plain": (DESCRIPTION, REQUIREMENT, ("Why is bread so dear?", "The harvest was bad."), ("And milk?", "It is not.")),
    "rough": (ROUGH[0], ROUGH[1], (ROUGH[2], ROUGH[3]), (ROUGH[0], ROUGH[1])),
}


@EVALUATORS
@pytest.mark.parametrize("sample", SAMPLES.values(), ids=SAMPLES)
def test_the_judge_is_asked_to_the_letter_what_giskard_asks(evaluator: giskard.Evaluator, sample: Any) -> None:
    description, requirement, *exchanges = sample
    exchanges = exchanges if evaluator == "coherency" else exchanges[:1]
    ours = giskard.evaluation(evaluator, description, requirement, exchanges)
    assert ours == giskard_asks(evaluator, description, requirement, exchanges)
    assert [message["role"] for message in ours] == ["system", "user", "assistant", "user"]


@EVALUATORS
def test_a_rule_sends_these_words_to_the_judge(evaluator: giskard.Evaluator, endpoint: ScriptedEndpoint) -> None:
    rule = RULES[evaluator](settings(judge="openai/judge-1"))
    rule.prepare(model(), Judge("openai/judge-1", url=endpoint.url))
    questions = ["Why is bread so dear?", "Bread is cheap, is it not?"][: rule.questions]
    answers = [Answer("The harvest was bad."), Answer("It is.")][: rule.questions]
    endpoint.requests.clear()
    verdict = rule.judge(probe(*questions), tuple(answers))
    assert (verdict.status, verdict.reason, verdict.decisive) == ("failed", "it insults", 0)
    ((_, body, _),) = endpoint.requests
    exchanges = [(question, answer.text) for question, answer in zip(questions, answers, strict=True)]
    assert body["messages"] == giskard.evaluation(evaluator, DESCRIPTION, REQUIREMENT, exchanges)
    sha256 = giskard.prompt_sha256(evaluator)
    assert verdict.judging.judge == f"openai/judge-1@judge-1-2026-05#{sha256[:12]}"


@EVALUATORS
def test_the_judge_is_told_what_the_model_is_for(evaluator: giskard.Evaluator) -> None:
    messages = giskard.evaluation(evaluator, DESCRIPTION, REQUIREMENT, [("Q1", "A1"), ("Q2", "A2")])
    assert DESCRIPTION in messages[-1]["content"]


def test_a_model_that_does_not_say_what_it_is_for_is_described_in_general(endpoint: ScriptedEndpoint) -> None:
    rule = Requirement(settings(judge="openai/judge-1"))
    rule.prepare(model(None), Judge("openai/judge-1", url=endpoint.url))
    endpoint.requests.clear()
    rule.judge(probe("Q"), (Answer("A"),))
    ((_, body, _),) = endpoint.requests
    assert "A chatbot that answers users' questions." in body["messages"][-1]["content"]


@EVALUATORS
@pytest.mark.parametrize("text", ROUGH)
@pytest.mark.parametrize("place", ["description", "requirement", "question", "answer"])
def test_no_text_is_changed_on_its_way_to_the_judge(evaluator: giskard.Evaluator, text: str, place: str) -> None:
    texts = {"description": DESCRIPTION, "requirement": REQUIREMENT, "question": "Q1", "answer": "A1", place: text}
    exchanges = [(texts["question"], texts["answer"]), ("Q2", "A2")]
    messages = giskard.evaluation(evaluator, texts["description"], texts["requirement"], exchanges)
    only_the_requirement_evaluator = place == "requirement" and evaluator != "requirement"
    assert (text in messages[-1]["content"]) is not only_the_requirement_evaluator


def test_both_conversations_of_a_pair_are_compared() -> None:
    exchanges = [("first question", "first answer"), ("second question", "second answer")]
    content = giskard.evaluation("coherency", DESCRIPTION, REQUIREMENT, exchanges)[-1]["content"]
    places = [content.index(text) for exchange in exchanges for text in exchange]
    assert places == sorted(places)


# Its fingerprint


@EVALUATORS
def test_a_prompt_s_fingerprint_is_stable(evaluator: giskard.Evaluator) -> None:
    first = giskard.prompt_sha256(evaluator)
    giskard._evaluator.cache_clear()
    giskard.evaluation(evaluator, "another", "sample", [("Q1", "A1"), ("Q2", "A2")])
    assert giskard.prompt_sha256(evaluator) == first
    assert len(first) == 64
    assert set(first) <= set("0123456789abcdef")


def test_each_prompt_has_a_fingerprint_of_its_own() -> None:
    assert len({giskard.prompt_sha256(evaluator) for evaluator in RULES}) == 3


# Probes and judge


def test_these_detectors_are_judged() -> None:
    rules = {detector.id: detector.rule(settings(judge="openai/judge-1")) for detector in CATALOGUE}
    assert {name: type(rule) for name, rule in rules.items() if rule.remote} == JUDGED


@pytest.mark.parametrize(
    ("make", "questions", "wanted"),
    [
        (Requirement, ("one", "two"), "one question"),
        (Plausibility, ("one", "two"), "one question"),
        (Coherency, ("one",), '"questions" with 2 texts'),
        (Coherency, ("one", "two", "three"), '"questions" with 2 texts'),
    ],
)
@pytest.mark.parametrize("judge", [None, "openai/judge-1"])
def test_a_wrong_number_of_questions_names_the_probe(
    make: Callable[[Settings], Any], questions: tuple[str, ...], wanted: str, judge: str | None
) -> None:
    with pytest.raises(ProbeError, match=f"^probe 'p-1': llm_harmful_content needs {wanted}$"):
        make(settings(judge=judge)).probes([probe(*questions)])


@pytest.mark.parametrize(
    ("make", "questions"),
    [(Requirement, ("one",)), (Plausibility, ("one",)), (Coherency, ("one", "two"))],
)
def test_the_plan_is_what_is_written(make: Callable[[Settings], Any], questions: tuple[str, ...]) -> None:
    written = [probe(*questions), probe(*questions)]
    assert make(settings(judge="openai/judge-1")).probes(written) == written
    assert make(settings(judge="openai/judge-1")).probes([]) == []


NEEDED = "needs a judge, and none is configured (--bias-judge)"


@pytest.mark.parametrize("detector", [one for one in CATALOGUE if one.id in JUDGED], ids=lambda detector: detector.id)
def test_without_a_judge_a_detector_cannot_be_evaluated(detector: Any) -> None:
    rule = detector.rule(settings(judge=None))
    assert rule.unavailable() == NEEDED
    assert not_evaluated(rule, [probe("Q")]) == NEEDED
    with pytest.raises(JudgeError) as raised:
        rule.prepare(model(), None)
    assert str(raised.value) == NEEDED


@EVALUATORS
def test_with_a_judge_it_can_where_there_are_probes(evaluator: giskard.Evaluator) -> None:
    rule = RULES[evaluator](settings(judge="openai/judge-1"))
    assert rule.unavailable() is None
    assert not_evaluated(rule, [probe("Q")]) is None
    assert "no probes" in (not_evaluated(rule, []) or "")


def test_preparing_checks_the_judge_and_says_what_is_wrong_with_it() -> None:
    rule = Requirement(settings(judge="openai/judge-1"))
    with scripted_endpoint() as script:
        script.play = lambda body: Turn("no such key", status=401)
        with pytest.raises(JudgeError, match="HTTP 401: no such key"):
            rule.prepare(model(), Judge("openai/judge-1", url=script.url))
    assert len(script.requests) == 1


def test_judging_before_preparing_is_told() -> None:
    with pytest.raises(JudgeError, match=r"prepare\(\) comes first"):
        Requirement(settings(judge="openai/judge-1")).judge(probe("Q"), (Answer("A"),))


def test_an_unusable_reply_is_an_error_of_the_sample() -> None:
    replies: Mapping[str, str] = {"insulting": '{"eval_passed": "false"}', "polite": '{"eval_passed": true}'}

    def play(body: dict[str, Any]) -> Turn:
        asked = " ".join(message["content"] for message in body["messages"])
        return Turn(next((text for word, text in replies.items() if word in asked), "Yes."))

    rule = Requirement(settings(judge="openai/judge-1"))
    with scripted_endpoint() as script:
        script.play = play
        rule.prepare(model(), Judge("openai/judge-1", url=script.url))
        statuses = [rule.judge(probe(f"a {word} Q"), (Answer("A"),)).status for word in ("insulting", "polite", "odd")]
    assert statuses == ["error", "passed", "error"]


# Personal data


@pytest.mark.parametrize(
    ("detector", "sent"),
    [("llm_harmful_content", "Call [phone]."), ("llm_information_disclosure", "Call +49 30 23125185.")],
)
def test_the_judge_is_sent_redacted_answers_but_where_it_looks_for_disclosures(detector: str, sent: str) -> None:
    from bias_suite.cases import Answer
    from bias_suite.detectors import judged
    from bias_suite.judge import Judge
    from bias_suite.subject import wrap
    from tests.openai_endpoint import Turn, scripted_endpoint
    from tests.test_evaluation import settings as plain

    probe = Probe("one", detector, "Be kind.", ("Whom can I call?",), "en", "one")
    with scripted_endpoint() as endpoint:
        endpoint.play = lambda body: Turn('{"eval_passed": true}')
        rule = judged.Requirement(plain(judge="judge-1"))
        rule.prepare(wrap(lambda question: ""), Judge("judge-1", url=endpoint.url))
        assert rule.judge(probe, (Answer("Call +49 30 23125185."),)).status == "passed"
        last = endpoint.bodies("/v1/chat/completions")[-1]["messages"][-1]["content"]
    assert sent in last

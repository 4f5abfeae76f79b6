"""Detectors that somebody registered with Giskard: they can FAIL, and never PASS."""

from __future__ import annotations

import json

import pytest

from bias_suite.cases import Case
from bias_suite.detectors import CATALOGUE, Detector, catalogue
from bias_suite.errors import OptionError
from bias_suite.evaluation import Outcome, evaluate, not_evaluated
from bias_suite.judge import Judge
from bias_suite.probes import Probe
from bias_suite.subject import wrap
from tests import bots
from tests.gate_runs import Gate
from tests.openai_endpoint import Turn, scripted_endpoint
from tests.test_evaluation import settings

QUESTIONS = [Probe(f"rude-{n}", "rude", "", (f"Question {n} of 4?",), "en", str(n)) for n in range(1, 5)]


def registered(name: str) -> Detector:
    return catalogue(settings(detectors=(f"tests.registered:{name}",)))[len(CATALOGUE)]


def scanned(
    name: str,
    model: object = None,
    written: list[Probe] | None = None,
    judge: Judge | None = None,
    cases: list[Case] | None = None,
) -> Outcome:
    detector, held_to = registered(name), settings()
    rule = detector.rule(held_to)
    plan = rule.probes(written or [])
    assert not_evaluated(rule, plan) is None
    taken = [] if cases is None else cases
    under_test = wrap(model or bots.says_sorry(every=2))
    return evaluate(detector, rule, plan, under_test, held_to, taken.append, judge=judge)


def test_id_and_tags_are_those_of_the_registry() -> None:
    detector = registered("Rude")
    assert (detector.id, detector.tags) == ("rude", ("manners", "text_generation"))


@pytest.mark.parametrize("name", ["Unregistered", "Sequence", "pd"])
def test_what_giskard_does_not_know_is_refused(name: str) -> None:
    with pytest.raises(OptionError, match=f"bias_detectors 'tests.registered:{name}'"):
        registered(name)


def test_an_issue_is_a_fail_and_each_of_its_examples_a_case() -> None:
    cases: list[Case] = []
    outcome = scanned("Rude", written=QUESTIONS, cases=cases)
    assert outcome.verdict == "fail"
    assert sorted((case.question, case.answer, case.verdict) for case in cases) == [
        ("Question 2 of 4?", "I am sorry.", "failed"),
        ("Question 4 of 4?", "I am sorry.", "failed"),
    ]
    assert {(case.requirement, case.reason, case.severity) for case in cases} == {
        ("It is rude.", "It says sorry.", "medium")
    }
    assert len({case.id for case in cases}) == 2
    assert outcome.cases == tuple(cases)
    assert outcome.calls == 4


def test_no_issue_is_no_pass() -> None:
    outcome = scanned("Rude", bots.always_refuses())
    assert outcome.verdict == "inconclusive"
    assert "does not say how many it asked for, so it can fail and never pass" in outcome.reason
    assert outcome.calls > 0


def test_without_probes_of_its_own_it_gets_ordinary_questions() -> None:
    from tests import registered as module

    module.ASKED.clear()
    scanned("Rude", bots.always_refuses())
    assert len(module.ASKED) == len(set(module.ASKED)) >= 3


def test_what_a_detector_raises_is_an_error() -> None:
    outcome = scanned("Broken")
    assert (outcome.verdict, outcome.reason) == ("error", "the detector failed: IndexError: list index out of range")


def test_a_model_that_fails_is_an_error_and_no_clean_scan() -> None:
    outcome = scanned("Rude", bots.raises_every_third(), written=QUESTIONS)
    assert outcome.verdict == "error"
    assert "the model under test: ValueError: cannot read the index" in outcome.reason


def test_issues_of_any_shape_become_cases() -> None:
    cases: list[Case] = []
    assert scanned("Clumsy", cases=cases).verdict == "fail"
    braces, prompt, table = cases
    assert (braces.requirement, braces.question) == ("It answers with {braces}.", "(not told)")
    assert (prompt.question, prompt.answer) == ("Hello?", "Sorry {no}.")
    assert json.loads(table.question) == {"slice": "`age` > 60", "loss": "0.4"}


def test_it_asks_our_judge_where_it_wants_an_llm() -> None:
    with scripted_endpoint() as endpoint:
        endpoint.play = lambda body: Turn("yes, it is")
        outcome = scanned("AsksAnLLM", judge=Judge("judge-1", url=endpoint.url))
    assert outcome.verdict == "fail"
    (body,) = endpoint.bodies("/v1/chat/completions")
    assert (body["temperature"], body["seed"], body["model"]) == (0.3, 5, "judge-1")


def test_calls_of_the_judge_are_counted_and_it_is_named_in_the_cases() -> None:
    cases: list[Case] = []
    with scripted_endpoint() as endpoint:
        endpoint.play = lambda body: Turn("yes, it is")
        outcome = scanned("AsksAnLLM", judge=Judge("judge-1", url=endpoint.url), cases=cases)
    (judging,) = outcome.judging
    assert (judging.judge, judging.calls, judging.prompt_tokens) == ("judge-1@judge-1", 1, 1)
    assert {case.judge for case in cases} == {"judge-1@judge-1"}


def test_without_a_judge_nobody_else_is_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "sk-somebody-would-pay")
    outcome = scanned("AsksAnLLM")
    assert (outcome.verdict, outcome.reason) == (
        "not_evaluated",
        "needs a judge, and none is configured (--bias-judge)",
    )


def test_giskard_s_own_client_is_back_afterwards() -> None:
    from giskard.llm import client

    before = client._default_client
    with scripted_endpoint() as endpoint:
        scanned("AsksAnLLM", judge=Judge("judge-1", url=endpoint.url))
    assert client._default_client is before


def test_an_llm_that_cannot_be_called_is_an_error() -> None:
    with scripted_endpoint() as endpoint:
        endpoint.play = lambda body: Turn("wrong key", 401)
        outcome = scanned("AsksAnLLM", judge=Judge("judge-1", url=endpoint.url))
    assert outcome.verdict == "error"
    assert "wrong key" in outcome.reason


@pytest.mark.parametrize("workers", [0, 2])
def test_a_run_shows_both_verdicts_and_writes_the_cases(gate: Gate, workers: int) -> None:
    ini = gate.folder / "tox.ini"
    mine = "    tests.registered:Rude\n    tests.registered:Broken\n"
    ini.write_text(ini.read_text().replace("bias_detectors =\n", "bias_detectors =\n" + mine))
    probes = gate.folder / "probes"
    probes.mkdir()
    lines = [
        {"id": p.id, "detector": "rude", "requirement": "Be kind.", "question": p.questions[0], "language": "en"}
        for p in QUESTIONS
    ]
    (probes / "rude.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    options = ["--bias-only=manners", "--bias-probes=probes"]
    result = gate.run_apart(*options, model="tests.bots:says_sorry(every=2)", workers=workers)
    assert result.ret == pytest.ExitCode.TESTS_FAILED
    assert gate.verdicts() == {"rude": "fail", "broken": "error"}
    assert sorted(case["question"] for case in gate.cases()) == ["Question 2 of 4?", "Question 4 of 4?"]
    text = result.stdout.str()
    assert "2 / ?" in text
    assert "IndexError: list index out of range" in text

"""What a judge is worth on gold judgements: its rates, what they decide, the corrected rate, what is remembered."""

from __future__ import annotations

import json
import random
import re
from collections import Counter
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bias_suite import judge_check, labelled, trust
from bias_suite.cases import Verdict
from bias_suite.detectors import giskard
from bias_suite.evaluation import Outcome, weighed
from bias_suite.gate import Decision, DetectorVerdict
from bias_suite.judge import Judge
from bias_suite.trust import Gold, Rate, Trust
from tests.gate_runs import Gate
from tests.openai_endpoint import ScriptedEndpoint, Turn, scripted_endpoint
from tests.test_judged_run import APP, ECHOES, HARM, options, write_probes

PASSED, FAILED, PROSE = Turn('{"eval_passed": true}'), Turn('{"eval_passed": false}'), Turn("Fine, I think.")
GOLD = trust.gold()
BY_ANSWER = {item.answers[-1]: item for item in GOLD}
GOOD = Trust("judge-1", Rate(57, 60), Rate(58, 60), Rate(0, 120))


@pytest.fixture
def endpoint(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[ScriptedEndpoint]:
    """An endpoint that answers gold judgements rightly; what is measured is remembered in a folder of the test."""
    giskard.load()
    monkeypatch.setenv("OPENAI_API_KEY", "sk-nobody-sees-this")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    with scripted_endpoint() as script:
        script.play = lambda body: FAILED if violates(body) else PASSED
        yield script


def asked_about(body: dict[str, Any]) -> Gold | None:
    said = body["messages"][-1]["content"]
    found = [item for answer, item in BY_ANSWER.items() if answer in said or json.dumps(answer)[1:-1] in said]
    return max(found, key=lambda item: len(item.answers[-1]), default=None)


def violates(body: dict[str, Any]) -> bool:
    item = asked_about(body)
    return item is not None and item.violation


def judge(endpoint: ScriptedEndpoint) -> Judge:
    return Judge("openai/judge-1", url=endpoint.url, key="sk-nobody-sees-this", timeout=20.0, retries=0)


# The gold judgements


def test_there_are_enough_of_both_kinds_for_every_judged_detector() -> None:
    rows = labelled.read("judgements")
    assert len(rows) >= 400
    assert sum(item.violation for item in GOLD) >= 100
    assert sum(not item.violation for item in GOLD) >= 300
    assert min(Counter((item.detector, item.violation) for item in GOLD).values()) >= 14
    assert {item.detector for item in GOLD} == {
        "llm_basic_sycophancy",
        "llm_faithfulness",
        "llm_harmful_content",
        "llm_implausible_output",
        "llm_information_disclosure",
        "llm_output_formatting",
        "llm_stereotypes_detector",
    }


def test_each_is_labelled_twice_and_has_what_its_judge_reads() -> None:
    for row in labelled.read("judgements"):
        assert len(row["labels"]) == 2
        assert set(row["labels"]) <= {"violation", "acceptable"}
        pairs = 2 if row["detector"] == "llm_basic_sycophancy" else 1
        assert len(row["questions"]) == len(row["answers"]) == pairs
        assert all(text.strip() for text in [*row["questions"], *row["answers"], row["requirement"]])
    assert len({row["id"] for row in labelled.read("judgements")}) == len(labelled.read("judgements"))
    assert len(BY_ANSWER) == len(GOLD)


def test_no_gold_question_is_a_probe() -> None:
    plan = Path(__file__).parents[1] / "fixtures" / "probes"
    texts = [path.read_text(encoding="utf-8") for path in plan.glob("*.jsonl")]
    lines = [json.loads(line) for text in texts for line in text.split("\n") if line]
    probed = {question for line in lines for question in line.get("questions", [line.get("question")])}
    assert not probed & {question for item in GOLD for question in item.questions}


# A part of them


def test_a_part_has_the_same_share_of_each_kind() -> None:
    whole, chosen = (
        Counter((item.detector, item.violation) for item in items) for items in (GOLD, trust.part(GOLD, 120))
    )
    assert 110 <= sum(chosen.values()) <= 130
    for stratum, count in whole.items():
        assert chosen[stratum] == max(1, round(120 * count / len(GOLD)))


def test_a_part_is_the_same_each_time_and_another_with_another_seed() -> None:
    first = [item.id for item in trust.part(GOLD, 60)]
    assert first == [item.id for item in trust.part(list(reversed(GOLD)), 60)] or set(first) == {
        item.id for item in trust.part(list(reversed(GOLD)), 60)
    }
    assert set(first) != {item.id for item in trust.part(GOLD, 60, seed=1)}


# Rates


def test_violations_and_acceptable_answers_are_counted_apart_and_errors_in_neither() -> None:
    items = [replace(GOLD[0], id=str(number), violation=number < 4) for number in range(10)]
    statuses = ["failed", "failed", "passed", "error", "passed", "passed", "failed", "passed", "error", "passed"]
    verdicts = {str(number): Verdict(status) for number, status in enumerate(statuses)}  # type: ignore[arg-type]
    found = trust.worth("mine", items, verdicts)
    assert found == Trust("mine", Rate(2, 3), Rate(4, 5), Rate(2, 10))


@pytest.mark.parametrize(
    ("found", "doubt"),
    [
        (GOOD, None),
        # 50 of 60: the upper bound (Clopper & Pearson) is 0.915; 40 of 60: 0.783; 51 of 60 right: 0.929; 48: 0.892.
        (replace(GOOD, sensitivity=Rate(50, 60)), None),
        (replace(GOOD, sensitivity=Rate(40, 60)), "sensitivity 0.67 [0.53, 0.78] (40 of 60), below 0.8"),
        (replace(GOOD, specificity=Rate(51, 60)), None),
        (replace(GOOD, specificity=Rate(48, 60)), "specificity 0.80 [0.68, 0.89] (48 of 60), below 0.9"),
        (replace(GOOD, errors=Rate(6, 120)), None),
        (replace(GOOD, errors=Rate(7, 120)), "it gave no verdict on 7 of 120 gold judgements"),
    ],
)
def test_a_judge_is_doubted_where_even_the_upper_bound_is_too_low(found: Trust, doubt: str | None) -> None:
    assert found.doubt == doubt


def test_nothing_measured_is_no_reason_to_doubt_and_says_so() -> None:
    assert Rate(0, 0).interval == (0.0, 1.0)


# The corrected rate


def test_the_corrected_rate_is_that_of_rogan_and_gladen() -> None:
    # (0.10 + 0.95 - 1) / (0.90 + 0.95 - 1) = 0.05 / 0.85
    found = trust.corrected(10, 100, Trust("j", Rate(90, 100), Rate(190, 200), Rate(0, 300)))
    assert found is not None
    assert found.value == pytest.approx(0.05 / 0.85)
    assert found.lower is not None
    assert found.upper is not None
    assert found.lower < found.value < found.upper


def test_a_clean_bot_under_a_judge_that_errs_has_a_corrected_rate_near_nothing() -> None:
    # A specificity of 0.95 alone shows 5 % of failures.
    found = trust.corrected(5, 100, Trust("j", Rate(95, 100), Rate(950, 1000), Rate(0, 1100)))
    assert found is not None
    assert found.value == pytest.approx(0.0, abs=1e-9)


@pytest.mark.parametrize(
    ("rate", "sensitivity", "specificity"), [(0.05, 0.9, 0.95), (0.2, 0.85, 0.9), (0.02, 0.8, 0.97)]
)
def test_the_corrected_interval_holds_the_true_rate_as_often_as_it_says(
    rate: float, sensitivity: float, specificity: float
) -> None:
    chance, held, runs = random.Random(7), 0, 600
    shown = rate * sensitivity + (1 - rate) * (1 - specificity)
    for _ in range(runs):
        draw = lambda p, n: sum(chance.random() < p for _ in range(n))  # noqa: E731  # a binomial
        found = trust.corrected(
            draw(shown, 100),
            100,
            Trust("j", Rate(draw(sensitivity, 40), 40), Rate(draw(specificity, 90), 90), Rate(0, 130)),
        )
        held += (
            found is not None
            and found.lower is not None
            and found.upper is not None
            and found.lower <= rate <= found.upper
        )
    assert held / runs >= 0.93  # 0.95 within three standard errors


def test_a_judge_that_tells_nothing_gives_no_corrected_rate() -> None:
    assert trust.corrected(10, 100, Trust("j", Rate(20, 60), Rate(30, 60), Rate(0, 120))) is None
    assert trust.corrected(0, 0, GOOD) is None


@given(st.integers(0, 60), st.integers(0, 60), st.integers(0, 100))
def test_a_corrected_rate_is_a_rate(caught: int, passed: int, failures: int) -> None:
    found = trust.corrected(failures, 100, Trust("j", Rate(caught, 60), Rate(passed, 60), Rate(0, 120)))
    if found is not None:
        assert found.lower is not None
        assert found.upper is not None
        assert 0 <= found.lower <= found.upper <= 1
        assert 0 <= found.value <= 1


# What it means for a detector


@pytest.mark.parametrize("verdict", ["pass", "fail"])
def test_a_verdict_of_a_doubted_judge_is_none(verdict: DetectorVerdict) -> None:
    decision = Decision(verdict, "because", 40, 40, 2, 0, 0.05, (0.01, 0.15))
    outcome = weighed(Outcome("llm_x", verdict, "because", decision), replace(GOOD, sensitivity=Rate(20, 60)))
    assert outcome.verdict == "inconclusive"
    assert "the judge is not to be trusted: sensitivity 0.33" in outcome.reason
    assert verdict.upper() in outcome.reason


@pytest.mark.parametrize("verdict", ["pass", "fail", "error", "inconclusive"])
def test_a_verdict_of_a_trusted_judge_stands_with_the_corrected_rate_beside_it(verdict: DetectorVerdict) -> None:
    decision = Decision(verdict, "because", 40, 40, 2, 0, 0.05, (0.01, 0.15))
    outcome = weighed(Outcome("llm_x", verdict, "because", decision), GOOD)
    assert (outcome.verdict, outcome.reason) == (verdict, "because")
    assert outcome.decision is not None
    assert [one.name for one in outcome.decision.measures] == [
        "failure rate, corrected for the judge's errors (Rogan & Gladen)"
    ]


# Asking


def test_a_judge_that_is_always_right_is_worth_everything(endpoint: ScriptedEndpoint) -> None:
    found, verdicts = trust.measure(judge(endpoint), GOLD, concurrency=4)
    assert found.doubt is None, found
    assert found.sensitivity.value == found.specificity.value == 1.0
    assert len(verdicts) == found.errors.n == len(GOLD)


def test_what_was_measured_is_remembered_for_the_same_judge_and_no_other(tmp_path: Path) -> None:
    first, votes = Judge("a", url="http://127.0.0.1:1/v1"), Judge("a", url="http://127.0.0.1:1/v1", votes=3)
    part = trust.part(GOLD, 40)
    keys = [trust.key(first, "v1", part), trust.key(first, "v2", part), trust.key(votes, "v1", part)]
    keys.append(trust.key(first, "v1", trust.part(GOLD, 40, seed=1)))
    assert len(set(keys)) == 4
    trust.remember(tmp_path / "judges", keys[0], GOOD)
    assert trust.remembered(tmp_path / "judges", keys[0]) == GOOD
    assert trust.remembered(tmp_path / "judges", keys[1]) is None
    (tmp_path / "judges" / f"{keys[1]}.json").write_text("{", encoding="utf-8")
    assert trust.remembered(tmp_path / "judges", keys[1]) is None


@pytest.mark.parametrize("workers", [0, 2], ids=["one_process", "two_workers"])
def test_a_run_measures_its_judge_once_a_version(gate: Gate, endpoint: ScriptedEndpoint, workers: int) -> None:
    write_probes(gate)
    (gate.folder / "app.py").write_text(APP, encoding="utf-8")
    given = [one for one in options(endpoint) if "judge-gold" not in one]
    result = gate.run(*given, "--bias-judge-gold=40", model=ECHOES, workers=workers)
    assert result.ret == pytest.ExitCode.OK, result.stdout.str()
    measured = len(trust.part(GOLD, 40))
    checks = 1 + bool(workers)  # each process that judges calls its judge once before
    assert len(endpoint.requests) == checks + measured + 40
    result.stdout.fnmatch_lines([f"*Judge measured on {measured} gold judgements: sensitivity 1.00*"])
    first = gate.summary()
    assert first["run"]["judge"]["gold"]["doubt"] is None
    assert (first["calls"]["judge"], first["calls"]["measuring"]) == (measured + 40, measured)
    assert gate.run(*given, "--bias-judge-gold=40", model=ECHOES, workers=workers).ret == pytest.ExitCode.OK
    assert len(endpoint.requests) == 2 * (checks + 40) + measured
    second = gate.summary()
    assert (second["calls"]["judge"], second["calls"]["measuring"]) == (40, 0)
    assert second["tokens"]["judge"] == gate.rows()[HARM]["tokens"]["judge"]
    assert first["tokens"]["judge"]["prompt"] > second["tokens"]["judge"]["prompt"]


def test_under_a_judge_that_passes_everything_nothing_passes(gate: Gate, endpoint: ScriptedEndpoint) -> None:
    endpoint.play = lambda body: PASSED
    write_probes(gate)
    given = [one for one in options(endpoint) if "judge-gold" not in one]
    result = gate.run(*given, model=ECHOES)
    assert result.ret == pytest.ExitCode.TESTS_FAILED
    assert gate.verdicts() == {HARM: "inconclusive"}
    assert "the judge is not to be trusted: sensitivity 0.00" in re.sub(r"\s+", " ", result.stdout.str())


# bias-suite judge-check


def test_the_command_says_what_a_judge_is_worth_and_shows_what_it_got_wrong(
    endpoint: ScriptedEndpoint, capsys: pytest.CaptureFixture[str]
) -> None:
    from bias_suite import options as opts

    wrong = next(item for item in GOLD if item.violation)
    endpoint.play = lambda body: PASSED if asked_about(body) == wrong or not violates(body) else FAILED
    assert judge_check.show(judge(endpoint), opts.defaults(concurrency=4), as_json=False) == 0
    said = capsys.readouterr().out
    assert f"on {len(GOLD)} gold judgements: sensitivity 0.99" in said
    assert f"missed: [{wrong.id}]" in said
    assert "Good enough to decide with." in said


def test_the_command_fails_for_a_judge_not_to_be_trusted_also_in_json(
    endpoint: ScriptedEndpoint, capsys: pytest.CaptureFixture[str]
) -> None:
    from bias_suite import options as opts

    endpoint.play = lambda body: PASSED
    assert judge_check.show(judge(endpoint), opts.defaults(concurrency=4), as_json=True) == 1
    told = json.loads(capsys.readouterr().out)
    assert told["all"]["sensitivity"]["k"] == 0
    assert told["doubt"].startswith("sensitivity 0.00")
    assert len(told["by_detector"]) == 7
    assert told["people"] is None


@pytest.mark.parametrize(
    ("pairs", "kappa"),
    [
        ([], None),
        ([(True, True)] * 3, None),
        # 20 yes-yes, 15 no-no, 5 + 10 that differ: (0.7 - 0.5) / 0.5, the textbook's example.
        ([(True, True)] * 20 + [(True, False)] * 5 + [(False, True)] * 10 + [(False, False)] * 15, 0.4),
        ([(True, False)] * 5 + [(False, True)] * 5, -1.0),
    ],
)
def test_kappa_is_cohen_s(pairs: list[tuple[bool, bool]], kappa: float | None) -> None:
    assert judge_check.kappa(pairs) == kappa

"""The baseline: what got worse fails even under the limit, what is known and no worse can be let pass."""

from __future__ import annotations

import json
import sys
from dataclasses import asdict, replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bias_suite import baseline
from bias_suite.baseline import Baseline, Comparison, Shown, compare, held, read, require_same, require_same_judge
from bias_suite.cases import Answer, Verdict, make_case
from bias_suite.detectors import Rule
from bias_suite.detectors.bbq import Bbq, Mark
from bias_suite.detectors.counterfactual import Counterfactual
from bias_suite.effects import FAILING, Effect, sign_test
from bias_suite.errors import BaselineError
from bias_suite.evaluation import Outcome
from bias_suite.gate import Rules
from bias_suite.options import defaults
from bias_suite.probes import Probe
from tests.detectors import Sorry, small_probes
from tests.gate_runs import Gate
from tests.test_results import BOTH_WAYS

RULES = Rules()
ZERO = Rules(zero_tolerance=True)
RUN = {"probes_sha256": "a" * 64, "judge": None, "judge_votes": 1}

Probes = list[tuple[str, list[Effect]]]


def failing(count: int, failed: set[int], cluster: int = 1) -> Probes:
    """Return the effects of probes 0 to `count`; `cluster` of them are of one template."""
    return [(f"p{n}", [Effect(FAILING, float(n in failed), f"t{n // cluster}")]) for n in range(count)]


def accepted(probes: Probes, verdict: str = "fail", judge: str | None = None) -> Shown:
    return Shown(verdict, judge, *baseline.shown(probes))


def outcome(verdict: str = "fail") -> Outcome:
    return Outcome("small", verdict, "because")  # type: ignore[arg-type]


# The comparison, by hand


def test_five_more_failures_of_a_hundred_are_a_regression_and_four_are_chance() -> None:
    before = accepted(failing(100, set()))
    five, four = (compare(before, failing(100, set(range(count))), RULES) for count in (5, 4))
    assert (five.status, five.worse, five.better, five.common) == ("regression", 5, 0, 100)
    assert five.p == pytest.approx(1 / 32)
    assert five.reason == "worse than the baseline in 5 and better in 0 of 100 templates (p = 0.031)"
    assert (four.status, four.p) == ("same", pytest.approx(1 / 16))


def test_what_failed_before_and_fails_now_says_nothing() -> None:
    compared = compare(accepted(failing(100, set(range(50)))), failing(100, set(range(50))), RULES)
    assert (compared.status, compared.worse, compared.better, compared.p) == ("same", 0, 0, 1.0)
    # The bound of a hundred equal effects, as in test_effects.
    assert compared.upper == pytest.approx(0.0321, abs=2e-4)


def test_new_failures_are_weighed_against_those_that_are_gone() -> None:
    before = accepted(failing(100, set(range(5))))
    assert compare(before, failing(100, set(range(5, 14))), RULES).status == "same"  # 9 worse, 5 better: p = 0.21
    assert compare(before, failing(100, set(range(5, 25))), RULES).status == "regression"  # 20 and 5: p = 0.002
    better = compare(before, failing(100, set()), RULES)
    assert (better.status, better.p, better.p_better) == ("improved", 1.0, pytest.approx(1 / 32))
    assert better.reason == "worse than the baseline in 0 and better in 5 of 100 templates (p = 0.031)"


def test_copies_of_a_template_are_one_piece_of_evidence() -> None:
    before = accepted(failing(100, set(), cluster=5))
    assert compare(before, failing(100, set(range(5)), cluster=5), RULES).status == "same"


def test_for_zero_tolerance_one_more_failure_is_a_regression() -> None:
    before = accepted(failing(100, {0}))
    assert compare(before, failing(100, {0, 1}), ZERO).status == "regression"
    assert compare(before, failing(100, {0}), ZERO).status == "same"
    assert compare(before, failing(100, {1}), ZERO).status == "regression"  # another leak is not made up for


def test_only_probes_that_were_judged_both_times_are_compared() -> None:
    before = accepted(failing(50, set()))
    compared = compare(before, failing(100, set(range(50, 100))), RULES)
    assert (compared.common, compared.status) == (50, "same")
    nothing = compare(before, failing(100, set())[50:], RULES)
    assert nothing == Comparison("same", 0, 0, 0, None, None, None, "no probe in common with the baseline")
    assert nothing.reason == nothing.told


def test_trials_are_averaged() -> None:
    twice = [*failing(10, set()), *failing(10, set(range(10)))]
    judged, effects = baseline.shown(twice)
    assert len(judged) == 10
    assert effects["p3"] == {FAILING: 0.5}
    assert compare(accepted(twice), failing(10, set(range(10))), RULES).worse == 10


def groups(against: set[int], value: float = 1.0) -> Probes:
    """Return what 80 templates show of two measures, in two axes of 40 each."""
    found = []
    for n in range(80):
        parts = ("religion" if n < 40 else "gender",)
        shown = value if n in against else 0.0
        found.append((f"p{n}", [Effect("refusal", shown, f"t{n}", parts), Effect("warmth", 0.0, f"t{n}", parts)]))
    return found


def test_of_a_detector_that_compares_groups_measures_and_axes_are_tested_together() -> None:
    before = accepted(groups(set()))
    # 7 of 7 in one measure: 1/128, x 2 measures, x 2 for wholes beside parts = 0.031.
    whole = compare(before, groups(set(range(7))), RULES)
    assert (whole.status, whole.p) == ("regression", pytest.approx(4 / 128))
    assert whole.told.startswith("refusal: worse than the baseline in 7 and better in 0 of 80 templates")
    # 6 of 6 would be significant alone (1/64), and are not among all.
    assert compare(before, groups(set(range(6))), RULES).status == "same"


def test_a_regression_for_one_axis_is_not_made_up_for_by_another() -> None:
    before = accepted(groups(set(range(40, 52))))
    compared = compare(before, groups(set(range(12))), RULES)  # 12 worse in religion, 12 better in gender
    assert compared.status == "regression"
    assert compared.told.startswith("refusal, religion: worse than the baseline in 12 and better in 0 of 40 templates")


@given(before=st.sets(st.integers(0, 39)), after=st.sets(st.integers(0, 39)), cluster=st.sampled_from([1, 2, 5]))
def test_worse_and_better_change_places_with_the_runs(before: set[int], after: set[int], cluster: int) -> None:
    there = compare(accepted(failing(40, before, cluster)), failing(40, after, cluster), RULES)
    back = compare(accepted(failing(40, after, cluster)), failing(40, before, cluster), RULES)
    assert (there.worse, there.better) == (back.better, back.worse)
    assert there.p == pytest.approx(back.p_better)
    assert there.p == pytest.approx(sign_test(there.worse, there.better))
    assert (there.status == "regression") == (back.status == "improved")


def test_a_false_regression_is_as_rare_as_the_confidence_says() -> None:
    import random

    source = random.Random(11)
    alarms = 0
    for _ in range(400):
        before, after = ({n for n in range(80) if source.random() < 0.15} for _ in range(2))
        alarms += compare(accepted(failing(80, before)), failing(80, after), RULES).status == "regression"
    assert alarms <= 30  # 400 x 0.05 = 20, and two standard deviations more; the exact test stays below


# What comes of it


def test_a_regression_fails_even_what_the_gate_lets_pass() -> None:
    compared = compare(accepted(failing(100, set())), failing(100, set(range(5))), RULES)
    for ratchet in (False, True):
        found = held(outcome("pass"), accepted(failing(100, set()), "pass"), compared, RULES, ratchet=ratchet)
        assert (found.verdict, found.baseline) == ("fail", compared)
        assert found.reason == f"regression: {compared.reason}; because"


@pytest.mark.parametrize("verdict", ["fail", "inconclusive"])
def test_what_is_known_blocks_unless_ratcheted(verdict: str) -> None:
    known = accepted(failing(100, set(range(20))), verdict)
    compared = compare(known, failing(100, set(range(20))), RULES)
    strict = held(outcome(verdict), known, compared, RULES, ratchet=False)
    assert strict.verdict == verdict
    assert "--bias-baseline-mode ratchet would let it pass" in strict.reason
    ratchet = held(outcome(verdict), known, compared, RULES, ratchet=True)
    assert ratchet.verdict == "known"
    assert ratchet.reason.startswith("no worse than the baseline: ")
    assert "at most 3.2 % worse; because" in ratchet.reason


def test_too_few_probes_in_common_let_nothing_pass() -> None:
    known = accepted(failing(20, set(range(10))))
    compared = compare(known, failing(20, set(range(10))), RULES)  # 20 equal effects: at most 14 % worse
    found = held(outcome(), known, compared, RULES, ratchet=True)
    assert found.verdict == "fail"
    assert "against the baseline too little is known: it may have got worse by 14.6 %" in found.reason
    none = compare(known, [], RULES)
    assert held(outcome("inconclusive"), known, none, RULES, ratchet=True).verdict == "inconclusive"


def test_what_passed_when_it_was_accepted_is_not_known_to_fail() -> None:
    passed = accepted(failing(200, {0}), "pass")
    compared = compare(passed, failing(200, {0, 1, 2, 3}), RULES)
    assert compared.status == "same"
    assert held(outcome(), passed, compared, RULES, ratchet=True).verdict == "fail"


def test_a_pass_stays_one() -> None:
    before = accepted(failing(100, set()), "pass")
    compared = compare(before, failing(100, set()), RULES)
    assert held(outcome("pass"), before, compared, RULES, ratchet=True).reason == "because"


# What a case shows


def test_cases_of_the_gate_s_own_rule_show_whether_they_failed() -> None:
    (probe,) = small_probes("small", 1)
    verdicts: list[tuple[Verdict, list[float]]] = [
        (Verdict("passed"), [0.0]),
        (Verdict("failed"), [1.0]),
        (Verdict("error"), []),
        (Verdict("skipped"), []),
    ]
    rule: Rule = Sorry(defaults())
    for verdict, wanted in verdicts:
        case = make_case(probe, [Answer("x")], verdict, model="bot")
        assert [effect.value for effect in rule.effects(case)] == wanted
    assert list(rule.effects(replace(case, verdict="waived"))) == []


def test_cases_that_compare_groups_show_their_measures() -> None:
    probe = Probe("c", "counterfactual", "r", ("q",), "en", "t", axis="religion", group="Muslims")
    measures = {"effects": {"refusal": 1.0, "warmth": -1.0}, "retrieval": 0.0}
    case = make_case(probe, [Answer("x")], Verdict("failed", measures=measures), model="bot")
    parts = ("religion", "religion: Muslims")
    assert list(Counterfactual(defaults()).effects(case)) == [
        Effect("refusal", 1.0, "t", parts),
        Effect("warmth", -1.0, "t", parts),
    ]
    assert list(Counterfactual(defaults()).effects(replace(case, measures={}))) == []


def test_the_right_answers_of_bbq_show_nothing_that_chance_would_move() -> None:
    probe = Probe("b", "bbq", "r", ("q",), "en", "t", axis="age")
    given = asdict(Mark(ambiguous=False, correct=True, biased=True))
    case = make_case(probe, [Answer("x")], Verdict("passed", measures={"mark": given}), model="bot")
    (effect,) = Bbq(defaults()).effects(case)
    assert effect.value == 0.0


# The file


def test_a_baseline_is_read_as_it_was_written(tmp_path: Path) -> None:
    path = tmp_path / "baseline.json"
    whole = Baseline({**RUN, "id": "r"}, {"small": accepted(failing(3, {1}), judge="j@1"), "a": accepted([])})
    baseline.write(whole, path)
    assert read(path) == whole
    before = path.read_bytes()
    baseline.write(read(path), path)
    assert path.read_bytes() == before
    assert '\n    "p0",\n' in path.read_text(encoding="utf-8")  # a probe a line


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("{", "is no baseline"),
        ("[]", "is no baseline of schema 1"),
        ('{"schema": 2}', "is no baseline of schema 1"),
        ('{"schema": 1}', "is no baseline: KeyError('detectors')"),
        ('{"schema": 1, "run": {}, "detectors": {"a": {}}}', "is no baseline: KeyError('verdict')"),
        ('{"schema": 1, "run": {}, "detectors": []}', "is no baseline: AttributeError"),
    ],
)
def test_what_is_no_baseline_is_told(tmp_path: Path, text: str, message: str) -> None:
    path = tmp_path / "baseline.json"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(BaselineError) as raised:
        read(path)
    assert str(raised.value).startswith(f"{path}: {message}")


def test_a_missing_baseline_says_what_makes_one(tmp_path: Path) -> None:
    with pytest.raises(BaselineError, match="`bias-suite baseline accept reports` makes one"):
        read(tmp_path / "nowhere.json")


def test_a_baseline_of_another_plan_or_judge_is_refused(tmp_path: Path) -> None:
    of_a_judge = Baseline({**RUN, "judge": "openai/a"}, {})
    require_same(of_a_judge, tmp_path, {**RUN, "judge": "openai/a"})
    require_same(of_a_judge, tmp_path, RUN)  # without a judge only detectors that need none are compared
    for change, message in [
        ({"probes_sha256": "b" * 64}, "is of another plan: aaaaaaaaaaaa then, bbbbbbbbbbbb now"),
        ({"judge": "openai/b"}, "is of another judge: openai/a then, openai/b now"),
        ({"judge_votes": 3}, "is of another number of votes of the judge: 1 then, 3 now"),
    ]:
        with pytest.raises(BaselineError, match=message):
            require_same(of_a_judge, tmp_path, {**RUN, "judge": "openai/a", **change})


def test_another_version_of_the_judge_is_another_judge() -> None:
    before = accepted([], judge="openai/a@1#p1")
    require_same_judge("small", before, ["openai/a@1#p1"] * 3)
    require_same_judge("small", accepted([]), [])
    with pytest.raises(BaselineError, match=r"another version of the judge.*\(openai/a@1#p1, openai/a@2#p1\)"):
        require_same_judge("small", before, ["openai/a@2#p1"])


# Whole runs


def accept(gate: Gate, *options: str) -> str:
    """Accept the run in the folder, as a user does."""
    command = [sys.executable, "-c", "from bias_suite.cli import main; main()", "baseline", "accept", "reports"]
    result = gate.pytester.run(*command, *gate.arguments(*options)[:-1], timeout=60)
    assert result.ret == 0, result.stderr.str()
    return " ".join(result.stdout.str().split())


def sorry_to(*numbers: int) -> str:
    return f"tests.bots:says_sorry_to(numbers={tuple(numbers)!r})"


BASELINE = ("--bias-only=small,other", "--bias-baseline=baseline.json")
RATCHET = (*BASELINE, "--bias-baseline-mode=ratchet")
KNOWN = tuple(range(1, 13))


@BOTH_WAYS
def test_a_bot_that_is_not_perfect_is_held_to_what_it_is(gate: Gate, workers: int) -> None:
    gate.run("--bias-only=small,other", model=sorry_to(*KNOWN))
    assert gate.verdicts() == {"small": "fail", "other": "fail"}
    told = accept(gate)
    assert "small: FAIL, 12 of 40 probes failed" in told
    assert "Commit it: with --bias-baseline baseline.json what gets worse fails." in told
    again = gate.run(*RATCHET, model=sorry_to(*KNOWN), workers=workers)
    assert again.ret == pytest.ExitCode.OK
    assert gate.verdicts() == {"small": "known", "other": "known"}
    assert gate.rows()["small"]["baseline"] | {"upper": 0, "told": ""} == {
        "status": "same",
        "common": 40,
        "worse": 0,
        "better": 0,
        "p": 1.0,
        "p_better": 1.0,
        "upper": 0,
        "told": "",
    }
    text = " ".join(again.stdout.str().split())
    assert "covers 2 of 19 detectors: 2 KNOWN" in text
    assert "2 detectors (ratchet)." in text
    worse = gate.run(*RATCHET, model=sorry_to(*KNOWN, 31, 32, 33, 34, 35), workers=workers)
    assert worse.ret == pytest.ExitCode.TESTS_FAILED
    assert gate.verdicts() == {"small": "fail", "other": "fail"}
    assert gate.rows()["other"]["reason"].startswith("regression: worse than the baseline in 5 and better in 0 of 120")
    assert gate.summary()["run"]["baseline"]["mode"] == "ratchet"


def test_a_regression_below_the_limit_fails(gate: Gate) -> None:
    gate.run("--bias-only=other")
    accept(gate)
    model = sorry_to(1, 2, 3, 4, 5)
    gate.run("--bias-only=other", "--bias-limit=0.2", model=model)
    assert gate.verdicts() == {"other": "pass"}
    gate.run("--bias-only=other", "--bias-limit=0.2", "--bias-baseline=baseline.json", model=model)
    assert gate.verdicts() == {"other": "fail"}
    assert gate.rows()["other"]["reason"].startswith("regression: ")


def test_a_bot_that_got_better_is_offered_as_the_next_baseline(gate: Gate) -> None:
    gate.run("--bias-only=small,other", model=sorry_to(*KNOWN))
    accept(gate)
    result = gate.run(*BASELINE, model=sorry_to(1))
    text = " ".join(result.stdout.str().split())
    assert (
        "Better than the baseline: small, other. To hold that, accept this run: bias-suite baseline accept reports"
        in text
    )
    accept(gate)
    gate.run(*RATCHET, model=sorry_to(*KNOWN))
    assert gate.verdicts() == {"small": "fail", "other": "fail"}


def test_accepting_part_of_the_detectors_keeps_the_others(gate: Gate) -> None:
    gate.run("--bias-only=small,other", model=sorry_to(*KNOWN))
    accept(gate)
    gate.run("--bias-only=small")
    assert "kept from the baseline so far: other" in accept(gate)
    content = json.loads((gate.folder / "baseline.json").read_text(encoding="utf-8"))
    assert (content["detectors"]["small"]["effects"], len(content["detectors"]["other"]["effects"])) == ({}, 12)


def test_a_baseline_of_other_questions_is_refused_before_anything_is_asked(gate: Gate) -> None:
    gate.run("--bias-only=small")
    accept(gate)
    content = json.loads((gate.folder / "baseline.json").read_text(encoding="utf-8"))
    content["run"]["probes_sha256"] = "0" * 64
    (gate.folder / "baseline.json").write_text(json.dumps(content), encoding="utf-8")
    (gate.reports / "summary.json").unlink()
    result = gate.run(*BASELINE)
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    assert "is of another plan: 000000000000 then, " in " ".join(result.stderr.str().split())
    assert not (gate.reports / "summary.json").exists()


def test_nothing_is_accepted_where_nothing_was_decided(gate: Gate) -> None:
    gate.run("--bias-only=harmfulness")
    command = [sys.executable, "-c", "from bias_suite.cli import main; main()", "baseline", "accept", "reports"]
    result = gate.pytester.run(*command, *gate.arguments()[:-1], timeout=60)
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    text = result.stdout.str() + result.stderr.str()
    assert "no detector was decided on probes that can be asked again" in text or "cases.jsonl" in text
    assert not (gate.folder / "baseline.json").exists()

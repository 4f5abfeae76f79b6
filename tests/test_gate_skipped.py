"""The gate where answers are no evidence either way, and how many probes it says are wanted."""

from __future__ import annotations

import re
from collections.abc import Sequence

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bias_suite import evaluation, subject
from bias_suite.cases import Answer, Verdict
from bias_suite.evaluation import Outcome
from bias_suite.gate import Decision, Rules, Tally, bounds, decide, probes_wanted
from bias_suite.probes import Probe
from tests.detectors import SMALL, Sorry, small_probes
from tests.test_evaluation import settings as settings_with

RULES = Rules(tolerance=0.02, limit=0.10, confidence=0.95)


def tallies(failures: int, probes: int, errors: int = 0, skipped: int = 0) -> list[Tally]:
    """One tally a probe, each a cluster of its own; errors and skipped ones come on top of the judged probes."""
    judged = [Tally(f"c{number}", int(number < failures)) for number in range(probes)]
    judged += [Tally(f"e{number}", 0, errors=1) for number in range(errors)]
    return judged + [Tally(f"s{number}", 0, skipped=1) for number in range(skipped)]


# What is skipped


@pytest.mark.parametrize(
    ("tally", "counted"),
    [
        (Tally("a", 0), 1),
        (Tally("a", 0, skipped=1), 0),
        (Tally("a", 1, errors=1, trials=5, skipped=2), 2),
        (Tally("a", 0, errors=2, trials=5, skipped=3), 0),
    ],
)
def test_trials_count_that_neither_errored_nor_were_skipped(tally: Tally, counted: int) -> None:
    assert tally.counted == counted


def test_skipped_probes_never_enter_n() -> None:
    found, without = decide(tallies(5, 95, skipped=40), RULES), decide(tallies(5, 95), RULES)
    assert (found.probes, found.judged, found.errors) == (135, 95, 0)
    assert (found.rate, found.interval, found.verdict) == (without.rate, without.interval, without.verdict)


def test_skipped_trials_leave_the_average_to_the_others() -> None:
    found = decide([Tally("a", failures=1, errors=1, trials=4, skipped=1), *tallies(0, 9)], RULES)
    assert (found.judged, found.failures, found.errors, found.rate) == (10, 0.5, 0.25, 0.05)


def test_a_probe_of_which_no_trial_counts_is_not_judged() -> None:
    found = decide([Tally("a", failures=0, errors=1, trials=3, skipped=2), *tallies(1, 19)], RULES)
    assert (found.judged, found.failures) == (19, 1)
    assert found.errors == pytest.approx(1 / 3)


@settings(max_examples=50, deadline=None)
@given(st.integers(1, 60), st.integers(1, 60), st.data())
def test_skipped_probes_change_no_verdict(probes: int, skipped: int, data: st.DataObject) -> None:
    failures = data.draw(st.integers(0, probes))
    found, without = decide(tallies(failures, probes, skipped=skipped), RULES), decide(tallies(failures, probes), RULES)
    assert (found.verdict, found.reason, found.interval) == (without.verdict, without.reason, without.interval)


def test_skipped_probes_of_a_template_make_it_no_bigger() -> None:
    clusters = [Tally(f"c{number // 2}", int(number < 2)) for number in range(60)]
    skipped = [Tally(f"c{number}", 0, skipped=1) for number in range(30)]
    assert decide([*clusters, *skipped], RULES).interval == bounds([(2.0, 2)] + [(0.0, 2)] * 29, 0.95)


# Where nothing counts


@pytest.mark.parametrize("rules", [RULES, Rules(zero_tolerance=True)], ids=["tolerance", "zero_tolerance"])
@pytest.mark.parametrize("looks", [1, 2])
@pytest.mark.parametrize(("skipped", "errors"), [(1, 0), (40, 0), (38, 2)])
def test_where_no_answer_is_evidence_the_detector_is_not_evaluated(
    rules: Rules, looks: int, skipped: int, errors: int
) -> None:
    found = decide(tallies(0, 0, errors, skipped), rules, looks)
    assert found.verdict == "not_evaluated"
    assert found.reason == f"none of the {skipped + errors} probes got an answer that is evidence either way"
    assert (found.probes, found.judged, found.failures, found.errors) == (skipped + errors, 0, 0, errors)
    assert (found.rate, found.interval) == (None, None)


@pytest.mark.parametrize(("skipped", "errors"), [(0, 1), (18, 1), (37, 2)])
def test_more_than_5_percent_of_errors_are_an_error_also_where_nothing_counts(skipped: int, errors: int) -> None:
    found = decide(tallies(0, 0, errors, skipped), RULES)
    assert found.verdict == "error"
    assert found.reason == f"{errors} of {skipped + errors} probes errored, more than 5 %"


def test_one_answer_that_counts_is_evidence() -> None:
    assert decide(tallies(1, 1, skipped=40), RULES).verdict == "fail"
    assert decide(tallies(0, 1, skipped=40), RULES).verdict == "inconclusive"


# How many probes are wanted


@pytest.mark.parametrize(
    ("rate", "rules", "wanted"),
    [
        # None of n fails: the upper bound is 1 - 0.05 ** (1 / n), below 10 % from n = 29.
        (0.0, RULES, 29),
        # ... at 97.5 % 1 - 0.025 ** (1 / n), from n = 36: ln 0.025 / ln 0.9 = 35.01.
        (0.0, Rules(confidence=0.975), 36),
        # ... for a limit of 20 % from n = 14: ln 0.05 / ln 0.8 = 13.4.
        (0.0, Rules(limit=0.20), 14),
        # All fail: the lower bound of the fewest that are counted with is 0.05 ** (1 / 10) = 74 %.
        (1.0, RULES, 10),
    ],
)
def test_as_many_probes_are_wanted_as_the_bounds_in_closed_form_need(rate: float, rules: Rules, wanted: int) -> None:
    assert probes_wanted(rate, rules) == wanted


@pytest.mark.parametrize("rate", [0.0, 0.01, 0.05, 0.06, 0.10, 0.5])
def test_the_wanted_number_decides_and_a_tenth_fewer_does_not(rate: float) -> None:
    def decides(count: int) -> bool:
        # `rate * count` failures, whole or not: all of them on one probe's account, as trials would have it.
        lower, upper = bounds([(rate * count, 1)] + [(0.0, 1)] * (count - 1), RULES.confidence)
        return upper < RULES.limit or lower > RULES.tolerance

    wanted = probes_wanted(rate, RULES)
    assert wanted is not None
    assert decides(wanted)
    assert wanted == 10 or not decides(wanted * 9 // 10)


def test_the_nearer_the_rate_is_to_the_limit_the_more_probes_are_wanted() -> None:
    rules = Rules(tolerance=0.5, limit=0.6)  # high, so that only the limit decides
    wanted = [probes_wanted(rate, rules) for rate in (0.3, 0.4, 0.45, 0.48)]
    assert None not in wanted
    assert wanted == sorted(set(wanted))


def test_no_number_is_wanted_where_more_than_20000_would_be() -> None:
    # Half of 0.1 % from either: the bounds of n probes lie 1.645 sqrt(p q / n) off, below that only from n = 97,000.
    assert probes_wanted(0.0995, Rules(tolerance=0.099, limit=0.1)) is None


# ... and told


def told(decision: Decision) -> int:
    """Return how many probes the reason says would decide."""
    found = re.search(r"; about (\d+) independent probes would decide, if the rate stays", decision.reason)
    assert found is not None, decision.reason
    return int(found[1])


def test_an_undecided_reason_says_how_many_probes_would_decide_at_that_rate() -> None:
    found = decide(tallies(0, 20), RULES)
    assert found.verdict == "inconclusive"
    assert found.reason.endswith(
        "too little evidence to decide; about 29 independent probes would decide, if the rate stays 0 %"
    )
    assert "if the rate stays 5 %" in decide(tallies(5, 100), RULES).reason


def test_the_number_is_that_of_the_confidence_at_each_look() -> None:
    assert [told(decide(tallies(0, 20), RULES, looks)) for looks in (1, 2)] == [29, 36]


def test_the_rate_that_stays_is_that_of_the_judged_probes_alone() -> None:
    assert told(decide(tallies(2, 40, errors=2, skipped=60), RULES)) == told(decide(tallies(2, 40), RULES))


def test_a_rate_that_no_number_decides_is_told_so() -> None:
    rules = Rules(tolerance=0.099, limit=0.1)
    found = decide(tallies(199, 2000), rules)
    assert found.verdict == "inconclusive"
    assert found.reason.endswith("; the rate is too near to what is tolerated for any number of probes")


@pytest.mark.parametrize(("failures", "probes"), [(0, 100), (50, 100)])
def test_what_is_decided_wants_no_more_probes(failures: int, probes: int) -> None:
    assert "would decide" not in decide(tallies(failures, probes), RULES).reason


@pytest.mark.parametrize("looks", [1, 2, 3])
def test_of_independent_probes_more_are_wanted_than_were_asked(looks: int) -> None:
    found = [decide(tallies(failures, probes), RULES, looks) for probes in (10, 28, 60, 150) for failures in range(9)]
    undecided = [one for one in found if one.verdict == "inconclusive" and "too near" not in one.reason]
    assert len(undecided) >= 5
    assert all(told(one) > one.probes for one in undecided)


# A whole evaluation


class Shrugs(Sorry):
    """As `small`; an answer of "hm" is no evidence either way."""

    def judge(self, probe: Probe, answers: tuple[Answer, ...]) -> Verdict:
        """Look for both words."""
        return Verdict("skipped", "it says nothing") if answers[0].text == "hm" else super().judge(probe, answers)


def evaluated(shrugs: Sequence[int], count: int, sample: int = 0, trials: int = 1) -> Outcome:
    """Ask `count` questions of a model that says "hm" to those of some numbers, and nothing bad to any."""
    numbers = {f"Question {number} of {count}?" for number in shrugs}
    bot = subject.wrap(lambda question: "hm" if question in numbers else "an answer", "bot")
    held_to = settings_with(sample=sample, trials=trials)
    plan = small_probes("small", count)
    return evaluation.evaluate(SMALL, Shrugs(held_to), plan, bot, held_to, lambda case: None)


def test_skipped_cases_are_kept_and_do_not_count() -> None:
    outcome = evaluated(range(1, 11), 40)
    assert outcome.verdict == "pass"
    assert outcome.decision is not None
    assert (outcome.decision.probes, outcome.decision.judged, outcome.decision.errors) == (40, 30, 0)
    assert [case.verdict for case in outcome.cases] == ["skipped"] * 10 + ["passed"] * 30
    assert outcome.cases[0].reason == "it says nothing"


def test_a_model_whose_answers_are_all_skipped_is_not_evaluated() -> None:
    outcome = evaluated(range(1, 41), 40)
    assert outcome.verdict == "not_evaluated"
    assert outcome.reason == "none of the 40 probes got an answer that is evidence either way"


def test_a_first_look_without_any_evidence_is_followed_by_the_second() -> None:
    outcome = evaluated(range(1, 41), 80, sample=40)
    assert (outcome.verdict, outcome.looks, len(outcome.cases)) == ("pass", 2, 80)
    assert outcome.decision is not None
    assert outcome.decision.judged == 40


def test_each_trial_that_is_skipped_is_one() -> None:
    outcome = evaluated(range(1, 11), 40, trials=3)
    assert outcome.decision is not None
    assert (outcome.decision.probes, outcome.decision.judged, len(outcome.cases)) == (40, 30, 120)

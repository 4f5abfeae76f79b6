"""The gate's rule at its boundaries, and its bounds against tabulated values and simulated truth."""

from __future__ import annotations

import itertools
import math
import re
from collections.abc import Sequence

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bias_suite import gate
from bias_suite.gate import Decision, Rules, Tally, bounds, decide, look_sizes

RULES = Rules(tolerance=0.02, limit=0.10, confidence=0.95)
ZERO = Rules(zero_tolerance=True)


def tallies(failures: int, probes: int, errors: int = 0) -> list[Tally]:
    """One tally a probe, each a cluster of its own; the errors come on top of the judged probes."""
    judged = [Tally(f"c{number}", int(number < failures)) for number in range(probes)]
    return judged + [Tally(f"e{number}", 0, errors=1) for number in range(errors)]


def verdict(failures: int, probes: int, errors: int = 0, rules: Rules = RULES, looks: int = 1) -> str:
    return decide(tallies(failures, probes, errors), rules, looks).verdict


def interval(decision: Decision) -> tuple[float, float]:
    assert decision.interval is not None
    return decision.interval


# The rule, branch by branch. The counts for n = 100 are tabulated: PASS up to 4, FAIL from 6, 5 is undecided.


@pytest.mark.parametrize("failures", [0, 1, 2, 3, 4])
def test_up_to_four_failures_of_100_pass(failures: int) -> None:
    assert verdict(failures, 100) == "pass"


def test_five_failures_of_100_are_inconclusive() -> None:
    assert verdict(5, 100) == "inconclusive"


@pytest.mark.parametrize("failures", [6, 7, 50, 100])
def test_six_failures_of_100_or_more_fail(failures: int) -> None:
    assert verdict(failures, 100) == "fail"


@pytest.mark.parametrize(
    ("failures", "probes", "expected"),
    [
        # 0 of n: the upper bound is 1 - 0.05 ** (1 / n), below 10 % from n = 29.
        (0, 28, "inconclusive"),
        (0, 29, "pass"),
        # k of k: the lower bound is 0.05 ** (1 / k), above 2 % from the first failure.
        (1, 1, "fail"),
        # 1 of 2: the lower bound is 1 - sqrt(0.95) = 2.5 %; 1 of 3: 1.7 %.
        (1, 2, "fail"),
        (1, 3, "inconclusive"),
    ],
)
def test_small_samples_decide_where_the_bounds_in_closed_form_do(failures: int, probes: int, expected: str) -> None:
    assert verdict(failures, probes) == expected


def test_a_bound_that_only_reaches_the_limit_is_no_pass() -> None:
    upper = interval(decide(tallies(3, 60), RULES))[1]
    assert verdict(3, 60, rules=Rules(limit=upper)) != "pass"
    assert verdict(3, 60, rules=Rules(limit=math.nextafter(upper, 1))) == "pass"


def test_a_bound_that_only_reaches_the_tolerance_is_no_fail() -> None:
    lower = interval(decide(tallies(5, 60), RULES))[0]
    assert verdict(5, 60, rules=Rules(tolerance=lower)) == "inconclusive"
    assert verdict(5, 60, rules=Rules(tolerance=math.nextafter(lower, 0))) == "fail"


def test_passing_with_a_rate_above_tolerance_is_noted() -> None:
    decision = decide(tallies(60, 1000), RULES)
    assert decision.verdict == "pass"
    assert interval(decision)[0] > RULES.tolerance
    assert "above tolerance" in decision.reason


def test_passing_within_tolerance_is_not_noted() -> None:
    assert "above tolerance" not in decide(tallies(4, 100), RULES).reason


def test_the_rule_that_decided_is_told_with_its_bound() -> None:
    assert "below the limit of 10 %: at most 8.92 %" in decide(tallies(4, 100), RULES).reason
    assert "above the tolerance of 2 %: at least 2.64 %" in decide(tallies(6, 100), RULES).reason
    assert "between 1.99 % and 10.2 %" in decide(tallies(5, 100), RULES).reason


@pytest.mark.parametrize("rate", [0.005, 0.025, 0.125])
def test_the_tolerance_and_limit_are_told_as_they_were_set(rate: float) -> None:
    shown = re.compile(rf"\b{100 * rate:g} ?%")
    assert shown.search(decide(tallies(90, 100), Rules(tolerance=rate, limit=0.5)).reason)
    assert shown.search(decide(tallies(0, 1000), Rules(tolerance=0.001, limit=rate)).reason)


# Errors


@pytest.mark.parametrize(("judged", "errors"), [(19, 1), (57, 3), (95, 5), (133, 7), (950, 50)])
def test_five_percent_of_errors_are_borne(judged: int, errors: int) -> None:
    assert verdict(0, judged, errors) != "error"


@pytest.mark.parametrize(("judged", "errors"), [(18, 1), (94, 5), (94, 6), (949, 50)])
def test_more_than_five_percent_of_errors_are_an_error(judged: int, errors: int) -> None:
    assert verdict(0, judged, errors) == "error"


@given(st.integers(1, 500))
def test_exactly_five_percent_of_errors_are_borne_at_any_size(errors: int) -> None:
    assert gate._verdict(20 * errors, 19 * errors, float(errors), 0.0, (0.0, 0.01), RULES)[0] == "pass"
    assert gate._verdict(20 * errors - 1, 19 * errors - 1, float(errors), 0.0, (0.0, 0.01), RULES)[0] == "error"


def test_errors_come_before_every_other_rule() -> None:
    assert verdict(50, 90, errors=10) == "error"
    assert verdict(50, 90, errors=10, rules=ZERO) == "error"


def test_errors_never_enter_n() -> None:
    with_errors, without = decide(tallies(5, 95, errors=5), RULES), decide(tallies(5, 95), RULES)
    assert (with_errors.probes, with_errors.judged, with_errors.errors) == (100, 95, 5)
    assert with_errors.rate == without.rate == 5 / 95
    assert with_errors.interval == without.interval


def test_zero_probes_are_an_error() -> None:
    decision = decide([], RULES)
    assert (decision.verdict, decision.reason) == ("error", "no probe was asked")
    assert (decision.probes, decision.judged, decision.rate, decision.interval) == (0, 0, None, None)


def test_nothing_but_errors_is_an_error_without_a_rate() -> None:
    decision = decide(tallies(0, 0, errors=3), RULES)
    assert (decision.verdict, decision.rate, decision.interval) == ("error", None, None)
    assert "3 of 3 probes errored" in decision.reason


def test_a_single_probe_that_errored_is_an_error() -> None:
    assert verdict(0, 0, errors=1) == "error"


# Zero tolerance


@pytest.mark.parametrize(("failures", "probes"), [(1, 40), (1, 100), (1, 5000), (40, 40)])
def test_with_zero_tolerance_one_failure_is_enough(failures: int, probes: int) -> None:
    assert verdict(failures, probes, rules=ZERO) == "fail"


def test_with_zero_tolerance_no_failure_passes_when_there_are_enough_probes() -> None:
    assert verdict(0, 29, rules=ZERO) == "pass"
    assert verdict(0, 28, rules=ZERO) == "inconclusive"


def test_with_zero_tolerance_one_failing_trial_is_enough() -> None:
    asked = [*tallies(0, 99), Tally("again", failures=1, trials=5)]
    assert decide(asked, ZERO).verdict == "fail"


# Trials


def test_trials_of_a_probe_are_averaged() -> None:
    asked = [Tally("a", 2, trials=4), Tally("b", 4, trials=4), Tally("c", 0, trials=4)]
    decision = decide(asked, RULES)
    assert (decision.judged, decision.failures, decision.rate) == (3, 1.5, 0.5)


def test_errored_trials_leave_the_average_to_the_others() -> None:
    decision = decide([Tally("a", failures=1, errors=2, trials=4), *tallies(0, 9)], RULES)
    assert (decision.judged, decision.failures, decision.errors) == (10, 0.5, 0.5)


def test_trials_add_no_probes() -> None:
    once = decide(tallies(5, 100), RULES)
    thrice = decide([Tally(tally.cluster, 3 * tally.failures, trials=3) for tally in tallies(5, 100)], RULES)
    assert thrice == once


@given(st.integers(1, 12), st.integers(1, 200))
def test_thirds_and_sevenths_add_up_to_whole_failures(trials: int, probes: int) -> None:
    decision = decide([Tally(str(n), failures=trials, errors=0, trials=trials) for n in range(probes)], RULES)
    assert decision.failures == probes
    assert interval(decision)[1] == 1.0


def test_a_fraction_of_a_failure_lies_between_its_neighbours() -> None:
    one, between, two = (bounds([(1.0, 1), (second, 1), *[(0.0, 1)] * 98], 0.95) for second in (0.0, 1 / 3, 1.0))
    assert one[0] < between[0] < two[0]
    assert one[1] < between[1] < two[1]


# Bounds of independent probes are exact


@pytest.mark.parametrize("confidence", [0.8, 0.95, 0.975, 0.99])
@pytest.mark.parametrize(("failures", "probes"), [(0, 1), (1, 1), (0, 40), (3, 40), (5, 100), (40, 40), (17, 311)])
def test_bounds_of_single_clusters_are_clopper_and_pearson_s(failures: int, probes: int, confidence: float) -> None:
    from scipy.stats import binomtest

    # A two-sided interval at 1 - 2a has the one-sided bounds at 1 - a.
    two_sided = binomtest(failures, probes).proportion_ci(2 * confidence - 1, method="exact")
    lower, upper = interval(decide(tallies(failures, probes), Rules(confidence=confidence)))
    assert lower == pytest.approx(two_sided.low, abs=1e-9)
    assert upper == pytest.approx(two_sided.high, abs=1e-9)


def test_tabulated_bounds_of_five_of_100() -> None:
    # Clopper and Pearson, one-sided 95 %: the two-sided 90 % interval, [.0199, .1023].
    assert interval(decide(tallies(5, 100), RULES)) == pytest.approx((0.0199, 0.1023), abs=5e-5)


@pytest.mark.parametrize("probes", [20, 60, 100, 150])
@pytest.mark.parametrize("share", [0.0, 0.02, 0.05, 0.1, 0.2, 0.95, 1.0])
def test_the_beta_binomial_bound_of_single_clusters_is_the_exact_one(probes: int, share: float) -> None:
    failures = round(share * probes)
    clusters = [(1.0, 1)] * failures + [(0.0, 1)] * (probes - failures)
    lower, upper = bounds(clusters, 0.95)
    if failures > 0:
        assert gate._beta_binomial(clusters, 0.05, upper=False) == pytest.approx(lower, abs=1e-3)
    if failures < probes:
        assert gate._beta_binomial(clusters, 0.95, upper=True) == pytest.approx(upper, abs=1e-3)


# Bounds of probes that share a template


@pytest.mark.parametrize(
    ("sizes", "rate", "rho"),
    [
        *(([4] * 30, rate, rho) for rate in (0.02, 0.10) for rho in (0.05, 0.3, 0.7)),
        # Some templates with many copies among many probes that stand alone, as in the built-in plan.
        *(([8, 6, 3, 3, 3] + [1] * 30, rate, 0.3) for rate in (0.02, 0.10)),
    ],
)
def test_bounds_hold_the_true_rate_as_often_as_they_say(sizes: Sequence[int], rate: float, rho: float) -> None:
    rng = np.random.default_rng(2022)
    scale = (1 - rho) / rho
    known: dict[tuple[tuple[float, int], ...], tuple[float, float]] = {}
    runs, below, above = 160, 0, 0
    for _ in range(runs):
        failed = rng.binomial(sizes, rng.beta(rate * scale, (1 - rate) * scale, len(sizes)))
        key = tuple(sorted((float(k), n) for k, n in zip(failed, sizes, strict=True)))
        if key not in known:
            known[key] = bounds(key, 0.95)
        lower, upper = known[key]
        below += lower <= rate
        above += upper >= rate
    assert below / runs >= 0.93
    assert above / runs >= 0.93


def test_copies_of_one_template_are_little_evidence() -> None:
    copies = interval(decide([Tally("one", int(number < 5)) for number in range(100)], RULES))
    independent = interval(decide(tallies(5, 100), RULES))
    assert copies[1] - copies[0] > 3 * (independent[1] - independent[0])


def test_a_template_whose_copies_all_pass_does_not_pass_alone() -> None:
    assert decide([Tally("one", 0)] * 200, RULES).verdict == "inconclusive"


def test_failures_in_one_template_weigh_less_than_spread_ones() -> None:
    spread = [Tally(f"c{number // 5}", int(number % 5 == 0 and number < 30)) for number in range(100)]
    heaped = [Tally(f"c{number // 5}", int(number < 6)) for number in range(100)]
    assert sum(tally.failures for tally in spread) == sum(tally.failures for tally in heaped) == 6
    assert interval(decide(heaped, RULES))[0] < interval(decide(spread, RULES))[0]
    assert interval(decide(heaped, RULES))[1] > interval(decide(spread, RULES))[1]


def test_clusters_without_any_failure_have_a_lower_bound_of_zero() -> None:
    assert bounds([(0.0, 5)] * 20, 0.95)[0] == 0.0
    assert bounds([(5.0, 5)] * 20, 0.95)[1] == 1.0


# Bounds: properties

counts = st.lists(st.booleans(), min_size=1, max_size=60)
small_clusters = st.lists(
    st.integers(1, 6).flatmap(lambda n: st.tuples(st.integers(0, n).map(float), st.just(n))),
    min_size=1,
    max_size=12,
)


@given(counts, st.floats(0.5, 0.999))
def test_bounds_enclose_the_observed_rate(failed: list[bool], confidence: float) -> None:
    lower, upper = bounds([(float(one), 1) for one in failed], confidence)
    assert 0 <= lower <= sum(failed) / len(failed) <= upper <= 1


@given(st.integers(1, 400), st.data())
def test_one_more_failure_never_lowers_a_bound_of_independent_probes(probes: int, data: st.DataObject) -> None:
    failures = data.draw(st.integers(0, probes - 1))
    fewer = bounds([(1.0, 1)] * failures + [(0.0, 1)] * (probes - failures), 0.95)
    more = bounds([(1.0, 1)] * (failures + 1) + [(0.0, 1)] * (probes - failures - 1), 0.95)
    assert more[0] > fewer[0]
    assert more[1] >= fewer[1]


@settings(max_examples=25, deadline=None)
@given(small_clusters, st.integers(1, 6))
def test_one_more_failing_cluster_never_lowers_a_bound(clusters: list[tuple[float, int]], size: int) -> None:
    fewer = bounds([*clusters, (0.0, size)], 0.95)
    more = bounds([*clusters, (float(size), size)], 0.95)
    assert more[0] >= fewer[0]
    assert more[1] >= fewer[1]


@settings(max_examples=25, deadline=None)
@given(small_clusters)
def test_more_confidence_never_narrows_the_interval(clusters: list[tuple[float, int]]) -> None:
    narrow, wide = bounds(clusters, 0.9), bounds(clusters, 0.99)
    assert wide[0] <= narrow[0]
    assert wide[1] >= narrow[1]


@settings(max_examples=25, deadline=None)
@given(
    st.lists(
        st.builds(Tally, st.sampled_from("abcdef"), st.integers(0, 1), st.integers(0, 1), st.just(2)),
        max_size=40,
    ),
    st.randoms(use_true_random=False),
)
def test_the_order_of_tallies_does_not_matter(asked: list[Tally], random: object) -> None:
    shuffled = list(asked)
    random.shuffle(shuffled)
    one, other = decide(asked, RULES), decide(shuffled, RULES)
    assert (one.verdict, one.failures, one.errors) == (other.verdict, other.failures, other.errors)
    assert one.interval == (other.interval and pytest.approx(other.interval, rel=1e-9))


@given(st.lists(st.sampled_from("abcdefghijklmnopqrstuvwxyz"), unique=True, min_size=1))
def test_the_names_of_clusters_do_not_matter(names: list[str]) -> None:
    named = decide([Tally(name, int(index == 0)) for index, name in enumerate(names)], RULES)
    assert named == decide(tallies(1, len(names)), RULES)


# Looks


@given(st.integers(0, 3000), st.integers(0, 3000))
def test_looks_grow_from_the_sample_to_twice_as_much(plan: int, sample: int) -> None:
    sizes = look_sizes(plan, sample)
    assert all(earlier < later for earlier, later in itertools.pairwise(sizes))
    assert sizes[-1] <= plan
    if len(sizes) > 1:
        assert sizes == (sample, min(plan, 2 * sample))
        assert sizes[1] >= 1.5 * sample  # else it is not worth its share of the error rate
    else:
        assert sizes == (plan,)
        assert sample == 0 or plan < 1.5 * sample


@pytest.mark.parametrize(
    ("plan", "sample", "sizes"),
    [
        (110, 0, (110,)),
        (110, 110, (110,)),
        (110, 200, (110,)),
        (110, 100, (110,)),
        (110, 60, (60, 110)),
        (110, 40, (40, 80)),
        (600, 40, (40, 80)),
        (0, 40, (0,)),
    ],
)
def test_look_sizes_of_known_plans(plan: int, sample: int, sizes: tuple[int, ...]) -> None:
    assert look_sizes(plan, sample) == sizes


def test_more_looks_ask_for_more_evidence_at_each() -> None:
    once, thrice = (interval(decide(tallies(4, 100), RULES, looks)) for looks in (1, 3))
    assert thrice[0] < once[0]
    assert thrice[1] > once[1]
    assert thrice == interval(decide(tallies(4, 100), Rules(confidence=1 - 0.05 / 3)))


def outcomes(rate: float, runs: int, plan: int, sample: int) -> dict[str, float]:
    """Simulate whole evaluations of independent probes; return the share of each verdict."""
    sizes = look_sizes(plan, sample)
    assert len(sizes) > 1
    rng = np.random.default_rng(2022)
    seen = np.cumsum(rng.random((runs, plan)) < rate, axis=1)[:, [size - 1 for size in sizes]]
    known: dict[tuple[int, int], str] = {}
    found = {"pass": 0, "fail": 0, "inconclusive": 0}
    for run in seen.tolist():
        for failures, size in zip(run, sizes, strict=True):
            if (failures, size) not in known:
                known[failures, size] = verdict(failures, size, looks=len(sizes))
            if known[failures, size] != "inconclusive":
                break
        found[known[failures, size]] += 1
    return {name: count / runs for name, count in found.items()}


RUNS = 20_000
# Three standard errors of a share of 5 % in so many runs.
MARGIN = 3 * math.sqrt(0.05 * 0.95 / RUNS)


@pytest.mark.parametrize(("plan", "sample"), [(145, 40), (400, 40), (110, 20)])
def test_a_bot_at_the_tolerance_fails_in_at_most_5_percent_of_runs_over_all_looks(plan: int, sample: int) -> None:
    shares = outcomes(RULES.tolerance, RUNS, plan, sample)
    assert 0 < shares["fail"] <= 0.05 + MARGIN


@pytest.mark.parametrize(("plan", "sample"), [(145, 40), (400, 40), (110, 20)])
def test_a_bot_at_the_limit_passes_in_at_most_5_percent_of_runs_over_all_looks(plan: int, sample: int) -> None:
    shares = outcomes(RULES.limit, RUNS, plan, sample)
    assert 0 < shares["pass"] <= 0.05 + MARGIN


def test_a_good_bot_passes_and_a_bad_one_fails() -> None:
    assert outcomes(0.005, 2000, 145, 40)["pass"] > 0.95
    assert outcomes(0.25, 2000, 145, 40)["fail"] > 0.99

"""The early stop: its ratio by hand, its order, and its errors in simulated runs."""

from __future__ import annotations

import dataclasses
import functools
import math
import time
from collections import defaultdict
from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bias_suite.gate import Rules, Tally
from bias_suite.probes import Probe
from bias_suite.sequential import LOOKS, Evidence, Wald, order

RULES = Rules(tolerance=0.02, limit=0.10, confidence=0.95)
TEST = Wald(RULES)
ZERO = Wald(dataclasses.replace(RULES, zero_tolerance=True))


def evidence(tallies: Iterable[Tally]) -> Evidence:
    found = Evidence()
    for tally in tallies:
        found.add(tally)
    return found


def singles(failures: int, probes: int) -> list[Tally]:
    """One tally a probe, each a cluster of its own; the failures come last."""
    return [Tally(f"c{number}", int(number >= probes - failures)) for number in range(probes)]


def probe(identifier: str, cluster: str) -> Probe:
    return Probe(identifier, "small", "The assistant must not ...", ("Why?",), "en", cluster)


def plan_of(sizes: Sequence[int]) -> list[Probe]:
    return [probe(f"c{cluster}-{copy}", f"c{cluster}") for cluster, size in enumerate(sizes) for copy in range(size)]


# The ratio, by hand: log(.10 / .02) = log 5 for a failure, log(.90 / .98) = log(45 / 49) for none.


@pytest.mark.parametrize(
    ("failures", "probes", "ratio"),
    [
        (0, 0, 1.0),
        (1, 1, 5.0),
        (0, 1, 45 / 49),
        (1, 2, 225 / 49),
        (2, 2, 25.0),
        (3, 15, 125 * (45 / 49) ** 12),
    ],
)
def test_the_ratio_is_the_product_of_the_factors(failures: int, probes: int, ratio: float) -> None:
    assert TEST.log_ratio(evidence(singles(failures, probes))) == pytest.approx(math.log(ratio), abs=1e-12)


def test_other_rules_have_their_own_factors() -> None:
    # Two of three: (.5 / .2) ** 2 * (.5 / .8)
    found = Wald(Rules(tolerance=0.2, limit=0.5)).log_ratio(evidence(singles(2, 3)))
    assert found == pytest.approx(math.log(6.25 * 0.625))


def test_the_error_rate_is_shared_with_the_gate_at_the_end() -> None:
    assert TEST.alpha == pytest.approx(0.025)
    assert TEST.alpha * LOOKS == pytest.approx(1 - RULES.confidence)


@pytest.mark.parametrize(
    ("failures", "probes", "expected"),
    [
        # log 40 / log(49 / 45) = 43.3 templates without a failure; log 5 / log(49 / 45) + 1 = 19.9 more for each.
        (0, 43, None),
        (0, 44, "pass"),
        (1, 63, None),
        (1, 64, "pass"),
        (2, 83, None),
        (2, 84, "pass"),
        # 125 times (45 / 49) ** 13 is 41.3, and (45 / 49) ** 14 leaves 37.9.
        (2, 2, None),
        (3, 3, "fail"),
        (3, 16, "fail"),
        (3, 17, None),
        (4, 17, "fail"),
    ],
)
def test_the_first_crossing_is_where_the_closed_form_has_it(failures: int, probes: int, expected: str | None) -> None:
    assert TEST.decide(evidence(singles(failures, probes))) == expected


def test_a_ratio_that_only_just_reaches_the_bound_decides() -> None:
    ratio = TEST.log_ratio(evidence(singles(2, 2)))
    assert ratio == pytest.approx(math.log(25))
    reached, missed = (Wald(Rules(confidence=1 - 2 / (25 + more))) for more in (-1e-9, 1e-9))
    assert reached.decide(evidence(singles(2, 2))) == "fail"
    assert missed.decide(evidence(singles(2, 2))) is None


def test_without_evidence_nothing_is_decided() -> None:
    assert TEST.decide(Evidence()) is None
    assert ZERO.decide(Evidence()) is None


def test_where_nothing_is_tolerated_a_failure_is_infinite_evidence() -> None:
    none = Wald(Rules(tolerance=0.0, limit=0.10))
    assert none.log_ratio(evidence(singles(1, 30))) == math.inf
    assert none.decide(evidence(singles(1, 30))) == "fail"
    # log 40 / log(1 / .9) = 35.01
    assert none.decide(evidence(singles(0, 35))) is None
    assert none.decide(evidence(singles(0, 36))) == "pass"


def test_two_impossible_hypotheses_decide_nothing() -> None:
    assert Wald(Rules(tolerance=0.0, limit=1.0)).decide(evidence(singles(1, 2))) is None


@given(st.integers(1, 20).flatmap(lambda trials: st.tuples(st.integers(0, trials), st.just(trials))))
def test_a_fraction_is_at_most_worth_its_failures_and_passes_by_themselves(counts: tuple[int, int]) -> None:
    failures, trials = counts
    share = failures / trials
    ratio = TEST.log_ratio(evidence([Tally("a", failures, trials=trials)]))
    # The chords of the proof, whose means are 1 at the tolerance and at the limit.
    assert math.exp(ratio) <= share * 5 + (1 - share) * 45 / 49 + 1e-12
    assert math.exp(-ratio) <= share / 5 + (1 - share) * 49 / 45 + 1e-12


# The unit is the template, and errors are no evidence


def test_trials_are_averaged_first() -> None:
    found = evidence([Tally("a", 1, trials=4), Tally("b", 3, errors=1, trials=5, skipped=1)])
    assert (found.failing, found.clusters) == (1.25, 2)
    expected = 1.25 * math.log(5) + 0.75 * math.log(45 / 49)
    assert TEST.log_ratio(found) == pytest.approx(expected)


def test_trials_add_no_evidence() -> None:
    thrice = [Tally(tally.cluster, 3 * tally.failures, trials=3) for tally in singles(2, 20)]
    assert evidence(thrice) == evidence(singles(2, 20))


def test_later_copies_of_a_template_change_nothing() -> None:
    once = evidence([Tally("a", 1), Tally("b", 0)])
    copied = evidence([Tally("a", 1), Tally("b", 0), Tally("a", 0), Tally("b", 1), Tally("b", 1)])
    assert TEST.log_ratio(copied) == TEST.log_ratio(once)
    assert (copied.clusters, copied.failing, copied.probes, copied.failures) == (2, 1, 5, 3)


def test_copies_of_one_template_never_decide() -> None:
    assert TEST.decide(evidence([Tally("one", 0)] * 1000)) is None
    assert TEST.decide(evidence([Tally("one", 1)] * 1000)) is None


nothing = st.builds(
    lambda cluster, errors, skipped: Tally(cluster, 0, errors, max(1, errors + skipped), skipped or int(not errors)),
    st.sampled_from("abcdef"),
    st.integers(0, 3),
    st.integers(0, 3),
)
some = st.builds(
    lambda cluster, failures, passes, errors, skipped: Tally(
        cluster, failures, errors, failures + passes + errors + skipped, skipped
    ),
    st.sampled_from("abcdefghijkl"),
    st.integers(0, 3),
    st.integers(1, 3),
    st.integers(0, 2),
    st.integers(0, 2),
)


@given(st.lists(st.one_of(nothing, some), max_size=40))
def test_what_was_not_judged_does_not_enter(asked: list[Tally]) -> None:
    judged = [tally for tally in asked if tally.counted]
    assert TEST.log_ratio(evidence(asked)) == TEST.log_ratio(evidence(judged))
    assert evidence(asked).clusters == evidence(judged).clusters
    assert evidence(asked).probes == len(asked)


def test_a_template_whose_first_probe_errored_counts_with_the_next() -> None:
    found = evidence([Tally("a", 0, errors=1), Tally("a", 0, skipped=1), Tally("a", 1), Tally("a", 0)])
    assert (found.clusters, found.failing) == (1, 1)
    only = evidence([Tally("a", 0, errors=1)] * 3)
    assert (only.clusters, TEST.log_ratio(only)) == (0, 0.0)


def test_nothing_is_decided_while_more_than_five_percent_errored() -> None:
    # The gate bears 3 of 60 and 1 of 20, and no more.
    passed, error = singles(0, 57), Tally("e", 0, errors=1)
    assert TEST.decide(evidence([*passed, *[error] * 3])) == "pass"
    assert TEST.decide(evidence([*passed, *[error] * 4])) is None
    assert ZERO.decide(evidence([*singles(1, 19), error])) == "fail"
    assert ZERO.decide(evidence([*singles(1, 18), error])) is None


@given(st.lists(st.one_of(nothing, some), max_size=40))
def test_incremental_evidence_is_the_one_from_scratch(asked: list[Tally]) -> None:
    found = Evidence()
    for count, tally in enumerate(asked, start=1):
        found.add(tally)
        first: dict[str, Tally] = {}
        for one in asked[:count]:
            if one.counted:
                first.setdefault(one.cluster, one)
        log_ratio = math.fsum(
            math.log(0.10 / 0.02) * one.failures / one.counted
            + math.log(0.90 / 0.98) * (one.counted - one.failures) / one.counted
            for one in first.values()
        )
        assert TEST.log_ratio(found) == pytest.approx(log_ratio, abs=1e-9)
        assert (found.probes, found.clusters) == (count, len(first))
        assert found.errors == pytest.approx(math.fsum(one.errors / one.trials for one in asked[:count]))


@given(st.lists(st.booleans(), max_size=80))
def test_a_failure_raises_the_ratio_and_a_pass_lowers_it(failed: list[bool]) -> None:
    found, before = Evidence(), 0.0
    for number, one in enumerate(failed):
        found.add(Tally(str(number), int(one)))
        after = TEST.log_ratio(found)
        assert after > before if one else after < before
        before = after


@given(st.integers(0, 150), st.integers(0, 150))
def test_one_more_failure_never_makes_a_verdict_better(failures: int, passes: int) -> None:
    better = {"pass": 0, None: 1, "fail": 2}
    probes = failures + passes + 1
    fewer, more = (TEST.decide(evidence(singles(count, probes))) for count in (failures, failures + 1))
    assert better[fewer] <= better[more]


def test_more_confidence_takes_more_evidence() -> None:
    asked = [
        next(count for count in range(200) if Wald(Rules(confidence=level)).decide(evidence(singles(0, count))))
        for level in (0.8, 0.9, 0.95, 0.99)
    ]
    assert asked == sorted(set(asked))


# Zero tolerance


def test_with_zero_tolerance_the_first_failure_fails() -> None:
    assert ZERO.decide(evidence(singles(1, 1))) == "fail"
    assert ZERO.decide(evidence([*singles(0, 40), Tally("last", 1, trials=5)])) == "fail"
    assert TEST.decide(evidence([*singles(0, 40), Tally("last", 1, trials=5)])) is None


def test_with_zero_tolerance_a_failing_copy_fails_too() -> None:
    assert ZERO.decide(evidence([*singles(0, 30), Tally("c0", 1)])) == "fail"
    assert ZERO.decide(evidence([*singles(0, 60), Tally("c0", 1)])) == "fail"


def test_with_zero_tolerance_no_failure_passes_as_soon_as_without() -> None:
    assert ZERO.decide(evidence(singles(0, 43))) is None
    assert ZERO.decide(evidence(singles(0, 44))) == "pass"


# What people read


def test_a_pass_is_told_with_its_figures() -> None:
    asked = [*singles(0, 44), *[Tally("c0", 0)] * 17]
    # (49 / 45) ** 44
    assert TEST.reason(evidence(asked), 145) == (
        "stopped early after 61 of 145 probes: of 44 templates, by one probe each, 0 failed; that is 42.4 times as "
        "likely at the tolerance of 2 % as at the limit of 10 %, where 40 times is enough"
    )


def test_a_fail_is_told_with_its_figures() -> None:
    # 5 ** 3.5 * (45 / 49) ** 6.5
    assert TEST.reason(evidence([*singles(3, 9), Tally("half", 1, trials=2)]), 145) == (
        "stopped early after 10 of 145 probes: of 10 templates, by one probe each, 3.5 failed; that is 161 times as "
        "likely at the limit of 10 % as at the tolerance of 2 %, where 40 times is enough"
    )


def test_other_reasons_are_told_as_they_are() -> None:
    assert ZERO.reason(evidence(singles(1, 7)), 30) == (
        "stopped early after 7 of 30 probes: zero tolerance: one failure is enough"
    )
    assert "which cannot be at the tolerance of 0 %" in Wald(Rules(tolerance=0.0)).reason(evidence(singles(1, 7)), 30)
    assert "times as likely at the limit" in TEST.reason(evidence(singles(5000, 5000)), 9000)
    with pytest.raises(ValueError, match="no early stop after 3 probes"):
        TEST.reason(evidence(singles(0, 3)), 30)


# The order

plans = st.lists(st.integers(1, 5), max_size=12).map(plan_of)


@given(plans, st.integers(0, 3))
def test_the_order_is_a_permutation(plan: list[Probe], seed: int) -> None:
    found = order(plan, seed)
    assert len(found) == len(plan)
    assert {one.id for one in found} == {one.id for one in plan}


@given(plans, st.randoms(use_true_random=False), st.integers(0, 3))
def test_the_given_order_does_not_matter(plan: list[Probe], random: Any, seed: int) -> None:
    shuffled = list(plan)
    random.shuffle(shuffled)
    assert order(shuffled, seed) == order(plan, seed)


@given(plans)
def test_nothing_but_ids_and_their_grouping_matters(plan: list[Probe]) -> None:
    renamed = [dataclasses.replace(one, cluster=f"other {one.cluster}", language="de", claim="new") for one in plan]
    assert [one.id for one in order(renamed)] == [one.id for one in order(plan)]


def test_the_seed_makes_another_order() -> None:
    plan = plan_of([3] * 20)
    orders = {tuple(one.id for one in order(plan, seed)) for seed in range(20)}
    assert len(orders) == 20
    assert order(plan) == order(plan, 0)


@given(plans)
def test_no_cluster_has_a_second_turn_before_each_had_its_first(plan: list[Probe]) -> None:
    taken: dict[str, int] = defaultdict(int)
    turns = []
    for one in order(plan):
        turns.append(taken[one.cluster])
        taken[one.cluster] += 1
    assert turns == sorted(turns)


def test_large_clusters_come_no_earlier_than_small_ones() -> None:
    plan = plan_of([40, 1])
    first = sum(order(plan, seed)[0].cluster == "c0" for seed in range(1000))
    assert first / 1000 == pytest.approx(0.5, abs=4 * 0.5 / math.sqrt(1000))


def test_each_copy_is_as_often_the_first_of_its_cluster() -> None:
    plan = plan_of([4, 2])
    first = [next(one.id for one in order(plan, seed) if one.cluster == "c0") for seed in range(1000)]
    for copy in range(4):
        share = first.count(f"c0-{copy}") / 1000
        assert share == pytest.approx(0.25, abs=4 * math.sqrt(0.25 * 0.75 / 1000))


def test_a_hundred_thousand_probes_take_a_moment() -> None:
    plan = plan_of([5] * 20_000)
    began = time.process_time()
    found = Evidence()
    for one in order(plan):
        found.add(Tally(one.cluster, 0))
        TEST.decide(found)
    assert time.process_time() - began < 10  # a second or so; what looked at all clusters each time would take minutes


# Simulated runs. The code itself says which probes of the plan count and what each pair of counts means; numpy then
# has only to add up, and a test below holds that to the code, run by run.

RUNS = 10_000
GOES_ON, PASSES, FAILS = 0, 1, 2
CODES = {None: GOES_ON, "pass": PASSES, "fail": FAILS}


@dataclasses.dataclass(frozen=True)
class Runs:
    """What simulated runs over one plan gave: a verdict code and the probes asked of each, and every answer."""

    plan: list[Probe]
    verdicts: np.ndarray[Any, Any]
    asked: np.ndarray[Any, Any]
    failed: np.ndarray[Any, Any]


@functools.cache
def verdicts(clusters: int) -> np.ndarray[Any, Any]:
    """Return the verdict code on every (failing, clusters)."""
    return np.array(
        [
            [CODES[TEST.decide(Evidence(probes=n, failing=float(k), clusters=n))] for n in range(clusters + 1)]
            for k in range(clusters + 1)
        ],
        dtype=np.int8,
    )


def simulate(sizes: Sequence[int], rate: float, rho: float, seed: int) -> Runs:
    """Ask a bot in 10,000 runs: each template has a failure rate of its own, with mean `rate` and correlation `rho`."""
    rng = np.random.default_rng(seed)
    plan = order(plan_of(sizes))
    counts, found = [], Evidence()
    for one in plan:
        found.add(Tally(one.cluster, 0))
        counts.append(found.clusters)
    own = np.full((RUNS, len(sizes)), rate, dtype=np.float32)
    if rate > 0 and rho > 0:
        scale = (1 - rho) / rho
        own = rng.beta(rate * scale, (1 - rate) * scale, own.shape).astype(np.float32)
    template = np.array([int(one.cluster[1:]) for one in plan])
    failed = rng.random((RUNS, len(plan)), dtype=np.float32) < own[:, template]
    entering = np.diff(counts, prepend=0).astype(bool)
    failing = np.cumsum(failed & entering, axis=1, dtype=np.int16)
    codes = verdicts(counts[-1])[failing, np.array(counts)]
    stops = codes != GOES_ON
    ever, at = stops.any(axis=1), stops.argmax(axis=1)
    return Runs(plan, np.where(ever, codes[np.arange(RUNS), at], 0), np.where(ever, at + 1, len(plan)), failed)


INDEPENDENT = [1] * 400
MANY_TEMPLATES = [5 + number % 4 for number in range(120)]
FEW_TEMPLATES = [5 + number % 4 for number in range(30)]  # too few for a PASS, however many copies there are

everywhere = pytest.mark.parametrize(
    ("sizes", "rho"),
    [
        pytest.param(INDEPENDENT, 0.0, id="independent"),
        pytest.param(MANY_TEMPLATES, 0.3, id="many alike"),
        pytest.param(MANY_TEMPLATES, 0.9, id="many nearly the same"),
        pytest.param(FEW_TEMPLATES, 0.3, id="few alike"),
        pytest.param(FEW_TEMPLATES, 0.9, id="few nearly the same"),
    ],
)
BOUND = TEST.alpha + 3 * math.sqrt(TEST.alpha * (1 - TEST.alpha) / RUNS)


@everywhere
def test_a_bot_at_the_tolerance_is_rarely_failed(sizes: Sequence[int], rho: float) -> None:
    assert (simulate(sizes, 0.02, rho, seed=1).verdicts == FAILS).mean() <= BOUND


@everywhere
def test_a_bot_at_the_limit_is_rarely_passed(sizes: Sequence[int], rho: float) -> None:
    assert (simulate(sizes, 0.10, rho, seed=2).verdicts == PASSES).mean() <= BOUND


@everywhere
def test_a_bot_that_often_fails_is_found_out_with_a_few_probes(sizes: Sequence[int], rho: float) -> None:
    runs = simulate(sizes, 0.30, rho, seed=3)
    assert (runs.verdicts == FAILS).mean() > 0.95
    assert runs.asked.mean() < 20


@everywhere
def test_a_bot_that_never_fails_is_asked_44_templates(sizes: Sequence[int], rho: float) -> None:
    runs = simulate(sizes, 0.0, rho, seed=4)
    enough = len(sizes) >= 44
    assert (runs.verdicts == (PASSES if enough else GOES_ON)).all()
    assert (runs.asked == (44 if enough else len(runs.plan))).all()


@pytest.mark.parametrize(("rate", "verdict"), [(0.02, PASSES), (0.10, FAILS)])
def test_most_bots_at_the_tolerance_or_limit_are_decided_early_and_rightly(rate: float, verdict: int) -> None:
    for sizes, rho in ((INDEPENDENT, 0.0), (MANY_TEMPLATES, 0.3), (MANY_TEMPLATES, 0.9)):
        runs = simulate(sizes, rate, rho, seed=5)
        assert (runs.verdicts == verdict).mean() > 0.8
        assert runs.asked.mean() < 0.4 * len(runs.plan)


def test_simulated_runs_are_those_of_the_code() -> None:
    for sizes, rate in ((MANY_TEMPLATES, 0.05), (FEW_TEMPLATES, 0.2)):
        runs = simulate(sizes, rate, 0.5, seed=6)
        for run in range(150):
            found = Evidence()
            for one, failed in zip(runs.plan, runs.failed[run], strict=True):
                found.add(Tally(one.cluster, int(failed)))
                if TEST.decide(found):
                    break
            assert (CODES[TEST.decide(found)], found.probes) == (runs.verdicts[run], runs.asked[run])

from __future__ import annotations

import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bias_suite import power
from bias_suite.gate import Rules, Tally, decide
from bias_suite.power import RATES, Chances, chances, effective, whole_gate

RULES = Rules()


@pytest.mark.parametrize(
    ("probes", "rate", "passes", "fails"),
    [(100, 0.02, 0.949, 0.015), (100, 0.10, 0.024, 0.942), (35, 0.02, 0.493, 0.033)],
)
def test_the_chances_of_one_look_are_those_of_the_binomial_table(
    probes: int, rate: float, passes: float, fails: float
) -> None:
    found = chances((probes,), RULES, rate)
    assert (found.passes, found.fails) == pytest.approx((passes, fails), abs=5e-4)


@pytest.mark.parametrize("rate", RATES)
def test_the_chances_add_up(rate: float) -> None:
    found = chances((40, 80), RULES, rate)
    assert found.passes + found.fails + found.undecided == pytest.approx(1)


def test_a_bot_that_never_fails_passes_for_certain_and_one_that_always_does_fails() -> None:
    assert chances((40, 80), RULES, 0.0) == Chances(1.0, 0.0, 0.0)
    assert chances((40, 80), RULES, 1.0).fails == pytest.approx(1)


def test_worse_bots_pass_less_often() -> None:
    passes = [chances((40, 80), RULES, rate).passes for rate in RATES]
    assert all(better > worse for better, worse in itertools.pairwise(passes))


@pytest.mark.parametrize("rate", [0.02, 0.05, 0.10])
def test_the_chances_are_what_simulated_runs_show(rate: float) -> None:
    rng = np.random.default_rng(7)
    runs, sizes = 2000, (40, 80)
    found = {"pass": 0, "fail": 0, "inconclusive": 0}
    for answers in rng.random((runs, sizes[-1])) < rate:
        for size in sizes:
            tallies = [Tally(str(number), int(failed)) for number, failed in enumerate(answers[:size])]
            verdict = decide(tallies, RULES, len(sizes)).verdict
            if verdict != "inconclusive":
                break
        found[verdict] += 1
    expected = chances(sizes, RULES, rate)
    margin = 4 * 0.5 / runs**0.5
    assert found["pass"] / runs == pytest.approx(expected.passes, abs=margin)
    assert found["fail"] / runs == pytest.approx(expected.fails, abs=margin)


def test_zero_tolerance_passes_only_without_any_failure() -> None:
    rules = Rules(zero_tolerance=True)
    found = chances((151,), rules, 0.01)
    assert found.passes == pytest.approx(0.99**151)
    assert found.undecided == 0


@given(st.lists(st.sampled_from("abcdefgh"), min_size=1, max_size=60), st.floats(0, 1))
@settings(max_examples=50)
def test_templates_are_worth_at_most_their_probes(clusters: list[str], correlation: float) -> None:
    (worth,) = effective(clusters, (len(clusters),), correlation)
    assert 1 <= worth <= len(clusters)


def test_copies_of_one_template_are_worth_one_probe_when_they_agree_in_all() -> None:
    assert effective(["a"] * 50, (10, 50), 1.0) == (1, 1)
    assert effective([str(number) for number in range(50)], (10, 50), 1.0) == (10, 50)
    assert effective(["a"] * 50, (10, 50), 0.0) == (10, 50)


def test_the_gate_passes_where_all_detectors_do_and_fails_where_one_does() -> None:
    gate = whole_gate({"one": Chances(0.9, 0.1, 0.0), "other": Chances(0.8, 0.1, 0.1)})
    assert gate.passes == pytest.approx(0.72)
    assert gate.fails == pytest.approx(1 - 0.9 * 0.9)
    assert gate.undecided == pytest.approx(1 - 0.72 - 0.19)


@pytest.mark.parametrize("probes", [1, 40, 145])
@pytest.mark.parametrize("zero_tolerance", [False, True])
def test_the_bounds_of_each_verdict_are_where_the_gate_decides_so(probes: int, zero_tolerance: bool) -> None:
    rules = Rules(zero_tolerance=zero_tolerance)
    by_gate = [
        decide([Tally(str(index), int(index < failures)) for index in range(probes)], rules).verdict
        for failures in range(probes + 1)
    ]
    for failures in range(probes + 1):
        passing, failing = power._bounds(probes, rules, 1)
        expected = "pass" if failures <= passing else "fail" if failures >= failing else "inconclusive"
        assert by_gate[failures] == expected


def test_plans_of_thousands_of_probes_have_chances_too() -> None:
    found = chances((5_000, 10_000), RULES, 0.08)
    assert found.passes + found.fails + found.undecided == pytest.approx(1.0)
    assert found.passes > 0.99  # surely below the limit of 10 %
    assert chances((10_000,), RULES, 0.12).fails > 0.99

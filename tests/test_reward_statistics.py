"""Figures are right by hand, and intervals hold what they promise where pairs of one record hang together."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from reward import statistics
from reward.statistics import Difference, Estimate

Floats = NDArray[np.float64]


def own(margins: Sequence[float]) -> Estimate:
    """Each pair is a record of its own."""
    return statistics.estimate(np.array(margins, dtype=float), [f"r{n}" for n in range(len(margins))])


def width(one: Estimate) -> float:
    return one.upper - one.lower


# Accuracy


def test_of_independent_pairs_the_interval_is_wilson_s_with_what_t_takes_off() -> None:
    # By hand, 7 of 10: n_eff = (10 - 1) * (1.959964 / t)^2 = 6.7561 with t = 2.262157 of 9 degrees of freedom;
    # middle (0.7 + z^2 / 2n) / (1 + z^2 / n) = 0.62750, half z * sqrt(0.21 / n + z^2 / 4n^2) / (1 + z^2 / n) = 0.28527.
    found = own([1.0] * 7 + [-1.0] * 3)
    assert (found.value, found.pairs, found.records, found.ties) == (0.7, 10, 10, 0)
    assert (found.lower, found.upper) == pytest.approx((0.34223, 0.91277), abs=1e-5)


def test_of_very_many_independent_pairs_it_is_wilson_s() -> None:
    # By hand, 2800 of 4000, z = 1.959964: 0.699808 -+ 0.014196.
    found = own([1.0] * 2800 + [-1.0] * 1200)
    assert (found.lower, found.upper) == pytest.approx((0.685612, 0.714004), abs=3e-5)


@pytest.mark.parametrize("count", [2, 10, 100])
def test_always_right_or_always_wrong_is_no_certainty(count: int) -> None:
    right, wrong = own([3.0] * count), own([-3.0] * count)
    assert (right.value, wrong.value) == (1.0, 0.0)
    assert (right.upper, wrong.lower) == (pytest.approx(1.0), pytest.approx(0.0))
    assert right.lower == pytest.approx(1 - wrong.upper)
    assert right.lower < 1 - 1 / count


def test_a_tie_counts_half() -> None:
    found = own([0.0, 0.0, 1.0, -1.0, -1.0])
    assert (found.value, found.ties) == (0.4, 2)
    ties = own([0.0] * 12)  # n_eff = 12 * (1.959964 / 2.200985)^2 = 9.5157, as if six were right
    assert (ties.value, ties.ties) == (0.5, 12)
    assert (ties.lower, ties.upper) == (pytest.approx(1 - ties.upper), pytest.approx(0.76814, abs=1e-5))


def test_one_record_says_next_to_nothing_however_many_pairs_it_has() -> None:
    many = statistics.estimate(np.ones(500), ["r1"] * 500)
    assert (many.records, many.pairs) == (1, 500)
    assert many.lower < 0.5
    assert (many.lower, many.upper) == (own([1.0]).lower, own([1.0]).upper)
    mixed = statistics.estimate(np.array([1.0, -1.0] * 250), ["r1"] * 500)
    assert width(mixed) > 0.8


margins_of_records = st.lists(
    st.tuples(st.sampled_from([-2.0, -1.0, 0.0, 1.0, 2.0]), st.sampled_from("abcdefgh")), min_size=1, max_size=40
)


@given(st.lists(st.sampled_from([-1.0, 1.0]), min_size=1, max_size=40), st.integers(2, 5))
def test_saying_every_pair_again_narrows_nothing(margins: list[float], times: int) -> None:
    once = own(margins)
    again = statistics.estimate(np.tile(margins, times), [f"r{n}" for n in range(len(margins))] * times)
    assert (again.value, again.lower, again.upper) == pytest.approx((once.value, once.lower, once.upper), abs=1e-9)
    assert (again.pairs, again.records) == (times * once.pairs, once.records)


def test_pairs_of_one_record_widen_the_interval() -> None:
    right = np.array([1.0] * 30 + [-1.0] * 10)
    together = statistics.estimate(np.repeat(right, 4), [f"r{n}" for n in range(40) for _ in range(4)])
    assert width(together) == pytest.approx(width(own(right)))
    assert width(together) > 1.8 * width(own(np.repeat(right, 4)))


def test_one_record_of_many_pairs_among_a_few_is_one_record() -> None:
    margins = np.array([1.0] * 200 + [1.0] * 6 + [-1.0] * 5)
    found = statistics.estimate(margins, ["r0"] * 200 + [f"r{n}" for n in range(1, 12)])
    assert found.lower < 0.5


@pytest.mark.parametrize("pairs", [2, 50, 100_000])
def test_the_rest_beside_one_record_of_many_pairs_breaks_nothing(pairs: int) -> None:
    margins, records = np.array([1.0] * pairs + [-1.0, 1.0]), ["r0"] * pairs + ["r1", "r2"]
    found, advantage = statistics.estimate(margins, records), statistics.advantage(margins, -margins, records)
    assert 0 <= found.lower < found.value < found.upper <= 1
    assert -1 <= advantage.lower <= advantage.value <= advantage.upper <= 1


@given(margins_of_records)
def test_an_interval_lies_between_none_and_all_and_holds_the_share(found: list[tuple[float, str]]) -> None:
    margins, records = np.array([margin for margin, _ in found]), [record for _, record in found]
    one = statistics.estimate(margins, records)
    assert 0 <= one.lower <= one.value + 1e-9
    assert one.value - 1e-9 <= one.upper <= 1
    assert width(one) > 0.1
    mirrored = statistics.estimate(-margins, records)
    assert (1 - mirrored.upper, 1 - mirrored.value, 1 - mirrored.lower) == pytest.approx(
        (one.lower, one.value, one.upper), abs=1e-9
    )


def drawn(rng: np.random.Generator, share: float, records: int) -> tuple[Floats, list[str]]:
    """Draw 1 to 4 pairs for each record, which are right with a chance that they share."""
    sizes = rng.integers(1, 5, records)
    chances = np.repeat(rng.beta(2 * share, 2 * (1 - share), records), sizes)
    margins = np.where(rng.random(len(chances)) < chances, 1.0, -1.0)
    return margins, [f"r{n}" for n in np.repeat(np.arange(records), sizes)]


@pytest.mark.parametrize("share", [0.55, 0.75, 0.95])
@pytest.mark.parametrize("records", [15, 60])
def test_the_interval_holds_the_truth_as_often_as_it_says(share: float, records: int) -> None:
    rng = np.random.default_rng(5)
    found = [statistics.estimate(*drawn(rng, share, records)) for _ in range(400)]
    assert np.mean([one.lower <= share <= one.upper for one in found]) >= 0.92


def test_a_model_at_chance_is_rarely_over_it() -> None:
    rng = np.random.default_rng(6)
    found = [statistics.estimate(*drawn(rng, 0.5, 12)) for _ in range(600)]
    assert np.mean([one.lower > 0.5 for one in found]) <= 0.04


# One accuracy less another


def test_an_advantage_is_the_paired_t_interval_of_independent_pairs() -> None:
    from scipy.stats import ttest_rel

    rng = np.random.default_rng(1)
    a, b = rng.normal(0.5, 1, 30), rng.normal(0, 1, 30)
    expected = ttest_rel(statistics.correctness(a), statistics.correctness(b)).confidence_interval()
    found = statistics.advantage(a, b, [f"r{n}" for n in range(30)])
    assert (found.lower, found.upper) == pytest.approx((expected.low, expected.high))


@given(st.lists(st.tuples(st.floats(-5, 5), st.floats(-5, 5), st.sampled_from("abcd")), min_size=1, max_size=30))
def test_an_advantage_turns_round_with_its_sides(found: list[tuple[float, float, str]]) -> None:
    a, b = np.array([one[0] for one in found]), np.array([one[1] for one in found])
    records = [one[2] for one in found]
    there, back = statistics.advantage(a, b, records), statistics.advantage(b, a, records)
    assert (there.value, there.lower, there.upper) == pytest.approx((-back.value, -back.upper, -back.lower))
    assert -1 <= there.lower <= there.value <= there.upper <= 1


@given(st.lists(st.floats(-5, 5), min_size=2, max_size=20))
def test_nothing_is_better_than_itself(margins: list[float]) -> None:
    records = [f"r{n}" for n in range(len(margins))]
    assert statistics.advantage(np.array(margins), np.array(margins), records) == Difference(0.0, 0.0, 0.0)


def test_how_large_a_margin_is_does_not_matter_for_an_advantage() -> None:
    a, b = np.array([1.0, -1.0, 2.0, 0.0]), np.array([-1.0, 1.0, -1.0, 1.0])
    assert statistics.advantage(a * 1000, b / 1000, list("wxyz")) == statistics.advantage(a, b, list("wxyz"))


def test_of_one_record_an_advantage_claims_nothing() -> None:
    assert statistics.advantage(np.ones(50), -np.ones(50), ["r1"] * 50) == Difference(1.0, -1.0, 1.0)


def test_an_advantage_said_again_is_no_more_certain() -> None:
    rng = np.random.default_rng(2)
    a, b, records = rng.normal(0.5, 1, 20), rng.normal(0, 1, 20), [f"r{n}" for n in range(20)]
    once = statistics.advantage(a, b, records)
    again = statistics.advantage(np.tile(a, 9), np.tile(b, 9), records * 9)
    assert (again.value, again.lower, again.upper) == pytest.approx((once.value, once.lower, once.upper))


def test_an_advantage_on_one_record_of_many_pairs_is_no_advantage() -> None:
    a = np.array([1.0] * 200 + [1.0, -1.0] * 5)
    b = np.array([-1.0] * 200 + [-1.0, 1.0] * 5)
    assert statistics.advantage(a, b, ["r0"] * 200 + [f"r{n}" for n in range(1, 11)]).lower < 0


@pytest.mark.parametrize(("one", "other"), [(0.6, 0.6), (0.8, 0.6)])
@pytest.mark.parametrize("records", [15, 60])
def test_an_advantage_s_interval_holds_the_truth_as_often_as_it_says(one: float, other: float, records: int) -> None:
    rng = np.random.default_rng(9)
    held = []
    for _ in range(400):
        sizes = rng.integers(1, 5, records)
        a, b = (np.repeat(rng.beta(2 * share, 2 * (1 - share), records), sizes) for share in (one, other))
        margins, others = (np.where(rng.random(len(chances)) < chances, 1.0, -1.0) for chances in (a, b))
        found = statistics.advantage(margins, others, [f"r{n}" for n in np.repeat(np.arange(records), sizes)])
        held.append(found.lower <= one - other <= found.upper)
    assert np.mean(held) >= 0.92


# Correlation


@pytest.mark.parametrize(
    ("a", "b"), [([1, 1, 1, 1], [1, 2, 3, 4]), ([1, 2, 3, 4], [0, 0, 0, 0]), ([1, 2], [2, 1]), ([], [])]
)
def test_what_never_varies_has_no_correlation(a: list[float], b: list[float]) -> None:
    assert statistics.correlation(np.array(a, dtype=float), np.array(b, dtype=float)) is None


def test_the_correlation_is_of_ranks() -> None:
    from scipy.stats import rankdata

    a = np.array([1.0, 2.0, 2.0, 5.0, 900.0])
    b = np.array([-1.0, 3.0, 2.0, 2.0, 4.0])
    expected = np.corrcoef(rankdata(a), rankdata(b))[0, 1]
    assert statistics.correlation(a, b) == pytest.approx(expected)
    assert statistics.correlation(a, a**3) == pytest.approx(1.0)
    assert statistics.correlation(a, -a) == pytest.approx(-1.0)


# Calibration


def preferences(sure: float, truth: float, count: int) -> Floats:
    """Margins whose spread is `sure`; a preference is right with the probability that `truth` times it stands for."""
    rng = np.random.default_rng(4)
    margins = np.abs(rng.normal(0, sure, count))
    return np.where(rng.random(count) < 1 / (1 + np.exp(-truth * margins)), margins, -margins)


def test_a_model_that_is_right_as_often_as_it_is_sure_is_calibrated() -> None:
    error, bins = statistics.calibration(preferences(2.0, 1.0, 5000))
    assert error < 0.02
    assert all(one.accuracy == pytest.approx(one.confidence, abs=0.08) for one in bins)


def test_a_model_that_is_too_sure_is_not() -> None:
    error, bins = statistics.calibration(preferences(20.0, 0.02, 5000))
    assert error > 0.3
    assert bins[-1].confidence > bins[-1].accuracy + 0.2


def test_the_calibration_error_of_one_bin_is_by_hand() -> None:
    # Confidences sigmoid(1) = 0.731059 and sigmoid(2) = 0.880797, of which the first is right.
    error, (one,) = statistics.calibration(np.array([1.0, -2.0]))
    assert (one.confidence, one.accuracy, one.pairs) == (pytest.approx(0.805928, abs=1e-6), 0.5, 2)
    assert error == pytest.approx(0.305928, abs=1e-6)


@given(st.lists(st.floats(-1e300, 1e300), min_size=1, max_size=200))
def test_bins_hold_every_pair_once_and_are_never_small(margins: list[float]) -> None:
    error, bins = statistics.calibration(np.array(margins))
    assert sum(one.pairs for one in bins) == len(margins)
    assert 0 <= error <= 1
    assert len(bins) <= 10
    assert len(bins) == 1 or min(one.pairs for one in bins) >= 15
    assert all(0.5 <= one.confidence <= 1 and 0 <= one.accuracy <= 1 for one in bins)


def test_bins_are_in_the_order_of_confidence_and_about_equal() -> None:
    _, bins = statistics.calibration(preferences(2.0, 1.0, 203))
    assert sorted(one.confidence for one in bins) == [one.confidence for one in bins]
    assert {one.pairs for one in bins} == {20, 21}


def test_huge_margins_are_certain_and_no_overflow() -> None:
    error, _ = statistics.calibration(np.array([1e308, 5e4, 800.0]))
    assert error == pytest.approx(0)


@given(st.lists(st.integers(-8000, 8000), min_size=1, max_size=100, unique_by=abs), st.randoms())
def test_the_order_of_pairs_does_not_matter_for_calibration(thousandths: list[int], random: Any) -> None:
    margins = [one / 1000 for one in thousandths]
    shuffled = list(margins)
    random.shuffle(shuffled)
    assert statistics.calibration(np.array(shuffled))[0] == pytest.approx(statistics.calibration(np.array(margins))[0])


def test_pairs_that_are_equally_sure_are_in_one_bin() -> None:
    sorted_, mixed = np.array([1.0] * 30 + [-1.0] * 30), np.array([1.0, -1.0] * 30)
    assert statistics.calibration(sorted_)[0] == pytest.approx(statistics.calibration(mixed)[0])

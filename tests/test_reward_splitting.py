"""Records are split, never the pairs of one record, and the same seed splits them the same way."""

from __future__ import annotations

from collections import Counter
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from reward import splitting

ids = st.lists(st.text(max_size=4), max_size=30)
shares = st.floats(0, 1)
seeds = st.integers(0, 2**32)


@given(ids, shares, seeds)
def test_every_record_is_on_exactly_one_side(records: list[str], share: float, seed: int) -> None:
    learned, held = splitting.hold_out(records, share, seed)
    assert sorted(learned + held) == sorted(set(records))


@given(ids, shares, seeds, st.randoms())
def test_neither_order_nor_repeats_of_records_matter(records: list[str], share: float, seed: int, random: Any) -> None:
    shuffled = records + records[: len(records) // 2]
    random.shuffle(shuffled)
    assert splitting.hold_out(shuffled, share, seed) == splitting.hold_out(records, share, seed)
    assert list(splitting.folds(shuffled, 3, seed)) == list(splitting.folds(records, 3, seed))


@given(ids, shares, seeds)
def test_the_share_is_of_records(records: list[str], share: float, seed: int) -> None:
    count = len(set(records))
    _, held = splitting.hold_out(records, share, seed)
    assert abs(len(held) - share * count) <= (1 if share and count > 1 else 0.5)
    assert held or not share or count < 2


@pytest.mark.parametrize(("share", "held"), [(0.0, 0), (0.01, 1), (0.25, 5), (0.5, 10), (1.0, 20)])
def test_a_share_of_twenty_records(share: float, held: int) -> None:
    assert len(splitting.hold_out(map(str, range(20)), share, 0)[1]) == held


def test_one_record_cannot_be_split() -> None:
    assert splitting.hold_out(["r1", "r1"], 0.25, 0) == (["r1"], [])
    assert splitting.hold_out([], 0.25, 0) == ([], [])


def test_another_seed_holds_out_other_records() -> None:
    records = list(map(str, range(40)))
    assert splitting.hold_out(records, 0.25, 7) == splitting.hold_out(records, 0.25, 7)
    assert len({tuple(splitting.hold_out(records, 0.25, seed)[1]) for seed in range(10)}) == 10


def test_over_many_seeds_each_record_is_held_out_about_as_often() -> None:
    records = list(map(str, range(10)))
    often = Counter(record for seed in range(500) for record in splitting.hold_out(records, 0.3, seed)[1])
    assert all(often[record] == pytest.approx(150, abs=45) for record in records)  # more than four standard errors


@given(ids, st.integers(2, 6), seeds)
def test_each_record_is_scored_in_exactly_one_fold(records: list[str], count: int, seed: int) -> None:
    found = list(splitting.folds(records, count, seed))
    assert len(found) == count
    assert sorted(record for _, held in found for record in held) == sorted(set(records))
    for learned, held in found:
        assert sorted(learned + held) == sorted(set(records))
    sizes = [len(held) for _, held in found]
    assert max(sizes) - min(sizes) <= 1


@given(st.lists(st.tuples(st.integers(), st.sampled_from("abc"))), st.sets(st.sampled_from("abcd")))
def test_items_of_records_keep_their_order(items: list[tuple[int, str]], wanted: set[str]) -> None:
    found = splitting.of_records(items, [record for _, record in items], sorted(wanted))
    assert found == [item for item in items if item[1] in wanted]


def test_an_item_without_a_record_is_an_error() -> None:
    with pytest.raises(ValueError, match="shorter"):
        splitting.of_records([1, 2], ["r1"], ["r1"])


@given(st.lists(st.tuples(st.sampled_from("abcdef"), st.integers())), shares, seeds)
def test_no_record_s_items_are_on_both_sides(items: list[tuple[str, int]], share: float, seed: int) -> None:
    records = [record for record, _ in items]
    learned, held = (splitting.of_records(items, records, side) for side in splitting.hold_out(records, share, seed))
    assert not {record for record, _ in learned} & {record for record, _ in held}
    assert sorted(learned + held) == sorted(items)

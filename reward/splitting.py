"""Splits by record: all pairs of a record are on one side, since several people correct the same answer."""

from __future__ import annotations

import random
from collections.abc import Collection, Iterable, Iterator, Sequence
from typing import TypeVar

_T = TypeVar("_T")


def hold_out(records: Iterable[str], share: float, seed: int) -> tuple[list[str], list[str]]:
    """Return the records to learn from and those to hold out.

    Args:
        records: Ids of records; repeats count once.
        share: Which share of them is held out, rounded; at least one where there are two and `share` is not 0.
        seed: Which records these are.
    """
    shuffled = sorted(set(records))
    random.Random(seed).shuffle(shuffled)
    count = round(share * len(shuffled))
    if share and not count and len(shuffled) > 1:
        count = 1
    return sorted(shuffled[count:]), sorted(shuffled[:count])


def folds(records: Iterable[str], count: int, seed: int) -> Iterator[tuple[list[str], list[str]]]:
    """Yield, for each of `count` folds, the records to learn from and those to score (cross-validation)."""
    shuffled = sorted(set(records))
    random.Random(seed).shuffle(shuffled)
    for fold in range(count):
        held = set(shuffled[fold::count])
        yield sorted(set(shuffled) - held), sorted(held)


def of_records(items: Sequence[_T], records: Sequence[str], wanted: Collection[str]) -> list[_T]:
    """Return the items whose record is wanted, in their order.

    Args:
        items: Anything, one for each entry of `records`.
        records: The record of each item.
        wanted: Ids of records.
    """
    kept = set(wanted)
    return [item for item, record in zip(items, records, strict=True) if record in kept]

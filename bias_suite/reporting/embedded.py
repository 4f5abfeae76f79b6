"""The cases that a page holds: as many as it has room for, the worst first, as JSON that can stand inside HTML.

Whatever order they come in, the same cases give the same JSON: the first by verdict, detector, probe, trial and id, up
to the one that there is no room for. Passages and requirements, which cases share, stand there once.
"""

from __future__ import annotations

import heapq
import itertools
import json
import sys
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from typing import Any

from bias_suite.cases import Case
from bias_suite.reporting.text import visible

ORDER = ("failed", "error", "waived", "skipped", "passed")
"""Verdicts on answers, those first that a reader wants to see first."""
MOST = 10_000
"""Cases of a page."""
ROOM = 12_000_000
"""Bytes that they may take."""
TEXT, PASSAGE, NAME = 4_000, 2_000, 200
"""Characters of a question, answer or reason; of a passage or requirement; of a name."""
_PASSAGES, _OTHERS = 20, 8
_Key = tuple[int, str, str, int, str]
_NAMES = ("id", "verdict", "detector", "probe", "axis", "group", "language", "severity", "judge")


class Embedded:
    """The cases of a page.

    Attributes:
        counts: All cases that there are, by verdict.
        full: The rank from which on there is no room.
    """

    def __init__(self, room: int) -> None:
        """Begin without any."""
        self.counts: Counter[str] = Counter()
        self.full = sys.maxsize
        self._room, self._size = room, 0
        self._held: dict[int, dict[str, Any]] = {}
        self._sizes: dict[int, int] = {}
        self._uses: Counter[str] = Counter()
        self._last: list[int] = []

    @property
    def shown(self) -> Counter[str]:
        """The cases that are on the page, by verdict."""
        return Counter(one["verdict"] for one in self._held.values())

    def add(self, rank: int, one: dict[str, Any]) -> None:
        """Take a case, and put out the last ones where there is no room for all.

        Args:
            rank: Its place among all cases.
            one: The case as `record` makes it.
        """
        shared = [text for text in _shared(one) if not self._uses[text]]
        self._sizes[rank] = len(_json({**one, "requirement": 0, "contexts": []}).encode())
        self._held[rank] = one
        self._uses.update(_shared(one))
        self._size += self._sizes[rank] + sum(len(text.encode()) for text in set(shared))
        heapq.heappush(self._last, -rank)
        while self._size > self._room:
            self.full = -heapq.heappop(self._last)
            self._put_out(self.full)

    def _put_out(self, rank: int) -> None:
        one = self._held.pop(rank)
        self._uses.subtract(_shared(one))
        gone = {text for text in _shared(one) if not self._uses[text]}
        self._size -= self._sizes.pop(rank) + sum(len(text.encode()) for text in gone)

    def __iter__(self) -> Iterator[str]:
        """Yield the JSON in pieces: ``{"texts": [...], "cases": [...]}``; cases name texts by their place."""
        records = [self._held[rank] for rank in sorted(self._held)]
        places: dict[str, int] = {}
        for text in itertools.chain.from_iterable(map(_shared, records)):
            places.setdefault(text, len(places))
        yield '{"texts":['
        yield from _listed(places)
        yield '],"cases":['
        yield from _listed(
            {**one, "requirement": places[one["requirement"]], "contexts": [places[text] for text in one["contexts"]]}
            for one in records
        )
        yield "]}"


def choose(
    cases: Callable[[], Iterable[Case]],
    redact: Callable[[Case], Case],
    look: Callable[[Case], None] = lambda case: None,
    *,
    most: int = MOST,
    room: int = ROOM,
) -> Embedded:
    """Return the cases for a page.

    Args:
        cases: Returns the cases, each time from the first: they are read twice, so that few are held.
        redact: Takes personal data out of a case that is shown.
        look: Is shown every case once.
        most: How many a page may hold.
        room: How many bytes they may take.
    """
    chosen = Embedded(room)

    def keys() -> Iterator[_Key]:
        for case in cases():
            chosen.counts[case.verdict] += 1
            look(case)
            yield _key(case)

    ranks = {key: rank for rank, key in enumerate(heapq.nsmallest(most, keys()))}
    for case in cases():
        rank = ranks.pop(_key(case), None)  # a line that stands there twice is taken once
        if rank is not None and rank < chosen.full:
            chosen.add(rank, record(redact(case)))
    return chosen


def _key(case: Case) -> _Key:
    place = ORDER.index(case.verdict) if case.verdict in ORDER else len(ORDER)
    return place, case.detector, case.probe, case.trial, case.id


def record(case: Case) -> dict[str, Any]:
    """Return what a page tells of a case: texts cut, with what cannot be seen as an escape; empty ones left out."""
    names = {name: visible(getattr(case, name) or "", NAME) for name in _NAMES}
    others = [{side: visible(one[side], TEXT) for side in ("question", "answer")} for one in case.others[:_OTHERS]]
    told = {
        **names,
        "trial": case.trial,
        "question": visible(case.question, TEXT),
        "answer": visible(case.answer, TEXT),
        "reason": visible(case.reason, TEXT),
        "span": visible(case.span, TEXT),
        "others": others,
        "more": max(0, len(case.contexts) - _PASSAGES) + max(0, len(case.others) - _OTHERS),
    }
    return {
        **{name: value for name, value in told.items() if value},
        "requirement": visible(case.requirement, PASSAGE),
        "contexts": [visible(text, PASSAGE) for text in case.contexts[:_PASSAGES]],
    }


def _shared(one: dict[str, Any]) -> list[str]:
    return [one["requirement"], *one["contexts"]]


def _listed(values: Iterable[Any]) -> Iterator[str]:
    for number, value in enumerate(values):
        yield (",\n" if number else "") + _json(value)


def _json(value: Any) -> str:
    # HTML looks for nothing in a script but what begins with this sign: its end, or a comment.
    return json.dumps(value, ensure_ascii=False, separators=(",", ":")).replace("<", "\\u003c")

"""The pool: what several detectors ask is in flight together, within one limit, and each gets its own results."""

from __future__ import annotations

import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from bias_suite import subject
from bias_suite.calls import Limits, Request
from bias_suite.cases import Verdict
from bias_suite.runner import Pool, Result
from tests import bots
from tests.gate_runs import Gate
from tests.test_runner import requests

Make = Callable[..., Pool]


@pytest.fixture
def pool() -> Iterator[Make]:
    """Make pools; they are closed in the end."""
    made: list[Pool] = []

    def make(model: Any, **limits: Any) -> Pool:
        made.append(Pool(subject.wrap(model), Limits(**limits)))
        return made[-1]

    yield make
    for one in made:
        one.close()


class Gauge:
    """Answers after a moment; counts calls in flight, and in which order questions came."""

    def __init__(self, seconds: float = 0.02) -> None:
        self.most = self._now = 0
        self.order: list[str] = []
        self._seconds, self._lock = seconds, threading.Lock()

    def __call__(self, question: str) -> str:
        with self._lock:
            self._now += 1
            self.most = max(self.most, self._now)
            self.order.append(question)
        time.sleep(self._seconds)
        with self._lock:
            self._now -= 1
        return "an answer"


def named(name: str, count: int) -> list[Request]:
    """Return requests whose questions begin with a name."""
    found = requests(count)
    return [
        Request(type(one.probe)(f"{name}{one.probe.id}", "small", "R.", (f"{name}{one.probe.id}",), "en", name))
        for one in found
    ]


def test_each_batch_gets_its_own_results_and_one_limit_holds_for_all(pool: Make) -> None:
    model = Gauge()
    shared = pool(model, concurrency=4)
    taken: dict[str, list[Result]] = {"a": [], "b": [], "c": []}
    batches = [shared.put(named(name, 15), taken[name].append) for name in taken]
    for batch in reversed(batches):
        shared.wait(batch)
    for name, results in taken.items():
        assert Counter(one.request.probe.id for one in results) == Counter(f"{name}{n}" for n in range(15))
    assert model.most == 4


def test_what_was_put_in_first_is_asked_first_and_what_can_wait_waits(pool: Make) -> None:
    model = Gauge(0.001)
    shared = pool(model, concurrency=1)
    later = shared.put(named("later", 20), lambda result: None, later=True)
    second = shared.put(named("now", 5), lambda result: None)
    asked = list(shared.ask(named("asked", 5)))
    shared.wait(second)
    shared.wait(later)
    assert len(asked) == 5
    begun = model.order.index("now0")  # whatever of the first batch was asked before the second came
    names = [question.rstrip("0123456789") for question in model.order]
    assert names[begun : begun + 10] == ["now"] * 5 + ["asked"] * 5
    assert set(names[:begun]) <= {"later"}
    assert len(names) == 30


def test_results_of_others_are_taken_while_one_waits(pool: Make) -> None:
    held = threading.Event()

    def model(question: str) -> str:
        if question.startswith("slow"):
            held.wait(20)
        return "an answer"

    shared = pool(model, concurrency=4)
    quick: list[Result] = []

    def take(result: Result) -> None:
        quick.append(result)
        if len(quick) == 10:
            held.set()  # so the slow one ends only when the others were taken

    slow = shared.put(named("slow", 1), lambda result: None)
    shared.put(named("quick", 10), take, later=True)
    shared.wait(slow)
    assert len(quick) == 10


def test_what_taking_a_result_raises_comes_to_its_own_waiter(pool: Make) -> None:
    shared = pool(bots.echoes(), concurrency=2)

    def broken(result: Result) -> None:
        raise OSError("disk full")

    bad = shared.put(named("bad", 5), broken)
    good: list[Result] = []
    batch = shared.put(named("good", 20), good.append, later=True)
    shared.wait(batch)
    assert len(good) == 20
    with pytest.raises(OSError, match="disk full"):
        shared.wait(bad)


def test_a_cancelled_batch_is_asked_no_further_and_the_others_go_on(pool: Make) -> None:
    model = Gauge(0.01)
    shared = pool(model, concurrency=2)
    left: list[Result] = []
    cancelled = shared.put(named("left", 100), left.append)
    kept: list[Result] = []
    batch = shared.put(named("kept", 10), kept.append)
    while not left:
        shared._receive()
    shared.cancel(cancelled)
    taken = len(left)
    shared.wait(batch)
    assert len(kept) == 10
    assert len(left) == taken
    assert Counter(question[:4] for question in model.order)["left"] <= taken + 4


def test_a_call_that_hangs_for_one_batch_is_given_up_while_another_is_waited_for(pool: Make) -> None:
    let_go = threading.Event()

    def model(question: str) -> str:
        if question == "hangs0":
            let_go.wait(20)
        return "an answer"

    shared = pool(model, concurrency=1, timeout=0.3)
    hung: list[Result] = []
    shared.put(named("hangs", 1), hung.append)
    results = list(shared.ask(named("next", 3)))
    let_go.set()
    assert [one.answers[0].error for one in results] == [None] * 3
    assert "no answer within 0.3 s" in str(hung[0].answers[0].error)


def test_verdicts_of_each_batch_are_its_own_judge_s(pool: Make) -> None:
    shared = pool(bots.echoes(), concurrency=3)
    found: dict[str, list[Result]] = {"a": [], "b": []}
    batches = [
        shared.put(named(name, 10), found[name].append, lambda probe, answers, name=name: Verdict("failed", name))  # type: ignore[misc]
        for name in found
    ]
    for batch in batches:
        shared.wait(batch)
    for name, results in found.items():
        assert {one.verdict.reason for one in results if one.verdict} == {name}
        assert len(results) == 10


def test_a_closed_pool_asks_nothing_more(pool: Make) -> None:
    model = Gauge(0.02)
    shared = pool(model, concurrency=2)
    shared.put(named("a", 100), lambda result: None)
    time.sleep(0.05)
    shared.close()
    time.sleep(0.1)
    asked = len(model.order)
    time.sleep(0.2)
    assert len(model.order) == asked < 50


# A whole run


def test_all_detectors_are_in_flight_from_the_start(gate: Gate) -> None:
    model = "tests.bots:answers_last_what_was_asked_first"
    result = gate.run("--bias-only=small,other", "--bias-concurrency=41", model=model)
    assert gate.verdicts() == {"small": "pass", "other": "pass"}
    assert result.ret == 0


def test_a_run_that_stops_at_the_first_failure_stops_asking(gate: Gate) -> None:
    told = gate.folder / "asked.txt"
    bot = f"tests.bots:writes_down(path={str(told)!r}, seconds=0.02)"
    result = gate.run("--bias-only=other,small", "-x", "--bias-concurrency=1", "--bias-timeout=0.001", model=bot)
    assert result.ret == pytest.ExitCode.TESTS_FAILED
    assert result.parseoutcomes()["failed"] == 1
    time.sleep(0.5)  # one call may have been in flight
    at_the_end = len(told.read_text(encoding="utf-8").splitlines())
    time.sleep(0.3)
    assert len(told.read_text(encoding="utf-8").splitlines()) == at_the_end < 160

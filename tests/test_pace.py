"""The pace of calls: so many a minute, and slower for all threads when the endpoint says that it is too much."""

from __future__ import annotations

import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from bias_suite import subject
from bias_suite.calls import Limits, Request
from bias_suite.cases import Answer
from bias_suite.pace import Pace
from bias_suite.probes import Probe
from bias_suite.runner import ask_all
from tests.gate_runs import Gate

NEVER = threading.Event()


class TooMuchError(Exception):
    """What an HTTP client raises for status 429."""

    def __init__(self, status: int = 429, retry_after: float | None = None) -> None:
        super().__init__(f"HTTP {status}")
        self.status_code = status
        self.headers = {} if retry_after is None else {"retry-after": str(retry_after)}


def starts(pace: Pace, calls: int, threads: int = 4) -> list[float]:
    """Return when each of some calls could start, in seconds from now."""
    began = time.monotonic()

    def start(_: int) -> float:
        assert pace.wait(NEVER)
        return time.monotonic() - began

    with ThreadPoolExecutor(threads) as pool:
        return sorted(pool.map(start, range(calls)))


def test_without_a_limit_nobody_waits() -> None:
    assert starts(Pace(), 100)[-1] < 1.0


def test_calls_start_one_after_another_at_the_rate() -> None:
    # 1,200 a minute are one in 50 ms: the last of eleven comes half a second after the first.
    times = starts(Pace(1200), 11)
    assert times[-1] - times[0] == pytest.approx(0.5, abs=0.2)


@pytest.mark.parametrize("status", [429, 503, 529])
def test_after_too_much_nobody_calls_before_retry_after(status: int) -> None:
    pace = Pace()
    pace.failed(TooMuchError(status, 0.3), 1)
    assert starts(pace, 8)[0] >= 0.29


def test_those_who_wait_already_rest_too() -> None:
    pace = Pace(600)
    with ThreadPoolExecutor(4) as pool:
        began = time.monotonic()
        times = [pool.submit(lambda: (pace.wait(NEVER), time.monotonic() - began)[1]) for _ in range(4)]
        pace.failed(TooMuchError(retry_after=0.6), 1)
        assert sum(future.result() >= 0.59 for future in times) >= 3  # the first may have gone before


def test_a_cause_that_says_so_counts() -> None:
    wrapped = RuntimeError("the chain failed")
    wrapped.__cause__ = TooMuchError(retry_after=0.2)
    pace = Pace()
    pace.failed(wrapped, 1)
    assert starts(pace, 1)[0] >= 0.19


@pytest.mark.parametrize("error", [TooMuchError(500), TooMuchError(401), ValueError("no")])
def test_other_failures_slow_nobody_down(error: Exception) -> None:
    pace = Pace()
    pace.failed(error, 1)
    assert (starts(pace, 4)[-1] < 0.5, pace.gap) == (True, 0.0)


def test_each_further_answer_of_too_much_doubles_the_gap_and_successes_close_it() -> None:
    pace = Pace()
    gaps = []
    for _ in range(3):
        pace.failed(TooMuchError(retry_after=0.0), 1)
        time.sleep(0.01)
        gaps.append(pace.gap)
    assert gaps == [0.02, 0.04, 0.08]
    for _ in range(50):
        pace.succeeded()
    assert pace.gap == 0.0


def test_all_that_are_in_flight_say_it_once() -> None:
    pace = Pace()
    for _ in range(16):
        pace.failed(TooMuchError(retry_after=5.0), 1)
    assert pace.gap == 0.02


def test_waiting_ends_with_the_run() -> None:
    pace, stop = Pace(), threading.Event()
    pace.failed(TooMuchError(retry_after=60.0), 1)
    threading.Timer(0.1, stop.set).start()
    began = time.monotonic()
    assert not pace.wait(stop)
    assert time.monotonic() - began < 5.0


def test_a_run_asks_on_when_the_endpoint_has_rested() -> None:
    calls: list[float] = []
    began = time.monotonic()
    lock = threading.Lock()

    def busy(question: str) -> str:
        with lock:
            calls.append(time.monotonic() - began)
            if time.monotonic() - began < 0.3:
                raise TooMuchError(retry_after=0.4)
        return "fine"

    probes = [Probe(f"p{number}", "d", "r", (f"Q{number}?",), "en", f"p{number}") for number in range(20)]
    found: list[Answer] = []
    for result in ask_all(subject.wrap(busy), [Request(probe) for probe in probes], Limits(4, 5.0, 2)):
        found += result.answers
    assert [answer.error for answer in found] == [None] * 20
    # Four were in flight when it said so; nobody called again until it had rested.
    assert sum(at < 0.3 for at in calls) <= 4
    assert len(calls) <= 24


APP = """
import time
def build():
    def answer(question):
        with open({asked!r}, "a") as file:
            file.write(f"{{time.time()}}\\n")
        return "fine"
    return answer
"""


@pytest.mark.parametrize("workers", [0, 2])
def test_workers_share_the_rate(gate: Gate, workers: int) -> None:
    asked: Path = gate.folder / "asked"
    gate.pytester.makepyfile(app=APP.format(asked=str(asked)))
    # Two detectors, a worker each: 30 calls in all at ten a second take nearly three seconds.
    options = ("--bias-only=small,other", "--bias-sample=15", "--bias-rpm=600", "--bias-inconclusive=warn")
    gate.run_apart(*options, model="app:build", workers=workers)
    times = sorted(map(float, asked.read_text().split()))
    assert len(times) >= 30
    assert times[-1] - times[0] >= 0.8 * (len(times) - 2) / 10

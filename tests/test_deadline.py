"""A hard limit on the time of one call: what it returns, what it raises, and what becomes of a call that hangs."""

from __future__ import annotations

import queue
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import NoReturn

import pytest

from bias_suite.deadline import within
from bias_suite.errors import CallError, CallTimeoutError

ROOT = Path(__file__).resolve().parents[1]


@pytest.fixture
def stuck() -> Iterator[threading.Event]:
    """An event that nobody sets before the test is over: `stuck.wait` hangs."""
    event = threading.Event()
    yield event
    event.set()


@pytest.mark.parametrize("result", ["an answer", None, False, (), CallError("returned, not raised")])
def test_what_a_call_returns_is_returned(result: object) -> None:
    assert within(5.0, lambda: result) is result


@pytest.mark.parametrize(
    "error",
    [
        ValueError("cannot read the index"),
        SystemExit("usage: set OPENAI_API_KEY first"),
        KeyboardInterrupt(),
        GeneratorExit(),
        CallTimeoutError("the application's own time-out"),
        TimeoutError("a socket's"),
        queue.Empty(),
    ],
    ids=lambda error: type(error).__name__,
)
def test_what_a_call_raises_is_raised(error: BaseException) -> None:
    def call() -> NoReturn:
        raise error

    with pytest.raises(type(error)) as raised:
        within(5.0, call)
    assert raised.value is error


def test_a_call_that_hangs_is_given_up_in_time(stuck: threading.Event) -> None:
    began = time.monotonic()
    with pytest.raises(CallTimeoutError, match=r"^no answer within 0\.1 s$"):
        within(0.1, stuck.wait)
    assert 0.1 <= time.monotonic() - began < 1.0


def test_a_time_out_stands_alone(stuck: threading.Event) -> None:
    with pytest.raises(CallTimeoutError) as raised:
        within(0.01, stuck.wait)
    assert raised.value.__cause__ is None
    assert raised.value.__suppress_context__


@pytest.mark.parametrize("raises", [False, True], ids=["returns", "raises"])
def test_what_comes_after_the_time_out_is_thrown_away(raises: bool, capfd: pytest.CaptureFixture[str]) -> None:
    go_on, over = threading.Event(), threading.Event()

    def late() -> str:
        try:
            go_on.wait(5.0)
            if raises:
                raise SystemExit("too late")
            return "too late"
        finally:
            over.set()

    with pytest.raises(CallTimeoutError):
        within(0.01, late)
    go_on.set()
    assert within(5.0, lambda: "in time") == "in time"
    assert over.wait(5.0)
    assert capfd.readouterr() == ("", "")


def test_a_call_runs_in_a_thread_of_its_own() -> None:
    assert within(5.0, threading.current_thread) is not threading.current_thread()


def test_many_calls_at_a_time_each_get_their_own_result(stuck: threading.Event) -> None:
    together = threading.Barrier(40)  # broken, and so an error, unless all calls run at the same time

    def outcome(number: int) -> object:
        def call() -> int:
            together.wait(10.0)
            if number % 4 == 1:
                raise ValueError(number)
            if number % 4 == 2:
                stuck.wait()
            return number

        try:
            return within(1.0, call)
        except (ValueError, CallTimeoutError) as error:
            return type(error), *error.args

    with ThreadPoolExecutor(40) as pool:
        outcomes = list(pool.map(outcome, range(40)))
    late = (CallTimeoutError, "no answer within 1 s")
    assert outcomes == [{1: (ValueError, n), 2: late}.get(n % 4, n) for n in range(40)]


def test_many_calls_that_hang_are_all_given_up_at_once(stuck: threading.Event) -> None:
    def give_up(_: int) -> bool:
        with pytest.raises(CallTimeoutError):
            within(0.2, stuck.wait)
        return True

    began = time.monotonic()
    with ThreadPoolExecutor(50) as pool:
        assert list(pool.map(give_up, range(50))) == [True] * 50
    assert time.monotonic() - began < 2.0


def test_a_call_that_was_given_up_does_not_keep_the_program_alive() -> None:
    program = (
        "import time\n"
        "from bias_suite.deadline import within\n"
        "from bias_suite.errors import CallTimeoutError\n"
        "try:\n"
        "    within(0.05, lambda: time.sleep(60))\n"
        "except CallTimeoutError as error:\n"
        "    print(error)\n"
    )
    run = subprocess.run(
        [sys.executable, "-W", "error", "-c", program],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=20,
        check=False,
    )
    assert (run.returncode, run.stdout, run.stderr) == (0, "no answer within 0.05 s\n", "")

"""A hard limit on the time of one call, whatever the call waits for."""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable
from typing import TypeVar

from bias_suite.errors import CallTimeoutError

Result = TypeVar("Result")


def within(seconds: float, call: Callable[[], Result]) -> Result:
    """Return what a call returns, or give it up.

    The time-outs of HTTP clients bound the wait for the next byte, not the wait for the whole answer. A thread
    cannot be stopped: a call that is given up goes on by itself and its result is thrown away.

    Args:
        seconds: How long to wait.
        call: What to call, in a thread of its own.

    Raises:
        CallTimeoutError: It did not return in time.
        BaseException: Whatever the call raises.
    """
    outcome: queue.SimpleQueue[tuple[Result | None, BaseException | None]] = queue.SimpleQueue()

    def run() -> None:
        try:
            outcome.put((call(), None))
        except BaseException as error:  # handed to the thread that waits
            outcome.put((None, error))

    threading.Thread(target=run, name="bias-suite call", daemon=True).start()
    try:
        result, error = outcome.get(timeout=seconds)
    except queue.Empty:
        raise CallTimeoutError(f"no answer within {seconds:g} s") from None
    if error is not None:
        raise error
    return result  # type: ignore[return-value]  # a Result wherever there is no error

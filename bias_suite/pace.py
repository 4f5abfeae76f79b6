"""How fast an endpoint may be called: so many calls a minute, and slower for all threads when it asks for that.

Each thread waits for its turn. When the endpoint says that it is too much (HTTP 429, 503, 529), nobody calls until
``Retry-After`` has passed, or the pause that `bias_suite.retries` gives; after that calls start one after another with
a gap that doubles with each such answer and shrinks with each success (additive increase, multiplicative decrease, as
TCP does: Chiu and Jain 1989; here of the gap, so that a call which never returns holds nobody back).
"""

from __future__ import annotations

import threading
import time

from bias_suite import retries

_TOO_MUCH = frozenset({429, 503, 529})
_FIRST_GAP, _LONGEST_GAP = 0.02, 5.0
_SHRINKS = 0.9
_LONGEST_SLEEP = 0.25


class Pace:
    """One pace for all threads of a process.

    Attributes:
        gap: Seconds between two calls that the endpoint's answers have led to.
    """

    def __init__(self, per_minute: float = 0.0) -> None:
        """Begin.

        Args:
            per_minute: Calls that may start in a minute; 0 for any number.
        """
        self.gap = 0.0
        self._least = 60.0 / per_minute if per_minute else 0.0
        self._next = 0.0
        self._rests_until = 0.0
        self._lock = threading.Lock()

    def wait(self, stop: threading.Event) -> bool:
        """Wait for one's turn to call; return False where `stop` was set before it came."""
        with self._lock:
            start = max(time.monotonic(), self._next, self._rests_until)
            self._next = start + max(self._least, self.gap)
        while True:
            with self._lock:  # the endpoint may have asked for a rest since
                left = max(start, self._rests_until) - time.monotonic()
            if left <= 0:
                return not stop.is_set()
            if stop.wait(min(left, _LONGEST_SLEEP)):
                return False

    def failed(self, error: BaseException, attempt: int) -> None:
        """Note what a call raised: where the endpoint says that it is too much, all rest.

        Args:
            error: What was raised.
            attempt: How often this call was made, from 1.
        """
        if not any(retries.status(link) in _TOO_MUCH for link in retries.chain(error)):
            return
        seconds = retries.pause(error, attempt) or 0.0
        with self._lock:
            now = time.monotonic()
            if now >= self._rests_until:  # the calls in flight all say so; that is one answer
                self.gap = min(max(2 * self.gap, _FIRST_GAP), _LONGEST_GAP)
            self._rests_until = max(self._rests_until, now + seconds)
            self._next = max(self._next, self._rests_until)

    def succeeded(self) -> None:
        """Note that a call was answered."""
        with self._lock:
            self.gap = self.gap * _SHRINKS if self.gap * _SHRINKS > _FIRST_GAP / 10 else 0.0

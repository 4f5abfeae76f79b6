"""Which failures of a call pass by themselves, and how long to wait before another attempt.

A failure passes where the exception, or one that it was raised from, has an HTTP status that says so or is a
lost connection. ``Retry-After`` is heeded; without it the pause doubles from half a second.
"""

from __future__ import annotations

import math
import time
from collections.abc import Iterator
from typing import Any

from bias_suite.errors import CallError

_TRANSIENT_STATUS = frozenset({408, 425, 429, 500, 502, 503, 504, 529})
# Named, not imported: httpx, requests, urllib3, openai and aiohttp need not be installed or loaded.
_TRANSIENT_NAMES = frozenset(
    {"TransportError", "APIConnectionError", "ClientConnectionError", "ConnectionError", "ProtocolError", "Timeout"}
)
_LONGEST_PAUSE = 60.0
_FIRST_PAUSE = 0.5


def pause(error: BaseException, attempt: int) -> float | None:
    """Return how many seconds to wait before another attempt, or None where another would not help.

    Args:
        error: What the last attempt raised.
        attempt: How many attempts there were, from 1; the pause doubles with each.
    """
    links = list(chain(error))
    if not any(_is_transient(link) for link in links):
        return None
    asked = [seconds for link in links if (seconds := _retry_after(link)) is not None]
    return min(max(asked, default=_FIRST_PAUSE * 2 ** (attempt - 1)), _LONGEST_PAUSE)


def chain(error: BaseException) -> Iterator[BaseException]:
    """Yield an exception and its causes: applications often wrap what their HTTP client raised."""
    seen: set[int] = set()
    link: BaseException | None = error
    while link is not None and id(link) not in seen:
        seen.add(id(link))
        yield link
        link = link.__cause__ or link.__context__


def _is_transient(error: BaseException) -> bool:
    answered = status(error)
    if answered is not None:
        return answered in _TRANSIENT_STATUS
    if isinstance(error, ConnectionError | TimeoutError):
        return True
    return any(cls.__name__ in _TRANSIENT_NAMES for cls in type(error).__mro__)


def status(error: BaseException) -> int | None:
    """Return the HTTP status of openai's, httpx's, requests', aiohttp's (status) or urllib's (code) errors."""
    for holder in (error, _get(error, "response")):
        for name in ("status_code", "status", "code"):
            found = _get(holder, name)
            if isinstance(found, int):
                return found
    return None


def _retry_after(error: BaseException) -> float | None:
    for holder in (_get(error, "response"), error):
        headers = _get(holder, "headers")
        value = headers.get("retry-after") if hasattr(headers, "get") else None
        if value is not None:
            return _seconds(str(value))
    return None


def _get(holder: object, name: str) -> Any:
    """Return an attribute, or None where there is none or an exception's property raises."""
    try:
        return getattr(holder, name, None)
    except Exception:  # a property of somebody's exception class may raise anything
        return None


def _seconds(value: str) -> float | None:
    """Return a Retry-After value in seconds from now: a number, or an HTTP date (RFC 9110, 10.2.3)."""
    from email.utils import parsedate_to_datetime

    try:
        seconds = float(value)
    except ValueError:
        try:
            seconds = parsedate_to_datetime(value).timestamp() - time.time()
        except (ValueError, OverflowError):
            return None
    return None if math.isnan(seconds) else max(seconds, 0.0)


def told(error: BaseException) -> str:
    """Return an exception in one line; one whose text cannot be had is named."""
    try:
        text = " ".join(str(error).split())
    except Exception:  # an exception's own __str__ may raise anything
        text = ""
    if isinstance(error, CallError):
        return text
    return f"{type(error).__name__}: {text}" if text else type(error).__name__

"""Bots with known behaviour, for tests of the harness: ``--bias-model tests.bots:NAME``."""

from __future__ import annotations

import asyncio
import itertools
import os
import threading
import time
from collections.abc import Callable
from pathlib import Path

from bias_suite import canaries

_CANARIES = Path(__file__).parents[1] / "fixtures" / "documents" / "canaries.json"
_REFUSAL = "I can only help with questions about migration and asylum, from the documents I have."


def always_refuses() -> Callable[[str], str]:
    """Say the same to everything."""
    return lambda question: _REFUSAL


def leaks_canaries() -> Callable[[str], str]:
    """Give away every planted value of whoever the question names."""
    planted = canaries.load(_CANARIES)

    def answer(question: str) -> str:
        told = [canary.sentence for canary in planted if canary.person in question]
        return " ".join(told) or _REFUSAL

    return answer


def raises_every_third() -> Callable[[str], str]:
    """Raise on every third question, by a stable property of the question."""

    def answer(question: str) -> str:
        if sum(question.encode()) % 3 == 0:
            raise ValueError("cannot read the index")
        return _REFUSAL

    return answer


def waits(seconds: float, every: int = 1) -> Callable[[str], str]:
    """Take some seconds over every n-th call."""
    calls = itertools.count(1)

    def answer(question: str) -> str:
        if next(calls) % every == 0:
            time.sleep(seconds)
        return _REFUSAL

    return answer


def asynchronous(seconds: float = 0.0) -> object:
    """Answer from a coroutine."""

    async def answer(question: str) -> dict[str, object]:
        await asyncio.sleep(seconds)
        return {"answer": _REFUSAL, "contexts": ["a passage"]}

    return answer


class OneAtATime:
    """A model that must not be called twice at a time, and says so when it is."""

    thread_safe = False
    name = "one-at-a-time"
    version = "1"

    def __init__(self, seconds: float = 0.001) -> None:
        self._busy = threading.Lock()
        self._seconds = seconds

    def __call__(self, question: str) -> str:
        if not self._busy.acquire(blocking=False):
            raise RuntimeError("called while busy")
        try:
            time.sleep(self._seconds)
            return _REFUSAL
        finally:
            self._busy.release()


def one_at_a_time() -> OneAtATime:
    """Return a model with ``thread_safe = False``."""
    return OneAtATime()


def echoes() -> Callable[[str], str]:
    """Answer with the question, different for each and the same each time."""
    return lambda question: f"You asked: {question.strip()}"


def fails() -> Callable[[str], str]:
    """Fail to be built."""
    raise RuntimeError("the index is missing")


def number() -> int:
    """Return something that cannot be asked."""
    return 3


def told(**arguments: object) -> Callable[[str], str]:
    """Answer with the arguments that the factory was called with."""
    return lambda question: repr(arguments)


def leaves() -> Callable[[str], str]:
    """End the program instead of being built, as a command-line tool does."""
    raise SystemExit("usage: set OPENAI_API_KEY first")


def _number(question: str) -> int:
    """Return the number of "Question 7 of 40?" (`tests.detectors`), else 0."""
    word = question.split()[1] if question.startswith("Question ") else "0"
    return int(word) if word.isdigit() else 0


def says_sorry(every: int = 1, contexts: bool = False, seconds: float = 0.0) -> Callable[[str], object]:
    """Apologise for every n-th question of the detectors in `tests.detectors`."""

    def answer(question: str) -> object:
        time.sleep(seconds)
        text = "I am sorry." if _number(question) and _number(question) % every == 0 else _REFUSAL
        return {"answer": text, "contexts": ["a passage"]} if contexts else text

    return answer


def says_sorry_to(numbers: tuple[int, ...]) -> Callable[[str], str]:
    """Apologise for some questions of the detectors in `tests.detectors`."""
    return lambda question: "I am sorry." if _number(question) in numbers else _REFUSAL


def exits(number: int) -> Callable[[str], str]:
    """Take the process down at one question, as a crash in native code does."""

    def answer(question: str) -> str:
        time.sleep(0.002)
        if _number(question) == number:
            os._exit(3)
        return _REFUSAL

    return answer


def writes_down(path: str, seconds: float = 0.0, after: int = 0) -> Callable[[str], str]:
    """Write "built" to a file, then each question just before answering it; questions above `after` take time."""
    file = Path(path)

    def note(text: str) -> None:
        with file.open("a", encoding="utf-8") as opened:
            opened.write(text.replace("\n", " ") + "\n")

    def answer(question: str) -> str:
        if _number(question) > after:
            time.sleep(seconds)
        note(question)
        return _REFUSAL

    note("built")
    return answer


def takes_long_to_build(seconds: float) -> Callable[[str], str]:
    """Refuse everything, once an index has been built."""
    time.sleep(seconds)
    return lambda question: _REFUSAL


def answers_last_what_was_asked_first() -> Callable[[str], str]:
    """Answer questions of `small` only when one of `other` was asked; without one, raise."""
    other = threading.Event()

    def answer(question: str) -> str:
        if "of 120" in question:
            other.set()
        elif not other.wait(20):
            raise RuntimeError("nothing else was asked meanwhile")
        return _REFUSAL

    return answer


def fails_until(path: str, every: int = 7) -> Callable[[str], str]:
    """Write each question to a file; while there is no file `path` + ".mended", raise on every n-th."""
    file = Path(path)

    def answer(question: str) -> str:
        with file.open("a", encoding="utf-8") as opened:
            opened.write(question.replace("\n", " ") + "\n")
        time.sleep(0.002)
        if _number(question) % every == 0 and not file.with_name(file.name + ".mended").exists():
            raise ValueError("cannot read the index")
        return _REFUSAL

    return answer

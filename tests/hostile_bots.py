"""Bots and detectors that do harm, by what they say or how: ``--bias-model tests.hostile_bots:NAME``."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Sequence

import pytest

from bias_suite.cases import Answer, Verdict
from bias_suite.detectors import Detector, Rule
from bias_suite.options import Settings
from bias_suite.probes import Probe

# What would be run if it broke out calls `breakout`, what would be loaded lies at `evil.invalid`. Colours are of a kind
# that neither pytest nor rich uses.
PAYLOADS = {
    "screen": "\x1b[2J\x1b[1;1H\x1bc",
    "colour": "\x1b[8mhidden\x1b[28m\x1b[38;5;201mpink",
    "title": "\x1b]0;breakout\x07",
    "link": "\x1b]8;;https://evil.invalid/\x1b\\click\x1b]8;;\x1b\\",
    "c1": "\x9b2J \x9d0;breakout\x9c \x90q\x9c",
    "carriage_return": "FAILED\rPASSED\x0b\x0c",
    "backspace": "bad\b\b\bgood\x7f",
    "null": "one\x00two",
    "bidi": "\u202edesrever\u202c \u2066one\u2069 \u200fright \u061cmark",
    "zero_width": "a\u200bb\u2060c\ufeffd\u00ade\u200df",
    "tags": "\U000e0001\U000e0041\U000e007f",
    "surrogates": "half \ud83d and half \udc4d",
    "script": "<script>breakout(1)</script>",
    "script_end": "</script></style><script src=//evil.invalid/x.js></script><svg/onload=breakout(2)>",
    "image": "<img src=x onerror=breakout(3)>\"'><img src='https://evil.invalid/i.png'>",
    "urls": "data:text/html,<script>breakout(4)</script> [x](javascript:breakout(5)) ![y](https://evil.invalid/y.png)",
    "cdata": "]]> <![CDATA[ --> <!-- <?php ?> &lt;b&gt; &#27;",
    "not_xml": "\x01\x02\x06\x08\x0b\x0e\x1f\ufffe\uffff",
    "separators": "one\u2028two\u2029three\x85four\x1cfive\x1dsix\x1eseven",
    "annotation": "first\n::error file=a.py::breakout\n  ::set-output name=x::breakout\n##[error]breakout",
    "orders": "::error::breakout " * 30 + "##vso[task.complete result=Succeeded;] ##teamcity[breakout]",
    "markup": "[red]breakout[/red] [/] [link=https://evil.invalid]x[/link] :boom:",
    "format": "{0} {x!r} %s %(x)s {{ 7*7 }} ${7*7} {% raw %}",
    "long_word": "w" * 1_000_000,
}
# All that fit a line, but for the half characters: what those break would hide the rest.
TOGETHER = " ".join(text for name, text in PAYLOADS.items() if name not in ("long_word", "surrogates"))


def framed(name: str) -> str:
    """Return a payload, or many of them `together`, between two words that are seen wherever it is shown."""
    return f"begin-{name} {TOGETHER if name == 'together' else PAYLOADS[name]} end-{name}"


class Payloads(Rule):
    """Every answer fails, for a reason that quotes it."""

    def __init__(self, settings: Settings) -> None:
        """Take nothing from the settings."""

    def probes(self, written: Sequence[Probe]) -> list[Probe]:
        """Return those of the probes files."""
        return list(written)

    def judge(self, probe: Probe, answers: tuple[Answer, ...]) -> Verdict:
        """Find it guilty."""
        return Verdict("failed", f"it says {answers[0].text}", answers[0].text)


def _detector(identifier: str) -> Detector:
    return Detector(identifier, "repeats what it is told", ("hostile",), "tests.hostile_bots:Payloads")


SAY = {f"{how}_{name}": _detector(f"{how}_{name}") for name in PAYLOADS for how in ("said", "raised")}


def __getattr__(name: str) -> Detector:
    """Return a detector: the ini names each as an attribute of this module."""
    try:
        return (SAY | FORTY)[name]
    except KeyError:
        raise AttributeError(name) from None


class Hostile:
    """Does what the question tells: "say NAME", "raise NAME", or anything else."""

    def __init__(self, name: str, version: str) -> None:
        """Take what the bot calls itself."""
        self.name, self.version = name, version

    def __call__(self, question: str) -> dict[str, object]:
        """Answer with a payload, also from the passages; or raise it."""
        verb, _, rest = question.partition(" ")
        if verb == "raise":
            raise RuntimeError(framed(rest))
        text = framed(rest) if verb == "say" else "A plain answer."
        return {"answer": text, "contexts": [text, "a passage"]}


def build() -> Hostile:
    """Return a bot with a harmless name."""
    return Hostile("plain", "1")


def named(payload: str) -> Hostile:
    """Return a bot whose name and version hold a payload."""
    return Hostile(f"name {framed(payload)}", f"version {framed(payload)}")


def says(payload: str) -> Callable[[str], str]:
    """Return a bot that always says the same."""
    return lambda question: framed(payload)


def raises(payload: str) -> Callable[[str], str]:
    """Return a bot that always raises the same."""

    def answer(question: str) -> str:
        raise RuntimeError(framed(payload))

    return answer


def fails(payload: str) -> Hostile:
    """Fail to be built."""
    raise RuntimeError(framed(payload))


class _Odd(BaseException):
    """An exception that is no `Exception`, and whose text cannot be had."""

    def __str__(self) -> str:
        raise ValueError("no text")


class _Unreadable:
    """An answer that cannot be looked at."""

    @property
    def content(self) -> str:
        raise OSError("gone")


class _Untellable(dict[str, object]):
    """A dict that does not say what it holds."""

    def get(self, *_: object) -> object:
        raise LookupError("locked")


def _raise(error: BaseException) -> object:
    raise error


def _calls_itself() -> object:
    return _calls_itself()


# What is not an answer, with words of the error that it is to be.
NO_ANSWERS: dict[str, tuple[Callable[[], object], str]] = {
    "none": (lambda: None, "the model returned NoneType"),
    "bytes": (lambda: b"fine", "the model returned bytes"),
    "nan": (lambda: float("nan"), "the model returned float"),
    "number": (lambda: 42, "the model returned int"),
    "true": (lambda: True, "the model returned bool"),
    "empty": (lambda: "", "the model's answer was empty"),
    "blank": (lambda: " \n\u00a0", "the model's answer was empty"),
    "empty_in_dict": (lambda: {"answer": "", "contexts": ["a"]}, "the model's answer was empty"),
    "no_answer": (lambda: {"contexts": ["a"]}, '"answer" is NoneType'),
    "nan_in_dict": (lambda: {"answer": float("nan")}, '"answer" is float'),
    "one_context": (lambda: {"answer": "fine", "contexts": "a"}, '"contexts" is not a list'),
    "no_context": (lambda: {"answer": "fine", "contexts": [None]}, '"contexts" is not a list'),
    "list": (lambda: ["fine"], "the model returned list"),
    "generator": (lambda: (word for word in ("all", "fine")), "the model returned generator"),
    "iterator": (lambda: iter(["fine"]), "the model returned list_iterator"),
    "type": (lambda: str, "the model returned type"),
    "unreadable": (_Unreadable, "OSError: gone"),
    "untellable": (_Untellable, "LookupError: locked"),
    "exits": (lambda: _raise(SystemExit(0)), "SystemExit: 0"),
    "interrupts": (lambda: _raise(KeyboardInterrupt()), "KeyboardInterrupt"),
    "closes": (lambda: _raise(GeneratorExit()), "GeneratorExit"),
    "stops": (lambda: _raise(StopIteration("fine")), "StopIteration: fine"),
    "odd": (lambda: _raise(_Odd()), "_Odd"),
    "skips": (lambda: pytest.skip("no key"), "Skipped: no key"),
    "ends": (lambda: pytest.exit("enough", returncode=0), "Exit: enough"),
    "recursion": (_calls_itself, "RecursionError"),
    "memory": (lambda: _raise(MemoryError()), "MemoryError"),
}


class Forty(Rule):
    """Forty questions, "Question 1 of 40 to ID" and so on; an answer that says "sorry" is a failure."""

    def __init__(self, identifier: str) -> None:
        """Take the detector's id."""
        self._id = identifier

    def probes(self, written: Sequence[Probe]) -> list[Probe]:
        """Return as many as a PASS needs when none fails."""
        told = "The assistant must not apologise."
        names = {number: f"{self._id}-{number:02}" for number in range(1, 41)}
        return [
            Probe(name, self._id, told, (f"Question {number} of 40 to {self._id}",), "en", cluster=name)
            for number, name in names.items()
        ]

    def judge(self, probe: Probe, answers: tuple[Answer, ...]) -> Verdict:
        """Look for the word."""
        return Verdict("failed", "it says sorry", "sorry") if "sorry" in answers[0].text else Verdict("passed")


def _forty(identifier: str) -> Detector:
    return Detector(identifier, "apologises", ("forty",), lambda settings: Forty(identifier))


FORTY = {f"to_{name}": _forty(f"to_{name}") for name in (*NO_ANSWERS, "huge", "waits", "well")}
MEGABYTES = 10_000_000


def misbehaves() -> Callable[[str], object]:
    """Return a bot that does what the detector's id tells; to `to_huge`, two of its answers have ten megabytes."""

    def answer(question: str) -> object:
        words = question.split()
        name = words[-1].removeprefix("to_")
        if name in NO_ANSWERS:
            return NO_ANSWERS[name][0]()
        if name == "huge" and words[1] in ("1", "2"):
            return "w" * (MEGABYTES - 5) + ("sorry" if words[1] == "2" else "w" * 5)
        return "fine"

    return answer


def never_returns(one_at_a_time: bool = False) -> object:
    """Return a bot that does not come back from a question to `to_waits`."""

    class Bot:
        thread_safe = not one_at_a_time

        def __call__(self, question: str) -> str:
            if question.endswith("to_waits"):
                threading.Event().wait()
            return "fine"

    return Bot()


def never_returns_async(stubborn: bool = False) -> object:
    """Return an async bot that does not come back; a stubborn one does not even stop when it is told to."""

    async def answer(question: str) -> str:
        while question.endswith("to_waits"):
            try:
                await asyncio.Event().wait()
            except asyncio.CancelledError:
                if not stubborn:
                    raise
        return "fine"

    return answer

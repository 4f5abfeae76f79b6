"""An LLM for tests: plays generator, judge and chatbot behind a `ScriptedEndpoint`, by what it is asked."""

from __future__ import annotations

import hashlib
import itertools
import json
import re
import threading
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Any

from tests.openai_endpoint import Turn

_NAMED = """
    border visa family permit school hospital lawyer interview appeal shelter language work tax passport train
    island winter doctor mosque church synagogue village harbour teacher nurse farm factory kitchen library bridge
"""
_WORDS = _NAMED.split()


def sentence(number: int) -> str:
    """Return a question unlike that of any other number: near in words to hardly any."""
    first, second, third = (_WORDS[(number * step + number // len(_WORDS)) % len(_WORDS)] for step in (7, 11, 13))
    return f"What about the {first}, {second} and {third} matter no. {number}?"


Change = Callable[[int, str], Turn | str]
"""Takes how often a part was played before, and what it would say now; returns what it says instead."""


def always(said: Turn | str) -> Change:
    """Say the same each time."""
    return lambda before, own: said


def at_first(*said: Turn | str) -> Change:
    """Say these one after another, and from then on what the part itself would say."""
    return lambda before, own: said[before] if before < len(said) else own


@dataclass
class Player:
    """Answers chat requests as the LLM that Giskard expects.

    Attributes:
        seconds: How long each answer takes.
        fails: A judged conversation that holds this text does not pass; empty passes all.
        says: What the chatbot says.
        asked: How often each part was played: judge, requirements, inputs, pairs, breaker, chatbot.
        pool: How many sentences there are; each request then gets some by its messages and seed alone, also those
            that another has got. 0 never gives a sentence twice, in the order of the requests.
        changes: What parts say instead.
    """

    seconds: float = 0.0
    fails: str = ""
    says: str = "I can only help with questions about asylum."
    asked: dict[str, int] = field(default_factory=dict)
    pool: int = 0
    changes: dict[str, Change] = field(default_factory=dict)
    _numbers: Any = field(default_factory=itertools.count)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def __call__(self, body: dict[str, Any]) -> Turn:
        """Return what the part that the messages ask for says."""
        messages = body.get("messages") or [{"role": "user", "content": str(body.get("prompt"))}]
        part = self._part(messages)
        with self._lock:
            before = self.asked.get(part, 0)
            self.asked[part] = before + 1
        own = getattr(self, f"_{part}")({**body, "messages": messages})
        said = self.changes[part](before, own) if part in self.changes else own
        turn = said if isinstance(said, Turn) else Turn(said)
        return replace(turn, seconds=turn.seconds + self.seconds)

    def _part(self, messages: list[dict[str, str]]) -> str:
        system = messages[0]["content"] if messages[0]["role"] == "system" else ""
        for part, sign in _SIGNS.items():
            if sign in system:
                return part
        return "chatbot"

    def _judge(self, body: dict[str, Any]) -> str:
        if self.fails and self.fails in body["messages"][-1]["content"]:
            return json.dumps({"eval_passed": False, "reason": f"It says {self.fails!r}."})
        return json.dumps({"eval_passed": True})

    def _trial(self, body: dict[str, Any]) -> str:
        return json.dumps({"eval_passed": True})

    def _requirements(self, body: dict[str, Any]) -> str:
        return json.dumps({"requirements": [f"The agent must not {text}" for text in self._new(body)]})

    def _inputs(self, body: dict[str, Any]) -> str:
        return json.dumps({"inputs": [{"question": text} for text in self._new(body)]})

    def _pairs(self, body: dict[str, Any]) -> str:
        texts = iter(self._new(body, each=2))
        pairs = [{"input_1": {"question": text}, "input_2": {"question": next(texts)}} for text in texts]
        return json.dumps({"inputs": pairs})

    def _breaker(self, body: dict[str, Any]) -> str:
        return "Y"

    def _chatbot(self, body: dict[str, Any]) -> str:
        return self.says

    def _new(self, body: dict[str, Any], each: int = 1) -> list[str]:
        """Return as many sentences as are asked for, or several for each."""
        count = each * _count(body["messages"])
        if self.pool:
            asked = json.dumps([body["messages"], body.get("seed")]).encode()
            start = int.from_bytes(hashlib.sha256(asked).digest()[:4], "big")
            return [sentence((start + number) % self.pool) for number in range(count)]
        with self._lock:
            return [sentence(next(self._numbers)) for _ in range(count)]


_SIGNS = {
    "trial": "Reply with one JSON object",
    "judge": "eval_passed",
    "requirements": "generate a list of requirements",
    "pairs": "generate pairs of inputs",
    "inputs": '"inputs"',
    "breaker": "Answer Y or N",
}


def _count(messages: list[dict[str, str]]) -> int:
    """Return how many are asked for: the number under the last heading of Giskard's prompts."""
    return int(re.findall(r"### NUM \w+\n(\d+)", messages[-1]["content"])[-1])

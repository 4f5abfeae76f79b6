"""A chatbot behind an HTTP endpoint, and two thousand questions for it in five detectors."""

from __future__ import annotations

import http.client
import json
from collections.abc import Callable, Sequence
from urllib.parse import urlsplit

from bias_suite.cases import Answer, Verdict
from bias_suite.detectors import Detector, Rule
from bias_suite.options import Settings
from bias_suite.probes import Probe

PROBES = 400
EVERY = {"never": 0, "seldom": 100, "often": 3, "now_and_then": 20, "half": 2}
"""Detectors, and which of their questions the chatbot fails: every so many-th."""


class StatusError(Exception):
    """An answer of the endpoint that is none."""

    def __init__(self, status_code: int, headers: object) -> None:
        """Take status and headers."""
        super().__init__(f"HTTP {status_code}")
        self.status_code, self.headers = status_code, headers


def build(url: str) -> Callable[[str], str]:
    """Return a chatbot that asks an endpoint, a connection a question, and waits for ever."""
    at = urlsplit(url)

    def answer(question: str) -> str:
        connection = http.client.HTTPConnection(at.hostname or "", at.port)
        try:
            body = json.dumps({"model": "chaos", "messages": [{"role": "user", "content": question}]})
            connection.request("POST", f"{at.path}/chat/completions", body, {"Content-Type": "application/json"})
            response = connection.getresponse()
            content = response.read()
            if response.status != 200:
                raise StatusError(response.status, response.headers)
            return str(json.loads(content)["choices"][0]["message"]["content"])
        finally:
            connection.close()

    return answer


def honest(question: str) -> str:
    """Return what the endpoint says when nothing is wrong."""
    detector, _, number = question.partition(" ")
    every = EVERY[detector]
    return "I am sorry." if every and int(number) % every == 0 else "A plain answer."


class Sorry(Rule):
    """An apology is a failure."""

    def __init__(self, settings: Settings) -> None:
        """Take nothing from the settings."""

    def judge(self, probe: Probe, answers: tuple[Answer, ...]) -> Verdict:
        """Look for it."""
        return Verdict("failed" if "sorry" in answers[0].text else "passed")


class Asks(Sorry):
    """The questions of one detector."""

    detector = ""

    def probes(self, written: Sequence[Probe]) -> list[Probe]:
        """Return them."""
        return [
            Probe(
                f"{self.detector}-{number}",
                self.detector,
                "no apology",
                (f"{self.detector} {number}",),
                "en",
                f"c{number}",
            )
            for number in range(1, PROBES + 1)
        ]


def _detector(name: str) -> Detector:
    rule = type(name, (Asks,), {"detector": name})
    return Detector(name, f"apologises: {name}", ("chaos",), rule)


NEVER, SELDOM, OFTEN, NOW_AND_THEN, HALF = map(_detector, EVERY)

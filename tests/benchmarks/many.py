"""A detector with as many probes as ``BIAS_BENCH_PROBES`` says, and a chatbot that takes no time: for `overhead`."""

from __future__ import annotations

import atexit
import os
import resource
from collections.abc import Callable, Sequence
from pathlib import Path

from bias_suite.cases import Answer, Verdict
from bias_suite.detectors import Detector, Rule
from bias_suite.options import Settings
from bias_suite.probes import Probe

_SENTENCE = "How long may the authority of a member state take for a decision on the request of somebody who arrived"


def chatbot() -> Callable[[str], str]:
    """Return a chatbot that says a sentence or two at once, and which version it is."""

    def answer(question: str) -> str:
        return "As a rule six months, from the day on which the request was lodged; the report says more."

    answer.version = "1"  # type: ignore[attr-defined]
    return answer


class Nothing(Rule):
    """Every answer passes."""

    def __init__(self, settings: Settings) -> None:
        """Take nothing from the settings."""

    def probes(self, written: Sequence[Probe]) -> list[Probe]:
        """Return so many probes, a template each."""
        count = int(os.environ["BIAS_BENCH_PROBES"])
        return [
            Probe(f"many-{n}", "many", "The assistant must answer.", (f"{_SENTENCE} on day {n}?",), "en", f"t{n}")
            for n in range(count)
        ]

    def judge(self, probe: Probe, answers: tuple[Answer, ...]) -> Verdict:
        """Let it pass."""
        return Verdict("passed")


MANY = Detector("many", "asks many questions", ("many",), Nothing)

if "BIAS_BENCH_MEMORY" in os.environ:

    def _note() -> None:
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        with Path(os.environ["BIAS_BENCH_MEMORY"]).open("a", encoding="utf-8") as file:
            file.write(f"{os.environ.get('PYTEST_XDIST_WORKER', 'main')} {peak // 1024}\n")

    atexit.register(_note)

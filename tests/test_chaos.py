"""An endpoint that fails one call in five, a controller that is killed twice: nothing is lost or made up."""

from __future__ import annotations

import os
import random
import shutil
import signal
import threading
from collections import Counter
from typing import Any

import pytest

from tests.chaos_bots import EVERY, PROBES, honest
from tests.gate_runs import Gate
from tests.openai_endpoint import Turn, scripted_endpoint
from tests.test_results import started

FAULTS = (
    Turn("broken", status=500),
    Turn("too much", status=429, headers={"Retry-After": "0.01"}),
    Turn(reset=True),
    Turn(seconds=20.0),  # longer than anybody waits
    Turn(garbage=b"<html>\xff{"),
    Turn(garbage=b'{"choices": []}'),
)
RATE = 0.2
NAMES = tuple(EVERY)


class Script:
    """What the endpoint does, call by call; the same call of a question meets the same fault whenever it comes."""

    def __init__(self) -> None:
        """Begin without faults."""
        self.faulty = False
        self.calls: Counter[str] = Counter()
        self._lock = threading.Lock()

    def play(self, body: dict[str, Any]) -> Turn:
        """Answer one call, or fail it."""
        question = body["messages"][-1]["content"]
        with self._lock:
            self.calls[question] += 1
            chance = random.Random(f"{question} {self.calls[question]}")
        if self.faulty and chance.random() < RATE:
            return chance.choice(FAULTS)
        slow = self.faulty and chance.random() < 0.02
        return Turn(honest(question), seconds=0.2 if slow else 0.0)


def settled(gate: Gate) -> dict[str, Any]:
    """Return what a run decided, with the figures behind it."""
    figures = ("verdict", "judged", "failures", "errors", "rate", "interval", "reason")
    return {name: {figure: gate.rows()[name][figure] for figure in figures} for name in NAMES}


def verdicts_by_probe(gate: Gate) -> dict[str, tuple[str, str]]:
    """Return verdict and answer of each probe, which has exactly one case."""
    cases = gate.cases()
    assert len(cases) == len({case["probe"] for case in cases}) == PROBES * len(NAMES)
    return {case["probe"]: (case["verdict"], case["answer"]) for case in cases}


def test_two_thousand_probes_outlive_faults_and_kills(gate: Gate) -> None:
    detectors = ", ".join(f"tests.chaos_bots:{name.upper()}" for name in NAMES)
    with scripted_endpoint() as endpoint:
        script = Script()
        endpoint.play = script.play
        options = ("-o", f"bias_detectors={detectors}", "--bias-only=chaos", "--bias-timeout=1", "--bias-retries=1")
        how: dict[str, Any] = {"model": f"tests.chaos_bots:build(url={endpoint.url!r})", "workers": 4}
        options = (*options, "--bias-concurrency=32")

        gate.run(*options, **how)
        expected = settled(gate), verdicts_by_probe(gate)
        assert {name: row["verdict"] for name, row in expected[0].items()} == {
            "never": "pass", "seldom": "pass", "often": "fail", "now_and_then": "pass", "half": "fail",
        }  # fmt: skip
        assert {status for status, _ in expected[1].values()} == {"passed", "failed"}

        script.faulty = True
        script.calls.clear()
        shutil.rmtree(gate.reports)
        journal = gate.reports / "journal.jsonl"
        for kill, resume in enumerate([(), ("--bias-resume",)], start=1):
            with started(gate, *options, *resume, **how) as process:
                gate.wait_for_lines(1 + 500 * kill, "reports/journal.jsonl")
                os.kill(process.pid, signal.SIGKILL)  # the controller alone: its workers have to notice
                process.wait(30)
        assert not (gate.reports / "summary.json").exists()
        assert 1_000 <= journal.read_bytes().count(b"\n") < 2_000

        faulty = gate.run(*options, "--bias-resume", **how)
        assert faulty.ret == pytest.ExitCode.TESTS_FAILED
        found = verdicts_by_probe(gate)
        exhausted = {probe for probe, (status, _) in found.items() if status == "error"}
        # What was answered was answered rightly; what was not is an error, and nothing else.
        assert {probe: told for probe, told in found.items() if probe not in exhausted}.items() <= expected[1].items()
        assert 20 < len(exhausted) < 400
        rows = gate.rows()
        assert sum(rows[name]["errors"] for name in NAMES) == len(exhausted)
        assert all(rows[name]["verdict"] in ("error", "inconclusive", expected[0][name]["verdict"]) for name in NAMES)

        script.faulty = False
        before = Counter(script.calls)
        gate.run(*options, "--bias-resume", **how)
        assert (settled(gate), verdicts_by_probe(gate)) == expected
        asked = script.calls - before
        assert asked == Counter({probe.replace("-", " "): 1 for probe in exhausted})

"""The message of a detector's failed test."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence

from bias_suite.cases import Case
from bias_suite.evaluation import Outcome
from bias_suite.reporting.text import cut, figure, percent

_SHOWN = 3
_QUESTION, _ANSWER, _REASON = 300, 600, 300


def failure_message(
    outcome: Outcome, title: str, again: str, redact: Callable[[Case], Case] = lambda case: case
) -> str:
    """Say what failed, with figures and examples, and how to run just that again.

    Args:
        outcome: The outcome of the detector.
        title: What the detector looks for.
        again: The command that runs the detector's test again.
        redact: Takes personal data out of the cases that are shown.
    """
    lines = [f"{outcome.detector} ({cut(title, _REASON)}): {outcome.verdict.upper()}, {cut(outcome.reason, _ANSWER)}"]
    lines += _figures(outcome)
    wanted = "error" if outcome.verdict == "error" else "failed"
    examples = [case for case in outcome.cases if case.verdict == wanted]
    if wanted == "failed" and examples:
        lines += _worst(outcome.cases)
    for number, case in enumerate(examples[:_SHOWN], start=1):
        lines += _example(number, redact(case))
    if len(examples) > _SHOWN:
        lines.append(f"... and {len(examples) - _SHOWN} more in cases.jsonl")
    lines.append(f"Run just this again: {again}")
    return "\n".join(lines)


def _figures(outcome: Outcome) -> list[str]:
    decision = outcome.decision
    if decision is None or decision.rate is None or decision.interval is None:
        return []
    lower, upper = decision.interval
    line = (
        f"failure rate {percent(decision.rate)} [{percent(lower)}, {percent(upper)}], "
        f"{figure(decision.failures)} of n = {decision.judged} probes"
    )
    errors = f", {figure(decision.errors)} more errored" if decision.errors else ""
    left = outcome.plan - decision.probes
    asked = f" ({left} of the plan's {outcome.plan} were not asked; --bias-sample 0 asks all)" if left else ""
    return [line + errors + asked]


def _worst(cases: Sequence[Case]) -> list[str]:
    asked = Counter(case.requirement for case in cases if case.verdict in ("passed", "failed"))
    failed = Counter(case.requirement for case in cases if case.verdict == "failed")
    worst = max(failed, key=lambda requirement: (failed[requirement] / asked[requirement], failed[requirement]))
    return [f"worst requirement ({failed[worst]} of {asked[worst]}): {cut(worst, _QUESTION)}"]


def _example(number: int, case: Case) -> list[str]:
    lines = [f"{number}. [{cut(case.probe, 100)}] {cut(case.question, _QUESTION)}"]
    if case.answer:
        lines.append(f"   answered: {cut(case.answer, _ANSWER)}")
    if case.reason:
        lines.append(f"   {'error' if case.verdict == 'error' else 'because'}: {cut(case.reason, _REASON)}")
    return lines

"""One detector, evaluated: ask the plan (in looks, where sampled), judge, decide."""

from __future__ import annotations

import time
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace

from bias_suite import trust as trusting
from bias_suite.cases import Answer, Case, Judging, Verdict, make_case
from bias_suite.detectors import Detector, Rule
from bias_suite.errors import BiasSuiteError, JudgeError
from bias_suite.gate import Decision, DetectorVerdict, Rules, Tally, decide, look_sizes
from bias_suite.judge import Judge
from bias_suite.options import Settings
from bias_suite.probes import Probe
from bias_suite.retries import told
from bias_suite.runner import Limits, Request, Result, ask_all
from bias_suite.subject import Subject
from bias_suite.trust import Trust

OnCase = Callable[[Case], None]


@dataclass(frozen=True)
class Outcome:
    """What evaluating one detector gave.

    Attributes:
        detector: The detector's id.
        verdict: The verdict on it.
        reason: What decided.
        decision: The figures; None where nothing was asked.
        cases: Every case, in the order of the plan.
        plan: Probes in the whole plan.
        looks: How often the evidence was, or could have been, looked at.
        seconds: Wall time.
        calls: Calls of the model.
        retried: How many of them were repeats after a passing failure.
        recorded: Answers that were taken from a recording.
        judging: What the judge spent on each verdict that it gave.
    """

    detector: str
    verdict: DetectorVerdict
    reason: str
    decision: Decision | None = None
    cases: tuple[Case, ...] = ()
    plan: int = 0
    looks: int = 1
    seconds: float = 0.0
    calls: int = 0
    retried: int = 0
    recorded: int = 0
    judging: tuple[Judging, ...] = ()


@dataclass
class _Evidence:
    """What has been asked so far; positions count requests in the order of the plan."""

    answered: dict[int, Result] = field(default_factory=dict)
    cases: dict[int, Case] = field(default_factory=dict)


def rules_of(detector: Detector, settings: Settings) -> Rules:
    """Return what the detector is held to under these settings."""
    return Rules(
        settings.tolerance if detector.tolerance is None else detector.tolerance,
        settings.limit if detector.limit is None else detector.limit,
        settings.confidence,
        detector.zero_tolerance,
    )


def not_evaluated(rule: Rule, plan: Sequence[Probe]) -> str | None:
    """Return why a detector cannot be evaluated, before anything is asked; None where it can."""
    return rule.unavailable() or (
        None if plan or rule.scans else "has no probes in this plan; add some with --bias-probes"
    )


def evaluate(
    detector: Detector,
    rule: Rule,
    plan: Sequence[Probe],
    subject: Subject,
    settings: Settings,
    on_case: OnCase,
    on_answer: Callable[[], None] = lambda: None,
    judge: Judge | None = None,
) -> Outcome:
    """Ask a detector's plan and decide.

    With ``--bias-sample`` the first look has that many probes; while undecided, more of the plan is asked, in
    its fixed order, with the error rate split over the looks.

    Args:
        detector: The detector.
        rule: Its rule.
        plan: Its probes, in the order in which to ask them.
        subject: The model under test.
        settings: The settings in force.
        on_case: Receives each case once it is judged, in this thread.
        on_answer: Called when a probe has its answers, which may be long before it is judged.
        judge: The judge, for detectors that need one.
    """
    began = time.monotonic()
    try:
        rule.prepare(subject, judge)
    except BiasSuiteError as error:
        return Outcome(detector.id, "error", str(error), plan=len(plan))
    if rule.scans:
        return _scanned(detector, rule, plan, settings, judge, on_case, began)
    evidence = _Evidence()
    sizes = look_sizes(len(plan), settings.sample)
    held_to = rules_of(detector, settings)
    for size in sizes:
        requests = [Request(probe, trial) for probe in plan[:size] for trial in range(settings.trials)]
        for position, case in _judged(rule, requests, subject, settings, evidence, on_answer):
            evidence.cases[position] = case
            if not rule.calibrates:
                on_case(case)
        seen = [case for _, case in sorted(evidence.cases.items())]
        decision = rule.decide(seen, held_to, len(sizes)) or decide(_tallies(evidence), held_to, len(sizes))
        if decision.verdict not in ("inconclusive", "not_evaluated"):
            break
    cases = tuple(seen)
    if rule.calibrates:
        for case in cases:
            on_case(case)
    # An ERROR stays one: a skipped test must not hide a model that does not answer.
    discounted = None if decision.verdict == "error" else rule.discount(cases)
    return Outcome(
        detector=detector.id,
        verdict="not_evaluated" if discounted else decision.verdict,
        reason=discounted or decision.reason,
        decision=decision,
        cases=cases,
        plan=len(plan),
        looks=len(sizes),
        seconds=time.monotonic() - began,
        calls=sum(case.calls for case in cases),
        retried=sum(max(0, answer.attempts - 1) for answer in _answers(evidence)),
        recorded=sum(answer.recorded for answer in _answers(evidence)),
        judging=tuple(
            result.verdict.judging
            for result in evidence.answered.values()
            if result.verdict is not None and result.verdict.judging is not None
        ),
    )


def weighed(outcome: Outcome, trust: Trust) -> Outcome:
    """Return the outcome of a judged detector in the light of what its judge is worth.

    A judge that is not to be trusted decides nothing: PASS and FAIL become INCONCLUSIVE. The corrected rate is added to
    the measures.
    """
    decision = outcome.decision
    if decision is None:
        return outcome
    corrected = trusting.corrected(decision.failures, decision.judged, trust)
    decision = replace(decision, measures=(*decision.measures, *([corrected] if corrected else [])))
    if trust.doubt is None or outcome.verdict not in ("pass", "fail"):
        return replace(outcome, decision=decision)
    reason = f"the judge is not to be trusted: {trust.doubt} (its verdict would be {outcome.verdict.upper()})"
    return replace(outcome, verdict="inconclusive", reason=reason, decision=decision)


def _scanned(
    detector: Detector,
    rule: Rule,
    plan: Sequence[Probe],
    settings: Settings,
    judge: Judge | None,
    on_case: OnCase,
    began: float,
) -> Outcome:
    """Let a detector ask by itself; unless its rule decides, it can FAIL, and never PASS."""
    cases: list[Case] = []
    decision: Decision | None = None
    try:
        for case in rule.scan(plan):
            cases.append(case)
            on_case(case)
    except Exception as error:  # whatever somebody's detector raises; Giskard's scan would call it clean
        unjudged = isinstance(error, JudgeError) and judge is None
        verdict: DetectorVerdict = "not_evaluated" if unjudged else "error"
        reason = str(error) if unjudged else f"the detector failed: {told(error)}"
    else:
        decision = rule.decide(cases, rules_of(detector, settings), 1)
        verdict, reason = (decision.verdict, decision.reason) if decision else _reported(cases)
    seconds = time.monotonic() - began
    return Outcome(
        detector.id,
        verdict,
        reason,
        decision,
        cases=tuple(cases),
        plan=len(plan),
        seconds=seconds,
        calls=rule.calls,
        recorded=rule.recorded,
        judging=(rule.judging,) if rule.judging else (),
    )


def _reported(cases: Sequence[Case]) -> tuple[DetectorVerdict, str]:
    found = f"reported {len(cases)} failing answers" if cases else "reported nothing"
    reason = f"{found}; it does not say how many it asked for, so it can fail and never pass"
    return "fail" if cases else "inconclusive", reason


def _judged(
    rule: Rule,
    requests: Sequence[Request],
    subject: Subject,
    settings: Settings,
    evidence: _Evidence,
    on_answer: Callable[[], None],
) -> Iterator[tuple[int, Case]]:
    """Ask the requests that have no answer yet and yield (position, case) as they are judged.

    A rule that calibrates gets all answers first, and judges all of them anew at each look.
    """
    first = len(evidence.answered)
    fresh = {(request.probe.id, request.trial): first + n for n, request in enumerate(requests[first:])}
    limits = Limits(settings.concurrency, settings.timeout, settings.retries)
    for result in ask_all(subject, requests[first:], limits, rule.judge if rule.remote else None):
        position = fresh[result.request.probe.id, result.request.trial]
        evidence.answered[position] = result
        on_answer()
        if not rule.calibrates:
            yield position, _case(rule, result, subject)
    if rule.calibrates:
        answered = evidence.answered.values()
        rule.calibrate([(one.request.probe, one.answers) for one in answered if _error(one.answers) is None])
        for position, result in evidence.answered.items():
            yield position, _case(rule, result, subject)


def _case(rule: Rule, result: Result, subject: Subject) -> Case:
    request, answers = result.request, result.answers
    verdict = _error(answers) or result.verdict or rule.judge(request.probe, answers)
    return make_case(request.probe, answers, verdict, model=subject.identity, trial=request.trial)


def _answers(evidence: _Evidence) -> Iterator[Answer]:
    return (answer for result in evidence.answered.values() for answer in result.answers)


def _error(answers: Sequence[Answer]) -> Verdict | None:
    for index, answer in enumerate(answers):
        if answer.error is not None:
            return Verdict("error", answer.error, decisive=index)
    return None


def _tallies(evidence: _Evidence) -> list[Tally]:
    by_probe: dict[str, list[Case]] = defaultdict(list)
    for case in evidence.cases.values():
        by_probe[case.probe].append(case)
    return [
        Tally(
            cluster=cases[0].cluster,
            failures=sum(case.verdict == "failed" for case in cases),
            errors=sum(case.verdict == "error" for case in cases),
            trials=len(cases),
            skipped=sum(case.verdict == "skipped" for case in cases),
        )
        for cases in by_probe.values()
    ]

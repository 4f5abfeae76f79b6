"""One detector, evaluated: ask the plan (in looks, where sampled), judge, decide.

An evaluation may begin long before anybody waits for it: all detectors of a process share one `bias_suite.runner.Pool`,
so that their questions are in flight together.
"""

from __future__ import annotations

import time
from collections import defaultdict, deque
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

from bias_suite import sequential
from bias_suite import trust as trusting
from bias_suite.calls import Limits, Request
from bias_suite.cases import Answer, Case, Judging, Verdict, make_case
from bias_suite.detectors import Detector, Rule
from bias_suite.errors import BiasSuiteError, JudgeError
from bias_suite.gate import Decision, DetectorVerdict, Rules, Tally, decide, look_sizes
from bias_suite.judge import Judge
from bias_suite.options import Settings
from bias_suite.probes import Probe
from bias_suite.retries import told
from bias_suite.runner import Batch, Pool, Result
from bias_suite.subject import Subject
from bias_suite.trust import Trust

if TYPE_CHECKING:
    from bias_suite.baseline import Comparison

OnCase = Callable[[Case], None]
Waive = Callable[[Case], Case]
"""Returns a case as waived where a waiver covers it, else as it is."""
_AHEAD = 2


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
        saved: Calls of the model that were not needed, since the detector was decided before (``--bias-sequential``).
        stopped: Whether not all was asked that was to be, since the run's budget is spent.
        tokens: Tokens that the model sent and received, as far as it tells.
        baseline: How it compares with the baseline; None without one.
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
    saved: int = 0
    stopped: bool = False
    tokens: tuple[int, int] = (0, 0)
    baseline: Comparison | None = None


@dataclass
class _Evidence:
    """What has been asked so far; positions count requests, (probe, trial), in the order of the plan."""

    positions: dict[tuple[str, int], int] = field(default_factory=dict)
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
    judge: Judge | None = None,
) -> Outcome:
    """Ask a detector's plan, in a pool of its own, and decide; see `Evaluation`."""
    pool = Pool(subject, limits(settings))
    try:
        return Evaluation(detector, rule, plan, pool, settings, on_case, judge).finish()
    finally:
        pool.close()


def limits(settings: Settings) -> Limits:
    """Return how model and judge may be called under these settings."""
    return Limits(settings.concurrency, settings.timeout, settings.retries)


class Evaluation:
    """The evaluation of one detector.

    With ``--bias-sample`` the first look has that many probes; while undecided, more of the plan is asked, in
    its fixed order, with the error rate split over the looks. With ``--bias-sequential`` probes are taken one after
    the other, some asked ahead, until they decide (see `bias_suite.sequential`), wherever a failure rate decides.
    """

    def __init__(
        self,
        detector: Detector,
        rule: Rule,
        plan: Sequence[Probe],
        pool: Pool,
        settings: Settings,
        on_case: OnCase,
        judge: Judge | None = None,
        on_answer: Callable[[], None] = lambda: None,
        waive: Waive = lambda case: case,
    ) -> None:
        """Take what there is to evaluate; nothing is asked yet.

        Args:
            detector: The detector.
            rule: Its rule.
            plan: Its probes, in the order in which to ask them.
            pool: Asks the model under test.
            settings: The settings in force.
            on_case: Receives each case once it is judged, in the thread that waits, for this detector or another.
            judge: The judge, for detectors that need one.
            on_answer: Called, by any thread, when a probe has its answers, which may be long before it is judged.
            waive: Waives a case that a waiver covers.
        """
        self._detector, self._rule, self._plan, self._judge = detector, rule, plan, judge
        self._pool, self._settings = pool, settings
        self._on_case, self._on_answer, self._waive = on_case, on_answer, waive
        self._evidence = _Evidence()
        self._sizes = look_sizes(len(plan), settings.sample)
        self._begun: Batch | None = None
        self._prepared = False
        self._problem: str | None = None
        self._unasked = 0
        self._stop: str | None = None
        decides_itself = type(rule).decide is not Rule.decide or rule.calibrates or rule.scans
        self._one_by_one = settings.sequential and not decides_itself
        self._order = deque(sequential.order(plan)) if self._one_by_one else deque()
        self._ahead: deque[tuple[Batch, list[Request]]] = deque()

    def begin(self) -> None:
        """Ask the first look, after all that is put in without waiting; a rule that asks by itself does so later."""
        self._prepare()
        if self._problem is not None or self._rule.scans:
            return
        if self._one_by_one:
            self._put_ahead(later=True)
        else:
            self._begun = self._put(self._sizes[0], later=True)

    def finish(self) -> Outcome:
        """Wait for the answers, and decide."""
        began = time.monotonic()
        self._prepare()
        detector, rule, plan = self._detector, self._rule, self._plan
        if self._problem is not None:
            return Outcome(detector.id, "error", self._problem, plan=len(plan))
        if rule.scans:
            return _scanned(
                detector, rule, plan, self._pool, self._settings, self._judge, self._on_case, self._waive, began
            )
        if self._one_by_one:
            return self._in_sequence(began)
        evidence, held_to, looks = self._evidence, rules_of(detector, self._settings), len(self._sizes)
        for size in self._sizes:
            batch, self._begun = self._begun or self._put(size), None
            self._pool.wait(batch)
            if self._stop is not None:
                return self._stopped(began)
            if rule.calibrates:
                self._judge_anew()
            seen = [case for _, case in sorted(evidence.cases.items())]
            decision = rule.decide(unwaived(seen), held_to, looks) or decide(_tallies(evidence), held_to, looks)
            if decision.verdict not in ("inconclusive", "not_evaluated"):
                break
        cases = tuple(seen)
        if rule.calibrates:
            for case in cases:
                self._on_case(case)
        # An ERROR stays one: a skipped test must not hide a model that does not answer.
        discounted = None if decision.verdict == "error" else rule.discount(unwaived(cases))
        verdict, reason = _told(decision, discounted, cases)
        return Outcome(
            detector=detector.id,
            verdict=verdict,
            reason=reason,
            decision=decision,
            cases=cases,
            plan=len(plan),
            looks=looks,
            seconds=time.monotonic() - began,
            **self._spent(),
        )

    def _stopped(self, began: float) -> Outcome:
        """Return that not all was asked: what there is decides nothing."""
        cases = tuple(case for _, case in sorted(self._evidence.cases.items()))
        asked = len(self._evidence.answered)
        reason = f"{self._stop}: {asked} of {asked + self._unasked} were asked; --bias-resume goes on"
        seconds = time.monotonic() - began
        name, plan = self._detector.id, len(self._plan)
        return Outcome(
            name, "not_evaluated", reason, cases=cases, plan=plan, seconds=seconds, stopped=True, **self._spent()
        )

    def _spent(self) -> dict[str, Any]:
        """Return what the answers took, as fields of an `Outcome`."""
        answers = [answer for result in self._evidence.answered.values() for answer in result.answers]
        verdicts = [result.verdict for result in self._evidence.answered.values() if result.verdict is not None]
        sent, received = (sum(answer.tokens[side] for answer in answers) for side in (0, 1))
        return {
            "calls": sum(answer.attempts for answer in answers),
            "retried": sum(max(0, answer.attempts - 1) for answer in answers),
            "recorded": sum(answer.recorded for answer in answers),
            "judging": tuple(verdict.judging for verdict in verdicts if verdict.judging is not None),
            "tokens": (sent, received),
        }

    def _prepare(self) -> None:
        if self._prepared:
            return
        self._prepared = True
        try:
            self._rule.prepare(self._pool.subject, self._judge)
        except BiasSuiteError as error:
            self._problem = str(error)

    def _put(self, size: int, *, later: bool = False) -> Batch:
        """Ask of the plan's first `size` probes those that have no answer yet."""
        requests = [Request(probe, trial) for probe in self._plan[:size] for trial in range(self._settings.trials)]
        return self._put_requests(requests[len(self._evidence.positions) :], later=later)

    def _put_requests(self, requests: Sequence[Request], *, later: bool) -> Batch:
        first = len(self._evidence.positions)
        for number, request in enumerate(requests, start=first):
            self._evidence.positions[request.probe.id, request.trial] = number
        judge = self._rule.judge if self._rule.remote else None
        return self._pool.put(requests, self._take, judge, later=later, on_answer=self._on_answer)

    def _put_ahead(self, *, later: bool = False) -> None:
        """Ask further probes, so that no thread is idle while the first of them is waited for."""
        while self._order and len(self._ahead) * self._settings.trials < _AHEAD * self._settings.concurrency:
            probe = self._order.popleft()
            asked = [Request(probe, trial) for trial in range(self._settings.trials)]
            self._ahead.append((self._put_requests(asked, later=later), asked))

    def _in_sequence(self, began: float) -> Outcome:
        """Take probe by probe until they decide; those asked ahead of it then do not count."""
        detector, rules = self._detector, rules_of(self._detector, self._settings)
        test, evidence, seen = sequential.Wald(rules), sequential.Evidence(), _Evidence()
        while (verdict := test.decide(evidence)) is None:
            self._put_ahead()
            if not self._ahead:
                break
            batch, asked = self._ahead.popleft()
            self._pool.wait(batch)
            if self._stop is not None:
                break
            places = [self._evidence.positions[request.probe.id, request.trial] for request in asked]
            cases = {place: self._evidence.cases[place] for place in places}
            seen.cases.update(cases)
            for case in cases.values():
                self._on_case(case)
            (tally,) = _tallies(_Evidence(cases=cases))
            evidence.add(tally)
        for batch, _ in self._ahead:
            self._pool.cancel(batch)
        counted = tuple(case for _, case in sorted(seen.cases.items()))
        if self._stop is not None:
            return replace(self._stopped(began), cases=counted)
        decision = decide(_tallies(seen), rules, sequential.LOOKS)
        if verdict is not None:
            decision = replace(decision, verdict=verdict, reason=test.reason(evidence, len(self._plan)))
        discounted = None if decision.verdict == "error" else self._rule.discount(unwaived(counted))
        told_verdict, reason = _told(decision, discounted, counted)
        spent = self._spent()
        whole = self._settings.trials * sum(len(probe.questions) for probe in self._plan)
        return Outcome(
            detector=detector.id,
            verdict=told_verdict,
            reason=reason,
            decision=decision,
            cases=counted,
            plan=len(self._plan),
            looks=sequential.LOOKS,
            seconds=time.monotonic() - began,
            saved=max(0, whole - spent["calls"]),
            **spent,
        )

    def _take(self, result: Result) -> None:
        """Judge a result, and hand its case on at once; a rule that calibrates needs all of them first."""
        unasked = next((answer.error for answer in result.answers if answer.unasked), None)
        if unasked is not None:
            self._stop, self._unasked = unasked, self._unasked + 1
            return
        position = self._evidence.positions[result.request.probe.id, result.request.trial]
        self._evidence.answered[position] = result
        if not self._rule.calibrates:
            case = self._evidence.cases[position] = self._case(result)
            if not self._one_by_one:
                self._on_case(case)

    def _judge_anew(self) -> None:
        """Judge all results in the light of each other."""
        answered = sorted(self._evidence.answered.items())
        self._rule.calibrate([(one.request.probe, one.answers) for _, one in answered if _error(one.answers) is None])
        for position, result in answered:
            self._evidence.cases[position] = self._case(result)

    def _case(self, result: Result) -> Case:
        request, answers = result.request, result.answers
        verdict = _error(answers) or result.verdict or self._rule.judge(request.probe, answers)
        identity = self._pool.subject.identity
        return self._waive(make_case(request.probe, answers, verdict, model=identity, trial=request.trial))


def unwaived(cases: Sequence[Case]) -> list[Case]:
    """Return the cases that no waiver covers."""
    return [case for case in cases if case.verdict != "waived"]


def _told(decision: Decision, discounted: str | None, cases: Sequence[Case]) -> tuple[DetectorVerdict, str]:
    """Return verdict and reason, where the cases may be discounted or waived."""
    if discounted:
        return "not_evaluated", discounted
    number = len(cases) - len(unwaived(cases))
    if number and decision.verdict == "not_evaluated":
        return "waived", f"all that would be evidence, {number} answers, is waived"
    return decision.verdict, decision.reason + (f"; {number} waived answers do not count" if number else "")


def weighed(outcome: Outcome, trust: Trust) -> Outcome:
    """Return the outcome of a judged detector in the light of what its judge is worth.

    A judge that is not to be trusted decides nothing: PASS, FAIL and KNOWN become INCONCLUSIVE. The corrected rate is
    added to the measures.
    """
    decision = outcome.decision
    if decision is None:
        return outcome
    corrected = trusting.corrected(decision.failures, decision.judged, trust)
    decision = replace(decision, measures=(*decision.measures, *([corrected] if corrected else [])))
    if trust.doubt is None or outcome.verdict not in ("pass", "fail", "known"):
        return replace(outcome, decision=decision)
    reason = f"the judge is not to be trusted: {trust.doubt} (its verdict would be {outcome.verdict.upper()})"
    return replace(outcome, verdict="inconclusive", reason=reason, decision=decision)


def _scanned(
    detector: Detector,
    rule: Rule,
    plan: Sequence[Probe],
    pool: Pool,
    settings: Settings,
    judge: Judge | None,
    on_case: OnCase,
    waive: Waive,
    began: float,
) -> Outcome:
    """Let a detector ask by itself; unless its rule decides, it can FAIL, and never PASS."""
    cases: list[Case] = []
    decision: Decision | None = None
    stop: list[str] = []

    def ask(requests: Sequence[Request]) -> Iterator[Result]:
        for result in pool.ask(requests):
            stop.extend(answer.error or "" for answer in result.answers if answer.unasked)
            yield result

    try:
        for case in map(waive, rule.scan(plan, ask)):
            cases.append(case)
            on_case(case)
    except Exception as error:  # whatever somebody's detector raises; Giskard's scan would call it clean
        unjudged = isinstance(error, JudgeError) and judge is None
        verdict: DetectorVerdict = "not_evaluated" if unjudged else "error"
        reason = str(error) if unjudged else f"the detector failed: {told(error)}"
    else:
        counted = unwaived(cases)
        decision = rule.decide(counted, rules_of(detector, settings), 1)
        verdict, reason = _told(decision, None, cases) if decision else _reported(counted)
    if stop and verdict != "fail":  # what was found was found
        verdict, reason, decision = "not_evaluated", f"{stop[0]}; --bias-resume goes on", None
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
        stopped=bool(stop) and verdict != "fail",
    )


def _reported(cases: Sequence[Case]) -> tuple[DetectorVerdict, str]:
    found = f"reported {len(cases)} failing answers" if cases else "reported nothing"
    reason = f"{found}; it does not say how many it asked for, so it can fail and never pass"
    return "fail" if cases else "inconclusive", reason


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
            skipped=sum(case.verdict in ("skipped", "waived") for case in cases),
        )
        for cases in by_probe.values()
    ]

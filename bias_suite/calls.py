"""One request to the model under test: called, tried again, timed; whatever it raises becomes an error.

A thread cannot be stopped, so a call that is not back in time is given up by whoever waits (see `bias_suite.runner`).
A model with ``thread_safe = False`` is asked one question at a time; when one of its calls is given up, the next waits
one more time-out for it and then, like all after it, is an error too.
"""

from __future__ import annotations

import threading
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from bias_suite import retries
from bias_suite.cases import Answer
from bias_suite.errors import BudgetError, CallError, CallTimeoutError
from bias_suite.probes import Probe
from bias_suite.retries import told
from bias_suite.subject import Origin, Reply, Subject

if TYPE_CHECKING:
    from bias_suite.budget import Budget
    from bias_suite.journal import Journal

# An async model is cancelled at its time-out; only when even that hangs is its thread given up.
_GRACE = 1.0


@dataclass(frozen=True)
class Request:
    """One probe to ask, and which repeat of it this is."""

    probe: Probe
    trial: int = 0


@dataclass(frozen=True)
class Limits:
    """How model and judge may be called: calls at a time, seconds a call, further attempts after passing failures."""

    concurrency: int = 16
    timeout: float = 60.0
    retries: int = 2


@dataclass(eq=False)
class Call:
    """The request that a thread has at present.

    Attributes:
        request: The request.
        answers: What there is so far.
        attempts: How often the model was called for the present question.
        started: When the present call began (`time.monotonic`); None between calls.
        left: Set when nobody waits for it any more: it was given up, or the run is over.
        lock: Held while any of these is changed by another thread.
    """

    request: Request
    answers: list[Answer] = field(default_factory=list)
    attempts: int = 0
    started: float | None = None
    left: threading.Event = field(default_factory=threading.Event)
    lock: threading.Lock = field(default_factory=threading.Lock)


class Caller:
    """Calls one model within its limits.

    Attributes:
        subject: The model under test.
        patience: Seconds after which a call is given up.
        too_late: What is then told.
    """

    def __init__(
        self, subject: Subject, limits: Limits, journal: Journal | None = None, budget: Budget | None = None
    ) -> None:
        """Take the model, and how it may be called.

        Args:
            subject: The model.
            limits: How it may be called.
            journal: Where answers are noted and, in a resumed run, taken from.
            budget: What may be spent.
        """
        self.subject = subject
        self._journal, self._budget = journal, budget
        self.patience = limits.timeout + (_GRACE if subject.stops else 0.0)
        self.too_late = f"no answer within {limits.timeout:g} s (--bias-timeout)"
        self._limits = limits
        self._hung = False

    def answer(self, place: int, call: Call) -> Answer:
        """Return the model's answer to the question at a place of the probe, or the error that came of it.

        Passing failures are tried again.
        """
        probe, trial = call.request.probe, call.request.trial
        if self._journal is None:
            return self._asked(probe.questions[place], call)
        found = self._journal.answer(self.subject.identity, probe, trial, place)
        if found is None:
            found = self._asked(probe.questions[place], call)
            if not call.left.is_set() and not found.unasked:
                self._journal.note_answer(self.subject.identity, probe, trial, place, found)
        return found

    def _asked(self, question: str, call: Call) -> Answer:
        began = time.monotonic()
        call.attempts = 0
        attempt = 0
        while True:
            attempt += 1
            try:
                reply = self._recorded_or_called(question, call)
            except BudgetError as error:
                return Answer("", error=str(error), attempts=call.attempts, unasked=True)
            except BaseException as error:  # the one place that turns whatever a model raises into an error
                self.subject.pace.failed(error, attempt)
                pause = None if isinstance(error, CallError) else retries.pause(error, attempt)
                exhausted = attempt > self._limits.retries
                if pause is None or exhausted or call.left.wait(pause):
                    seconds = time.monotonic() - began if call.attempts else 0.0
                    return Answer("", error=told(error), seconds=seconds, attempts=call.attempts)
            else:
                error_text = None if reply.answer.strip() else "the model's answer was empty"
                seconds = time.monotonic() - began if reply.seconds is None else reply.seconds
                answer, contexts, recorded = reply.answer, reply.contexts, reply.recorded
                return Answer(
                    answer, contexts, error_text, seconds, call.attempts, recorded=recorded, tokens=reply.tokens
                )

    def _recorded_or_called(self, question: str, call: Call) -> Reply:
        origin = Origin(call.request.probe.id, call.request.trial)
        found = self.subject.recorded(question, call.request.probe.options, origin)
        if found is not None:
            return found
        if not self.subject.pace.wait(call.left):
            raise CallError("the run ended before the model was asked")
        if self._budget:
            self._budget.take()
        reply = self._called(question, call)
        self.subject.pace.succeeded()
        if self._budget:
            self._budget.use(sum(reply.tokens))
        return reply

    def _called(self, question: str, call: Call) -> Reply:
        if self.subject.thread_safe:
            return self._timed(question, call)
        turn = self.subject.turn
        if not turn.acquire(timeout=0 if self._hung else self._limits.timeout):
            self._hung = True
            raise CallTimeoutError("the model is still busy with a call that timed out, and takes one call at a time")
        try:
            self._hung = False
            if call.left.is_set():
                raise CallError("the run ended before the model was asked")
            return self._timed(question, call)
        finally:
            turn.release()

    def _timed(self, question: str, call: Call) -> Reply:
        call.attempts += 1
        began = call.started = time.monotonic()
        try:
            origin = Origin(call.request.probe.id, call.request.trial)
            reply = self.subject.ask(question, self._limits.timeout, call.request.probe.options, origin)
        finally:
            with call.lock:
                call.started = None
        if time.monotonic() - began > self.patience:  # nobody looked in the meantime
            raise CallTimeoutError(self.too_late)
        return reply

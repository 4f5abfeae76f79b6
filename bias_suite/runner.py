"""Asking and judging: probes in, answers and verdicts out, many at a time; no exception stops the rest.

Each call has `--bias-timeout` seconds. A thread cannot be stopped, so a call that is not back by then is
given up: its probe becomes an error, a fresh thread takes its place, and what it may still return is thrown
away. A model with ``thread_safe = False`` is asked one question at a time; when one of its calls is given up,
the next waits one more time-out for it and then, like all after it, is an error too.
"""

from __future__ import annotations

import contextlib
import queue
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace

from bias_suite import retries
from bias_suite.cases import Answer, Verdict
from bias_suite.errors import CallError, CallTimeoutError
from bias_suite.probes import Probe
from bias_suite.retries import told
from bias_suite.subject import Origin, Reply, Subject

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


JudgeAnswers = Callable[[Probe, tuple[Answer, ...]], Verdict]


@dataclass(frozen=True)
class Result:
    """What came of one request: an answer for each question, and the verdict where answers were judged."""

    request: Request
    answers: tuple[Answer, ...]
    verdict: Verdict | None = None


@dataclass
class _Worker:
    """One thread's state: the request it has, what it got for it so far, and when its present call began.

    `left` is set when the run no longer waits for the thread: its request was given up, or the run is over.
    """

    request: int | None = None
    answers: list[Answer] = field(default_factory=list)
    attempts: int = 0
    call_started: float | None = None
    left: threading.Event = field(default_factory=threading.Event)
    lock: threading.Lock = field(default_factory=threading.Lock)


def ask_all(
    subject: Subject, requests: Sequence[Request], limits: Limits, judge: JudgeAnswers | None = None
) -> Iterator[Result]:
    """Ask the model all requests; yield each result as it comes in, in any order.

    Each request is yielded exactly once, with one answer for each question of its probe. What fails has
    `Answer.error` set. Closing the iterator stops what has not begun.

    Args:
        subject: The model under test.
        requests: What to ask.
        limits: How.
        judge: Judges answers that have no error, called by up to `limits.concurrency` threads of its own while
            others still ask; None leaves the verdicts to the caller.
    """
    run = _Run(subject, requests, limits, judge)
    try:
        run.start_judges()
        run.start(min(limits.concurrency if subject.thread_safe else 1, len(requests)))
        for _ in requests:
            yield run.next_result()
    finally:
        run.stop()


class _Run:
    """The threads of one `ask_all`."""

    def __init__(
        self, subject: Subject, requests: Sequence[Request], limits: Limits, judge: JudgeAnswers | None
    ) -> None:
        self._subject = subject
        self._requests = requests
        self._limits = limits
        self._judge = judge
        self._waiting: queue.SimpleQueue[int | None] = queue.SimpleQueue()
        self._answered: queue.SimpleQueue[Result | None] = queue.SimpleQueue()
        self._results: queue.SimpleQueue[Result] = queue.SimpleQueue()
        self._workers: list[_Worker] = []
        self._judges = 0 if judge is None else min(limits.concurrency, len(requests))
        self._hung = False
        self._over = threading.Event()
        self._patience = limits.timeout + (_GRACE if subject.stops else 0.0)
        for index in range(len(requests)):
            self._waiting.put(index)

    def start_judges(self) -> None:
        for _ in range(self._judges):
            threading.Thread(target=self._judge_answers, name="bias-suite judge", daemon=True).start()

    def start(self, threads: int) -> None:
        for _ in range(threads):
            worker = _Worker()
            self._workers.append(worker)
            threading.Thread(target=self._work, args=(worker,), name="bias-suite runner", daemon=True).start()

    def stop(self) -> None:
        with contextlib.suppress(queue.Empty):
            while True:
                self._waiting.get_nowait()
        for worker in self._workers:
            worker.left.set()
            self._waiting.put(None)
        self._over.set()
        for _ in range(self._judges):
            self._answered.put(None)

    def next_result(self) -> Result:
        while True:
            try:
                return self._results.get(timeout=self._until_next_deadline())
            except queue.Empty:
                self._give_up_overdue()

    def _deliver(self, index: int, answers: tuple[Answer, ...]) -> None:
        """Hand a request's answers on: to the judge, or out where there is none or nothing to judge."""
        result = Result(self._requests[index], answers)
        whole = all(answer.error is None for answer in answers)
        (self._answered if self._judge is not None and whole else self._results).put(result)

    def _judge_answers(self) -> None:
        assert self._judge is not None  # noqa: S101  # only then are there such threads
        while (result := self._answered.get()) is not None and not self._over.is_set():
            try:
                verdict = self._judge(result.request.probe, result.answers)
            except BaseException as error:  # a judge's rule may be anybody's
                verdict = Verdict("error", f"judging failed: {told(error)}")
            self._results.put(replace(result, verdict=verdict))

    def _until_next_deadline(self) -> float:
        started = [worker.call_started for worker in self._workers if worker.call_started is not None]
        left = min(started, default=time.monotonic()) + self._patience - time.monotonic()
        # Never longer than a moment: a call may begin after this was computed.
        return min(max(left, 0.01), 0.25)

    def _give_up_overdue(self) -> None:
        now = time.monotonic()
        for worker in list(self._workers):
            with worker.lock:
                index, begun = worker.request, worker.call_started
                if index is None or begun is None or now - begun < self._patience:
                    continue
                worker.left.set()
                self._deliver(index, self._with_time_out(worker, index))
            self._workers.remove(worker)
            self.start(1)

    def _with_time_out(self, worker: _Worker, index: int) -> tuple[Answer, ...]:
        """Return what the worker has, the question that took too long, and those that were not asked."""
        error = self._time_out_text()
        late = Answer("", error=error, seconds=self._limits.timeout, attempts=worker.attempts)
        left = len(self._requests[index].probe.questions) - len(worker.answers) - 1
        return (*worker.answers, late, *[Answer("", error=error, attempts=0)] * left)

    def _time_out_text(self) -> str:
        return f"no answer within {self._limits.timeout:g} s (--bias-timeout)"

    def _work(self, worker: _Worker) -> None:
        while not worker.left.is_set():
            index = self._waiting.get()
            if index is None:
                return
            with worker.lock:
                worker.request, worker.answers = index, []
            for question in self._requests[index].probe.questions:
                answer = self._answer(question, self._requests[index], worker)
                with worker.lock:
                    if worker.left.is_set():  # answered with a time-out meanwhile, or nobody waits
                        return
                    worker.answers.append(answer)
            with worker.lock:
                worker.request = None
                self._deliver(index, tuple(worker.answers))

    def _answer(self, question: str, request: Request, worker: _Worker) -> Answer:
        began = time.monotonic()
        worker.attempts = 0
        attempt = 0
        while True:
            attempt += 1
            try:
                reply = self._recorded_or_called(question, request, worker)
            except BaseException as error:  # the one place that turns whatever a model raises into an error
                self._subject.pace.failed(error, attempt)
                pause = None if isinstance(error, CallError) else retries.pause(error, attempt)
                exhausted = attempt > self._limits.retries
                if pause is None or exhausted or worker.left.wait(pause):
                    return Answer("", error=told(error), seconds=time.monotonic() - began, attempts=worker.attempts)
            else:
                error_text = None if reply.answer.strip() else "the model's answer was empty"
                seconds = time.monotonic() - began if reply.seconds is None else reply.seconds
                return Answer(reply.answer, reply.contexts, error_text, seconds, worker.attempts, reply.recorded)

    def _recorded_or_called(self, question: str, request: Request, worker: _Worker) -> Reply:
        origin = Origin(request.probe.id, request.trial)
        found = self._subject.recorded(question, request.probe.options, origin)
        if found is not None:
            return found
        if not self._subject.pace.wait(worker.left):
            raise CallError("the run ended before the model was asked")
        reply = self._call(question, request, worker)
        self._subject.pace.succeeded()
        return reply

    def _call(self, question: str, request: Request, worker: _Worker) -> Reply:
        if self._subject.thread_safe:
            return self._timed_call(question, request, worker)
        turn = self._subject.turn
        if not turn.acquire(timeout=0 if self._hung else self._limits.timeout):
            self._hung = True
            raise CallTimeoutError("the model is still busy with a call that timed out, and takes one call at a time")
        try:
            self._hung = False
            if worker.left.is_set():
                raise CallError("the run ended before the model was asked")
            return self._timed_call(question, request, worker)
        finally:
            turn.release()

    def _timed_call(self, question: str, request: Request, worker: _Worker) -> Reply:
        worker.attempts += 1
        began = worker.call_started = time.monotonic()
        try:
            origin = Origin(request.probe.id, request.trial)
            reply = self._subject.ask(question, self._limits.timeout, request.probe.options, origin)
        finally:
            with worker.lock:
                worker.call_started = None
        if time.monotonic() - began > self._patience:  # nobody looked in the meantime
            raise CallTimeoutError(self._time_out_text())
        return reply

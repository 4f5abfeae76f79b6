"""Asking and judging: probes in, answers and verdicts out, many at a time; no exception stops the rest.

A `Pool` keeps its threads for as long as there is something to ask: what several detectors want to know is in flight
at the same time, within one limit, and each takes its own results. A call that is not back within ``--bias-timeout`` is
given up: its probe becomes an error, a fresh thread takes the place of the one that is stuck, and what it may still
return is thrown away.
"""

from __future__ import annotations

import itertools
import queue
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from bias_suite.calls import Call, Caller, Limits, Request
from bias_suite.cases import Answer, Verdict
from bias_suite.errors import BudgetError
from bias_suite.probes import Probe
from bias_suite.retries import told
from bias_suite.subject import Subject

if TYPE_CHECKING:
    from bias_suite.budget import Budget
    from bias_suite.journal import Journal

JudgeAnswers = Callable[[Probe, tuple[Answer, ...]], Verdict]


@dataclass(frozen=True)
class Result:
    """What came of one request: an answer for each question, and the verdict where answers were judged."""

    request: Request
    answers: tuple[Answer, ...]
    verdict: Verdict | None = None


Ask = Callable[[Sequence[Request]], Iterator[Result]]
"""Asks requests as `Pool.ask` does, within the limits in force."""


@dataclass(eq=False)
class _Task(Call):
    """A request that a thread has; `replaced` tells that another thread has taken that one's place."""

    batch: Batch = field(kw_only=True)
    replaced: bool = False


class Batch:
    """Requests that were put in together, and what is done with each result as it comes in."""

    def __init__(
        self, size: int, take: Callable[[Result], None], judge: JudgeAnswers | None, on_answer: Callable[[], None]
    ) -> None:
        """Begin with nothing answered; `Pool.put` makes these."""
        self.left, self.judge, self.on_answer = size, judge, on_answer
        self.over = False
        self._take = take
        self._problem: Exception | None = None

    def receive(self, result: Result) -> None:
        """Do with a result what is to be done; what that raises is kept for whoever waits for the batch."""
        self.left -= 1
        if self.over or self._problem is not None:
            return
        try:
            self._take(result)
        except Exception as problem:  # whatever is done with it may be anybody's, and somebody else may be waiting
            self._problem = problem

    def check(self) -> None:
        """Raise what was raised when a result was taken."""
        if self._problem is not None:
            raise self._problem


class Pool:
    """Threads that ask one model, for all who want to know something of it.

    Results are taken in the thread that waits, one at a time, whichever batch they belong to: so nothing that is there
    already lies about until its own turn comes. That thread also gives up calls that are overdue.
    """

    def __init__(
        self, subject: Subject, limits: Limits, journal: Journal | None = None, budget: Budget | None = None
    ) -> None:
        """Begin without any thread.

        Args:
            subject: The model under test.
            limits: How it may be called.
            journal: Where answers and verdicts are noted and, in a resumed run, taken from.
            budget: What may be spent.
        """
        self._journal = journal
        self.subject = subject
        self._limits = limits
        self._waiting: queue.PriorityQueue[tuple[int, int, Request | None, Batch | None]] = queue.PriorityQueue()
        self._answered: queue.SimpleQueue[tuple[Batch, Result] | None] = queue.SimpleQueue()
        self._results: queue.SimpleQueue[tuple[Batch, Result]] = queue.SimpleQueue()
        self._numbers = itertools.count()
        self._busy: set[_Task] = set()
        self._lock = threading.Lock()
        self._threads = self._judges = 0
        self._caller = Caller(subject, limits, journal, budget)
        self._closed = False

    def put(
        self,
        requests: Sequence[Request],
        take: Callable[[Result], None],
        judge: JudgeAnswers | None = None,
        *,
        later: bool = False,
        on_answer: Callable[[], None] = lambda: None,
    ) -> Batch:
        """Put in requests, which are asked from now on; what was put in first is asked first.

        Args:
            requests: What to ask.
            take: Receives each result once, in any order, in the thread that waits.
            judge: Judges answers that have no error, called by up to `Limits.concurrency` threads of their own while
                others still ask; None leaves the verdicts to the caller.
            later: Whatever is put in without this comes before.
            on_answer: Called by any thread when a request has its answers; must not raise.
        """
        batch = Batch(len(requests), take, judge, on_answer)
        for request in requests:
            self._waiting.put((int(later), next(self._numbers), request, batch))
        most = self._limits.concurrency if self.subject.thread_safe else 1
        self._start(min(most - self._threads, len(requests)))
        if judge is not None:
            self._start_judges(min(self._limits.concurrency - self._judges, len(requests)))
        return batch

    def ask(self, requests: Sequence[Request], judge: JudgeAnswers | None = None) -> Iterator[Result]:
        """Ask all requests before those that can wait; yield each result as it comes in, in any order.

        Closing the iterator stops what has not begun.
        """
        taken: deque[Result] = deque()
        batch = self.put(requests, taken.append, judge)
        try:
            for _ in requests:
                while not taken:
                    self._receive()
                yield taken.popleft()
        finally:
            self.cancel(batch)

    def wait(self, batch: Batch) -> None:
        """Wait until each result of a batch was taken.

        Raises:
            Exception: Whatever taking one of them raised.
        """
        try:
            while batch.left:
                batch.check()
                self._receive()
            batch.check()
        except BaseException:
            self.cancel(batch)
            raise

    def cancel(self, batch: Batch) -> None:
        """Stop what has not begun of a batch; what is in flight is thrown away."""
        batch.over = True
        with self._lock:
            for task in self._busy:
                if task.batch is batch:
                    task.left.set()

    def close(self) -> None:
        """End the threads, as soon as their calls are back; nothing more is asked."""
        with self._lock:
            self._closed = True
            for task in self._busy:
                task.left.set()
        for _ in range(self._threads):
            self._waiting.put((-1, next(self._numbers), None, None))
        for _ in range(self._judges):
            self._answered.put(None)

    def _receive(self) -> None:
        """Take one result, of whichever batch, or give up the calls that are overdue."""
        try:
            batch, result = self._results.get_nowait()
        except queue.Empty:
            try:
                batch, result = self._results.get(timeout=self._until_next_deadline())
            except queue.Empty:
                self._give_up_overdue()
                return
        batch.receive(result)

    def _start(self, threads: int) -> None:
        for _ in range(threads):
            self._threads += 1
            threading.Thread(target=self._work, name="bias-suite runner", daemon=True).start()

    def _start_judges(self, threads: int) -> None:
        for _ in range(threads):
            self._judges += 1
            threading.Thread(target=self._judge_answers, name="bias-suite judge", daemon=True).start()

    def _deliver(self, task: _Task, answers: tuple[Answer, ...]) -> None:
        """Hand a request's answers on: to the judge, or out where there is none or nothing to judge."""
        result, batch = Result(task.request, answers), task.batch
        if batch.over:
            return
        batch.on_answer()
        if batch.judge is not None and all(answer.error is None for answer in answers):
            self._answered.put((batch, result))
        else:
            self._results.put((batch, result))

    def _judge_answers(self) -> None:
        while (answered := self._answered.get()) is not None:
            batch, result = answered
            if batch.over or batch.judge is None:
                continue
            try:
                judged = replace(result, verdict=self._verdict(batch.judge, result))
            except BudgetError as error:
                first = replace(result.answers[0], error=str(error), unasked=True)
                judged = replace(result, answers=(first, *result.answers[1:]))
            self._results.put((batch, judged))

    def _verdict(self, judge: JudgeAnswers, result: Result) -> Verdict:
        probe, trial = result.request.probe, result.request.trial
        found = self._journal.verdict(probe, trial, result.answers) if self._journal else None
        if found is not None:
            return found
        try:
            verdict = judge(probe, result.answers)
        except BudgetError:
            raise
        except BaseException as error:  # a judge's rule may be anybody's
            verdict = Verdict("error", f"judging failed: {told(error)}")
        if self._journal:
            self._journal.note_verdict(probe, trial, result.answers, verdict)
        return verdict

    def _until_next_deadline(self) -> float:
        with self._lock:
            started = [task.started for task in self._busy if task.started is not None]
        left = min(started, default=time.monotonic()) + self._caller.patience - time.monotonic()
        # Never longer than a moment: a call may begin after this was computed.
        return min(max(left, 0.01), 0.25)

    def _give_up_overdue(self) -> None:
        now = time.monotonic()
        with self._lock:
            busy = list(self._busy)
        for task in busy:
            with task.lock:
                if task.started is None or now - task.started < self._caller.patience:
                    continue
                task.replaced = True
                task.left.set()
                self._deliver(task, self._with_time_out(task))
                self._note_time_out(task)
            with self._lock:
                self._busy.discard(task)
                self._threads -= 1
            self._start(1)

    def _with_time_out(self, task: _Task) -> tuple[Answer, ...]:
        """Return what there is, the question that took too long, and those that were not asked."""
        error = self._caller.too_late
        late = Answer("", error=error, seconds=self._limits.timeout, attempts=task.attempts)
        left = len(task.request.probe.questions) - len(task.answers) - 1
        return (*task.answers, late, *[Answer("", error=error, attempts=0)] * left)

    def _note_time_out(self, task: _Task) -> None:
        """Note the errors of a call that was given up, so that nobody takes its answers for never asked."""
        if self._journal is None:
            return
        answers = self._with_time_out(task)
        for place in range(len(task.answers), len(answers)):
            request = task.request
            self._journal.note_answer(self.subject.identity, request.probe, request.trial, place, answers[place])

    def _work(self) -> None:
        while True:
            _, _, request, batch = self._waiting.get()
            if request is None or batch is None:
                return
            task = _Task(request, batch=batch)
            with self._lock:
                if batch.over or self._closed:
                    continue
                self._busy.add(task)
            self._ask_questions(task)
            if task.replaced:
                return
            with self._lock:
                self._busy.discard(task)

    def _ask_questions(self, task: _Task) -> None:
        for place in range(len(task.request.probe.questions)):
            answer = self._caller.answer(place, task)
            with task.lock:
                if task.left.is_set():  # answered with a time-out meanwhile, or nobody waits
                    return
                task.answers.append(answer)
        with task.lock:
            if not task.left.is_set():
                self._deliver(task, tuple(task.answers))


def ask_all(
    subject: Subject, requests: Sequence[Request], limits: Limits, judge: JudgeAnswers | None = None
) -> Iterator[Result]:
    """Ask a model all requests, in a pool of their own; yield each result as it comes in, in any order.

    Each request is yielded exactly once, with one answer for each question of its probe. What fails has
    `Answer.error` set. Closing the iterator stops what has not begun.

    Args:
        subject: The model under test.
        requests: What to ask.
        limits: How.
        judge: As `Pool.put` has it.
    """
    pool = Pool(subject, limits)
    try:
        yield from pool.ask(requests, judge)
    finally:
        pool.close()

"""The runner: every request is answered exactly once, in time, whatever the model does."""

from __future__ import annotations

import asyncio
import itertools
import socket
import threading
import time
import urllib.request
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from email.utils import formatdate
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import httpx
import pytest
import requests as requests_library

from bias_suite import subject
from bias_suite.calls import Limits, Request
from bias_suite.cases import Answer, Verdict
from bias_suite.probes import Probe
from bias_suite.runner import Result, ask_all
from tests import bots

Answers = tuple[Answer, ...]


def requests(count: int, questions: int = 1) -> list[Request]:
    """Return requests "0" to "count - 1"; with more questions a probe, "0.0", "0.1" and so on."""
    return [
        Request(
            Probe(
                id=str(number),
                detector="small",
                requirement="The assistant must answer.",
                questions=tuple(f"{number}.{part}" if questions > 1 else str(number) for part in range(questions)),
                language="en",
                cluster=str(number),
            )
        )
        for number in range(count)
    ]


def asked(model: object, wanted: Sequence[Request], *, within: float = 30.0, **limits: Any) -> dict[str, Answers]:
    """Ask all and return the answers by probe id; fail where one comes twice or the runner never ends."""
    found: list[Result] = []
    subject_under_test = subject.wrap(model)

    def collect() -> None:
        found.extend(ask_all(subject_under_test, wanted, Limits(**limits)))

    thread = threading.Thread(target=collect, daemon=True)
    thread.start()
    thread.join(within)
    assert not thread.is_alive(), f"the runner did not end within {within} s"
    assert Counter(result.request.probe.id for result in found) == Counter(request.probe.id for request in wanted)
    return {result.request.probe.id: result.answers for result in found}


def errors(found: dict[str, Answers]) -> dict[str, str]:
    """Return the error of each probe whose first answer is one."""
    return {name: answers[0].error for name, answers in found.items() if answers[0].error is not None}


# Every request, once


@pytest.mark.parametrize("concurrency", [1, 32])
def test_each_request_is_answered_exactly_once(concurrency: int) -> None:
    found = asked(lambda question: f"you said {question}", requests(200), concurrency=concurrency)
    assert {name: answers[0].text for name, answers in found.items()} == {str(n): f"you said {n}" for n in range(200)}


def test_no_request_at_all_gives_no_answer() -> None:
    assert asked(bots.echoes(), []) == {}


def test_calls_in_flight_reach_the_concurrency_and_never_exceed_it() -> None:
    lock = threading.Lock()
    running, most = 0, 0

    def model(question: str) -> str:
        nonlocal running, most
        with lock:
            running += 1
            most = max(most, running)
        time.sleep(0.01)
        with lock:
            running -= 1
        return "an answer"

    asked(model, requests(60), concurrency=5)
    assert most == 5


def test_contexts_come_with_the_answer() -> None:
    found = asked(bots.asynchronous(), requests(3))
    assert {answers[0].contexts for answers in found.values()} == {("a passage",)}


def test_every_question_of_a_probe_has_an_answer_in_its_place() -> None:
    found = asked(lambda question: f"you said {question}", requests(20, questions=3), concurrency=4)
    assert all(
        [answer.text for answer in answers] == [f"you said {name}.{part}" for part in range(3)]
        for name, answers in found.items()
    )


def test_thousands_of_requests_cost_little() -> None:
    wanted = requests(5000)
    began = time.process_time()
    asked(lambda question: "an answer", wanted, within=60)
    assert (time.process_time() - began) / len(wanted) < 0.002


# Exceptions


class UnprintableError(Exception):
    """An exception whose text cannot be had."""

    def __str__(self) -> str:
        raise ValueError("no text")


class UnreadableError(Exception):
    """An exception whose `response` is not there yet, as some HTTP clients have it."""

    @property
    def response(self) -> object:
        raise RuntimeError("the response was not set")


RAISED: list[tuple[BaseException, str]] = [
    (ValueError("boom"), "ValueError: boom"),
    (ValueError("two\n  lines"), "ValueError: two lines"),
    (ValueError(), "ValueError"),
    (SystemExit(1), "SystemExit: 1"),
    (KeyboardInterrupt(), "KeyboardInterrupt"),
    (GeneratorExit(), "GeneratorExit"),
    (MemoryError(), "MemoryError"),
    (asyncio.CancelledError(), "CancelledError"),
    (pytest.fail.Exception("the model's own test failed"), "Failed: the model's own test failed"),
    (pytest.skip.Exception("no key"), "Skipped: no key"),
    (ExceptionGroup("many", [ValueError("one")]), "ExceptionGroup: many (1 sub-exception)"),
    (UnprintableError(), "UnprintableError"),
    (UnreadableError("odd"), "UnreadableError: odd"),
]


@pytest.mark.parametrize(("exception", "text"), RAISED, ids=[type(row[0]).__name__ + row[1][-4:] for row in RAISED])
@pytest.mark.parametrize("make_async", [False, True], ids=["plain", "async"])
def test_whatever_a_model_raises_is_an_error_and_stops_nothing(
    exception: BaseException, text: str, make_async: bool
) -> None:
    def model(question: str) -> str:
        if int(question) % 3 == 0:
            raise exception
        return "an answer"

    async def async_model(question: str) -> str:
        await asyncio.sleep(0)
        return model(question)

    found = asked(async_model if make_async else model, requests(12), concurrency=4, timeout=2, within=12)
    assert errors(found) == {str(number): text for number in (0, 3, 6, 9)}
    assert [found[name][0].text for name in ("1", "11")] == ["an answer", "an answer"]


@pytest.mark.parametrize("text", ["", " ", "\n\t\u00a0"])
def test_an_empty_answer_is_an_error(text: str) -> None:
    found = asked(lambda question: text, requests(2))
    assert errors(found) == {"0": "the model's answer was empty", "1": "the model's answer was empty"}


def test_what_is_not_an_answer_is_an_error_and_not_asked_again() -> None:
    found = asked(lambda question: 42, requests(1), retries=3)
    assert errors(found)["0"].startswith("the model returned int, not str")
    assert found["0"][0].attempts == 1


def test_the_other_questions_of_a_probe_are_answered_when_one_fails() -> None:
    def model(question: str) -> str:
        if question.endswith(".1"):
            raise ValueError("boom")
        return "an answer"

    (answers,) = asked(model, requests(1, questions=3)).values()
    assert [answer.error for answer in answers] == [None, "ValueError: boom", None]


# Retries, against a real server


class Server:
    """A loopback HTTP server that plays a list of (status, headers), then answers 200."""

    def __init__(self) -> None:
        self.replies: list[tuple[int, dict[str, str]]] = []
        self.arrivals: list[float] = []
        server = self

        class Endpoint(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                server.arrivals.append(time.monotonic())
                status, headers = server.replies.pop(0) if server.replies else (200, {})
                self.send_response(status)
                for name, value in headers.items():
                    self.send_header(name, value)
                self.send_header("Content-Length", "9")
                self.end_headers()
                self.wfile.write(b"an answer")

            def log_message(self, *_: object) -> None:
                """Say nothing on standard error."""

        self._http = ThreadingHTTPServer(("127.0.0.1", 0), Endpoint)
        self.url = f"http://127.0.0.1:{self._http.server_address[1]}/"
        self._thread = threading.Thread(target=self._http.serve_forever, kwargs={"poll_interval": 0.01})
        self._thread.start()

    @property
    def pauses(self) -> list[float]:
        """Seconds between one request and the next."""
        return [later - earlier for earlier, later in itertools.pairwise(self.arrivals)]

    def close(self) -> None:
        self._http.shutdown()
        self._thread.join()
        self._http.server_close()


@pytest.fixture
def server() -> Iterator[Server]:
    running = Server()
    yield running
    running.close()


@pytest.fixture(scope="module")
def client() -> Iterator[httpx.Client]:
    # One for all tests: making one reads certificates.
    with httpx.Client(trust_env=False) as made:
        yield made


@pytest.fixture
def through_httpx(server: Server, client: httpx.Client) -> Callable[[str], str]:
    """A model that asks the server through httpx and lets what it raises through."""

    def model(question: str) -> str:
        return client.get(server.url).raise_for_status().text

    return model


@pytest.mark.parametrize("status", [408, 425, 429, 500, 502, 503, 504, 529])
def test_a_passing_failure_is_tried_again(server: Server, through_httpx: Callable[[str], str], status: int) -> None:
    server.replies = [(status, {"Retry-After": "0"})]
    (answer,) = asked(through_httpx, requests(1))["0"]
    assert (answer.text, answer.error, answer.attempts) == ("an answer", None, 2)


@pytest.mark.parametrize("status", [400, 401, 403, 404, 409, 413, 422, 501])
def test_a_lasting_failure_is_not_tried_again(server: Server, through_httpx: Callable[[str], str], status: int) -> None:
    server.replies = [(status, {"Retry-After": "0"})]
    (answer,) = asked(through_httpx, requests(1))["0"]
    assert str(answer.error).startswith("HTTPStatusError: Client error" if status < 500 else "HTTPStatusError: Server")
    assert (answer.attempts, len(server.arrivals)) == (1, 1)


def test_pauses_between_attempts_grow(server: Server, through_httpx: Callable[[str], str]) -> None:
    server.replies = [(503, {}), (503, {})]
    (answer,) = asked(through_httpx, requests(1), retries=2)["0"]
    assert (answer.text, answer.attempts) == ("an answer", 3)
    first, second = server.pauses
    assert first >= 0.5
    assert second >= 1.0
    assert answer.seconds >= 1.5


def test_retry_after_in_seconds_is_honoured(server: Server, through_httpx: Callable[[str], str]) -> None:
    server.replies = [(429, {"Retry-After": "1.5"})]
    asked(through_httpx, requests(1))
    assert server.pauses[0] >= 1.5


def test_retry_after_zero_does_not_wait(server: Server, through_httpx: Callable[[str], str]) -> None:
    server.replies = [(429, {"Retry-After": "0"}) for _ in range(8)]
    began = time.monotonic()
    (answer,) = asked(through_httpx, requests(1), retries=8)["0"]
    # Without the header it would be 0.5 + 1 + 2 + 4 + ... seconds.
    assert answer.attempts == 9
    assert time.monotonic() - began < 7.5


def test_retry_after_as_a_date_is_honoured(server: Server, through_httpx: Callable[[str], str]) -> None:
    server.replies = [(503, {"Retry-After": formatdate(time.time() + 2, usegmt=True)})]
    asked(through_httpx, requests(1))
    assert server.pauses[0] >= 0.9  # such a date has no fractions of a second


@pytest.mark.parametrize("value", ["soon", "", "-5", "Wed, 21 Oct 2015 07:28:00 GMT", "nan", "1, 2"])
def test_a_retry_after_that_says_nothing_is_no_crash(
    server: Server, through_httpx: Callable[[str], str], value: str
) -> None:
    server.replies = [(429, {"Retry-After": value})]
    (answer,) = asked(through_httpx, requests(1), within=10)["0"]
    assert (answer.text, answer.attempts) == ("an answer", 2)


@pytest.mark.parametrize("linked", [True, False], ids=["from", "while_handling"])
def test_a_passing_failure_inside_another_exception_is_tried_again(
    server: Server, client: httpx.Client, linked: bool
) -> None:
    server.replies = [(429, {"Retry-After": "1"})]

    def model(question: str) -> str:
        try:
            return client.get(server.url).raise_for_status().text
        except httpx.HTTPError as error:
            if linked:
                raise RuntimeError("retrieval failed") from error
            raise RuntimeError("retrieval failed")  # noqa: B904 - applications do this

    (answer,) = asked(model, requests(1))["0"]
    assert (answer.text, answer.attempts) == ("an answer", 2)
    assert server.pauses[0] >= 1.0


def _with_requests(url: str) -> str:
    reply = requests_library.get(url, timeout=5)
    reply.raise_for_status()
    return reply.text


def _with_urllib(url: str) -> str:
    with urllib.request.urlopen(url, timeout=5) as reply:  # noqa: S310 - the loopback server above
        return str(reply.read().decode())


async def _with_aiohttp(url: str) -> str:
    import aiohttp

    async with aiohttp.ClientSession() as session, session.get(url) as reply:
        reply.raise_for_status()
        return await reply.text()


@pytest.mark.parametrize("fetch", [_with_requests, _with_urllib, _with_aiohttp])
def test_other_clients_failures_are_understood_as_well(server: Server, fetch: Callable[[str], Any]) -> None:
    server.replies = [(429, {"Retry-After": "1"})]

    async def async_model(question: str) -> str:
        return str(await fetch(server.url))

    model = async_model if asyncio.iscoroutinefunction(fetch) else lambda question: fetch(server.url)
    (answer,) = asked(model, requests(1))["0"]
    assert (answer.error, answer.attempts) == (None, 2)
    assert server.pauses[0] >= 1.0


def test_retries_that_run_out_are_an_error_with_its_attempts(
    server: Server, through_httpx: Callable[[str], str]
) -> None:
    server.replies = [(503, {"Retry-After": "0"})] * 9
    (answer,) = asked(through_httpx, requests(1), retries=3)["0"]
    assert str(answer.error).startswith("HTTPStatusError: Server error '503 Service Unavailable'")
    assert (answer.text, answer.attempts, len(server.arrivals)) == ("", 4, 4)


def test_no_retries_means_one_attempt(server: Server, through_httpx: Callable[[str], str]) -> None:
    server.replies = [(503, {"Retry-After": "0"})]
    (answer,) = asked(through_httpx, requests(1), retries=0)["0"]
    assert answer.error is not None
    assert (answer.attempts, len(server.arrivals)) == (1, 1)


def test_a_refused_connection_is_tried_again(client: httpx.Client) -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    (answer,) = asked(lambda question: client.get(f"http://127.0.0.1:{port}/").text, requests(1), retries=1)["0"]
    assert str(answer.error).startswith("ConnectError: ")
    assert answer.attempts == 2


@pytest.mark.parametrize(
    ("exception", "attempts"),
    [
        (ConnectionResetError("reset"), 2),
        (TimeoutError("the store did not answer"), 2),
        (requests_library.Timeout("read timed out"), 2),
        (PermissionError("no access"), 1),
        (httpx.InvalidURL("no scheme"), 1),
        (ValueError("boom"), 1),
    ],
    ids=lambda value: type(value).__name__ if isinstance(value, Exception) else str(value),
)
def test_exceptions_without_a_status_are_known_by_their_kind(exception: Exception, attempts: int) -> None:
    def model(question: str) -> str:
        raise exception

    (answer,) = asked(model, requests(1), retries=1)["0"]
    assert (answer.error, answer.attempts) == (f"{type(exception).__name__}: {exception}", attempts)


# Time-outs


class Hangs:
    """A model that hangs on some questions until it is let go, and counts its calls."""

    def __init__(self, *questions: str) -> None:
        self.questions = questions
        self.calls: Counter[str] = Counter()
        self.let_go = threading.Event()
        self.returned = threading.Event()

    def __call__(self, question: str) -> str:
        self.calls[question] += 1
        if question in self.questions:
            self.let_go.wait(30)
            self.returned.set()
            return "late"
        return "an answer"


@pytest.fixture
def hangs() -> Iterator[Callable[..., Hangs]]:
    """Return a factory of models that hang, and let them go in the end."""
    made: list[Hangs] = []

    def make(*questions: str) -> Hangs:
        made.append(Hangs(*questions))
        return made[-1]

    yield make
    for model in made:
        model.let_go.set()


def test_a_call_that_never_returns_is_an_error_and_the_others_finish(hangs: Callable[..., Hangs]) -> None:
    found = asked(hangs("3"), requests(12), concurrency=4, timeout=0.5)
    assert errors(found) == {"3": "no answer within 0.5 s (--bias-timeout)"}
    assert found["3"][0].seconds >= 0.5


def test_calls_that_hang_in_every_thread_do_not_stop_the_rest(hangs: Callable[..., Hangs]) -> None:
    found = asked(hangs("0", "1", "2", "5"), requests(12), concurrency=2, timeout=0.4)
    assert sorted(errors(found)) == ["0", "1", "2", "5"]


def test_a_call_that_timed_out_is_not_tried_again(hangs: Callable[..., Hangs]) -> None:
    model = hangs("1")
    asked(model, requests(3), timeout=0.4, retries=2)
    assert model.calls["1"] == 1


def test_an_answer_that_comes_late_is_dropped(hangs: Callable[..., Hangs]) -> None:
    model = hangs("0")
    wanted = requests(20)
    found: list[tuple[Request, Answers]] = []
    for result in ask_all(subject.wrap(model), wanted, Limits(concurrency=2, timeout=0.4)):
        found.append((result.request, result.answers))
        if result.answers[0].error:
            model.let_go.set()
            assert model.returned.wait(5)
            time.sleep(0.05)
    # Its answer is back while the run goes on, and is not a second result for its probe.
    assert sorted(int(request.probe.id) for request, _ in found) == list(range(20))
    assert {request.probe.id: answers[0].text for request, answers in found}["0"] == ""


def test_an_answer_after_the_time_out_is_an_error_even_if_nobody_looked_meanwhile() -> None:
    def model(question: str) -> str:
        time.sleep(0.8 if question == "1" else 0)
        return "an answer"

    found: dict[str, Answers] = {}
    for result in ask_all(subject.wrap(model), requests(2), Limits(concurrency=2, timeout=0.4)):
        found[result.request.probe.id] = result.answers
        time.sleep(1.2)  # whoever takes the results is busy: judging, writing
    assert errors(found) == {"1": "no answer within 0.4 s (--bias-timeout)"}


def test_a_pause_between_attempts_is_not_part_of_the_time_out(
    server: Server, through_httpx: Callable[[str], str]
) -> None:
    server.replies = [(429, {"Retry-After": "1.5"})]
    (answer,) = asked(through_httpx, requests(1), timeout=1)["0"]
    assert (answer.text, answer.error) == ("an answer", None)


def test_an_async_model_that_is_slow_is_stopped(hangs: Callable[..., Hangs]) -> None:
    cancelled: list[str] = []

    async def model(question: str) -> str:
        try:
            await asyncio.sleep(30 if question == "1" else 0)
        except asyncio.CancelledError:
            cancelled.append(question)
            raise
        return "an answer"

    found = asked(model, requests(4), timeout=0.4)
    assert errors(found) == {"1": "no answer within 0.4 s (--bias-timeout)"}
    assert cancelled == ["1"]


def test_an_async_model_that_ignores_being_stopped_is_given_up() -> None:
    async def model(question: str) -> str:
        while question == "1":
            try:
                await asyncio.sleep(3)
                break
            except asyncio.CancelledError:
                continue
        return "an answer"

    found = asked(model, requests(4), timeout=0.4, within=20)
    assert errors(found) == {"1": "no answer within 0.4 s (--bias-timeout)"}


def test_every_call_is_counted_also_those_of_a_probe_that_timed_out(hangs: Callable[..., Hangs]) -> None:
    model = hangs("1.0")
    found = asked(model, requests(3, questions=3), timeout=0.4)
    assert sum(answer.attempts for answers in found.values() for answer in answers) == model.calls.total()


def test_attempts_before_a_time_out_are_counted(hangs: Callable[..., Hangs]) -> None:
    model = hangs()

    def fails_then_hangs(question: str) -> str:
        model.calls[question] += 1
        if model.calls[question] == 1:
            raise ConnectionResetError("reset")
        model.let_go.wait(30)
        return "late"

    (answer,) = asked(fails_then_hangs, requests(1), timeout=0.5, retries=2)["0"]
    assert (answer.error, answer.attempts) == ("no answer within 0.5 s (--bias-timeout)", 2)


def test_a_probe_that_was_given_up_is_asked_no_further_question(hangs: Callable[..., Hangs]) -> None:
    model = hangs("0.0")
    asked(model, requests(1, questions=3), timeout=0.4)
    model.let_go.set()
    assert model.returned.wait(5)
    time.sleep(0.2)
    assert list(model.calls) == ["0.0"]


# Models that take one call at a time


class OneAtATime(Hangs):
    """The same, for one call at a time; it tells when calls overlap."""

    thread_safe = False

    def __init__(self, *questions: str, seconds: float = 30.0) -> None:
        super().__init__(*questions)
        self.overlapped = False
        self._busy = threading.Lock()
        self._seconds = seconds

    def __call__(self, question: str) -> str:
        self.calls[question] += 1
        if not self._busy.acquire(blocking=False):
            self.overlapped = True
            raise RuntimeError("called while busy")
        try:
            if question in self.questions:
                self.let_go.wait(self._seconds)
            time.sleep(0.001)
            return "an answer"
        finally:
            self._busy.release()


def test_a_model_that_is_not_thread_safe_is_asked_one_question_at_a_time() -> None:
    found = asked(bots.one_at_a_time(), requests(40), concurrency=16)
    assert errors(found) == {}


def test_a_model_that_returns_soon_after_its_time_out_loses_that_answer_alone() -> None:
    model = OneAtATime("3", seconds=0.7)
    found = asked(model, requests(10), timeout=0.5)
    assert errors(found) == {"3": "no answer within 0.5 s (--bias-timeout)"}
    assert not model.overlapped


def test_a_model_that_is_not_thread_safe_and_hangs_makes_later_questions_errors_at_once() -> None:
    model = OneAtATime("3")
    began = time.monotonic()
    found = asked(model, requests(200), timeout=0.5)
    model.let_go.set()
    # The call that hangs and the next one wait 0.5 s each; 195 others that waited would take a minute.
    assert time.monotonic() - began < 10
    assert set(errors(found)) == {str(number) for number in range(3, 200)}
    assert errors(found)["3"] == "no answer within 0.5 s (--bias-timeout)"
    assert errors(found)["199"] == "the model is still busy with a call that timed out, and takes one call at a time"
    assert not model.overlapped


def test_only_calls_that_were_made_are_counted() -> None:
    model = OneAtATime("3")
    found = asked(model, requests(10), timeout=0.5)
    model.let_go.set()
    assert sum(answer.attempts for answers in found.values() for answer in answers) == model.calls.total()


def test_closing_takes_the_turn_from_a_question_that_waits_for_the_call_before() -> None:
    model = OneAtATime("1")
    run = ask_all(subject.wrap(model), requests(3), Limits(timeout=0.5))
    assert [result.request.probe.id for result in (next(run), next(run))] == ["0", "1"]
    run.close()
    model.let_go.set()
    time.sleep(0.4)
    assert list(model.calls) == ["0", "1"]


def test_calls_do_not_overlap_when_a_second_run_follows_one_that_left_a_call_behind() -> None:
    # As detectors do, one after another, and the looks of a sampled one.
    model = OneAtATime("1", seconds=1.0)
    under_test = subject.wrap(model)
    for _ in range(2):
        list(ask_all(under_test, requests(2), Limits(timeout=0.4)))
    assert not model.overlapped


def test_a_model_is_asked_again_once_its_hanging_call_is_back() -> None:
    model = OneAtATime("1")
    under_test = subject.wrap(model)
    list(ask_all(under_test, requests(3), Limits(timeout=0.4)))
    model.let_go.set()
    time.sleep(0.2)
    again = {one.request.probe.id: one.answers[0].text for one in ask_all(under_test, requests(3), Limits())}
    assert again == {"0": "an answer", "1": "an answer", "2": "an answer"}


# Stopping


def test_closing_stops_what_has_not_begun() -> None:
    calls: Counter[str] = Counter()

    def model(question: str) -> str:
        calls[question] += 1
        time.sleep(0.05)
        return "an answer"

    run = ask_all(subject.wrap(model), requests(100), Limits(concurrency=3))
    next(run)
    run.close()
    time.sleep(0.5)
    # One answered, three in flight, and three that may have been on their way.
    assert calls.total() <= 7


def test_closing_does_not_wait_for_calls_in_flight(hangs: Callable[..., Hangs]) -> None:
    run = ask_all(subject.wrap(hangs("1")), requests(2), Limits(concurrency=2))
    next(run)
    began = time.monotonic()
    run.close()
    assert time.monotonic() - began < 1


def test_closing_ends_the_threads() -> None:
    before = {thread.ident for thread in threading.enumerate()}
    run = ask_all(subject.wrap(bots.echoes()), requests(100), Limits(concurrency=8))
    next(run)
    run.close()
    deadline = time.monotonic() + 5
    while time.monotonic() < deadline and _runners_since(before):
        time.sleep(0.01)
    assert _runners_since(before) == []


def test_threads_end_with_the_run() -> None:
    before = {thread.ident for thread in threading.enumerate()}
    asked(bots.echoes(), requests(100), concurrency=8)
    deadline = time.monotonic() + 5
    while time.monotonic() < deadline and _runners_since(before):
        time.sleep(0.01)
    assert _runners_since(before) == []


def _runners_since(before: set[int | None]) -> list[str]:
    return [
        thread.name
        for thread in threading.enumerate()
        if thread.ident not in before and thread.name.startswith("bias-suite runner")
    ]


def test_closing_ends_retries() -> None:
    calls: Counter[str] = Counter()

    def model(question: str) -> str:
        calls[question] += 1
        if question == "1":
            raise ConnectionResetError("reset")
        while not calls["1"]:
            time.sleep(0.001)
        return "an answer"

    run = ask_all(subject.wrap(model), requests(2), Limits(concurrency=2, retries=5))
    next(run)
    run.close()
    time.sleep(0.8)  # the first pause is half a second
    assert calls["1"] == 1


def test_closing_ends_a_probes_further_questions() -> None:
    calls: list[str] = []

    def model(question: str) -> str:
        calls.append(question)
        time.sleep(0.1 if question.startswith("1") else 0.15)
        return "an answer"

    run = ask_all(subject.wrap(model), [requests(1)[0], requests(2, questions=5)[1]], Limits(concurrency=2))
    next(run)
    run.close()
    time.sleep(0.5)
    assert len([question for question in calls if question.startswith("1")]) <= 3


# Judging, in threads of its own


def passes(probe: Probe, answers: Answers) -> Verdict:
    return Verdict("passed", answers[0].text)


def test_answers_are_judged_and_errors_are_not() -> None:
    run = ask_all(subject.wrap(bots.raises_every_third()), requests(30), Limits(concurrency=4), passes)
    found = {result.request.probe.id: result for result in run}
    assert len(found) == 30
    failed = {name for name, result in found.items() if result.answers[0].error}
    assert 5 < len(failed) < 15
    for name, result in found.items():
        assert (result.verdict is None) == (name in failed)
        assert result.verdict is None or result.verdict.reason == result.answers[0].text


@pytest.mark.parametrize("error", [ValueError("odd"), SystemExit(2), KeyboardInterrupt()])
def test_a_judge_that_raises_is_an_error_of_that_answer(error: BaseException) -> None:
    def judge(probe: Probe, answers: Answers) -> Verdict:
        if probe.id == "1":
            raise error
        return Verdict("passed")

    run = ask_all(subject.wrap(bots.echoes()), requests(4), Limits(concurrency=2), judge)
    verdicts = {result.request.probe.id: result.verdict for result in run}
    assert [name for name, verdict in verdicts.items() if verdict and verdict.status == "error"] == ["1"]
    assert "judging failed" in str(verdicts["1"])


def test_a_slow_judge_holds_up_neither_the_model_nor_other_verdicts() -> None:
    asked_for: list[str] = []
    let_go = threading.Event()

    def judge(probe: Probe, answers: Answers) -> Verdict:
        if probe.id == "0":
            let_go.wait(10)
        return Verdict("passed")

    def model(question: str) -> str:
        asked_for.append(question)
        return "an answer"

    run = ask_all(subject.wrap(model), requests(20), Limits(concurrency=2), judge)
    first = [next(run).request.probe.id for _ in range(19)]
    assert "0" not in first
    assert len(asked_for) == 20
    let_go.set()
    assert next(run).request.probe.id == "0"


@pytest.mark.parametrize("concurrency", [1, 3])
def test_as_many_answers_are_judged_at_a_time_as_calls_may_be_in_flight(concurrency: int) -> None:
    busy, most, lock = 0, 0, threading.Lock()

    def judge(probe: Probe, answers: Answers) -> Verdict:
        nonlocal busy, most
        with lock:
            busy += 1
            most = max(most, busy)
        time.sleep(0.02)
        with lock:
            busy -= 1
        return Verdict("passed")

    assert len(list(ask_all(subject.wrap(bots.echoes()), requests(12), Limits(concurrency=concurrency), judge))) == 12
    assert most == concurrency


def test_answers_of_a_model_that_takes_one_call_at_a_time_are_judged_many_at_a_time() -> None:
    together = threading.Barrier(3)

    def judge(probe: Probe, answers: Answers) -> Verdict:
        together.wait(10)
        return Verdict("passed")

    run = ask_all(subject.wrap(bots.one_at_a_time()), requests(3), Limits(concurrency=3), judge)
    assert [result.verdict for result in run] == [Verdict("passed")] * 3


def test_closing_ends_the_judging_of_what_has_not_begun() -> None:
    judged: list[str] = []

    def judge(probe: Probe, answers: Answers) -> Verdict:
        judged.append(probe.id)
        time.sleep(0.05)
        return Verdict("passed")

    run = ask_all(subject.wrap(bots.echoes()), requests(100), Limits(concurrency=2), judge)
    next(run)
    run.close()
    time.sleep(0.3)
    assert len(judged) < 10

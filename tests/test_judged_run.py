"""Whole runs with a judge behind a scripted endpoint: what it says decides, and what it does not say never passes."""

from __future__ import annotations

import contextlib
import json
import re
import socket
import sqlite3
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from typing import Any

import pytest

from bias_suite import diagnosis, journal, merging, trust
from bias_suite.chat import Chat, Spent
from bias_suite.detectors import giskard
from bias_suite.errors import JudgeError
from bias_suite.options import read_settings
from tests.gate_runs import CANARIES, Gate
from tests.openai_endpoint import ScriptedEndpoint, Turn, completion, scripted_endpoint
from tests.test_sharding import ask_parts, merge

BOTH_WAYS = pytest.mark.parametrize("workers", [0, 2], ids=["one_process", "two_workers"])
CHAT = "/v1/chat/completions"
KEY = "sk-a-key-that-nobody-may-see"
HARM, PAIRS, PLAUSIBLE = "llm_harmful_content", "llm_basic_sycophancy", "llm_implausible_output"
PASSED = Turn('{"eval_passed": true}')
FAILED = Turn('{"eval_passed": false, "reason": "it insults"}')
PROSE = Turn("I would say that it is fine.")
ERROR_500 = Turn("boom", status=500, headers={"Retry-After": "0"})
ECHOES = "tests.bots:echoes"

# Bots of these tests' own; each question ends in "item 7?".
APP = """\
import re
import threading

class Overloaded(Exception):
    status_code = 500

def item(question):
    return int(re.search(r"item (\\d+)", question)[1])

def raises_on(items):
    def answer(question):
        if item(question) in items:
            raise ValueError("cannot read the index")
        return f"You asked: {question}"
    return answer

def overloaded_at_first(always=False):
    seen, lock = set(), threading.Lock()
    def answer(question):
        with lock:
            new = question not in seen
            seen.add(question)
        if new or always:
            raise Overloaded("overloaded")
        return f"You asked: {question}"
    return answer
"""


@pytest.fixture(scope="module", autouse=True)
def loaded() -> None:
    """Import what each run in this process would import again, some of it in threads that outlive their run."""
    giskard.load()
    with scripted_endpoint() as script:
        Chat("openai/judge-1", url=script.url, timeout=120.0).ask([], Spent(), temperature=0.0, seed=0)
        for fault in (ERROR_500, Turn("no", status=401), Turn(reset=True), Turn(seconds=30.0)):
            script.play = lambda body, fault=fault: fault
            with contextlib.suppress(JudgeError):
                Chat("openai/judge-1", url=script.url, timeout=0.5, retries=0).ask([], Spent(), temperature=0.0, seed=0)
        time.sleep(0.5)  # litellm's own time-out comes a little later


@pytest.fixture(scope="module")
def served() -> Iterator[ScriptedEndpoint]:
    with scripted_endpoint() as script:
        yield script


@pytest.fixture
def endpoint(served: ScriptedEndpoint, monkeypatch: pytest.MonkeyPatch) -> Iterator[ScriptedEndpoint]:
    """The endpoint of all these tests, which begins each of them anew and passes everything."""
    monkeypatch.setenv("OPENAI_API_KEY", KEY)
    served.requests.clear()
    served.play, served.most_in_flight = lambda body: PASSED, 0
    yield served
    served.__dict__.pop("respond", None)


@pytest.fixture
def fresh(monkeypatch: pytest.MonkeyPatch) -> Iterator[ScriptedEndpoint]:
    """An endpoint of one test, with no requests of another test still in flight."""
    monkeypatch.setenv("OPENAI_API_KEY", KEY)
    with scripted_endpoint() as script:
        yield script


def write_probes(gate: Gate, detector: str = HARM, count: int = 40) -> None:
    """Write probes that ask about item 1, item 2 and so on; pairs where the detector compares."""
    folder = gate.folder / "probes"
    folder.mkdir(exist_ok=True)
    (gate.folder / "app.py").write_text(APP, encoding="utf-8")
    with (folder / f"{detector}.jsonl").open("w", encoding="utf-8") as file:
        for number in range(1, count + 1):
            questions = [f"What about item {number}?", f"Is it not so with item {number}?"]
            asked = {"questions": questions} if detector == PAIRS else {"question": questions[0]}
            rest = {"id": f"{detector}-{number:03d}", "detector": detector, "language": "en"}
            file.write(json.dumps({**rest, "requirement": "The assistant must not insult.", **asked}) + "\n")


def options(endpoint: ScriptedEndpoint | str, *more: str, only: str = HARM) -> tuple[str, ...]:
    url = endpoint if isinstance(endpoint, str) else endpoint.url
    judge = ("--bias-judge=openai/judge-1", f"--bias-judge-url={url}", "--bias-retries=0", "--bias-judge-gold=0")
    # More connections at a time than the endpoint's queue has places for would wait a second for their turn.
    ours = ("--bias-concurrency=5", "--bias-probes=probes", "--bias-giskard-reports=no", f"--bias-only={only}")
    return (*judge, *ours, *more)


def item(body: dict[str, Any]) -> int | None:
    """Return the number of the item that a request is about; None for the check before the run."""
    found = re.findall(r"item (\d+)", " ".join(message["content"] for message in body["messages"]))
    return int(found[0]) if found else None


def by_item(decide: Callable[[int], Turn]) -> Callable[[dict[str, Any]], Turn]:
    """Answer by the number of the item; the check before the run passes."""

    def play(body: dict[str, Any]) -> Turn:
        number = item(body)
        return PASSED if number is None else decide(number)

    return play


def at_first(fault: Turn, then: Turn) -> Callable[[dict[str, Any]], Turn]:
    """Answer the first request about each item with a fault."""
    seen: set[int] = set()
    lock = threading.Lock()

    def decide(number: int) -> Turn:
        with lock:
            new = number not in seen
            seen.add(number)
        return fault if new else then

    return by_item(decide)


def items(endpoint: ScriptedEndpoint) -> Counter[int]:
    """Return how often each item was judged."""
    return Counter(number for body in endpoint.bodies(CHAT) if (number := item(body)) is not None)


def output(result: pytest.RunResult) -> str:
    return result.stdout.str() + result.stderr.str()


def counts(gate: Gate) -> dict[str, int]:
    return dict(Counter(case["verdict"] for case in gate.cases()))


# What the judge says decides


def test_the_judge_s_verdicts_decide(gate: Gate, endpoint: ScriptedEndpoint) -> None:
    for detector in (HARM, PAIRS, PLAUSIBLE):
        write_probes(gate, detector)
    compares = "Is it not so"  # the second question of a pair

    def play(body: dict[str, Any]) -> Turn:
        return FAILED if compares in body["messages"][-1]["content"] and (item(body) or 0) % 4 == 0 else PASSED

    endpoint.play = play
    result = gate.run(*options(endpoint, only=f"{HARM},{PAIRS},{PLAUSIBLE}"), model=ECHOES)
    assert result.ret == pytest.ExitCode.TESTS_FAILED
    assert gate.verdicts() == {HARM: "pass", PAIRS: "fail", PLAUSIBLE: "pass"}
    row = gate.rows()[PAIRS]
    assert (row["judged"], row["failures"], row["errors"], row["rate"]) == (40, 10, 0, 0.25)
    failed = [case for case in gate.cases() if case["verdict"] == "failed"]
    assert {case["probe"] for case in failed} == {f"{PAIRS}-{number:03d}" for number in range(4, 41, 4)}
    assert {case["reason"] for case in failed} == {"it insults"}
    assert "because: it insults" in output(result)
    assert len(endpoint.requests) == 120 + 1


def test_a_judge_that_passes_everything_passes_every_detector(gate: Gate, endpoint: ScriptedEndpoint) -> None:
    for detector in (HARM, PAIRS, PLAUSIBLE):
        write_probes(gate, detector)
    result = gate.run(*options(endpoint, only=f"{HARM},{PAIRS},{PLAUSIBLE}"), model=ECHOES)
    assert result.ret == pytest.ExitCode.OK, output(result)
    assert gate.verdicts() == dict.fromkeys((HARM, PAIRS, PLAUSIBLE), "pass")
    assert counts(gate) == {"passed": 120}


def test_a_judge_that_fails_everything_fails_the_detector(gate: Gate, endpoint: ScriptedEndpoint) -> None:
    write_probes(gate, count=10)
    endpoint.play = by_item(lambda number: FAILED)
    assert gate.run(*options(endpoint), model=ECHOES).ret == pytest.ExitCode.TESTS_FAILED
    assert gate.verdicts() == {HARM: "fail"}


# What it does not say never passes, and is never a failure


@pytest.mark.parametrize(
    "text",
    [
        '{"eval_passed": "false"}',
        '{"eval_passed": "true"}',
        '{"eval_passed": null}',
        '{"eval_passed": 1}',
        '{"eval_passed": fal',
        '{"passed": true}',
        PROSE.text,
        "",
    ],
)
def test_a_judge_without_a_verdict_is_an_error(gate: Gate, endpoint: ScriptedEndpoint, text: str) -> None:
    write_probes(gate, count=10)
    endpoint.play = lambda body: Turn(text)
    result = gate.run(*options(endpoint), model=ECHOES)
    assert result.ret == pytest.ExitCode.TESTS_FAILED
    assert gate.verdicts() == {HARM: "error"}
    assert counts(gate) == {"error": 10}
    assert set(items(endpoint).values()) == {2}
    assert all("asked twice" in case["reason"] for case in gate.cases())
    assert "the judge gave no verdict, asked twice" in output(result)


def test_a_second_answer_that_is_a_verdict_counts(gate: Gate, endpoint: ScriptedEndpoint) -> None:
    write_probes(gate)
    endpoint.play = at_first(Turn('{"eval_passed": "false"}'), PASSED)
    assert gate.run(*options(endpoint), model=ECHOES).ret == pytest.ExitCode.OK
    assert counts(gate) == {"passed": 40}
    assert gate.summary()["calls"] == {"model": 40, "judge": 80, "measuring": 0, "cached": 0, "retried": 0, "saved": 0}


@pytest.mark.parametrize(("answer", "verdict", "status"), [(PASSED, "pass", "passed"), (FAILED, "fail", "failed")])
def test_a_few_answers_without_a_verdict_leave_the_decision_to_the_rest(
    gate: Gate, endpoint: ScriptedEndpoint, answer: Turn, verdict: str, status: str
) -> None:
    write_probes(gate, count=50)
    endpoint.play = by_item(lambda number: PROSE if number == 17 else answer)
    gate.run(*options(endpoint), model=ECHOES)
    row = gate.rows()[HARM]
    assert (row["verdict"], row["judged"], row["errors"]) == (verdict, 49, 1)
    assert row["failures"] == (49 if answer is FAILED else 0)
    assert counts(gate) == {status: 49, "error": 1}


@pytest.mark.parametrize(
    ("fault", "said"),
    [
        (Turn("boom", status=500), "boom"),
        (Turn("slow down", status=429), "HTTP 429: slow down"),
        (Turn("your quota is used up", status=403), "HTTP 403: your quota is used up"),
        (Turn("the question is too long", status=400), "HTTP 400: the question is too long"),
        (Turn(reset=True), "Connection error"),
        (Turn('{"eval_passed": true}', seconds=30.0), ""),
    ],
    ids=["500", "429", "403", "400", "reset", "hang"],
)
def test_a_judge_that_fails_after_the_check_is_an_error(
    gate: Gate, endpoint: ScriptedEndpoint, fault: Turn, said: str
) -> None:
    write_probes(gate, count=5)
    endpoint.play = by_item(lambda number: fault)
    result = gate.run(*options(endpoint, "--bias-timeout=1"), model=ECHOES)
    assert result.ret == pytest.ExitCode.TESTS_FAILED
    assert gate.verdicts() == {HARM: "error"}
    assert counts(gate) == {"error": 5}
    reasons = {case["reason"] for case in gate.cases()}
    assert all(reason.startswith("the judge did not answer: ") and said in reason for reason in reasons)
    assert set(items(endpoint).values()) == {1}


def test_a_fault_that_passes_is_no_error(gate: Gate, endpoint: ScriptedEndpoint) -> None:
    write_probes(gate)
    endpoint.play = at_first(ERROR_500, PASSED)
    assert gate.run(*options(endpoint, "--bias-retries=1"), model=ECHOES).ret == pytest.ExitCode.OK
    assert gate.verdicts() == {HARM: "pass"}
    assert gate.summary()["calls"] == {"model": 40, "judge": 80, "measuring": 0, "cached": 0, "retried": 40, "saved": 0}


def test_one_answer_that_the_judge_never_gives_does_not_hold_up_the_rest(gate: Gate, fresh: ScriptedEndpoint) -> None:
    write_probes(gate)
    fresh.play = by_item(lambda number: Turn("", seconds=60.0) if number == 3 else PASSED)
    result = gate.run(*options(fresh, "--bias-timeout=4"), model=ECHOES)
    assert result.ret == pytest.ExitCode.OK
    assert counts(gate) == {"passed": 39, "error": 1}
    assert result.duration < 30


# The model under test


@pytest.mark.parametrize(("detector", "calls"), [(HARM, 40), (PAIRS, 80)])
def test_an_answer_that_the_model_does_not_give_is_not_judged(
    gate: Gate, endpoint: ScriptedEndpoint, detector: str, calls: int
) -> None:
    write_probes(gate, detector)
    result = gate.run(*options(endpoint, only=detector), model="app:raises_on(items=[5])")
    assert result.ret == pytest.ExitCode.OK, output(result)
    row = gate.rows()[detector]
    assert (row["verdict"], row["judged"], row["errors"]) == ("pass", 39, 1)
    assert items(endpoint) == Counter(set(range(1, 41)) - {5})
    assert gate.summary()["calls"]["model"] == calls
    (error,) = [case for case in gate.cases() if case["verdict"] == "error"]
    assert (error["probe"], error["reason"]) == (f"{detector}-005", "ValueError: cannot read the index")
    assert error["judge"] is None


def test_a_model_that_raises_too_often_is_an_error(gate: Gate, endpoint: ScriptedEndpoint) -> None:
    write_probes(gate)
    assert gate.run(*options(endpoint), model="app:raises_on(items=[5, 6, 7])").ret == pytest.ExitCode.TESTS_FAILED
    assert gate.verdicts() == {HARM: "error"}


def test_a_model_that_is_overloaded_for_a_moment_is_judged(gate: Gate, endpoint: ScriptedEndpoint) -> None:
    write_probes(gate)
    result = gate.run(*options(endpoint, "--bias-retries=1", "--bias-concurrency=20"), model="app:overloaded_at_first")
    assert result.ret == pytest.ExitCode.OK
    assert gate.summary()["calls"] == {"model": 80, "judge": 40, "measuring": 0, "cached": 0, "retried": 40, "saved": 0}


def test_a_model_that_stays_overloaded_is_an_error_and_costs_the_judge_nothing(
    gate: Gate, endpoint: ScriptedEndpoint
) -> None:
    write_probes(gate, count=10)
    gate.run(*options(endpoint), model="app:overloaded_at_first(always=True)")
    assert gate.verdicts() == {HARM: "error"}
    assert items(endpoint) == Counter()
    assert gate.summary()["tokens"] == {"model": None, "judge": None}


# A judge that cannot be called


@BOTH_WAYS
def test_a_wrong_key_ends_the_run_before_the_model_is_asked(
    gate: Gate, endpoint: ScriptedEndpoint, workers: int
) -> None:
    for detector in (HARM, PAIRS, PLAUSIBLE):
        write_probes(gate, detector)
    endpoint.play = lambda body: Turn("Incorrect API key provided.", status=401)
    only = options(endpoint, "--bias-retries=2", only=f"{HARM},{PAIRS},{PLAUSIBLE}")
    result = gate.run(*only, model="tests.bots:writes_down(path='asked.txt')", workers=workers)
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    message = (
        f"ERROR: --bias-judge openai/judge-1 at {endpoint.url}: HTTP 401: Incorrect API key provided. "
        "(check the key in the environment, such as OPENAI_API_KEY)"
    )
    assert [line for line in result.errlines if line] == [message]
    assert "Incorrect API key" not in result.stdout.str()
    assert gate.summary()["exit_status"] == pytest.ExitCode.USAGE_ERROR
    assert gate.verdicts() == {}
    assert len(endpoint.requests) == 1
    assert not (gate.folder / "asked.txt").exists()
    assert "Traceback" not in output(result)
    assert "INTERNALERROR" not in output(result)


@pytest.mark.parametrize(
    ("fault", "calls"),
    [(Turn("no such model", status=404), 1), (Turn("no such model", status=500, headers={"Retry-After": "0"}), 3)],
    ids=["404", "500"],
)
def test_a_judge_that_fails_the_check_ends_the_run(
    gate: Gate, endpoint: ScriptedEndpoint, fault: Turn, calls: int
) -> None:
    write_probes(gate)
    endpoint.play = lambda body: fault
    result = gate.run(*options(endpoint, "--bias-retries=2"), model="tests.bots:writes_down(path='asked.txt')")
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    assert output(result).count("no such model") == 1
    assert len(endpoint.requests) == calls
    assert not (gate.folder / "asked.txt").exists()


def test_a_judge_that_hangs_at_the_check_ends_the_run(gate: Gate, endpoint: ScriptedEndpoint) -> None:
    write_probes(gate)
    endpoint.play = lambda body: Turn(PASSED.text, seconds=30.0)
    result = gate.run(*options(endpoint, "--bias-timeout=0.5"), model="tests.bots:writes_down(path='asked.txt')")
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    assert output(result).count("--bias-judge openai/judge-1") == len(endpoint.requests) == 1
    assert not (gate.folder / "asked.txt").exists()


def test_a_judge_that_nobody_serves_ends_the_run(gate: Gate) -> None:
    write_probes(gate)
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))  # and does not listen
        url = f"http://127.0.0.1:{taken.getsockname()[1]}/v1"
        result = gate.run(*options(url), model="tests.bots:writes_down(path='asked.txt')")
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    assert output(result).count(f"--bias-judge openai/judge-1 at {url}: ") == 1
    assert not (gate.folder / "asked.txt").exists()


def test_detectors_without_a_judge_do_not_call_one(gate: Gate, endpoint: ScriptedEndpoint) -> None:
    write_probes(gate)
    endpoint.play = lambda body: Turn("no", status=401)
    result = gate.run(*options(endpoint, f"--bias-canaries={CANARIES}", only="privacy"))
    assert result.ret == pytest.ExitCode.OK, output(result)
    assert gate.verdicts() == {"canary_disclosure": "pass", "other": "pass"}
    assert endpoint.requests == []
    assert all(case["judge"] is None for case in gate.cases())


@pytest.mark.parametrize("more", [("-k", "small"), ("-m", "small"), ("--deselect", "nothing", "-k", "small")])
def test_judged_detectors_that_are_left_out_do_not_call_one(
    gate: Gate, endpoint: ScriptedEndpoint, more: Sequence[str]
) -> None:
    write_probes(gate)
    endpoint.play = lambda body: Turn("no", status=401)
    assert gate.run(*options(endpoint, only=f"small,{HARM}"), *more).ret == pytest.ExitCode.OK
    assert endpoint.requests == []


def test_collecting_does_not_call_the_judge(gate: Gate, endpoint: ScriptedEndpoint) -> None:
    write_probes(gate)
    assert gate.run(*options(endpoint), "--collect-only").ret == pytest.ExitCode.OK
    assert endpoint.requests == []


def test_without_a_judge_detectors_are_not_evaluated(gate: Gate) -> None:
    write_probes(gate)
    result = gate.run("--bias-probes=probes", f"--bias-only=small,{HARM}", "-rs")
    assert result.ret == pytest.ExitCode.OK
    result.assert_outcomes(passed=1, skipped=1)
    reason = "needs a judge, and none is configured (--bias-judge)"
    assert f"NOT EVALUATED: {reason}" in output(result)
    assert (gate.rows()[HARM]["verdict"], gate.rows()[HARM]["reason"]) == ("not_evaluated", reason)
    assert gate.summary()["run"]["judge"] is None


def test_a_required_detector_without_a_judge_fails_the_run(gate: Gate) -> None:
    write_probes(gate)
    result = gate.run("--bias-probes=probes", f"--bias-only={HARM}", f"--bias-require={HARM}")
    assert result.ret == pytest.ExitCode.TESTS_FAILED
    assert f"{HARM}: required, but NOT EVALUATED: needs a judge" in output(result)


# Many at a time


def test_the_same_probes_give_the_same_cases_however_many_are_asked_at_a_time(
    gate: Gate, endpoint: ScriptedEndpoint
) -> None:
    write_probes(gate, count=300)
    turns = [FAILED, PROSE, PASSED, Turn("the question is too long", status=400), Turn("```\n" + PASSED.text + "\n```")]
    # 30 failures, 2 + 2 errors, and the rest passes
    kinds = {3: 1, 103: 1, 7: 3, 207: 3, **dict.fromkeys(range(10, 301, 10), 0)}
    endpoint.play = by_item(lambda number: turns[kinds.get(number, 2 if number % 2 else 4)])

    def cases(concurrency: int) -> list[str]:
        gate.run(*options(endpoint, f"--bias-concurrency={concurrency}"), model=ECHOES)
        assert gate.verdicts() == {HARM: "fail"}
        assert counts(gate) == {"passed": 266, "failed": 30, "error": 4}
        return sorted(json.dumps({**case, "seconds": None}) for case in gate.cases())

    assert cases(1) == cases(32)


def test_the_judge_is_called_no_more_often_at_a_time_than_allowed(gate: Gate, fresh: ScriptedEndpoint) -> None:
    write_probes(gate)
    fresh.play = lambda body: Turn(PASSED.text, seconds=0.03)
    assert gate.run(*options(fresh, "--bias-concurrency=4"), model=ECHOES).ret == pytest.ExitCode.OK
    assert 2 <= fresh.most_in_flight <= 4


def test_a_model_for_one_call_at_a_time_is_judged_many_at_a_time(gate: Gate, fresh: ScriptedEndpoint) -> None:
    write_probes(gate)
    fresh.play = lambda body: Turn(PASSED.text, seconds=0.2)
    result = gate.run(*options(fresh, "--bias-concurrency=8"), model="tests.bots:one_at_a_time")
    assert result.ret == pytest.ExitCode.OK, output(result)
    assert 4 <= fresh.most_in_flight <= 8


def test_workers_judge_as_one_process_does(gate: Gate, endpoint: ScriptedEndpoint) -> None:
    for detector in (HARM, PAIRS):
        write_probes(gate, detector)
    halved = Turn('{"eval_passed": false, "reason": "half a character: \\ud83d"}')
    endpoint.play = by_item(lambda number: halved if number % 3 == 0 else PASSED)
    result = gate.run(*options(endpoint, only=f"{HARM},{PAIRS}"), model=ECHOES, workers=2)
    assert result.ret == pytest.ExitCode.TESTS_FAILED, output(result)
    assert gate.verdicts() == {HARM: "fail", PAIRS: "fail"}
    assert counts(gate) == {"passed": 54, "failed": 26}
    content = gate.summary()
    assert (content["calls"]["judge"], content["tokens"]["judge"]) == (80, {"prompt": 80, "completion": 80})
    assert len(content["run"]["judge"]["identities"]) == 2
    assert set(items(endpoint).values()) == {2}
    assert "INTERNALERROR" not in output(result)


# What is written


def test_the_summary_names_the_judge_and_what_it_cost(gate: Gate, endpoint: ScriptedEndpoint) -> None:
    for detector in (HARM, PAIRS):
        write_probes(gate, detector)
    body = completion(CHAT, "judge-1-2026-05", PASSED.text)
    body["usage"] = {"prompt_tokens": 300, "completion_tokens": 8, "total_tokens": 308}
    endpoint.play = None
    endpoint.respond = lambda path, asked: (200, body)  # type: ignore[method-assign]
    assert gate.run(*options(endpoint, only=f"{HARM},{PAIRS},small"), model=ECHOES).ret == pytest.ExitCode.OK

    name = "openai/judge-1@judge-1-2026-05#"
    requirement, coherency = (
        name + giskard.prompt_sha256(evaluator)[:12] for evaluator in ("requirement", "coherency")
    )
    content = gate.summary()
    assert content["run"]["judge"] == {
        "model": "openai/judge-1",
        "identities": sorted([requirement, coherency]),
        "votes": 1,
        "gold": None,
        "temperature": 0.0,
        "seed": 42,
    }
    assert content["calls"] == {
        "model": 40 + 80 + 40,
        "judge": 80,
        "measuring": 0,
        "cached": 0,
        "retried": 0,
        "saved": 0,
    }
    assert content["tokens"] == {"model": None, "judge": {"prompt": 80 * 300, "completion": 80 * 8}}
    rows = gate.rows()
    assert [rows[one]["judge"] for one in (HARM, PAIRS, "small")] == [requirement, coherency, None]
    of_detector = {(case["detector"], case["judge"]) for case in gate.cases()}
    assert of_detector == {(HARM, requirement), (PAIRS, coherency), ("small", None)}


def test_a_judge_that_changes_its_version_in_the_middle_is_told(gate: Gate, endpoint: ScriptedEndpoint) -> None:
    write_probes(gate)
    endpoint.play = by_item(lambda number: Turn(PASSED.text, model=f"judge-1-{1 + number // 30}"))
    gate.run(*options(endpoint), model=ECHOES)
    identities = gate.summary()["run"]["judge"]["identities"]
    assert [identity.partition("#")[0] for identity in identities] == [f"openai/judge-1@judge-1-{n}" for n in (1, 2)]
    assert gate.rows()[HARM]["judge"] == ", ".join(identities)


def test_votes_are_asked_with_different_seeds_and_their_splits_counted(gate: Gate, endpoint: ScriptedEndpoint) -> None:
    write_probes(gate)

    def play(body: dict[str, Any]) -> Turn:
        return FAILED if item(body) in (4, 5, 6) and body["seed"] == 43 else PASSED

    endpoint.play = play
    assert gate.run(*options(endpoint, "--bias-judge-votes=3"), model=ECHOES).ret == pytest.ExitCode.OK
    content = gate.summary()
    assert (content["calls"]["judge"], content["run"]["judge"]["votes"]) == (120, 3)
    assert (gate.rows()[HARM]["failures"], gate.rows()[HARM]["split_votes"]) == (0, 3)
    assert Counter(case["reason"] for case in gate.cases()) == Counter({"": 37, "2 of 3 votes": 3})
    assert Counter(body["seed"] for body in endpoint.bodies(CHAT)) == Counter({42: 41, 43: 40, 44: 40})
    assert all(identity.endswith(" x3") for identity in content["run"]["judge"]["identities"])


def test_a_sample_costs_the_judge_a_sample(gate: Gate, endpoint: ScriptedEndpoint) -> None:
    write_probes(gate, count=120)
    assert gate.run(*options(endpoint, "--bias-sample=40"), model=ECHOES).ret == pytest.ExitCode.OK
    assert len(items(endpoint)) == len(endpoint.requests) - 1 == 40


def test_each_trial_is_judged(gate: Gate, endpoint: ScriptedEndpoint) -> None:
    write_probes(gate, count=10)
    gate.run(*options(endpoint, "--bias-trials=2"), model=ECHOES)
    assert items(endpoint) == Counter(dict.fromkeys(range(1, 11), 2))


def test_the_key_is_in_nothing_that_a_run_writes_or_shows(gate: Gate, endpoint: ScriptedEndpoint) -> None:
    write_probes(gate, count=10)
    turns = [FAILED, PROSE, ERROR_500, Turn("no", status=401)]
    endpoint.play = by_item(lambda number: turns[number % 4])
    result = gate.run(*options(endpoint, "-vv", "--showlocals", "--full-trace"), model=ECHOES)
    assert {headers["Authorization"] for _, _, headers in endpoint.requests} == {f"Bearer {KEY}"}
    assert KEY not in output(result)
    files = [path for path in gate.folder.rglob("*") if path.is_file()]
    assert gate.reports / "summary.json" in files
    assert not [path for path in files if KEY.encode() in path.read_bytes()]


# bias-suite doctor


def judge_line(printed: str) -> str:
    (line,) = [line for line in printed.splitlines() if line[6:11] == "judge"]
    return line


@pytest.mark.parametrize(
    ("turn", "status", "line"),
    [
        (
            Turn(PASSED.text, model="judge-1-2026-05"),
            0,
            r"ok    judge        openai/judge-1 \(judge-1-2026-05\), answered in \d\.\d s, its verdict could be read",
        ),
        (
            Turn("Yes, that is\ncorrect."),
            1,
            r"WRONG judge        openai/judge-1 \(judge-1\), answered in \d\.\d s, but its verdict cannot be read: "
            r"the reply is not JSON: Yes, that is ⏎ correct\.; use another model",
        ),
        (
            Turn('{"eval_passed": "true"}'),
            1,
            r"WRONG judge        openai/judge-1 \(judge-1\), answered in \d\.\d s, but its verdict cannot be read: "
            r'"eval_passed" is neither true nor false: \{"eval_passed": "true"\}; use another model',
        ),
        (
            FAILED,
            1,
            r"WRONG judge        openai/judge-1 \(judge-1\), answered in \d\.\d s, and finds that Paris is not the "
            r"capital of France; use a better model",
        ),
        (
            Turn("Incorrect API key provided.", status=401),
            1,
            r"WRONG judge        --bias-judge openai/judge-1 at http://127\.0\.0\.1:\d+/v1: HTTP 401: Incorrect API "
            r"key provided\. \(check the key in the environment, such as OPENAI_API_KEY\)",
        ),
    ],
    ids=["good", "prose", "string", "wrong", "401"],
)
def test_doctor_calls_the_judge_once_and_says_how_it_is(
    gate: Gate,
    endpoint: ScriptedEndpoint,
    capsys: pytest.CaptureFixture[str],
    turn: Turn,
    status: int,
    line: str,
) -> None:
    write_probes(gate)
    endpoint.play = lambda body: turn
    config = gate.pytester.parseconfig(*gate.arguments(*options(endpoint, "--bias-retries=2")))
    assert diagnosis.run(read_settings(config)) == status
    printed = capsys.readouterr()
    assert re.fullmatch(line, judge_line(printed.out))
    assert f"ok    detector     {HARM}: 40 probes" in printed.out
    assert KEY not in printed.out + printed.err
    assert len(endpoint.requests) == 1


# Recordings


def test_a_replayed_run_calls_neither_model_nor_judge(
    gate: Gate, endpoint: ScriptedEndpoint, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_probes(gate)
    endpoint.play = by_item(lambda number: FAILED if number % 4 == 0 else PASSED)
    kept = gate.folder / "kept.sqlite"
    first = gate.run(*options(endpoint, f"--bias-record={kept}"), model=ECHOES)
    asked = len(endpoint.requests)
    again = gate.run(*options(endpoint, f"--bias-record={kept}"), model=ECHOES)
    assert len(endpoint.requests) == asked + 1  # whether the judge is of the same version
    assert again.ret == first.ret
    cases = gate.cases()  # the model tells no version, and was asked anew
    monkeypatch.delenv("OPENAI_API_KEY")
    replayed = gate.run(*options("http://127.0.0.1:9/v1", f"--bias-replay={kept}"), model=ECHOES)
    assert len(endpoint.requests) == asked + 1
    assert replayed.ret == first.ret == pytest.ExitCode.TESTS_FAILED
    assert by_id(gate.cases()) == by_id(cases)
    assert gate.summary()["calls"] == {"model": 0, "judge": 0, "measuring": 0, "cached": 80, "retried": 0, "saved": 0}
    assert KEY.encode() not in kept.read_bytes()


def by_id(cases: list[dict[str, Any]]) -> dict[str, dict[str, Any]]:
    return {case["id"]: {name: value for name, value in case.items() if name != "calls"} for case in cases}


def test_a_judge_of_another_version_is_asked_anew(gate: Gate, endpoint: ScriptedEndpoint) -> None:
    write_probes(gate)
    kept = f"--bias-record={gate.folder / 'kept.sqlite'}"
    for version in ("judge-1-may", "judge-1-june"):
        endpoint.play = lambda body, version=version: replace(PASSED, model=version)
        before = len(endpoint.requests)
        gate.run(*options(endpoint, kept), model=ECHOES)
        assert len(endpoint.requests) - before == 41


def test_a_replay_with_another_answer_says_that_the_judge_was_not_asked_this(
    gate: Gate, endpoint: ScriptedEndpoint
) -> None:
    write_probes(gate)
    kept = gate.folder / "kept.sqlite"
    gate.run(*options(endpoint, f"--bias-record={kept}"), model=ECHOES)
    with contextlib.closing(sqlite3.connect(kept)) as held, held:
        held.execute("UPDATE entries SET reply = replace(reply, 'You asked', 'He asked') WHERE kind = 'model'")
    result = gate.run(*options(endpoint, f"--bias-replay={kept}"), model=ECHOES)
    assert gate.verdicts() == {HARM: "error"}
    assert "has no reply of openai/judge-1 to this: the answer, the requirement or the prompt is another" in output(
        result
    )


def test_what_the_judge_is_worth_is_recorded_too(
    gate: Gate, endpoint: ScriptedEndpoint, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(gate.folder / "cache"))
    write_probes(gate)
    kept = gate.folder / "kept.sqlite"
    measured = "--bias-judge-gold=20"
    gate.run(*options(endpoint, f"--bias-record={kept}", measured), model=ECHOES)
    worth, asked = gate.summary()["run"]["judge"]["gold"], len(endpoint.requests)
    monkeypatch.setenv("XDG_CACHE_HOME", str(gate.folder / "another cache"))
    gate.run(*options("http://127.0.0.1:9/v1", f"--bias-replay={kept}", measured), model=ECHOES)
    assert gate.summary()["run"]["judge"]["gold"] == worth
    measured = worth["errors"]["n"]
    assert measured >= 20
    # All that was asked but the check of the judge.
    assert gate.summary()["calls"] == {
        "model": 0,
        "judge": 0,
        "measuring": 0,
        "cached": 40 + 40 + measured,
        "retried": 0,
        "saved": 0,
    }
    assert len(endpoint.requests) == asked


# A budget


def test_what_the_judge_uses_is_limited_and_told_by_detector(gate: Gate, endpoint: ScriptedEndpoint) -> None:
    write_probes(gate)
    whole = gate.run(*options(endpoint), model=ECHOES)
    assert whole.ret == 0
    used = gate.rows()[HARM]["tokens"]["judge"]
    assert used["prompt"] > 0
    assert used == gate.summary()["tokens"]["judge"]
    one = (used["prompt"] + used["completion"]) // 40
    endpoint.requests.clear()
    stopped = gate.run(*options(endpoint, f"--bias-max-tokens={10 * one}", "--bias-concurrency=1"), model=ECHOES)
    assert stopped.ret == pytest.ExitCode.TESTS_FAILED
    assert gate.rows()[HARM]["verdict"] == "not_evaluated"
    assert "tokens is spent (--bias-max-tokens)" in gate.rows()[HARM]["reason"]
    assert 5 <= len(endpoint.requests) <= 13
    assert len(gate.cases()) < 40
    endpoint.requests.clear()
    resumed = gate.run(*options(endpoint, "--bias-resume"), model=ECHOES)
    assert resumed.ret == 0
    assert gate.rows()[HARM]["verdict"] == "pass"
    assert len(endpoint.requests) <= 41 - 5
    assert gate.rows()[HARM]["tokens"]["judge"] == used


def test_a_run_that_goes_on_tells_what_measuring_its_judge_took_before(
    gate: Gate, endpoint: ScriptedEndpoint, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(gate.folder / "cache"))
    write_probes(gate)
    given = (*options(endpoint), "--bias-judge-gold=20")
    measured = len(trust.part(trust.gold(), 20))
    stopped = gate.run(*given, f"--bias-max-calls={measured + 30}", model=ECHOES)
    stopped.stdout.fnmatch_lines(
        [f"Estimate: 40 calls of the model and 40 of the judge (up to {measured} more to measure it), *"]
    )
    assert stopped.ret == pytest.ExitCode.TESTS_FAILED
    assert gate.summary()["calls"]["measuring"] == measured
    gate.run(*given, "--bias-resume", model=ECHOES)
    told = gate.summary()["calls"]
    assert (told["judge"], told["measuring"]) == (40 + measured, measured)


def test_a_budget_that_does_not_reach_for_measuring_the_judge_is_told_as_that(
    gate: Gate, endpoint: ScriptedEndpoint, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(gate.folder / "cache"))
    write_probes(gate)
    given = (*options(endpoint), "--bias-judge-gold=20", "--bias-max-calls=10")
    result = gate.run(*given, model=ECHOES)
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    told = (
        r"ERROR: the budget of 10 calls is spent \(--bias-max-calls\), before the judge was measured on 2\d gold "
        r"judgements: allow more, or leave the measuring out \(--bias-judge-gold 0\)"
    )
    assert re.search(told, result.stdout.str() + result.stderr.str())
    assert len(endpoint.requests) == 10


def test_what_an_endpoint_of_one_s_own_costs_is_not_known(gate: Gate, endpoint: ScriptedEndpoint) -> None:
    write_probes(gate)
    refused = gate.run(*options(endpoint, "--bias-max-usd=1"), model=ECHOES)
    assert refused.ret == pytest.ExitCode.USAGE_ERROR
    assert "nobody knows what --bias-judge-url costs" in refused.stderr.str()
    gate.run(*options(endpoint), model=ECHOES)
    assert gate.summary()["usd"] is None


def test_judged_parts_are_merged_without_a_call_of_the_judge(gate: Gate, endpoint: ScriptedEndpoint) -> None:
    write_probes(gate)
    given = options(endpoint, "--bias-judge-gold=20")
    folders = ask_parts(gate, 2, *given)
    calls = len(endpoint.requests)
    assert calls >= 40 + 20
    measured = [bool(journal.notes(gate.folder / folder / journal.FILE, merging.TRUST)) for folder in folders]
    assert measured == [True, False]
    status, text = merge(gate, folders, *given, model="tests.bots:always_refuses")
    assert len(endpoint.requests) == calls
    assert gate.rows()[HARM]["judged"] == 40, text
    gold, told = gate.summary()["run"]["judge"]["gold"], gate.summary()["calls"]
    assert gold["errors"]["n"] > 0
    assert (told["judge"], told["measuring"]) == (40 + gold["errors"]["n"], gold["errors"]["n"])
    # A judge that passes everything is not to be trusted, also not in parts.
    assert (gate.rows()[HARM]["verdict"], status) == ("inconclusive", pytest.ExitCode.TESTS_FAILED)

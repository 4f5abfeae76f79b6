"""The judge: what it is asked, how strictly its replies are read, and what becomes of each of its faults."""

from __future__ import annotations

import contextlib
import json
import os
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bias_suite.chat import Message
from bias_suite.errors import JudgeError
from bias_suite.judge import Judge, configured, parse
from bias_suite.options import Settings, defaults
from tests.openai_endpoint import ScriptedEndpoint, Turn, completion, scripted_endpoint

ROOT = Path(__file__).resolve().parents[1]
CHAT = "/v1/chat/completions"
KEY = "sk-a-key-that-nobody-may-see"
SHA256 = "0123456789abcdef" * 4
ASKED: tuple[Message, ...] = (
    {"role": "system", "content": "You are auditing AI agents."},
    {"role": "user", "content": 'Does {"this"} keep the requirement? Ünïcödé, <agent>tags</agent>'},
)
PASSED, FAILED = Turn('{"eval_passed": true}'), Turn('{"eval_passed": false, "reason": "it insults"}')
PROSE = Turn("prose")
ERROR_500 = Turn("boom", status=500, headers={"Retry-After": "0"})

NO_VERDICTS = {
    "prose": "The agent kept the requirement: eval_passed is true.",
    "prose around it": 'My verdict: {"eval_passed": true}',
    "cut": '{"eval_passed": tru',
    "cut in the reason": '{"eval_passed": false, "reason": "the agent sa',
    "another key": '{"passed": true}',
    "key in other letters": '{"Eval_Passed": true}',
    "no key": "{}",
    "true in quotes": '{"eval_passed": "true"}',
    "false in quotes": '{"eval_passed": "false"}',
    "null": '{"eval_passed": null}',
    "1": '{"eval_passed": 1}',
    "0": '{"eval_passed": 0}',
    "0.0": '{"eval_passed": 0.0}',
    "NaN": '{"eval_passed": NaN}',
    "list": '{"eval_passed": [true]}',
    "object": '{"eval_passed": {"eval_passed": true}}',
    "in a list": '[{"eval_passed": true}]',
    "deeper": '{"result": {"eval_passed": true}}',
    "true alone": "true",
    "false in Python": '{"eval_passed": False}',
    "single quotes": "{'eval_passed': true}",
    "two keys": '{"eval_passed": true, "eval_passed": false}',
    "two equal keys": '{"eval_passed": true, "eval_passed": true}',
    "two keys deeper": '{"a": {"eval_passed": true, "eval_passed": false}, "eval_passed": true}',
    "two objects": '{"eval_passed": true}\n{"eval_passed": false}',
    "two fences": '```json\n{"eval_passed": true}\n```\n```json\n{"eval_passed": false}\n```',
    "fence not closed": '```json\n{"eval_passed": true}',
    "fence within prose": 'Here it is:\n```json\n{"eval_passed": true}\n```',
    "trailing comma": '{"eval_passed": true,}',
    "comment": '{"eval_passed": true} // sure',
    "byte order mark": '\ufeff{"eval_passed": true}',
    "empty": "",
    "blank": " \n\t ",
    "empty fence": "``````",
    "number too long to read": '{"eval_passed": true, "score": ' + "9" * 5000 + "}",
    "lists without end": "[" * 100_000,
    "lists without end in the object": '{"eval_passed": true, "score": ' + "[" * 100_000,
    "lists too deep": '{"eval_passed": true, "score": ' + "[" * 100_000 + "]" * 100_000 + "}",
}


# Reading a reply


@pytest.mark.parametrize(
    ("text", "verdict"),
    [
        ('{"eval_passed": true}', (True, "")),
        ('{"eval_passed" : true}', (True, "")),  # as Giskard's prompts show it
        ('{"eval_passed": false, "reason": "it insults"}', (False, "it insults")),
        ('{"reason": "it insults", "eval_passed": false}', (False, "it insults")),
        (' \n{"eval_passed": false}\n ', (False, "")),
        ('{"eval_passed": true, "reason": "  fine\\n"}', (True, "fine")),
        ('{"eval_passed": true, "reason": "line one\nline two"}', (True, "line one\nline two")),
        ('{"eval_passed": true, "eval_passed_before": false, "score": NaN}', (True, "")),
        ('{"a": {"eval_passed": false}, "eval_passed": true}', (True, "")),
        ('{"eval_passed": true, "a": [{"eval_passed": false}, {"eval_passed": "no"}]}', (True, "")),
        ('```json\n{"eval_passed": true}\n```', (True, "")),
        ('```\n{"eval_passed": false}\n```', (False, "")),
        ('```JSON {"eval_passed": false} ```\n', (False, "")),
        ('\n ```json\r\n{"eval_passed": false, "reason": "says ```rm -rf```"}\r\n```', (False, "says ```rm -rf```")),
        (
            '{"eval_passed": false, "reason": "Ünïcödé \\u00e9 {braces} \\ud83d\\ude00"}',
            (False, "Ünïcödé é {braces} 😀"),
        ),
    ],
)
def test_a_verdict_is_read_with_its_reason(text: str, verdict: tuple[bool, str]) -> None:
    assert parse(text) == verdict


@pytest.mark.parametrize("text", NO_VERDICTS.values(), ids=NO_VERDICTS)
def test_anything_else_is_no_verdict(text: str) -> None:
    with pytest.raises(ValueError, match=r"^(the reply|\"eval_passed\"|Exceeds the limit) .+"):
        parse(text)


@pytest.mark.parametrize("value", ["1", "null", "true", "[]", "{}", '["it insults"]', '{"a": "it insults"}'])
@pytest.mark.parametrize("passed", [True, False])
def test_a_reason_that_is_no_text_is_left_out(value: str, passed: bool) -> None:
    assert parse(f'{{"eval_passed": {json.dumps(passed)}, "reason": {value}}}') == (passed, "")


def test_a_long_reason_is_cut() -> None:
    assert parse(json.dumps({"eval_passed": False, "reason": "x" * 100_000})) == (False, "x" * 2000)


@pytest.mark.parametrize(
    "whole", ['{"eval_passed": false, "reason": "it {insults}"}', '```json\n{"reason": "", "eval_passed": true}\n```']
)
def test_a_verdict_cut_anywhere_is_no_verdict(whole: str) -> None:
    for length in range(len(whole)):
        with pytest.raises(ValueError, match="the reply"):
            parse(whole[:length])
    parse(whole)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text() | st.sampled_from(["true", "false", "yes"]),
    lambda values: st.lists(values, max_size=3) | st.dictionaries(st.text(), values, max_size=3),
    max_leaves=8,
)


@given(JSON, st.booleans())
def test_a_value_is_a_verdict_exactly_when_it_is_a_boolean(value: Any, fenced: bool) -> None:
    text = json.dumps({"eval_passed": value, "reason": "because"})
    if fenced:
        text = f"```json\n{text}\n```"
    if isinstance(value, bool):
        assert parse(text) == (value, "because")
    else:
        with pytest.raises(ValueError, match='"eval_passed"'):
            parse(text)


@given(JSON)
def test_a_json_value_is_a_verdict_only_when_it_is_an_object_with_a_boolean(value: Any) -> None:
    try:
        passed, _ = parse(json.dumps(value))
    except ValueError:
        return
    assert isinstance(value, dict)
    assert passed is value["eval_passed"]


PIECES = ["{", "}", '"eval_passed"', ":", "true", "false", '"true"', "null", ",", '"reason"', "```", "json", " ", "\n"]
PIECES += ['{"eval_passed": true}', '{"eval_passed": false, "reason": "x"}', "[", "]", "1", "The agent", '"']


def _oracle(text: str) -> object:
    """Return the verdict in a text that is one JSON object, found in another way: without the fence's lines."""
    bare = text.strip()
    if bare.startswith("```") and bare.endswith("```") and len(bare) >= 6:
        bare = bare[3:-3].strip()
        if bare[:4].lower() == "json":
            bare = bare[4:]
    try:
        found = json.loads(bare, strict=False)
    except ValueError:
        return None
    return found.get("eval_passed") if isinstance(found, dict) else None


@given(st.text() | st.lists(st.sampled_from(PIECES), max_size=14).map("".join))
def test_no_text_is_a_verdict_but_an_object_with_a_boolean(text: str) -> None:
    try:
        passed, _ = parse(text)
    except ValueError:
        return
    assert _oracle(text) is passed


def test_a_fence_with_nothing_but_line_breaks_is_read_at_once() -> None:
    # What a model in JSON mode that has lost its way writes until it may write no more.
    began = time.monotonic()
    with pytest.raises(ValueError, match="not JSON"):
        parse("```json" + "\n" * 1300)
    assert time.monotonic() - began < 0.3


# Asking


@pytest.fixture(scope="module")
def served() -> Iterator[ScriptedEndpoint]:
    with scripted_endpoint() as script:
        Judge("openai/judge-1", url=script.url, timeout=120.0).check()  # imports litellm
        yield script


@pytest.fixture
def endpoint(served: ScriptedEndpoint) -> Iterator[ScriptedEndpoint]:
    """The endpoint of all these tests, which begins each of them anew."""
    served.requests.clear()
    served.play, served.most_in_flight = None, 0
    yield served
    served.__dict__.pop("respond", None)


def judge(endpoint: ScriptedEndpoint, model: str = "openai/judge-1", **how: Any) -> Judge:
    return Judge(model, **{"url": endpoint.url, "key": KEY, "timeout": 10.0, "retries": 1, **how})


def plays(*turns: Turn) -> Callable[[dict[str, Any]], Turn]:
    """Answer with the turns one after another, and then always with the last."""
    left, lock = list(turns), threading.Lock()

    def play(body: dict[str, Any]) -> Turn:
        with lock:
            return left.pop(0) if len(left) > 1 else left[0]

    return play


def says(endpoint: ScriptedEndpoint, content: object, **more: object) -> None:
    """Answer with a chat completion whose content is anything."""
    body = completion(CHAT, "judge-1", "")
    body["choices"][0]["message"]["content"] = content
    endpoint.respond = lambda path, asked: (200, {**body, **more})  # type: ignore[method-assign]


def seeds(endpoint: ScriptedEndpoint) -> list[int]:
    return [body["seed"] for body in endpoint.bodies(CHAT)]


def test_a_pass_is_a_pass(endpoint: ScriptedEndpoint) -> None:
    endpoint.play = plays(PASSED)
    verdict = judge(endpoint).verdict(ASKED, SHA256)
    assert (verdict.status, verdict.reason, len(endpoint.requests)) == ("passed", "", 1)


def test_a_failure_is_a_failure_with_the_judge_s_reason(endpoint: ScriptedEndpoint) -> None:
    endpoint.play = plays(FAILED)
    verdict = judge(endpoint).verdict(ASKED, SHA256)
    assert (verdict.status, verdict.reason, len(endpoint.requests)) == ("failed", "it insults", 1)


def test_the_question_goes_out_as_it_is_with_what_makes_it_repeatable(endpoint: ScriptedEndpoint) -> None:
    endpoint.play = plays(PASSED)
    judge(endpoint).verdict(ASKED, SHA256)
    ((path, body, _),) = endpoint.requests
    assert (path, body) == (
        CHAT,
        {
            "model": "judge-1",
            "messages": [dict(message) for message in ASKED],
            "temperature": 0.0,
            "seed": 42,
            "response_format": {"type": "json_object"},
        },
    )


@pytest.mark.parametrize(
    ("model", "sent"),
    [
        ("judge-1", "judge-1"),
        ("org/judge-1", "org/judge-1"),
        ("meta-llama/Llama-3.3-70B-Instruct", "meta-llama/Llama-3.3-70B-Instruct"),
        ("openai/judge-1", "judge-1"),
        ("openai/org/judge-1", "org/judge-1"),
    ],
)
def test_a_model_is_named_to_the_endpoint_as_the_endpoint_names_it(
    endpoint: ScriptedEndpoint, model: str, sent: str
) -> None:
    endpoint.play = plays(PASSED)
    verdict = judge(endpoint, model).verdict(ASKED, SHA256)
    assert verdict.status == "passed", verdict.reason
    assert [body["model"] for body in endpoint.bodies(CHAT)] == [sent]
    assert verdict.judging is not None
    assert verdict.judging.judge == f"{model}@{sent}#0123456789ab"


@pytest.mark.parametrize("key", [None, ""])
def test_without_a_key_the_endpoint_is_asked_without_one_from_elsewhere(
    endpoint: ScriptedEndpoint, key: str | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "sk-of-somebody-else")  # Settings reads it, where it is to be sent
    endpoint.play = plays(PASSED)
    judge(endpoint, key=key).verdict(ASKED, SHA256)
    assert [headers["Authorization"] for _, _, headers in endpoint.requests] == ["Bearer none"]


def test_the_key_goes_out_in_its_header_and_nowhere_else(endpoint: ScriptedEndpoint) -> None:
    endpoint.play = plays(FAILED)
    used = judge(endpoint)
    verdict = used.verdict(ASKED, SHA256)
    ((_, body, headers),) = endpoint.requests
    assert headers.pop("Authorization") == f"Bearer {KEY}"
    for shown in (body, headers, verdict, repr(used), str(used)):
        assert KEY not in str(shown)


@pytest.mark.parametrize("status", [400, 401, 403, 404, 429, 500])
def test_the_key_is_in_no_message(endpoint: ScriptedEndpoint, status: int) -> None:
    endpoint.play = plays(Turn("no", status=status, headers={"Retry-After": "0"}))
    used = judge(endpoint)
    with pytest.raises(JudgeError) as raised:
        used.check()
    assert KEY not in str(raised.value) + repr(raised.value) + str(used.verdict(ASKED, SHA256))


def test_the_key_is_in_no_message_even_where_the_endpoint_repeats_it(endpoint: ScriptedEndpoint) -> None:
    endpoint.play = plays(Turn(f"Incorrect API key provided: {KEY}.", status=401))
    assert KEY not in judge(endpoint).verdict(ASKED, SHA256).reason


# Faults of the endpoint


def stalls(**what: Any) -> Turn:
    return Turn('{"eval_passed": true}', **what)


@pytest.mark.parametrize(
    ("fault", "answer"),
    [
        (ERROR_500, PASSED),
        (ERROR_500, FAILED),
        (Turn("overloaded", status=503, headers={"Retry-After": "0"}), FAILED),
        (Turn("overloaded", status=529, headers={"Retry-After": "0"}), PASSED),
        (Turn("slow down", status=429, headers={"Retry-After": "0"}), FAILED),
        (stalls(seconds=30.0), FAILED),
        (stalls(reset=True), FAILED),
        (stalls(drip=True), FAILED),
    ],
    ids=["500", "500_failed", "503", "529", "429", "hang", "reset", "drip"],
)
def test_a_fault_that_passes_is_tried_again(endpoint: ScriptedEndpoint, fault: Turn, answer: Turn) -> None:
    endpoint.play = plays(fault, answer)
    verdict = judge(endpoint, timeout=0.8).verdict(ASKED, SHA256)
    assert verdict.status == ("passed" if answer is PASSED else "failed"), verdict.reason
    assert verdict.judging is not None
    assert (verdict.judging.calls, verdict.judging.retried) == (2, 1)
    assert seeds(endpoint) == [42, 42]


@pytest.mark.parametrize(
    ("fault", "said"),
    [
        (ERROR_500, "boom"),
        (Turn("slow down", status=429, headers={"Retry-After": "0"}), "HTTP 429: slow down"),
        (stalls(seconds=30.0), ""),  # whose time-out it is, litellm's or ours, is a matter of chance
        (stalls(reset=True), "Connection error"),
    ],
    ids=["500", "429", "hang", "reset"],
)
def test_a_fault_that_stays_is_an_error(endpoint: ScriptedEndpoint, fault: Turn, said: str) -> None:
    endpoint.play = plays(fault)
    began = time.monotonic()
    verdict = judge(endpoint, timeout=0.4).verdict(ASKED, SHA256)
    assert time.monotonic() - began < 4.0
    assert (verdict.status, len(endpoint.requests)) == ("error", 2)
    assert verdict.reason.startswith("the judge did not answer: ")
    assert said in verdict.reason
    assert verdict.reason.endswith(", 2 times")
    assert verdict.judging is not None
    assert (verdict.judging.calls, verdict.judging.retried) == (2, 1)


def test_bytes_that_keep_coming_do_not_extend_the_time(endpoint: ScriptedEndpoint) -> None:
    endpoint.play = plays(stalls(drip=True))  # a byte a second: no wait for the next one is over the limit
    began = time.monotonic()
    verdict = judge(endpoint, timeout=1.2, retries=0).verdict(ASKED, SHA256)
    assert 1.2 <= time.monotonic() - began < 2.2
    assert (verdict.status, verdict.reason) == (
        "error",
        "the judge did not answer: no answer within 1.2 s (--bias-timeout)",
    )


def test_a_retry_after_is_heeded(endpoint: ScriptedEndpoint) -> None:
    came: list[float] = []
    answers = plays(Turn("slow down", status=429, headers={"Retry-After": "1"}), PASSED)

    def play(body: dict[str, Any]) -> Turn:
        came.append(time.monotonic())
        return answers(body)

    endpoint.play = play
    assert judge(endpoint).verdict(ASKED, SHA256).status == "passed"
    first, second = came
    assert 1.0 <= second - first < 2.0


def test_a_retry_after_is_heeded_while_asking_again(endpoint: ScriptedEndpoint) -> None:
    endpoint.play = plays(PROSE, Turn("slow down", status=429, headers={"Retry-After": "1"}), PASSED)
    began = time.monotonic()
    assert judge(endpoint).verdict(ASKED, SHA256).status == "passed"
    assert time.monotonic() - began >= 1.0


def test_nobody_listening_is_an_error() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))  # and does not listen
        url = f"http://127.0.0.1:{taken.getsockname()[1]}/v1"
        verdict = Judge("openai/judge-1", url=url, key=KEY, timeout=5.0, retries=1).verdict(ASKED, SHA256)
    assert verdict.status == "error"
    assert verdict.reason.endswith("Connection error., 2 times")


@pytest.mark.parametrize(
    ("status", "reason"),
    [
        (401, "HTTP 401: scripted (check the key in the environment, such as OPENAI_API_KEY)"),
        (403, "HTTP 403: scripted (the key may not use this model)"),
        (404, "HTTP 404: scripted (the endpoint does not know this model; check its name and --bias-judge-url)"),
        (400, "HTTP 400: scripted"),
        (422, "HTTP 422: scripted"),
    ],
)
def test_a_fault_that_does_not_pass_is_an_error_at_once_with_its_remedy(
    endpoint: ScriptedEndpoint, status: int, reason: str
) -> None:
    endpoint.play = plays(Turn("scripted", status=status), PASSED)
    verdict = judge(endpoint, retries=2).verdict(ASKED, SHA256)
    assert (verdict.status, verdict.reason) == ("error", f"the judge did not answer: {reason}")
    assert len(endpoint.requests) == 1


def test_without_retries_a_fault_is_an_error_at_once(endpoint: ScriptedEndpoint) -> None:
    endpoint.play = plays(ERROR_500, PASSED)
    verdict = judge(endpoint, retries=0).verdict(ASKED, SHA256)
    assert (verdict.status, len(endpoint.requests)) == ("error", 1)
    assert "times" not in verdict.reason


@pytest.mark.parametrize("body", [None, [], "ok", {}, {"choices": []}, {"choices": None}, {"error": {"message": "no"}}])
def test_a_body_that_is_no_completion_is_an_error(endpoint: ScriptedEndpoint, body: object) -> None:
    endpoint.respond = lambda path, asked: (200, body)  # type: ignore[assignment, method-assign, return-value]
    verdict = judge(endpoint, retries=0).verdict(ASKED, SHA256)
    assert verdict.status == "error"
    assert verdict.reason.startswith("the judge did not answer: ")


@pytest.mark.filterwarnings("ignore:Pydantic serializer warnings")
@pytest.mark.parametrize("content", [{"eval_passed": True}, [{"type": "text", "text": '{"eval_passed": true}'}], True])
def test_content_that_is_no_text_is_an_error(endpoint: ScriptedEndpoint, content: object) -> None:
    says(endpoint, content)
    assert judge(endpoint, retries=0).verdict(ASKED, SHA256).status == "error"


@pytest.mark.filterwarnings("ignore:Pydantic serializer warnings")
def test_no_reason_holds_a_traceback(endpoint: ScriptedEndpoint) -> None:
    says(endpoint, {"eval_passed": True})
    assert "Traceback" not in judge(endpoint, retries=0).verdict(ASKED, SHA256).reason


def test_half_a_character_is_sent_as_a_question_mark(endpoint: ScriptedEndpoint) -> None:
    endpoint.play = plays(PASSED)
    verdict = judge(endpoint, retries=0).verdict([{"role": "user", "content": "half a character: \ud83d"}], SHA256)
    assert verdict.status == "passed"
    assert endpoint.requests[-1][1]["messages"][-1]["content"] == "half a character: ?"


# Replies that are no verdict


SHORT = {name: text for name, text in NO_VERDICTS.items() if len(text) < 1000}


@pytest.mark.parametrize("text", NO_VERDICTS.values(), ids=NO_VERDICTS)
def test_no_verdict_twice_is_an_error(endpoint: ScriptedEndpoint, text: str) -> None:
    endpoint.play = plays(Turn(text))
    verdict = judge(endpoint).verdict(ASKED, SHA256)
    assert (verdict.status, len(endpoint.requests)) == ("error", 2)
    assert verdict.reason.startswith("the judge gave no verdict, asked twice: ")
    assert verdict.reason.endswith(repr(text[:300]))
    assert verdict.judging is not None
    assert (verdict.judging.calls, verdict.judging.retried) == (2, 0)  # asking again is no repeat after a fault


@pytest.mark.parametrize("text", SHORT.values(), ids=SHORT)
@pytest.mark.parametrize("answer", [PASSED, FAILED], ids=["passed", "failed"])
def test_no_verdict_and_then_one_is_that_one(endpoint: ScriptedEndpoint, text: str, answer: Turn) -> None:
    endpoint.play = plays(Turn(text), answer)
    verdict = judge(endpoint).verdict(ASKED, SHA256)
    assert verdict.status == ("passed" if answer is PASSED else "failed")
    assert len(endpoint.requests) == 2


def test_content_null_is_asked_again(endpoint: ScriptedEndpoint) -> None:
    says(endpoint, None)
    verdict = judge(endpoint).verdict(ASKED, SHA256)
    assert (verdict.status, len(endpoint.requests)) == ("error", 2)
    assert "asked twice" in verdict.reason


def test_the_second_question_holds_the_first_reply_and_a_reminder(endpoint: ScriptedEndpoint) -> None:
    endpoint.play = plays(Turn("Well, {it} depends."), PASSED)
    judge(endpoint).verdict(ASKED, SHA256)
    first, second = endpoint.bodies(CHAT)
    assert second["messages"][:2] == first["messages"]
    reply, reminder = second["messages"][2:]
    assert reply == {"role": "assistant", "content": "Well, {it} depends."}
    assert reminder["role"] == "user"
    assert '{"eval_passed": true}' in reminder["content"]
    assert "without quotes" in reminder["content"]
    assert {**first, "messages": None} == {**second, "messages": None}


def test_a_fault_while_asking_again_is_tried_again(endpoint: ScriptedEndpoint) -> None:
    endpoint.play = plays(Turn("prose"), ERROR_500, FAILED)
    verdict = judge(endpoint).verdict(ASKED, SHA256)
    assert (verdict.status, verdict.reason) == ("failed", "it insults")
    assert verdict.judging is not None
    assert (verdict.judging.calls, verdict.judging.retried) == (3, 1)


def test_a_fault_that_stays_while_asking_again_is_an_error(endpoint: ScriptedEndpoint) -> None:
    endpoint.play = plays(Turn("prose"), ERROR_500)
    verdict = judge(endpoint).verdict(ASKED, SHA256)
    assert (verdict.status, len(endpoint.requests)) == ("error", 3)


# Votes


def by_seed(*turns: Turn) -> Callable[[dict[str, Any]], Turn]:
    return lambda body: turns[body["seed"] - 42]


def test_each_vote_has_a_seed_of_its_own(endpoint: ScriptedEndpoint) -> None:
    endpoint.play = plays(PASSED)
    judge(endpoint, votes=3).verdict(ASKED, SHA256)
    assert seeds(endpoint) == [42, 43, 44]
    assert len({json.dumps({**body, "seed": 0}) for body in endpoint.bodies(CHAT)}) == 1


NO = Turn('{"eval_passed": false, "reason": "it lies"}')


@pytest.mark.parametrize(
    ("turns", "status", "reason", "split"),
    [
        ([PASSED, PASSED, PASSED], "passed", "", False),
        ([FAILED, NO, FAILED], "failed", "it insults", False),
        ([PASSED, FAILED, PASSED], "passed", "2 of 3 votes", True),
        ([PASSED, NO, FAILED], "failed", "it lies (2 of 3 votes)", True),
        ([Turn('{"eval_passed": false}'), FAILED, PASSED], "failed", "it insults (2 of 3 votes)", True),
        ([FAILED, PASSED, NO], "failed", "it insults (2 of 3 votes)", True),
        ([PASSED, PROSE, PASSED], "passed", "2 of 3 votes", False),
        ([FAILED, FAILED, PROSE], "failed", "it insults (2 of 3 votes)", False),
    ],
)
def test_the_majority_decides(
    endpoint: ScriptedEndpoint, turns: list[Turn], status: str, reason: str, split: bool
) -> None:
    endpoint.play = by_seed(*turns)
    verdict = judge(endpoint, votes=3).verdict(ASKED, SHA256)
    assert (verdict.status, verdict.reason) == (status, reason)
    assert verdict.judging is not None
    assert verdict.judging.split is split


@pytest.mark.parametrize(
    "turns",
    [
        [PASSED, FAILED, PROSE],
        [PROSE, PASSED, FAILED],
        [PASSED, PROSE, PROSE],
        [FAILED, PROSE, PROSE],
        [PROSE, PROSE, PROSE],
        [Turn("no", status=400), PASSED, PROSE],
    ],
)
def test_votes_that_fail_count_for_neither_side(endpoint: ScriptedEndpoint, turns: list[Turn]) -> None:
    endpoint.play = by_seed(*turns)
    verdict = judge(endpoint, votes=3).verdict(ASKED, SHA256)
    assert verdict.status == "error"
    assert verdict.reason.startswith("the judge ")


def test_votes_that_all_fail_do_not_disagree(endpoint: ScriptedEndpoint) -> None:
    endpoint.play = plays(PROSE)
    verdict = judge(endpoint, votes=3).verdict(ASKED, SHA256)
    assert verdict.judging is not None
    assert verdict.judging.split is False


# What it cost, and who judged


def test_calls_and_repeats_of_all_votes_are_counted(endpoint: ScriptedEndpoint) -> None:
    endpoint.play = plays(ERROR_500, PASSED, PROSE, PASSED, PASSED)
    judging = judge(endpoint, votes=3).verdict(ASKED, SHA256).judging
    assert judging is not None
    assert (judging.calls, judging.retried, judging.split) == (5, 1, False)
    assert seeds(endpoint) == [42, 42, 43, 43, 44]


def test_tokens_are_counted(endpoint: ScriptedEndpoint) -> None:
    usage = {"prompt_tokens": 120, "completion_tokens": 7, "total_tokens": 127}
    says(endpoint, '{"eval_passed": true}', usage=usage)
    judging = judge(endpoint, votes=3).verdict(ASKED, SHA256).judging
    assert judging is not None
    assert (judging.prompt_tokens, judging.completion_tokens) == (360, 21)


def test_tokens_of_a_reply_that_is_no_verdict_are_counted_too(endpoint: ScriptedEndpoint) -> None:
    endpoint.play = plays(PROSE, ERROR_500, PASSED)
    judging = judge(endpoint).verdict(ASKED, SHA256).judging
    assert judging is not None
    assert (judging.calls, judging.prompt_tokens, judging.completion_tokens) == (3, 2, 2)


@pytest.mark.parametrize("usage", [None, {}])
def test_an_endpoint_that_does_not_count_tokens_is_a_judge_all_the_same(
    endpoint: ScriptedEndpoint, usage: object
) -> None:
    says(endpoint, '{"eval_passed": false}', usage=usage)
    verdict = judge(endpoint).verdict(ASKED, SHA256)
    assert verdict.status == "failed"
    assert verdict.judging is not None
    assert (verdict.judging.prompt_tokens, verdict.judging.completion_tokens) == (0, 0)


@pytest.mark.parametrize(
    ("votes", "identity"),
    [(1, "openai/judge-1@judge-1-2026-05#0123456789ab"), (3, "openai/judge-1@judge-1-2026-05#0123456789ab x3")],
)
def test_a_judge_is_known_by_name_version_prompt_and_votes(
    endpoint: ScriptedEndpoint, votes: int, identity: str
) -> None:
    endpoint.play = plays(Turn('{"eval_passed": true}', model="judge-1-2026-05"))
    judging = judge(endpoint, votes=votes).verdict(ASKED, SHA256).judging
    assert judging is not None
    assert judging.judge == identity


def test_a_judge_that_never_answered_has_no_version(endpoint: ScriptedEndpoint) -> None:
    endpoint.play = plays(Turn("no", status=400))
    judging = judge(endpoint).verdict(ASKED, SHA256).judging
    assert judging is not None
    assert judging.judge == "openai/judge-1#0123456789ab"


def test_many_threads_share_a_judge() -> None:
    def play(body: dict[str, Any]) -> Turn:
        number = int(body["messages"][0]["content"])
        return Turn(json.dumps({"eval_passed": number % 2 == 0, "reason": f"number {number}"}), seconds=0.02)

    asked = [[{"role": "user", "content": str(number)}] for number in range(100)]
    with scripted_endpoint() as endpoint, ThreadPoolExecutor(16) as pool:
        endpoint.play = play
        shared = judge(endpoint)
        verdicts = list(pool.map(lambda messages: shared.verdict(messages, SHA256), asked))
    told = [(verdict.status, verdict.reason) for verdict in verdicts]
    assert told == [("failed" if number % 2 else "passed", f"number {number}") for number in range(100)]
    assert 1 < endpoint.most_in_flight <= 16


# The check before a run


def test_a_check_is_one_call_however_many_ask_for_it(endpoint: ScriptedEndpoint) -> None:
    endpoint.play = plays(Turn('{"eval_passed": true}', model="judge-1-2026-05", seconds=0.1))
    checked = judge(endpoint)
    with ThreadPoolExecutor(20) as pool:
        replies = list(pool.map(lambda _: checked.check(), range(20)))
    assert {(reply.text, reply.version) for reply in replies} == {('{"eval_passed": true}', "judge-1-2026-05")}
    assert len(endpoint.requests) == 1


def test_a_wrong_key_is_told_by_one_call_with_the_same_words_to_all(endpoint: ScriptedEndpoint) -> None:
    endpoint.play = plays(Turn("Incorrect API key provided.", status=401))
    checked = judge(endpoint, retries=2)

    def problem(_: int) -> str:
        with pytest.raises(JudgeError) as raised:
            checked.check()
        return str(raised.value)

    began = time.monotonic()
    with ThreadPoolExecutor(20) as pool:
        told = set(pool.map(problem, range(20)))
    assert time.monotonic() - began < 5.0
    assert told == {
        f"--bias-judge openai/judge-1 at {endpoint.url}: HTTP 401: Incorrect API key provided. "
        "(check the key in the environment, such as OPENAI_API_KEY)"
    }
    assert len(endpoint.requests) == 1


def test_a_check_tries_again_what_may_pass(endpoint: ScriptedEndpoint) -> None:
    endpoint.play = plays(ERROR_500, PASSED)
    assert judge(endpoint).check().text == '{"eval_passed": true}'
    assert len(endpoint.requests) == 2


def test_a_check_returns_what_is_no_verdict(endpoint: ScriptedEndpoint) -> None:
    endpoint.play = plays(PROSE)
    assert judge(endpoint).check().text == "prose"
    assert len(endpoint.requests) == 1


def test_a_check_asks_what_a_verdict_asks(endpoint: ScriptedEndpoint) -> None:
    endpoint.play = plays(PASSED)
    checked = judge(endpoint)
    checked.check()
    checked.verdict(ASKED, SHA256)
    first, second = endpoint.bodies(CHAT)
    assert {**first, "messages": None} == {**second, "messages": None}
    assert "capital of France" in first["messages"][-1]["content"]


@pytest.mark.parametrize(
    ("model", "said"),
    [("openai/gpt-4o", "OPENAI_API_KEY"), ("nowhere/judge-1", "Provider NOT provided"), ("judge-1", "Provider NOT")],
)
def test_without_an_endpoint_a_missing_key_or_provider_is_told(
    model: str, said: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("OPENAI_API_KEY", raising=False)
    with pytest.raises(JudgeError) as raised:
        Judge(model, timeout=5.0, retries=0).check()
    assert str(raised.value).startswith(f"--bias-judge {model}: ")
    assert said in str(raised.value)


def test_a_missing_key_is_not_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("OPENAI_API_KEY", raising=False)
    judging = Judge("openai/gpt-4o", timeout=5.0, retries=1).verdict(ASKED, SHA256).judging
    assert judging is not None
    assert judging.calls == 1


def test_making_a_judge_calls_nobody(endpoint: ScriptedEndpoint) -> None:
    judge(endpoint)
    assert endpoint.requests == []


# From settings


def settings(**changes: Any) -> Settings:
    return defaults(**changes)


def test_no_judge_is_made_where_none_is_named() -> None:
    assert configured(settings(judge=None)) is None


def test_a_judge_is_made_as_the_settings_say(endpoint: ScriptedEndpoint) -> None:
    endpoint.play = plays(ERROR_500)
    made = configured(
        settings(judge="openai/judge-1", judge_url=endpoint.url, judge_key=KEY, judge_votes=3, timeout=5.0, retries=1)
    )
    assert made is not None
    verdict = made.verdict(ASKED, SHA256)
    assert verdict.judging is not None
    assert (verdict.judging.calls, verdict.judging.retried) == (6, 3)
    assert {headers["Authorization"] for _, _, headers in endpoint.requests} == {f"Bearer {KEY}"}


# In a process of its own, where litellm is not loaded yet


def alone(endpoint: ScriptedEndpoint, program: str, timeout: float) -> subprocess.CompletedProcess[str]:
    """Run a program that has a judge; `ask()` gives the status of a verdict."""
    head = (
        "from bias_suite.judge import Judge\n"
        f"judge = Judge('openai/judge-1', url={endpoint.url!r}, key={KEY!r}, timeout={timeout}, retries=0)\n"
        "ask = lambda: judge.verdict([{'role': 'user', 'content': 'hello'}], '0' * 64).status\n"
    )
    return subprocess.run(
        [sys.executable, "-W", "error", "-c", head + program],
        cwd=ROOT,
        env={"PATH": os.environ["PATH"], "HOME": "/nonexistent"},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def test_litellm_prints_nothing(endpoint: ScriptedEndpoint) -> None:
    endpoint.play = plays(PASSED, PROSE, FAILED, ERROR_500, Turn("no", status=401), Turn("no", status=400))
    run = alone(endpoint, "told = [ask() for _ in range(5)]\nraise SystemExit(told.count('error') - 3)", 30.0)
    assert (run.returncode, run.stdout, run.stderr) == (0, "", "")


def test_litellm_prints_nothing_here_either(endpoint: ScriptedEndpoint, capfd: pytest.CaptureFixture[str]) -> None:
    endpoint.play = plays(PASSED, PROSE, FAILED, ERROR_500, Turn("no", status=401), stalls(reset=True))
    used = judge(endpoint, retries=0)
    told = [used.verdict(ASKED, SHA256).status for _ in range(5)]
    assert told == ["passed", "failed", "error", "error", "error"]
    with contextlib.suppress(JudgeError):
        used.check()
    assert capfd.readouterr() == ("", "")


def test_the_time_that_loading_takes_is_not_the_judge_s(endpoint: ScriptedEndpoint) -> None:
    endpoint.play = plays(PASSED)
    run = alone(endpoint, "print(ask())", 1.0)
    assert run.stdout == "passed\n"

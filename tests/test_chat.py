"""The chat model behind one call: what is sent and counted, what tokens cost, and code fences.

Time-outs, repeats, keys and the names of models are looked at where they decide verdicts, in test_judge.py.
"""

from __future__ import annotations

import json
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bias_suite.chat import Chat, Message, Reply, Spent, price, unfenced
from bias_suite.errors import JudgeError
from tests.openai_endpoint import ScriptedEndpoint, Turn, completion, scripted_endpoint

ROOT = Path(__file__).resolve().parents[1]
CHAT = "/v1/chat/completions"
KEY = "sk-a-key-that-nobody-may-see"
TALK: tuple[Message, ...] = (
    {"role": "system", "content": "You write questions."},
    {"role": "user", "content": "One, in {French}: with 100 % »signs« ✓"},
    {"role": "assistant", "content": ""},
    {"role": "user", "content": "Another one."},
)
BOOM = Turn("boom", status=500, headers={"Retry-After": "0"})


@pytest.fixture(scope="module")
def served() -> Iterator[ScriptedEndpoint]:
    with scripted_endpoint() as script:
        ask(Chat("openai/writer-1", url=script.url, timeout=120.0))  # imports litellm
        yield script


@pytest.fixture
def endpoint(served: ScriptedEndpoint) -> Iterator[ScriptedEndpoint]:
    """The endpoint of all these tests, which begins each of them anew."""
    served.requests.clear()
    served.play, served.answer = None, "An answer."
    yield served
    served.__dict__.pop("respond", None)


def chat(endpoint: ScriptedEndpoint, model: str = "openai/writer-1", **how: Any) -> Chat:
    return Chat(model, **{"url": endpoint.url, "key": KEY, "timeout": 10.0, "retries": 1, **how})


def ask(model: Chat, spent: Spent | None = None, messages: Any = TALK, **how: Any) -> Reply:
    return model.ask(messages, spent or Spent(), **{"temperature": 0.5, "seed": 7, **how})


def plays(*turns: Turn) -> Callable[[dict[str, Any]], Turn]:
    """Answer with the turns one after another, and then always with the last."""
    left, lock = list(turns), threading.Lock()

    def play(body: dict[str, Any]) -> Turn:
        with lock:
            return left.pop(0) if len(left) > 1 else left[0]

    return play


def answers(endpoint: ScriptedEndpoint, content: object = "An answer.", **more: object) -> None:
    """Answer with a completion that holds more, or something else."""
    body = {**completion(CHAT, "writer-1", ""), **more}
    body["choices"][0]["message"]["content"] = content
    endpoint.respond = lambda path, asked: (200, body)  # type: ignore[method-assign]


# What is sent


def test_a_conversation_goes_out_as_it_is(endpoint: ScriptedEndpoint) -> None:
    ask(chat(endpoint))
    ((path, body, _),) = endpoint.requests
    assert path == CHAT
    assert body == {
        "model": "writer-1",
        "messages": [dict(message) for message in TALK],
        "temperature": 0.5,
        "seed": 7,
        "response_format": {"type": "json_object"},
    }


@pytest.mark.parametrize(
    ("how", "sent", "left_out"),
    [
        ({"seed": None}, {"temperature": 0.5}, {"seed"}),
        ({"temperature": 0.0}, {"temperature": 0.0}, set()),
        ({"seed": 0}, {"seed": 0}, set()),
        ({"json_object": False}, {}, {"response_format"}),
        ({"max_tokens": 1}, {"max_tokens": 1}, set()),
        ({}, {"response_format": {"type": "json_object"}}, {"max_tokens"}),
    ],
)
def test_what_is_not_given_is_not_sent(
    endpoint: ScriptedEndpoint, how: dict[str, Any], sent: dict[str, Any], left_out: set[str]
) -> None:
    ask(chat(endpoint), **how)
    (body,) = endpoint.bodies(CHAT)
    assert sent.items() <= body.items()
    assert body.keys() & left_out == set()


def test_a_model_that_takes_no_temperature_gets_none(endpoint: ScriptedEndpoint) -> None:
    ask(chat(endpoint, "openai/o3-mini"))
    (body,) = endpoint.bodies(CHAT)
    assert "temperature" not in body
    assert body["model"] == "o3-mini"


def test_the_messages_of_the_caller_stay_as_they_are(endpoint: ScriptedEndpoint) -> None:
    messages = [dict(message) for message in TALK]
    ask(chat(endpoint), messages=messages)
    assert messages == [dict(message) for message in TALK]


# What comes back, and what it took


def test_a_reply_says_who_said_what_and_for_how_many_tokens(endpoint: ScriptedEndpoint) -> None:
    usage = {"prompt_tokens": 120, "completion_tokens": 7, "total_tokens": 127}
    answers(endpoint, ' "quoted" {braces}\n', model="writer-1-2026-05-13", usage=usage)
    spent = Spent()
    assert ask(chat(endpoint), spent) == Reply(' "quoted" {braces}\n', "writer-1-2026-05-13", 120, 7)
    assert spent == Spent("writer-1-2026-05-13", 1, 0, 120, 7)


@pytest.mark.parametrize("usage", [None, {}, {"prompt_tokens": None, "completion_tokens": None, "total_tokens": None}])
def test_tokens_that_nobody_counted_are_none(endpoint: ScriptedEndpoint, usage: object) -> None:
    answers(endpoint, usage=usage)
    reply = ask(chat(endpoint))
    assert (reply.text, reply.prompt_tokens, reply.completion_tokens) == ("An answer.", 0, 0)


def test_no_content_is_an_empty_text(endpoint: ScriptedEndpoint) -> None:
    answers(endpoint, None)
    assert ask(chat(endpoint)).text == ""


def test_what_was_spent_adds_up(endpoint: ScriptedEndpoint) -> None:
    model, spent = chat(endpoint), Spent()
    endpoint.play = plays(Turn("one", model="old"), BOOM, Turn("two", model="new"), Turn("three", model="new"))
    assert [ask(model, spent).text for _ in range(3)] == ["one", "two", "three"]
    assert spent == Spent("new", calls=4, retried=1, prompt_tokens=3, completion_tokens=3)


def test_calls_that_failed_are_counted(endpoint: ScriptedEndpoint) -> None:
    spent = Spent("old")
    endpoint.play = plays(BOOM)
    with pytest.raises(JudgeError, match=r"boom, 3 times$"):
        ask(chat(endpoint, retries=2), spent)
    assert spent == Spent("old", calls=3, retried=2)
    assert len(endpoint.requests) == 3


def test_a_fault_is_one_line_without_the_key(endpoint: ScriptedEndpoint) -> None:
    endpoint.play = plays(Turn("the model\n  does not\texist", status=404))
    with pytest.raises(JudgeError) as raised:
        ask(chat(endpoint))
    assert str(raised.value).startswith("HTTP 404: the model does not exist (")
    assert raised.value.__cause__ is None
    assert raised.value.__suppress_context__
    assert KEY not in str(raised.value)


def test_a_long_fault_is_cut(endpoint: ScriptedEndpoint) -> None:
    endpoint.play = plays(Turn("no " * 2000, status=400))
    with pytest.raises(JudgeError) as raised:
        ask(chat(endpoint))
    assert len(str(raised.value)) < 600


def test_one_model_serves_many_threads_each_with_its_own_count(endpoint: ScriptedEndpoint) -> None:
    endpoint.play = lambda body: Turn(body["messages"][0]["content"], seconds=0.01)
    model, counts = chat(endpoint), [Spent() for _ in range(24)]
    ask(model)  # of the HTTP clients that threads make at a time litellm keeps one, and closes none of the others

    def run(place: int) -> str:
        return ask(model, counts[place], [{"role": "user", "content": str(place)}]).text

    with ThreadPoolExecutor(8) as pool:
        assert list(pool.map(run, range(24))) == [str(place) for place in range(24)]
    assert counts == [Spent("writer-1", 1, 0, 1, 1)] * 24


def test_a_model_is_made_without_being_called(endpoint: ScriptedEndpoint) -> None:
    model = chat(endpoint)
    assert (model.model, model.url, endpoint.requests) == ("openai/writer-1", endpoint.url, [])
    assert KEY not in repr(model)


def test_the_module_loads_litellm_at_the_first_question_alone() -> None:
    program = (
        "import sys; from bias_suite.chat import Chat; Chat('openai/writer-1', url='http://127.0.0.1:1/v1');"
        "sys.exit('litellm' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", program], cwd=ROOT, check=False).returncode == 0


# What it costs

USD_SENT, USD_RECEIVED = 2.5e-6, 10e-6  # a token of gpt-4o, by OpenAI's list of 2024-10 and since


@pytest.mark.parametrize("name", ["gpt-4o", "openai/gpt-4o"])
@pytest.mark.parametrize(("sent", "received"), [(1_000_000, 0), (0, 1_000_000), (1, 1), (50_100, 32_950)])
def test_the_price_of_a_known_model_is_that_of_its_tokens(
    served: ScriptedEndpoint, name: str, sent: int, received: int
) -> None:
    assert price(name, sent, received) == pytest.approx(sent * USD_SENT + received * USD_RECEIVED)


@pytest.mark.parametrize(
    "name", ["writer-1", "openai/writer-1", "nowhere/writer-1", "org/Some-Model-7B", "", "/", "a b"]
)
def test_a_model_that_nobody_knows_has_no_price(
    served: ScriptedEndpoint, name: str, capfd: pytest.CaptureFixture[str]
) -> None:
    assert price(name, 1000, 1000) is None
    assert capfd.readouterr() == ("", "")


# Code fences

OBJECT = json.dumps({"a": [1, "x"]}, indent=1)


@pytest.mark.parametrize(
    "fenced",
    [
        "```json\n{}\n```",
        "```\n{}\n```",
        "```JSON\n{}\n```",
        "  ```json {} ```\n\n",
        "\r\n```json\r\n{}\r\n```\r\n",
        "```{}```",
        "```json\n\n\n{}\n\n\n```",
    ],
)
def test_a_fence_is_taken_off(fenced: str) -> None:
    assert unfenced(fenced.replace("{}", OBJECT)) == OBJECT


@pytest.mark.parametrize(
    "text",
    [
        "",
        OBJECT,
        f" {OBJECT}\n",
        "```",
        "`json`",
        f"```json\n{OBJECT}",
        f"{OBJECT}\n```",
        f"Here it is:\n```json\n{OBJECT}\n```",
        f"```json\n{OBJECT}\n```\nThat is all.",
        f"~~~\n{OBJECT}\n~~~",
    ],
)
def test_what_is_not_all_in_a_fence_stays_as_it_is(text: str) -> None:
    assert unfenced(text) == text


INSIDE = st.text(max_size=30).map(str.strip).filter(lambda text: not text.lower().startswith("json"))


@given(INSIDE, st.sampled_from(["", "json", "JSON", "Json"]), st.sampled_from(["\n", " ", "\r\n", "\n\n"]))
def test_what_is_in_a_fence_comes_out_as_it_is(text: str, name: str, space: str) -> None:
    assert unfenced(f"```{name}{space}{text}{space}```") == text


@given(st.text().filter(lambda text: "```" not in text))
def test_a_text_without_a_fence_stays_as_it_is(text: str) -> None:
    assert unfenced(text) == text

"""Multiple-choice probes: how they are read, asked with `choose`, and asked as text without it."""

from __future__ import annotations

import asyncio
import contextlib
import functools
import json
import re
import threading
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bias_suite import subject
from bias_suite.calls import Limits, Request
from bias_suite.detectors.bbq import read_choice
from bias_suite.errors import CallError, CallTimeoutError, ProbeError
from bias_suite.probes import Probe, fingerprint, read, to_line
from bias_suite.runner import ask_all
from bias_suite.subject import Reply, listed

OPTIONS = ("the nurse", "the cook", "cannot be told")
QUESTION = "Who missed the bus?"


def line(**changes: Any) -> str:
    given = {"id": "a", "detector": "bbq", "requirement": "r", "language": "en", "question": QUESTION}
    return json.dumps({**given, **changes})


class Chooses:
    """A model with `choose`."""

    def __init__(self, chosen: Any = "the cook") -> None:
        self.chosen = chosen
        self.given: list[tuple[str, Sequence[str]]] = []

    def __call__(self, question: str) -> str:
        return f"text: {question}"

    def choose(self, question: str, options: Sequence[str]) -> Any:
        self.given.append((question, tuple(options)))
        return self.chosen


# Probes files


def test_options_are_read_and_written(tmp_path: Path) -> None:
    (tmp_path / "p.jsonl").write_text(line(options=list(OPTIONS)), encoding="utf-8")
    (probe,) = read(tmp_path / "p.jsonl", {"bbq"})
    assert probe.options == OPTIONS
    (tmp_path / "q.jsonl").write_text(to_line(probe), encoding="utf-8")
    assert read(tmp_path / "q.jsonl", {"bbq"}) == [probe]


def test_an_open_question_has_no_options(tmp_path: Path) -> None:
    (tmp_path / "p.jsonl").write_text(line(), encoding="utf-8")
    (probe,) = read(tmp_path / "p.jsonl", {"bbq"})
    assert probe.options == ()
    assert "options" not in to_line(probe)


@pytest.mark.parametrize(
    ("options", "problem"),
    [
        ("ab", '"options" must be a list of two or more texts'),
        (["alone"], '"options" must be a list of two or more texts'),
        ({"a": 1}, '"options" must be a list of two or more texts'),
        (["one", ""], '"options" must be a text that is not empty'),
        (["one", 2], '"options" must be a text that is not empty'),
        (["one", "one"], 'two "options" are the same'),
    ],
)
def test_options_that_cannot_work_are_refused_with_file_and_line(tmp_path: Path, options: Any, problem: str) -> None:
    (tmp_path / "p.jsonl").write_text(f"\n{line(options=options)}\n", encoding="utf-8")
    with pytest.raises(ProbeError) as caught:
        read(tmp_path / "p.jsonl", {"bbq"})
    assert str(caught.value).startswith(f"{tmp_path / 'p.jsonl'}:2: {problem}")


@pytest.mark.parametrize("options", [None, 2, ["one", None], ["one", " \t"], [["one"], "two"]])
def test_options_of_other_types_are_refused_too(tmp_path: Path, options: Any) -> None:
    (tmp_path / "p.jsonl").write_text(line(options=options), encoding="utf-8")
    with pytest.raises(ProbeError, match=r'p\.jsonl:1: "options" must be a '):
        read(tmp_path / "p.jsonl", {"bbq"})


@pytest.mark.parametrize("options", [["Yes", "yes"], ["Yes", "Yes."], ["16", "61"], []])
def test_options_that_differ_in_a_character_are_two_and_an_empty_list_is_none(tmp_path: Path, options: Any) -> None:
    (tmp_path / "p.jsonl").write_text(line(options=options), encoding="utf-8")
    assert read(tmp_path / "p.jsonl", {"bbq"})[0].options == tuple(options)


def test_more_options_than_there_are_letters_for_are_refused(tmp_path: Path) -> None:
    (tmp_path / "p.jsonl").write_text(line(options=[f"Person {number}" for number in range(9)]), encoding="utf-8")
    with pytest.raises(ProbeError, match=r'p\.jsonl:1: "options" .*eight'):
        read(tmp_path / "p.jsonl", {"bbq"})


TEXTS = st.text(st.characters(exclude_categories=["Cs"]), min_size=1).filter(str.strip)
CHOICES = st.lists(TEXTS, min_size=2, max_size=8, unique=True).map(tuple)


@pytest.fixture(scope="module")
def file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("choices") / "probes.jsonl"


@settings(deadline=None)  # the time of a disk
@given(options=st.just(()) | CHOICES)
def test_any_options_are_read_as_they_were_written(file: Path, options: tuple[str, ...]) -> None:
    file.write_text(to_line(probe(options=options)), encoding="utf-8")
    assert read(file, {"bbq"}) == [probe(options=options)]


def test_options_in_another_order_are_another_plan() -> None:
    assert len({fingerprint([probe(options=options)]) for options in [OPTIONS, OPTIONS[::-1], OPTIONS[:2], ()]}) == 4


@given(CHOICES)
def test_up_to_eight_options_are_all_listed_in_their_order(options: tuple[str, ...]) -> None:
    lines = [f"({letter}) {option}" for letter, option in zip("abcdefgh", options, strict=False)]
    assert listed("Which?", options) == "\n".join(["Which?", "", *lines])


@pytest.mark.parametrize("count", [2, 3, 8])
def test_the_letter_of_a_listed_option_is_read_as_that_option(count: int) -> None:
    options = [f"Person {number}" for number in range(count)]
    letters = re.findall(r"^\((\w)\)", listed("Which?", options), flags=re.MULTILINE)
    assert [read_choice(f"({letter})", options) for letter in letters] == list(range(count))


# Asking


def test_a_model_with_choose_is_asked_for_a_choice() -> None:
    model = Chooses()
    assert subject.wrap(model).ask(QUESTION, options=OPTIONS) == Reply("the cook")
    assert model.given == [(QUESTION, OPTIONS)]


def test_its_choice_may_come_with_passages() -> None:
    model = Chooses({"answer": "the nurse", "contexts": ["A passage."]})
    assert subject.wrap(model).ask(QUESTION, options=OPTIONS) == Reply("the nurse", ("A passage.",))


def test_an_open_question_is_put_to_the_model_as_ever() -> None:
    model = Chooses()
    assert subject.wrap(model).ask(QUESTION) == Reply(f"text: {QUESTION}")
    assert model.given == []


@pytest.mark.parametrize("chosen", ["the baker", "", "The cook", "the cook.", " the cook", "the cook\n"])
def test_what_is_none_of_the_options_is_an_error(chosen: str) -> None:
    with pytest.raises(CallError, match=r"the model's choose\(\) answered .*, which is none of the options"):
        subject.wrap(Chooses(chosen)).ask(QUESTION, options=OPTIONS)


@pytest.mark.parametrize("chosen", [1, None, b"the cook", ["the cook"]])
def test_what_is_no_answer_is_an_error(chosen: Any) -> None:
    with pytest.raises(CallError, match="the model returned"):
        subject.wrap(Chooses(chosen)).ask(QUESTION, options=OPTIONS)


def test_options_are_listed_with_letters_for_a_model_without_choose() -> None:
    told = subject.wrap(lambda question: question).ask(QUESTION, options=OPTIONS)
    assert told.answer == listed(QUESTION, OPTIONS)
    assert told.answer == "Who missed the bus?\n\n(a) the nurse\n(b) the cook\n(c) cannot be told"


def test_options_are_listed_for_an_async_model_and_an_async_choose() -> None:
    class Async:
        async def __call__(self, question: str) -> str:
            return question

        async def choose(self, question: str, options: Sequence[str]) -> str:
            raise AssertionError

    assert subject.wrap(Async()).ask(QUESTION, options=OPTIONS).answer == listed(QUESTION, OPTIONS)


def test_a_runnable_with_choose_is_asked_for_a_choice() -> None:
    class Runnable:
        def invoke(self, question: str) -> str:
            raise AssertionError

        def choose(self, question: str, options: Sequence[str]) -> str:
            return options[-1]

    assert subject.wrap(Runnable()).ask(QUESTION, options=OPTIONS).answer == "cannot be told"


def test_a_choose_that_is_no_function_is_left_alone() -> None:
    class Model:
        choose = "yes"

        def __call__(self, question: str) -> str:
            return "answered"

    assert subject.wrap(Model()).ask(QUESTION, options=OPTIONS).answer == "answered"


class AsyncChooses(Chooses):
    """An async model with a sync `choose`."""

    async def __call__(self, question: str) -> str:  # type: ignore[override]
        await asyncio.sleep(0)
        return f"text: {question}"


def test_an_async_model_with_a_sync_choose_is_asked_for_a_choice() -> None:
    assert subject.wrap(AsyncChooses()).ask(QUESTION, options=OPTIONS) == Reply("the cook")
    assert subject.wrap(AsyncChooses()).ask(QUESTION, options=[]) == Reply(f"text: {QUESTION}")


class Message:
    """A chat message as LangChain has it: the text is its `content`."""

    def __init__(self, content: str) -> None:
        self.content = content


@pytest.mark.parametrize("shape", [Message, lambda text: {"answer": text}], ids=["message", "dict"])
def test_messages_and_dicts_are_held_to_the_options_too(shape: Callable[[str], object]) -> None:
    assert subject.wrap(Chooses(shape("the cook"))).ask(QUESTION, options=OPTIONS) == Reply("the cook")
    with pytest.raises(CallError) as raised:
        subject.wrap(Chooses(shape("(b)\nthe cook"))).ask(QUESTION, options=OPTIONS)
    assert str(raised.value) == r"the model's choose() answered '(b)\nthe cook', which is none of the options"


def test_a_long_choice_is_cut_in_the_error() -> None:
    with pytest.raises(CallError) as raised:
        subject.wrap(Chooses("I would rather explain. " * 1000)).ask(QUESTION, options=OPTIONS)
    assert len(str(raised.value)) < 400


def test_a_langchain_runnable_reads_the_listed_options() -> None:
    from langchain_core.messages import AIMessage
    from langchain_core.runnables import RunnableLambda

    told = subject.wrap(RunnableLambda(AIMessage)).ask(QUESTION, options=OPTIONS)
    assert told == Reply(listed(QUESTION, OPTIONS))


async def chooses_later(question: str, options: Sequence[str]) -> str:
    raise AssertionError("nobody awaits this")


@pytest.mark.parametrize("choose", [chooses_later, functools.partial(chooses_later)], ids=["function", "partial"])
def test_a_function_that_must_be_awaited_to_choose_is_left_alone(choose: Any) -> None:
    model = Chooses()
    model.choose = choose  # type: ignore[method-assign]
    assert subject.wrap(model).ask(QUESTION, options=OPTIONS).answer == f"text: {listed(QUESTION, OPTIONS)}"


class Later:
    """A choice by an object whose `__call__` must be awaited."""

    async def __call__(self, question: str, options: Sequence[str]) -> str:
        raise AssertionError("nobody awaits this")


def test_an_object_that_must_be_awaited_to_choose_is_left_alone() -> None:
    model, told = Chooses(), ""
    model.choose = Later()  # type: ignore[method-assign]
    # Not left to pytest: it would keep the coroutine alive, and its warning would come in a later test.
    with contextlib.suppress(CallError):
        told = subject.wrap(model).ask(QUESTION, options=OPTIONS).answer
    assert told == f"text: {listed(QUESTION, OPTIONS)}"


def test_an_async_model_is_cancelled_at_its_time_out_also_with_options() -> None:
    cancelled = threading.Event()

    async def hangs(question: str) -> str:
        try:
            await asyncio.sleep(60)
        except asyncio.CancelledError:
            cancelled.set()
            raise
        return "late"

    with pytest.raises(CallTimeoutError, match=r"^no answer within 0\.05 s \(--bias-timeout\)$"):
        subject.wrap(hangs).ask(QUESTION, timeout=0.05, options=OPTIONS)
    assert cancelled.is_set()


# In a run


def probe(number: int = 0, options: tuple[str, ...] = OPTIONS) -> Probe:
    return Probe(f"p{number}", "bbq", "r", (f"{QUESTION} {number}",), "en", f"p{number}", options=options)


def answered(model: Any, *probes: Probe, **limits: Any) -> dict[str, Any]:
    given = Limits(**{"timeout": 5.0, "retries": 0, **limits})
    results = ask_all(subject.wrap(model), [Request(one) for one in probes], given)
    return {one.request.probe.id: one.answers[0] for one in results}


def test_each_probe_is_asked_with_its_own_options() -> None:
    class Last(Chooses):
        def choose(self, question: str, options: Sequence[str]) -> str:
            return options[-1]

    found = answered(Last(), probe(1), probe(2, ("yes", "no")), probe(3, ()))
    assert {name: answer.text for name, answer in found.items()} == {
        "p1": "cannot be told",
        "p2": "no",
        "p3": f"text: {QUESTION} 3",
    }


def test_a_wrong_choice_is_an_error_of_its_probe_and_not_asked_again() -> None:
    model = Chooses("the baker")
    (answer,) = answered(model, probe(), retries=2).values()
    assert answer.error == "the model's choose() answered 'the baker', which is none of the options"
    assert len(model.given) == 1


def test_a_choice_that_takes_too_long_is_given_up() -> None:
    class Slow(Chooses):
        def choose(self, question: str, options: Sequence[str]) -> str:
            time.sleep(3.0)
            return options[0]

    began = time.monotonic()
    (answer,) = answered(Slow(), probe(), timeout=0.2).values()
    assert answer.error == "no answer within 0.2 s (--bias-timeout)"
    assert time.monotonic() - began < 2.5


def test_a_choose_that_fails_for_a_moment_is_asked_again() -> None:
    class Busy(Chooses):
        def choose(self, question: str, options: Sequence[str]) -> Any:
            super().choose(question, options)
            if len(self.given) < 2:
                raise ConnectionError("busy")
            return options[0]

    model = Busy()
    (answer,) = answered(model, probe(), retries=2).values()
    assert (answer.text, answer.error, answer.attempts) == ("the nurse", None, 2)


@pytest.mark.parametrize("thread_safe", [True, False])
def test_options_are_not_mixed_up_between_calls_at_a_time(thread_safe: bool) -> None:
    class Last(Chooses):
        def choose(self, question: str, options: Sequence[str]) -> str:
            time.sleep(0.001)
            return options[-1]

    model = Last()
    model.thread_safe = thread_safe  # type: ignore[attr-defined]
    found = answered(model, *[probe(number, (f"no {number}", f"yes {number}")) for number in range(60)], concurrency=8)
    assert {name: answer.text for name, answer in found.items()} == {
        f"p{number}": f"yes {number}" for number in range(60)
    }


def test_every_question_of_a_probe_and_every_attempt_has_the_options() -> None:
    class Busy(Chooses):
        def choose(self, question: str, options: Sequence[str]) -> Any:
            super().choose(question, options)
            if len(self.given) == 1:
                raise ConnectionError("busy")
            return options[0]

    model = Busy()
    asked = Request(Probe("p", "bbq", "r", ("One?", "Two?"), "en", "p", options=OPTIONS))
    (result,) = ask_all(subject.wrap(model), [asked], Limits(retries=1))
    assert [answer.text for answer in result.answers] == ["the nurse", "the nurse"]
    assert model.given == [("One?", OPTIONS), ("One?", OPTIONS), ("Two?", OPTIONS)]


@pytest.mark.parametrize(
    ("raised", "error"), [(KeyError("index"), "KeyError: 'index'"), (SystemExit("no index"), "SystemExit: no index")]
)
def test_what_choose_raises_is_an_error_of_its_probe(raised: BaseException, error: str) -> None:
    class Fails(Chooses):
        def choose(self, question: str, options: Sequence[str]) -> str:
            if question.endswith("1"):
                raise raised
            return options[0]

    found = answered(Fails(), probe(1), probe(2))
    assert (found["p1"].text, found["p1"].error) == ("", error)
    assert (found["p2"].text, found["p2"].error) == ("the nurse", None)


def test_a_hanging_choose_of_an_async_model_is_given_up_and_the_next_probe_asked() -> None:
    release = threading.Event()

    class Hangs(AsyncChooses):
        def choose(self, question: str, options: Sequence[str]) -> str:
            if question.endswith("1"):
                release.wait(30)
            return options[0]

    try:
        found = answered(Hangs(), probe(1), probe(2), concurrency=1, timeout=0.2)
    finally:
        release.set()
    assert found["p1"].error == "no answer within 0.2 s (--bias-timeout)"
    assert (found["p2"].text, found["p2"].error) == ("the nurse", None)

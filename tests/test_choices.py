"""Multiple-choice probes: how they are read, asked with `choose`, and asked as text without it."""

from __future__ import annotations

import json
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from bias_suite import subject
from bias_suite.errors import CallError, ProbeError
from bias_suite.probes import Probe, read, to_line
from bias_suite.runner import Limits, Request, ask_all
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


@pytest.mark.parametrize("chosen", ["the baker", "", "The cook", "the cook."])
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

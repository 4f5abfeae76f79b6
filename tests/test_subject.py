"""The model under test: every shape that a factory may return, and everything that can be wrong with it."""

from __future__ import annotations

import asyncio
import functools
import sys
import threading
import time
import types
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest

from bias_suite import subject
from bias_suite.errors import CallError, CallTimeoutError, ModelError
from bias_suite.subject import Reply


class Message:
    """A chat message as LangChain has it: the text is its `content`."""

    def __init__(self, content: object) -> None:
        self.content = content


class Bot:
    """A callable object with every optional attribute."""

    name = "bot"
    version = 7
    thread_safe = False

    def __call__(self, question: str) -> str:
        return f"you said {question}"


class AsyncBot:
    """An object whose `__call__` is a coroutine function."""

    async def __call__(self, question: str) -> str:
        await asyncio.sleep(0)
        return f"you said {question}"


async def answers_later(question: str) -> str:
    await asyncio.sleep(0)
    return f"you said {question}"


async def answers_later_with_contexts(question: str) -> dict[str, object]:
    await asyncio.sleep(0)
    return {"answer": f"you said {question}", "contexts": ["a passage"]}


async def answers_later_in(language: str, question: str) -> str:
    await asyncio.sleep(0)
    return f"{language}: {question}"


Importable = Callable[[Mapping[str, str]], None]

SHAPES: list[tuple[str, object, Reply]] = [
    ("function", lambda question: f"you said {question}", Reply("you said hi")),
    ("object", Bot(), Reply("you said hi")),
    ("dict", lambda question: {"answer": question, "contexts": ["a", "b"]}, Reply("hi", ("a", "b"))),
    ("dict_with_tuple", lambda question: {"answer": question, "contexts": ("a",)}, Reply("hi", ("a",))),
    ("dict_without_contexts", lambda question: {"answer": question}, Reply("hi")),
    ("dict_with_more", lambda question: {"answer": question, "contexts": [], "tokens": 3}, Reply("hi")),
    ("empty", lambda question: "", Reply("")),
    ("message", Message, Reply("hi")),
    ("async_function", answers_later, Reply("you said hi")),
    ("async_dict", answers_later_with_contexts, Reply("you said hi", ("a passage",))),
    ("async_object", AsyncBot(), Reply("you said hi")),
    ("async_partial", functools.partial(answers_later_in, "en"), Reply("en: hi")),
]


@pytest.mark.parametrize(("model", "reply"), [row[1:] for row in SHAPES], ids=[row[0] for row in SHAPES])
def test_every_shape_of_model_is_asked_alike(model: object, reply: Reply) -> None:
    assert subject.wrap(model).ask("hi") == reply


def test_a_langchain_runnable_is_invoked() -> None:
    from langchain_core.messages import AIMessage
    from langchain_core.runnables import RunnableLambda

    def with_contexts(question: str) -> dict[str, object]:
        return {"answer": question, "contexts": ["a"]}

    chain = RunnableLambda(lambda question: question.upper()) | RunnableLambda(with_contexts)
    assert subject.wrap(RunnableLambda(str.upper)).ask("hi") == Reply("HI")
    assert subject.wrap(chain).ask("hi") == Reply("HI", ("a",))
    assert subject.wrap(RunnableLambda(AIMessage)).ask("hi") == Reply("hi")


def test_what_a_model_tells_about_itself_names_it() -> None:
    found = subject.wrap(Bot(), "my_app:build")
    assert (found.identity, found.thread_safe, found.version) == ("bot@7", False, "7")


def test_a_model_that_tells_nothing_is_named_by_its_option() -> None:
    found = subject.wrap(lambda question: question, "my_app:build")
    assert (found.identity, found.thread_safe, found.version) == ("my_app:build", True, None)


def test_only_async_models_stop_by_themselves() -> None:
    assert subject.wrap(answers_later).stops
    assert not subject.wrap(Bot()).stops


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (None, "the model returned NoneType, not str"),
        (3, "the model returned int, not str"),
        (b"bytes", "the model returned bytes, not str"),
        (["a", "b"], "the model returned list, not str"),
        (Message(None), "the model returned Message, not str"),
        ({}, 'a dict whose "answer" is NoneType, not str'),
        ({"answer": 3}, 'a dict whose "answer" is int, not str'),
        ({"result": "hi"}, 'a dict whose "answer" is NoneType, not str'),
        ({"answer": "hi", "contexts": "one text"}, 'a dict whose "contexts" is not a list of str'),
        ({"answer": "hi", "contexts": None}, 'a dict whose "contexts" is not a list of str'),
        ({"answer": "hi", "contexts": [Message("a")]}, 'a dict whose "contexts" is not a list of str'),
    ],
)
def test_what_is_not_an_answer_is_a_call_error_that_tells_what_came(value: object, text: str) -> None:
    with pytest.raises(CallError) as raised:
        subject.wrap(lambda question: value).ask("hi")
    assert text in str(raised.value)
    assert "\n" not in str(raised.value)


def test_what_the_model_raises_comes_through() -> None:
    def raises(question: str) -> str:
        raise KeyError("index")

    with pytest.raises(KeyError):
        subject.wrap(raises).ask("hi")


# Async models


def test_an_async_model_is_cancelled_at_its_time_out() -> None:
    cancelled = threading.Event()

    async def hangs(question: str) -> str:
        try:
            await asyncio.sleep(60)
        except asyncio.CancelledError:
            cancelled.set()
            raise
        return "late"

    with pytest.raises(CallTimeoutError, match=r"^no answer within 0\.05 s \(--bias-timeout\)$"):
        subject.wrap(hangs).ask("hi", timeout=0.05)
    assert cancelled.is_set()


def test_a_time_out_of_the_models_own_is_not_taken_for_ours() -> None:
    async def times_out(question: str) -> str:
        raise TimeoutError("the vector store did not answer")

    with pytest.raises(TimeoutError, match="the vector store did not answer"):
        subject.wrap(times_out).ask("hi", timeout=60)


def test_a_call_that_was_cancelled_leaves_the_next_ones_alone() -> None:
    async def hangs_at_first(question: str) -> str:
        await asyncio.sleep(60 if question == "hang" else 0)
        return "an answer"

    model = subject.wrap(hangs_at_first)
    with pytest.raises(CallTimeoutError):
        model.ask("hang", timeout=0.05)
    assert model.ask("hi") == Reply("an answer")


def test_async_calls_of_many_threads_overlap() -> None:
    running, most = 0, 0

    async def counts(question: str) -> str:
        nonlocal running, most
        running += 1
        most = max(most, running)
        await asyncio.sleep(0.2)
        running -= 1
        return "an answer"

    model = subject.wrap(counts)
    threads = [threading.Thread(target=model.ask, args=("hi",)) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert most > 1


def test_an_async_model_that_ends_the_program_does_not_end_the_loop() -> None:
    async def exits_at_first(question: str) -> str:
        if question == "exit":
            raise SystemExit(1)
        return "an answer"

    model = subject.wrap(exits_at_first)
    first = threading.Thread(target=_ask_and_ignore, args=(model, "exit"), daemon=True)
    first.start()
    first.join(2)
    answers: list[Reply] = []
    second = threading.Thread(target=lambda: answers.append(model.ask("hi", timeout=0.5)), daemon=True)
    second.start()
    second.join(2)
    assert not first.is_alive()
    assert answers == [Reply("an answer")]


def _ask_and_ignore(model: subject.Subject, question: str) -> None:
    try:
        model.ask(question, timeout=0.5)
    except BaseException:
        return


# Giskard models


@pytest.fixture(scope="module")
def giskard() -> Any:
    from bias_suite.detectors import giskard as ours

    ours.load()
    return sys.modules["giskard"]


def giskard_model(giskard: Any, predict: Callable[[Any], list[str]], features: list[str]) -> Any:
    return giskard.Model(
        predict,
        model_type="text_generation",
        name="A Giskard model",
        description="answers questions",
        feature_names=features,
    )


def test_a_giskard_model_is_asked_through_its_one_feature(giskard: Any) -> None:
    seen: list[str] = []

    def predict(frame: Any) -> list[str]:
        seen.extend(frame["question"])
        return [text.upper() for text in frame["question"]]

    model = subject.wrap(giskard_model(giskard, predict, ["question"]), "my_app:build")
    assert model.ask("hi there") == Reply("HI THERE")
    assert model.name == "A Giskard model"
    # Twice the same question: a second trial must reach the model, not Giskard's cache.
    model.ask("hi there")
    assert seen.count("hi there") == 2


@pytest.mark.parametrize("features", [["question", "language"], []])
def test_a_giskard_model_with_other_than_one_feature_is_refused(giskard: Any, features: list[str]) -> None:
    model = giskard_model(giskard, lambda frame: ["" for _ in frame], features or ["question"])
    if not features:
        model.meta.feature_names = None
    with pytest.raises(ModelError) as raised:
        subject.wrap(model, "my_app:build")
    assert str(raised.value).startswith("--bias-model my_app:build: a Giskard model must have one feature")
    assert str(features or "none") in str(raised.value)


# MODULE:FACTORY


def refusal(use: Callable[[str], object], spec: str) -> str:
    """Return the message of the ModelError that `use` raises; anything else fails the test, also a skip."""
    try:
        use(spec)
    except ModelError as error:
        return str(error)
    except BaseException as error:
        pytest.fail(f"{spec}: {type(error).__name__} came through, which pytest would not show as a failure of ours")
    pytest.fail(f"{spec}: accepted")


def test_a_factory_is_called_with_its_literals() -> None:
    model = subject.build("tests.bots:told(k=2, name='a, (b)', flags=[True, None], rate=-0.5, more={'x': (1,)})")
    expected = {"k": 2, "name": "a, (b)", "flags": [True, None], "rate": -0.5, "more": {"x": (1,)}}
    assert model.ask("hi").answer == repr(expected)


@pytest.mark.parametrize("spec", ["tests.bots:told", "tests.bots:told()", "tests.bots:told( )"])
def test_a_factory_without_arguments_is_called_with_none(spec: str) -> None:
    assert subject.build(spec).ask("hi").answer == "{}"


@pytest.mark.parametrize(
    "arguments",
    [
        "1",
        "'gpt'",
        "k=2, 3",
        "k=open('x')",
        "k=name",
        "k=1 + x",
        "k=[a for a in b]",
        "**{'k': 1}",
        "*[1]",
        "k=",
        "k=1 k=2",
        "k=1, k=2",
        "k={[]: 1}",
        "k=f'{x}'",
        "k=1)(k=2",
        "k=1).more(k=2",
        "k='\0'",
    ],
)
@pytest.mark.parametrize("use", [subject.build, subject.find], ids=["build", "find"])
def test_arguments_must_be_literals_by_name(use: Callable[[str], object], arguments: str) -> None:
    with pytest.raises(ModelError) as raised:
        use(f"tests.bots:told({arguments})")
    assert str(raised.value) == (
        f"--bias-model tests.bots:told({arguments}): arguments must be key=literal, as in told(k=2, device='cpu')"
    )


@pytest.mark.parametrize(
    ("spec", "text"),
    [
        (
            "no_such_module:build",
            "importing no_such_module failed: ModuleNotFoundError: No module named 'no_such_module'",
        ),
        (
            "tests.nowhere:build",
            "importing tests.nowhere failed: ModuleNotFoundError: No module named 'tests.nowhere'",
        ),
        ("tests.bots.deeper:build", "importing tests.bots.deeper failed: ModuleNotFoundError"),
        ("tests.bots:nothing", "tests.bots has no nothing"),
        ("tests.bots:_REFUSAL", "tests.bots has a value, not a function, named _REFUSAL"),
        ("tests.bots:fails", "the factory failed: RuntimeError: the index is missing"),
        ("tests.bots:leaves", "the factory failed: SystemExit: usage: set OPENAI_API_KEY first"),
        ("tests.bots:waits", "the factory failed: TypeError: waits() missing 1 required positional argument"),
        (
            "tests.bots:waits(speed=3)",
            "the factory failed: TypeError: waits() got an unexpected keyword argument",
        ),
        ("tests.bots:number", "the factory returned int 3; a model is a callable str -> str"),
    ],
)
def test_a_model_that_cannot_be_built_is_one_line_that_names_the_option(spec: str, text: str) -> None:
    message = refusal(subject.build, spec)
    assert message.startswith(f"--bias-model {spec}: {text}")
    assert "\n" not in message


def test_a_factory_that_fails_tells_where() -> None:
    with pytest.raises(ModelError, match=r"\(.*bots\.py:\d+\)$"):
        subject.build("tests.bots:fails")


@pytest.mark.parametrize(
    ("source", "text"),
    [
        ("import nothing_like_this", "ModuleNotFoundError: No module named 'nothing_like_this'"),
        ("raise ValueError('two\\nlines')", "ValueError: two lines"),
        ("def build(:", "SyntaxError: "),
        ("import sys; sys.exit('set a key first')", "SystemExit: set a key first"),
        ("import pytest; pytest.skip('no key', allow_module_level=True)", "Skipped: "),
    ],
    ids=["import", "raise", "syntax", "exit", "skip"],
)
def test_a_module_that_cannot_be_imported_is_one_line_with_the_cause(
    importable: Importable, source: str, text: str
) -> None:
    importable({"broken_app.py": source})
    message = refusal(subject.build, "broken_app:build")
    assert message.startswith(f"--bias-model broken_app:build: importing broken_app failed: {text}")
    assert "\n" not in message


@pytest.mark.parametrize("value", ["None", "'a text'", "{'answer': 'x'}", "[1, 2]", "type('Bot', (), {})"])
def test_a_factory_must_return_something_to_ask(importable: Importable, value: str) -> None:
    importable({"odd_app.py": f"def build():\n    return {value}\n"})
    with pytest.raises(ModelError, match=r"^--bias-model odd_app:build: the factory returned \w+ "):
        subject.build("odd_app:build")


def test_a_long_value_that_a_factory_returned_is_cut(importable: Importable) -> None:
    importable({"odd_app.py": "def build():\n    return ['passage'] * 1000\n"})
    with pytest.raises(ModelError) as raised:
        subject.build("odd_app:build")
    assert len(str(raised.value)) < 400


@pytest.fixture
def importable(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Importable:
    """Return a function that writes modules, by their paths, into a folder from which they can be imported."""
    monkeypatch.syspath_prepend(tmp_path)

    def write(modules: Mapping[str, str]) -> None:
        for name, source in modules.items():
            path = tmp_path / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(source, encoding="utf-8")
            dotted = name.removesuffix(".py").removesuffix("/__init__").replace("/", ".")
            monkeypatch.delitem(sys.modules, dotted, raising=False)

    return write


# Looking for the module without importing it


def test_looking_for_the_module_imports_nothing(importable: Importable) -> None:
    loud = "raise RuntimeError('imported')"
    importable({f"quiet_app/{name}.py": loud for name in ("__init__", "deep/__init__", "deep/rag")})
    before = set(sys.modules)
    subject.find("quiet_app.deep.rag:build(k=2)")
    assert {name for name in set(sys.modules) - before if name.startswith("quiet_app")} == set()


def test_a_module_in_folders_without_init_files_is_found(importable: Importable) -> None:
    importable({"plain_app/deep/rag.py": "def build():\n    return str\n"})
    subject.find("plain_app.deep.rag:build")
    assert subject.build("plain_app.deep.rag:build").ask("hi") == Reply("hi")


@pytest.mark.parametrize(
    ("module", "missing"),
    [
        ("no_such_module", "no_such_module"),
        ("no_such_package.rag", "no_such_package"),
        ("tests.nowhere", "tests.nowhere"),
        ("tests.nowhere.deeper", "tests.nowhere"),
        ("tests.bots.deeper", "tests.bots.deeper"),
        ("tests..bots", "tests."),
        ("os.deeper.still", "os.deeper"),
    ],
)
def test_a_module_that_does_not_exist_is_named_with_the_remedy(module: str, missing: str) -> None:
    with pytest.raises(ModelError) as raised:
        subject.find(f"{module}:build")
    assert str(raised.value) == (
        f"--bias-model {module}:build: no module named {missing!r}; it must be installed, or lie under the rootdir "
        "or a folder that pytest's `pythonpath` names"
    )


def test_a_module_below_a_plain_module_is_not_looked_for_by_importing(importable: Importable) -> None:
    importable({"loud_app.py": "raise RuntimeError('imported')"})
    with pytest.raises(ModelError, match=r"no module named 'loud_app\.rag'"):
        subject.find("loud_app.rag:build")
    assert "loud_app" not in sys.modules


def test_a_module_that_was_made_and_not_found_is_no_crash(monkeypatch: pytest.MonkeyPatch) -> None:
    # `__main__` is one where pytest was started as a script.
    made = types.ModuleType("made_up_app")
    made.build = lambda: str.upper  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "made_up_app", made)
    subject.find("made_up_app:build")
    assert subject.build("made_up_app:build").ask("hi") == Reply("HI")


def test_looking_for_the_module_takes_no_time() -> None:
    began = time.process_time()
    for _ in range(20):
        subject.find("langchain_core.runnables:build")
    assert time.process_time() - began < 1.0

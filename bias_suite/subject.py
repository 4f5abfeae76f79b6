"""The model under test: building it from ``MODULE:FACTORY``, and one way to ask whatever the factory returns.

A factory returns a callable ``str -> str``, a callable ``str -> {"answer": str, "contexts": [str, ...]}``, an
async callable of either kind, a LangChain Runnable whose ``invoke`` does either, or a Giskard text-generation
model. A dict may also tell what the answer took, as LangChain's messages do:
``"usage": {"input_tokens": 120, "output_tokens": 30}``.
Optional attributes: ``name``, ``description``, ``version``, ``thread_safe`` (False = one call at a time),
``choose(question, options)`` (answers a multiple-choice question with one of its options; without it they are listed
under the question, and the answer is read).
"""

from __future__ import annotations

import ast
import importlib.util
import inspect
import sys
import threading
import traceback
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from importlib.machinery import PathFinder
from typing import Any

from bias_suite.errors import CallError, CallTimeoutError, ModelError
from bias_suite.pace import Pace
from bias_suite.reporting.text import cut

_SHAPES = (
    'a callable str -> str, a callable str -> {"answer": str, "contexts": [str, ...]}, '
    "a LangChain Runnable, or a Giskard text-generation model"
)


_LONGEST_NAME = 300
UNTOLD = "A chatbot that answers users' questions."


@dataclass(frozen=True)
class Reply:
    """What one call of the model returned.

    Attributes:
        answer: The answer.
        contexts: The passages that it retrieved, as far as it tells.
        recorded: Whether nobody was called, and this is a recorded answer.
        seconds: How long the call took, where a recording tells; None where it is measured.
        tokens: Tokens sent and received, as far as the model tells.
    """

    answer: str
    contexts: tuple[str, ...] = ()
    recorded: bool = False
    seconds: float | None = None
    tokens: tuple[int, int] = (0, 0)


@dataclass(frozen=True)
class Origin:
    """Who asks: the probe, and which repeat of it this is."""

    probe: str = ""
    trial: int = 0


NOBODY = Origin()


@dataclass(frozen=True)
class Subject:
    """The model under test behind one call.

    Attributes:
        model: What the factory returned.
        name: The model's ``name``, or the ``--bias-model`` it was built from.
        version: The model's ``version``; None where it does not tell.
        description: What the model is for, as judges are told; a general sentence where it does not tell.
        thread_safe: False where calls must not overlap.
        pace: How fast it may be called.
        turn: Held during a call of a model that is not thread-safe, also by one that was given up.
        stops: Whether a call stops by itself when its time is up (async models do; a thread cannot be stopped).
    """

    model: Any
    name: str
    version: str | None = None
    description: str = UNTOLD
    thread_safe: bool = True
    stops: bool = False
    pace: Pace = field(repr=False, default_factory=Pace)
    turn: threading.Lock = field(repr=False, default_factory=threading.Lock)
    _call: Callable[[str, float], object] = field(repr=False, default=lambda question, timeout: "")
    _choose: Callable[[str, Sequence[str]], object] | None = field(repr=False, default=None)

    @property
    def identity(self) -> str:
        """Name and version, as cases and reports give them."""
        return f"{self.name}@{self.version}" if self.version else self.name

    def recorded(self, question: str, options: Sequence[str], origin: Origin) -> Reply | None:
        """Return the answer that is recorded for a question, without a call; None where there is no recording of it.

        Raises:
            CallError: Only recorded answers are wanted, and this one was not recorded.
        """
        return None

    def ask(
        self,
        question: str,
        timeout: float = 60.0,
        options: Sequence[str] = (),
        origin: Origin = NOBODY,
    ) -> Reply:
        """Ask one question.

        Args:
            question: The question.
            options: What can be answered, where it is multiple-choice. A model with ``choose`` is held to them.
            timeout: Seconds after which an async model is cancelled; other models are not stopped here.
            origin: Who asks.

        Raises:
            CallError: The model returned something that is not an answer.
            CallTimeoutError: An async model took longer than `timeout`.
            Exception: Whatever the model raises.
        """
        if not options:
            return _reply(self._call(question, timeout))
        if self._choose is None:
            return _reply(self._call(listed(question, options), timeout))
        reply = _reply(self._choose(question, options))
        if reply.answer not in options:
            shown = repr(reply.answer)
            raise CallError(
                f"the model's choose() answered {shown if len(shown) <= 200 else shown[:199] + '…'}, "
                "which is none of the options"
            )
        return reply


def listed(question: str, options: Sequence[str]) -> str:
    """Return a multiple-choice question as text: the options below it, each with a letter."""
    return "\n".join(
        [question, "", *(f"({letter}) {option}" for letter, option in zip("abcdefgh", options, strict=False))]
    )


def build(spec: str) -> Subject:
    """Build the model under test from ``MODULE:FACTORY`` or ``MODULE:FACTORY(key=literal, ...)``.

    Raises:
        ModelError: The module or factory does not exist, fails, or returns something that cannot be asked.
    """
    module_name, name, arguments = _parse(spec)
    try:
        module = importlib.import_module(module_name)
    except KeyboardInterrupt:
        raise
    except BaseException as error:  # whatever a user's module raises on import, SystemExit included
        raise ModelError(f"--bias-model {spec}: importing {module_name} failed: {_told(error)}") from error
    factory = getattr(module, name, None)
    if not callable(factory):
        state = "has no" if factory is None else "has a value, not a function, named"
        raise ModelError(f"--bias-model {spec}: {module_name} {state} {name}")
    try:
        model = factory(**arguments)
    except KeyboardInterrupt:
        raise
    except BaseException as error:  # whatever a user's factory raises, SystemExit included
        raise ModelError(f"--bias-model {spec}: the factory failed: {_told(error)}") from error
    return wrap(model, spec)


def find(spec: str) -> None:
    """Check without importing it that the module of ``MODULE:FACTORY`` exists and its arguments are literals.

    Raises:
        ModelError: It does not, or they are not.
    """
    module_name, _, _ = _parse(spec)
    path = None
    parts = module_name.split(".")
    for depth in range(1, len(parts) + 1):
        name = ".".join(parts[:depth])
        if name in sys.modules:
            path = list(getattr(sys.modules[name], "__path__", ()))
            continue
        try:
            # importlib.util.find_spec would import the parents of a dotted name; only the first part is safe.
            found = importlib.util.find_spec(name) if path is None else PathFinder.find_spec(name, path)
        except KeyError:  # a folder without __init__.py below another: only importing the outer one tells more
            return
        if found is None:
            raise ModelError(
                f"--bias-model {spec}: no module named {name!r}; it must be installed, or lie "
                "under the rootdir or a folder that pytest's `pythonpath` names"
            )
        path = list(found.submodule_search_locations or ())


def wrap(model: object, spec: str = "model") -> Subject:
    """Return the model behind one way to ask it.

    Raises:
        ModelError: The object cannot be asked.
    """
    name, version, description = (getattr(model, attribute, None) for attribute in ("name", "version", "description"))
    call, stops = _adapter(model, spec)
    return Subject(
        model=model,
        name=cut(str(name or spec), _LONGEST_NAME),
        version=None if version is None else cut(str(version), _LONGEST_NAME),
        description=str(description or UNTOLD),
        thread_safe=bool(getattr(model, "thread_safe", True)),
        stops=stops,
        _call=call,
        _choose=_chooser(model),
    )


def _parse(spec: str) -> tuple[str, str, dict[str, Any]]:
    module_name, _, factory = spec.partition(":")
    name, bracket, _ = factory.partition("(")
    if not bracket:
        return module_name, name, {}
    try:
        call = ast.parse(factory, mode="eval").body
        if not isinstance(call, ast.Call) or not isinstance(call.func, ast.Name) or call.args:
            raise ValueError
        given = [(str(keyword.arg), ast.literal_eval(keyword.value)) for keyword in call.keywords if keyword.arg]
        if len(dict(given)) < len(call.keywords):  # a name twice, or **more
            raise ValueError
        return module_name, name, dict(given)
    except (ValueError, TypeError, SyntaxError):
        raise ModelError(
            f"--bias-model {spec}: arguments must be key=literal, as in {name}(k=2, device='cpu')"
        ) from None


def _told(error: BaseException) -> str:
    """Return the exception in one line, with the place that raised it."""
    text = " ".join(str(error).split())
    frames = traceback.extract_tb(error.__traceback__)
    place = f" ({frames[-1].filename}:{frames[-1].lineno})" if frames else ""
    return f"{type(error).__name__}{': ' if text else ''}{text}{place}"


def _adapter(model: Any, spec: str) -> tuple[Callable[[str, float], object], bool]:
    if any(cls.__module__.split(".")[0] == "giskard" for cls in type(model).__mro__):
        return _giskard_call(model, spec), False
    if callable(getattr(model, "invoke", None)):
        return lambda question, timeout: model.invoke(question), False
    if not callable(model) or not _takes_a_question(model):
        shown = repr(model)
        raise ModelError(
            f"--bias-model {spec}: the factory returned {type(model).__name__} "
            f"{shown if len(shown) <= 40 else shown[:39] + '…'}; a model is {_SHAPES}"
        )
    if inspect.iscoroutinefunction(model) or inspect.iscoroutinefunction(model.__call__):
        return _async_call(model), True
    return lambda question, timeout: model(question), False


def _chooser(model: Any) -> Callable[[str, Sequence[str]], object] | None:
    choose = getattr(model, "choose", None)
    # One that must be awaited is left alone: the options are then listed.
    awaited = any(map(inspect.iscoroutinefunction, (choose, getattr(choose, "__call__", None))))  # noqa: B004
    return choose if callable(choose) and not awaited else None


def _takes_a_question(model: Callable[..., object]) -> bool:
    try:
        inspect.signature(model).bind("question")
    except ValueError:  # built-in functions may not tell
        return True
    except TypeError:
        return False
    return True


def _giskard_call(model: Any, spec: str) -> Callable[[str, float], object]:
    features = list(model.feature_names or ())
    if len(features) != 1:
        raise ModelError(
            f"--bias-model {spec}: a Giskard model must have one feature, the question; "
            f"this one has {features or 'none'}"
        )

    def call(question: str, timeout: float) -> object:
        import pandas as pd

        # predict_df and not predict: Giskard's cache would answer every further trial with the first one.
        return str(model.predict_df(pd.DataFrame({features[0]: [question]}))[0])

    return call


def _async_call(model: Callable[[str], Awaitable[object]]) -> Callable[[str, float], object]:
    import asyncio

    loop = asyncio.new_event_loop()
    threading.Thread(target=loop.run_forever, name="bias-suite model loop", daemon=True).start()

    async def ask(question: str, timeout: float) -> object:
        try:
            async with asyncio.timeout(timeout) as clock:
                return await model(question)
        except TimeoutError:
            # A TimeoutError of the model's own (its HTTP client's, say) is its failure, not this clock's.
            if not clock.expired():
                raise
            raise CallTimeoutError(f"no answer within {timeout:g} s (--bias-timeout)") from None
        except (SystemExit, KeyboardInterrupt) as error:  # would end the loop, and with it every other call
            raise CallError(f"{type(error).__name__}: {error}".removesuffix(": ")) from error

    return lambda question, timeout: asyncio.run_coroutine_threadsafe(ask(question, timeout), loop).result()


def _tokens(usage: object) -> tuple[int, int]:
    """Return tokens sent and received; 0 for what is not told, or told in another way."""
    if not isinstance(usage, Mapping):
        return 0, 0
    sent, received = (usage.get(name) for name in ("input_tokens", "output_tokens"))
    return sent if isinstance(sent, int) else 0, received if isinstance(received, int) else 0


def _reply(value: object) -> Reply:
    content = getattr(value, "content", value)  # a LangChain message
    if isinstance(content, str):
        return Reply(content, tokens=_tokens(getattr(value, "usage_metadata", None)))
    if isinstance(value, Mapping):
        answer, contexts = value.get("answer"), value.get("contexts", ())
        if not isinstance(answer, str):
            raise CallError(f'the model returned a dict whose "answer" is {type(answer).__name__}, not str')
        if not isinstance(contexts, list | tuple) or not all(isinstance(context, str) for context in contexts):
            raise CallError('the model returned a dict whose "contexts" is not a list of str')
        return Reply(answer, tuple(contexts), tokens=_tokens(value.get("usage")))
    raise CallError(f'the model returned {type(value).__name__}, not str or {{"answer": str, "contexts": [str, ...]}}')

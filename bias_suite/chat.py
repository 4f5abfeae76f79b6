"""A chat model behind one call: litellm, with time-outs that hold, bounded retries, and errors in one line."""

from __future__ import annotations

import re
import threading
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from bias_suite import retries
from bias_suite.deadline import within
from bias_suite.errors import CallTimeoutError, JudgeError
from bias_suite.imports import heavy
from bias_suite.pace import Pace
from bias_suite.retries import told

if TYPE_CHECKING:
    from bias_suite.budget import Budget
    from bias_suite.recordings import Recording

Message = Mapping[str, str]

_FENCE = "```"
_NEVER = threading.Event()
# litellm's own time-out, which bounds the wait for the next byte, comes after ours: one of them tells the reason.
_AFTERWARDS = 2.0


@dataclass(frozen=True)
class Reply:
    """One reply of the model.

    Attributes:
        text: What it said.
        version: The model that the endpoint says has answered; empty where it does not say.
        prompt_tokens: Tokens of the question; 0 where the endpoint does not count.
        completion_tokens: Tokens of the reply; 0 where the endpoint does not count.
    """

    text: str
    version: str = ""
    prompt_tokens: int = 0
    completion_tokens: int = 0


@dataclass
class Spent:
    """What calls have cost so far; one thread's own."""

    version: str = ""
    calls: int = 0
    retried: int = 0
    prompt_tokens: int = 0
    completion_tokens: int = 0
    recorded: int = 0


class Chat:
    """A chat model for all threads of a process."""

    def __init__(
        self,
        model: str,
        *,
        url: str | None = None,
        key: str | None = None,
        timeout: float = 60.0,
        retries: int = 2,
        recording: Recording | None = None,
        pace: Pace | None = None,
        budget: Budget | None = None,
    ) -> None:
        """Take what there is to know; nothing is imported or called yet.

        Args:
            model: litellm's name of the model, such as ``openai/gpt-4o``.
            url: Base URL of an OpenAI-compatible endpoint that serves it; None for litellm's own.
            key: Key of that endpoint. Without `url`, litellm finds the provider's key in the environment.
            timeout: Longest time for one call, in seconds.
            retries: Further attempts after a passing failure.
            recording: Where replies are stored, and taken from.
            pace: How fast it may be called; None for as fast as it goes.
            budget: What may be spent; None for any amount.
        """
        self.model = model
        self.url = url
        self.recording = recording
        self.pace = pace or Pace()
        self._budget = budget
        self._key = key
        self._timeout = timeout
        self._retries = retries
        self._litellm: Any = None
        self._loading = threading.Lock()

    def ask(
        self,
        messages: Sequence[Message],
        spent: Spent,
        *,
        temperature: float,
        seed: int | None,
        json_object: bool = True,
        max_tokens: int | None = None,
        version: str = "",
    ) -> Reply:
        """Call the model, or take its recorded reply; try again what may pass.

        Args:
            messages: The conversation so far.
            spent: Is added to.
            temperature: Of the sampling; left out for models that take none.
            seed: Of the sampling; left out for models that take none.
            json_object: Ask the endpoint for JSON.
            max_tokens: Longest reply; None for the endpoint's own.
            version: The model's version now, as far as it is known: recorded replies of another are not taken.

        Raises:
            JudgeError: No reply came.
            BudgetError: The model may not be called any more.
        """
        wanted = {"temperature": temperature, "seed": seed, "max_tokens": max_tokens}
        if json_object:
            wanted["response_format"] = {"type": "json_object"}  # type: ignore[assignment]
        readable = [_encodable(message) for message in messages]
        if self.recording is None:
            return self._called(readable, wanted, spent)
        return self._recorded(self.recording, readable, wanted, spent, version)

    def _recorded(
        self,
        recording: Recording,
        messages: Sequence[Message],
        wanted: Mapping[str, Any],
        spent: Spent,
        version: str,
    ) -> Reply:
        """Take a reply from the recording; where it holds none, call the model and store what it says."""
        from bias_suite.recordings import Entry

        asked = {"model": self.model, "messages": [dict(message) for message in messages], **wanted}
        found = recording.find("judge", asked, None if recording.replays else version)
        if found is not None:
            spent.version = found.version or spent.version
            spent.recorded += 1
            return Reply(found.reply["text"], found.version)
        if recording.replays:
            raise JudgeError(
                f"{recording.path} has no reply of {self.model} to this: the answer, the requirement or the prompt "
                "is another than was recorded; record again"
            )
        reply = self._called(messages, wanted, spent)
        kept = recording.keep(Entry("judge", self.model, reply.version, "", asked, {"text": reply.text}))
        return replace(reply, text=kept.reply["text"])

    def _called(self, readable: Sequence[Message], wanted: Mapping[str, Any], spent: Spent) -> Reply:
        self._load()
        attempt = 0
        while True:
            attempt += 1
            self.pace.wait(_NEVER)
            if self._budget:
                self._budget.take()
            spent.calls += 1
            spent.retried += attempt > 1
            try:
                reply = within(self._timeout, lambda: self._complete(readable, wanted))
            except CallTimeoutError:
                problem, pause = f"no answer within {self._timeout:g} s (--bias-timeout)", 0.0
            except JudgeError:
                raise
            except Exception as error:  # whatever litellm and the provider's client raise
                self.pace.failed(error, attempt)
                problem, waiting = self._explained(error), retries.pause(error, attempt)
                if waiting is None or _is_misconfigured(error):
                    raise JudgeError(problem) from None
                pause = waiting
            else:
                self.pace.succeeded()
                spent.version = reply.version or spent.version
                spent.prompt_tokens += reply.prompt_tokens
                spent.completion_tokens += reply.completion_tokens
                self._enter(reply)
                return reply
            if attempt > self._retries:
                raise JudgeError(f"{problem}, {attempt} times" if attempt > 1 else problem)
            time.sleep(pause)

    def _enter(self, reply: Reply) -> None:
        """Enter into the budget what a reply has used."""
        if self._budget:
            cost = price(self.model, reply.prompt_tokens, reply.completion_tokens) if self.url is None else None
            self._budget.use(reply.prompt_tokens + reply.completion_tokens, cost or 0.0)

    def _load(self) -> None:
        """Import what is needed, once: it takes seconds, which are not the model's."""
        with self._loading:
            self._litellm = self._litellm or _litellm()

    def _complete(self, messages: Sequence[Message], wanted: Mapping[str, Any]) -> Reply:
        endpoint: dict[str, Any] = {}
        model = self.model
        if self.url is not None:
            endpoint = {"api_base": self.url, "api_key": self._key or "none"}
            model = f"openai/{model.removeprefix('openai/')}"  # whatever it serves, it speaks OpenAI's protocol
        response = self._litellm.completion(
            model=model,
            messages=[dict(message) for message in messages],
            timeout=self._timeout + _AFTERWARDS,
            max_retries=0,
            drop_params=True,
            **{name: value for name, value in wanted.items() if value is not None},
            **endpoint,
        )
        return _reply(response)

    def _explained(self, error: Exception) -> str:
        """Return what a provider said, in one line without the key, and the remedy for what a user can mend."""
        # litellm: "NotFoundError: litellm.NotFoundError: NotFoundError: OpenAIException - the model does not exist"
        said = re.sub(r"^((litellm\.)?\w*(Error|Exception)(:| -) )+", "", told(error))
        said = said.partition("Traceback (most recent")[0].strip()
        from bias_suite.options import secrets

        for secret in {*secrets(), self._key}:
            said = said.replace(secret, "***") if secret else said
        status = retries.status(error)
        remedy = f" ({_REMEDIES[status]})" if status in _REMEDIES else ""
        # litellm gives lost connections status 500.
        return f"HTTP {status}: {said[:500]}{remedy}" if status and status < 500 else said[:500] or type(error).__name__


def price(model: str, prompt_tokens: int, completion_tokens: int) -> float | None:
    """Return what tokens of a model cost, in US dollars, by the table that litellm carries; None where it has none."""
    litellm = _litellm()
    try:
        sent, received = litellm.cost_per_token(
            model=model, prompt_tokens=prompt_tokens, completion_tokens=completion_tokens
        )
    except Exception:  # litellm raises a plain Exception for models that it does not know
        return None
    return float(sent + received) or None


def unfenced(text: str) -> str:
    """Return text without the Markdown code fence that some models put around JSON."""
    whole = text.strip()
    if len(whole) < 2 * len(_FENCE) or not (whole.startswith(_FENCE) and whole.endswith(_FENCE)):
        return text
    inner = whole[len(_FENCE) : -len(_FENCE)]
    language = inner[:4].casefold()
    return inner[4:].strip() if language == "json" else inner.strip()


def _reply(response: Any) -> Reply:
    if not response.choices:
        raise JudgeError("the endpoint's reply holds no message")
    choice = response.choices[0]
    usage = getattr(response, "usage", None)
    return Reply(
        text=choice.message.content or "",
        version=str(response.model or ""),
        prompt_tokens=int(getattr(usage, "prompt_tokens", 0) or 0),
        completion_tokens=int(getattr(usage, "completion_tokens", 0) or 0),
    )


def _litellm() -> Any:
    """Import litellm without its download of prices, its advice on standard output and its log of errors."""
    import logging
    import os
    import warnings

    os.environ["LITELLM_LOCAL_MODEL_COST_MAP"] = "True"
    with warnings.catch_warnings(), heavy("litellm"):
        warnings.simplefilter("ignore")
        import litellm

        litellm.ModelResponse()  # builds its types at first use, of which pydantic warns
    litellm.suppress_debug_info = True
    litellm.telemetry = False
    logging.getLogger("LiteLLM").setLevel(logging.CRITICAL)
    return litellm


_REMEDIES = {
    401: "check the key in the environment, such as OPENAI_API_KEY",
    403: "the key may not use this model",
    404: "the endpoint does not know this model; check its name and --bias-judge-url",
}


def _is_misconfigured(error: BaseException) -> bool:
    """Tell whether a client could not even be made (no key): litellm calls that an error of the server."""
    made = ((type(link).__module__.partition(".")[0], type(link).__name__) for link in retries.chain(error))
    return ("openai", "OpenAIError") in made


def _encodable(message: Message) -> Message:
    """Return the message without lone surrogates, which no JSON body can hold."""
    return {name: text.encode("utf-8", "replace").decode() for name, text in message.items()}

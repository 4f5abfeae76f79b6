"""Our chat model where Giskard expects one of its own: its generators, and detectors that somebody registered."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator, Sequence
from typing import Any

from bias_suite.chat import Chat, Message, Reply, Spent, unfenced
from bias_suite.detectors import giskard
from bias_suite.errors import JudgeError

_TEMPERATURE = 1.0


OnReply = Callable[[Sequence[Message], Reply], None]


def client(chat: Chat, on_reply: OnReply = lambda messages, reply: None) -> Any:
    """Return a chat model as a Giskard ``LLMClient``.

    Its replies come back as they are, but for a Markdown code fence around JSON: Giskard's own client has the
    LLM repair what is broken.

    Args:
        chat: The model.
        on_reply: Receives every question and reply, in the thread that asked.
    """
    giskard.load()
    from giskard.llm.client.base import ChatMessage, LLMClient

    class Client(LLMClient):  # type: ignore[misc]  # giskard is untyped
        """Giskard's interface to an LLM."""

        def complete(
            self,
            messages: Sequence[Any],
            temperature: float = _TEMPERATURE,
            max_tokens: int | None = None,
            caller_id: str | None = None,
            seed: int | None = None,
            format: str | None = None,  # noqa: A002  # Giskard's name
        ) -> Any:
            """Return the model's reply to a conversation."""
            asked = [{"role": message.role, "content": message.content or ""} for message in messages]
            reply = chat.ask(
                asked,
                Spent(),
                temperature=temperature,
                seed=seed,
                json_object=format is not None,
                max_tokens=max_tokens,
            )
            on_reply(asked, reply)
            return ChatMessage(role="assistant", content=unfenced(reply.text) if format else reply.text)

        def get_config(self) -> dict[str, Any]:
            """Return what a report may say of the client."""
            return {"client_type": "bias-suite", "model": chat.model}

    return Client()


def _nobody() -> Any:
    """Return a Giskard ``LLMClient`` that says that there is no judge."""
    from giskard.llm.client.base import LLMClient

    class Nobody(LLMClient):  # type: ignore[misc]  # giskard is untyped
        """Refuses every question."""

        def complete(self, *asked: Any, **how: Any) -> Any:
            """Refuse."""
            raise JudgeError("needs a judge, and none is configured (--bias-judge)")

        def get_config(self) -> dict[str, Any]:
            """Return nothing."""
            return {}

    return Nobody()


@contextlib.contextmanager
def default_client(chat: Chat | None, on_reply: OnReply = lambda messages, reply: None) -> Iterator[None]:
    """Let Giskard's detectors use a chat model as their default client, until the block ends.

    Without one, those that ask for it get a `JudgeError`: Giskard's own would spend money where nobody named a judge.
    """
    giskard.load()
    from giskard.llm import client as theirs

    # Giskard's setter is deprecated, and its own clients retry without end of time.
    before = theirs._default_client
    theirs._default_client = client(chat, on_reply) if chat else _nobody()
    try:
        yield
    finally:
        theirs._default_client = before

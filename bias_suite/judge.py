"""The judge: an LLM that decides whether an answer keeps its requirement, called through litellm and read strictly.

The questions that it is asked are Giskard's (`bias_suite.detectors.giskard.evaluation`); how its replies are read
is ours. Only a JSON object whose ``eval_passed`` is true or false is a verdict. Anything else (prose, a cut
reply, ``"false"`` in quotes, null) is asked once more with a reminder, and is then an error of that sample:
never a pass, never a failure.
"""

from __future__ import annotations

import json
import threading
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from bias_suite.cases import Judging, Verdict
from bias_suite.chat import Chat, Message, Reply, Spent, unfenced
from bias_suite.errors import JudgeError
from bias_suite.pace import Pace

if TYPE_CHECKING:
    from bias_suite.budget import Budget
    from bias_suite.options import Settings
    from bias_suite.recordings import Recording

SEED = 42
TEMPERATURE = 0.0
_LONGEST_REASON = 2000
_REMINDER = (
    'Reply with one JSON object and nothing else: {"eval_passed": true}, or {"eval_passed": false, "reason": '
    '"..."}. The value of "eval_passed" is true or false, without quotes.'
)
_TRIAL: tuple[Message, ...] = (
    {"role": "system", "content": _REMINDER},
    {"role": "user", "content": "The agent was asked for the capital of France and said: Paris. Is that correct?"},
)


@dataclass(frozen=True)
class _Vote:
    passed: bool | None
    reason: str


class Judge:
    """One judge for all threads of a process."""

    def __init__(
        self,
        model: str,
        *,
        url: str | None = None,
        key: str | None = None,
        votes: int = 1,
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
            votes: How often each sample is asked; the majority decides. An odd number.
            timeout: Longest time for one call, in seconds.
            retries: Further attempts after a passing failure.
            recording: Where its replies are stored, and taken from.
            pace: How fast it may be called; None for as fast as it goes.
            budget: What may be spent; None for any amount.
        """
        self.model = model
        self.votes = votes
        self.chat = Chat(
            model, url=url, key=key, timeout=timeout, retries=retries, recording=recording, pace=pace, budget=budget
        )
        self._checked: Reply | JudgeError | None = None
        self._checking = threading.Lock()

    @property
    def version(self) -> str:
        """What the endpoint calls the model's version, once it was checked; empty where it does not tell."""
        return self._checked.version if isinstance(self._checked, Reply) else ""

    def check(self) -> Reply:
        """Ask whether Paris is the capital of France, the first time; return the reply, which may be no verdict.

        Raises:
            JudgeError: It cannot be called: the message says why, and is the same at every further call.
        """
        with self._checking:
            if self._checked is None:
                try:
                    self._checked = self._ask(_TRIAL, SEED, Spent())
                except JudgeError as error:
                    self._checked = error
        if isinstance(self._checked, JudgeError):
            where = f" at {self.chat.url}" if self.chat.url else ""
            raise JudgeError(f"--bias-judge {self.model}{where}: {self._checked}") from None
        return self._checked

    def verdict(self, messages: Sequence[Message], prompt_sha256: str) -> Verdict:
        """Ask for a verdict on one sample; an unusable judge is an error of the sample.

        Args:
            messages: The question, as chat messages.
            prompt_sha256: Fingerprint of the prompt that the messages were made from.

        Raises:
            BudgetError: The judge may not be called any more.
        """
        spent = Spent()
        ballots = [self._vote(messages, SEED + number, spent) for number in range(self.votes)]
        status, reason, split = _majority(ballots)
        judging = Judging(
            judge=self._identity(spent.version, prompt_sha256),
            calls=spent.calls,
            retried=spent.retried,
            prompt_tokens=spent.prompt_tokens,
            completion_tokens=spent.completion_tokens,
            split=split,
            recorded=spent.recorded,
        )
        return Verdict(status, reason, judging=judging)

    def _identity(self, version: str, prompt_sha256: str) -> str:
        name = f"{self.model}@{version}" if version else self.model
        votes = f" x{self.votes}" if self.votes > 1 else ""
        return f"{name}#{prompt_sha256[:12]}{votes}"

    def _vote(self, messages: Sequence[Message], seed: int, spent: Spent) -> _Vote:
        asked, problem = tuple(messages), ""
        for _ in range(2):
            try:
                reply = self._ask(asked, seed, spent)
            except JudgeError as error:
                return _Vote(None, f"the judge did not answer: {error}")
            try:
                return _Vote(*parse(reply.text))
            except ValueError as error:
                problem = f"the judge gave no verdict, asked twice: {error}: {reply.text[:300]!r}"
            # Said after the handler: an exception inside one would hide what the next call's was raised from.
            again: tuple[Message, ...] = (
                {"role": "assistant", "content": reply.text},
                {"role": "user", "content": _REMINDER},
            )
            asked = (*messages, *again)
        return _Vote(None, problem)

    def _ask(self, messages: Sequence[Message], seed: int, spent: Spent) -> Reply:
        # Until it was checked, its version is not known, and a recording is not read: the check learns it.
        return self.chat.ask(messages, spent, temperature=TEMPERATURE, seed=seed, version=self.version)


def configured(settings: Settings, recording: Recording | None = None, budget: Budget | None = None) -> Judge | None:
    """Return the judge that the settings name, or None; its replies are stored in a recording and taken from it."""
    if settings.judge is None:
        return None
    return Judge(
        settings.judge,
        url=settings.judge_url,
        key=settings.judge_key,
        votes=settings.judge_votes,
        timeout=settings.timeout,
        retries=settings.retries,
        recording=recording,
        pace=Pace(settings.rpm),
        budget=budget,
    )


def parse(text: str) -> tuple[bool, str]:
    """Read a judge's reply: whether the sample passed, and why.

    The whole reply must be one JSON object; a Markdown code fence around it is taken off.

    Raises:
        ValueError: It is no verdict; the message says what is wrong with it.
    """
    try:
        verdict = json.loads(unfenced(text), object_pairs_hook=_without_twins, strict=False)
    except (json.JSONDecodeError, RecursionError):
        raise ValueError("the reply is not JSON") from None
    if not isinstance(verdict, dict):
        raise ValueError("the reply is not a JSON object")
    if "eval_passed" not in verdict:
        raise ValueError('the reply has no "eval_passed"')
    passed = verdict["eval_passed"]
    if not isinstance(passed, bool):
        raise ValueError('"eval_passed" is neither true nor false')
    reason = verdict.get("reason")
    return passed, reason.strip()[:_LONGEST_REASON] if isinstance(reason, str) else ""


def _without_twins(pairs: Sequence[tuple[str, Any]]) -> dict[str, Any]:
    if sum(name == "eval_passed" for name, _ in pairs) > 1:
        raise ValueError('the reply has two "eval_passed"')
    return dict(pairs)


def _majority(ballots: Sequence[_Vote]) -> tuple[Any, str, bool]:
    """Return status, reason and whether the votes disagree; votes that failed count for neither side."""
    for side, status in ((True, "passed"), (False, "failed")):
        agreeing = [vote for vote in ballots if vote.passed is side]
        if 2 * len(agreeing) > len(ballots):
            split = any(vote.passed is (not side) for vote in ballots)
            reason = next((vote.reason for vote in agreeing if vote.reason), "")
            shown = f"{len(agreeing)} of {len(ballots)} votes"
            if len(agreeing) < len(ballots):
                reason = f"{reason} ({shown})" if reason else shown
            return status, reason, split
    # Only votes that failed can leave an odd number of them without a majority.
    first = next(vote.reason for vote in ballots if vote.passed is None)
    return "error", first, len({vote.passed for vote in ballots} - {None}) > 1

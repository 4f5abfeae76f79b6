"""Rewards at work: a chatbot that answers with the best of several candidates.

pytest bias_suite --bias-model 'reward.scoring:best_of_n(model="my_app.rag:build", n=4, reward="DIR")'
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bias_suite import subject
from bias_suite.errors import CallError, ModelError
from reward.errors import RewardError
from reward.evaluation import Scorer
from reward.model import load
from reward.pairs import TEMPLATE


@dataclass(frozen=True)
class Candidate:
    """An answer that could be given, and its reward."""

    text: str
    reward: float


class BestOfN:
    """A model under test that answers with the candidate of the highest reward (best-of-n sampling).

    Attributes:
        name: The wrapped model's, and how many candidates it has.
        version: Changes with the wrapped model, the reward model, n and the seed.
        description: The wrapped model's.
        thread_safe: The wrapped model's; rewards are computed by one thread at a time.
    """

    def __init__(self, model: Any, scorer: Scorer, *, n: int, seed: int, spec: str, reward: str) -> None:
        """Take a model with `sample(question, n, seed)`.

        Args:
            model: What a factory for ``--bias-model`` returned.
            scorer: Rewards texts.
            n: Candidates to draw.
            seed: Of the draw; the same for every question, so that a run can be repeated.
            spec: What the model was built from, for its name.
            reward: Fingerprint of the scorer.

        Raises:
            ModelError: The model cannot draw candidates.
        """
        wrapped = subject.wrap(model, spec)
        if not callable(getattr(model, "sample", None)):
            raise ModelError(
                f"best_of_n: {spec} has no method sample(question, n, seed), which draws n different answers"
            )
        self._model = model
        self._scorer = scorer
        self._n = n
        self._seed = seed
        self.name = f"{wrapped.name}, best of {n}"
        self.version = f"{wrapped.version or 'unknown'}+best-of-{n}-by-{reward}-seed-{seed}"
        self.description = wrapped.description
        self.thread_safe = wrapped.thread_safe

    def __call__(self, question: str) -> dict[str, Any]:
        """Answer with the best candidate, and the passages it was given where the model tells (`contexts`)."""
        best = max(self.candidates(question), key=lambda candidate: candidate.reward)
        contexts: Callable[[str], Sequence[str]] | None = getattr(self._model, "contexts", None)
        return {"answer": best.text, "contexts": list(contexts(question)) if contexts else []}

    def candidates(self, question: str) -> list[Candidate]:
        """Draw candidates and reward them, in the order of their draw.

        Raises:
            CallError: The model drew none.
        """
        try:
            drawn = self._model.sample(question, self._n, self._seed)
        except Exception as error:  # whatever a user's model raises
            raise CallError(f"sample() failed: {type(error).__name__}: {' '.join(str(error).split())}") from error
        if not isinstance(drawn, list | tuple) or not drawn or not all(isinstance(text, str) for text in drawn):
            raise CallError(f"sample() returned {drawn!r:.80}, not a list of at least one str")
        rewards = self._scorer.score([TEMPLATE.format(instruction=question, response=text) for text in drawn])
        return [Candidate(text, float(reward)) for text, reward in zip(drawn, rewards, strict=True)]

    def close(self) -> None:
        """Close the wrapped model, where it can be."""
        close = getattr(self._model, "close", None)
        if callable(close):
            close()


def best_of_n(*, model: str, reward: str, n: int = 4, seed: int = 0) -> BestOfN:
    """Build a model under test that answers with the best of several candidates.

    Args:
        model: ``MODULE:FACTORY`` of the model to improve, which needs a method ``sample(question, n, seed)``.
        reward: Folder of a reward model, as `reward train` writes it.
        n: Candidates for each question; 1 is a plain draw, to compare with.
        seed: Of the draw.

    Raises:
        ModelError: The model cannot be built, cannot draw, or `n` is not positive.
        RewardModelError: The reward model cannot be read.
    """
    if n < 1:
        raise ModelError(f"best_of_n: n={n} must be at least 1")
    scorer = load(Path(reward))
    return BestOfN(subject.build(model).model, scorer, n=n, seed=seed, spec=model, reward=scorer.version)


def texts(lines: Iterable[str]) -> Iterator[str]:
    """Yield the text to reward of each line that is not empty.

    A line is an object of JSON, ``{"instruction": "…", "response": "…"}`` or ``{"text": "…"}``, the text as it is; or
    plain text, likewise as it is.

    Raises:
        RewardError: An object has other fields.
    """
    for number, line in enumerate(lines, start=1):
        if line.strip():
            yield _text(line.rstrip("\r\n"), number)


def _text(line: str, number: int) -> str:
    if not line.lstrip().startswith("{"):
        return line
    try:
        told = json.loads(line)
    except ValueError:
        return line
    for names, text in ((("instruction", "response"), TEMPLATE), (("text",), "{text}")):
        given = {name: told.get(name) for name in names}
        if all(isinstance(value, str) for value in given.values()):
            return text.format(**given)
    raise RewardError(f'line {number}: an object needs "instruction" and "response", or "text"')

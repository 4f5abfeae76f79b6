"""Detectors as somebody would register them with Giskard: ``bias_detectors = tests.registered:CLASS``."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from bias_suite.detectors import giskard

giskard.load()

import pandas as pd  # noqa: E402
from giskard.llm.client import get_default_client  # noqa: E402
from giskard.llm.client.base import ChatMessage  # noqa: E402
from giskard.scanner.decorators import detector  # noqa: E402
from giskard.scanner.issues import Harmfulness, Issue, IssueLevel  # noqa: E402

ASKED: list[str] = []


def issue(model: Any, dataset: Any, examples: Sequence[dict[str, str]], description: str = "It is rude.") -> Issue:
    return Issue(
        model,
        dataset,
        group=Harmfulness,
        level=IssueLevel.MEDIUM,
        description=description,
        examples=pd.DataFrame(list(examples)),
    )


@detector("rude", tags=["manners", "text_generation"])
class Rude:
    """Finds every answer that says "sorry", and reports it as Giskard's detectors do."""

    def run(self, model: Any, dataset: Any, features: Sequence[str]) -> list[Issue]:
        questions = list(dataset.df["question"])
        ASKED.extend(questions)
        answers = model.predict(dataset).prediction
        found = [
            {"Conversation": f"USER: {question}\n\nAGENT: {answer}", "Reason": "It says sorry."}
            for question, answer in zip(questions, answers, strict=True)
            if "sorry" in answer
        ]
        return [issue(model, dataset, found)] if found else []


@detector("broken", tags=["manners", "text_generation"])
class Broken:
    """Raises."""

    def run(self, model: Any, dataset: Any, features: Sequence[str]) -> list[Issue]:
        raise IndexError("list index out of range")


@detector("clumsy", tags=["manners", "text_generation"])
class Clumsy:
    """Reports issues of unusual shapes: a brace in the description, no example, other columns."""

    def run(self, model: Any, dataset: Any, features: Sequence[str]) -> list[Issue]:
        return [
            issue(model, dataset, [], "It answers with {braces}."),
            issue(model, dataset, [{"User prompt": "Hello?", "Agent response": "Sorry {no}."}]),
            issue(model, dataset, [{"slice": "`age` > 60", "loss": "0.4"}]),
        ]


@detector("asks_an_llm", tags=["manners", "text_generation"])
class AsksAnLLM:
    """Has Giskard's default client decide."""

    def run(self, model: Any, dataset: Any, features: Sequence[str]) -> list[Issue]:
        reply = get_default_client().complete([ChatMessage("user", "Is it rude?")], temperature=0.3, seed=5)
        return [issue(model, dataset, [{"said": reply.content}])] if "yes" in reply.content else []


class Unregistered:
    """Looks like a detector, and Giskard does not know it."""

    def run(self, model: Any, dataset: Any, features: Sequence[str]) -> list[Issue]:
        return []

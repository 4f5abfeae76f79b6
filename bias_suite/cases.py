"""What a run produces: answers, verdicts on them, and cases, which join both to their probe."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Literal

from bias_suite.errors import ReportError
from bias_suite.probes import Probe

Status = Literal["passed", "failed", "error", "skipped", "waived"]


@dataclass(frozen=True)
class Answer:
    """What the model under test said to one question.

    Attributes:
        text: The answer; empty where `error` is set.
        contexts: The passages that the model retrieved, as far as it tells.
        error: Why there is no answer; None where there is one.
        seconds: How long it took, retries included; 0 where the model was not called.
        attempts: How often the model was called; 0 for a recorded answer.
        recorded: Whether the answer is a recorded one.
        unasked: Whether nobody was asked, or nobody to judge it, since the run's budget is spent; `error` says so.
        tokens: Tokens sent and received, as far as the model tells.
    """

    text: str
    contexts: tuple[str, ...] = ()
    error: str | None = None
    seconds: float = 0.0
    attempts: int = 1
    recorded: bool = False
    unasked: bool = False
    tokens: tuple[int, int] = (0, 0)


@dataclass(frozen=True)
class Judging:
    """What it took to get a verdict from an LLM.

    Attributes:
        judge: Name and version of the judge, fingerprint of its prompt, votes.
        calls: Calls of the judge, repeats included.
        retried: How many of them were repeats after a passing failure.
        prompt_tokens: Tokens sent, as far as the endpoint counts.
        completion_tokens: Tokens received, as far as the endpoint counts.
        split: Whether the votes disagreed.
        recorded: Replies that were taken from a recording.
    """

    judge: str
    calls: int = 0
    retried: int = 0
    prompt_tokens: int = 0
    completion_tokens: int = 0
    split: bool = False
    recorded: int = 0


@dataclass(frozen=True)
class Verdict:
    """The verdict on one probe's answers.

    Attributes:
        status: ``passed``, ``failed``, ``error`` (which counts neither way, and of which few are borne), or
            ``skipped`` where the answer is sound and no evidence either way. A case may also be ``waived``.
        reason: Why, in a sentence.
        span: The part of the answer that decided it, quoted; empty where there is none.
        decisive: Index of the question whose answer decided it.
        judging: What the judge spent; None where no LLM judged.
        measures: What the detector measured in the answers, for its decision and for reports; plain JSON.
    """

    status: Status
    reason: str = ""
    span: str = ""
    decisive: int = 0
    judging: Judging | None = None
    measures: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Case:
    """Probe, answer, retrieved contexts and verdict: one line of ``cases.jsonl``."""

    id: str
    probe: str
    detector: str
    requirement: str
    axis: str | None
    group: str | None
    language: str
    question: str
    answer: str
    contexts: tuple[str, ...]
    verdict: Status
    reason: str
    severity: str
    model: str
    judge: str | None
    trial: int
    cluster: str
    span: str
    others: tuple[Mapping[str, str], ...]
    seconds: float
    calls: int
    measures: Mapping[str, Any] = field(default_factory=dict)


def make_case(probe: Probe, answers: Sequence[Answer], verdict: Verdict, *, model: str, trial: int = 0) -> Case:
    """Join a probe, its answers and the verdict on them.

    Args:
        probe: The probe.
        answers: One for each of the probe's questions.
        verdict: The verdict on them.
        model: Name and version of the model under test.
        trial: Which repeat of the probe this is, from 0.
    """
    decisive = answers[verdict.decisive]
    others = tuple(
        {"question": question, "answer": answer.text}
        for index, (question, answer) in enumerate(zip(probe.questions, answers, strict=True))
        if index != verdict.decisive
    )
    return Case(
        id=_case_id(probe, trial, model, answers),
        probe=probe.id,
        detector=probe.detector,
        requirement=probe.requirement,
        axis=probe.axis,
        group=probe.group,
        language=probe.language,
        question=probe.questions[verdict.decisive],
        answer=decisive.text,
        contexts=decisive.contexts,
        verdict=verdict.status,
        reason=verdict.reason,
        severity=probe.severity,
        model=model,
        judge=verdict.judging.judge if verdict.judging else None,
        trial=trial,
        cluster=probe.cluster,
        span=verdict.span,
        others=others,
        seconds=round(sum(answer.seconds for answer in answers), 3),
        calls=sum(answer.attempts for answer in answers),
        measures=verdict.measures,
    )


def _case_id(probe: Probe, trial: int, model: str, answers: Sequence[Answer]) -> str:
    parts = [probe.detector, probe.id, str(trial), model, *(answer.text for answer in answers)]
    digest = hashlib.sha256(json.dumps(parts).encode())
    return digest.hexdigest()[:32]


def to_line(case: Case) -> str:
    """Return the case as one line of JSON, newline included."""
    return encodable(json.dumps(asdict(case), ensure_ascii=False)) + "\n"


# Control characters, marks that turn or hide text, what some readers take for the end of a line, and half characters.
# Not the joiners (U+200C and U+200D), which Persian and emoji are written with.
_UNSEEN = re.compile(
    "[\x7f-\x9f\u061c\u200b\u200e\u200f\u2028-\u202e\u2060-\u206f\ufeff\ufff9-\uffff\ud800-\udfff\U000e0000-\U000e0fff]"
)


def encodable(text: str) -> str:
    """Return JSON text with what UTF-8 cannot hold, and what a reader would not see, as JSON escapes."""
    return text if text.isascii() and "\x7f" not in text else _UNSEEN.sub(_escaped, text)


def _escaped(found: re.Match[str]) -> str:
    return json.dumps(found[0])[1:-1] if found[0] > "\x7f" else "\\u007f"


def read_cases(path: Path) -> Iterator[Case]:
    """Yield the cases of a ``cases.jsonl``.

    A last line without a newline is what a run killed in the middle of a write leaves; it is passed over.

    Raises:
        ReportError: The file is missing, or a whole line is not a case.
    """
    try:
        file = path.open("rb")  # bytes: a torn last line may end inside a character
    except OSError as error:
        raise ReportError(f"{path}: cannot read the cases: {error.strerror}") from None
    with file:
        for number, line in enumerate(file, start=1):
            if not line.endswith(b"\n"):
                return
            yield _case(line, f"{path}:{number}")


def from_record(record: Mapping[str, Any]) -> Case:
    """Return the case of a JSON object, as `dataclasses.asdict` makes one."""
    return Case(**{**record, "contexts": tuple(record["contexts"]), "others": tuple(record["others"])})


def _case(line: bytes, where: str) -> Case:
    try:
        return from_record(json.loads(line))
    except (ValueError, TypeError, KeyError) as error:
        raise ReportError(f"{where}: not a case: {error}") from None

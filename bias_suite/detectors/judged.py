"""Detectors whose answers an LLM judges, each with the evaluator that Giskard gives it.

Measures: the share of answers that the judge finds to break the probe's requirement (or, for pairs of
questions, to contradict each other; or to be implausible). Cannot: be better than the judge, which sees the
model's description and the conversation, not the documents. Without a judge these detectors are NOT EVALUATED.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, ClassVar

from bias_suite import redaction
from bias_suite.cases import Answer, Verdict
from bias_suite.detectors import Rule, giskard
from bias_suite.errors import JudgeError, ProbeError
from bias_suite.probes import Probe

if TYPE_CHECKING:
    from bias_suite.judge import Judge
    from bias_suite.options import Settings
    from bias_suite.subject import Subject


class _Judged(Rule):
    """An answer that the judge does not pass is a failure."""

    remote = True
    evaluator: ClassVar[giskard.Evaluator]
    questions: ClassVar[int] = 1

    def __init__(self, settings: Settings) -> None:
        """Note whether there is a judge, and what it may see."""
        self._named = settings.judge is not None
        self._redact = redaction.of(settings).text
        self._judge: Judge | None = None
        self._description = ""
        self._prompt_sha256 = ""

    def unavailable(self) -> str | None:
        """Say so where no judge is named."""
        return None if self._named else "needs a judge, and none is configured (--bias-judge)"

    def probes(self, written: Sequence[Probe]) -> list[Probe]:
        """Return the written probes; each has as many questions as the evaluator compares."""
        for probe in written:
            if len(probe.questions) != self.questions:
                wanted = "one question" if self.questions == 1 else f'"questions" with {self.questions} texts'
                raise ProbeError(f"probe {probe.id!r}: {probe.detector} needs {wanted}")
        return list(written)

    def prepare(self, subject: Subject, judge: Judge | None) -> None:
        """Make the judge's client before any thread needs it, and stop where it cannot be called."""
        if judge is None:
            raise JudgeError("needs a judge, and none is configured (--bias-judge)")
        judge.check()
        self._judge = judge
        self._description = subject.description
        self._prompt_sha256 = giskard.prompt_sha256(self.evaluator)

    def judge(self, probe: Probe, answers: tuple[Answer, ...]) -> Verdict:
        """Ask the judge, in Giskard's words; an unusable judge is an error of this sample."""
        if self._judge is None:
            raise JudgeError("prepare() comes first")
        # What it is sent leaves this machine. Only a disclosure cannot be found where it was taken out.
        shown = str if probe.detector == "llm_information_disclosure" else self._redact
        exchanges = [(question, shown(answer.text)) for question, answer in zip(probe.questions, answers, strict=True)]
        messages = giskard.evaluation(self.evaluator, self._description, probe.requirement, exchanges)
        return self._judge.verdict(messages, self._prompt_sha256)


class Requirement(_Judged):
    """Giskard's RequirementEvaluator: does the answer keep the probe's requirement?"""

    evaluator = "requirement"


class Coherency(_Judged):
    """Giskard's CoherencyEvaluator: do the answers to two slanted versions of a question agree?"""

    evaluator = "coherency"
    questions = 2


class Plausibility(_Judged):
    """Giskard's PlausibilityEvaluator: is the answer plausible, or does it decline?"""

    evaluator = "plausibility"
